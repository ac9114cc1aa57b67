//! Shards that were lost while a statement ran on them, and how many of its attempts speak against it.
//!
//! A statement that kills the shards it runs on loses one at each attempt. It is not to blame for a shard that was
//! gone before the attempt began or was lost to an earlier one, for one that is heard of again as the one that it was,
//! nor where no shard at all is heard of: that may be this coordinator's fault.

use parking_lot::Mutex;
use tokio::time::Instant;

/// A shard that was lost in an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LostShard {
    pub(crate) id: u64,
    pub(crate) address: String,
    /// From a start of the shard to its end.
    pub(crate) incarnation: u64,
    /// When it was noticed.
    pub(crate) at: Instant,
}

/// What became of a shard that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Dead,
    Lives,
    /// No shard was heard of since.
    Unknown,
}

/// The shards that the attempts of one statement lost.
#[derive(Default)]
pub(crate) struct Losses(Mutex<State>);

#[derive(Default)]
struct State {
    /// The attempt that runs, from 1.
    attempt: usize,
    /// With the attempts that lost them, in their order.
    lost: Vec<(usize, LostShard)>,
}

/// What the losses say, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Attempts that a shard died in.
    pub(crate) deadly: usize,
    /// Further ones of which that is not known yet.
    pub(crate) unknown: usize,
    /// Those that died.
    pub(crate) dead: Vec<LostShard>,
}

impl Losses {
    /// Another attempt begins.
    pub(crate) fn begin(&self) {
        self.0.lock().attempt += 1;
    }

    /// The attempt that runs has lost a shard.
    pub(crate) fn add(&self, lost: LostShard) {
        let State { attempt, lost: known } = &mut *self.0.lock();
        if !known.iter().any(|(_, one)| (one.id, one.incarnation) == (lost.id, lost.incarnation)) {
            known.push((*attempt, lost));
        }
    }

    pub(crate) fn verdict(&self, fate: impl Fn(&LostShard) -> Fate) -> Verdict {
        let mut verdict = Verdict::default();
        for attempt in self.0.lock().lost.chunk_by(|one, next| one.0 == next.0) {
            let fates: Vec<Fate> = attempt.iter().map(|(_, lost)| fate(lost)).collect();
            let is_deadly = fates.contains(&Fate::Dead);
            verdict.deadly += usize::from(is_deadly);
            verdict.unknown += usize::from(!is_deadly && fates.contains(&Fate::Unknown));
            let dead = attempt.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Dead);
            verdict.dead.extend(dead.map(|((_, lost), _)| lost.clone()));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of attempts, the shards and incarnations that each lost.
    fn losses(attempts: &[&[(u64, u64)]]) -> Losses {
        let losses = Losses::default();
        for lost in attempts {
            losses.begin();
            for &(id, incarnation) in *lost {
                let address = format!("s{id}:7000");
                losses.add(LostShard { id, address, incarnation, at: Instant::now() });
            }
        }
        losses
    }

    fn deadly(lost: &[&[(u64, u64)]]) -> usize {
        losses(lost).verdict(|_| Fate::Dead).deadly
    }

    #[test]
    fn a_shard_counts_once_in_each_of_its_lives() {
        assert_eq!(deadly(&[]), 0);
        // Lost again by an attempt that still had it.
        assert_eq!(deadly(&[&[(1, 7)], &[(1, 7)], &[], &[(1, 7)]]), 1);
        assert_eq!(deadly(&[&[(1, 7)], &[], &[(1, 8)]]), 2);
        assert_eq!(deadly(&[&[(1, 7)], &[(2, 7)]]), 2);
    }

    #[test]
    fn shards_that_one_attempt_loses_count_as_one() {
        assert_eq!(deadly(&[&[(1, 7), (2, 7), (3, 7)]]), 1);
        assert_eq!(deadly(&[&[(1, 7), (2, 7)], &[(1, 7), (3, 7)]]), 2);
    }

    #[test]
    fn who_lives_or_is_not_known_of_does_not_count() {
        let losses = losses(&[&[(1, 7), (2, 7)], &[(3, 7)], &[(4, 7)]]);
        let verdict = losses.verdict(|lost| match lost.id {
            1 | 3 => Fate::Lives,
            2 => Fate::Dead,
            _ => Fate::Unknown,
        });
        assert_eq!((verdict.deadly, verdict.unknown), (1, 1));
        assert_eq!(verdict.dead.iter().map(|lost| lost.id).collect::<Vec<_>>(), [2]);
        let verdict = losses.verdict(|lost| if lost.id == 1 { Fate::Unknown } else { Fate::Lives });
        assert_eq!((verdict.deadly, verdict.unknown), (0, 1));
    }
}

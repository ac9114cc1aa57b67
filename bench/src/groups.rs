//! Which engines are up at the same time: as many as fit into memory, and Tundra with all of them.

use crate::bytes::in_words as bytes_in_words;
use crate::engine::Kind;

/// The engines of one stretch of the run, Tundra left out, which stays up throughout.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Group {
    pub(crate) peers: Vec<Peer>,
    pub(crate) needed_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    /// Whether its tables in memory fit, for an engine that has another form.
    pub(crate) in_memory: bool,
    /// What it may take: all that the others of its group leave.
    pub(crate) memory_bytes: u64,
}

/// Puts engines into groups in the order given; those that do not fit even alone are returned with the reason.
pub(crate) fn divide(kinds: &[Kind], parquet_bytes: u64, budget: u64) -> (Vec<Group>, Vec<(Kind, String)>) {
    let resident = match kinds.contains(&Kind::Tundra) {
        true => Kind::Tundra.needed_bytes(parquet_bytes, true),
        false => 0,
    };
    let fresh = || Group { peers: Vec::new(), needed_bytes: resident };
    let (mut groups, mut left_out) = (vec![fresh()], Vec::new());
    for kind in kinds.iter().copied().filter(|kind| *kind != Kind::Tundra) {
        let needs = |in_memory| kind.needed_bytes(parquet_bytes, in_memory);
        let in_memory = resident + needs(true) <= budget;
        let needed = needs(in_memory);
        if resident + needed > budget {
            let (all, budget) = (bytes_in_words(resident + needed), bytes_in_words(budget));
            let beside = if resident > 0 { " beside Tundra" } else { "" };
            left_out.push((
                kind,
                format!("left out: needs about {all} of memory{beside}; --memory-budget is {budget}"),
            ));
            continue;
        }
        let fitting = groups.iter_mut().find(|group| group.needed_bytes + needed <= budget);
        // For now its own need; what is left is shared out below.
        let peer = Peer { kind, in_memory, memory_bytes: needed };
        match fitting {
            Some(group) => {
                group.peers.push(peer);
                group.needed_bytes += needed;
            }
            None => groups.push(Group { peers: vec![peer], needed_bytes: resident + needed }),
        }
    }
    for group in &mut groups {
        let left = budget.saturating_sub(group.needed_bytes);
        group.peers.iter_mut().for_each(|peer| peer.memory_bytes += left);
    }
    (groups, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: [Kind; 6] =
        [Kind::Tundra, Kind::Duckdb, Kind::DuckdbCompressed, Kind::Chdb, Kind::Datafusion, Kind::Polars];

    fn kinds(groups: &[Group]) -> Vec<Vec<Kind>> {
        groups.iter().map(|group| group.peers.iter().map(|peer| peer.kind).collect()).collect()
    }

    #[test]
    fn what_fits_runs_together() {
        let (groups, left_out) = divide(&OPEN, 350_000_000, 19_000_000_000);
        assert_eq!(kinds(&groups), [OPEN[1..].to_vec()]);
        assert!(left_out.is_empty() && groups[0].peers.iter().all(|peer| peer.in_memory));
    }

    #[test]
    fn what_does_not_fit_runs_in_groups_or_not_at_all() {
        let (groups, left_out) = divide(&OPEN, 3_480_000_000, 20_000_000_000);
        assert!(
            groups.len() > 1 && groups.iter().all(|group| group.needed_bytes <= 20_000_000_000),
            "{groups:?}"
        );
        let duckdb = groups[0].peers[0];
        assert_eq!((duckdb.kind, duckdb.in_memory), (Kind::Duckdb, true));
        let tundra = Kind::Tundra.needed_bytes(3_480_000_000, true);
        assert_eq!(duckdb.memory_bytes, 20_000_000_000 - tundra, "alone in its group beside Tundra");
        let datafusion =
            groups.iter().flat_map(|group| &group.peers).find(|peer| peer.kind == Kind::Datafusion);
        assert!(!datafusion.unwrap().in_memory, "over Parquet");
        assert_eq!(left_out[0].0, Kind::Polars);
        assert!(left_out[0].1.contains("beside Tundra"), "{}", left_out[0].1);
    }

    #[test]
    fn tundra_alone_is_a_group() {
        let (groups, left_out) = divide(&[Kind::Tundra], 1000, 1 << 40);
        assert_eq!(kinds(&groups), [Vec::<Kind>::new()]);
        assert!(left_out.is_empty());
        let (groups, _) = divide(&[Kind::Duckdb], 1000, 1 << 40);
        assert_eq!(kinds(&groups), [[Kind::Duckdb]]);
    }
}

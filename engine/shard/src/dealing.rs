//! Which shards hold which buckets: rendezvous hashing (Thaler, Ravishankar 1998) with weights, and with bounded
//! loads (Mirrokni, Thorup, Zadimoghaddam 2018).
//!
//! Every bucket has an order of all shards that depends on nothing else, and goes to the first of them that have
//! room. So a shard that comes or goes moves few buckets but its own, and no shard gets much more than its share.
//! Slices of hashes are dealt alike for all datasets: those that join by a key lie together.

use exec::hash::{combine, hash_word};

/// The shards that buckets are dealt to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardSet {
    /// In the order of their numbers.
    pub shards: Vec<Member>,
    /// On how many shards each bucket lies, as far as there are so many.
    pub replicas: usize,
}

/// A shard that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number in the cluster; never given to another.
    pub id: u64,
    /// How much it can hold compared with the others. 0: it drains, and is dealt nothing.
    pub weight: u32,
}

/// A shard gets at most this much of its share of all rows, as long as others have room.
const LOAD: f64 = 1.08;

impl ShardSet {
    /// `count` shards alike, numbered from 0, each bucket on one.
    pub fn even(count: usize) -> ShardSet {
        let shards = (0..count as u64).map(|id| Member { id, weight: 1 }).collect();
        ShardSet { shards, replicas: 1 }
    }

    /// The place of a shard in this set.
    pub fn position(&self, id: u64) -> Option<usize> {
        self.shards.iter().position(|member| member.id == id)
    }

    /// The holders of each bucket, as places in this set, the preferred one first. A bucket comes as what tells it
    /// from others, and its rows; `seed` tells whose buckets they are.
    pub fn deal(&self, seed: u64, buckets: &[(u64, u64)]) -> Vec<Vec<usize>> {
        let weights = self.weights();
        let taking = weights.iter().filter(|&&weight| weight > 0.0).count();
        let copies = self.replicas.clamp(1, taking.max(1));
        let all: f64 = weights.iter().sum();
        // In coarse steps, so that a dataset that grows a little is not dealt anew.
        let total = coarse(buckets.iter().map(|&(_, rows)| rows).sum()) as f64 * copies as f64;
        let limit = |shard: usize| total * weights[shard] / all * LOAD;
        let mut loads = vec![0.0; self.shards.len()];
        let mut holders = Vec::with_capacity(buckets.len());
        for &(key, rows) in buckets {
            let order = self.order(combine(hash_word(seed), hash_word(key)), &weights);
            let mut chosen: Vec<usize> = Vec::with_capacity(copies);
            for _ in 0..copies {
                let left = order.iter().copied().filter(|shard| !chosen.contains(shard));
                let fits = |&shard: &usize| loads[shard] + rows as f64 <= limit(shard);
                let fullness = |shard: usize| loads[shard] / weights[shard];
                let next = left.clone().find(fits);
                let next = next.or_else(|| left.min_by(|&a, &b| fullness(a).total_cmp(&fullness(b))));
                let Some(next) = next else { break };
                loads[next] += rows as f64;
                chosen.push(next);
            }
            holders.push(chosen);
        }
        holders
    }

    /// What counts of each shard's weight: where all drain, they are dealt alike what nobody else can take.
    fn weights(&self) -> Vec<f64> {
        let all_drain = self.shards.iter().all(|member| member.weight == 0);
        let weight = |member: &Member| f64::from(if all_drain { 1 } else { member.weight });
        self.shards.iter().map(weight).collect()
    }

    /// The shards that are dealt anything, the one that a bucket would like best first.
    fn order(&self, bucket: u64, weights: &[f64]) -> Vec<usize> {
        let score = |place: usize| {
            // Evenly within (0, 1): the shard with the greatest weight / -ln(drawn) wins in proportion to its weight.
            let drawn = (mix(combine(bucket, hash_word(self.shards[place].id))) >> 11) as f64 + 0.5;
            weights[place] / -(drawn / (1_u64 << 53) as f64).ln()
        };
        let taking = (0..self.shards.len()).filter(|&place| weights[place] > 0.0);
        let mut order: Vec<(f64, usize)> = taking.map(|place| (score(place), place)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        order.into_iter().map(|(_, place)| place).collect()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A number rounded up to four significant bits.
fn coarse(number: u64) -> u64 {
    let step = 1_u64 << (64 - number.leading_zeros()).saturating_sub(4);
    number.checked_next_multiple_of(step).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(weights: &[u32], replicas: usize) -> ShardSet {
        let members = weights.iter().enumerate();
        let shards = members.map(|(index, &weight)| Member { id: index as u64 * 7 + 1, weight }).collect();
        ShardSet { shards, replicas }
    }

    fn buckets(count: u64) -> Vec<(u64, u64)> {
        (0..count).map(|bucket| (bucket, 1000)).collect()
    }

    fn loads(set: &ShardSet, holders: &[Vec<usize>]) -> Vec<usize> {
        let load = |shard: usize| holders.iter().filter(|of| of.contains(&shard)).count();
        (0..set.shards.len()).map(load).collect()
    }

    #[test]
    fn every_bucket_has_its_copies_on_different_shards() {
        for (shards, replicas) in [(1, 1), (1, 2), (3, 2), (5, 3), (2, 5)] {
            let set = set(&vec![1; shards], replicas);
            for of in set.deal(3, &buckets(100)) {
                let mut distinct = of.clone();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!((of.len(), distinct.len()), (replicas.min(shards), replicas.min(shards)));
            }
        }
        assert_eq!(set(&[], 2).deal(0, &buckets(2)), [[0_usize; 0]; 2]);
    }

    #[test]
    fn loads_follow_weights() {
        for replicas in [1, 2] {
            for weights in [vec![1, 1, 1, 1], vec![1, 2, 1], vec![3, 1, 2, 2, 4]] {
                let set = set(&weights, replicas);
                let holders = set.deal(9, &buckets(640));
                let total: u32 = weights.iter().sum();
                for (load, &weight) in loads(&set, &holders).into_iter().zip(&weights) {
                    let share = 640.0 * replicas as f64 * f64::from(weight) / f64::from(total);
                    let expected = share * 0.7..=share * 1.2 + 1.0;
                    assert!(expected.contains(&(load as f64)), "{load} of {share} with {weights:?}");
                }
            }
        }
    }

    /// Buckets that change their holder as a shard joins four: hardly more than the share of the fifth.
    #[test]
    fn a_shard_that_joins_moves_little_else() {
        let (four, five) = (set(&[1; 4], 1), set(&[1; 5], 1));
        let (before, after) = (four.deal(1, &buckets(1000)), five.deal(1, &buckets(1000)));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!((170..300).contains(&moved), "{moved}");
        let elsewhere = before.iter().zip(&after).filter(|(a, b)| a != b && b[0] != 4).count();
        assert!(elsewhere < 100, "{elsewhere}");
    }

    /// What drains is dealt nothing; only what it had moves, as if it were not there.
    #[test]
    fn a_shard_that_drains_gives_its_buckets_away() {
        let (four, drained, three) = (set(&[1; 4], 2), set(&[1, 0, 1, 1], 2), {
            let mut three = set(&[1; 4], 2);
            three.shards.remove(1);
            three
        });
        let (before, after) = (four.deal(1, &buckets(1000)), drained.deal(1, &buckets(1000)));
        assert!(after.iter().all(|of| of.len() == 2 && !of.contains(&1)));
        let places = |of: &Vec<usize>| of.iter().map(|&place| drained.shards[place].id).collect::<Vec<_>>();
        let without: Vec<Vec<u64>> = three
            .deal(1, &buckets(1000))
            .iter()
            .map(|of| of.iter().map(|&place| three.shards[place].id).collect())
            .collect();
        assert_eq!(after.iter().map(places).collect::<Vec<_>>(), without);
        let kept = before.iter().zip(&after).filter(|(a, _)| !a.contains(&1)).filter(|(a, b)| a == b).count();
        let others = before.iter().filter(|of| !of.contains(&1)).count();
        assert!(kept * 10 >= others * 7, "{kept} of {others}");
        assert_eq!(set(&[0, 0], 2).deal(1, &buckets(3)).concat().len(), 6, "all drain");
    }

    #[test]
    fn a_dataset_that_grows_stays_where_it_is() {
        let set = set(&[1; 4], 2);
        let (before, after) = (set.deal(1, &buckets(100)), set.deal(1, &buckets(103)));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(moved <= 4, "{moved}");
    }

    /// Nodes of any version deal alike.
    #[test]
    fn golden_deal() {
        let dealt = set(&[1, 1, 2], 2).deal(5, &buckets(6));
        assert_eq!(dealt, [[2_usize, 0], [0, 2], [2, 1], [0, 1], [2, 1], [2, 0]]);
    }

    #[test]
    fn coarse_numbers_step_by_a_sixteenth_or_less() {
        for number in [0, 1, 7, 15, 16, 17, 1000, 123_456_789, u64::MAX] {
            let rounded = coarse(number);
            assert!(rounded >= number && rounded as f64 <= number as f64 * 1.126, "{number} {rounded}");
        }
        assert_eq!((coarse(17), coarse(1000)), (18, 1024));
    }
}

//! Who reads what: the shards that take part in queries, and for each bucket of each table the one that reads it.

use super::Holdings;
use super::pools::no_shard_of;
use crate::error::{Error, Result};
use shard::{Holding, Placement, VersionId};
use std::collections::HashMap;
use std::sync::Arc;

/// A shard that lives.
#[derive(Clone, Debug)]
pub(crate) struct NodeView {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) pool: Arc<str>,
    pub(crate) holdings: Holdings,
}

/// Who takes part in queries of a view.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seating {
    /// The pool that all of them are of.
    pub(crate) pool: String,
    /// Number and address of each.
    pub(crate) nodes: Vec<(u64, String)>,
    /// The node of each slice, as a place in `nodes`.
    pub(crate) slices: Vec<usize>,
    shares: HashMap<VersionId, std::result::Result<Seated, String>>,
}

/// How one version is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seated {
    pub(crate) placement: Placement,
    /// The buckets that each node reads.
    pub(crate) shares: Vec<Vec<u32>>,
    /// Each bucket is a slice, and is read by the node that rows of it are sent to.
    pub(crate) by_slices: bool,
}

impl Seating {
    /// How a version is read; an error where not all of it is held.
    pub(crate) fn share_of(&self, id: &VersionId) -> Result<&Seated> {
        match self.shares.get(id) {
            Some(Ok(seated)) => Ok(seated),
            Some(Err(why)) => Err(Error::Unavailable(why.clone())),
            None => {
                Err(Error::Internal(format!("version {} of dataset {} has no seats", id.version, id.dataset)))
            }
        }
    }

    /// As [`Seating::share_of`], with the table's name in the error.
    pub(crate) fn share_of_table(&self, id: &VersionId, name: &str) -> Result<&Seated> {
        self.share_of(id).map_err(|error| match error {
            Error::Unavailable(why) => Error::Unavailable(format!("table '{name}': {why}")),
            other => other,
        })
    }

    /// Notes of which pool the nodes are, also where there are none.
    pub(super) fn of_pool(mut self, pool: &str) -> Seating {
        self.pool = pool.into();
        if self.nodes.is_empty() {
            let why = format!("{} that holds all tables; try again", no_shard_of(pool));
            self.shares.values_mut().for_each(|seated| *seated = Err(why.clone()));
        }
        self
    }

    /// How many versions are not held whole.
    pub(super) fn lacks(&self) -> usize {
        self.shares.values().filter(|seated| seated.is_err()).count()
    }

    /// Adds to why versions are not held what shards failed with that bring them in.
    pub(super) fn add_failures(&mut self, failure: impl Fn(&VersionId) -> Option<String>) {
        for (id, seated) in &mut self.shares {
            if let (Err(why), Some(failure)) = (seated, failure(id)) {
                *why = format!("{why}; a shard could not bring it in: {failure}");
            }
        }
    }
}

/// Seats the nodes that hold every version which at least half of them hold, so that one that lags behind does not
/// hold up the others, nor does a table that hardly anyone has. Each bucket is read by the holder with least to read.
pub(crate) fn seat(alive: Vec<NodeView>, versions: &[VersionId], slices: usize) -> Seating {
    let holders = |id: &VersionId| alive.iter().filter(|node| node.holdings.contains_key(id)).count();
    let wanted: Vec<&VersionId> =
        versions.iter().filter(|id| holders(id) > 0 && holders(id) * 2 >= alive.len()).collect();
    let nodes: Vec<NodeView> =
        alive.into_iter().filter(|node| wanted.iter().all(|id| node.holdings.contains_key(*id))).collect();
    let mut seating = Seating {
        pool: String::new(),
        nodes: nodes.iter().map(|node| (node.id, node.address.clone())).collect(),
        slices: slice_seats(&nodes, &wanted, slices),
        shares: HashMap::new(),
    };
    for id in versions {
        let seated = seat_version(&nodes, id, &seating.slices);
        seating.shares.insert(id.clone(), seated);
    }
    seating
}

/// A node for each slice that holds it of every version that is dealt by slices; where there is none, any.
fn slice_seats(nodes: &[NodeView], versions: &[&VersionId], slices: usize) -> Vec<usize> {
    let mut loads = vec![0_usize; nodes.len()];
    let mut seats = Vec::with_capacity(slices);
    for slice in 0..slices.max(1) as u32 {
        let holds_all = |node: &NodeView| {
            versions.iter().filter_map(|id| node.holdings.get(*id)).all(|holding| {
                holding.placement.slicing().is_none()
                    || holding.buckets != slices
                    || holding.held.binary_search_by_key(&slice, |&(bucket, _)| bucket).is_ok()
            })
        };
        let least = |wanted: &dyn Fn(&NodeView) -> bool| {
            (0..nodes.len()).filter(|&place| wanted(&nodes[place])).min_by_key(|&place| loads[place])
        };
        let place = least(&holds_all).or_else(|| least(&|_| true)).unwrap_or(0);
        if let Some(load) = loads.get_mut(place) {
            *load += 1;
        }
        seats.push(place);
    }
    seats
}

fn seat_version(nodes: &[NodeView], id: &VersionId, slices: &[usize]) -> std::result::Result<Seated, String> {
    let holdings: Vec<&Holding> = nodes.iter().filter_map(|node| node.holdings.get(id)).collect();
    let Some(first) = holdings.first() else {
        return Err(match nodes.is_empty() {
            true => "no shard is up that holds all tables; try again".into(),
            false => format!("version {} is being brought onto the shards; try again", id.version),
        });
    };
    let placement = first.placement.clone();
    let alike = |other: &&Holding| (&other.placement, other.buckets) == (&placement, first.buckets);
    if holdings.len() < nodes.len() || !holdings.iter().all(alike) {
        return Err("it is being brought onto the shards; try again".into());
    }
    if placement == Placement::Replicated {
        let shares = holdings.iter().map(|held| held.held.iter().map(|&(bucket, _)| bucket).collect());
        return Ok(Seated { placement, shares: shares.collect(), by_slices: false });
    }
    let mut shares = vec![Vec::new(); nodes.len()];
    let mut loads = vec![0_u64; nodes.len()];
    let sliced = placement.slicing().is_some() && first.buckets == slices.len();
    let mut by_slices = sliced;
    for bucket in 0..first.buckets as u32 {
        let rows_at = |place: usize| {
            let held = &holdings[place].held;
            held.binary_search_by_key(&bucket, |&(number, _)| number).ok().map(|at| held[at].1)
        };
        let wanted = sliced.then(|| slices[bucket as usize]).filter(|&place| rows_at(place).is_some());
        by_slices &= wanted.is_some();
        let least =
            || (0..nodes.len()).filter(|&place| rows_at(place).is_some()).min_by_key(|&place| loads[place]);
        match wanted.or_else(least) {
            Some(place) => {
                loads[place] += rows_at(place).unwrap_or(0);
                shares[place].push(bucket);
            }
            None => {
                let why = "is on no shard that is up, and is being brought in; try again";
                return Err(format!("its bucket {bucket} {why}"));
            }
        }
    }
    Ok(Seated { placement, shares, by_slices })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_proto::pool::DEFAULT_POOL;

    fn id(dataset: u64) -> VersionId {
        VersionId { tenant: "default".into(), dataset, version: 1 }
    }

    fn node(number: u64, holdings: &[(u64, Placement, usize, &[u32])]) -> NodeView {
        let holdings = holdings.iter().map(|(dataset, placement, buckets, held)| {
            let held = held.iter().map(|&bucket| (bucket, 100)).collect();
            (id(*dataset), Holding { placement: placement.clone(), buckets: *buckets, held })
        });
        let (address, pool) = (format!("node{number}"), DEFAULT_POOL.into());
        NodeView { id: number, address, pool, holdings: Arc::new(holdings.collect()) }
    }

    #[test]
    fn each_bucket_is_read_once_and_loads_are_even() {
        let spread = Placement::Spread;
        let nodes = vec![
            node(1, &[(1, spread.clone(), 4, &[0, 1, 2, 3])]),
            node(2, &[(1, spread.clone(), 4, &[0, 1])]),
            node(3, &[(1, spread.clone(), 4, &[2, 3])]),
        ];
        let seating = seat(nodes.clone(), &[id(1)], 2);
        let seated = seating.share_of(&id(1)).unwrap();
        assert_eq!(seated.shares.concat().len(), 4);
        assert!(seated.shares.iter().all(|share| share.len() <= 2), "{seated:?}");
        // A node that is lost: the replicas read its buckets.
        let seating = seat(nodes[1..].to_vec(), &[id(1)], 2);
        assert_eq!(seating.share_of(&id(1)).unwrap().shares, [[0, 1], [2, 3]]);
        let seating = seat(nodes[1..2].to_vec(), &[id(1)], 2);
        assert!(matches!(seating.share_of(&id(1)), Err(Error::Unavailable(_))));
    }

    #[test]
    fn who_lacks_a_table_takes_no_part() {
        let replicated = Placement::Replicated;
        let nodes = vec![
            node(1, &[(1, replicated.clone(), 1, &[0]), (2, Placement::Spread, 1, &[0])]),
            node(2, &[(2, Placement::Spread, 1, &[])]),
        ];
        // Half of them hold the first.
        let seating = seat(nodes, &[id(1), id(2)], 2);
        assert_eq!(seating.nodes, [(1, "node1".to_string())]);
        assert_eq!(seating.share_of(&id(2)).unwrap().shares, [[0]]);
    }

    /// Nodes that were dealt none of a table's buckets hold it, too; without the others it has rows that nobody has.
    #[test]
    fn a_table_whose_holders_are_lost_is_not_empty() {
        let nodes =
            vec![node(1, &[(1, Placement::Spread, 2, &[])]), node(2, &[(1, Placement::Spread, 2, &[])])];
        assert!(matches!(seat(nodes, &[id(1)], 2).share_of(&id(1)), Err(Error::Unavailable(_))));
    }

    #[test]
    fn a_table_that_hardly_anyone_has_holds_up_nobody() {
        let held = [(1, Placement::Replicated, 1, [0].as_slice())];
        let both = [held[0].clone(), (2, Placement::Replicated, 1, [0].as_slice())];
        let seating = seat(vec![node(1, &both), node(2, &held), node(3, &held)], &[id(1), id(2)], 2);
        assert_eq!(seating.nodes.len(), 3);
        assert!(seating.share_of(&id(1)).is_ok() && seating.share_of(&id(2)).is_err());
    }

    #[test]
    fn slices_are_read_where_their_rows_are_sent() {
        let hash = Placement::Hash(vec![0]);
        let nodes = vec![
            node(1, &[(1, hash.clone(), 4, &[0, 1, 2]), (2, hash.clone(), 4, &[0, 2])]),
            node(2, &[(1, hash.clone(), 4, &[1, 2, 3]), (2, hash.clone(), 4, &[1, 3])]),
        ];
        let seating = seat(nodes, &[id(1), id(2)], 4);
        assert_eq!(seating.slices, [0, 1, 0, 1]);
        for dataset in [1, 2] {
            let seated = seating.share_of(&id(dataset)).unwrap();
            assert!(seated.by_slices);
            assert_eq!(seated.shares, [[0, 2], [1, 3]]);
        }
    }

    #[test]
    fn slices_that_lie_apart_are_read_apart() {
        let hash = Placement::Hash(vec![0]);
        let nodes = vec![
            node(1, &[(1, hash.clone(), 2, &[0, 1]), (2, hash.clone(), 2, &[])]),
            node(2, &[(1, hash.clone(), 2, &[]), (2, hash.clone(), 2, &[0, 1])]),
        ];
        let seating = seat(nodes, &[id(1), id(2)], 2);
        let together = [1, 2].map(|dataset| seating.share_of(&id(dataset)).unwrap().by_slices);
        assert_ne!(together, [true, true]);
        assert_eq!(seating.share_of(&id(2)).unwrap().shares, [vec![], vec![0, 1]]);
    }

    #[test]
    fn a_table_without_rows_is_read_by_all() {
        let nodes =
            vec![node(1, &[(1, Placement::Spread, 0, &[])]), node(2, &[(1, Placement::Spread, 0, &[])])];
        assert_eq!(seat(nodes, &[id(1)], 2).share_of(&id(1)).unwrap().shares, [[0_u32; 0], []]);
    }
}

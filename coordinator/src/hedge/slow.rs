//! Which shard holds a query up.
//!
//! A fragment on a shard that is not done either waits for rows of fragments below it, here or elsewhere, or it works.
//! Where all that work are on one shard, everyone waits for that one. So it is with one that does not even say how far
//! it is, where all others do.

use crate::shards::nodes::Nodes;
use crate::shards::seating::Seating;
use exec::plan::Fragment;
use flight_proto::Message;
use flight_proto::node::{AskWaiting, Service, Stage, Waiting};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a shard may take to say what it waits for.
const ANSWER: Duration = Duration::from_millis(200);

/// The parts of a query, each on a shard.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) query: u128,
    pub(crate) seating: Arc<Seating>,
    /// The places among those seated that run something.
    pub(crate) run: Vec<usize>,
    pub(crate) shape: Shape,
}

/// How the fragments of a query hang together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// The fragments whose rows each takes.
    inputs: BTreeMap<u32, Vec<u32>>,
    /// The fragment that gives the result, and its place.
    root: (u32, usize),
}

/// What a shard said.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    /// It did not answer, or has not begun.
    Nothing,
    Ended,
    Runs {
        /// Fragments, with the places that run them, whose rows it waits for.
        awaits: Vec<(u32, usize)>,
        /// Fragments that it does not send yet, with places that are to tell which rows they want.
        untold: Vec<(u32, usize)>,
    },
}

impl Said {
    fn awaits(said: Option<&Said>) -> &[(u32, usize)] {
        match said {
            Some(Said::Runs { awaits, .. }) => awaits,
            _ => &[],
        }
    }

    fn untold(said: Option<&Said>) -> &[(u32, usize)] {
        match said {
            Some(Said::Runs { untold, .. }) => untold,
            _ => &[],
        }
    }
}

impl Shape {
    /// Of a plan whose result is given by the shard at `root`.
    pub(crate) fn new(fragments: &[Fragment], root: usize) -> Shape {
        let inputs = fragments.iter().map(|fragment| (fragment.id, fragment.plan.received())).collect();
        let result = fragments.iter().find(|fragment| fragment.output.is_none());
        Shape { inputs, root: (result.map_or(0, |fragment| fragment.id), root) }
    }

    /// The place of the shard that all others wait for, by what each said; `None`: there is no single one.
    fn slow(&self, said: &BTreeMap<usize, Said>) -> Option<usize> {
        let mut silent = said.iter().filter(|(_, said)| **said == Said::Nothing).map(|(&place, _)| place);
        match (silent.next(), silent.next()) {
            (Some(place), None) => return Some(place),
            (Some(_), Some(_)) => return None,
            (None, _) => {}
        }
        let (awaited, untold) =
            (|place| Said::awaits(said.get(&place)), |place| Said::untold(said.get(&place)));
        let takes =
            |of: u32| self.inputs.iter().find(move |(_, inputs)| inputs.contains(&of)).map(|(&id, _)| id);
        let asked = said.keys().flat_map(|&place| untold(place));
        let asked = asked.filter_map(|&(fragment, place)| Some((takes(fragment)?, place)));
        let unfinished =
            said.keys().flat_map(|&place| awaited(place)).copied().chain(asked).chain([self.root]);
        let works = |&(fragment, place): &(u32, usize)| {
            let inputs = self.inputs.get(&fragment).map_or(&[][..], Vec::as_slice);
            let ended = said.get(&place).is_none_or(|said| *said == Said::Ended);
            let waits = awaited(place).iter().any(|(input, _)| inputs.contains(input))
                || untold(place).iter().any(|&(sent, _)| sent == fragment);
            !ended && !waits
        };
        let working: BTreeSet<usize> = unfinished.filter(works).map(|(_, place)| place).collect();
        if working.len() == 1 { working.first().copied() } else { None }
    }
}

impl Parts {
    /// Asks all shards that run the query what they wait for; the number of the one that holds it up.
    pub(crate) async fn slow_shard(&self, nodes: &Nodes) -> Option<u64> {
        // Without another there is nothing to run it on.
        if self.seating.nodes.len() < 2 {
            return None;
        }
        let request = AskWaiting { query: self.query.to_be_bytes().to_vec().into() };
        let request = bytes::Bytes::from(request.encode_to_vec());
        let asked = self.run.iter().map(|&place| {
            let request = request.clone();
            async move {
                let service = network::Service(Service::Waiting as u16);
                let answer = nodes.peers.call(&self.seating.nodes[place].1, service, request, ANSWER).await;
                (place, said(answer.ok().and_then(|bytes| Waiting::decode(bytes).ok())))
            }
        });
        let said = join_all(asked).await.into_iter().collect();
        let place = self.shape.slow(&said)?;
        Some(self.seating.nodes.get(place)?.0)
    }
}

fn said(answer: Option<Waiting>) -> Said {
    let Some(answer) = answer else { return Said::Nothing };
    match answer.stage() {
        Stage::Unknown => Said::Nothing,
        Stage::Ended => Said::Ended,
        Stage::Runs => {
            let awaits = answer.inputs.iter().map(|input| (input.fragment, input.from as usize)).collect();
            let untold = answer.untold.iter().map(|edge| (edge.fragment, edge.to as usize)).collect();
            Said::Runs { awaits, untold }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use exec::Plan;

    /// Rows of fragment 2 are dealt to fragment 1 on all shards, and its rows gathered by 0 on the first.
    fn shape() -> Shape {
        Shape { inputs: BTreeMap::from([(0, vec![1]), (1, vec![2]), (2, vec![])]), root: (0, 0) }
    }

    fn slow(said: &[Said]) -> Option<usize> {
        shape().slow(&said.iter().cloned().enumerate().collect())
    }

    fn awaits(awaited: &[(u32, usize)]) -> Said {
        Said::Runs { awaits: awaited.to_vec(), untold: Vec::new() }
    }

    #[test]
    fn all_wait_for_the_one_that_works() {
        // The third still reads; nobody can end fragment 1.
        let root = awaits(&[(1, 0), (1, 1), (1, 2), (2, 2)]);
        assert_eq!(slow(&[root, awaits(&[(2, 2)]), awaits(&[(2, 2)])]), Some(2));
        // So does the first, which waits for all others at the same time.
        let root = awaits(&[(1, 0), (1, 1), (1, 2), (2, 0)]);
        assert_eq!(slow(&[root, awaits(&[(2, 0)]), awaits(&[(2, 0)])]), Some(0));
        // It has all rows of fragment 2, and is slow to make of them those of fragment 1.
        assert_eq!(slow(&[awaits(&[(1, 2)]), Said::Ended, awaits(&[])]), Some(2));
        // Everyone is done but the one that makes the result.
        assert_eq!(slow(&[awaits(&[]), Said::Ended, Said::Ended]), Some(0));
    }

    #[test]
    fn several_that_work_are_not_slow() {
        let root = awaits(&[(1, 0), (1, 1), (1, 2), (2, 1), (2, 2)]);
        assert_eq!(slow(&[root, awaits(&[(2, 1), (2, 2)]), awaits(&[(2, 1), (2, 2)])]), None);
        assert_eq!(slow(&[awaits(&[(1, 1), (1, 2)]), awaits(&[]), awaits(&[])]), None);
    }

    #[test]
    fn one_that_does_not_answer_is_slow_and_two_are_not() {
        let other = awaits(&[(2, 1)]);
        assert_eq!(slow(&[awaits(&[(1, 1), (2, 1)]), Said::Nothing, other.clone()]), Some(1));
        assert_eq!(slow(&[Said::Nothing, Said::Nothing, other]), None);
        assert_eq!(slow(&[Said::Nothing, Said::Nothing, Said::Nothing]), None);
    }

    /// Who sends fragment 2 waits for 1 to say what it wants, and 1 for what it joins that with, from fragment 3.
    #[test]
    fn who_waits_to_be_told_is_not_slow() {
        let inputs = BTreeMap::from([(0, vec![1]), (1, vec![2, 3]), (2, vec![]), (3, vec![])]);
        let shape = Shape { inputs, root: (0, 0) };
        type Places<'a> = &'a [(u32, usize)];
        let slow = |said: &[(Places<'_>, Places<'_>)]| {
            let said = said
                .iter()
                .map(|(awaits, untold)| Said::Runs { awaits: awaits.to_vec(), untold: untold.to_vec() });
            shape.slow(&said.enumerate().collect())
        };
        // Fragment 3 is slow on the second shard, so that all sides of 1 are.
        let untold = [(2, 0), (2, 1)];
        assert_eq!(slow(&[(&[(1, 0), (1, 1), (3, 1)], &untold), (&[(3, 1)], &untold)]), Some(1));
        // The second has the rows of fragment 3, and is slow to take them in: it alone tells nothing.
        assert_eq!(slow(&[(&[(1, 0), (1, 1), (2, 0), (2, 1)], &[(2, 1)]), (&[], &[(2, 1)])]), Some(1));
        // All have told, and both read what they send.
        let rows: Places<'_> = &[(2, 0), (2, 1)];
        assert_eq!(slow(&[(&[(1, 0), (1, 1), (2, 0), (2, 1)], &[]), (rows, &[])]), None);
        // The first still does.
        assert_eq!(slow(&[(&[(1, 0), (1, 1), (2, 0)], &[]), (&[(2, 0)], &[])]), Some(0));
    }

    #[test]
    fn where_all_have_ended_nobody_is_slow() {
        assert_eq!(slow(&[Said::Ended, Said::Ended, Said::Ended]), None);
    }

    #[test]
    fn fragments_hang_together_by_what_they_receive() {
        use exec::plan::{FragmentPlacement, Routing};
        let values = Plan::Values { types: vec![], rows: vec![] };
        let receive = Plan::Receive { fragment: 1, types: vec![] };
        let fragment =
            |id, plan, output| Fragment { id, plan, placement: FragmentPlacement::AllShards, output };
        let fragments = [fragment(1, values, Some(Routing::Gather)), fragment(4, receive, None)];
        let Shape { inputs, root } = Shape::new(&fragments, 2);
        assert_eq!(
            (inputs[&4].as_slice(), inputs[&1].as_slice(), root),
            ([1].as_slice(), [].as_slice(), (4, 2))
        );
    }
}

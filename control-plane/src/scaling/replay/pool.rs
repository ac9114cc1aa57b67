//! A pool of nodes under demand, event by event, scaled by [`decide`].
//!
//! Queries run on all nodes at once and share them evenly; up to so many run, the others wait in the order in which they
//! came. A node that fails or restarts has the queries that run begin anew, as the engine runs them again on other copies.

use super::super::decide::{Pool as Remembered, decide, forget_old};
use super::super::observation::{Minutes, Observation};
use super::super::policy::ScalePolicy;
use super::Scenario;
use super::demand::{Arrival, Demand};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

const SECOND_US: f64 = 1e6;
/// Monday, the 6th of January 2020.
const EPOCH_US: i64 = 1_578_268_800_000_000;

/// A query that has ended.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) came_s: f64,
    pub(super) took_s: f64,
}

/// What came of a replay.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) done: Vec<Done>,
    /// Since when there were so many nodes that are paid for.
    pub(super) sizes: Vec<(f64, usize)>,
    pub(super) launches: u32,
    pub(super) removals: u32,
    pub(super) restarted_queries: u64,
}

/// A query that runs; the one that ends first is the greatest.
struct Running {
    /// What each running query must have got of the pool when this one ends.
    ends_at: f64,
    arrival: Arrival,
}

impl Ord for Running {
    fn cmp(&self, other: &Running) -> Ordering {
        other.ends_at.total_cmp(&self.ends_at).then(other.arrival.at_s.total_cmp(&self.arrival.at_s))
    }
}
impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Running) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Running {
    fn eq(&self, other: &Running) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Running {}

/// A node that is paid for.
#[derive(Clone, Copy)]
struct Node {
    /// It takes part from then on.
    ready_s: f64,
    /// It ends then, since it drains.
    ends_s: f64,
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    now_s: f64,
    nodes: Vec<Node>,
    running: BinaryHeap<Running>,
    waiting: VecDeque<Arrival>,
    /// What each query that ran all the time would have got, in seconds of one node.
    given_s: f64,
    /// Of the time since the last observation: nodes that were busy, and statements that ran.
    busy_s: f64,
    running_s: f64,
    /// How long those waited that got their turn since, and how many these are.
    waited: (f64, f64),
    outcome: Outcome,
}

/// Replays a demand against a pool of a policy.
pub(super) fn run(scenario: &Scenario, policy: &ScalePolicy, demand: &Demand) -> Outcome {
    let first = Node { ready_s: 0.0, ends_s: f64::INFINITY };
    let nodes = vec![first; policy.minimum as usize];
    let mut pool = Simulation {
        scenario,
        now_s: 0.0,
        outcome: Outcome { sizes: vec![(0.0, nodes.len())], ..Outcome::default() },
        nodes,
        running: BinaryHeap::new(),
        waiting: VecDeque::new(),
        given_s: 0.0,
        busy_s: 0.0,
        running_s: 0.0,
        waited: (0.0, 0.0),
    };
    let end_s = f64::from(scenario.days) * 86_400.0;
    let mut remembered = Remembered { wanted: policy.minimum, ..Remembered::default() };
    let (mut recent, mut days): (Vec<Observation>, Minutes) = (Vec::new(), Minutes::default());
    let mut arrivals = demand.arrivals.iter().copied().peekable();
    let (mut look_s, mut failure_s, mut deploy) = (0.0_f64, demand.failure_s, Deploy::at(demand.deploy_s));
    while pool.now_s < end_s {
        let mut next_s = look_s.min(failure_s).min(deploy.next_s).min(end_s);
        next_s = next_s.min(arrivals.peek().map_or(f64::INFINITY, |arrival| arrival.at_s));
        next_s = next_s.min(pool.next_end_s()).min(pool.next_change_s());
        pool.advance(next_s);
        pool.finish();
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at_s <= pool.now_s) {
            pool.waiting.push_back(arrival);
        }
        pool.settle();
        if failure_s <= pool.now_s {
            failure_s = f64::INFINITY;
            pool.fail();
        }
        deploy.step(&mut pool);
        pool.admit();
        if look_s <= pool.now_s {
            look_s += scenario.look_s;
            let seen = pool.observe();
            days.add(&seen);
            recent.push(seen);
            forget_old(&mut recent, policy, seen.at_us);
            let wanted = decide(policy, &remembered, &recent, &days, seen.at_us).wanted;
            match wanted.cmp(&remembered.wanted) {
                Ordering::Greater => remembered.out_us = Some(seen.at_us),
                Ordering::Less => remembered.in_us = Some(seen.at_us),
                Ordering::Equal => {}
            }
            remembered.wanted = wanted;
            pool.reach(wanted as usize, policy.maximum as usize);
        }
    }
    pool.end();
    pool.outcome
}

impl Simulation<'_> {
    fn ready(&self) -> usize {
        self.nodes.iter().filter(|node| node.ready_s <= self.now_s).count()
    }

    /// What all nodes do together, in nodes: work grows with their number, as was measured.
    fn capacity(&self) -> f64 {
        let nodes = self.ready() as f64;
        nodes / (1.0 + self.scenario.work_per_further_node * (nodes - 1.0).max(0.0))
    }

    /// What each running query gets of the pool.
    fn rate(&self) -> f64 {
        self.capacity() / (self.running.len() as f64).max(1.0)
    }

    fn next_end_s(&self) -> f64 {
        let rate = self.rate();
        match self.running.peek() {
            Some(first) if rate > 0.0 => self.now_s + (first.ends_at - self.given_s).max(0.0) / rate,
            _ => f64::INFINITY,
        }
    }

    /// When a node comes or goes next.
    fn next_change_s(&self) -> f64 {
        let changes = self.nodes.iter().flat_map(|node| [node.ready_s, node.ends_s]);
        changes.filter(|at| *at > self.now_s).fold(f64::INFINITY, f64::min)
    }

    fn advance(&mut self, to_s: f64) {
        let elapsed = (to_s - self.now_s).max(0.0);
        if !self.running.is_empty() {
            self.busy_s += elapsed * self.ready() as f64;
            self.given_s += elapsed * self.rate();
        }
        self.running_s += elapsed * self.running.len() as f64;
        self.now_s = to_s.max(self.now_s);
    }

    fn finish(&mut self) {
        // What is left of a query is less than a nanosecond of work.
        while self.running.peek().is_some_and(|first| first.ends_at <= self.given_s + 1e-9) {
            let Some(ended) = self.running.pop() else { break };
            let came_s = ended.arrival.at_s;
            self.outcome.done.push(Done { came_s, took_s: self.now_s - came_s });
        }
    }

    fn admit(&mut self) {
        while self.running.len() < self.scenario.concurrency {
            let Some(arrival) = self.waiting.pop_front() else { break };
            self.waited = (self.waited.0 + self.now_s - arrival.at_s, self.waited.1 + 1.0);
            self.running.push(Running { ends_at: self.given_s + arrival.work_s, arrival });
        }
    }

    /// Nodes that have drained are gone.
    fn settle(&mut self) {
        let before = self.nodes.len();
        let now_s = self.now_s;
        self.nodes.retain(|node| node.ends_s > now_s);
        if self.nodes.len() < before {
            self.sized();
        }
    }

    fn sized(&mut self) {
        self.outcome.sizes.push((self.now_s, self.nodes.len()));
    }

    /// A node that takes part is lost.
    fn fail(&mut self) {
        if let Some(lost) = self.nodes.iter().position(|node| node.ready_s <= self.now_s) {
            self.nodes.remove(lost);
            self.sized();
            self.begin_anew();
        }
    }

    /// Queries that run lose what they have done.
    fn begin_anew(&mut self) {
        let given_s = self.given_s;
        self.outcome.restarted_queries += self.running.len() as u64;
        let running = std::mem::take(&mut self.running).into_iter();
        self.running = running
            .map(|one| Running { ends_at: given_s + one.arrival.work_s, arrival: one.arrival })
            .collect();
    }

    /// Queries that are not answered at the end took as long as until then, at least.
    fn end(&mut self) {
        let left = self.running.iter().map(|one| one.arrival).chain(self.waiting.iter().copied());
        let done = left.map(|one| Done { came_s: one.at_s, took_s: self.now_s - one.at_s });
        self.outcome.done.extend(done);
    }

    fn observe(&mut self) -> Observation {
        let (span_s, ready) = (self.scenario.look_s, self.ready());
        let oldest_ms = self.waiting.front().map_or(0.0, |first| (self.now_s - first.at_s) * 1e3);
        let mean_ms = if self.waited.1 > 0.0 { self.waited.0 / self.waited.1 * 1e3 } else { 0.0 };
        let seen = Observation {
            at_us: EPOCH_US + (self.now_s * SECOND_US) as i64,
            ready: ready as u32,
            busy: (self.busy_s / span_s).min(ready as f64),
            running: self.running_s / span_s,
            queued: self.waiting.len() as f64,
            queue_ms: oldest_ms.max(mean_ms),
            resident_bytes: self.scenario.segment_bytes,
            memory_bytes: self.scenario.node_memory_bytes * ready as u64,
        };
        (self.busy_s, self.running_s, self.waited) = (0.0, 0.0, (0.0, 0.0));
        seen
    }

    /// Launches and drains as [`plan`](super::super::plan) does, so that there are so many nodes that stay.
    fn reach(&mut self, wanted: usize, maximum: usize) {
        let stays = |node: &Node| node.ends_s == f64::INFINITY;
        let bytes = |nodes: usize| self.scenario.segment_bytes as f64 / nodes.max(1) as f64;
        let staying = self.nodes.iter().filter(|node| stays(node)).count();
        if wanted > staying {
            let mut missing = wanted - staying;
            for node in self.nodes.iter_mut().filter(|node| !stays(node)).take(missing) {
                node.ends_s = f64::INFINITY;
                missing -= 1;
            }
            // Those that drain have a place until they are gone.
            let further = missing.min(maximum.saturating_sub(self.nodes.len()));
            if further > 0 {
                let load_s = bytes(wanted) / self.scenario.load_bytes_per_s;
                let ready_s = self.now_s + self.scenario.launch_s + load_s + self.scenario.warm_up_s;
                self.nodes.extend(vec![Node { ready_s, ends_s: f64::INFINITY }; further]);
                self.outcome.launches += further as u32;
                self.sized();
            }
        } else if wanted < staying && self.nodes.iter().all(stays) {
            // What a draining node holds goes to those that stay.
            let drained_s = self.now_s + bytes(staying) / self.scenario.load_bytes_per_s;
            let now_s = self.now_s;
            if let Some(last) = self.nodes.iter_mut().rev().find(|node| node.ready_s <= now_s) {
                last.ends_s = drained_s;
                self.outcome.removals += 1;
            }
        }
    }
}

/// Nodes that are restarted one after the other.
struct Deploy {
    next_s: f64,
    /// Nodes that have not been restarted.
    left: Option<usize>,
}

impl Deploy {
    fn at(next_s: f64) -> Deploy {
        Deploy { next_s, left: None }
    }

    fn step(&mut self, pool: &mut Simulation<'_>) {
        if pool.now_s < self.next_s {
            return;
        }
        let left = self.left.unwrap_or(pool.nodes.len());
        self.next_s = f64::INFINITY;
        let node = left.checked_sub(1).and_then(|at| pool.nodes.get_mut(at));
        if let Some(node) = node {
            if node.ready_s <= pool.now_s {
                node.ready_s = pool.now_s + pool.scenario.restart_s;
                pool.begin_anew();
            }
            self.next_s = pool.now_s + pool.scenario.restart_s;
        } else if left > 0 {
            self.next_s = pool.now_s;
        }
        self.left = Some(left.saturating_sub(1));
    }
}

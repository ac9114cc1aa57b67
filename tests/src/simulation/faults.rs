//! What goes wrong in a simulated cluster, drawn by the seed.

use super::nodes::{COORDINATORS, Nodes};
use super::store::{Objects, StoreFaults};
use super::trace::Trace;
use crate::random::Random;
use std::sync::Arc;
use std::time::Duration;

/// How long messages take where nothing is wrong.
const DELAY: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(3));

/// Draws faults, and takes them back after a while.
pub struct Faults {
    random: Random,
    objects: Arc<Objects>,
    trace: Arc<Trace>,
    next: Duration,
    count: usize,
    mends: Vec<(Duration, Mend)>,
}

/// What ends a fault.
enum Mend {
    Link(String, String),
    Delay,
    Store,
    Clock(usize),
}

impl Faults {
    pub fn new(random: Random, objects: Arc<Objects>, trace: Arc<Trace>) -> Faults {
        Faults { random, objects, trace, next: Duration::ZERO, count: 0, mends: Vec::new() }
    }

    /// Faults so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Does what is due at this moment. Within a runtime that outlives the nodes.
    pub fn step(&mut self, nodes: &mut Nodes) {
        let now = nodes.now;
        for (_, mend) in self.mends.extract_if(.., |(due, _)| *due <= now).collect::<Vec<_>>() {
            self.mend(mend, nodes);
        }
        if self.next <= now {
            // Now and then everything is well for long enough to see what was left behind.
            let rest = if self.random.one_in(12) { 4_000 } else { 300 };
            self.next = now + self.time(20, rest);
            self.strike(nodes);
        }
    }

    /// Takes all faults back; nodes that are down start.
    pub fn end(&mut self, nodes: &mut Nodes) {
        for (_, mend) in std::mem::take(&mut self.mends) {
            self.mend(mend, nodes);
        }
    }

    fn time(&mut self, least_ms: usize, most_ms: usize) -> Duration {
        Duration::from_millis((least_ms + self.random.below(most_ms - least_ms + 1)) as u64)
    }

    fn mend(&mut self, mend: Mend, nodes: &mut Nodes) {
        match mend {
            Mend::Link(one, other) => nodes.network.heal(&one, &other),
            Mend::Delay => nodes.network.delay(DELAY.0..=DELAY.1, self.random.number()),
            Mend::Store => self.objects.set_faults(StoreFaults::default()),
            Mend::Clock(node) => nodes.skew(node, 0),
        }
    }

    fn mend_after(&mut self, now: Duration, time: Duration, mend: Mend) {
        self.mends.push((now + time, mend));
    }

    fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        self.count += 1;
        self.trace.fault(what);
    }

    fn strike(&mut self, nodes: &mut Nodes) {
        let (now, count) = (nodes.now, nodes.nodes.len());
        let one = self.random.below(count);
        let other = (one + 1 + self.random.below(count - 1)) % count;
        let (name, peer) = (nodes.nodes[one].name.clone(), nodes.nodes[other].name.clone());
        match self.random.below(20) {
            0..3 => {
                self.tell(format_args!("connections between {name} and {peer} are lost"));
                nodes.network.reset(&name, &peer);
            }
            3..6 => {
                let time = self.time(50, 6_000);
                self.tell(format_args!("{name} and {peer} are cut off for {time:?}"));
                self.cut(nodes, one, other, time);
            }
            6..8 => {
                let time = self.time(50, 6_000);
                self.tell(format_args!("{name} is alone for {time:?}"));
                (0..count).filter(|&other| other != one).for_each(|other| self.cut(nodes, one, other, time));
            }
            8 => {
                let (time, side) = (self.time(50, 6_000), self.random.number());
                self.tell(format_args!("the cluster is cut into two for {time:?}"));
                for (a, b) in (0..count).flat_map(|a| (0..a).map(move |b| (a, b))) {
                    if (side >> a ^ side >> b) & 1 == 1 {
                        self.cut(nodes, a, b, time);
                    }
                }
            }
            9..11 => {
                let (time, most) = (self.time(500, 4_000), self.time(10, 400));
                self.tell(format_args!("messages take up to {most:?} for {time:?}"));
                nodes.network.delay(DELAY.0..=most, self.random.number());
                self.mend_after(now, time, Mend::Delay);
            }
            11..14 => self.crash(nodes, one),
            14..16 => self.store(now),
            16 => {
                let coordinator = one % COORDINATORS;
                let (syncs, name) = (1 + self.random.below(3) as u32, &nodes.nodes[coordinator].name);
                let what = format!("the disk of {name} fails");
                self.tell(format_args!("{what}"));
                nodes.nodes[coordinator].disk.fail(syncs);
            }
            17..19 => {
                let time = self.time(20, 4_000);
                self.tell(format_args!("{name} stands still for {time:?}"));
                nodes.pause(one, time);
            }
            _ => {
                let (time, skew_ms) = (self.time(500, 10_000), self.random.below(1_200_000) as i64 - 600_000);
                self.tell(format_args!("the clock of {name} is wrong by {skew_ms} ms for {time:?}"));
                nodes.skew(one, skew_ms);
                self.mend_after(now, time, Mend::Clock(one));
            }
        }
    }

    fn cut(&mut self, nodes: &Nodes, one: usize, other: usize, time: Duration) {
        let (one, other) = (&nodes.nodes[one].name, &nodes.nodes[other].name);
        nodes.network.cut(one, other);
        self.mend_after(nodes.now, time, Mend::Link(one.clone(), other.clone()));
    }

    fn crash(&mut self, nodes: &mut Nodes, one: usize) {
        let rest = self.time(50, 8_000);
        let (all, wiped) = (self.random.one_in(20), self.random.one_in(3));
        for index in (0..nodes.nodes.len()).filter(|&index| all || index == one) {
            // The catalog of coordinators lies on disks that are not lost.
            let wiped = wiped && index >= COORDINATORS;
            let name = nodes.nodes[index].name.clone();
            let disk = if wiped { " and its disk is lost" } else { "" };
            self.tell(format_args!("{name} dies for {rest:?}{disk}"));
            nodes.crash(index, rest);
            if wiped {
                nodes.wipe(index);
            }
        }
    }

    fn store(&mut self, now: Duration) {
        let time = self.time(200, 4_000);
        let none = StoreFaults::default();
        let faults = match self.random.below(5) {
            0 => StoreFaults { away: true, ..none },
            1 => StoreFaults { refused: 300, ..none },
            2 => StoreFaults { lost_replies: 400, ..none },
            3 => StoreFaults { late: 300, ..none },
            _ => StoreFaults { slow: 400, refused: 50, lost_replies: 50, ..none },
        };
        self.tell(format_args!("{faults:?} for {time:?}"));
        self.objects.set_faults(faults);
        self.mend_after(now, time, Mend::Store);
    }
}

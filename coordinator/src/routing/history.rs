//! What queries of a shape took on each engine: what rules may rest on, and what a predictor could learn from.
//!
//! It is a coordinator's own and begins anew with it. Shapes that were not seen for longest make room.

use super::choice::Shape;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shapes of a tenant that are kept.
const SHAPES: usize = 1_000;
/// Samples of a shape and engine that are kept.
const SAMPLES: usize = 32;
/// How long a server that failed is not asked again: at first, and at most.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

#[derive(Default)]
pub(crate) struct History {
    shapes: Mutex<Shapes>,
    failed: Mutex<HashMap<Arc<str>, Failed>>,
}

#[derive(Default)]
struct Shapes {
    by_fingerprint: HashMap<u64, Seen>,
    clock: u64,
}

/// A shape that was decided about.
struct Seen {
    text: Arc<str>,
    used: u64,
    /// Decisions.
    turns: u64,
    engines: Vec<(Arc<str>, Samples)>,
}

#[derive(Default)]
struct Samples {
    latest: Vec<f64>,
    /// Where the next one goes.
    next: usize,
    failures: u64,
    measured: Measured,
}

/// What queries of a shape took on an engine, in milliseconds: the last [`SAMPLES`] of `count`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Measured {
    pub(crate) count: u64,
    pub(crate) median_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) last_ms: f64,
}

/// A server that did not answer.
struct Failed {
    at: Instant,
    rest: Duration,
}

/// A row of `system.routes`.
pub(crate) struct Recorded {
    pub(crate) fingerprint: u64,
    pub(crate) text: Arc<str>,
    pub(crate) engine: Arc<str>,
    pub(crate) measured: Measured,
    pub(crate) failures: u64,
}

impl History {
    /// What was measured of a shape on these engines, in their order, and how many decisions there were before.
    pub(crate) fn of<'a>(
        &self,
        shape: &Shape,
        engines: impl Iterator<Item = &'a str>,
    ) -> (Vec<Measured>, u64) {
        let shapes = self.shapes.lock();
        let seen = shapes.by_fingerprint.get(&shape.fingerprint);
        let measured = engines.map(|engine| {
            let known = seen.and_then(|seen| seen.engines.iter().find(|(known, _)| &**known == engine));
            known.map(|(_, samples)| samples.measured).unwrap_or_default()
        });
        (measured.collect(), seen.map_or(0, |seen| seen.turns))
    }

    /// Counts a decision.
    pub(crate) fn decided(&self, shape: &Shape) {
        self.shapes.lock().seen(shape).turns += 1;
    }

    /// Keeps what a query took.
    pub(crate) fn add(&self, shape: &Shape, engine: &Arc<str>, took: Duration) {
        self.shapes.lock().seen(shape).samples(engine).add(took.as_secs_f64() * 1e3);
        self.failed.lock().remove(engine);
    }

    /// A server did not answer: it rests for a while.
    pub(crate) fn failed(&self, shape: &Shape, engine: &Arc<str>) {
        self.shapes.lock().seen(shape).samples(engine).failures += 1;
        let mut failed = self.failed.lock();
        let before = failed.get(engine).map(|before| before.rest * 2);
        let rest = before.unwrap_or(REST.0).min(REST.1);
        failed.insert(engine.clone(), Failed { at: Instant::now(), rest });
    }

    /// How long ago an engine failed that still rests.
    pub(crate) fn failed_ago(&self, engine: &str) -> Option<Duration> {
        let failed = self.failed.lock();
        let known = failed.get(engine)?;
        Some(known.at.elapsed()).filter(|ago| *ago < known.rest)
    }

    /// Everything, by shape and engine.
    pub(crate) fn list(&self) -> Vec<Recorded> {
        let shapes = self.shapes.lock();
        let rows = shapes.by_fingerprint.iter().flat_map(|(&fingerprint, seen)| {
            seen.engines.iter().map(move |(engine, samples)| Recorded {
                fingerprint,
                text: seen.text.clone(),
                engine: engine.clone(),
                measured: samples.measured,
                failures: samples.failures,
            })
        });
        let mut rows: Vec<Recorded> = rows.collect();
        rows.sort_by(|a, b| (&a.text, a.fingerprint, &a.engine).cmp(&(&b.text, b.fingerprint, &b.engine)));
        rows
    }
}

impl Shapes {
    fn seen(&mut self, shape: &Shape) -> &mut Seen {
        if !self.by_fingerprint.contains_key(&shape.fingerprint) && self.by_fingerprint.len() >= SHAPES {
            let oldest = self.by_fingerprint.iter().min_by_key(|(_, seen)| seen.used).map(|(&key, _)| key);
            oldest.and_then(|oldest| self.by_fingerprint.remove(&oldest));
        }
        self.clock += 1;
        let clock = self.clock;
        let seen = self.by_fingerprint.entry(shape.fingerprint).or_insert_with(|| Seen {
            text: shape.text.clone(),
            used: 0,
            turns: 0,
            engines: Vec::new(),
        });
        seen.used = clock;
        seen
    }
}

impl Seen {
    fn samples(&mut self, engine: &Arc<str>) -> &mut Samples {
        let place = self.engines.iter().position(|(known, _)| known == engine).unwrap_or_else(|| {
            self.engines.push((engine.clone(), Samples::default()));
            self.engines.len() - 1
        });
        &mut self.engines[place].1
    }
}

impl Samples {
    fn add(&mut self, took_ms: f64) {
        match self.latest.get_mut(self.next) {
            Some(place) => *place = took_ms,
            None => self.latest.push(took_ms),
        }
        self.next = (self.next + 1) % SAMPLES;
        let mut sorted = self.latest.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted.get((sorted.len() as f64 * part) as usize).copied().unwrap_or(took_ms);
        let count = self.measured.count + 1;
        self.measured = Measured { count, median_ms: at(0.5), p95_ms: at(0.95), last_ms: took_ms };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(fingerprint: u64) -> Shape {
        Shape { fingerprint, text: format!("select {fingerprint}").into() }
    }

    fn of(history: &History, fingerprint: u64, engine: &str) -> Measured {
        history.of(&shape(fingerprint), [engine].into_iter()).0[0]
    }

    #[test]
    fn the_latest_samples_count() {
        let history = History::default();
        let engine: Arc<str> = "pg".into();
        for ms in 1..=100 {
            history.add(&shape(1), &engine, Duration::from_millis(ms));
        }
        let measured = of(&history, 1, "pg");
        assert_eq!(
            (measured.count, measured.last_ms.round(), measured.median_ms.round()),
            (100, 100.0, 85.0)
        );
        assert_eq!(measured.p95_ms.round(), 99.0);
        assert_eq!(of(&history, 1, "tundra"), Measured::default());
        assert_eq!(of(&history, 2, "pg"), Measured::default());
        history.decided(&shape(1));
        assert_eq!(history.of(&shape(1), [].into_iter()).1, 1);
    }

    #[test]
    fn shapes_not_seen_for_longest_make_room() {
        let history = History::default();
        let engine: Arc<str> = "tundra".into();
        for number in 0..SHAPES as u64 {
            history.add(&shape(number), &engine, Duration::from_millis(1));
        }
        history.add(&shape(0), &engine, Duration::from_millis(1));
        history.add(&shape(9_999), &engine, Duration::from_millis(1));
        assert_eq!(history.list().len(), SHAPES);
        assert_eq!((of(&history, 0, "tundra").count, of(&history, 1, "tundra").count), (2, 0));
    }

    #[test]
    fn servers_that_fail_rest_until_they_answer() {
        let history = History::default();
        let engine: Arc<str> = "pg".into();
        assert!(history.failed_ago("pg").is_none());
        history.failed(&shape(1), &engine);
        history.failed(&shape(1), &engine);
        assert!(history.failed_ago("pg").is_some() && history.failed_ago("other").is_none());
        assert_eq!(history.list()[0].failures, 2);
        history.add(&shape(1), &engine, Duration::from_millis(1));
        assert!(history.failed_ago("pg").is_none());
    }
}

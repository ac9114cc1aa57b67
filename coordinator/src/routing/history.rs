//! What queries of a shape took on each engine: what rules may rest on, and what a predictor could learn from.
//!
//! It is a coordinator's own and begins anew with it. Shapes that were not seen for longest make room.

use super::TUNDRA;
use super::choice::Shape;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Shapes of a tenant that are kept.
const SHAPES: usize = 1_000;
/// Samples of a shape and engine that are kept.
const SAMPLES: usize = 32;
/// Engines of a shape that are kept: those of servers that were dropped make room.
const ENGINES: usize = 16;
/// How long a server that failed is not asked again: at first, and at most.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// A failure that nothing has followed for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

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
    /// After its rest one query tries it.
    tried: bool,
}

/// The turn of the one query that tries a server after its rest; it ends as this is dropped.
pub(crate) struct Trial<'a> {
    history: &'a History,
    engine: Arc<str>,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(failed) = self.history.failed.lock().get_mut(&self.engine) {
            failed.tried = false;
        }
    }
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

    /// Counts a decision by what is expected, and gives how many there were before: no two have the same turn.
    pub(crate) fn turn(&self, shape: &Shape) -> u64 {
        let mut shapes = self.shapes.lock();
        let seen = shapes.seen(shape);
        seen.turns += 1;
        seen.turns - 1
    }

    /// Keeps what a query took.
    pub(crate) fn add(&self, shape: &Shape, engine: &Arc<str>, took: Duration) {
        self.shapes.lock().seen(shape).samples(engine).add(took.as_secs_f64() * 1e3);
        self.failed.lock().remove(engine);
    }

    /// A server did not answer: it rests for a while. Queries that fail together lengthen its rest once.
    pub(crate) fn failed(&self, shape: &Shape, engine: &Arc<str>) {
        self.shapes.lock().seen(shape).samples(engine).failures += 1;
        let mut failed = self.failed.lock();
        let before = failed.get(engine);
        if before.is_some_and(Failed::rests) {
            return;
        }
        let rest = before.map_or(REST.0, |before| before.rest * 2).min(REST.1);
        failed.retain(|_, one| one.at.elapsed() < FORGOTTEN);
        failed.insert(engine.clone(), Failed { at: Instant::now(), rest, tried: false });
    }

    /// As [`History::failed`], of a server that gave no row in this time: what it takes is that at least.
    pub(crate) fn late(&self, shape: &Shape, engine: &Arc<str>, waited: Duration) {
        self.shapes.lock().seen(shape).samples(engine).add(waited.as_secs_f64() * 1e3);
        self.failed(shape, engine);
    }

    /// How long ago an engine failed that still rests, or that one query tries just now.
    pub(crate) fn failed_ago(&self, engine: &str) -> Option<Duration> {
        let failed = self.failed.lock();
        let known = failed.get(engine).filter(|known| known.rests() || known.tried)?;
        Some(known.at.elapsed())
    }

    /// Leave to ask an engine. `Err`: another query tries it after its rest; `Ok(Some(_))`: this one does.
    pub(crate) fn try_again(&self, engine: &Arc<str>) -> Result<Option<Trial<'_>>, ()> {
        let mut failed = self.failed.lock();
        match failed.get_mut(engine) {
            None => Ok(None),
            Some(known) if known.tried => Err(()),
            Some(known) => {
                known.tried = true;
                Ok(Some(Trial { history: self, engine: engine.clone() }))
            }
        }
    }

    /// Forgets everything: the tenant is no more.
    pub(crate) fn clear(&self) {
        *self.shapes.lock() = Shapes::default();
        self.failed.lock().clear();
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

impl Failed {
    fn rests(&self) -> bool {
        self.at.elapsed() < self.rest
    }
}

impl Seen {
    fn samples(&mut self, engine: &Arc<str>) -> &mut Samples {
        let place = self.engines.iter().position(|(known, _)| known == engine).unwrap_or_else(|| {
            // Those that came first, Tundra aside.
            let oldest = self.engines.iter().position(|(known, _)| &**known != TUNDRA);
            if let Some(oldest) = oldest.filter(|_| self.engines.len() >= ENGINES) {
                self.engines.remove(oldest);
            }
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
        assert_eq!((history.turn(&shape(1)), history.turn(&shape(1))), (0, 1));
        assert_eq!(history.of(&shape(1), [].into_iter()).1, 2);
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
        assert_eq!(history.failed.lock()["pg"].rest, REST.0, "failures at once lengthen the rest once");
        history.add(&shape(1), &engine, Duration::from_millis(1));
        assert!(history.failed_ago("pg").is_none());
    }

    #[test]
    fn one_query_tries_a_server_after_its_rest() {
        let history = History::default();
        let engine: Arc<str> = "pg".into();
        assert!(history.try_again(&engine).unwrap().is_none(), "it did not fail");
        history.failed(&shape(1), &engine);
        history.failed.lock().get_mut("pg").unwrap().rest = Duration::ZERO;
        assert!(history.failed_ago("pg").is_none());
        let trial = history.try_again(&engine).unwrap();
        assert!(trial.is_some() && history.try_again(&engine).is_err());
        assert!(history.failed_ago("pg").is_some(), "others go elsewhere");
        drop(trial);
        assert!(history.failed_ago("pg").is_none());
        history.failed.lock().get_mut("pg").unwrap().rest = Duration::from_nanos(1);
        std::thread::sleep(Duration::from_millis(1));
        history.failed(&shape(1), &engine);
        assert_eq!(history.failed.lock()["pg"].rest, Duration::from_nanos(2), "it failed again");
    }

    #[test]
    fn a_server_that_is_late_is_known_to_be_slow() {
        let history = History::default();
        let engine: Arc<str> = "pg".into();
        history.late(&shape(1), &engine, Duration::from_secs(10));
        assert_eq!((of(&history, 1, "pg").count, of(&history, 1, "pg").last_ms), (1, 10_000.0));
        assert!(history.failed_ago("pg").is_some());
        assert_eq!(history.list()[0].failures, 1);
    }

    #[test]
    fn engines_of_a_shape_are_bounded() {
        let history = History::default();
        for name in ["tundra".to_string()].into_iter().chain((0..100).map(|number| format!("pg{number}"))) {
            history.add(&shape(1), &name.as_str().into(), Duration::from_millis(1));
        }
        let engines: Vec<_> = history.list().into_iter().map(|row| row.engine).collect();
        assert_eq!(engines.len(), ENGINES);
        assert!(engines.iter().any(|engine| &**engine == "tundra"));
        assert!(engines.iter().any(|engine| &**engine == "pg99"));
    }

    #[test]
    fn nothing_is_left_of_a_tenant_that_is_no_more() {
        let history = History::default();
        let engine: Arc<str> = "pg".into();
        history.add(&shape(1), &engine, Duration::from_millis(1));
        history.failed(&shape(2), &engine);
        history.clear();
        assert!(history.list().is_empty() && history.failed_ago("pg").is_none());
        assert_eq!(history.of(&shape(1), ["pg"].into_iter()), (vec![Measured::default()], 0));
    }
}

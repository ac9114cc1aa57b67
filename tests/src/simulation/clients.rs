//! Clients of a simulated cluster: what they ask, and what they make of the answers.

use super::history::{History, SeenBatch};
use super::nodes::{COORDINATORS, Doors};
use super::planted::Planted;
use super::trace::Trace;
use crate::random::Random;
use crate::text;
use coordinator::Error;
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The tables that do not change, as statements.
pub const FIXED: [&str; 4] = [
    "CREATE TABLE item AS SELECT i AS id, i % 7 AS shelf, i * i % 31 AS price, \
     'item ' || CAST(i AS VARCHAR) AS name FROM (SELECT a.n * 10 + b.n AS i FROM \
     (VALUES (0), (1), (2), (3), (4), (5)) AS a (n), \
     (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) AS b (n)) AS numbers",
    "CREATE TABLE shelf AS SELECT n AS id, 'shelf ' || CAST(n AS VARCHAR) AS name FROM \
     (VALUES (0), (1), (2), (3), (4), (5), (6)) AS t (n)",
    "CREATE TABLE sale AS SELECT id * 3 % 60 AS item, id % 5 AS day, price + id AS amount FROM item",
    "INSERT INTO sale SELECT item, day + 5, amount + 1 FROM sale WHERE item < 40",
];

/// What is asked of them; the answers come in any order.
pub const QUERIES: [&str; 6] = [
    "SELECT shelf, count(*), sum(price) FROM item GROUP BY shelf",
    "SELECT s.name, count(*), sum(i.price), min(i.name) FROM item i JOIN shelf s ON i.shelf = s.id GROUP BY s.name",
    "SELECT i.name, count(*), sum(s.amount) FROM sale s JOIN item i ON s.item = i.id GROUP BY i.name HAVING count(*) > 1",
    "SELECT id, name FROM item WHERE price > 12 ORDER BY price DESC, id LIMIT 9",
    "SELECT day, count(DISTINCT item), avg(amount) FROM sale GROUP BY day",
    "SELECT count(*), sum(a.amount) FROM sale a JOIN sale b ON a.item = b.item JOIN item i ON i.id = b.item \
     WHERE i.shelf < 4",
];

/// The rows that a single node answers to each of [`QUERIES`], sorted.
pub type Answers = Arc<Vec<Vec<Vec<String>>>>;

/// A result that stays on its way for as long as nobody reads it.
const LARGE: &str = "SELECT a.item FROM sale a, sale b, item i";
/// How often a client tries to create a table.
const ATTEMPTS: usize = 3;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(45);

/// How a statement ended.
enum Outcome {
    Rows(Vec<Vec<String>>),
    NotFound,
    Exists,
    /// It failed, and may have taken effect all the same. Nobody works at it any more.
    Failed,
    /// The client has gone.
    Late,
}

/// What clients share.
pub struct Clients {
    pub doors: Doors,
    pub history: Mutex<History>,
    pub trace: Arc<Trace>,
    answers: Answers,
    /// Violations that were found.
    pub violations: Mutex<Vec<String>>,
    pub planted: Option<Planted>,
    pub stop: AtomicBool,
    names: AtomicU64,
    statements: AtomicU64,
    /// Statements by how they ended.
    pub ends: Mutex<BTreeMap<String, u64>>,
}

impl Clients {
    pub fn new(doors: Doors, trace: Arc<Trace>, answers: Answers, planted: Option<Planted>) -> Arc<Clients> {
        Arc::new(Clients {
            doors,
            history: Mutex::default(),
            trace,
            answers,
            violations: Mutex::default(),
            planted,
            stop: AtomicBool::new(false),
            names: AtomicU64::new(1),
            statements: AtomicU64::new(0),
            ends: Mutex::default(),
        })
    }

    fn violation(&self, what: String) {
        self.trace.event(format_args!("VIOLATION {what}"));
        self.violations.lock().push(what);
    }

    fn check(&self, result: Result<(), String>) {
        if let Err(what) = result {
            self.violation(what);
        }
    }

    fn is_planted(&self, fault: Planted) -> bool {
        self.planted == Some(fault)
    }

    fn count(&self, end: &str) {
        *self.ends.lock().entry(end.into()).or_default() += 1;
    }

    /// Has a coordinator run a statement. It runs on the coordinator's machine, and dies with it.
    async fn ask(&self, coordinator: usize, sql: &str) -> Outcome {
        let number = self.statements.fetch_add(1, Ordering::Relaxed);
        let Some(door) = self.doors.lock()[coordinator].clone() else {
            sleep(Duration::from_millis(50)).await;
            return Outcome::Failed;
        };
        self.trace.event(format_args!("c{} is asked {number}: {sql}", coordinator + 1));
        let session = door.coordinator.session("client");
        let statement = sql.to_string();
        let mut running = door.runtime.spawn(async move {
            let rows = session.execute(&statement).await?;
            let batches: Vec<_> = rows.try_collect().await?;
            text::rows(&batches).map_err(|error| Error::Internal(error.to_string()))
        });
        drop(door);
        let answer = timeout(PATIENCE, &mut running).await;
        let (end, said, outcome) = match answer {
            Err(_) => {
                running.abort();
                ("late", "the client has gone".into(), Outcome::Late)
            }
            Ok(Err(lost)) if lost.is_panic() => {
                self.violation(format!("defect: a statement panicked: {sql}"));
                ("defect", lost.to_string(), Outcome::Failed)
            }
            Ok(Err(_)) => ("lost", "the connection is lost".into(), Outcome::Failed),
            Ok(Ok(Ok(rows))) => ("answered", format!("{rows:?}"), Outcome::Rows(rows)),
            Ok(Ok(Err(Error::NotFound(why)))) => ("not found", why, Outcome::NotFound),
            Ok(Ok(Err(Error::AlreadyExists(why)))) => ("already there", why, Outcome::Exists),
            Ok(Ok(Err(error))) => {
                let end = match &error {
                    Error::Unavailable(_) => "unavailable",
                    Error::Conflict(_) => "conflict",
                    // A cluster that has just begun.
                    Error::Refused(why) if why.contains("while the cluster's version is 1") => "early",
                    Error::Environment(_) => "environment",
                    Error::Quarantined(_) => "quarantined",
                    Error::ShuttingDown => "shutting down",
                    Error::Execution(error) if !error.to_string().contains("internal") => "execution",
                    _ => {
                        self.violation(format!("defect: {error:?}: {sql}"));
                        "defect"
                    }
                };
                (end, error.to_string(), Outcome::Failed)
            }
        };
        self.trace.event(format_args!("{number} is {end}: {said}"));
        self.count(end);
        outcome
    }

    /// Makes the tables that do not change.
    pub async fn prepare(&self) -> Result<(), String> {
        for sql in FIXED {
            match self.ask(0, sql).await {
                Outcome::Rows(_) => {}
                _ => return Err(format!("start: the first tables cannot be made: {sql}")),
            }
        }
        Ok(())
    }

    /// One client, until all are told to stop.
    pub async fn run(&self, mut random: Random) {
        while !self.stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(random.below(150) as u64)).await;
            let coordinator = random.below(COORDINATORS);
            if self.doors.lock()[coordinator].is_none() {
                continue;
            }
            let live = self.history.lock().live();
            match random.below(20) {
                0 => self.create(coordinator, &mut random).await,
                1 if live.len() > 4 => {
                    let name = &live[random.below(live.len())];
                    self.drop_table(coordinator, name, &mut random).await;
                }
                _ if live.is_empty() => self.create(coordinator, &mut random).await,
                1..7 => {
                    let name = &live[random.below(live.len())];
                    self.insert(coordinator, name, &mut random).await;
                }
                7 => {
                    let name = &live[random.below(live.len())];
                    self.update(coordinator, name, &mut random).await;
                }
                8..14 => {
                    // Those that were dropped are looked for, too.
                    let names = self.history.lock().names();
                    let names = if random.one_in(6) { &names } else { &live };
                    self.read(coordinator, &names[random.below(names.len())], &mut random).await;
                }
                _ => {
                    self.query(coordinator, random.below(QUERIES.len())).await;
                }
            }
        }
    }

    /// Creates a table; tries again, by any coordinator, where nobody knows what became of the attempt.
    async fn create(&self, mut coordinator: usize, random: &mut Random) {
        let name = format!("t{}", self.names.fetch_add(1, Ordering::Relaxed));
        for attempt in 0..ATTEMPTS {
            let begun = self.history.lock().creates(&name);
            let first = self.names.fetch_add(1, Ordering::Relaxed);
            let sql = match random.one_in(2) {
                true => format!("CREATE TABLE {name} (batch BIGINT, place BIGINT, amount BIGINT)"),
                false => {
                    let rows = 1 + random.below(6) as u64;
                    self.history.lock().creates_with(&name, first, rows);
                    format!("CREATE TABLE {name} AS {}", batch_sql(first, rows))
                }
            };
            match self.ask(coordinator, &sql).await {
                Outcome::Rows(_) => {
                    let created = self.history.lock().created(&name, first);
                    let now = self.history.lock().tick();
                    let acknowledged = self.history.lock().inserted(&name, first, now);
                    self.check(created.and(acknowledged));
                    if attempt > 0 {
                        self.count("created again");
                        // It must not come back by an earlier attempt.
                        if random.one_in(2) {
                            self.drop_table(random.below(COORDINATORS), &name, random).await;
                        }
                    }
                    return;
                }
                Outcome::Exists if attempt > 0 => {
                    let exists = self.history.lock().exists(&name, begun);
                    return self.check(exists);
                }
                Outcome::Exists => {
                    return self.violation(format!("catalog: {name} was there before it was created"));
                }
                // It may be worked at yet.
                Outcome::Late => return,
                Outcome::Failed | Outcome::NotFound => {}
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            sleep(Duration::from_millis(random.below(2_000) as u64)).await;
            coordinator = random.below(COORDINATORS);
        }
    }

    /// Drops a table, and mostly looks for it at once.
    async fn drop_table(&self, coordinator: usize, name: &str, random: &mut Random) {
        self.history.lock().drops(name);
        if let Outcome::Rows(_) = self.ask(coordinator, &format!("DROP TABLE {name}")).await {
            self.history.lock().dropped(name);
            if !random.one_in(4) {
                self.read(random.below(COORDINATORS), name, random).await;
            }
        }
    }

    async fn insert(&self, coordinator: usize, name: &str, random: &mut Random) -> bool {
        let (batch, rows) = (self.names.fetch_add(1, Ordering::Relaxed), 1 + random.below(6) as u64);
        let begun = self.history.lock().inserts(name, batch, rows);
        let outcome = self.ask(coordinator, &format!("INSERT INTO {name} {}", batch_sql(batch, rows))).await;
        let acknowledged = matches!(outcome, Outcome::Rows(_));
        let checked = match outcome {
            Outcome::Rows(_) => self.history.lock().inserted(name, batch, begun),
            Outcome::NotFound => self.history.lock().not_found(name, begun),
            Outcome::Exists | Outcome::Failed | Outcome::Late => Ok(()),
        };
        self.check(checked);
        acknowledged
    }

    /// Changes every row, or those of some batches: a batch has as many rows as before, and its amounts sum up to 0.
    async fn update(&self, coordinator: usize, name: &str, random: &mut Random) {
        let begun = self.history.lock().tick();
        let some = if random.one_in(2) { "" } else { " WHERE batch % 2 = 0" };
        let sql = format!("UPDATE {name} SET amount = -amount{some}");
        if let Outcome::NotFound = self.ask(coordinator, &sql).await {
            let checked = self.history.lock().not_found(name, begun);
            self.check(checked);
        }
    }

    /// Reads a table, in one of several ways; `true`: it was answered.
    async fn read(&self, coordinator: usize, name: &str, random: &mut Random) -> bool {
        let begun = self.history.lock().tick();
        let sql = match random.below(3) {
            0 => format!("SELECT batch, count(*), sum(amount) FROM {name} GROUP BY batch"),
            // All references of a query read one version.
            1 => format!(
                "SELECT a.batch, a.n, b.s FROM (SELECT batch, count(*) AS n FROM {name} GROUP BY batch) a \
                 FULL JOIN (SELECT batch, sum(amount) AS s FROM {name} GROUP BY batch) b ON a.batch = b.batch"
            ),
            _ => format!(
                "SELECT a.batch, count(*), sum(b.amount) FROM {name} a JOIN {name} b \
                 ON a.batch = b.batch AND a.place = b.place GROUP BY a.batch"
            ),
        };
        match self.ask(coordinator, &sql).await {
            Outcome::Rows(rows) => {
                let mut seen = rows.iter().map(|row| seen_batch(row)).collect::<Option<Vec<_>>>();
                if let Some(seen) = &mut seen {
                    self.spoil(seen);
                }
                let checked = match seen {
                    Some(seen) => self.history.lock().read(name, begun, &seen),
                    None => Err(format!("version: references to {name} do not agree: {rows:?}")),
                };
                self.check(checked);
                true
            }
            Outcome::NotFound => {
                let checked = self.history.lock().not_found(name, begun);
                self.check(checked);
                true
            }
            Outcome::Exists | Outcome::Failed | Outcome::Late => false,
        }
    }

    /// Makes the planted faults of an answer.
    fn spoil(&self, seen: &mut Vec<SeenBatch>) {
        if self.is_planted(Planted::OldVersion) {
            seen.pop();
        }
        if self.is_planted(Planted::HalfVersion)
            && let Some(one) = seen.iter_mut().find(|one| one.rows > 1)
        {
            one.rows -= 1;
        }
    }

    /// Asks one of [`QUERIES`]; `true`: it was answered.
    async fn query(&self, coordinator: usize, number: usize) -> bool {
        let mut rows = match self.ask(coordinator, QUERIES[number]).await {
            Outcome::Rows(rows) => rows,
            Outcome::NotFound => {
                self.violation(format!("catalog: a table is not found: {}", QUERIES[number]));
                return true;
            }
            Outcome::Exists | Outcome::Failed | Outcome::Late => return false,
        };
        if self.is_planted(Planted::WrongAnswer) {
            rows.pop();
        }
        rows.sort();
        if rows != self.answers[number] {
            let expected = &self.answers[number];
            self.violation(format!(
                "answer: {} gave {rows:?}, a single node gives {expected:?}",
                QUERIES[number]
            ));
        }
        true
    }

    /// Has every coordinator read and write everything, each until it succeeds.
    pub async fn converge(&self, mut random: Random) {
        for coordinator in 0..COORDINATORS {
            for number in 0..QUERIES.len() {
                while !self.query(coordinator, number).await {}
            }
            let names = self.history.lock().names();
            for name in &names {
                while !self.read(coordinator, name, &mut random).await {}
            }
            let live = self.history.lock().live();
            if let Some(name) = live.get(random.below(live.len())) {
                while !self.insert(coordinator, name, &mut random).await {}
            }
        }
        if self.is_planted(Planted::KeptQuery) || self.is_planted(Planted::UnheardEnd) {
            self.leave_behind().await;
        }
    }

    /// Asks for a large result that nobody reads.
    async fn leave_behind(&self) {
        let Some(door) = self.doors.lock()[0].clone() else { return };
        let (session, kept) = (door.coordinator.session("client"), self.is_planted(Planted::KeptQuery));
        let left = door.runtime.spawn(async move {
            let Ok(rows) = session.execute(LARGE).await else { return };
            sleep(Duration::from_secs(1)).await;
            if kept {
                std::mem::forget(rows);
            }
        });
        // If its coordinator dies there is nothing to find.
        let _ = left.await;
    }
}

/// The rows of a batch; their amounts sum up to 0.
fn batch_sql(batch: u64, rows: u64) -> String {
    let amount = |place: u64| {
        if place == 0 { -(((rows * (rows - 1)) / 2) as i64) } else { place as i64 }
    };
    let rows: Vec<String> = (0..rows).map(|place| format!("({batch}, {place}, {})", amount(place))).collect();
    format!(
        "SELECT CAST(batch AS BIGINT) AS batch, CAST(place AS BIGINT) AS place, CAST(amount AS BIGINT) AS amount \
         FROM (VALUES {}) AS v (batch, place, amount)",
        rows.join(", ")
    )
}

/// A row of an answer; `None`: one of the references of a query had no such batch.
fn seen_batch(row: &[String]) -> Option<SeenBatch> {
    let number = |column: usize| row.get(column)?.parse::<i64>().ok();
    Some(SeenBatch { batch: number(0)? as u64, rows: number(1)? as u64, amount: number(2)? })
}

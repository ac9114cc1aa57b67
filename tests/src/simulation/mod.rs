//! Deterministic simulation: a cluster, its object store and its clients in one thread, under one seed.
//!
//! Each node is a machine ([`host`]) whose clock stands while others run. The seed decides how long everything takes,
//! what goes wrong ([`faults`]) and what clients ask ([`clients`]); the same seed gives the same run ([`trace`]). What
//! clients saw must be explained by one catalog with whole versions ([`history`]), answers to fixed questions must be
//! those of a single node, and once all is well again everything must be answered and nothing be held.

pub mod clients;
pub mod disk;
pub mod faults;
pub mod history;
pub mod host;
pub mod nodes;
pub mod planted;
pub mod process;
pub mod spoiled;
pub mod store;
pub mod trace;

use crate::random::Random;
use crate::text;
use clients::{Answers, Clients, FIXED, QUERIES};
use coordinator::{Config, Environment};
use disk::Disk;
use exec::runtime::Workers;
use faults::Faults;
use futures::TryStreamExt;
use host::Host;
use metrics_exporter_prometheus::PrometheusBuilder;
use nodes::Nodes;
use planted::Planted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use store::Objects;
use tokio::task::JoinHandle;
use trace::Trace;

/// Clients that ask at the same time.
const CLIENTS: usize = 4;
/// How long the start may take.
const START: Duration = Duration::from_secs(60);
/// How long statements may take to end once nothing goes wrong any more.
const END: Duration = Duration::from_secs(90);
/// How long it may take until every coordinator answers everything.
const CONVERGENCE: Duration = Duration::from_secs(120);
/// How long queries may take to give back what they hold.
const QUIET: Duration = Duration::from_secs(10);
/// How long versions may be kept for those who might read them.
const LEASES: Duration = Duration::from_secs(130);
/// The stack of a simulation's thread.
const STACK_BYTES: usize = 64 << 20;

/// What is simulated.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Simulation {
    pub seed: u64,
    /// Faults that strike before all is mended.
    pub faults: usize,
    pub planted: Option<Planted>,
}

/// How a simulation went.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub seed: u64,
    pub violations: Vec<String>,
    pub faults: Vec<String>,
    /// The last events.
    pub tail: Vec<String>,
    /// The same for the same run.
    pub hash: u64,
    pub messages: u64,
    /// Statements by how they ended.
    pub statements: BTreeMap<String, u64>,
    pub simulated: Duration,
}

impl Simulation {
    /// Runs it in a process of its own, which the binary `tundra-simulation` is. Tokio draws random numbers by how many
    /// runtimes its process had before: a second run in one process would be another one.
    pub fn run_apart(&self, binary: &Path) -> Report {
        let wanted = serde_json::to_string(self).map_err(|error| error.to_string());
        let ran = wanted.and_then(|wanted| {
            let output = Command::new(binary).arg("--one").arg(wanted).stderr(Stdio::inherit()).output();
            let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
            serde_json::from_slice(&output.stdout)
                .map_err(|_| format!("the process ended: {}", output.status))
        });
        ran.unwrap_or_else(|why: String| Report::broken(self.seed, &why))
    }

    /// Runs it in this process, in which there has been no other.
    pub fn run(self) -> Report {
        let seed = self.seed;
        // What measures by the processor's counter compares that with the real clock once in a process.
        drop(PrometheusBuilder::new().build_recorder());
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        match thread.spawn(move || self.run_here()).map(|running| running.join()) {
            Ok(Ok(report)) => report,
            Ok(Err(_)) => Report::broken(seed, "the simulation panicked"),
            Err(error) => Report::broken(seed, &format!("no thread: {error}")),
        }
    }

    fn run_here(self) -> Report {
        let begun = process::simulate(self.seed);
        let answers = match answers(begun) {
            Ok(answers) => answers,
            Err(why) => return Report::broken(self.seed, &format!("a single node gives no answers: {why}")),
        };
        let trace = Arc::new(Trace::new(self.seed));
        match Run::start(&self, answers, begun, trace.clone()) {
            Ok(run) => run.report(&self),
            Err(error) => Report::broken(self.seed, &format!("it does not start: {error}")),
        }
    }
}

impl Report {
    fn broken(seed: u64, why: &str) -> Report {
        Report {
            seed,
            violations: vec![format!("defect: {why}")],
            faults: Vec::new(),
            tail: Vec::new(),
            hash: 0,
            messages: 0,
            statements: BTreeMap::new(),
            simulated: Duration::ZERO,
        }
    }

    /// What happened, for who looks for the reason.
    pub fn story(&self) -> String {
        let Report { seed, violations, faults, tail, .. } = self;
        let (violations, faults, tail) = (violations.join("\n"), faults.join("\n"), tail.join("\n"));
        format!("seed {seed}: {violations}\nfaults:\n{faults}\nlast events:\n{tail}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { seed, faults, simulated, messages, statements, hash, .. } = self;
        let (faults, simulated) = (faults.len(), simulated.as_secs_f64());
        write!(f, "seed {seed}: {faults} faults in {simulated:.0} s, {messages} messages, ")?;
        write!(f, "statements {statements:?}, trace {hash:016x}")
    }
}

/// A simulation that runs.
struct Run {
    nodes: Nodes,
    faults: Faults,
    objects: Arc<Objects>,
    clients: Arc<Clients>,
    /// Where clients live, and whatever outlives nodes.
    outside: Host,
    trace: Arc<Trace>,
    random: Random,
    _folder: tempfile::TempDir,
}

impl Run {
    fn start(
        simulation: &Simulation,
        answers: Answers,
        begun: Instant,
        trace: Arc<Trace>,
    ) -> std::io::Result<Run> {
        let mut random = Random::new(simulation.seed);
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory)?,
            false => tempfile::tempdir()?,
        };
        let outside = Host::new(begun, Duration::ZERO)?;
        let objects = Objects::new(random.number(), trace.clone(), outside.handle().clone());
        let own = |random: &mut Random| Random::new(random.number());
        let planted = simulation.planted;
        let nodes =
            Nodes::new(folder.path(), begun, objects.clone(), trace.clone(), planted, own(&mut random));
        let faults = Faults::new(own(&mut random), objects.clone(), trace.clone());
        let clients = Clients::new(nodes.doors.clone(), trace.clone(), answers, planted);
        Ok(Run { nodes, faults, objects, clients, outside, trace, random, _folder: folder })
    }

    /// Lets everything run for a tick.
    fn tick(&mut self) {
        let entered = self.outside.handle().clone();
        let _entered = entered.enter();
        self.nodes.tick();
    }

    fn step(&mut self) {
        self.tick();
        self.outside.run_to(self.nodes.now);
        process::set_clocks(self.nodes.now, 0);
    }

    /// Runs until `done` or for `time`; whether it was done.
    fn until(&mut self, time: Duration, mut done: impl FnMut(&mut Run) -> bool) -> bool {
        let end = self.nodes.now + time;
        while self.nodes.now < end {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    fn report(mut self, simulation: &Simulation) -> Report {
        let violation = self.course(simulation).err();
        let mut violations = std::mem::take(&mut *self.clients.violations.lock());
        violations.extend(violation);
        if process::panics() > 0 {
            violations.push("defect: something panicked".into());
        }
        for index in 0..self.nodes.nodes.len() {
            self.nodes.crash(index, Duration::ZERO);
        }
        Report {
            seed: simulation.seed,
            violations,
            faults: self.trace.faults(),
            tail: self.trace.tail(),
            hash: self.trace.hash(),
            messages: self.trace.messages(),
            statements: self.clients.ends.lock().clone(),
            simulated: self.nodes.now,
        }
    }

    /// From the start over the faults to the end of all that was begun; the first violation ends it.
    fn course(&mut self, simulation: &Simulation) -> Result<(), String> {
        if !self.until(START, |run| run.nodes.are_all_up()) {
            return Err("start: the cluster does not come up".into());
        }
        let clients = self.clients.clone();
        let prepared = self.outside.handle().spawn(async move { clients.prepare().await });
        self.finished(START, prepared, "the first statements")??;
        if simulation.planted == Some(Planted::LostPuts) {
            self.objects.lose_puts();
        }
        let mut running = Vec::new();
        for _ in 0..CLIENTS {
            let (clients, random) = (self.clients.clone(), Random::new(self.random.number()));
            running.push(self.outside.handle().spawn(async move { clients.run(random).await }));
        }
        while self.faults.count() < simulation.faults {
            let outside = self.outside.handle().clone();
            {
                let _entered = outside.enter();
                self.faults.step(&mut self.nodes);
            }
            self.step();
            if !self.clients.violations.lock().is_empty() {
                return Ok(());
            }
        }
        self.trace.event("all is mended");
        self.faults.end(&mut self.nodes);
        if simulation.planted == Some(Planted::NoHealing) {
            let outside = self.outside.handle().clone();
            let _entered = outside.enter();
            self.nodes.network.cut("c1", "c2");
            self.nodes.network.cut("c1", "c3");
        }
        self.clients.stop.store(true, Ordering::Relaxed);
        for client in running {
            self.finished(END, client, "a client's last statement")?;
        }
        self.trace.event("clients have ended");
        let (clients, random) = (self.clients.clone(), Random::new(self.random.number()));
        let converging = self.outside.handle().spawn(async move { clients.converge(random).await });
        self.finished(CONVERGENCE, converging, "the last look at everything")?;
        self.clients.history.lock().check_order()?;
        self.trace.event("all is answered");
        let quiet = self.until(QUIET, |run| {
            run.nodes.holdings().iter().all(|holding| holding.queries == 0 && holding.memory_bytes == 0)
        });
        if !quiet {
            let held = self.nodes.holdings();
            let held: Vec<String> = held.iter().map(|one| format!("{one:?}")).collect();
            return Err(format!("leak: nobody asks, and this is held: {}", held.join(", ")));
        }
        // It takes long to simulate, so that only some look.
        let looks = self.random.one_in(10) || simulation.planted == Some(Planted::KeptLease);
        if looks { self.let_go() } else { Ok(()) }
    }

    /// Shards hold the current version of each table, once the leases of the others are over.
    fn let_go(&mut self) -> Result<(), String> {
        self.until(LEASES, |_| false);
        let Some(tables) = self.nodes.tables() else { return Err("hang: a coordinator is not up".into()) };
        let more: Vec<String> = self
            .nodes
            .holdings()
            .iter()
            .filter(|one| one.versions > tables)
            .map(|one| format!("{one:?}"))
            .collect();
        match more.is_empty() {
            true => Ok(()),
            false => Err(format!("leak: there are {tables} tables, and this is held: {}", more.join(", "))),
        }
    }

    /// Runs until a task has ended.
    fn finished<T>(&mut self, time: Duration, mut task: JoinHandle<T>, what: &str) -> Result<T, String> {
        if !self.until(time, |_| task.is_finished()) {
            return Err(format!("hang: {what} did not end in {time:?}"));
        }
        let ended = self.outside.block_on(&mut task);
        ended.map_err(|error| format!("defect: {what} failed: {error}"))
    }
}

/// The answers of a single node to [`QUERIES`], sorted.
fn answers(begun: Instant) -> Result<Answers, String> {
    let host = Host::new(begun, Duration::ZERO).map_err(|error| error.to_string())?;
    host.block_on(async {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let workers = Workers::inline();
        let environment = Environment {
            workers: Some(workers.clone()),
            catalog: Some(Disk::default().open()),
            ..Environment::embedded()
        };
        tokio::spawn(async move { workers.drive().await });
        let config = Config { object_store: Some("memory:///single".into()), ..Config::new(folder.path()) };
        let handle = coordinator::start(config, environment).await.map_err(|error| error.to_string())?;
        let session = handle.session("single");
        let mut answers = Vec::new();
        for sql in FIXED.iter().chain(&QUERIES) {
            let rows = session.execute(sql).await.map_err(|error| format!("{sql}: {error}"))?;
            let batches: Vec<_> = rows.try_collect().await.map_err(|error| format!("{sql}: {error}"))?;
            let mut rows = text::rows(&batches).map_err(|error| error.to_string())?;
            rows.sort();
            answers.push(rows);
        }
        handle.shutdown().await.map_err(|error| error.to_string())?;
        Ok(Arc::new(answers.split_off(FIXED.len())))
    })
}

//! The run: engines are loaded group by group and asked in turn, query by query, round by round.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::answer::Answer;
use crate::bytes::in_words as bytes_in_words;
use crate::dataset::{self, Table};
use crate::driver::Driver;
use crate::engine::{Engine, Kind, Loaded, Work};
use crate::groups::{self, Peer};
use crate::machine::{Commit, Machine};
use crate::queries::Query;
use crate::report::{EngineReport, Measured, QueryReport, Report, Settings};
use crate::tundra::Tundra;
use crate::{Failure, progress};

/// Everything that a run needs to know.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) command: String,
    pub(crate) tables: Vec<Table>,
    pub(crate) queries: Vec<Query>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) settings: Settings,
    pub(crate) commit: Commit,
    /// Tundra's binary, where it takes part.
    pub(crate) tundra: PathBuf,
    /// The interpreter that can import the peers.
    pub(crate) python: PathBuf,
    /// Where engines keep their files while they run.
    pub(crate) data: PathBuf,
}

/// An engine that takes part, whether or not it is up.
struct Contender {
    engine: Option<Box<dyn Engine>>,
    peer: Peer,
    report: EngineReport,
}

/// A run in progress.
struct Session<'a> {
    plan: &'a Plan,
    scratch: tempfile::TempDir,
    started: usize,
    /// The answer to each query that others are compared with: DuckDB's, or else the first.
    expected: HashMap<String, Answer>,
    queries: Vec<QueryReport>,
}

pub(crate) fn measure(plan: &Plan) -> Result<Report, Failure> {
    let parquet_bytes = plan.tables.iter().map(Table::bytes).sum::<Result<u64, _>>()?;
    let rows = plan.tables.iter().map(|table| dataset::rows(&table.files)).sum::<Result<u64, _>>()?;
    let (groups, left_out) = groups::divide(&plan.kinds, parquet_bytes, plan.settings.memory_budget_bytes);
    for (number, group) in groups.iter().enumerate() {
        let names: Vec<_> = group.peers.iter().map(|peer| peer.kind.name()).collect();
        let needed = bytes_in_words(group.needed_bytes);
        progress(&format!("group {}: {} (about {needed} of memory)", number + 1, names.join(", ")));
    }
    for (kind, reason) in &left_out {
        progress(&format!("{} {reason}", kind.name()));
    }
    let mut session = Session::new(plan)?;
    let mut done: Vec<EngineReport> = Vec::new();
    let mut tundra = match plan.kinds.contains(&Kind::Tundra) {
        true => Some(session.bring_up(Peer {
            kind: Kind::Tundra,
            in_memory: true,
            memory_bytes: plan.settings.memory_budget_bytes,
        })),
        false => None,
    };
    for (number, group) in groups.iter().enumerate() {
        let mut contenders: Vec<Contender> = tundra.take().into_iter().collect();
        contenders.extend(group.peers.iter().map(|peer| session.bring_up(*peer)));
        session.ask_all(number + 1, &mut contenders);
        for mut contender in contenders {
            contender.report.groups.push(number + 1);
            contender.look_at_memory();
            match contender.peer.kind {
                Kind::Tundra => tundra = Some(contender),
                _ => done.push(contender.report),
            }
        }
    }
    done.extend(tundra.map(|contender| contender.report));
    done.extend(left_out.into_iter().map(|(kind, reason)| EngineReport {
        name: kind.name().to_string(),
        problem: Some(reason),
        ..EngineReport::default()
    }));
    let place = |engine: &EngineReport| plan.kinds.iter().position(|kind| kind.name() == engine.name);
    done.sort_by_key(place);
    Ok(Report {
        format: Report::FORMAT,
        name: plan.name.clone(),
        title: plan.title.clone(),
        date: chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        command: plan.command.clone(),
        machine: Machine::here(),
        commit: plan.commit.clone(),
        settings: plan.settings.clone(),
        parquet_bytes,
        rows,
        engines: done,
        queries: session.queries,
    })
}

impl Session<'_> {
    fn new(plan: &Plan) -> Result<Session<'_>, Failure> {
        fs::create_dir_all(&plan.data)?;
        let scratch = tempfile::Builder::new().prefix("running-").tempdir_in(&plan.data)?;
        let queries = plan.queries.iter().map(|query| QueryReport {
            name: query.name.clone(),
            sql: query.text(Kind::Duckdb).to_string(),
            measured: Vec::new(),
        });
        Ok(Session { plan, scratch, started: 0, expected: HashMap::new(), queries: queries.collect() })
    }

    /// Starts and loads an engine; where that fails, the report says so.
    fn bring_up(&mut self, peer: Peer) -> Contender {
        let kind = peer.kind;
        let report = EngineReport { name: kind.name().to_string(), ..EngineReport::default() };
        let mut contender = Contender { engine: None, peer, report };
        match self.start(peer) {
            Ok((engine, loaded)) => {
                let memory = engine.memory();
                contender.report = EngineReport {
                    version: loaded.version,
                    form: loaded.form,
                    load_seconds: Some(loaded.seconds),
                    loaded_bytes: Some(memory.resident_bytes),
                    peak_bytes: Some(memory.peak_bytes),
                    store_bytes: loaded.store_bytes,
                    ..contender.report
                };
                contender.engine = Some(engine);
                let (seconds, resident) = (loaded.seconds, bytes_in_words(memory.resident_bytes));
                progress(&format!("{} loaded in {seconds:.1} s, {resident} resident", kind.name()));
            }
            Err(error) => {
                progress(&format!("{} failed to load: {error}", kind.name()));
                contender.report.problem = Some(format!("failed to load: {error}"));
            }
        }
        contender
    }

    fn start(
        &mut self,
        Peer { kind, in_memory, memory_bytes }: Peer,
    ) -> Result<(Box<dyn Engine>, Loaded), Failure> {
        self.started += 1;
        let scratch: &Path = self.scratch.path();
        let folder = fs::canonicalize(scratch)?.join(format!("{}-{}", kind.name(), self.started));
        fs::create_dir(&folder)?;
        let plan = self.plan;
        let work = Work {
            tables: &plan.tables,
            folder: &folder,
            threads: plan.settings.threads,
            memory_bytes,
            in_memory,
            timeout: Duration::from_secs(plan.settings.timeout_seconds),
        };
        let mut engine: Box<dyn Engine> = match kind {
            Kind::Tundra => Box::new(Tundra::start(&plan.tundra, scratch, &work)?),
            _ => Box::new(Driver::start(&plan.python, kind, scratch, &work)?),
        };
        let loaded = engine.load(&work)?;
        Ok((engine, loaded))
    }

    /// Asks all engines all queries.
    fn ask_all(&mut self, group: usize, contenders: &mut [Contender]) {
        for (position, query) in self.plan.queries.iter().enumerate() {
            let measured = self.ask(query, group, contenders);
            let times: Vec<_> = measured.iter().map(in_words).collect();
            progress(&format!("{:<12} {}", query.name, times.join("  ")));
            self.queries[position].measured.extend(measured);
        }
    }

    /// A round warms up and gives the answers, the others are measured; in each, the engines take turns.
    fn ask(&mut self, query: &Query, group: usize, contenders: &mut [Contender]) -> Vec<Measured> {
        let mut measured: Vec<Measured> = contenders
            .iter()
            .map(|contender| Measured {
                engine: contender.report.name.clone(),
                group,
                problem: contender.report.problem.clone(),
                ..Measured::default()
            })
            .collect();
        let mut answers: Vec<Option<Answer>> = contenders.iter().map(|_| None).collect();
        for round in 0..=self.plan.settings.runs {
            for (position, contender) in contenders.iter_mut().enumerate() {
                let (measured, answer) = (&mut measured[position], &mut answers[position]);
                let Some(engine) = contender.engine.as_mut().filter(|_| measured.problem.is_none()) else {
                    continue;
                };
                let ran = engine.run(query.text(contender.peer.kind), round == 0).and_then(|run| {
                    *answer = run.answer.as_deref().map(Answer::new).transpose()?.or(answer.take());
                    Ok(run)
                });
                match ran {
                    Ok(run) if round == 0 => {
                        measured.warm_up_ms = Some(run.seconds * 1e3);
                        measured.rows = Some(run.rows);
                    }
                    Ok(run) => measured.runs_ms.push(run.seconds * 1e3),
                    Err(error) => {
                        measured.problem = Some(error.to_string());
                        measured.runs_ms.clear();
                        if !engine.usable() {
                            self.restart(contender);
                        }
                    }
                }
            }
        }
        let mut measured: Vec<_> = measured.into_iter().map(Measured::summed_up).collect();
        self.compare(query, contenders, &mut measured, answers);
        measured
    }

    /// Notes which answers differ from the expected one.
    fn compare(
        &mut self,
        query: &Query,
        contenders: &[Contender],
        measured: &mut [Measured],
        mut answers: Vec<Option<Answer>>,
    ) {
        let judge = contenders.iter().position(|contender| contender.peer.kind == Kind::Duckdb);
        let judge = judge.filter(|position| answers[*position].is_some());
        let judge = judge.or_else(|| answers.iter().position(Option::is_some));
        if !self.expected.contains_key(&query.name)
            && let Some(answer) = judge.and_then(|position| answers[position].take())
        {
            self.expected.insert(query.name.clone(), answer);
        }
        let Some(expected) = self.expected.get(&query.name) else { return };
        for (measured, answer) in measured.iter_mut().zip(&answers) {
            measured.difference =
                answer.as_ref().and_then(|answer| answer.difference(expected, &query.compare));
        }
    }

    /// An engine that hangs or has ended is started and loaded anew, for the next query.
    fn restart(&mut self, contender: &mut Contender) {
        progress(&format!("{} is started again", contender.report.name));
        contender.look_at_memory();
        contender.engine = None;
        match self.start(contender.peer) {
            Ok((engine, _)) => contender.engine = Some(engine),
            Err(error) => contender.report.problem = Some(format!("did not start again: {error}")),
        }
    }
}

impl Contender {
    fn look_at_memory(&mut self) {
        let now = self.engine.as_ref().map(|engine| engine.memory().peak_bytes);
        self.report.peak_bytes = self.report.peak_bytes.max(now);
    }
}

/// One engine's part in the line on a query.
fn in_words(measured: &Measured) -> String {
    let engine = &measured.engine;
    match (measured.minimum_ms, &measured.problem, &measured.difference) {
        (_, Some(problem), _) => format!("{engine} failed: {}", problem.lines().next().unwrap_or_default()),
        (_, _, Some(difference)) => format!("{engine} DIFFERS: {difference}"),
        (Some(time), _, _) => format!("{engine} {time:.1} ms"),
        _ => format!("{engine} -"),
    }
}

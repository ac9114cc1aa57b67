//! A statement as each engine that can answer it would run it.

use super::TUNDRA;
use super::stand_ins::StandIns;
use super::twins::Twins;
use crate::system::Names;
use flight_proto::policy::Routes;
use planner::catalog::{Engine, Table};
use planner::{Outline, Parsed, PlannedQuery, PlannerOptions, Pushed, Statement, TableRead};
use ring::digest::{SHA256, digest};
use std::sync::Arc;

/// A planned statement.
#[derive(Clone)]
pub(crate) struct Routed {
    /// Where there is a choice, as one of the engines would run it: for what all have in common.
    pub(crate) statement: Arc<Statement>,
    /// `None`: there is none, and it runs as it was written.
    pub(crate) choice: Option<Arc<Choice>>,
    /// What it reads of the tables that it names; `None`: of those that its plan reads.
    pub(crate) reads: Option<Arc<[TableRead]>>,
    /// Engines that cannot answer though tables have twins there, and why; where there is no choice.
    pub(crate) refused: Vec<(String, String)>,
}

/// The engines for a query.
pub(crate) struct Choice {
    pub(crate) routes: Arc<Routes>,
    /// At least one.
    pub(crate) candidates: Vec<Candidate>,
    /// Engines that cannot answer, and why.
    pub(crate) refused: Vec<(String, String)>,
    /// The engine of the tables that the query names; `None`: they are of several.
    pub(crate) named: Option<Arc<str>>,
    pub(crate) shape: Shape,
    pub(crate) outline: Arc<Outline>,
    pub(crate) twins: Arc<Twins>,
}

/// One that can answer.
pub(crate) struct Candidate {
    /// `tundra`, or the server's name.
    pub(crate) engine: Arc<str>,
    /// What kind of engine it is, for metrics.
    pub(crate) kind: &'static str,
    pub(crate) statement: Arc<Statement>,
    pub(crate) pushed: Option<Pushed>,
    /// Of this engine's own plan.
    pub(crate) outline: Arc<Outline>,
}

/// What queries have in common that are measured together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// Of the text without constants, and the power of ten of rows that are read.
    pub(crate) fingerprint: u64,
    pub(crate) text: Arc<str>,
}

/// Longer texts are cut.
const TEXT_BYTES: usize = 1_000;

impl Candidate {
    pub(crate) fn is_tundra(&self) -> bool {
        &*self.engine == TUNDRA
    }

    pub(crate) fn query(&self) -> Option<&PlannedQuery> {
        crate::explain::query_of(&self.statement)
    }
}

impl Choice {
    pub(crate) fn tundra(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.is_tundra())
    }
}

impl Routed {
    pub(crate) fn as_written(statement: Statement) -> Routed {
        Routed { statement: Arc::new(statement), choice: None, reads: None, refused: Vec::new() }
    }

    /// As Tundra would run it.
    pub(crate) fn on_tundra(&self) -> &Arc<Statement> {
        let tundra = self.choice.as_ref().and_then(|choice| choice.tundra());
        tundra.map_or(&self.statement, |tundra| &tundra.statement)
    }
}

/// Plans a query for each engine that may answer it.
pub(crate) fn plan(
    sql: &str,
    parsed: &Parsed,
    names: &Names,
    options: &PlannerOptions,
    routes: &Arc<Routes>,
    twins: &Arc<Twins>,
) -> planner::Result<Routed> {
    let options = PlannerOptions { outline: true, ..options.clone() };
    let own = StandIns::new(names, twins, None);
    let planned = planner::bind(parsed, &own, &options);
    let named = own.named();
    if !named.iter().any(|table| twins.concern(table)) {
        return planned.map(Routed::as_written);
    }
    // What each reads of the tables that are named is the same: one query is planned for all.
    let (mut candidates, mut refused, mut reads) = (Vec::new(), Vec::new(), None);
    match (own.unmet(), planned) {
        (Some(why), _) => refused.push((TUNDRA.to_string(), why)),
        (None, Ok(statement)) => {
            reads = Some(own.reads_as_named(&statement)?);
            candidates.extend(candidate(TUNDRA.into(), statement));
        }
        (None, Err(error)) => return Err(error),
    }
    let mut servers: Vec<&str> = named.iter().flat_map(|table| twins.servers(table)).collect();
    servers.sort_unstable();
    servers.dedup();
    for server in servers {
        match on_server(parsed, names, &options, twins, &named, server, own.reads_virtual_tables()) {
            Ok((statement, named)) => {
                reads.get_or_insert(named);
                candidates.extend(candidate(server.into(), statement));
            }
            Err(why) => refused.push((server.to_string(), why)),
        }
    }
    one_schema(&mut candidates);
    let first = candidates.first().map(|first| (first.outline.clone(), first.statement.clone()));
    let Some((outline, statement)) = first else {
        let plain = PlannerOptions { outline: false, ..options };
        let statement = planner::bind(parsed, names, &plain)?;
        return Ok(Routed { refused, ..Routed::as_written(statement) });
    };
    let shape = Shape::of(sql, &outline);
    let (routes, twins, named) = (routes.clone(), twins.clone(), engine_of(&named));
    let choice = Choice { routes, candidates, refused, named, shape, outline, twins };
    Ok(Routed { statement, choice: Some(Arc::new(choice)), reads, refused: Vec::new() })
}

/// The engine that has these tables; `None`: several have.
fn engine_of(tables: &[Arc<Table>]) -> Option<Arc<str>> {
    let of = |table: &Arc<Table>| -> Arc<str> {
        table.foreign.as_ref().map_or(TUNDRA.into(), |foreign| foreign.server.as_str().into())
    };
    let first = of(tables.first()?);
    tables.iter().all(|table| of(table) == first).then_some(first)
}

fn on_server(
    parsed: &Parsed,
    names: &Names,
    options: &PlannerOptions,
    twins: &Twins,
    named: &[Arc<Table>],
    server: &str,
    reads_virtual_tables: bool,
) -> Result<(Statement, Arc<[TableRead]>), String> {
    if [TUNDRA, super::FASTEST, super::CHEAPEST, super::AUTO, super::NAMED]
        .iter()
        .any(|word| server.eq_ignore_ascii_case(word))
    {
        return Err(format!(
            "a server with the name {server} cannot be chosen, since it means something else"
        ));
    }
    if reads_virtual_tables {
        return Err("the query reads tables of the system".into());
    }
    named.iter().try_for_each(|table| twins.stand_in(table, Some(server)).map(drop))?;
    let stand_ins = StandIns::new(names, twins, Some(server));
    let statement = planner::bind(parsed, &stand_ins, options).map_err(|error| error.to_string())?;
    match stand_ins.unmet() {
        Some(why) => Err(why),
        None => {
            let reads = stand_ins.reads_as_named(&statement).map_err(|error| error.to_string())?;
            Ok((statement, reads))
        }
    }
}

fn candidate(engine: Arc<str>, statement: Statement) -> Option<Candidate> {
    let query = crate::explain::query_of(&statement)?;
    let outline = query.outline.clone()?;
    let kind = match query.foreign.first().map(|remote| remote.engine) {
        None => TUNDRA,
        Some(Engine::PostgreSql) => "foreign postgresql",
        Some(Engine::Tundra) => "foreign tundra",
        Some(Engine::Plain) => "foreign flightsql",
    };
    // Of such an engine's tables all rows come, whatever little is done to them here.
    let is_plain = query.foreign.iter().any(|remote| remote.engine == Engine::Plain);
    let pushed = if is_plain { Some(Pushed::Scans) } else { outline.pushed };
    Some(Candidate { engine, kind, pushed, outline, statement: Arc::new(statement) })
}

/// Which engine answers is not to be seen: a column may be null where it may be by one of the plans.
fn one_schema(candidates: &mut [Candidate]) {
    let columns = |candidate: &Candidate| -> Vec<bool> {
        candidate
            .query()
            .map(|query| query.columns.iter().map(|column| column.nullable).collect())
            .unwrap_or_default()
    };
    let all: Vec<Vec<bool>> = candidates.iter().map(columns).collect();
    for candidate in candidates {
        let query = match Arc::make_mut(&mut candidate.statement) {
            Statement::Query(query)
            | Statement::Explain { query, .. }
            | Statement::ExplainRoute { query } => query,
            _ => continue,
        };
        for (place, column) in query.columns.iter_mut().enumerate() {
            column.nullable = all.iter().any(|nullable| nullable.get(place).copied().unwrap_or(true));
        }
    }
}

impl Shape {
    fn of(sql: &str, outline: &Outline) -> Shape {
        let mut text = planner::shape_text(sql).unwrap_or_default();
        let rows: f64 = outline.scans.iter().map(|scan| scan.rows).sum();
        let power = rows.max(1.0).log10().round() as i32;
        let hash = digest(&SHA256, format!("{power} {text}").as_bytes());
        let bytes = hash.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        let cut = (0..=TEXT_BYTES.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(cut);
        Shape { fingerprint: u64::from_be_bytes(bytes), text: text.into() }
    }
}

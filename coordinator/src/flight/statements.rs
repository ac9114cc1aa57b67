//! Statements between GetFlightInfo and DoGet.
//!
//! GetFlightInfo plans; DoGet runs. A statement that changes something runs once, however often its ticket
//! is redeemed: its outcome is remembered. A query may be run again by its ticket.

use super::kept::Kept;
use crate::error::{Error, Result};
use crate::random::random_u128;
use crate::result::Rows;
use crate::session::{Planned, Session};
use arrow::datatypes::SchemaRef;
use columnar::Value;
use flight_proto::trace::{self, TraceParent};
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use std::time::Duration;
use tracing::{Instrument, Span};

/// A ticket is good for so long after it was last used.
const LIFETIME: Duration = Duration::from_secs(600);
/// The most tickets that are remembered.
const TICKETS_MAX: usize = 10_000;

/// The tickets that are out.
pub(super) struct Statements {
    open: Mutex<Kept<u128, Open>>,
}

impl Default for Statements {
    fn default() -> Statements {
        Statements { open: Mutex::new(Kept::new(TICKETS_MAX, LIFETIME)) }
    }
}

struct Open {
    session: Session,
    sql: String,
    /// One run for each; one that is empty where nothing is bound.
    parameters: Vec<Vec<Value>>,
    changes: bool,
    schema: SchemaRef,
    progress: Progress,
    /// The call that asked for it: who fetches it without a context of its own goes on with that one's trace.
    asked_by: Option<TraceParent>,
}

enum Progress {
    /// Boxed: a plan is large.
    Planned(Option<Box<Planned>>),
    Running,
    /// Of a statement that changes something: how many rows it wrote.
    Done(Result<Option<u64>>),
}

/// What DoGet has to do.
enum Turn {
    Run(Box<Work>),
    Again(Result<Option<u64>>),
}

struct Work {
    session: Session,
    sql: String,
    parameters: Vec<Vec<Value>>,
    planned: Option<Box<Planned>>,
    changes: bool,
    schema: SchemaRef,
}

impl Statements {
    /// Plans a statement for each row of parameters, and gives the identity of its ticket and the schema of
    /// its result.
    pub(super) async fn open(
        &self,
        session: Session,
        sql: &str,
        parameters: Vec<Vec<Value>>,
    ) -> Result<(u128, SchemaRef)> {
        let first = parameters.first().cloned().unwrap_or_default();
        let planned = session.plan(sql, first).await?;
        let (schema, changes) = (planned.schema(), planned.changes());
        let id = random_u128()?;
        let tenant = session.tenant().to_string();
        let open = Open {
            session,
            sql: sql.into(),
            parameters,
            changes,
            schema: schema.clone(),
            progress: Progress::Planned(Some(Box::new(planned))),
            asked_by: trace::of(&Span::current()),
        };
        self.open.lock().insert(&tenant, id, open);
        Ok((id, schema))
    }

    /// The call that asked for a ticket.
    pub(super) fn asked_by(&self, id: u128) -> Option<TraceParent> {
        self.open.lock().get(&id)?.asked_by
    }

    /// Who asked for a ticket.
    pub(super) fn session_of(&self, id: u128) -> Option<Session> {
        Some(self.open.lock().get(&id)?.session.clone())
    }

    /// Forgets a ticket that nobody has.
    pub(super) fn close(&self, id: u128) {
        self.open.lock().remove(&id);
    }

    /// Runs the statement of a ticket, or gives its outcome again.
    pub(super) async fn redeem(&self, id: u128) -> Result<Rows> {
        match self.turn(id)? {
            Turn::Again(outcome) => rows_of(outcome?),
            Turn::Run(work) if work.changes => {
                let outcome = run_all(*work, id).await.map(|rows| counted(&rows));
                if let Some(open) = self.open.lock().get(&id) {
                    open.progress = Progress::Done(outcome.clone());
                }
                rows_of(outcome?)
            }
            Turn::Run(work) => run_all(*work, id).await,
        }
    }

    fn turn(&self, id: u128) -> Result<Turn> {
        let mut tickets = self.open.lock();
        let open = tickets.get(&id).ok_or_else(|| {
            Error::NotFound("this ticket has expired, or is not of this server; ask for another".into())
        })?;
        let planned = match &mut open.progress {
            Progress::Planned(planned) => planned.take(),
            Progress::Running => {
                return Err(Error::Conflict("the statement of this ticket is running already".into()));
            }
            Progress::Done(outcome) => return Ok(Turn::Again(outcome.clone())),
        };
        if open.changes {
            open.progress = Progress::Running;
        }
        Ok(Turn::Run(Box::new(Work {
            session: open.session.clone(),
            sql: open.sql.clone(),
            parameters: open.parameters.clone(),
            planned,
            changes: open.changes,
            schema: open.schema.clone(),
        })))
    }

    /// Ends the statement of a ticket; `false` if there is none that runs or could.
    pub(super) fn cancel(&self, id: u128) -> bool {
        let Some(open) = self.open.lock().remove(&id) else { return false };
        open.session.cancel(id) || matches!(open.progress, Progress::Planned(_))
    }
}

/// Runs a statement once for each row of parameters: results of queries follow each other, counts add up.
async fn run_all(work: Work, id: u128) -> Result<Rows> {
    let Work { session, sql, parameters, planned, changes, schema } = work;
    if parameters.len() <= 1 {
        let planned = match planned {
            Some(planned) => *planned,
            None => session.plan(&sql, parameters.into_iter().next().unwrap_or_default()).await?,
        };
        return session.run(planned, id).await;
    }
    if changes {
        let mut affected = None;
        for values in parameters {
            let planned = session.plan(&sql, values).await?;
            let more = counted(&session.run(planned, id).await?);
            affected = more.map(|more| affected.unwrap_or(0) + more).or(affected);
        }
        return rows_of(affected);
    }
    // One after another, each started when those before are read.
    let span = Span::current();
    let results = stream::iter(parameters).then(move |values| {
        let (session, sql, span) = (session.clone(), sql.clone(), span.clone());
        async move {
            let rows = async {
                let planned = session.plan(&sql, values).await?;
                session.run(planned, id).await
            };
            match rows.instrument(span).await {
                Ok(rows) => rows.left_stream(),
                Err(error) => stream::iter([Err(error)]).right_stream(),
            }
        }
    });
    Ok(Rows::new(schema, results.flatten().boxed()))
}

/// The rows that a statement wrote; `None`: it is of a kind that writes none.
fn counted(rows: &Rows) -> Option<u64> {
    if rows.schema().fields().is_empty() { None } else { rows.affected() }
}

fn rows_of(counted: Option<u64>) -> Result<Rows> {
    match counted {
        Some(count) => Rows::written(count),
        None => Ok(Rows::changed()),
    }
}

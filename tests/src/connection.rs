//! Running statements: over Flight SQL, or through a session in this process.

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightClient, FlightDescriptor};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use coordinator::Session;
use futures::TryStreamExt;
use prost::Message;
use sqllogictest::{AsyncDB, DBOutput};
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;

use crate::text::{self, Letter};

/// A statement that failed, in the server's words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl Failure {
    pub fn of(error: impl ToString) -> Failure {
        Failure(error.to_string())
    }
}

impl From<FlightError> for Failure {
    fn from(error: FlightError) -> Failure {
        match error {
            FlightError::Tonic(status) => Failure(status.message().to_string()),
            other => Failure::of(other),
        }
    }
}

pub enum Connection {
    Flight(Box<FlightClient>),
    Session(Session),
    /// Several, each asked in its turn, and the one whose turn is next. What a session keeps is told to all of them.
    Turns(Vec<Connection>, usize),
}

/// A result that has come whole.
pub struct Answer {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
}

impl Connection {
    /// Connects to the Flight SQL server at `HOST:PORT`.
    pub async fn flight(address: &str) -> Result<Connection, Failure> {
        Ok(Connection::Flight(Box::new(client(address).await?)))
    }

    /// As [`Connection::flight`], showing an API key or an access token with each call.
    pub async fn flight_as(address: &str, shown: &str) -> Result<Connection, Failure> {
        let mut client = client(address).await?;
        client.add_header("authorization", &format!("Bearer {shown}"))?;
        Ok(Connection::Flight(Box::new(client)))
    }

    /// As [`Connection::flight`], showing a user's name and password with each call.
    pub async fn flight_login(address: &str, user: &str, password: &str) -> Result<Connection, Failure> {
        let mut client = client(address).await?;
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        client.add_header("authorization", &format!("Basic {pair}"))?;
        Ok(Connection::Flight(Box::new(client)))
    }

    /// Runs one statement to its end.
    pub async fn execute(&mut self, sql: &str) -> Result<Answer, Failure> {
        match self {
            Connection::Flight(client) => execute_over_flight(client, sql).await,
            Connection::Session(session) => {
                let rows = session.execute(sql).await.map_err(Failure::of)?;
                let schema = rows.schema().clone();
                let batches = rows.try_collect().await.map_err(Failure::of)?;
                Ok(Answer { schema, batches })
            }
            Connection::Turns(connections, next) => {
                let (count, word) = (connections.len(), sql.split_whitespace().next().unwrap_or_default());
                let is_of_session =
                    ["SET", "PREPARE", "DEALLOCATE"].iter().any(|known| word.eq_ignore_ascii_case(known));
                let turns = if is_of_session { count } else { 1 };
                let mut answer = Err(Failure::of("no connection"));
                for _ in 0..turns {
                    *next = (*next + 1) % count.max(1);
                    if let Some(connection) = connections.get_mut(*next) {
                        answer = Box::pin(connection.execute(sql)).await;
                    }
                }
                answer
            }
        }
    }

    /// The rows of one statement as text.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        let answer = self.execute(sql).await?;
        text::rows(&answer.batches).map_err(Failure::of)
    }
}

async fn client(address: &str) -> Result<FlightClient, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(Failure::of)?;
    Ok(FlightClient::new(endpoint.connect().await.map_err(Failure::of)?))
}

async fn execute_over_flight(client: &mut FlightClient, sql: &str) -> Result<Answer, Failure> {
    let command = CommandStatementQuery { query: sql.to_string(), transaction_id: None };
    let info = client.get_flight_info(FlightDescriptor::new_cmd(command.as_any().encode_to_vec())).await?;
    let announced = info.clone().try_decode_schema().unwrap_or_else(|_| Schema::empty());
    let mut answer = Answer { schema: announced.into(), batches: Vec::new() };
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.ok_or_else(|| Failure::of("an endpoint without a ticket"))?;
        let mut stream = client.do_get(ticket).await?;
        while let Some(batch) = stream.try_next().await? {
            answer.batches.push(batch);
        }
        if let Some(actual) = stream.schema() {
            if !answer.schema.fields().is_empty() && actual.fields() != answer.schema.fields() {
                let both = format!("announced {:?}, sent {actual:?}", answer.schema);
                return Err(Failure(format!("the schema of FlightInfo differs from the stream's: {both}")));
            }
            answer.schema = actual.clone();
        }
    }
    Ok(answer)
}

#[async_trait]
impl AsyncDB for Connection {
    type Error = Failure;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        let answer = self.execute(sql).await?;
        if answer.schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let types = answer.schema.fields().iter().map(|field| Letter::of(field.data_type())).collect();
        Ok(DBOutput::Rows { types, rows: text::rows(&answer.batches).map_err(Failure::of)? })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "tundra"
    }
}

/// How long [`eventually`] waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one integer that a query gives.
pub async fn number(connection: &mut Connection, sql: &str) -> Result<i64, Failure> {
    let rows = connection.rows(sql).await?;
    let cell = rows.first().and_then(|row| row.first()).ok_or_else(|| Failure(format!("no rows: {sql}")))?;
    cell.parse().map_err(Failure::of)
}

/// As [`number`], asked until there is an answer.
pub async fn eventually(connection: &mut Connection, sql: &str) -> Result<i64, Failure> {
    let begun = Instant::now();
    loop {
        match number(connection, sql).await {
            Err(_) if begun.elapsed() < PATIENCE => tokio::time::sleep(Duration::from_millis(100)).await,
            answer => return answer,
        }
    }
}

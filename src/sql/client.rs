//! A connection to a server over Flight SQL.

use std::pin::Pin;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{Action, BasicAuth, FlightClient, FlightDescriptor};
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::transport::Endpoint;

use crate::Failure;

/// The largest message that is accepted: a batch of the server's, not a whole result.
const MESSAGE_BYTES: usize = 1 << 30;

pub(crate) struct Client {
    flight: FlightClient,
}

/// What a client shows of itself.
#[derive(Clone)]
pub(crate) enum Login {
    Nobody,
    /// An access token or an API key.
    Token(String),
    Password {
        user: String,
        password: String,
    },
}

/// The rows of one statement; dropping them cancels it on the server.
pub(crate) struct Rows {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Pin<Box<dyn Stream<Item = Result<RecordBatch, Failure>> + Send>>,
}

impl Client {
    /// Connects to `grpc://HOST:PORT` (or `http://`, `grpc+tcp://`), and begins a session of its own where it logs in.
    pub(crate) async fn connect(url: &str, login: &Login) -> Result<Client, Failure> {
        let wrong = || format!("expected a URL such as grpc://127.0.0.1:31337, got '{url}'");
        let known = ["grpc://", "grpc+tcp://", "http://"];
        let address = known.iter().find_map(|scheme| url.strip_prefix(scheme)).ok_or_else(wrong)?;
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| wrong())?;
        let channel = endpoint.tcp_nodelay(true).connect().await.map_err(|error| {
            let cause = root_cause(&error);
            format!("cannot connect to {url}: {cause}; is the server up (tundra up)?")
        })?;
        let inner = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES);
        let mut client = Client { flight: FlightClient::new_from_inner(inner) };
        client.log_in(login).await?;
        Ok(client)
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Failure> {
        let payload = match login {
            Login::Nobody => return Ok(()),
            Login::Token(token) => {
                self.bear(token)?;
                Vec::new()
            }
            Login::Password { user, password } => {
                BasicAuth { username: user.clone(), password: password.clone() }.encode_to_vec()
            }
        };
        let session = self.flight.handshake(payload).await.map_err(plain)?;
        let session = String::from_utf8(session.to_vec()).map_err(|_| "the server gave no session")?;
        self.bear(&session)
    }

    /// Shows a token with each call from now on.
    fn bear(&mut self, token: &str) -> Result<(), Failure> {
        let bearer = format!("Bearer {token}").parse().map_err(|_| "a token is letters, digits and signs")?;
        self.flight.metadata_mut().insert("authorization", bearer);
        Ok(())
    }

    /// Ends the session, if it has one.
    pub(crate) async fn close(mut self) {
        if self.flight.metadata().contains_key("authorization") {
            // One that is not ended ends by itself.
            if let Ok(mut answer) = self.flight.do_action(Action::new("CloseSession", "")).await {
                while let Some(Ok(_)) = answer.next().await {}
            }
        }
    }

    /// Starts one statement.
    pub(crate) async fn execute(&mut self, sql: &str) -> Result<Rows, Failure> {
        let command = CommandStatementQuery { query: sql.to_string(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let info = self.flight.get_flight_info(descriptor).await.map_err(plain)?;
        let mut schema = info.clone().try_decode_schema().unwrap_or_else(|_| Schema::empty());
        let mut streams = Vec::new();
        for endpoint in info.endpoint {
            let Some(ticket) = endpoint.ticket else { continue };
            let mut stream = self.flight.do_get(ticket).await.map_err(plain)?;
            // The schema travels before the first batch; an update's may differ from the announced one.
            let first = stream.next().await.transpose().map_err(plain)?;
            if let Some(actual) = stream.schema() {
                schema = actual.as_ref().clone();
            }
            let rest = stream.map(|batch| batch.map_err(plain));
            streams.push(futures::stream::iter(first.map(Ok)).chain(rest));
        }
        let batches = futures::stream::iter(streams).flatten();
        Ok(Rows { schema: schema.into(), batches: Box::pin(batches) })
    }
}

/// The message that the server sent, without the trimmings of the transport.
fn plain(error: FlightError) -> Failure {
    match error {
        FlightError::Tonic(status) if status.message() == "transport error" => {
            let cause = root_cause(&*status);
            format!("the connection to the server is lost: {cause}; is it still up (tundra up)?").into()
        }
        FlightError::Tonic(status) if status.message().starts_with("grpc-status header missing") => {
            "this is no Flight SQL server; is it the address after flight= in its ready line?".into()
        }
        FlightError::Tonic(status) if !status.message().is_empty() => status.message().to_string().into(),
        FlightError::Tonic(status) => format!("the server answered {}", status.code()).into(),
        other => other.to_string().into(),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

//! The Flight SQL service.
//!
//! Handlers decode, call a [`Session`], encode. [`service`] holds the calls of Flight SQL; [`front`] the few
//! of plain Flight that arrow-flight leaves out; the other files one concern each.

mod actions;
mod auth;
mod front;
mod kept;
mod metadata;
mod parameters;
mod prepared;
mod service;
mod sql_info;
mod statements;
mod status;
mod tickets;
mod type_info;

use crate::coordinator::Coordinator;
use crate::result::Rows;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightServiceServer;
use front::Front;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use service::Service;
use status::to_status;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::transport::Server;

/// The largest message taken from a client: bound parameters, mostly.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// A result that is silent for so long is given an empty batch, so that proxies keep the connection.
const SILENCE: Duration = Duration::from_secs(15);

/// Data on its way to a client.
type DataStream = BoxStream<'static, Result<FlightData, Status>>;

/// Serves until `stopped` turns true.
pub(crate) fn serve(
    listener: TcpListener,
    coordinator: Arc<Coordinator>,
    mut stopped: watch::Receiver<bool>,
) -> crate::error::Result<JoinHandle<()>> {
    let service = Service::new(coordinator)?;
    Ok(tokio::spawn(async move {
        let service = FlightServiceServer::new(Front::new(service))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(usize::MAX);
        let until = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let incoming = TcpListenerStream::new(listener).inspect_ok(|socket| {
            // Small messages go out at once; a socket that cannot is no worse than before.
            let _ = socket.set_nodelay(true);
        });
        let server = Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(30)))
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .add_service(service);
        if let Err(error) = server.serve_with_incoming_shutdown(incoming, until).await {
            tracing::error!("the Flight SQL service ended: {error}");
        }
    }))
}

/// A result as Flight data: the schema, then batches.
fn encode_rows(rows: Rows) -> DataStream {
    let schema = rows.schema().clone();
    let batches = rows.map_err(|error| FlightError::Tonic(Box::new(to_status(&error))));
    encode(schema.clone(), keep_alive(schema, batches))
}

/// One batch as Flight data.
fn encode_batch(batch: RecordBatch) -> DataStream {
    encode(batch.schema(), stream::iter([Ok(batch)]))
}

fn encode(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> DataStream {
    let data = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
    data.map_err(|error| match error {
        FlightError::Tonic(status) => *status,
        other => Status::internal(other.to_string()),
    })
    .boxed()
}

/// The same batches, with empty ones where nothing comes for a while.
fn keep_alive(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + Unpin + 'static,
) -> impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static {
    stream::unfold(batches, move |mut batches| {
        let schema = schema.clone();
        async move {
            match tokio::time::timeout(SILENCE, batches.next()).await {
                Ok(next) => next.map(|batch| (batch, batches)),
                Err(_) => Some((Ok(RecordBatch::new_empty(schema)), batches)),
            }
        }
    })
}

//! Spans on their way to a collector: a bounded queue, and a task that sends what is in it.
//!
//! Nobody waits for it. What finds the queue full, or what the collector does not take, is dropped and counted.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Spans that wait at most.
const QUEUE: usize = 8_192;
/// Spans that are sent at once at most, and how long the first of them waits for others.
const BATCH: usize = 512;
const LINGER: Duration = Duration::from_secs(1);
/// How long a collector may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what has not left.
const END: Duration = Duration::from_secs(2);

/// Takes spans; cheap to clone.
#[derive(Clone)]
pub(super) struct Sender(mpsc::Sender<SpanData>);

impl Sender {
    /// Has a span sent, or drops it where too many wait.
    pub(super) fn send(&self, span: SpanData) {
        if self.0.try_send(span).is_err() {
            dropped(1, "queue");
        }
    }
}

/// A queue for so many spans, and what takes them out.
pub(super) fn queue(spans: usize) -> (Sender, mpsc::Receiver<SpanData>) {
    let (sender, queue) = mpsc::channel(spans);
    (Sender(sender), queue)
}

/// The task that sends.
pub(super) struct Exporting {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Starts it; an error where the URL, or what else OpenTelemetry's variables say, is no good. Nothing is sent yet.
    pub(super) fn start(url: &str, role: &'static str) -> Result<(Sender, Exporting), String> {
        let mut builder = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(url)
            .with_protocol(opentelemetry_otlp::Protocol::Grpc);
        let timeouts = ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"];
        if timeouts.iter().all(|name| std::env::var_os(name).is_none()) {
            builder = builder.with_timeout(ANSWER);
        }
        if url.starts_with("https:") {
            builder = builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
        }
        let mut exporter = builder.build().map_err(|error| error.to_string())?;
        exporter.set_resource(&resource(role));
        let (sender, queue) = queue(QUEUE);
        let (end, ended) = oneshot::channel();
        let task = Task { exporter, queue, url: url.into(), away: false };
        Ok((sender, Exporting { end, task: tokio::spawn(task.run(ended)) }))
    }

    /// Sends what waits, for as long as [`END`].
    pub(super) async fn end(self) {
        // A task that is gone has nothing left.
        let _ = self.end.send(());
        let _ = timeout(END, self.task).await;
    }
}

/// Who tells.
fn resource(role: &'static str) -> Resource {
    // OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME are read by the detectors of the builder.
    let builder = Resource::builder();
    let builder = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder,
        None => builder.with_service_name(role),
    };
    let own = [
        KeyValue::new("service.namespace", "tundra"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    builder.with_attributes(own).build()
}

struct Task {
    exporter: SpanExporter,
    queue: mpsc::Receiver<SpanData>,
    url: String,
    /// The collector took nothing the last time, which was told.
    away: bool,
}

impl Task {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        loop {
            let mut batch = Vec::new();
            let ends = tokio::select! {
                biased;
                taken = self.queue.recv_many(&mut batch, BATCH) => taken == 0,
                _ = &mut ended => true,
            };
            if ends {
                break;
            }
            let until = Instant::now() + LINGER;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                tokio::select! {
                    biased;
                    taken = self.queue.recv_many(&mut batch, room) => if taken == 0 { break },
                    () = tokio::time::sleep_until(until) => break,
                    _ = &mut ended => {
                        self.send(batch).await;
                        return self.send_rest().await;
                    }
                }
            }
            self.send(batch).await;
        }
        self.send_rest().await;
    }

    /// What waits by now.
    async fn send_rest(&mut self) {
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH
                && let Ok(span) = self.queue.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let count = batch.len() as u64;
        match self.exporter.export(batch).await {
            Ok(()) => {
                metrics::counter!("tundra_trace_spans_sent_total").increment(count);
                if std::mem::take(&mut self.away) {
                    tracing::warn!("the collector at {} takes traces again", self.url);
                }
            }
            Err(error) => {
                dropped(count, "collector");
                if !std::mem::replace(&mut self.away, true) {
                    tracing::warn!(
                        "the collector at {} takes no traces, which are dropped until it does: {error}",
                        self.url
                    );
                }
            }
        }
    }
}

fn dropped(spans: u64, why: &'static str) {
    metrics::counter!("tundra_trace_spans_dropped_total", "why" => why).increment(spans);
}

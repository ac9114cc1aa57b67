//! A collector of OTLP over gRPC, which keeps what it is sent.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// A span as it was told; identities in hexadecimal digits.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) service: String,
    pub(crate) process: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty: none.
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) is_server: bool,
    pub(crate) begins: u64,
    pub(crate) ends: u64,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) failure: String,
}

impl Told {
    /// Empty where there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn number(&self, name: &str) -> i64 {
        self.attribute(name).parse().unwrap_or_else(|_| panic!("{name} of {self:#?}"))
    }

    /// All that it says.
    pub(crate) fn text(&self) -> String {
        format!("{self:?}")
    }
}

pub(crate) struct Collector {
    pub(crate) url: String,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Collector {
    pub(crate) fn start(runtime: &Runtime) -> Collector {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let service = TraceServiceServer::new(Taker(told.clone()));
        let server = Server::builder().add_service(service);
        runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Collector { url, told }
    }

    /// What it was told, in the order in which spans began.
    pub(crate) fn told(&self) -> Vec<Told> {
        let mut told = self.told.lock().unwrap().clone();
        told.sort_by_key(|span| span.begins);
        told
    }
}

struct Taker(Arc<Mutex<Vec<Told>>>);

#[tonic::async_trait]
impl TraceService for Taker {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_process in request.into_inner().resource_spans {
            let resource = attributes(of_process.resource.unwrap_or_default().attributes);
            let named = |name: &str| {
                resource
                    .iter()
                    .find(|(known, _)| known == name)
                    .map_or(String::new(), |(_, value)| value.clone())
            };
            let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| Told {
                service: named("service.name"),
                process: named("process.pid"),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                is_server: span.kind() == SpanKind::Server,
                name: span.name,
                begins: span.start_time_unix_nano,
                ends: span.end_time_unix_nano,
                attributes: attributes(span.attributes),
                failure: span.status.map_or(String::new(), |status| status.message),
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}

fn attributes(of: Vec<KeyValue>) -> Vec<(String, String)> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    };
    of.into_iter().map(|one| (one.key, text(one.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

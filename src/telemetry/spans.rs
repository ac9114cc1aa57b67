//! Spans of `tracing` as OpenTelemetry has them.
//!
//! Who begins a trace decides whether it is kept: a caller by its `traceparent`, else chance. Of one that is not kept nothing is
//! written down. Fields become attributes, but for a few that say what a span is: `traceparent` (the parent elsewhere),
//! `otel.name`, `otel.kind`, and `error` (it failed, and why).

use std::fmt::Debug;
use std::time::{Instant, SystemTime};

use flight_proto::trace::{self, TraceParent};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue, Value};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::export::Sender;

/// The most bytes of an attribute.
const TEXT_BYTES: usize = 4_096;

/// Has the spans of traces that are kept sent.
pub(super) struct Traces {
    sender: Sender,
    /// Traces whose last 8 bytes are below are kept, of those that nobody else decided on.
    keep_below: u64,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
}

impl Traces {
    pub(super) fn new(sender: Sender, ratio: f64) -> Traces {
        // A float of 1 times the most there is would be one too many: it is bounded.
        let keep_below = (ratio * u64::MAX as f64) as u64;
        trace::read_by(identity);
        let scope = InstrumentationScope::builder("tundra").with_version(env!("CARGO_PKG_VERSION")).build();
        Traces { sender, keep_below, ids: RandomIdGenerator::default(), scope }
    }

    /// For the spans that are meant for it, and no others.
    pub(super) fn filtered<S>(self) -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let ours: fn(&Metadata<'_>) -> bool =
            |metadata| metadata.is_span() && [trace::CALL, trace::WORK].contains(&metadata.target());
        // All others stay as cheap as they are without it.
        self.with_filter(FilterFn::new(ours).with_max_level_hint(LevelFilter::INFO))
    }

    /// The trace of a span, its parent's number, and whether that is elsewhere.
    fn place<S>(
        &self,
        metadata: &Metadata<'_>,
        sent: Option<TraceParent>,
        parent: Option<TraceParent>,
    ) -> Place
    where
        S: Subscriber,
    {
        let span = u64::from_be_bytes(self.ids.new_span_id().to_bytes());
        match (sent, parent) {
            (Some(sent), _) => Place { own: TraceParent { span, ..sent }, parent: sent.span, remote: true },
            (None, Some(parent)) => {
                Place { own: TraceParent { span, ..parent }, parent: parent.span, remote: false }
            }
            (None, None) => {
                let trace = u128::from_be_bytes(self.ids.new_trace_id().to_bytes());
                let begins = metadata.target() == trace::CALL;
                let sampled = begins && (self.keep_below == u64::MAX || (trace as u64) < self.keep_below);
                Place { own: TraceParent { trace, span, sampled }, parent: 0, remote: false }
            }
        }
    }
}

/// Where a span stands.
struct Place {
    own: TraceParent,
    /// 0: none.
    parent: u64,
    remote: bool,
}

/// What is kept of an open span beside others' extensions.
struct Open {
    own: TraceParent,
    /// `None`: its trace is not kept.
    kept: Option<Box<Kept>>,
}

struct Kept {
    parent: u64,
    remote: bool,
    began: SystemTime,
    since: Instant,
    told: Told,
}

/// The identity of a span, for those who tell others.
fn identity(span: &tracing::Span) -> Option<TraceParent> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        span.extensions().get::<Open>().map(|open| open.own)
    });
    found.flatten()
}

impl<S> Layer<S> for Traces
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut told = Told::default();
        attributes.record(&mut told);
        let parent = span.parent().and_then(|parent| parent.extensions().get::<Open>().map(|open| open.own));
        let place = self.place::<S>(attributes.metadata(), told.sent.take(), parent);
        let kept = place.own.sampled.then(|| {
            let (parent, remote) = (place.parent, place.remote);
            Box::new(Kept { parent, remote, began: SystemTime::now(), since: Instant::now(), told })
        });
        span.extensions_mut().insert(Open { own: place.own, kept });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(kept) = span.extensions_mut().get_mut::<Open>().and_then(|open| open.kept.as_mut()) {
            values.record(&mut kept.told);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(Open { own, kept: Some(kept) }) = span.extensions_mut().remove::<Open>() else { return };
        let Kept { parent, remote, began, since, told } = *kept;
        self.sender.send(SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(own.trace.to_be_bytes()),
                SpanId::from_bytes(own.span.to_be_bytes()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from_bytes(parent.to_be_bytes()),
            parent_span_is_remote: remote,
            span_kind: told.kind,
            name: told.name.map_or_else(|| span.name().into(), Into::into),
            start_time: began,
            end_time: began + since.elapsed(),
            attributes: told.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: told.status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// What the fields of a span say.
struct Told {
    sent: Option<TraceParent>,
    name: Option<String>,
    kind: SpanKind,
    status: Status,
    attributes: Vec<KeyValue>,
}

impl Default for Told {
    fn default() -> Told {
        let (status, attributes) = (Status::Unset, Vec::new());
        Told { sent: None, name: None, kind: SpanKind::Internal, status, attributes }
    }
}

impl Told {
    fn add(&mut self, field: &Field, value: Value) {
        // What OpenTelemetry has no name for is in a space of our own.
        let key = match field.name() {
            name if name.contains('.') => Key::from_static_str(name),
            name => Key::from(format!("tundra.{name}")),
        };
        match self.attributes.iter_mut().find(|known| known.key == key) {
            Some(known) => known.value = value,
            None => self.attributes.push(KeyValue::new(key, value)),
        }
    }

    fn text(&mut self, field: &Field, text: &str) {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES)];
        match field.name() {
            "traceparent" => self.sent = TraceParent::parse(text),
            "otel.name" => self.name = Some(text.into()),
            "otel.kind" if text == "server" => self.kind = SpanKind::Server,
            "otel.kind" => {}
            "error" => self.status = Status::error(text.to_string()),
            _ if text.is_empty() => {}
            _ => self.add(field, Value::String(text.to_string().into())),
        }
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

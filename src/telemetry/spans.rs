//! Spans of `tracing` as OpenTelemetry has them.
//!
//! Who begins a trace decides whether it is kept: a caller by its `traceparent`, else chance. Of one that is not kept nothing is
//! written down. Fields become attributes, but for a few that say what a span is: `traceparent` (the parent elsewhere),
//! `otel.name`, `otel.kind`, and `error` (it failed, and why).

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
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
    callers: Callers,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
}

impl Traces {
    pub(super) fn new(sender: Sender, ratio: f64) -> Traces {
        // A float of 1 times the most there is would be one too many: it is bounded.
        let keep_below = (ratio * u64::MAX as f64) as u64;
        trace::read_by(identity);
        let scope = InstrumentationScope::builder("tundra").with_version(env!("CARGO_PKG_VERSION")).build();
        Traces { sender, keep_below, callers: Callers::new(), ids: RandomIdGenerator::default(), scope }
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
    fn place(
        &self,
        metadata: &Metadata<'_>,
        sent: Option<TraceParent>,
        parent: Option<TraceParent>,
    ) -> Place {
        let span = u64::from_be_bytes(self.ids.new_span_id().to_bytes());
        match (sent, parent) {
            (Some(sent), _) => {
                let by_chance = || (sent.trace as u64) < self.keep_below;
                let sampled = sent.sampled && (self.callers.may_decide() || by_chance());
                Place { own: TraceParent { span, sampled, ..sent }, parent: sent.span, remote: true }
            }
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

/// How many spans callers have kept this second: whoever reaches a port may ask for that.
struct Callers {
    begun: Instant,
    /// The second since then, and the spans of it.
    kept: AtomicU64,
}

impl Callers {
    /// Spans of theirs that are kept a second.
    const MOST: u64 = 1_000;

    fn new() -> Callers {
        Callers { begun: Instant::now(), kept: AtomicU64::new(0) }
    }

    fn may_decide(&self) -> bool {
        let second = self.begun.elapsed().as_secs() << 32;
        let next = |kept: u64| if kept >> 32 == second >> 32 { kept + 1 } else { second + 1 };
        let (one, other) = (Ordering::Relaxed, Ordering::Relaxed);
        let before = self.kept.fetch_update(one, other, |kept| Some(next(kept)));
        before.is_ok_and(|before| next(before) - second <= Callers::MOST)
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
        let place = self.place(attributes.metadata(), told.sent.take(), parent);
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

#[cfg(test)]
mod tests {
    use flight_proto::work;
    use tracing::{Span, info_span};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::telemetry::export;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// What is sent of `work`, where such a share of traces is kept.
    fn sent(ratio: f64, work: impl FnOnce()) -> Vec<SpanData> {
        let (sender, mut queue) = export::queue(64);
        let layer = Traces::new(sender, ratio).filtered();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        std::iter::from_fn(|| queue.try_recv().ok()).collect()
    }

    fn call(traceparent: &str) -> Span {
        info_span!(target: trace::CALL, parent: None, "call", otel.name = "DoGet", otel.kind = "server", traceparent, tenant = "acme", error = tracing::field::Empty)
    }

    fn traced(traceparent: &str) {
        let call = call(traceparent);
        let kept = trace::kept(call.clone());
        let inner = work!(&kept, "inner", rows = 1_u64);
        inner.record("rows", 2_u64);
        // What travels to another process, and comes from there.
        let elsewhere = trace::sent(&kept);
        info_span!(target: trace::WORK, parent: None, "elsewhere", traceparent = elsewhere);
        drop(inner);
        call.record("error", "it failed");
    }

    #[test]
    fn a_caller_decides_for_its_trace() {
        for ratio in [0.0, 1.0] {
            let spans = sent(ratio, || traced(SENT));
            let [elsewhere, inner, call] = &spans[..] else { panic!("{spans:#?}") };
            let sent = TraceParent::parse(SENT).unwrap();
            for span in &spans {
                assert_eq!(span.span_context.trace_id().to_bytes(), sent.trace.to_be_bytes());
            }
            assert_eq!(call.parent_span_id.to_bytes(), sent.span.to_be_bytes());
            assert_eq!((call.name.as_ref(), &call.span_kind), ("DoGet", &SpanKind::Server));
            assert_eq!((inner.parent_span_id, inner.name.as_ref()), (call.span_context.span_id(), "inner"));
            assert_eq!(elsewhere.parent_span_id, call.span_context.span_id());
            assert!(
                call.parent_span_is_remote && elsewhere.parent_span_is_remote && !inner.parent_span_is_remote
            );
            assert_eq!(call.attributes, [KeyValue::new("tundra.tenant", "acme")]);
            assert_eq!(inner.attributes, [KeyValue::new("tundra.rows", 2)]);
            assert_eq!(call.status, Status::error("it failed"));
            assert_eq!(sent.to_string(), SENT);
        }
        assert_eq!(sent(1.0, || traced(&SENT.replace("-01", "-00"))), []);
    }

    #[test]
    fn chance_decides_for_the_others() {
        assert_eq!(sent(0.0, || traced("")), []);
        // What is malformed is as none.
        for traceparent in ["", "00-xyz"] {
            let spans = sent(1.0, || traced(traceparent));
            assert_eq!((spans.len(), spans[2].parent_span_id), (3, SpanId::INVALID));
        }
        let kept = sent(0.25, || (0..200).for_each(|_| drop(call("")))).len();
        // 64 have room.
        assert!((20..=64).contains(&kept), "{kept}");
        // Work begins no trace, and neither does what is not meant for it.
        let none = sent(1.0, || {
            info_span!(target: trace::WORK, parent: None, "work");
            info_span!("other");
        });
        assert_eq!(none, []);
    }
}

//! Traces: how those who work for one call say what belongs together.
//!
//! Everything below the binary says what it does as spans of `tracing`, with the targets given here; the binary sends them
//! to a collector, where one is configured. Between processes their identity travels as W3C's Trace Context (`traceparent`)
//! has it, in headers and messages.

use std::fmt;
use std::sync::OnceLock;
use tracing::Span;

/// The target of spans by which a trace may begin: calls from outside, and what nobody asked for.
pub const CALL: &str = "tundra::call";
/// The target of spans that are told only within a trace.
pub const WORK: &str = "tundra::work";

/// A span as others know it: the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Never 0.
    pub trace: u128,
    /// Never 0.
    pub span: u64,
    /// The trace is kept.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads a header; `None` where it is malformed, which W3C's text has everybody ignore.
    pub fn parse(text: &str) -> Option<TraceParent> {
        let text = text.trim();
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Later versions may have more parts; the version 255 is none.
        let known = version == "00" && parts.next().is_none();
        if !(known || hex(version, 2).is_some_and(|version| (1..255).contains(&version))) {
            return None;
        }
        let trace = hex(trace, 32).filter(|&trace| trace != 0)?;
        let span = hex(span, 16).filter(|&span| span != 0)? as u64;
        Some(TraceParent { trace, span, sampled: hex(flags, 2)? & 1 == 1 })
    }
}

/// A number of so many digits, in small letters.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let small = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (text.len() == digits && small).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Who knows the identity of a span.
type Reader = fn(&Span) -> Option<TraceParent>;
static READER: OnceLock<Reader> = OnceLock::new();

/// Says who gives spans their identity; the first one counts.
pub fn read_by(reader: Reader) {
    // Whoever comes later would read the same.
    let _ = READER.set(reader);
}

/// Whether anybody listens.
pub fn is_heard() -> bool {
    READER.get().is_some()
}

/// The identity of a span, where it has one.
pub fn of(span: &Span) -> Option<TraceParent> {
    READER.get()?(span)
}

/// The span, where its trace is kept, and none otherwise: below that one [`work!`](crate::work) costs nothing.
pub fn kept(span: Span) -> Span {
    if of(&span).is_some_and(|parent| parent.sampled) { span } else { Span::none() }
}

/// As [`kept`], of the span that is entered.
pub fn current() -> Span {
    // Without a reader nothing is kept, and nothing need be looked up.
    if is_heard() { kept(Span::current()) } else { Span::none() }
}

/// What others are sent of a span that [`kept`] gave: empty for none.
pub fn sent(kept: &Span) -> String {
    let parent = if kept.is_disabled() { None } else { of(kept) };
    parent.map(|parent| parent.to_string()).unwrap_or_default()
}

/// The span of a call of an HTTP API.
pub fn http_call(method: &str, path: &str, traceparent: &str) -> Span {
    tracing::info_span!(
        target: CALL,
        parent: None,
        "call",
        otel.name = method,
        otel.kind = "server",
        http.request.method = method,
        url.path = path,
        traceparent,
        http.response.status_code = tracing::field::Empty,
        error = tracing::field::Empty,
    )
}

/// What came of a call of an HTTP API.
pub fn http_answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("error", "the answer says why");
    }
}

/// A span below another one that [`kept`] gave: name and fields as those of `tracing`'s macros.
#[macro_export]
macro_rules! work {
    ($parent:expr, $($rest:tt)+) => {{
        let parent: &::tracing::Span = $parent;
        match parent.is_disabled() {
            true => ::tracing::Span::none(),
            false => ::tracing::info_span!(target: $crate::trace::WORK, parent: parent, $($rest)+),
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_well_formed_is_read_and_written_alike() {
        let read = TraceParent::parse(GOOD).unwrap();
        let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
        assert_eq!(read, TraceParent { trace, span: 0xb7ad_6b71_6920_3331, sampled: true });
        assert_eq!(read.to_string(), GOOD);
        assert!(!TraceParent::parse(&GOOD.replace("-01", "-00")).unwrap().sampled);
        // Other flags mean nothing here, and later versions may say more.
        assert!(TraceParent::parse(&GOOD.replace("-01", "-ff")).unwrap().sampled);
        assert_eq!(TraceParent::parse(&format!("cc{}-what-the-future", &GOOD[2..])), Some(read));
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let later = format!("{GOOD}-more");
        let no_version = format!("ff{}", &GOOD[2..]);
        let large = GOOD.to_uppercase();
        for text in [
            "",
            "00",
            "00-1-2-3",
            &GOOD[1..],
            &GOOD[..54],
            zero_trace,
            zero_span,
            &later,
            &no_version,
            &large,
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
        assert_eq!(TraceParent::parse("00-ä-ä-ä"), None);
    }
}

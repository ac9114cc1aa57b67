//! Log lines: as text for people, or as JSON. Those that concern a query have its `query_id` and its `tenant` as fields.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;

/// What lines take from the spans that they stand in.
const OF_QUERIES: [&str; 2] = ["query_id", "tenant"];

/// The filter, letting the spans of queries through besides.
pub(super) fn with_queries(filter: EnvFilter) -> EnvFilter {
    let targets = ["tundra::call=error", "tundra::work=error"];
    let directives = targets.iter().filter_map(|directive| directive.parse().ok());
    directives.fold(filter, EnvFilter::add_directive)
}

/// Keeps of a span's fields those that name its query.
pub(super) struct Query(pub(super) LogFormat);

impl<'writer> FormatFields<'writer> for Query {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut found = Fields { only: Some(&OF_QUERIES), ..Fields::default() };
        fields.record(&mut found);
        write_fields(&mut writer, self.0, &found.values)
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        self.format_fields(current.as_writer(), fields)
    }
}

/// Writes lines.
pub(super) struct Line(pub(super) LogFormat);

impl<S, F> FormatEvent<S, F> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    F: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, F>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = match fields.values.remove("message") {
            Some(Value::String(message)) => message,
            other => other.map(|other| other.to_string()).unwrap_or_default(),
        };
        // The innermost span that names a query.
        let spans = context.event_scope().into_iter().flatten();
        let query = spans.filter_map(|span| {
            let extensions = span.extensions();
            let written = extensions.get::<FormattedFields<F>>()?.fields.clone();
            (!written.is_empty()).then_some(written)
        });
        let named = fields.values.keys().any(|name| OF_QUERIES.contains(&name.as_str()));
        let query = if named { None } else { query.into_iter().next() };
        let metadata = event.metadata();
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        match self.0 {
            LogFormat::Text => {
                let (dim, bold, end) = match writer.has_ansi_escapes() {
                    true => ("\x1b[2m", colour(metadata.level()), "\x1b[0m"),
                    false => ("", "", ""),
                };
                let (level, target) = (metadata.level(), metadata.target());
                write!(writer, "{dim}{time}{end} {bold}{level:>5}{end} {dim}{target}:{end} {message}")?;
            }
            LogFormat::Json => {
                let texts = [
                    ("timestamp", time.as_str()),
                    ("level", metadata.level().as_str()),
                    ("target", metadata.target()),
                    ("message", &message),
                ];
                let mut before = '{';
                for (name, text) in texts {
                    write!(writer, "{before}\"{name}\":{}", Value::from(text))?;
                    before = ',';
                }
                // These are written already.
                texts.iter().for_each(|(name, _)| drop(fields.values.remove(*name)));
            }
        }
        write_fields(&mut writer, self.0, &fields.values)?;
        writer.write_str(query.as_deref().unwrap_or_default())?;
        writer.write_str(if self.0 == LogFormat::Json { "}\n" } else { "\n" })
    }
}

/// Each field with what divides it from what stands before.
fn write_fields(writer: &mut Writer<'_>, format: LogFormat, fields: &Map<String, Value>) -> fmt::Result {
    for (name, value) in fields {
        match (format, value) {
            (LogFormat::Json, value) => write!(writer, ",{}:{value}", Value::from(name.as_str()))?,
            (LogFormat::Text, Value::String(text)) if is_plain(text) => write!(writer, " {name}={text}")?,
            (LogFormat::Text, value) => write!(writer, " {name}={value}")?,
        }
    }
    Ok(())
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| !letter.is_whitespace() && letter != '"')
}

fn colour(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[34m",
    }
}

/// The fields of an event or a span.
#[derive(Default)]
struct Fields {
    values: Map<String, Value>,
    /// The names that are wanted; `None`: all.
    only: Option<&'static [&'static str]>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        if self.wants(field) {
            self.values.insert(field.name().into(), value.into());
        }
    }

    fn wants(&self, field: &Field) -> bool {
        self.only.is_none_or(|only| only.contains(&field.name()))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.wants(field) {
            self.add(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of `work`, a line each.
    fn lines(format: LogFormat, filter: &str, work: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let to = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || to.clone())
            .with_ansi(false)
            .fmt_fields(Query(format))
            .event_format(Line(format))
            .with_filter(with_queries(EnvFilter::new(filter)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_string).collect()
    }

    fn some() {
        let query = tracing::error_span!(target: "tundra::call", "statement", query_id = "00ff", tenant = "acme", sql = "hidden");
        query.in_scope(|| {
            let inner = tracing::error_span!(target: "tundra::work", "inner", other = 1);
            inner.in_scope(|| tracing::warn!(rows = 3, path = "a b", "it \"failed\"\nand again"));
            tracing::info!("not told");
        });
        tracing::error!(target: "tundra::call", "of no query");
        query.in_scope(|| tracing::warn!(tenant = "other", "of another"));
    }

    #[test]
    fn json_lines_name_query_and_tenant() {
        // Also where nothing else of these targets is wanted.
        for filter in ["warn", "tundra=warn"] {
            let lines = lines(LogFormat::Json, filter, some);
            let read: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(read.len(), 3, "{lines:?}");
            let first = &read[0];
            assert_eq!((&first["query_id"], &first["tenant"]), (&"00ff".into(), &"acme".into()));
            assert_eq!(first["message"], "it \"failed\"\nand again");
            assert_eq!((&first["level"], &first["rows"]), (&"WARN".into(), &3.into()));
            assert!(first.get("sql").is_none() && first.get("other").is_none(), "{first}");
            assert!(read[1].get("query_id").is_none(), "{}", read[1]);
            // Its own word counts, and no key comes twice.
            assert_eq!(read[2]["tenant"], "other");
            assert_eq!(lines[2].matches("tenant").count(), 1);
        }
    }

    #[test]
    fn text_lines_have_the_same_as_fields() {
        let lines = lines(LogFormat::Text, "warn", some);
        // The message is whole, over two lines.
        let first = format!("{}\n{}", lines[0], lines[1]);
        let end = "it \"failed\"\nand again path=\"a b\" rows=3 query_id=00ff tenant=acme";
        assert!(first.ends_with(end) && first.contains(" WARN "), "{first}");
        assert!(lines[2].ends_with("tundra::call: of no query"), "{}", lines[2]);
    }
}

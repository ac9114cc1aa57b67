//! What a process tells of itself while it serves: log lines on stderr, traces to a collector, and metrics to whoever asks.
//!
//! Everything below says what it does as spans and events of `tracing`; only here is it known where these go. Traces leave in
//! the background: nothing waits for a collector, and without `--otlp-endpoint` no span is made for them.

mod export;
mod lines;
pub(crate) mod metrics;
mod spans;

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::Failure;
use export::Exporting;

/// Of every command that serves.
#[derive(Args, Clone)]
pub(crate) struct TelemetryOptions {
    /// Send traces to this OTLP/gRPC collector, such as http://127.0.0.1:4317 [default: none]
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = endpoint)]
    otlp_endpoint: Option<Endpoint>,
    /// Share of the traces that is kept, 0 to 1; a caller's traceparent decides for its own
    #[arg(long, value_name = "RATIO", default_value = "0.1", value_parser = ratio)]
    trace_sample: f64,
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// An object a line
    Json,
}

/// Where traces go; none where the text is empty, as the environment's may be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint(Option<String>);

impl TelemetryOptions {
    /// The same as arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let format = if self.log_format == LogFormat::Json { "json" } else { "text" };
        let mut arguments = vec!["--log-format".into(), format.into()];
        arguments.extend(["--trace-sample".into(), self.trace_sample.to_string()]);
        if let Some(url) = self.url() {
            arguments.extend(["--otlp-endpoint".into(), url.into()]);
        }
        arguments
    }

    fn url(&self) -> Option<&str> {
        self.otlp_endpoint.as_ref()?.0.as_deref()
    }

    /// Sets up where log lines and traces go, within the runtime that sends them. `role` names the process to the collector.
    pub(crate) fn begin(&self, role: &'static str) -> Result<Telemetry, Failure> {
        let exporting = self.url().map(|url| Exporting::start(url, role)).transpose();
        let exporting = exporting.map_err(|why| format!("--otlp-endpoint: {why}"))?;
        let (sender, exporting) = exporting.unzip();
        let traces = sender.map(|sender| spans::Traces::new(sender, self.trace_sample).filtered());
        let log = EnvFilter::try_from_env("TUNDRA_LOG")
            // openraft warns of every message that a node which is away does not answer.
            .unwrap_or_else(|_| EnvFilter::new("warn,openraft=error"));
        // Whatever is logged, it is known for which query.
        let log = lines::with_queries(log);
        let colours = std::io::stderr().is_terminal() && self.log_format == LogFormat::Text;
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(colours)
            .fmt_fields(lines::Query(self.log_format))
            .event_format(lines::Line(self.log_format))
            .with_filter(log);
        tracing_subscriber::registry().with(lines).with(traces).init();
        Ok(Telemetry { exporting })
    }
}

/// What is to be ended with the process.
pub(crate) struct Telemetry {
    exporting: Option<Exporting>,
}

impl Telemetry {
    /// Sends what has not left yet, and gives up soon.
    pub(crate) async fn end(self) {
        if let Some(exporting) = self.exporting {
            exporting.end().await;
        }
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Endpoint(None));
    }
    let example = "expected a URL such as http://127.0.0.1:4317 or https://collector.example:4317";
    // Without what may be a password.
    let shown = text.rsplit('@').next().unwrap_or_default();
    let url = reqwest::Url::parse(text).map_err(|error| format!("{example}, got '{shown}': {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{example}, got '{shown}'"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "{example}, without a name or a password, got one at '{shown}': keys go into OTEL_EXPORTER_OTLP_HEADERS"
        ));
    }
    Ok(Endpoint(Some(text.into())))
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("expected a number from 0 (none) to 1 (all), such as 0.05, got '{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(endpoint(" "), Ok(Endpoint(None)));
        assert_eq!(endpoint("http://[::1]:4317"), Ok(Endpoint(Some("http://[::1]:4317".into()))));
        for text in ["127.0.0.1:4317", "localhost:4317", "file:///x", "http://", "grpc://a:1", "http://a:b"] {
            assert!(endpoint(text).unwrap_err().contains("expected a URL such as"), "{text}");
        }
        let secret = endpoint("https://ann:geheim@a.example:4317").unwrap_err();
        assert!(secret.contains("OTEL_EXPORTER_OTLP_HEADERS") && !secret.contains("geheim"), "{secret}");
        assert_eq!((ratio("0"), ratio("1"), ratio("0.25")), (Ok(0.0), Ok(1.0), Ok(0.25)));
        for text in ["-0.1", "1.1", "NaN", "10%", ""] {
            assert!(ratio(text).unwrap_err().contains("from 0 (none) to 1 (all)"), "{text}");
        }
    }

    #[test]
    fn another_process_gets_the_same() {
        let options = TelemetryOptions {
            otlp_endpoint: Some(Endpoint(Some("http://a:1".into()))),
            trace_sample: 0.5,
            log_format: LogFormat::Json,
        };
        let words = ["--log-format", "json", "--trace-sample", "0.5", "--otlp-endpoint", "http://a:1"];
        assert_eq!(options.arguments(), words);
    }
}

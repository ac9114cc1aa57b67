//! Metrics for Prometheus: of the process, whatever roles it has, and the page of a role without another HTTP service.

use std::net::SocketAddr;

use ::coordinator::metrics::{for_everybody, recorder};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Failure;

/// Gathers metrics from now on; gives what reads them.
pub(crate) fn gather() -> fn() -> Option<String> {
    let _ = recorder();
    text
}

/// The process's metrics as text, but for those that name a tenant; `None` where they are not gathered.
fn text() -> Option<String> {
    recorder().map(|recorder| for_everybody(&recorder.render()))
}

/// A page that is about to be served: its port is taken, and metrics are gathered.
pub(crate) struct Page {
    listener: TcpListener,
    address: SocketAddr,
    text: fn() -> Option<String>,
}

impl Page {
    /// Listens at `HOST:PORT`; port 0 takes a free one.
    pub(crate) async fn listen(address: &str) -> Result<Page, Failure> {
        let failed = |error| format!("--http: cannot listen on {address}: {error}");
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Page { listener, address, text: gather() })
    }

    /// Where it is served, with the real port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `/metrics`, `/healthz`, and `/readyz` by what `is_ready` says, until the task is aborted.
    pub(crate) fn serve(self, is_ready: impl Fn() -> bool + Clone + Send + Sync + 'static) -> JoinHandle<()> {
        let ready = move || async move {
            match is_ready() {
                true => (StatusCode::OK, "ready\n"),
                false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            }
        };
        let Page { listener, text, .. } = self;
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(move || async move { page(text()) }));
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!("the HTTP service ended: {error}");
            }
        })
    }
}

fn page(text: Option<String>) -> Response {
    match text {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "metrics are not gathered\n").into_response(),
    }
}

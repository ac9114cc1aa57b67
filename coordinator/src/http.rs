//! HTTP for those who run the process: `/healthz`, `/readyz`, `/metrics`, and the Admin API.

use crate::admin;
use crate::coordinator::Coordinator;
use crate::metrics;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Whether statements are served; set once they are.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<OnceLock<Arc<Coordinator>>>);

impl Readiness {
    pub(crate) fn set(&self, coordinator: Arc<Coordinator>) {
        // It is set once, at the end of starting.
        let _ = self.0.set(coordinator);
    }

    /// The coordinator, while it serves.
    pub(crate) fn coordinator(&self) -> Option<Arc<Coordinator>> {
        self.0.get().filter(|coordinator| !coordinator.is_stopping()).cloned()
    }
}

/// Serves until `stopped` turns true.
pub(crate) fn serve(
    listener: TcpListener,
    readiness: Readiness,
    recorder: Option<PrometheusHandle>,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let router = router(readiness, recorder);
    tokio::spawn(async move {
        let until = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
            tracing::error!("the HTTP service ended: {error}");
        }
    })
}

fn router(readiness: Readiness, recorder: Option<PrometheusHandle>) -> Router {
    let api = admin::router(readiness.clone());
    let measured = readiness.clone();
    let ready = move || async move {
        match readiness.coordinator().is_some() {
            true => (StatusCode::OK, "ready\n"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        }
    };
    let metrics = move |headers: HeaderMap| async move {
        match recorder {
            Some(recorder) => {
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
                let text = recorder.render();
                let by_operator = match measured.coordinator() {
                    Some(coordinator) => admin::log_in(&coordinator, &headers).is_ok(),
                    None => false,
                };
                (kind, if by_operator { text } else { metrics::for_everybody(&text) }).into_response()
            }
            None => (StatusCode::SERVICE_UNAVAILABLE, "metrics are not gathered\n").into_response(),
        }
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(api)
}

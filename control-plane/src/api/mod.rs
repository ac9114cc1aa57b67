//! The REST API: JSON below `/api/v1`, its description at `/openapi.json`, a page of it at `/docs`.
//!
//! Handlers decode, call, encode. Any instance answers any call.

mod audit;
mod credentials;
mod issuers;
mod keys;
mod login;
mod routes;
mod scaling;
mod schedules;
mod status;
mod tenants;
mod tokens;
mod usage;

use crate::cluster::Cluster;
use crate::config::{Login, Metrics};
use crate::database::Database;
use crate::error::Error;
use crate::lease::Lease;
use axum::extract::Request;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use flight_proto::admin::Failure;
use flight_proto::sealed::SecretKeys;
use flight_proto::trace;
use std::sync::Arc;
use tracing::Instrument;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A self-contained page, which draws `/openapi.json`.
const PAGE: &str = include_str!("page.html");

#[derive(OpenApi)]
#[openapi(info(
    title = "Tundra control plane",
    description = "Decides who may use a cluster, and how much; coordinators act on what it has published. Any instance answers \
                   any call. Where operators are configured, calls show one of them by Basic authentication."
))]
struct Description;

/// What handlers work with.
pub(crate) struct Api {
    pub(crate) database: Arc<Database>,
    pub(crate) lease: Arc<Lease>,
    pub(crate) operators: Vec<Login>,
    /// For the keys of OpenID providers.
    pub(crate) http: reqwest::Client,
    /// The coordinators that are published to, where there are any.
    pub(crate) cluster: Option<Arc<dyn Cluster>>,
    /// What `/metrics` gives.
    pub(crate) metrics: Option<Metrics>,
    /// What secrets are encrypted with before they are kept.
    pub(crate) secret_keys: SecretKeys,
}

/// The routes of the API, of its description and of its page.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let (routes, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(tenants::list))
        .routes(routes!(tenants::show, tenants::put, tenants::delete))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::resume))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(routes::show, routes::put, routes::delete))
        .routes(routes!(credentials::show, credentials::put, credentials::delete))
        .routes(routes!(tokens::create))
        .routes(routes!(issuers::list, issuers::put, issuers::delete))
        .routes(routes!(issuers::rotate))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(audit::losses))
        .routes(routes!(status::show))
        .routes(routes!(scaling::list))
        .routes(routes!(scaling::show, scaling::put, scaling::delete))
        .routes(routes!(scaling::show_status))
        .routes(routes!(scaling::history))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::show, schedules::put, schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::history))
        .routes(routes!(usage::show))
        .routes(routes!(usage::list_prices, usage::set_prices))
        .routes(routes!(usage::list_budgets))
        .routes(routes!(usage::put_budget, usage::remove_budget))
        .split_for_parts();
    let metrics = api.metrics.clone();
    routes
        .route("/.well-known/jwks.json", get(issuers::jwks))
        .with_state(api)
        .layer(middleware::from_fn(traced))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/metrics", get(|| async move { gathered(metrics.as_ref()) }))
        .route("/openapi.json", get(|| async move { Json(description) }))
        .route("/docs", get(|| async { Html(PAGE) }))
        .fallback(unknown)
}

/// Answers a call of the API within a span of its own.
async fn traced(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/") {
        return next.run(request).await;
    }
    let sent = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let span = trace::http_call(request.method().as_str(), path, sent);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = next.run(request).instrument(span.clone()).await;
    trace::http_answered(&span, response.status().as_u16());
    crate::metrics::call_answered(reads, response.status().as_u16());
    response
}

fn gathered(metrics: Option<&Metrics>) -> Response {
    match metrics.and_then(|text| text()) {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "metrics are not gathered\n").into_response(),
    }
}

async fn unknown(method: Method, uri: Uri) -> Failed {
    Error::NotFound(format!("there is no {method} {}; /docs lists what there is", uri.path())).into()
}

/// An error, as the API tells it.
pub(crate) struct Failed(Error);

pub(crate) type Result<T> = std::result::Result<T, Failed>;

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed(error)
    }
}

impl From<JsonRejection> for Failed {
    fn from(rejection: JsonRejection) -> Failed {
        Failed(Error::Invalid(rejection.body_text()))
    }
}

impl From<QueryRejection> for Failed {
    fn from(rejection: QueryRejection) -> Failed {
        Failed(Error::Invalid(rejection.body_text()))
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Error::Invalid(_) => StatusCode::BAD_REQUEST,
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::Denied(_) => StatusCode::FORBIDDEN,
            Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Error::Provider(_) | Error::Cluster(_) | Error::NotTaken(_) => StatusCode::BAD_GATEWAY,
            Error::Database(_) | Error::Environment(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Damaged(_) | Error::Migration(_) | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::warn!("a call failed: {}", self.0);
        }
        let mut response = (status, Json(Failure { error: self.0.to_string() })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let basic = header::HeaderValue::from_static("Basic realm=\"tundra control\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}

/// Answers that nobody on the way may keep: they have secrets.
fn secret<T>(status: StatusCode, answer: T) -> (StatusCode, HeaderMap, Json<T>) {
    let no_store = (header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    (status, HeaderMap::from_iter([no_store]), Json(answer))
}

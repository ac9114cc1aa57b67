//! The Admin API: HTTP with JSON below `/api/v1`, its description at `/openapi.json`, a page of it at `/docs`.
//!
//! Handlers decode, call, encode. Any coordinator answers any call: what the leader or another coordinator does is
//! asked of it.

mod datasets;
mod events;
mod nodes;
pub(crate) mod others;
mod policy;
mod pool;
pub(crate) mod quarantine;
pub(crate) mod queries;
mod schedules;
mod usage;

use crate::coordinator::Coordinator;
use crate::datasets::now_us;
use crate::error::Error;
use crate::http::Readiness;
use crate::login::Credentials;
use crate::trail::{self, Action, Deed};
use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use flight_proto::admin::Failure;
use flight_proto::policy::DEFAULT_TENANT;
use flight_proto::trace;
use std::sync::{Arc, OnceLock};
use tracing::Instrument;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A self-contained page: it draws `/openapi.json`, and tries what only reads.
const PAGE: &str = include_str!("page.html");

#[derive(OpenApi)]
#[openapi(info(
    title = "Tundra",
    description = "The Admin API of a coordinator. Any coordinator of a cluster answers any call. \
                   Where users are configured, calls show one of them by Basic authentication."
))]
struct Description;

/// The routes of the API, of its description and of its page.
pub(crate) fn router(readiness: Readiness) -> Router {
    let (api, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(nodes::list))
        .routes(routes!(nodes::leader, nodes::hand_over))
        .routes(routes!(nodes::add_coordinator, nodes::remove_coordinator))
        .routes(routes!(nodes::drain, nodes::undrain))
        .routes(routes!(nodes::remove_shard))
        .routes(routes!(nodes::upgrade))
        .routes(routes!(datasets::list))
        .routes(routes!(datasets::versions))
        .routes(routes!(datasets::placement))
        .routes(routes!(datasets::hydrations))
        .routes(routes!(datasets::snapshot))
        .routes(routes!(events::take))
        .routes(routes!(policy::show, policy::publish))
        .routes(routes!(policy::change_key))
        .routes(routes!(pool::tell))
        .routes(routes!(pool::tell_of))
        .routes(routes!(queries::list))
        .routes(routes!(queries::load))
        .routes(routes!(queries::show, queries::cancel))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::release))
        .routes(routes!(usage::give))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::history))
        .split_for_parts();
    api.layer(middleware::from_fn_with_state(readiness.clone(), write_down))
        .layer(middleware::from_fn(traced))
        .with_state(readiness)
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
    let response = next.run(request).instrument(span.clone()).await;
    trace::http_answered(&span, response.status().as_u16());
    response
}

/// Who a call was admitted as, once it was.
#[derive(Clone, Default)]
struct AdmittedAs(Arc<OnceLock<String>>);

/// Writes down calls that may change something, in the name of who was admitted, and who was not let in.
async fn write_down(State(readiness): State<Readiness>, mut request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).map(|shown| shown.to_str().unwrap_or_default());
    let claimed = Credentials::of_header(shown).map(|shown| shown.user().to_string()).unwrap_or_default();
    let call = format!("{} {}", request.method(), request.uri());
    // What a control plane says of its pool each second changes nothing that lasts, and would fill the trail.
    let changes = !request.method().is_safe() && !pool::is_told(request.uri().path());
    let admitted = AdmittedAs::default();
    request.extensions_mut().insert(admitted.clone());
    let response = next.run(request).await;
    let Some(coordinator) = readiness.coordinator() else { return response };
    let status = response.status();
    match admitted.0.get() {
        Some(principal) if changes => {
            let (principal, text) = (principal.as_str().into(), call.into());
            let detail = status.to_string();
            let deed = Deed { principal, action: Action::Admin, subject: String::new(), text, detail };
            coordinator.trail.add(trail::SYSTEM, deed);
        }
        None if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) => {
            coordinator.trail.add_failed_login(&claimed, call);
        }
        _ => {}
    }
    response
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
        Failed(Error::Statement(rejection.body_text()))
    }
}

impl From<BytesRejection> for Failed {
    fn from(rejection: BytesRejection) -> Failed {
        Failed(Error::Statement(rejection.body_text()))
    }
}

impl From<QueryRejection> for Failed {
    fn from(rejection: QueryRejection) -> Failed {
        Failed(Error::Statement(rejection.body_text()))
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Error::Statement(_) => StatusCode::BAD_REQUEST,
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::AlreadyExists(_) | Error::Conflict(_) => StatusCode::CONFLICT,
            Error::Denied(_) => StatusCode::FORBIDDEN,
            Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Error::Unavailable(_) | Error::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Error::Overloaded(_) => StatusCode::TOO_MANY_REQUESTS,
            Error::Quarantined(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Refused(_) | Error::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Error::Environment(_) | Error::Damaged(_) => StatusCode::BAD_GATEWAY,
            Error::Execution(_) | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut response = (status, Json(Failure { error: self.0.to_string() })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let basic = header::HeaderValue::from_static("Basic realm=\"tundra\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}

/// The coordinator, for who may call it.
pub(crate) struct Admitted(pub(crate) Arc<Coordinator>);

impl FromRequestParts<Readiness> for Admitted {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, readiness: &Readiness) -> Result<Admitted> {
        let starting = || Error::Unavailable("the coordinator is starting, or stops; try again".into());
        let coordinator = readiness.coordinator().ok_or_else(starting)?;
        check_origin(&parts.headers)?;
        let principal = log_in(&coordinator, &parts.headers)?;
        if let Some(admitted) = parts.extensions.get::<AdmittedAs>() {
            // It is admitted once.
            let _ = admitted.0.set(principal);
        }
        Ok(Admitted(coordinator))
    }
}

/// The operator that asks, or an error.
pub(crate) fn log_in(coordinator: &Coordinator, headers: &HeaderMap) -> Result<String> {
    // What is no text is no header that anybody could log in with.
    let shown = headers.get(header::AUTHORIZATION).map(|shown| shown.to_str().unwrap_or_default());
    let credentials = Credentials::of_header(shown)?;
    if matches!(credentials, Credentials::Bearer(_)) {
        return Err(Error::Unauthenticated("log in with Basic".into()).into());
    }
    let (users, state) = (&coordinator.config.users, coordinator.tenants.catalog().snapshot());
    if users.is_empty() && state.tenants().any(|tenant| state.access(tenant).is_some()) {
        let why = "users of SQL restrict each other, and the configuration names no operator: start coordinators with --users";
        return Err(Error::Denied(why.into()).into());
    }
    // Those of the default tenant that the configuration names are the operators.
    let caller = credentials.caller(Some(DEFAULT_TENANT), users, &state, now_us())?;
    match caller.filter(|caller| caller.is_operator()) {
        Some(operator) => Ok(operator.principal),
        None => Err(Error::Denied("operators log in here: users that the configuration names".into()).into()),
    }
}

/// Pages of other sites have no business here, though a browser may send their requests.
fn check_origin(headers: &HeaderMap) -> Result<()> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return Ok(()) };
    let site = origin.split_once("://").map(|(_, site)| site);
    match site.is_some() && site == text(header::HOST) {
        true => Ok(()),
        false => Err(Error::Denied(format!("a page of {origin} may not call this coordinator")).into()),
    }
}

/// A number in hexadecimal, as the API gives them.
fn number(text: &str, what: &str) -> Result<u128> {
    let wrong = || format!("'{text}' is no number of a {what}: expected hexadecimal digits");
    u128::from_str_radix(text, 16).map_err(|_| Error::Statement(wrong()).into())
}

//! The part of AWS that scaling needs: calls of its Query APIs, signed, and tried again where AWS asks for it.

mod credentials;
mod signature;

pub(crate) use credentials::CredentialSource;

use crate::decisions::providers::cause;
use crate::error::{Error, Result};
use quick_xml::de::from_str;
use reqwest::header::{CONTENT_TYPE, HOST};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Of a call that AWS turns away for a moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// The most bytes of an answer.
const ANSWER_BYTES_MOST: usize = 8 << 20;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// What says that a call is to be tried again.
const THROTTLED: [&str; 5] =
    ["Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "ServiceUnavailable"];

/// One service of AWS, in one region.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) region: String,
    pub(crate) endpoint: Url,
}

/// Calls services in the name of credentials.
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    pub(crate) credentials: CredentialSource,
}

/// `https://SERVICE.REGION.amazonaws.com`, or another endpoint.
pub(crate) fn endpoint(service: &str, region: &str, other: Option<&str>) -> Result<Url> {
    let is_region = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !is_region(region) {
        return Err(Error::Invalid(format!("expected a region of AWS such as eu-central-1, got '{region}'")));
    }
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let text = other.map_or_else(|| format!("https://{service}.{region}.{suffix}/"), str::to_string);
    let url = Url::parse(&text).ok().filter(|url| url.has_host() && url.scheme().starts_with("http"));
    url.ok_or_else(|| Error::Invalid(format!("expected the URL of an endpoint, got '{text}'")))
}

/// Why a call failed, as AWS says it: in one of two forms.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "Error")]
    error: Option<Told>,
    #[serde(rename = "Errors")]
    errors: Option<Tolds>,
}
#[derive(Deserialize)]
struct Tolds {
    #[serde(rename = "Error")]
    error: Option<Told>,
}
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

enum Failure {
    /// The same call may succeed in a moment.
    Moment(String),
    Refused(String),
}

impl Caller {
    /// Calls an action, as often as it takes.
    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        service: &Service,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<T> {
        let mut form = Url::parse("form:").map_err(|error| Error::Internal(error.to_string()))?;
        let words = [("Action", action), ("Version", service.version)];
        form.query_pairs_mut().extend_pairs(words).extend_pairs(parameters);
        let body = form.query().unwrap_or_default().to_string();
        let mut tries = 0;
        loop {
            let failure = match self.try_call(service, &body).await {
                Ok(text) => {
                    let what =
                        |error| Error::Cluster(format!("the answer to {action} is not understood: {error}"));
                    return from_str(&text).map_err(what);
                }
                Err(failure) => failure,
            };
            tries += 1;
            match failure {
                Failure::Moment(_) if tries < TRIES => tokio::time::sleep(PAUSE * (1 << (tries - 1))).await,
                Failure::Moment(why) | Failure::Refused(why) => {
                    return Err(Error::Cluster(format!("AWS does not do {action}: {why}")));
                }
            }
        }
    }

    async fn try_call(&self, service: &Service, body: &str) -> std::result::Result<String, Failure> {
        let credentials = self.credentials.get(&self.http).await;
        let credentials = credentials.map_err(|error| Failure::Moment(error.to_string()))?;
        let url = &service.endpoint;
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_string(),
        };
        let at = chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
        let mut headers = vec![("content-type", FORM), ("host", host.as_str()), ("x-amz-date", at.as_str())];
        if let Some(token) = &credentials.token {
            headers.push(("x-amz-security-token", token));
        }
        let request =
            signature::Request { method: "POST", path: url.path(), query: "", headers: &headers, body };
        let signed = signature::authorization(&request, &credentials, &service.region, service.name, &at);
        let mut request = self.http.post(url.clone()).timeout(TIMEOUT);
        request = request.header(CONTENT_TYPE, FORM).header(HOST, &host).header("x-amz-date", &at);
        if let Some(token) = &credentials.token {
            request = request.header("x-amz-security-token", token);
        }
        let request = request.header("authorization", signed).body(body.to_string());
        let moment = |error: reqwest::Error| Failure::Moment(cause(&error));
        let mut response = request.send().await.map_err(moment)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(moment)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MOST {
                return Err(Failure::Refused(format!("it answers more than {ANSWER_BYTES_MOST} bytes")));
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if status.is_success() {
            return Ok(text);
        }
        let told = from_str::<Refusal>(&text).ok();
        let told = told.and_then(|refusal| refusal.error.or(refusal.errors.and_then(|errors| errors.error)));
        let told = told.unwrap_or(Told { code: status.to_string(), message: String::new() });
        let why = format!("{}: {}", told.code, told.message).trim_end_matches([':', ' ']).to_string();
        let passes = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || THROTTLED.contains(&told.code.as_str());
        Err(if passes { Failure::Moment(why) } else { Failure::Refused(why) })
    }
}

/// Whether a request that was received is signed with this secret: what it should have been signed as is made anew of it.
#[cfg(test)]
pub(crate) fn test_signature(
    headers: &reqwest::header::HeaderMap,
    body: &str,
    secret: &str,
    region: &str,
    service: &str,
) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let names = ["content-type", "host", "x-amz-date", "x-amz-security-token"];
    let signed: Vec<(&str, &str)> =
        names.into_iter().filter(|name| headers.contains_key(*name)).map(|name| (name, text(name))).collect();
    let request = signature::Request { method: "POST", path: "/", query: "", headers: &signed, body };
    let credentials =
        credentials::Credentials { id: "AKIDEXAMPLE".into(), secret: secret.into(), token: None };
    let at = text("x-amz-date");
    let now = chrono::Utc::now().format("%Y%m%d").to_string();
    at.starts_with(&now)
        && text("authorization") == signature::authorization(&request, &credentials, region, service, at)
}

//! Credentials of AWS, from where AWS's own tools take them: the environment, or the role of the machine. Files of profiles are
//! not read.

use crate::error::{Error, Result};
use reqwest::{Method, Url};
use serde::Deserialize;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Of the machine itself (IMDSv2).
const METADATA: &str = "http://169.254.169.254";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long those of a role are used before they are asked for again; AWS renews them hours before they end.
const FRESH: Duration = Duration::from_secs(300);

#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// Its `Debug` leaves the secrets out.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.id)
    }
}

/// Where they come from.
pub(crate) enum CredentialSource {
    Given(Credentials),
    /// The role of the machine.
    Machine {
        metadata: Url,
        known: Mutex<Option<(Instant, Credentials)>>,
    },
}

/// What the machine tells of its role.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfRole {
    access_key_id: String,
    secret_access_key: String,
    token: String,
}

impl CredentialSource {
    /// By `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` where these are set, else by the machine's role.
    pub(crate) fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Result<CredentialSource> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                Ok(CredentialSource::Given(Credentials { id, secret, token: set("AWS_SESSION_TOKEN") }))
            }
            (None, None) => {
                let text = set("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|| METADATA.into());
                let metadata = Url::parse(&text).ok().filter(Url::has_host);
                let wrong =
                    || Error::Invalid(format!("AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL: '{text}'"));
                let metadata = metadata.ok_or_else(wrong)?;
                Ok(CredentialSource::Machine { metadata, known: Mutex::new(None) })
            }
            _ => Err(Error::Invalid(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are to be set both, or neither".into(),
            )),
        }
    }

    pub(crate) async fn get(&self, http: &reqwest::Client) -> Result<Credentials> {
        let (metadata, known) = match self {
            CredentialSource::Given(credentials) => return Ok(credentials.clone()),
            CredentialSource::Machine { metadata, known } => (metadata, known),
        };
        let mut known = known.lock().await;
        if let Some((at, credentials)) = &*known
            && at.elapsed() < FRESH
        {
            return Ok(credentials.clone());
        }
        let credentials = of_role(http, metadata).await?;
        *known = Some((Instant::now(), credentials.clone()));
        Ok(credentials)
    }
}

async fn of_role(http: &reqwest::Client, metadata: &Url) -> Result<Credentials> {
    let failed = |why: String| {
        Error::Environment(format!(
            "no credentials of AWS: AWS_ACCESS_KEY_ID is not set, and the machine's role is not told: {why}"
        ))
    };
    let ask = async |method: Method, path: &str, header: (&str, &str)| {
        let url = metadata.join(path).map_err(|error| failed(error.to_string()))?;
        let request = http.request(method, url).timeout(TIMEOUT).header(header.0, header.1);
        let response =
            request.send().await.map_err(|error| failed(crate::decisions::providers::cause(&error)))?;
        let (status, text) = (response.status(), response.text().await);
        match text {
            Ok(text) if status.is_success() && text.len() < 100_000 => Ok(text),
            _ => Err(failed(format!("it answered {status} to {path}"))),
        }
    };
    let token = ask(Method::PUT, "latest/api/token", ("X-aws-ec2-metadata-token-ttl-seconds", "300")).await?;
    let token = ("X-aws-ec2-metadata-token", token.as_str());
    let roles = ask(Method::GET, ROLES, token).await?;
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
    let role = role.ok_or_else(|| failed("it has none".into()))?;
    let text = ask(Method::GET, &format!("{ROLES}{role}"), token).await?;
    let of: OfRole =
        serde_json::from_str(&text).map_err(|_| failed("its answer is not understood".into()))?;
    Ok(Credentials { id: of.access_key_id, secret: of.secret_access_key, token: Some(of.token) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, put};

    fn metadata(headers: &HeaderMap, answer: &str) -> (StatusCode, String) {
        match headers.get("X-aws-ec2-metadata-token").is_some_and(|token| token == "t") {
            true => (StatusCode::OK, answer.into()),
            false => (StatusCode::UNAUTHORIZED, String::new()),
        }
    }

    #[tokio::test]
    async fn a_machine_tells_its_role() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let of = r#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2030-01-01T00:00:00Z"}"#;
        let router = Router::new()
            .route("/latest/api/token", put(async || "t"))
            .route(&format!("/{ROLES}"), get(async |headers: HeaderMap| metadata(&headers, "shard-role\n")))
            .route(
                &format!("/{ROLES}shard-role"),
                get(async move |headers: HeaderMap| metadata(&headers, of)),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let source = |url: String| {
            let variable =
                move |name: &str| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| url.clone());
            CredentialSource::of_environment(variable).unwrap()
        };
        let http = reqwest::Client::new();
        let found = source(url).get(&http).await.unwrap();
        assert_eq!((found.id.as_str(), found.secret.as_str(), found.token.as_deref()), ("A", "S", Some("T")));
        assert_eq!(format!("{found:?}"), "Credentials(A)");
        let why = source("http://127.0.0.1:1".into()).get(&http).await.unwrap_err().to_string();
        assert!(why.contains("AWS_ACCESS_KEY_ID"), "{why}");
    }
}

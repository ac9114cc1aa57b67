//! The coordinators over their HTTP API, and what is published there: `GET` and `PUT /api/v1/policy`.

use super::Cluster;
use crate::config::Login;
use crate::decisions::providers::cause;
use crate::error::{Error, Result};
use crate::hex;
use crate::json::Coordinator;
use flight_proto::admin::{Failure, Nodes, PastRefresh, Policy, Publish, Published, RunSchedule};
use flight_proto::policy::Signed;
use flight_proto::trace;
use flight_proto::usage::Usage;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode, Url};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where documents are published.
const POLICY: &[&str] = &["policy"];
/// How long a coordinator may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of an answer.
const ANSWER_BYTES_MOST: usize = 256 << 20;

pub struct HttpCluster {
    http: reqwest::Client,
    login: Option<Login>,
    /// In the order in which they are tried.
    nodes: Mutex<Vec<Node>>,
    /// The starts of coordinators, as each told it last.
    pub(super) sources: Mutex<BTreeMap<Url, String>>,
}

#[derive(Clone)]
struct Node {
    url: Url,
    /// How it was when it was asked last; `None`: it was not asked.
    failure: Option<Option<String>>,
}

/// Why a coordinator did not do what it was asked.
pub(super) enum Refusal {
    /// Another one may.
    Away(String),
    /// No other one would.
    Refused(String),
    /// Nor this, whose content is not understood.
    NotUnderstood(String),
}

impl HttpCluster {
    /// For coordinators at `http://HOST:PORT`, in the name of one of their users.
    pub fn new(urls: &[String], login: Option<Login>) -> Result<HttpCluster> {
        let expected = |url: &str| {
            // Without what may be a password.
            let shown = url.rsplit('@').next().unwrap_or_default();
            Error::Invalid(format!(
                "expected the URL of a coordinator's --http such as http://10.0.0.1:8080 without a password, got '{shown}'"
            ))
        };
        let nodes = urls.iter().map(|text| {
            let url = Url::parse(text).ok().filter(|url| {
                url.has_host()
                    && url.scheme().starts_with("http")
                    && url.username().is_empty()
                    && url.password().is_none()
            });
            Ok(Node { url: url.ok_or_else(|| expected(text))?, failure: None })
        });
        let nodes = nodes.collect::<Result<Vec<Node>>>()?;
        // What a proxy is for are other machines' services.
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let http = http.build().map_err(|error| Error::Environment(cause(&error)))?;
        Ok(HttpCluster { http, login, nodes: Mutex::new(nodes), sources: Mutex::default() })
    }

    pub(super) fn urls(&self) -> Vec<Url> {
        self.nodes.lock().iter().map(|node| node.url.clone()).collect()
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &Url,
        path: &[&str],
        body: Option<Vec<u8>>,
    ) -> std::result::Result<T, Refusal> {
        let answered = self.ask(method, url, path, body).await;
        self.note(url, &answered);
        answered
    }

    /// Keeps how a coordinator has answered.
    fn note<T>(&self, url: &Url, answered: &std::result::Result<T, Refusal>) {
        let failure = match answered {
            Ok(_) => None,
            Err(Refusal::Away(why) | Refusal::Refused(why) | Refusal::NotUnderstood(why)) => {
                Some(why.clone())
            }
        };
        if let Some(node) = self.nodes.lock().iter_mut().find(|node| node.url == *url) {
            node.failure = Some(failure);
        }
    }

    /// Asks one coordinator after the other, until one has answered.
    async fn first<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<T> {
        let mut failures = Vec::new();
        for url in self.urls() {
            let mut asked = url.clone();
            if !query.is_empty() {
                asked.query_pairs_mut().extend_pairs(query);
            }
            let answered = self.ask(method.clone(), &asked, path, body.clone()).await;
            self.note(&url, &answered);
            match answered {
                Ok(answer) => return Ok(answer),
                Err(Refusal::Refused(why)) => return Err(Error::Cluster(format!("{url}: {why}"))),
                Err(Refusal::NotUnderstood(why)) => return Err(Error::NotTaken(format!("{url}: {why}"))),
                Err(Refusal::Away(why)) => failures.push(format!("{url}: {why}")),
            }
            // The others are tried first from now on.
            self.nodes.lock().rotate_left(1);
        }
        Err(none(&failures))
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &Url,
        path: &[&str],
        body: Option<Vec<u8>>,
    ) -> std::result::Result<T, Refusal> {
        let away = |error: reqwest::Error| Refusal::Away(cause(&error));
        let mut place = url.clone();
        if let Ok(mut segments) = place.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let mut request = self.http.request(method, place).timeout(TIMEOUT);
        if let Some(Login { name, password }) = &self.login {
            request = request.basic_auth(name, Some(password));
        }
        let traceparent = trace::sent(&trace::current());
        if !traceparent.is_empty() {
            request = request.header("traceparent", traceparent);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(away)?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            text.extend_from_slice(&chunk);
            if text.len() > ANSWER_BYTES_MOST {
                return Err(Refusal::Away(format!("it answers more than {ANSWER_BYTES_MOST} bytes")));
            }
        }
        let status = response.status();
        if status.is_success() {
            let what = |error| Refusal::Away(format!("its answer is not understood: {error}"));
            return serde_json::from_slice(&text).map_err(what);
        }
        let told = serde_json::from_slice(&text).map_or(String::new(), |Failure { error }| error);
        let why = format!("it answered {status} {told}").trim_end().to_string();
        let refused = status.is_client_error()
            && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        Err(match refused {
            true if status == StatusCode::BAD_REQUEST => Refusal::NotUnderstood(why),
            true => Refusal::Refused(why),
            false => Refusal::Away(why),
        })
    }
}

impl Cluster for HttpCluster {
    /// The latest that any of the coordinators has: one may lag behind.
    fn policy(&self) -> BoxFuture<'_, Result<Policy>> {
        async move {
            let urls = self.urls();
            let ask = |url| self.call::<Policy>(Method::GET, url, POLICY, None);
            let answers = join_all(urls.iter().map(ask)).await;
            let mut failures = Vec::new();
            let mut latest: Option<Policy> = None;
            for (url, answer) in urls.iter().zip(answers) {
                match answer {
                    Err(Refusal::Away(why) | Refusal::Refused(why) | Refusal::NotUnderstood(why)) => {
                        failures.push(format!("{url}: {why}"));
                    }
                    Ok(policy) if latest.as_ref().is_none_or(|latest| policy.version > latest.version) => {
                        latest = Some(policy);
                    }
                    Ok(_) => {}
                }
            }
            latest.ok_or_else(|| none(&failures))
        }
        .boxed()
    }

    fn publish(&self, documents: Vec<Signed>) -> BoxFuture<'_, Result<Published>> {
        async move {
            let documents = documents.iter().map(|signed| hex::encode(&signed.encode_to_vec())).collect();
            let body = serde_json::to_vec(&Publish { documents });
            let body = body.map_err(|error| Error::Internal(error.to_string()))?;
            self.first(Method::PUT, POLICY, &[], Some(body)).await
        }
        .boxed()
    }

    fn run_schedule(&self, wanted: RunSchedule) -> BoxFuture<'_, Result<()>> {
        async move {
            let body = serde_json::to_vec(&wanted).map_err(|error| Error::Internal(error.to_string()))?;
            let path = &["schedules", "run"];
            self.first::<RunSchedule>(Method::POST, path, &[], Some(body)).await.map(drop)
        }
        .boxed()
    }

    fn past_refreshes(&self, tenant: String, limit: usize) -> BoxFuture<'_, Result<Vec<PastRefresh>>> {
        async move {
            let query = [("tenant", tenant), ("limit", limit.to_string())];
            self.first(Method::GET, &["refreshes"], &query, None).await
        }
        .boxed()
    }

    fn version(&self) -> BoxFuture<'_, Result<u32>> {
        let nodes = self.first::<Nodes>(Method::GET, &["nodes"], &[], None);
        nodes.map(|nodes| Ok(nodes?.cluster_version)).boxed()
    }

    fn usage(&self, taken: BTreeMap<String, u64>) -> BoxFuture<'_, Vec<Usage>> {
        async move { self.fetch_usage(&taken).await }.boxed()
    }

    fn coordinators(&self) -> Vec<Coordinator> {
        let nodes = self.nodes.lock().clone();
        let mut told: Vec<Coordinator> = nodes
            .into_iter()
            .map(|node| Coordinator {
                url: node.url.to_string(),
                reachable: node.failure == Some(None),
                failure: node.failure.unwrap_or_else(|| Some("it was not asked yet".into())),
            })
            .collect();
        told.sort_by(|one, other| one.url.cmp(&other.url));
        told
    }
}

pub(super) fn none(failures: &[String]) -> Error {
    Error::Cluster(format!("no coordinator does its part: {}", failures.join("; ")))
}

//! Calls of the Admin API, and of the control plane's.

use flight_proto::admin::Failure as Told;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;

/// Who answers.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    Coordinator,
    Control,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Coordinator => "coordinator",
            Server::Control => "control plane",
        }
    }

    /// The flag that has its address, and what it is by default.
    fn address(self) -> (&'static str, &'static str) {
        match self {
            Server::Coordinator => ("--http", "http://127.0.0.1:8080"),
            Server::Control => ("--listen", "http://127.0.0.1:8090"),
        }
    }
}

pub(crate) struct Client {
    http: reqwest::Client,
    server: Server,
    base: Url,
    /// Name and password.
    user: Option<(String, String)>,
}

impl Client {
    /// For the server at `http://HOST:PORT`, in the name of `NAME:PASSWORD`.
    pub(crate) fn new(server: Server, url: &str, user: Option<&str>) -> Result<Client, Failure> {
        let base = Url::parse(url).ok().filter(|base| base.has_host() && base.scheme().starts_with("http"));
        let (_, example) = server.address();
        let base = base.ok_or_else(|| format!("expected a URL such as {example}, got '{url}'"))?;
        let user = match user {
            None => None,
            Some(user) => {
                let (name, password) =
                    user.split_once(':').ok_or("who asks is to be given as NAME:PASSWORD")?;
                Some((name.to_string(), password.to_string()))
            }
        };
        // What a proxy is for are other machines' services.
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Client { http, server, base, user })
    }

    /// What lies below `/api/v1` by these words.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.call(self.request(Method::GET, path, query)?).await
    }

    pub(crate) async fn delete<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.call(self.request(Method::DELETE, path, query)?).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.call(self.request(Method::POST, path, &[])?).await
    }

    /// `body` as JSON.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.request(method, path, query)?;
        self.call(request.header(CONTENT_TYPE, "application/json").body(serde_json::to_vec(body)?)).await
    }

    /// `body` as JSON, where there is one.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        match body {
            Some(body) => self.send(Method::PUT, path, &[], body).await,
            None => self.call(self.request(Method::PUT, path, &[])?).await,
        }
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<RequestBuilder, Failure> {
        let mut url = self.base.clone();
        let wrong = |()| format!("{} is no address of a {}", self.base, self.server.name());
        url.path_segments_mut().map_err(wrong)?.pop_if_empty().extend(["api", "v1"]).extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        Ok(match &self.user {
            Some((name, password)) => request.basic_auth(name, Some(password)),
            None => request,
        })
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let unreached = |error: reqwest::Error| {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            let (name, (flag, _)) = (self.server.name(), self.server.address());
            format!("cannot reach {}: {cause}; is it the {flag} address of a {name} that is up?", self.base)
        };
        let response = request.send().await.map_err(unreached)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreached)?;
        if status.is_success() {
            let not_understood = |error| format!("the answer of {} is not understood: {error}", self.base);
            return Ok(serde_json::from_slice(&body).map_err(not_understood)?);
        }
        match serde_json::from_slice::<Told>(&body) {
            Ok(told) => Err(told.error.into()),
            Err(_) => Err(format!("{} answered {status}; is it a {}?", self.base, self.server.name()).into()),
        }
    }
}

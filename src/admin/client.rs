//! Calls of the Admin API.

use flight_proto::admin::Failure as Told;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Failure;

pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    /// Name and password.
    user: Option<(String, String)>,
}

impl Client {
    /// For the coordinator at `http://HOST:PORT`, in the name of `NAME:PASSWORD`.
    pub(super) fn new(url: &str, user: Option<&str>) -> Result<Client, Failure> {
        let base = Url::parse(url).ok().filter(|base| base.has_host() && base.scheme().starts_with("http"));
        let base =
            base.ok_or_else(|| format!("expected a URL such as http://127.0.0.1:8080, got '{url}'"))?;
        let user = match user {
            None => None,
            Some(user) => {
                let (name, password) = user.split_once(':').ok_or("--user takes NAME:PASSWORD")?;
                Some((name.to_string(), password.to_string()))
            }
        };
        // What a proxy is for are other machines' services.
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Client { http, base, user })
    }

    /// What lies below `/api/v1` by these words.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.call(self.request(Method::GET, path, query)?).await
    }

    pub(super) async fn delete<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.call(self.request(Method::DELETE, path, query)?).await
    }

    pub(super) async fn post<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        self.call(self.request(Method::POST, path, &[])?).await
    }

    /// `body` as JSON, where there is one.
    pub(super) async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, Failure> {
        let mut request = self.request(Method::PUT, path, &[])?;
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(serde_json::to_vec(body)?);
        }
        self.call(request).await
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<RequestBuilder, Failure> {
        let mut url = self.base.clone();
        let wrong = |()| format!("{} is no address of a coordinator", self.base);
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
            format!(
                "cannot reach {}: {cause}; is it the --http address of a coordinator that is up?",
                self.base
            )
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
            Err(_) => Err(format!("{} answered {status}; is it a coordinator?", self.base).into()),
        }
    }
}

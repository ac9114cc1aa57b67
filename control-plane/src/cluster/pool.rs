//! A pool over the HTTP API of its coordinators.

use super::http::{HttpCluster, Refusal, none};
use crate::error::{Error, Result};
use crate::scaling::{Look, PoolView};
use flight_proto::admin::{Hydration, Loads, Nodes, PoolState, PoolUse, Shard};
use flight_proto::pool::DEFAULT_POOL;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

impl HttpCluster {
    /// What one coordinator says; `None`: it does not answer.
    async fn look_at(&self, url: Url) -> Option<Look> {
        let (nodes, load, hydrations) = futures::join!(
            self.ask::<Nodes>(Method::GET, &url, &["nodes"], None),
            self.ask::<Loads>(Method::GET, &url, &["load"], None),
            self.ask::<Vec<Hydration>>(Method::GET, &url, &["hydrations"], None),
        );
        let load = match load {
            Ok(load) => load,
            // One of a release before does not tell.
            Err(Refusal::Refused(_) | Refusal::NotUnderstood(_)) => Loads::default(),
            Err(Refusal::Away(_)) => return None,
        };
        let (nodes, hydrations) = (nodes.ok()?, hydrations.ok()?);
        Some(Look { coordinator: url.to_string(), nodes, load, hydrations })
    }

    /// Has any coordinator do something.
    async fn have<T: DeserializeOwned>(&self, method: Method, path: &[&str], query: &str) -> Result<T> {
        let mut failures = Vec::new();
        for mut url in self.urls() {
            url.set_query(Some(query).filter(|query| !query.is_empty()));
            match self.ask(method.clone(), &url, path, None).await {
                Ok(done) => return Ok(done),
                Err(Refusal::Refused(why) | Refusal::NotUnderstood(why)) => {
                    return Err(Error::Cluster(format!("{url}: {why}")));
                }
                Err(Refusal::Away(why)) => failures.push(format!("{url}: {why}")),
            }
        }
        Err(none(&failures))
    }
}

impl PoolView for HttpCluster {
    fn look(&self) -> BoxFuture<'_, (usize, Vec<Look>)> {
        async move {
            let urls = self.urls();
            let asked = urls.len();
            let looks = join_all(urls.into_iter().map(|url| self.look_at(url))).await;
            (asked, looks.into_iter().flatten().collect())
        }
        .boxed()
    }

    fn drain<'a>(&'a self, shard: &'a str, drain: bool) -> BoxFuture<'a, Result<()>> {
        let method = if drain { Method::PUT } else { Method::DELETE };
        async move { self.have::<Shard>(method, &["shards", shard, "drain"], "").await.map(drop) }.boxed()
    }

    fn forget<'a>(&'a self, shard: &'a str, force: bool) -> BoxFuture<'a, Result<()>> {
        let query = if force { "force=true" } else { "" };
        async move { self.have::<Nodes>(Method::DELETE, &["shards", shard], query).await.map(drop) }.boxed()
    }

    fn tell<'a>(&'a self, pool: &'a str, state: PoolState) -> BoxFuture<'a, (usize, Vec<PoolUse>)> {
        async move {
            let urls = self.urls();
            let Ok(body) = serde_json::to_vec(&state) else { return (urls.len(), Vec::new()) };
            // Those of a release before know of one pool alone, and refuse what is said of another.
            let path = if pool == DEFAULT_POOL { vec!["pool"] } else { vec!["pools", pool] };
            let told = urls.iter().map(|url| self.ask(Method::PUT, url, &path, Some(body.clone())));
            let told = join_all(told).await.into_iter().filter_map(std::result::Result::ok);
            (urls.len(), told.collect())
        }
        .boxed()
    }
}

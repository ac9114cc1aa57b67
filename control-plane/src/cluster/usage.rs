//! What the coordinators' statements used, over HTTP: `GET /api/v1/usage` of each.

use super::http::{HttpCluster, Refusal};
use flight_proto::usage::Usage;
use futures::future::join_all;
use reqwest::{Method, Url};
use std::collections::BTreeMap;

impl HttpCluster {
    /// What each coordinator that answers has of what was not kept; `taken` says how far that goes by its start.
    pub(super) async fn fetch_usage(&self, taken: &BTreeMap<String, u64>) -> Vec<Usage> {
        let ask = |url: Url| async move {
            let source = self.sources.lock().get(&url).cloned().unwrap_or_default();
            let number = taken.get(&source).copied().unwrap_or(0);
            let mut asked = url.clone();
            asked.query_pairs_mut().append_pair("source", &source).append_pair("taken", &number.to_string());
            match self.ask::<Usage>(Method::GET, &asked, &["usage"], None).await {
                Ok(usage) => {
                    self.sources.lock().insert(url, usage.source.clone());
                    Some(usage)
                }
                // What it has is fetched once it answers; one of a release before has nothing.
                Err(Refusal::Away(why) | Refusal::Refused(why) | Refusal::NotUnderstood(why)) => {
                    tracing::debug!("{url} does not tell what was used: {why}");
                    None
                }
            }
        };
        join_all(self.urls().into_iter().map(ask)).await.into_iter().flatten().collect()
    }
}

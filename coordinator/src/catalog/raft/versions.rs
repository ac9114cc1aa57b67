//! What the members speak: each asks the others now and then, and anew when the cluster is to go over to a version.

use super::OnFatal;
use super::member::Member;
use super::transport::{ask, malformed};
use super::types::Metrics;
use flight_proto::replication::{Answer, AskVersions, Question};
use futures::future::join_all;
use network::{Result, Versions};
use shard::service::words::{FIRST_VERSIONS, versions_of};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two questions to the others.
const EVERY: Duration = Duration::from_secs(1);
/// How long one may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

impl Member {
    /// What a member speaks.
    pub(super) async fn versions_of(&self, id: u64, address: &str) -> Result<Versions> {
        if id == self.options.id {
            return Ok(self.options.versions);
        }
        let question = Question::Versions(AskVersions {});
        match ask(&*self.options.transport, id, address, question, ANSWER).await? {
            Answer::Speaks(speaks) => Ok(versions_of(Some(speaks))),
            // It does not know the question.
            Answer::Failed(_) => Ok(FIRST_VERSIONS),
            _ => Err(malformed(address)),
        }
    }

    /// What each member speaks.
    pub(super) async fn ask_versions(&self) -> BTreeMap<u64, Result<Versions>> {
        let members = self.members();
        let asked =
            members.iter().map(|(&id, address)| async move { (id, self.versions_of(id, address).await) });
        join_all(asked).await.into_iter().collect()
    }

    /// The members with their addresses; those that make the catalog, as long as nothing was heard of it.
    fn members(&self) -> BTreeMap<u64, String> {
        let metrics = self.metrics_now();
        let members = metrics.membership_config.nodes();
        let known: BTreeMap<u64, String> = members.map(|(&id, node)| (id, node.addr.clone())).collect();
        if known.is_empty() { self.options.members.clone() } else { known }
    }
}

/// Keeps what the members speak, for as long as it is polled. One whose cluster has gone on without it is told so, and
/// ends.
pub(super) async fn follow(member: Arc<Member>, on_fatal: OnFatal) {
    let own = member.options.id;
    let others = move |metrics: &Metrics| metrics.membership_config.nodes().any(|(id, _)| *id != own);
    loop {
        // One member alone sleeps.
        if member.members().keys().all(|id| *id == own)
            && member.raft.wait(None).metrics(others, "another member").await.is_err()
        {
            return;
        }
        let answers = member.ask_versions().await;
        for answer in answers.values() {
            if let Err(network::Error::Outdated(why)) = answer {
                return on_fatal(why.clone());
            }
        }
        let known = answers.into_iter().filter_map(|(id, answer)| Some((id, answer.ok()?)));
        *member.versions.lock() = known.collect();
        tokio::time::sleep(EVERY).await;
    }
}

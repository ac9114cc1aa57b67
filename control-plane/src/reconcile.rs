//! What is to be done so that the cluster and the database say the same, and taking over what the database has lost.
//!
//! Of a name the later version counts. Where that is the cluster's, the database is an older copy, such as a backup that was put
//! back: it takes over what the cluster acts on. Nothing is ever published over something later.

use crate::database::{Database, Held};
use crate::decisions::{ITSELF, issuers};
use crate::error::{Error, Result};
use crate::json::describe;
use crate::{database, hex, signing};
use flight_proto::admin::Policy;
use flight_proto::policy::{ISSUERS, Signed};
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;

/// Versions beyond this are nobody's: the database counts up to 2^63.
const VERSION_MOST: u64 = 1 << 62;

/// One thing to do; in the order in which they are given.
#[derive(Debug, PartialEq)]
pub(crate) enum Step<'a> {
    /// Give versions above this one only.
    Raise(u64),
    /// Take over what the cluster has.
    Adopt(&'a Held),
    /// Have the cluster take what the database has.
    Publish(&'a Held),
}

/// What the cluster has, of which every signature is this control plane's.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ClusterDocuments {
    /// The highest version, that of documents which this version of Tundra does not know included.
    pub(crate) version: u64,
    pub(crate) documents: Vec<Held>,
    /// Versions of names of which this version of Tundra cannot read what the cluster has.
    pub(crate) unread: BTreeMap<String, u64>,
}

/// What is to be done about the documents of the database and of the cluster, in any order.
pub(crate) fn plan<'a>(database: &'a [Held], cluster: &'a ClusterDocuments) -> Vec<Step<'a>> {
    let by_name = |held: &'a [Held]| -> BTreeMap<&'a str, &'a Held> {
        held.iter().map(|held| (held.document.name.as_str(), held)).collect()
    };
    let (own, theirs) = (by_name(database), by_name(&cluster.documents));
    let highest = own.values().map(|held| held.document.version).max().unwrap_or(0);
    let mut adopted: Vec<&Held> = Vec::new();
    let mut published: Vec<&Held> = Vec::new();
    for (name, &their) in &theirs {
        let own_version = own.get(name).map_or(0, |own| own.document.version);
        let same = own.get(name).is_some_and(|own| own.document == their.document);
        // Of two of a version the cluster's counts: it is acted on, and refuses the other.
        if their.document.version >= own_version && !same {
            adopted.push(their);
        }
    }
    for (name, &own) in &own {
        let unread = cluster.unread.get(*name).copied().unwrap_or(0);
        let their_version = theirs.get(name).map_or(unread, |their| their.document.version);
        if own.document.version > their_version {
            published.push(own);
        }
    }
    let by_version = |held: &&Held| held.document.version;
    adopted.sort_by_key(by_version);
    published.sort_by_key(by_version);
    let raise = (cluster.version > highest).then_some(Step::Raise(cluster.version));
    let adopted = adopted.into_iter().map(Step::Adopt);
    raise.into_iter().chain(adopted).chain(published.into_iter().map(Step::Publish)).collect()
}

/// The documents of a cluster that takes those of this key.
pub(crate) fn read(policy: &Policy, key: &[u8]) -> Result<ClusterDocuments> {
    let mut read = ClusterDocuments { version: policy.version, ..ClusterDocuments::default() };
    if policy.key.as_ref().is_some_and(|theirs| hex::decode(theirs).as_deref() != Some(key)) {
        return Err(Error::Cluster(
            "the cluster acts on the policy of another control plane: start this one with that one's database".into(),
        ));
    }
    for document in &policy.documents {
        read.version = read.version.max(document.version);
        let signed = hex::decode(&document.signed).and_then(|bytes| Signed::decode(&*bytes).ok());
        let signed = signed.filter(|signed| signed.key == key);
        let verified = signed.map(|signed| (signing::verified(&signed), signed));
        if let Some((Ok(document), signed)) = verified {
            read.documents.push(Held { document, signed });
            continue;
        }
        tracing::warn!("'{}' of the cluster is left alone: it cannot be read", document.name);
        read.unread.insert(document.name.clone(), document.version);
    }
    match read.version > VERSION_MOST {
        true => Err(Error::Cluster(format!("the cluster has version {}, which nobody gave", read.version))),
        false => Ok(read),
    }
}

/// Does what concerns the database, as one change, and tells of it.
pub(crate) async fn take_over(database: &Database, steps: &[Step<'_>]) -> Result<()> {
    if steps.iter().all(|step| matches!(step, Step::Publish(_))) {
        return Ok(());
    }
    let mut change = database.change(ITSELF).await?;
    for step in steps {
        let held = match step {
            Step::Raise(version) => {
                change.raise(*version);
                continue;
            }
            Step::Publish(_) => continue,
            Step::Adopt(held) => held,
        };
        let Some(before) = change.adopt(held).await? else { continue };
        let (name, version) = (&held.document.name, held.document.version);
        let mut told = match &before {
            None => {
                format!("the database had lost '{name}': version {version} was taken over from the cluster")
            }
            Some(before) => format!(
                "the database had version {} of '{name}': version {version}, which the cluster acts on, was taken over",
                before.version
            ),
        };
        if name == ISSUERS {
            told += &issuers::take_over(&mut change, &held.document).await?;
        }
        tracing::warn!("{told}");
        let mut after = describe(&held.document);
        if let Value::Object(after) = &mut after {
            after.insert("told".into(), told.into());
        }
        change.record(database::audit::ADOPT, name, before.as_ref().map(describe), Some(after)).await?;
        if name == ISSUERS {
            issuers::settle(&mut change, "rotate").await?;
        }
    }
    change.commit().await
}

#[cfg(test)]
#[path = "tests/plan.rs"]
mod tests;

//! The version of the cluster: what it is raised to, and which nodes may serve it.

use crate::catalog::CatalogStore;
use crate::datasets::now_us;
use crate::error::{Error, Result};
use crate::facts::shard_text;
use crate::shards::Shards;
use flight_proto::admin::Upgrade;
use flight_proto::catalog::{Change, Command, SetClusterVersion};
use flight_proto::policy::DEFAULT_TENANT;
use network::{Spoken, Versions};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a new cluster waits for nodes that do not tell what they speak.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at them.
const AGAIN: Duration = Duration::from_millis(100);

/// Nodes that keep the cluster at its version.
struct Lacking {
    stays_at: u16,
    wanted: u16,
    /// With what they speak.
    old: Vec<(String, Versions)>,
    silent: Vec<String>,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let old = self.old.iter().map(|(node, versions)| format!("{node} speaks {versions}"));
        let silent = self.silent.iter().map(|node| format!("{node} does not answer"));
        let nodes: Vec<String> = old.chain(silent).collect();
        write!(f, "the cluster stays at version {}: {}; ", self.stays_at, nodes.join(", "))?;
        match self.silent.is_empty() {
            true => {
                write!(f, "start them with a release that speaks version {}, then try again", self.wanted)
            }
            false => write!(
                f,
                "all nodes must tell that they speak version {}: start them, or remove those that are gone, then try again",
                self.wanted
            ),
        }
    }
}

/// Raises the cluster's version to the latest that a node speaks, if all coordinators and all shards that live do.
pub(crate) async fn upgrade(catalog: &dyn CatalogStore, shards: &Shards) -> Result<Upgrade> {
    try_upgrade(catalog, shards).await?.map_err(|lacking| Error::Conflict(lacking.to_string()))
}

async fn try_upgrade(
    catalog: &dyn CatalogStore,
    shards: &Shards,
) -> Result<std::result::Result<Upgrade, Lacking>> {
    catalog.linearize().await?;
    let before = catalog.snapshot().cluster_version();
    let coordinators = catalog.versions().await.into_iter();
    let coordinators = coordinators.map(|(id, versions)| (format!("coordinator {id}"), versions));
    let alive = shards.summaries().into_iter().filter(|shard| shard.alive);
    let alive = alive.map(|shard| (format!("shard {}", shard_text(shard.id)), shard.versions));
    let nodes: Vec<(String, Option<Versions>)> = coordinators.chain(alive).collect();
    let known = nodes.iter().filter_map(|(_, versions)| *versions);
    let wanted = known.map(|versions| versions.most).max().unwrap_or(before);
    if wanted <= before {
        return Ok(Ok(Upgrade { before: before.into(), after: before.into() }));
    }
    let mut lacking = Lacking { stays_at: before, wanted, old: Vec::new(), silent: Vec::new() };
    for (node, versions) in nodes {
        match versions {
            None => lacking.silent.push(node),
            Some(versions) if !versions.contains(wanted) => lacking.old.push((node, versions)),
            Some(_) => {}
        }
    }
    if !lacking.old.is_empty() || !lacking.silent.is_empty() {
        return Ok(Err(lacking));
    }
    let change = Change::SetClusterVersion(SetClusterVersion { version: wanted.into() });
    let command = Command { at_us: now_us(), tenant: DEFAULT_TENANT.into(), change: Some(change) };
    catalog.propose(command).await?.accepted()?;
    catalog.linearize().await?;
    tracing::info!("the cluster has gone over from version {before} to {wanted}");
    Ok(Ok(Upgrade { before: before.into(), after: catalog.snapshot().cluster_version().into() }))
}

/// Has a new cluster begin at the latest version, and refuses one at a version that this node does not speak. The
/// catalog is up to date here.
pub(crate) async fn begin(catalog: &dyn CatalogStore, shards: &Shards) -> Result<()> {
    let (own, begun) = (catalog.speaks(), Instant::now());
    loop {
        let state = catalog.snapshot();
        if !state.is_empty() || state.cluster_version() >= own.most {
            break;
        }
        match try_upgrade(catalog, shards).await {
            Ok(Err(lacking)) if !lacking.old.is_empty() || begun.elapsed() >= PATIENCE => {
                tracing::warn!("{lacking} with `tundra admin upgrade`");
                break;
            }
            Err(error) if begun.elapsed() >= PATIENCE => return Err(error),
            Ok(Ok(_)) => break,
            Ok(Err(_)) | Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
    match own.refusal(catalog.snapshot().cluster_version()) {
        Some(why) => Err(Error::Environment(why)),
        None => Ok(()),
    }
}

/// Has the network speak as the catalog says, for as long as it is polled.
pub(crate) async fn follow(catalog: Arc<dyn CatalogStore>, spoken: Arc<Spoken>) {
    let mut changes = catalog.changes();
    loop {
        let version = changes.borrow_and_update().cluster_version();
        spoken.agree(version);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

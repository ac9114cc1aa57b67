//! What each pool's nodes are launched on.

use super::{AutoScalingGroup, LocalOptions, LocalProcesses, ScaleTarget};
use crate::error::Result;
use flight_proto::pool::DEFAULT_POOL;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The folder of other pools' folders, in that of the pool `default`.
const POOLS: &str = "pools";

/// The targets of pools.
pub trait ScaleTargets: Send + Sync {
    /// What a pool's nodes are launched on; `None`: not from here.
    fn of(&self, pool: &str) -> Result<Option<Arc<dyn ScaleTarget>>>;
}

/// Nodes are launched by somebody else.
pub struct NoTargets;

impl ScaleTargets for NoTargets {
    fn of(&self, _pool: &str) -> Result<Option<Arc<dyn ScaleTarget>>> {
        Ok(None)
    }
}

/// Machines of EC2 Auto Scaling groups, by pool.
pub struct Groups(pub BTreeMap<String, Arc<AutoScalingGroup>>);

impl ScaleTargets for Groups {
    fn of(&self, pool: &str) -> Result<Option<Arc<dyn ScaleTarget>>> {
        Ok(self.0.get(pool).map(|group| group.clone() as Arc<dyn ScaleTarget>))
    }
}

/// Processes of this machine, for any pool: each is told of which it is.
pub struct LocalPools {
    options: LocalOptions,
    pools: Mutex<BTreeMap<String, Arc<LocalProcesses>>>,
}

impl LocalPools {
    /// Takes the folder, which is made where it is missing: nodes of the pool `default` are in it, those of others in
    /// `pools/NAME`. A control plane that was started again has those that it had.
    pub fn new(options: LocalOptions) -> Result<LocalPools> {
        let pools = LocalPools { options, pools: Mutex::default() };
        pools.processes(DEFAULT_POOL)?;
        Ok(pools)
    }

    fn processes(&self, pool: &str) -> Result<Arc<LocalProcesses>> {
        let mut pools = self.pools.lock();
        if let Some(known) = pools.get(pool) {
            return Ok(known.clone());
        }
        let mut options = self.options.clone();
        if pool != DEFAULT_POOL {
            options.folder = options.folder.join(POOLS).join(pool);
            options.arguments.extend(["--pool".into(), pool.into()]);
        }
        let processes = Arc::new(LocalProcesses::new(options)?);
        pools.insert(pool.into(), processes.clone());
        Ok(processes)
    }

    /// Ends the processes of all nodes of all pools.
    pub async fn stop(&self) -> Result<()> {
        for pool in in_folder(&self.options.folder.join(POOLS)) {
            self.processes(&pool)?;
        }
        let all: Vec<_> = self.pools.lock().values().cloned().collect();
        let mut stopped = Ok(());
        for processes in all {
            // One that does not end keeps no other from ending.
            stopped = stopped.and(processes.stop().await);
        }
        stopped
    }
}

impl ScaleTargets for LocalPools {
    fn of(&self, pool: &str) -> Result<Option<Arc<dyn ScaleTarget>>> {
        Ok(Some(self.processes(pool)?))
    }
}

/// The pools that have a folder.
fn in_folder(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pool_has_a_folder_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let options = LocalOptions {
            folder: folder.path().join("nodes"),
            program: "tundra".into(),
            arguments: Vec::new(),
            settings: Vec::new(),
        };
        let pools = LocalPools::new(options).unwrap();
        let name = |pool| pools.of(pool).unwrap().unwrap().name();
        assert!(name("default").ends_with("/nodes") && name("acme").ends_with("/nodes/pools/acme"));
        assert!(Arc::ptr_eq(&pools.processes("acme").unwrap(), &pools.processes("acme").unwrap()));
        assert_eq!(in_folder(&folder.path().join("nodes/pools")), ["acme"]);
        assert!(NoTargets.of("acme").unwrap().is_none());
    }
}

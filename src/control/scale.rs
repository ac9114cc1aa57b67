//! What the control plane launches nodes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use control_plane::scaling::{
    AutoScalingGroup, GroupOptions, Groups, LocalOptions, LocalPools, NoTargets, ScaleTargets,
};
use control_plane::{HttpCluster, Scaling};
use flight_proto::pool::DEFAULT_POOL;

use crate::Failure;
use crate::shard::pool;

/// How often a pool with a policy is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct ScaleOptions {
    /// Launch nodes of all pools as processes of this machine, each with a folder in DIR; they live on when the control plane
    /// ends
    #[arg(long, value_name = "DIR", requires = "scale_shard")]
    scale_local: Option<PathBuf>,
    /// An argument of `tundra shard` for these nodes, such as --certificates=DIR; once for each
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true, requires = "scale_local")]
    scale_shard: Vec<String>,
    /// Launch nodes as machines of this EC2 Auto Scaling group, whose launch template starts `tundra shard`; as POOL=NAME those
    /// of another pool than `default`, once for each, with `--pool POOL` in its template. Credentials are those of
    /// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or of the machine's role
    #[arg(long, value_name = "NAME", conflicts_with = "scale_local", requires = "scale_region")]
    scale_group: Vec<String>,
    /// The group's region of AWS
    #[arg(long, value_name = "REGION", env = "AWS_REGION")]
    scale_region: Option<String>,
    /// An endpoint in place of AWS's own
    #[arg(long, value_name = "URL", requires = "scale_group")]
    scale_endpoint: Option<String>,
    /// How often a pool with a policy is looked at, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = LOOK.as_millis() as u64, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    scale_look: u64,
}

impl ScaleOptions {
    /// How pools are scaled, where there are coordinators.
    pub(super) fn scaling(self, view: Option<Arc<HttpCluster>>) -> Result<Option<Scaling>, Failure> {
        let targets = self.targets()?;
        let Some(view) = view else {
            return match targets {
                None => Ok(None),
                Some(_) => Err("nodes are launched for a cluster: name its --coordinators".into()),
            };
        };
        let targets = targets.unwrap_or_else(|| Arc::new(NoTargets));
        Ok(Some(Scaling { view, targets, look: Duration::from_millis(self.scale_look) }))
    }

    fn targets(&self) -> Result<Option<Arc<dyn ScaleTargets>>, Failure> {
        if let (false, Some(region)) = (self.scale_group.is_empty(), self.scale_region.clone()) {
            let mut groups = BTreeMap::new();
            for (pool, group) in groups_of(&self.scale_group)? {
                let (region, endpoint) = (region.clone(), self.scale_endpoint.clone());
                let group = AutoScalingGroup::new(GroupOptions { group, region, endpoint })?;
                groups.insert(pool, Arc::new(group));
            }
            return Ok(Some(Arc::new(Groups(groups))));
        }
        if self.scale_shard.iter().any(|argument| argument == "--pool" || argument.starts_with("--pool=")) {
            let why =
                "--scale-shard takes no --pool: nodes are launched for the pool whose policy asks for them";
            return Err(why.into());
        }
        let Some(folder) = self.scale_local.clone() else { return Ok(None) };
        let (program, arguments) = (std::env::current_exe()?, self.scale_shard.clone());
        Ok(Some(Arc::new(LocalPools::new(LocalOptions {
            folder,
            program,
            arguments,
            settings: Vec::new(),
        })?)))
    }
}

/// The group of each pool. A group's machines are of one.
fn groups_of(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for text in texts {
        let wrong = |why: String| format!("--scale-group {text}: {why}");
        let (name, group) = text.split_once('=').unwrap_or((DEFAULT_POOL, text));
        let name = pool(name).map_err(wrong)?;
        if groups.contains_key(&name) {
            return Err(wrong(format!("the pool '{name}' has a group already")));
        }
        if let Some((other, _)) = groups.iter().find(|(_, other)| *other == group) {
            return Err(wrong(format!(
                "its machines are of the pool '{other}' already: make another group for '{name}', with --pool {name} in its \
                 launch template"
            )));
        }
        groups.insert(name, group.into());
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_of_one_pool() {
        let of = |texts: &[&str]| groups_of(&texts.iter().map(|text| text.to_string()).collect::<Vec<_>>());
        let groups = of(&["shards", "acme=others"]).unwrap();
        assert_eq!((groups["default"].as_str(), groups["acme"].as_str()), ("shards", "others"));
        for (texts, expected) in [
            (["shards", "acme=shards"], "its machines are of the pool 'default' already"),
            (["shards", "default=others"], "the pool 'default' has a group already"),
            (["shards", "A=others"], "no name of a pool"),
        ] {
            let why = of(&texts).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}

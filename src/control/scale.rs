//! What the control plane launches nodes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use control_plane::scaling::{AutoScalingGroup, GroupOptions, LocalOptions, LocalProcesses, ScaleTarget};
use control_plane::{HttpCluster, Scaling};

use crate::Failure;

/// How often a pool with a policy is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(super) struct ScaleOptions {
    /// Launch nodes as processes of this machine, each with a folder in DIR; they live on when the control plane ends
    #[arg(long, value_name = "DIR", requires = "scale_shard")]
    scale_local: Option<PathBuf>,
    /// An argument of `tundra shard` for these nodes, such as --certificates=DIR; once for each
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true, requires = "scale_local")]
    scale_shard: Vec<String>,
    /// Launch nodes as machines of this EC2 Auto Scaling group, whose launch template starts `tundra shard`. Credentials are
    /// those of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or of the machine's role
    #[arg(long, value_name = "NAME", conflicts_with = "scale_local", requires = "scale_region")]
    scale_group: Option<String>,
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
        let target = self.target()?;
        let Some(view) = view else {
            return match target {
                None => Ok(None),
                Some(_) => Err("nodes are launched for a cluster: name its --coordinators".into()),
            };
        };
        Ok(Some(Scaling { view, target, look: Duration::from_millis(self.scale_look) }))
    }

    fn target(&self) -> Result<Option<Arc<dyn ScaleTarget>>, Failure> {
        if let (Some(group), Some(region)) = (self.scale_group.clone(), self.scale_region.clone()) {
            let options = GroupOptions { group, region, endpoint: self.scale_endpoint.clone() };
            return Ok(Some(Arc::new(AutoScalingGroup::new(options)?)));
        }
        let Some(folder) = self.scale_local.clone() else { return Ok(None) };
        let (program, arguments) = (std::env::current_exe()?, self.scale_shard.clone());
        Ok(Some(Arc::new(LocalProcesses::new(LocalOptions {
            folder,
            program,
            arguments,
            settings: Vec::new(),
        })?)))
    }
}

//! Nodes as machines of an EC2 Auto Scaling group, whose launch template starts `tundra shard`.
//!
//! Launching sets the group's desired capacity; ending names the machine and lowers it. Which shard runs on which machine is
//! told by its private address.

use super::super::aws::{Caller, CredentialSource, Service, endpoint};
use super::{Instance, Listing, ScaleTarget};
use crate::decisions::providers::cause;
use crate::error::{Error, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The group, and how AWS is reached.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    pub group: String,
    /// Such as `eu-central-1`.
    pub region: String,
    /// Of Auto Scaling and of EC2; `None`: those of AWS.
    pub endpoint: Option<String>,
}

/// Nodes of an Auto Scaling group.
pub struct AutoScalingGroup {
    group: String,
    caller: Caller,
    scaling: Service,
    machines: Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupsResponse {
    describe_auto_scaling_groups_result: GroupsResult,
}
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupsResult {
    #[serde(default)]
    auto_scaling_groups: Members<Group>,
}
#[derive(Deserialize)]
#[serde(default)]
struct Members<T> {
    member: Vec<T>,
}
impl<T> Default for Members<T> {
    fn default() -> Members<T> {
        Members { member: Vec::new() }
    }
}
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    desired_capacity: u32,
    min_size: u32,
    max_size: u32,
    #[serde(default)]
    instances: Members<Machine>,
}
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Machine {
    instance_id: String,
    lifecycle_state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MachinesResponse {
    #[serde(default)]
    reservation_set: Items<Reservation>,
}
#[derive(Deserialize)]
#[serde(default)]
struct Items<T> {
    item: Vec<T>,
}
impl<T> Default for Items<T> {
    fn default() -> Items<T> {
        Items { item: Vec::new() }
    }
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    #[serde(default)]
    instances_set: Items<Addressed>,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addressed {
    instance_id: String,
    private_ip_address: Option<String>,
}

impl AutoScalingGroup {
    /// With credentials of the environment or of the machine's role.
    pub fn new(options: GroupOptions) -> Result<AutoScalingGroup> {
        let credentials = CredentialSource::of_environment(|name| std::env::var(name).ok())?;
        AutoScalingGroup::with(options, credentials)
    }

    fn with(options: GroupOptions, credentials: CredentialSource) -> Result<AutoScalingGroup> {
        if options.group.is_empty() {
            return Err(Error::Invalid("the name of the Auto Scaling group is empty".into()));
        }
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(|error| Error::Environment(cause(&error)))?;
        let service = |name: &'static str, version: &'static str| {
            let endpoint = endpoint(name, &options.region, options.endpoint.as_deref())?;
            Ok::<Service, Error>(Service { name, version, region: options.region.clone(), endpoint })
        };
        Ok(AutoScalingGroup {
            scaling: service("autoscaling", "2011-01-01")?,
            machines: service("ec2", "2016-11-15")?,
            group: options.group,
            caller: Caller { http, credentials },
        })
    }

    async fn describe(&self) -> Result<Group> {
        let parameters = [("AutoScalingGroupNames.member.1", self.group.as_str())];
        let answer: GroupsResponse =
            self.caller.call(&self.scaling, "DescribeAutoScalingGroups", &parameters).await?;
        let group = answer.describe_auto_scaling_groups_result.auto_scaling_groups.member.into_iter().next();
        group.ok_or_else(|| {
            let (group, region) = (&self.group, &self.scaling.region);
            Error::NotFound(format!("there is no Auto Scaling group '{group}' in {region}"))
        })
    }

    /// The private addresses of machines.
    async fn addresses(&self, machines: &[&Machine]) -> Result<Vec<Addressed>> {
        let names: Vec<String> = (1..=machines.len()).map(|number| format!("InstanceId.{number}")).collect();
        let parameters: Vec<(&str, &str)> = names
            .iter()
            .map(String::as_str)
            .zip(machines.iter().map(|one| one.instance_id.as_str()))
            .collect();
        if parameters.is_empty() {
            return Ok(Vec::new());
        }
        let answer: MachinesResponse =
            self.caller.call(&self.machines, "DescribeInstances", &parameters).await?;
        let sets = answer.reservation_set.item.into_iter().map(|one| one.instances_set.item);
        Ok(sets.flatten().collect())
    }
}

impl ScaleTarget for AutoScalingGroup {
    fn name(&self) -> String {
        format!("Auto Scaling group {} in {}", self.group, self.scaling.region)
    }

    fn list(&self) -> BoxFuture<'_, Result<Listing>> {
        async move {
            let group = self.describe().await?;
            // Those that end are none of the group's capacity any more.
            let ends = |one: &&Machine| one.lifecycle_state.starts_with("Terminat");
            let machines: Vec<&Machine> = group.instances.member.iter().filter(|one| !ends(one)).collect();
            let addresses = self.addresses(&machines).await?;
            let host = |id: &str| {
                let found = addresses.iter().find(|one| one.instance_id == id);
                found.and_then(|one| one.private_ip_address.clone())
            };
            let instances = machines.iter().map(|one| Instance {
                name: one.instance_id.clone(),
                gone: None,
                shard: None,
                host: host(&one.instance_id),
            });
            let instances: Vec<Instance> = instances.collect();
            let expected = group.desired_capacity.max(instances.len() as u32);
            Ok(Listing { instances, expected })
        }
        .boxed()
    }

    fn grow(&self, to: u32) -> BoxFuture<'_, Result<()>> {
        async move {
            let group = self.describe().await?;
            if group.desired_capacity >= to {
                return Ok(());
            }
            if to > group.max_size {
                let (name, most) = (&self.group, group.max_size);
                return Err(Error::Conflict(format!(
                    "{to} nodes are wanted, and Auto Scaling group '{name}' may have {most}: raise its MaxSize"
                )));
            }
            let desired = to.to_string();
            let parameters = [
                ("AutoScalingGroupName", self.group.as_str()),
                ("DesiredCapacity", desired.as_str()),
                ("HonorCooldown", "false"),
            ];
            self.caller.call::<IgnoredAny>(&self.scaling, "SetDesiredCapacity", &parameters).await.map(drop)
        }
        .boxed()
    }

    fn terminate<'a>(&'a self, instance: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let group = self.describe().await?;
            let found = group.instances.member.iter().find(|one| one.instance_id == instance);
            let Some(machine) = found else { return Ok(()) };
            if machine.lifecycle_state.starts_with("Terminat") {
                return Ok(());
            }
            if group.desired_capacity <= group.min_size {
                let (name, least) = (&self.group, group.min_size);
                return Err(Error::Conflict(format!(
                    "Auto Scaling group '{name}' has no more than its MinSize of {least}: lower it, so that {instance} may go"
                )));
            }
            let parameters = [("InstanceId", instance), ("ShouldDecrementDesiredCapacity", "true")];
            let action = "TerminateInstanceInAutoScalingGroup";
            self.caller.call::<IgnoredAny>(&self.scaling, action, &parameters).await.map(drop)
        }
        .boxed()
    }
}

#[cfg(test)]
#[path = "../tests/group.rs"]
mod tests;

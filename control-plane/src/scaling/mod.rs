//! Scaling: how many nodes a pool is to have, by a policy that operators set.
//!
//! [`decide`](decide::decide) is a pure function of the policy and of what was observed; a [`replay`] of a day's demand
//! uses exactly that one.

mod aws;
pub(crate) mod decide;
mod meter;
pub(crate) mod observation;
mod phase;
mod plan;
pub mod policy;
mod pools;
pub mod replay;
mod run;
mod sleep;
pub(crate) mod status;
mod target;
mod view;
pub(crate) mod window;

pub use policy::ScalePolicy;
pub(crate) use pools::scale;
pub use run::Scaling;
pub use target::{
    AutoScalingGroup, GroupOptions, Groups, Instance, Listing, LocalOptions, LocalPools, LocalProcesses,
    NoTargets, ScaleTarget, ScaleTargets,
};
pub use view::{Look, PoolView};
pub use window::Window;

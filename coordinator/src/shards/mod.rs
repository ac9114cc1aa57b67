//! The shards as a coordinator has them: in this process ([`here`]).

pub(crate) mod here;

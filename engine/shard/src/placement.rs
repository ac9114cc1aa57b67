//! Which shard gets which rows of a version.

/// How a version's rows lie on the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each row on some shard.
    Spread,
    /// Rows on the shard that [`exec::hash::route`] names for the hash of these columns.
    Hash(Vec<u32>),
    /// Every row on every shard: small datasets.
    Replicated,
}

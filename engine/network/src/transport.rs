//! Nodes that speak another transport than this one.

use std::sync::Once;

/// Why a node that listens for another transport is not reached. The first time it is logged, since whoever tries to
/// reach it tries again.
pub(crate) fn why_other(peer: &str, theirs: &str, own: &str) -> String {
    static TOLD: Once = Once::new();
    let why =
        format!("it listens for {theirs}, and this node speaks {own}: give all nodes the same transport");
    TOLD.call_once(|| tracing::warn!("node {peer} cannot be reached: {why}"));
    why
}

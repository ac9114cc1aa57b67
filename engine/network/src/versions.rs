//! Which versions nodes speak, and which of them a cluster has gone over to.
//!
//! Everyone speaks the cluster's version. A node that is yet to hear of it begins with its least: until a cluster is
//! told to go over to a version, that is the one before; and afterwards every node of it understands both.

use crate::protocol::PROTOCOL_VERSIONS;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// All versions between two, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions {
    pub least: u16,
    pub most: u16,
}

impl Versions {
    /// Those that this code speaks.
    pub const OWN: Versions = Versions { least: *PROTOCOL_VERSIONS.start(), most: *PROTOCOL_VERSIONS.end() };

    pub fn contains(self, version: u16) -> bool {
        (self.least..=self.most).contains(&version)
    }

    /// Why a node that speaks these takes no part in a cluster at `version`; `None`: it may.
    pub fn refusal(self, version: u16) -> Option<String> {
        let what = match version {
            _ if self.contains(version) => return None,
            _ if version > self.most => "start it with a newer release of Tundra".to_string(),
            _ => format!(
                "start it with the release before, and raise the version with `tundra admin upgrade` once all nodes \
                 speak {}",
                self.least
            ),
        };
        Some(format!("the cluster is at version {version}, and this node speaks {self}: {what}"))
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least == self.most {
            true => write!(f, "version {}", self.least),
            false => write!(f, "versions {} to {}", self.least, self.most),
        }
    }
}

/// What a node speaks, and what its cluster does; all its connections share it.
#[derive(Debug)]
pub struct Spoken {
    versions: Versions,
    cluster: AtomicU16,
}

impl Spoken {
    pub fn new(versions: Versions) -> Arc<Spoken> {
        Arc::new(Spoken { versions, cluster: AtomicU16::new(versions.least) })
    }

    /// What the node speaks.
    pub fn versions(&self) -> Versions {
        self.versions
    }

    /// The cluster is at this version, or a later one: it never goes back. Nodes that do not speak it are refused from
    /// now on.
    pub fn agree(&self, version: u16) {
        self.cluster.fetch_max(version, Ordering::AcqRel);
    }

    /// The version of the cluster, as far as it was heard of.
    pub fn cluster(&self) -> u16 {
        self.cluster.load(Ordering::Acquire)
    }

    /// The version to open streams with.
    pub(crate) fn version(&self) -> u16 {
        self.cluster().min(self.versions.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_speaks_what_its_cluster_does() {
        let spoken = Spoken::new(Versions { least: 2, most: 3 });
        assert_eq!((spoken.cluster(), spoken.version()), (2, 2));
        spoken.agree(3);
        spoken.agree(1);
        assert_eq!((spoken.cluster(), spoken.version()), (3, 3));
        spoken.agree(4);
        assert_eq!((spoken.cluster(), spoken.version()), (4, 3));
    }

    #[test]
    fn who_is_too_old_or_too_new_is_told_what_to_do() {
        let versions = Versions { least: 2, most: 3 };
        assert_eq!(versions.refusal(2), None);
        assert_eq!(versions.refusal(3), None);
        let old = versions.refusal(4).unwrap();
        assert!(
            old.contains("at version 4") && old.contains("versions 2 to 3") && old.contains("newer"),
            "{old}"
        );
        let new = versions.refusal(1).unwrap();
        assert!(new.contains("at version 1") && new.contains("release before"), "{new}");
        assert_eq!(Versions { least: 1, most: 1 }.to_string(), "version 1");
    }
}

//! Pools of shards, by name: each shard is of one, and each tenant has its data on the shards of one.

use std::fmt;

/// The pool of shards and tenants that name none. In messages its name is left out.
pub const DEFAULT_POOL: &str = "default";
/// The longest name of a pool, in bytes.
const NAME_MOST: usize = 63;

/// The pool that a message names.
pub fn named(pool: &str) -> &str {
    if pool.is_empty() { DEFAULT_POOL } else { pool }
}

/// How a message names a pool, so that the default one is always said in the same way.
pub fn in_message(pool: &str) -> &str {
    if pool == DEFAULT_POOL { "" } else { pool }
}

/// Why a name is no pool's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPoolName(String);

impl fmt::Display for BadPoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        write!(
            f,
            "'{name}' is no name of a pool: expected up to {NAME_MOST} lower-case letters, digits and hyphens, a letter first"
        )
    }
}

impl std::error::Error for BadPoolName {}

/// Pools name folders, and parts of what users type.
pub fn check_pool_name(name: &str) -> Result<(), BadPoolName> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let fits = name.len() <= NAME_MOST && !name.ends_with('-') && name.bytes().all(allowed);
    match begins && fits {
        true => Ok(()),
        false => Err(BadPoolName(name.chars().take(100).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pools() {
        for good in ["default", "a", "acme-2", &"a".repeat(63)] {
            assert!(check_pool_name(good).is_ok(), "{good}");
            assert_eq!(named(in_message(good)), good);
        }
        for bad in ["", "2a", "-a", "a-", "A", "a_b", "a/b", "..", "a=b", "ä", &"a".repeat(64)] {
            assert!(check_pool_name(bad).is_err(), "{bad}");
        }
        assert_eq!((named(""), in_message("default")), ("default", ""));
    }
}

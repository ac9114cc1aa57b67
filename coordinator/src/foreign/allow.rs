//! Which engines may be reached, and with which drivers: the operator's to say, and nothing by default.

use super::options::{Address, Wrapper};
use crate::config::ForeignAccess;
use crate::error::{Error, Result};
use std::path::PathBuf;

/// Parameters that PostgreSQL's client takes from its environment where a connection does not name them.
const PREFIX: &str = "PG";
/// What begins like them, and is of the server alone.
const HARMLESS: [&str; 2] = ["PG", "PGDATA"];

/// A host that foreign servers may be on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    /// `None`: any.
    port: Option<u16>,
}

impl std::str::FromStr for AllowedHost {
    type Err = String;

    /// `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`.
    fn from_str(text: &str) -> std::result::Result<AllowedHost, String> {
        let wrong = || format!("expected HOST or HOST:PORT, got '{text}'");
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
                (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(wrong)?) })
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.contains(['*', '/', ',']) {
            return Err(wrong());
        }
        let port = port.map(|port| port.parse().map_err(|_| wrong())).transpose()?;
        Ok(AllowedHost { host: host.to_ascii_lowercase(), port })
    }
}

/// Refuses an environment that would speak for connections of tenants.
pub(super) fn check_environment(access: &ForeignAccess) -> Result<()> {
    if access.drivers.is_empty() {
        return Ok(());
    }
    let set = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut speaking =
        set.into_iter().filter(|name| name.starts_with(PREFIX) && !HARMLESS.contains(&name.as_str()));
    let Some(name) = speaking.next() else {
        return Ok(());
    };
    Err(Error::Environment(format!(
        "the environment variable {name} is set: it would be part of every tenant's connections to PostgreSQL; \
         unset it, or leave --foreign-drivers out"
    )))
}

/// The library of a wrapper's driver.
pub(super) fn driver(access: &ForeignAccess, wrapper: Wrapper) -> Result<PathBuf> {
    let found = access.drivers.get(wrapper.driver()).cloned();
    found.ok_or_else(|| {
        Error::Denied(format!(
            "no driver for servers of the kind {}: the operator allows one by --foreign-drivers {}=PATH",
            wrapper.name(),
            wrapper.driver()
        ))
    })
}

/// Refuses a place that the operator has not named.
pub(super) fn check_address(access: &ForeignAccess, address: &Address) -> Result<()> {
    let allows = |allowed: &AllowedHost| {
        allowed.host == address.host && allowed.port.is_none_or(|port| port == address.port)
    };
    if access.hosts.iter().any(allows) {
        return Ok(());
    }
    Err(Error::Denied(format!(
        "the server {address} may not be reached: the operator allows it by --allow-foreign {address}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(texts: &[&str], host: &str, port: u16) -> bool {
        let hosts = texts.iter().map(|text| text.parse().unwrap()).collect();
        let access = ForeignAccess { hosts, ..ForeignAccess::default() };
        check_address(&access, &Address { host: host.into(), port }).is_ok()
    }

    #[test]
    fn only_named_hosts_are_reached() {
        assert!(!allows(&[], "db", 5432));
        assert!(allows(&["DB"], "db", 5432));
        assert!(allows(&["db:5432"], "db", 5432));
        assert!(!allows(&["db:5432"], "db", 5433));
        assert!(!allows(&["db"], "db.evil", 5432));
        assert!(allows(&["[::1]:5432", "127.0.0.1"], "::1", 5432));
        for wrong in ["", ":1", "*", "a:b", "[::1", "[::1]x", "/tmp"] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }
}

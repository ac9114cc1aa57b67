//! Passwords of foreign servers as the catalog keeps them: encrypted, where the coordinators have a key. Those that were kept
//! before stay as they are until their server is created anew.

use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flight_proto::Message;
use flight_proto::catalog::ForeignServer;
use flight_proto::sealed::{SealError, Sealed, SecretKeys};

/// What names of secrets begin with whose value is a [`Sealed`] in base64. No option is called so.
const SEALED: &str = "sealed:";
/// What they are sealed for.
const PURPOSE: &str = "foreign server";

/// What a secret is called, however it is kept.
pub(crate) fn option_of(name: &str) -> &str {
    name.strip_prefix(SEALED).unwrap_or(name)
}

/// Which key a secret is encrypted with, for operators; `None`: with none.
pub(crate) fn key_of(name: &str, kept: &str) -> Option<String> {
    name.strip_prefix(SEALED)?;
    let bytes = STANDARD.decode(kept).ok()?;
    Some(Sealed::decode(&*bytes).ok()?.key_id)
}

/// A server of a tenant as it is kept.
pub(super) fn seal(keys: &SecretKeys, tenant: &str, mut server: ForeignServer) -> Result<ForeignServer> {
    if keys.ids().next().is_none() {
        return Ok(server);
    }
    for (name, secret) in std::mem::take(&mut server.secrets) {
        let sealed = keys.seal(PURPOSE, &[tenant, &server.name, &name], secret.as_bytes());
        let sealed = sealed.map_err(|why| Error::Environment(format!("server {}: {why}", server.name)))?;
        server.secrets.insert(format!("{SEALED}{name}"), STANDARD.encode(sealed.encode_to_vec()));
    }
    Ok(server)
}

/// The same server with what is needed to connect.
pub(super) fn open(keys: &SecretKeys, tenant: &str, server: &ForeignServer) -> Result<ForeignServer> {
    let mut opened = server.clone();
    for (name, kept) in &server.secrets {
        let Some(option) = name.strip_prefix(SEALED) else { continue };
        let read = || {
            let bytes = STANDARD.decode(kept).map_err(|_| SealError::Damaged)?;
            let sealed = Sealed::decode(&*bytes).map_err(|_| SealError::Damaged)?;
            let secret = keys.open(PURPOSE, &[tenant, &server.name, option], &sealed)?;
            String::from_utf8(secret).map_err(|_| SealError::Damaged)
        };
        let why =
            |why: SealError| Error::Environment(format!("the {option} of server {}: {why}", server.name));
        opened.secrets.remove(name);
        opened.secrets.insert(option.into(), read().map_err(why)?);
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ForeignServer {
        let secrets = [("password".to_string(), "geheim".to_string())].into();
        ForeignServer { name: "pg".into(), secrets, ..ForeignServer::default() }
    }

    #[test]
    fn passwords_are_kept_encrypted_where_there_is_a_key() {
        let keys = SecretKeys::parse("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
        let none = SecretKeys::default();
        let kept = seal(&keys, "acme", server()).unwrap();
        assert!(!kept.encode_to_vec().windows(6).any(|bytes| bytes == b"geheim"));
        assert_eq!(kept.secrets.keys().map(|name| option_of(name)).collect::<Vec<_>>(), ["password"]);
        assert_eq!(open(&keys, "acme", &kept).unwrap(), server());
        let id = kept.secrets.iter().find_map(|(name, secret)| key_of(name, secret));
        assert_eq!(id.as_deref(), keys.ids().next());
        assert_eq!(key_of("password", "geheim"), None);
        let moved = ForeignServer { name: "other".into(), ..kept.clone() };
        for (keys, tenant, server, why) in [
            (&keys, "zeta", &kept, "the password of server pg: it is damaged"),
            (&keys, "acme", &moved, "the password of server other: it is damaged"),
            (&none, "acme", &kept, "which this process does not have"),
        ] {
            let error = open(keys, tenant, server).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        // What was kept before is read as ever.
        assert_eq!(seal(&none, "acme", server()).unwrap(), server());
        assert_eq!(open(&keys, "acme", &server()).unwrap(), server());
    }
}

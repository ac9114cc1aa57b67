//! The certificates by which the nodes of a cluster know each other.
//!
//! A cluster has one authority. Every node presents a certificate that the authority signed, whether it connects or
//! is connected to. All certificates are for one name, [`SERVER_NAME`], so that addresses may change; the node's own
//! name is in the subject, for people.

mod check;

pub(crate) use check::{Identity, provider};

use crate::{Error, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::UnixTime;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// The name that every node's certificate is for.
pub const SERVER_NAME: &str = "node.tundra";
/// How long an authority is valid.
pub const AUTHORITY_DAYS: u64 = 3650;
/// How long a node's certificate is valid.
pub const NODE_DAYS: u64 = 365;
/// How much earlier a certificate is valid than it was issued: clocks differ.
const SKEW_DAYS: u64 = 1;
const DAY_SECONDS: u64 = 24 * 60 * 60;
/// The longest name in a subject (RFC 5280, `ub-common-name`).
const NAME_LENGTH_MAX: usize = 64;

const AUTHORITY_FILE: &str = "authority.pem";
const AUTHORITY_KEY_FILE: &str = "authority.key";
const NODE_FILE: &str = "node.pem";
const NODE_KEY_FILE: &str = "node.key";

/// What may read and write a key's file: its owner.
const KEY_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;

/// The authority of a cluster: signs the certificates of its nodes.
pub struct Authority {
    certificate_pem: String,
    key: KeyPair,
}

impl Authority {
    /// A new authority, valid from now on.
    pub fn create() -> Result<Authority> {
        Authority::create_at(UnixTime::now())
    }

    fn create_at(now: UnixTime) -> Result<Authority> {
        let key = KeyPair::generate().map_err(refused)?;
        let mut parameters = subject(&key);
        set_validity(&mut parameters, now, AUTHORITY_DAYS);
        let certificate_pem = parameters.self_signed(&key).map_err(refused)?.pem();
        Ok(Authority { certificate_pem, key })
    }

    /// The authority of a certificate and its key, which must be one of [`Authority::create`] and valid now.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Authority> {
        let key = KeyPair::from_pem(key_pem).map_err(|error| {
            Error::Environment(format!("{AUTHORITY_KEY_FILE} is no private key: {error}"))
        })?;
        let authority = Authority { certificate_pem: certificate_pem.to_string(), key };
        // What it signs must be accepted by whoever trusts its certificate.
        authority.issue("check")?.identity(UnixTime::now()).map_err(|error| {
            Error::Environment(format!("{AUTHORITY_FILE} and {AUTHORITY_KEY_FILE} are no authority: {error}"))
        })?;
        Ok(authority)
    }

    /// The authority that was stored in a folder; `None` if there is none.
    pub fn load(folder: &Path) -> Result<Option<Authority>> {
        if !folder.join(AUTHORITY_FILE).exists() && !folder.join(AUTHORITY_KEY_FILE).exists() {
            return Ok(None);
        }
        let (certificate, key) = (read(folder, AUTHORITY_FILE)?, read(folder, AUTHORITY_KEY_FILE)?);
        Authority::from_pem(&certificate, &key).map(Some).map_err(|error| within(folder, error))
    }

    /// Writes `authority.pem` and `authority.key`. Whoever has the key can add nodes to the cluster: no node needs it.
    pub fn store(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| unwritten(folder, error))?;
        write(folder, AUTHORITY_KEY_FILE, &self.key.serialize_pem(), KEY_MODE)?;
        write(folder, AUTHORITY_FILE, &self.certificate_pem, CERTIFICATE_MODE)
    }

    /// A certificate for a node, with a new key, valid from now on.
    pub fn issue(&self, name: &str) -> Result<Credentials> {
        self.issue_at(name, UnixTime::now())
    }

    fn issue_at(&self, name: &str, now: UnixTime) -> Result<Credentials> {
        check_name(name)?;
        let key = KeyPair::generate().map_err(refused)?;
        let mut parameters = CertificateParams::new([SERVER_NAME.to_string()]).map_err(refused)?;
        parameters.distinguished_name = common_name(name);
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        set_validity(&mut parameters, now, NODE_DAYS);
        let issuer = Issuer::new(subject(&self.key), &self.key);
        let certificate = parameters.signed_by(&key, &issuer).map_err(refused)?;
        Ok(Credentials {
            authority_pem: self.certificate_pem.clone(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// What a node shows to others, and by which it checks them. PEM texts.
#[derive(Clone)]
pub struct Credentials {
    /// The certificates of the authorities whose nodes are trusted; several while one replaces another.
    pub authority_pem: String,
    /// The node's certificate, followed by those between it and the authority if there are any.
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Credentials {
    /// Reads `authority.pem`, `node.pem` and `node.key`, and checks that they fit and are valid now.
    pub fn load(folder: &Path) -> Result<Credentials> {
        let credentials = Credentials {
            authority_pem: read(folder, AUTHORITY_FILE)?,
            certificate_pem: read(folder, NODE_FILE)?,
            key_pem: read(folder, NODE_KEY_FILE)?,
        };
        credentials.identity(UnixTime::now()).map_err(|error| within(folder, error))?;
        Ok(credentials)
    }

    /// Writes what [`Credentials::load`] reads.
    pub fn store(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).map_err(|error| unwritten(folder, error))?;
        write(folder, NODE_KEY_FILE, &self.key_pem, KEY_MODE)?;
        write(folder, NODE_FILE, &self.certificate_pem, CERTIFICATE_MODE)?;
        write(folder, AUTHORITY_FILE, &self.authority_pem, CERTIFICATE_MODE)
    }
}

/// Letters, digits, `-`, `_` and inner dots, so that a name is also that of a folder.
fn check_name(name: &str) -> Result<()> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || name.starts_with('.') || !name.bytes().all(known) {
        let expected =
            format!("expected up to {NAME_LENGTH_MAX} letters, digits, '-', '_' and '.', no '.' first");
        return Err(Error::Environment(format!("bad name of a node '{name}': {expected}")));
    }
    Ok(())
}

/// What an authority's certificate says of the authority. It follows from the key, so that the certificate need not
/// be read to sign others.
fn subject(key: &KeyPair) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    let identifier = parameters.key_identifier(key);
    let short: String = identifier.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    parameters.distinguished_name = common_name(&format!("tundra authority {short}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    parameters
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// Valid from a little before `now` to some days after it.
fn set_validity(parameters: &mut CertificateParams, now: UnixTime, days: u64) {
    let (epoch, now) = (rcgen::date_time_ymd(1970, 1, 1), now.as_secs());
    parameters.not_before = epoch + Duration::from_secs(now.saturating_sub(SKEW_DAYS * DAY_SECONDS));
    parameters.not_after = epoch + Duration::from_secs(now + days * DAY_SECONDS);
}

/// What the library that makes certificates refused.
fn refused(error: rcgen::Error) -> Error {
    Error::Environment(format!("cannot make a certificate: {error}"))
}

/// The same error, and where the files lie.
fn within(folder: &Path, error: Error) -> Error {
    Error::Environment(format!("certificates in '{}': {error}", folder.display()))
}

fn read(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    fs::read_to_string(&path).map_err(|error| {
        let hint = if error.kind() == io::ErrorKind::NotFound { "; `tundra cert` makes it" } else { "" };
        Error::Environment(format!("cannot read '{}': {error}{hint}", path.display()))
    })
}

/// Replaces a file as a whole; a new key is never readable by others, not even for a moment.
fn write(folder: &Path, name: &str, text: &str, mode: u32) -> Result<()> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    let written = || {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|error| unwritten(&path, error))
}

fn unwritten(path: &Path, error: io::Error) -> Error {
    Error::Environment(format!("cannot write '{}': {error}", path.display()))
}

#[cfg(test)]
mod tests;

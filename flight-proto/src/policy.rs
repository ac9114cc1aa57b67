//! Policy: what the control plane has decided, as documents that it publishes into the replicated catalog.
//!
//! A document has a name, which says what it is about, and a version. The versions of all documents of one control plane
//! ascend in the order in which it decided, so that of two documents of a name the higher version is the later one. Each is
//! signed by itself. Publishing one again changes nothing, and one that is not later than what is known is refused: who
//! publishes from an old copy of its decisions cannot undo later ones. What is no more is said by a document, too
//! ([`Subject::Gone`]).
//!
//! | name | subject |
//! |---|---|
//! | `tenant/NAME` | [`Tenant`] |
//! | `keys/NAME` | [`ApiKeys`] of that tenant |
//! | `issuers` | [`Issuers`] |
//! | `routes/NAME` | [`Routes`] of that tenant |
//! | `budgets/NAME` | [`Budgets`] of that tenant |
//! | `prices` | [`Prices`] |
//! | `spend/NAME` | [`Spend`] of that tenant |
//! | `schedules/NAME` | [`Schedules`] of that tenant |
//! | `credentials/NAME` | [`Credentials`] of that tenant |

mod routes;

pub use routes::{Condition, EnginePrice, Feature, MayForce, Routes, Rule, Twin};

pub use crate::credentials::Credentials;
use crate::pool::{DEFAULT_POOL, check_pool_name};
pub use crate::spending::{Budget, Budgets, OnLimit, Period, Price, Prices, Spend, Spent, SpentBy};
use prost::Message;
use std::fmt;

/// What is signed is this and the bytes of the document: a signature over anything else is none over a document.
const CONTEXT: &[u8] = b"tundra policy document 1\0";
/// Bytes of an Ed25519 public key.
pub const KEY_BYTES: usize = 32;
/// The longest name of a tenant.
pub const TENANT_NAME_MOST: usize = 63;
/// The tenant of those who name none; it is always there.
pub const DEFAULT_TENANT: &str = "default";
/// Folders of the object store that are no tenant's.
const RESERVED: [&str; 3] = ["catalog", "samples", "system"];

/// A document as it is published.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Signed {
    /// A [`Document`].
    #[prost(bytes = "vec", tag = "1")]
    pub document: Vec<u8>,
    /// The Ed25519 public key of who signed it.
    #[prost(bytes = "vec", tag = "2")]
    pub key: Vec<u8>,
    /// Over [`Signed::message`].
    #[prost(bytes = "vec", tag = "3")]
    pub signature: Vec<u8>,
}

/// One decision.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Document {
    /// What it is about.
    #[prost(string, tag = "1")]
    pub name: String,
    /// From 1.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// When it was decided, in microseconds since 1970.
    #[prost(int64, tag = "3")]
    pub decided_at_us: i64,
    #[prost(oneof = "Subject", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 21")]
    pub subject: Option<Subject>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum Subject {
    /// There is no such thing any more.
    #[prost(message, tag = "4")]
    Gone(Gone),
    #[prost(message, tag = "5")]
    Tenant(Tenant),
    #[prost(message, tag = "6")]
    ApiKeys(ApiKeys),
    #[prost(message, tag = "7")]
    Issuers(Issuers),
    #[prost(message, tag = "8")]
    Routes(Routes),
    #[prost(message, tag = "9")]
    Budgets(Budgets),
    #[prost(message, tag = "10")]
    Prices(Prices),
    #[prost(message, tag = "11")]
    Spend(Spend),
    #[prost(message, tag = "12")]
    Schedules(Schedules),
    #[prost(message, tag = "21")]
    Credentials(Credentials),
    /// A tenant that names a pool: who knows of no pools does not take it, rather than have its data elsewhere.
    #[prost(message, tag = "15")]
    TenantInPool(Tenant),
}

impl Subject {
    /// What says that there is such a tenant.
    pub fn of_tenant(tenant: Tenant) -> Subject {
        match tenant.pool.is_empty() {
            true => Subject::Tenant(tenant),
            false => Subject::TenantInPool(tenant),
        }
    }

    /// The tenant that it says is there.
    pub fn tenant(&self) -> Option<&Tenant> {
        match self {
            Subject::Tenant(tenant) | Subject::TenantInPool(tenant) => Some(tenant),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Gone {}

/// A tenant, and what it may use.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Tenant {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(enumeration = "TenantStatus", tag = "2")]
    pub status: i32,
    /// What it pays for, by which rules tell tenants apart, such as `standard`.
    #[prost(string, tag = "3")]
    pub tier: String,
    /// How soon its queries are to be answered, in milliseconds at the 95th percentile; 0: nothing is promised.
    #[prost(uint64, tag = "4")]
    pub service_level_ms: u64,
    #[prost(message, optional, tag = "5")]
    pub workload: Option<Workload>,
    #[prost(message, optional, tag = "6")]
    pub quotas: Option<Quotas>,
    /// Prefixes of URLs that its tables may be read from, beside its own folder of the object store.
    #[prost(string, repeated, tag = "7")]
    pub locations: Vec<String>,
    /// The version of the document that created it. One that differs tells of another tenant of the same name: whoever
    /// has not heard that the former was deleted learns it by this.
    #[prost(uint64, tag = "8")]
    pub created_version: u64,
    /// The pool of shards that has its data and runs its queries; empty: the default one.
    #[prost(string, tag = "12")]
    pub pool: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum TenantStatus {
    /// One that this version does not know; nobody is let in.
    Unknown = 0,
    Active = 1,
    /// Nobody is let in; its data stay.
    Suspended = 2,
}

/// A tenant's share of what all tenants run on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Workload {
    /// Statements that run at once on a coordinator; the others queue. 0: as many as the coordinator lets.
    #[prost(uint32, tag = "1")]
    pub concurrency: u32,
    /// Statements that may wait on a coordinator; further ones are refused. 0: any number.
    #[prost(uint32, tag = "2")]
    pub queue: u32,
    /// How long a statement may wait, in milliseconds; 0: as long as it likes.
    #[prost(uint64, tag = "3")]
    pub queue_timeout_ms: u64,
    /// Its part of turns while others wait as well, as a weight; 0 counts as 1.
    #[prost(uint32, tag = "4")]
    pub share: u32,
    /// What its statements may hold together on a node, in bytes; 0: as much as there is.
    #[prost(uint64, tag = "5")]
    pub memory_bytes: u64,
}

/// What a tenant may use at most; 0: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Quotas {
    /// Of its datasets in the memory of shards, one copy of each counted.
    #[prost(uint64, tag = "1")]
    pub resident_bytes: u64,
    /// Read by its statements in a day (UTC).
    #[prost(uint64, tag = "2")]
    pub scanned_bytes_per_day: u64,
    /// Spent in a month (UTC), in millionths of the currency that prices are given in.
    #[prost(uint64, tag = "3")]
    pub spend_per_month_micros: u64,
}

/// The keys that programs of a tenant show instead of a password.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ApiKeys {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(message, repeated, tag = "2")]
    pub keys: Vec<ApiKey>,
}

/// An API key is `tundra_ID_SECRET`: the id in hexadecimal, and 32 random bytes in base64 (URL alphabet, no padding).
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ApiKey {
    /// 16 hexadecimal digits.
    #[prost(string, tag = "1")]
    pub id: String,
    /// SHA-256 of the text of the whole key, which is too long to be guessed.
    #[prost(bytes = "vec", tag = "2")]
    pub sha256: Vec<u8>,
    /// Whom it stands for.
    #[prost(string, tag = "3")]
    pub user: String,
    /// Roles beside the user's own.
    #[prost(string, repeated, tag = "4")]
    pub roles: Vec<String>,
    /// In microseconds since 1970; 0: never.
    #[prost(int64, tag = "5")]
    pub expires_at_us: i64,
}

/// Who makes access tokens that coordinators take.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Issuers {
    #[prost(message, repeated, tag = "1")]
    pub issuers: Vec<Issuer>,
}

/// Who makes JSON Web Tokens: the control plane, or an OpenID provider.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Issuer {
    /// What tokens have in `iss`.
    #[prost(string, tag = "1")]
    pub issuer: String,
    /// What tokens have in `aud`.
    #[prost(string, tag = "2")]
    pub audience: String,
    /// The tenant whose users it names; empty: tokens name it, in the claim `tenant`.
    #[prost(string, tag = "3")]
    pub tenant: String,
    /// The claim that names the user, such as `sub` or `email`.
    #[prost(string, tag = "4")]
    pub user_claim: String,
    /// The claim that lists roles; empty: tokens give none.
    #[prost(string, tag = "5")]
    pub roles_claim: String,
    #[prost(message, repeated, tag = "6")]
    pub keys: Vec<TokenKey>,
}

/// A key that tokens are verified with.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct TokenKey {
    /// What tokens have in `kid`.
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(enumeration = "Algorithm", tag = "2")]
    pub algorithm: i32,
    /// Ed25519: 32 bytes. ES256: the point, uncompressed. RS256: `RSAPublicKey` in DER.
    #[prost(bytes = "vec", tag = "3")]
    pub public_key: Vec<u8>,
    /// Tokens that were made later are refused, in microseconds since 1970; 0: it is in use.
    #[prost(int64, tag = "4")]
    pub retired_at_us: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum Algorithm {
    /// One that this version does not know; no token verifies.
    Unknown = 0,
    EdDsa = 1,
    Es256 = 2,
    Rs256 = 3,
}

/// When tables of a tenant are refreshed, beside what is set of the tables themselves.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Schedules {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(message, repeated, tag = "2")]
    pub schedules: Vec<Schedule>,
}

/// A schedule of a table, which is known by its name: one that was dropped and made again has it, too.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Schedule {
    #[prost(string, tag = "1")]
    pub schema: String,
    #[prost(string, tag = "2")]
    pub table: String,
    /// Unique among those of the table.
    #[prost(string, tag = "3")]
    pub name: String,
    /// As [`crate::cron::Cron`] reads it.
    #[prost(string, tag = "4")]
    pub cron: String,
    /// As [`crate::cron::Zone`] reads it.
    #[prost(string, tag = "5")]
    pub zone: String,
    #[prost(enumeration = "crate::catalog::RefreshMode", tag = "6")]
    pub mode: i32,
    /// It does not come until it is resumed.
    #[prost(bool, tag = "7")]
    pub paused: bool,
    /// How often a run that has failed is tried again.
    #[prost(uint32, tag = "8")]
    pub retries: u32,
    /// How long after a failure, in seconds; 0 counts as 60.
    #[prost(uint32, tag = "9")]
    pub retry_pause_s: u32,
    /// How long files are listed and read before the run is given up, in seconds; 0: as long as it takes.
    #[prost(uint32, tag = "10")]
    pub limit_s: u32,
}

/// Why bytes are no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("this is no policy document")]
    Malformed,
    #[error("policy document '{name}': {what}")]
    Invalid { name: String, what: String },
    #[error("this policy document's signature is not that of its key")]
    Unsigned,
}

impl Document {
    /// Signs it; `sign` makes an Ed25519 signature by the secret half of `key`.
    pub fn sign(&self, key: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Signed {
        let document = self.encode_to_vec();
        let signature = sign(&message(&document));
        Signed { document, key: key.to_vec(), signature }
    }

    /// That the name fits what it is about.
    fn check(&self) -> Result<(), PolicyError> {
        let invalid = |what: String| Err(PolicyError::Invalid { name: self.name.clone(), what });
        if self.version == 0 {
            return invalid("versions begin at 1".into());
        }
        let expected = match &self.subject {
            None => return invalid("it is about nothing that this version of Tundra knows".into()),
            Some(Subject::Gone(_)) => match self.name.split_once('/') {
                None if self.name == ISSUERS || self.name == PRICES => self.name.clone(),
                Some(("tenant", tenant)) => tenant_document(tenant),
                Some(("keys", tenant)) => keys_document(tenant),
                Some(("routes", tenant)) => routes_document(tenant),
                Some(("budgets", tenant)) => budgets_document(tenant),
                Some(("spend", tenant)) => spend_document(tenant),
                Some(("schedules", tenant)) => schedules_document(tenant),
                Some(("credentials", tenant)) => credentials_document(tenant),
                _ => return invalid("this version of Tundra knows of no such thing".into()),
            },
            Some(Subject::Tenant(tenant)) if !tenant.pool.is_empty() => {
                return invalid("a tenant that names a pool is said in another way".into());
            }
            Some(Subject::TenantInPool(tenant)) if tenant.pool == DEFAULT_POOL => {
                return invalid(format!("the pool '{DEFAULT_POOL}' is not named"));
            }
            Some(Subject::TenantInPool(tenant)) => {
                if let Err(error) = check_pool_name(&tenant.pool) {
                    return invalid(error.to_string());
                }
                tenant_document(&tenant.name)
            }
            Some(Subject::Tenant(tenant)) => tenant_document(&tenant.name),
            Some(Subject::ApiKeys(keys)) => keys_document(&keys.tenant),
            Some(Subject::Issuers(_)) => ISSUERS.into(),
            Some(Subject::Routes(routes)) => routes_document(&routes.tenant),
            Some(Subject::Budgets(budgets)) => budgets_document(&budgets.tenant),
            Some(Subject::Prices(_)) => PRICES.into(),
            Some(Subject::Spend(spend)) => spend_document(&spend.tenant),
            Some(Subject::Schedules(schedules)) => schedules_document(&schedules.tenant),
            Some(Subject::Credentials(credentials)) => credentials_document(&credentials.tenant),
        };
        if self.name != expected {
            return invalid(format!("what it is about is named '{expected}'"));
        }
        match self.tenant() {
            Some(tenant) => check_tenant_name(tenant).or_else(|error| invalid(error.to_string())),
            None => Ok(()),
        }
    }

    /// The tenant that it is about.
    pub fn tenant(&self) -> Option<&str> {
        self.name.split_once('/').map(|(_, tenant)| tenant)
    }
}

impl Signed {
    /// The document, once `verify(key, message, signature)` has said that the signature is the key's.
    pub fn verified(
        &self,
        verify: impl FnOnce(&[u8], &[u8], &[u8]) -> bool,
    ) -> Result<Document, PolicyError> {
        if self.key.len() != KEY_BYTES || !verify(&self.key, &message(&self.document), &self.signature) {
            return Err(PolicyError::Unsigned);
        }
        self.read()
    }

    /// The document, of one that was verified before.
    pub fn read(&self) -> Result<Document, PolicyError> {
        let document = Document::decode(&*self.document).map_err(|_| PolicyError::Malformed)?;
        document.check()?;
        Ok(document)
    }
}

/// What is signed of a document's bytes.
fn message(document: &[u8]) -> Vec<u8> {
    [CONTEXT, document].concat()
}

/// The name of the document about who makes tokens.
pub const ISSUERS: &str = "issuers";

/// The name of the document about a tenant.
pub fn tenant_document(tenant: &str) -> String {
    format!("tenant/{tenant}")
}

/// The name of the document about a tenant's keys.
pub fn keys_document(tenant: &str) -> String {
    format!("keys/{tenant}")
}

/// The name of the document about which engines answer a tenant's queries.
pub fn routes_document(tenant: &str) -> String {
    format!("routes/{tenant}")
}

/// The name of the document about a tenant's schedules.
pub fn schedules_document(tenant: &str) -> String {
    format!("schedules/{tenant}")
}

/// The name of the document about a tenant's credentials for the object store.
pub fn credentials_document(tenant: &str) -> String {
    format!("credentials/{tenant}")
}

/// The name of the document about prices.
pub const PRICES: &str = "prices";

/// The name of the document about a tenant's budgets.
pub fn budgets_document(tenant: &str) -> String {
    format!("budgets/{tenant}")
}

/// The name of the document about what a tenant has spent.
pub fn spend_document(tenant: &str) -> String {
    format!("spend/{tenant}")
}

/// Why a name is no tenant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTenantName(String);

impl fmt::Display for BadTenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        match RESERVED.contains(&name.as_str()) {
            true => write!(f, "a tenant cannot be named '{name}', which Tundra uses itself"),
            false => write!(
                f,
                "'{name}' is no name of a tenant: expected up to {TENANT_NAME_MOST} lower-case letters, digits and \
                 hyphens, a letter first"
            ),
        }
    }
}

impl std::error::Error for BadTenantName {}

/// Tenants name folders of the object store, and parts of what users type.
pub fn check_tenant_name(name: &str) -> Result<(), BadTenantName> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let fits = name.len() <= TENANT_NAME_MOST && !name.ends_with('-') && name.bytes().all(allowed);
    match begins && fits && !RESERVED.contains(&name) {
        true => Ok(()),
        false => Err(BadTenantName(name.chars().take(100).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let tenant = Tenant { name: "acme".into(), status: TenantStatus::Active.into(), ..Tenant::default() };
        let subject = Some(Subject::Tenant(tenant));
        Document { name: "tenant/acme".into(), version: 300, decided_at_us: 5, subject }
    }

    /// Signs with what anybody could make: the code itself is the caller's.
    fn sign(message: &[u8]) -> Vec<u8> {
        message.iter().rev().copied().collect()
    }

    fn verify(_: &[u8], message: &[u8], signature: &[u8]) -> bool {
        sign(message) == signature
    }

    #[test]
    fn documents_come_back_as_they_were_signed() {
        let signed = document().sign(&[7; KEY_BYTES], sign);
        assert_eq!(signed.verified(verify), Ok(document()));
        let changed = Signed { document: [&signed.document[..], b"\x18\x06"].concat(), ..signed.clone() };
        assert_eq!(changed.verified(verify), Err(PolicyError::Unsigned));
        let short = Signed { key: vec![7; 31], ..signed };
        assert_eq!(short.verified(verify), Err(PolicyError::Unsigned));
        let noise = Signed { document: b"\xff".to_vec(), ..short };
        assert_eq!(noise.read(), Err(PolicyError::Malformed));
    }

    #[test]
    fn names_fit_what_documents_are_about() {
        let invalid =
            |document: Document| document.sign(&[7; KEY_BYTES], sign).read().unwrap_err().to_string();
        let misnamed = invalid(Document { name: "tenant/other".into(), ..document() });
        assert!(misnamed.contains("'tenant/acme'"), "{misnamed}");
        assert!(invalid(Document { version: 0, ..document() }).contains("begin at 1"));
        assert!(invalid(Document { subject: None, ..document() }).contains("nothing"));
        let tenant = Some(Subject::Tenant(Tenant { name: "A/b".into(), ..Tenant::default() }));
        let badly = invalid(Document { name: "tenant/A/b".into(), subject: tenant, ..document() });
        assert!(badly.contains("lower-case"), "{badly}");
        for (name, good) in [
            ("issuers", true),
            ("keys/acme", true),
            ("routes/acme", true),
            ("schedules/acme", true),
            ("credentials/acme", true),
            ("tenant/A", false),
            ("tenant/a/b", false),
            ("x", false),
        ] {
            let gone = Document { name: name.into(), subject: Some(Subject::Gone(Gone {})), ..document() };
            assert_eq!(gone.sign(&[7; KEY_BYTES], sign).read().is_ok(), good, "{name}");
        }
        let gone = Document { subject: Some(Subject::Gone(Gone {})), ..document() };
        assert_eq!(gone.sign(&[7; KEY_BYTES], sign).read().unwrap().tenant(), Some("acme"));
    }

    #[test]
    fn names_of_tenants() {
        for good in ["default", "a", "acme-2", &"a".repeat(63)] {
            assert!(check_tenant_name(good).is_ok(), "{good}");
        }
        for bad in ["", "2a", "-a", "a-", "A", "a_b", "a/b", "..", "catalog", "samples", "ä", &"a".repeat(64)]
        {
            assert!(check_tenant_name(bad).is_err(), "{bad}");
        }
    }

    /// One that names a pool is nothing to those who know of none.
    #[test]
    fn a_pool_is_named_by_documents_of_its_own() {
        let read = |subject| {
            let document = Document { subject: Some(subject), ..document() };
            document.sign(&[7; KEY_BYTES], sign).read()
        };
        let tenant = |pool: &str| Tenant { name: "acme".into(), pool: pool.into(), ..Tenant::default() };
        for pool in ["", "acme"] {
            let read = read(Subject::of_tenant(tenant(pool))).unwrap();
            assert_eq!(read.subject.unwrap().tenant().unwrap().pool, pool);
        }
        let wrong = |subject| read(subject).unwrap_err().to_string();
        assert!(wrong(Subject::Tenant(tenant("acme"))).contains("another way"));
        assert!(wrong(Subject::TenantInPool(tenant("default"))).contains("not named"));
        assert!(wrong(Subject::TenantInPool(tenant(""))).contains("no name of a pool"));
        assert!(wrong(Subject::TenantInPool(tenant("A b"))).contains("no name of a pool"));
        let subject = Some(Subject::of_tenant(tenant("acme")));
        let bytes = Document { subject, ..document() }.encode_to_vec();
        let expected = b"\x0a\x0btenant/acme\x10\xac\x02\x18\x05z\x0c\x0a\x04acmeb\x04acme";
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
    }

    /// Documents last: these bytes are fixed.
    #[test]
    fn golden_document() {
        let bytes = document().encode_to_vec();
        let expected = b"\x0a\x0btenant/acme\x10\xac\x02\x18\x05\x2a\x08\x0a\x04acme\x10\x01";
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn golden_schedules() {
        let schedule = Schedule {
            schema: "main".into(),
            table: "t".into(),
            name: "nightly".into(),
            cron: "0 3 * * *".into(),
            zone: "UTC".into(),
            mode: crate::catalog::RefreshMode::Full.into(),
            paused: true,
            retries: 2,
            retry_pause_s: 300,
            limit_s: 5,
        };
        let schedules = Schedules { tenant: "acme".into(), schedules: vec![schedule] };
        let subject = Some(Subject::Schedules(schedules));
        let document = Document { name: "schedules/acme".into(), version: 1, decided_at_us: 5, subject };
        let bytes = document.encode_to_vec();
        let expected = b"\x0a\x0eschedules/acme\x10\x01\x18\x05b5\x0a\x04acme\x12-\x0a\x04main\x12\x01t\x1a\x07nightly\x22\x090 3 * * **\x03UTC0\x018\x01@\x02H\xac\x02P\x05";
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
        assert_eq!(Document::decode(&*bytes).unwrap(), document);
        assert!(document.sign(&[7; KEY_BYTES], sign).read().is_ok());
        let other = Document { name: "schedules/zeta".into(), ..document };
        assert!(
            other.sign(&[7; KEY_BYTES], sign).read().unwrap_err().to_string().contains("'schedules/acme'")
        );
    }
}

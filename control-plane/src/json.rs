//! What the API takes and gives, as JSON; the audit has the same. Times are microseconds since 1970.

mod credentials;
mod policies;
mod routes;
mod scaling;
mod schedules;
mod usage;

pub use credentials::{Credentials, NewCredentials};
pub(crate) use policies::{describe, status};
pub use routes::{MayForce, MeasuredRange, Pushed, Range, Routes, Rule, Shape, TenantRoutes, Twin, When};
pub use scaling::{Phase, PoolNode, PoolPolicy, PoolStatus, Step};
pub use schedules::{Schedule, ScheduleMode, ScheduleSettings};
pub use usage::{Budget, BudgetOf, NewPrice, OnLimit, Period, Price, Report, ReportRow};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What a tenant pays for and may use; what is left out is as by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TenantSettings {
    /// What it pays for, by which rules tell tenants apart; empty: `standard`.
    pub tier: String,
    /// How soon its queries are to be answered, in milliseconds at the 95th percentile; 0: nothing is promised.
    pub service_level_ms: u64,
    pub workload: Workload,
    pub quotas: Quotas,
    /// Prefixes of URLs that its tables may be read from, beside its own folder of the object store.
    pub locations: Vec<String>,
    /// The pool of shards that has its data and runs its queries. Told where it is another than `default`; left out where it
    /// is put: as it was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
}

/// A tenant's share of what all tenants run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Workload {
    /// Statements that run at once on a coordinator; the others queue. 0: as many as the coordinator lets.
    pub concurrency: u32,
    /// Statements that may wait on a coordinator; further ones are refused. 0: any number.
    pub queue: u32,
    /// How long a statement may wait, in milliseconds; 0: as long as it likes.
    pub queue_timeout_ms: u64,
    /// Its part of turns while others wait as well, as a weight; 0 counts as 1.
    pub share: u32,
    /// What its statements may hold together on a node, in bytes; 0: as much as there is. Not enforced yet.
    pub memory_bytes: u64,
}

/// What a tenant may use at most; 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Of its datasets in the memory of shards, one copy of each counted.
    pub resident_bytes: u64,
    /// Read by its statements in a day (UTC).
    pub scanned_bytes_per_day: u64,
    /// Spent in a month (UTC), in millionths of the currency that prices are given in.
    pub spend_per_month_micros: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    pub name: String,
    pub status: TenantStatus,
    pub settings: TenantSettings,
    /// Of the document that says so.
    pub version: u64,
    pub decided_at_us: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    Active,
    /// Nobody is let in; its data stay.
    Suspended,
    /// One that this version does not know; nobody is let in.
    Unknown,
}

/// An API key to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Whom it stands for.
    pub user: String,
    /// Roles beside the user's own.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How long it is good for, in seconds; left out: until it is revoked.
    #[serde(default)]
    pub lifetime_s: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// 16 hexadecimal digits.
    pub id: String,
    pub user: String,
    pub roles: Vec<String>,
    /// 0: never.
    pub expires_at_us: i64,
}

/// An API key that was made.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    pub id: String,
    /// What programs show. It is told this once.
    pub key: String,
    pub user: String,
    pub roles: Vec<String>,
    /// 0: never.
    pub expires_at_us: i64,
}

/// An access token to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    pub tenant: String,
    /// Whom it stands for.
    pub user: String,
    /// Roles beside the user's own.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How long it is good for, in seconds; left out: 3600. At most 86400.
    #[serde(default)]
    pub lifetime_s: Option<u64>,
}

/// An access token that was made.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// A JSON Web Token.
    pub token: String,
    /// Its `jti`.
    pub id: String,
    pub expires_at_us: i64,
}

/// An OpenID provider whose tokens coordinators are to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What tokens have in `iss`: a URL.
    pub issuer: String,
    /// What tokens have in `aud`.
    pub audience: String,
    /// Where its keys are.
    pub jwks_url: String,
    /// The tenant whose users it names; empty: tokens name it, in the claim `tenant`.
    #[serde(default)]
    pub tenant: String,
    /// The claim that names the user; empty: `sub`.
    #[serde(default)]
    pub user_claim: String,
    /// The claim that lists roles; empty: tokens give none.
    #[serde(default)]
    pub roles_claim: String,
}

/// Who makes access tokens: the control plane itself, or an OpenID provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Issuer {
    pub issuer: String,
    pub audience: String,
    /// The tenant whose users it names; empty: tokens name it, in the claim `tenant`.
    pub tenant: String,
    pub user_claim: String,
    /// Empty: tokens give no roles.
    pub roles_claim: String,
    pub keys: Vec<TokenKey>,
    /// Where its keys come from; absent of the control plane itself, and of a provider that was taken over from the
    /// cluster: put it again.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// When its keys came last.
    #[serde(default)]
    pub fetched_at_us: Option<i64>,
    /// Why they did not come since.
    #[serde(default)]
    pub failure: Option<String>,
}

/// A key that tokens are verified with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenKey {
    /// What tokens have in `kid`.
    pub id: String,
    /// As tokens have it in `alg`: `EdDSA`, `ES256` or `RS256`.
    pub algorithm: String,
    /// Tokens that were made later are refused; 0: it is in use.
    pub retired_at_us: i64,
}

/// What becomes of the signing keys until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotate {
    /// Forget them at once, since somebody else has one: all tokens that were made with them are refused.
    pub forget_old: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// From 1.
    pub number: i64,
    pub at_us: i64,
    pub who: String,
    pub action: String,
    pub subject: String,
    #[schema(value_type = Object)]
    pub before: Value,
    #[schema(value_type = Object)]
    pub after: Value,
    /// SHA-256 of the hash of the entry before and of this one, in hexadecimal.
    pub hash: String,
}

/// Whether the audit is as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerified {
    pub intact: bool,
    /// Entries that there should be.
    pub entries: i64,
    /// The hash of the last one: keep it elsewhere, and nobody can write the whole audit anew unnoticed.
    pub hash: String,
    /// The first entry that is not as it was written.
    #[serde(default)]
    pub broken: Option<AuditBroken>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditBroken {
    pub number: i64,
    pub why: String,
}

/// What the database had lost, and took over from the cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Loss {
    /// Of the entry in the audit.
    pub number: i64,
    pub at_us: i64,
    /// The document.
    pub name: String,
    /// What happened, and what is to be done by a person.
    pub told: String,
    /// What the database had.
    #[schema(value_type = Object)]
    pub before: Value,
    /// What was taken over.
    #[schema(value_type = Object)]
    pub after: Value,
}

/// Who leads, and how far what was decided is known to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The instance that was asked.
    pub instance: String,
    /// It is the one that leads.
    pub leads: bool,
    /// The instance that leads; absent while none does.
    pub leader: Option<String>,
    /// Each leader has a later one.
    pub term: u64,
    /// The highest version that was decided.
    pub version: u64,
    /// Documents that the cluster does not have yet.
    pub behind: u64,
    /// The public half of the key that documents are signed with, in hexadecimal.
    pub policy_key: String,
    /// Absent until the first look at the cluster, and where there are no coordinators.
    pub published: Option<Publication>,
}

/// What the instance that leads knows of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Publication {
    /// Everything up to this version is known to the cluster.
    pub version: u64,
    /// When that was last so.
    pub at_us: i64,
    /// Why not more is; absent: all is well.
    pub failure: Option<String>,
    pub coordinators: Vec<Coordinator>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coordinator {
    pub url: String,
    pub reachable: bool,
    /// Why it is not.
    pub failure: Option<String>,
}

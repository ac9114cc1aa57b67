//! Who may do what with a tenant's objects, as the catalog holds it: roles, and what was granted to them; and the commands that
//! change it.
//!
//! A tenant without [`Access`] is open: whoever is let in may do everything. With its first role it gets one, and is closed to
//! all but administrators, owners and those who were granted something.

use std::collections::BTreeMap;

/// The privileges, as bits of a set.
pub mod privilege {
    pub const SELECT: u32 = 1;
    pub const INSERT: u32 = 1 << 1;
    pub const UPDATE: u32 = 1 << 2;
    pub const DELETE: u32 = 1 << 3;
    pub const TRUNCATE: u32 = 1 << 4;
    /// To name what is in a schema; to create tables of a server.
    pub const USAGE: u32 = 1 << 8;
    /// To create tables in a schema, schemas in a database.
    pub const CREATE: u32 = 1 << 9;

    /// Those with a table's rows.
    pub const OF_TABLES: u32 = SELECT | INSERT | UPDATE | DELETE | TRUNCATE;
    /// Those that may be limited to columns.
    pub const OF_COLUMNS: u32 = SELECT | INSERT | UPDATE;

    /// Every privilege and its name in SQL.
    pub const NAMES: [(u32, &str); 7] = [
        (SELECT, "SELECT"),
        (INSERT, "INSERT"),
        (UPDATE, "UPDATE"),
        (DELETE, "DELETE"),
        (TRUNCATE, "TRUNCATE"),
        (USAGE, "USAGE"),
        (CREATE, "CREATE"),
    ];

    /// The names of those in a set.
    pub fn names(set: u32) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(bit, _)| set & bit != 0).map(|(_, name)| name)
    }
}

/// A tenant's roles, and the grants that are of no object in it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Access {
    /// By lower-case name.
    #[prost(btree_map = "string, message", tag = "1")]
    pub roles: BTreeMap<String, Role>,
    /// On the database, which is the tenant.
    #[prost(message, optional, tag = "2")]
    pub database: Option<Grants>,
    /// Who will own a dataset that has a number and no version yet: the lower-case name of a role.
    #[prost(btree_map = "uint64, string", tag = "3")]
    pub owners: BTreeMap<u64, String>,
    /// The revision of the catalog that last changed roles, grants or policies.
    #[prost(uint64, tag = "4")]
    pub revision: u64,
}

/// A role; one that may log in is a user.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct Role {
    /// As it was created.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bool, tag = "2")]
    pub login: bool,
    /// It may do everything with the tenant's objects.
    #[prost(bool, tag = "3")]
    pub superuser: bool,
    /// What a password is compared with, as RFC 5803 and PostgreSQL write it:
    /// `SCRAM-SHA-256$iterations:salt$stored key:server key`. Empty: nobody logs in with a password.
    #[prost(string, tag = "4")]
    pub verifier: String,
    /// The lower-case names of roles that it is a member of, and whether it may make others members of them.
    #[prost(btree_map = "string, bool", tag = "5")]
    pub member_of: BTreeMap<String, bool>,
}

/// Secrets are in no log.
impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Role")
            .field("name", &self.name)
            .field("login", &self.login)
            .field("superuser", &self.superuser)
            .field("verifier", &if self.verifier.is_empty() { "" } else { "…" })
            .field("member_of", &self.member_of)
            .finish()
    }
}

/// Who owns an object, and what others may do with it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Grants {
    /// The lower-case name of a role. Empty: only administrators are as an owner.
    #[prost(string, tag = "1")]
    pub owner: String,
    /// By the lower-case name of the role; empty: everybody.
    #[prost(btree_map = "string, message", tag = "2")]
    pub held: BTreeMap<String, Held>,
    /// Of a table: which rows others than the owner may read, by lower-case name.
    #[prost(btree_map = "string, message", tag = "3")]
    pub policies: BTreeMap<String, RowPolicy>,
    /// Whether the policies are in force. Without any, nobody but the owner reads a row.
    #[prost(bool, tag = "4")]
    pub row_security: bool,
}

/// Which rows of a table roles may read.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct RowPolicy {
    /// As it was created.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The lower-case names of the roles that it is for; none: everybody.
    #[prost(string, repeated, tag = "2")]
    pub roles: Vec<String>,
    /// The condition, as SQL over the table's columns.
    #[prost(string, tag = "3")]
    pub condition: String,
    /// It must hold beside others; otherwise one of those must that are not.
    #[prost(bool, tag = "4")]
    pub restrictive: bool,
}

/// What a role holds on an object: sets of [`privilege`].
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Held {
    #[prost(uint32, tag = "1")]
    pub privileges: u32,
    /// Those of them that it may grant to others.
    #[prost(uint32, tag = "2")]
    pub grantable: u32,
    /// On single columns, by lower-case name.
    #[prost(btree_map = "string, message", tag = "3")]
    pub columns: BTreeMap<String, HeldColumn>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct HeldColumn {
    #[prost(uint32, tag = "1")]
    pub privileges: u32,
    #[prost(uint32, tag = "2")]
    pub grantable: u32,
}

/// A change of roles or grants.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct AccessChange {
    #[prost(oneof = "AccessAction", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub action: Option<AccessAction>,
    /// It is done only if this is [`Access::revision`] still (0: there are no roles): whoever asks was allowed to by that.
    #[prost(uint64, optional, tag = "20")]
    pub seen: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum AccessAction {
    /// The first one closes the tenant.
    #[prost(message, tag = "1")]
    CreateRole(Role),
    #[prost(message, tag = "2")]
    AlterRole(AlterRole),
    #[prost(message, tag = "3")]
    DropRoles(DropRoles),
    #[prost(message, tag = "4")]
    Grant(Grant),
    #[prost(message, tag = "5")]
    Membership(Membership),
    #[prost(message, tag = "6")]
    SetOwner(SetOwner),
    #[prost(message, tag = "7")]
    Reassign(Reassign),
    #[prost(message, tag = "8")]
    CreatePolicy(CreatePolicy),
    #[prost(message, tag = "9")]
    DropPolicy(DropPolicy),
    #[prost(message, tag = "10")]
    SetRowSecurity(SetRowSecurity),
}

/// What is absent stays as it is.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct AlterRole {
    #[prost(string, tag = "1")]
    pub role: String,
    #[prost(bool, optional, tag = "2")]
    pub login: Option<bool>,
    #[prost(bool, optional, tag = "3")]
    pub superuser: Option<bool>,
    /// As [`Role::verifier`].
    #[prost(string, optional, tag = "4")]
    pub verifier: Option<String>,
}

/// Secrets are in no log.
impl std::fmt::Debug for AlterRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlterRole")
            .field("role", &self.role)
            .field("login", &self.login)
            .field("superuser", &self.superuser)
            .field("verifier", &self.verifier.as_ref().map(|_| "…"))
            .finish()
    }
}

/// Drops all of them, with what was granted to them, or none: who owns something stays.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DropRoles {
    #[prost(string, repeated, tag = "1")]
    pub roles: Vec<String>,
    /// Those that are not there are no fault.
    #[prost(bool, tag = "2")]
    pub if_exists: bool,
}

/// Something that privileges are granted on.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Object {
    #[prost(enumeration = "ObjectKind", tag = "1")]
    pub kind: i32,
    /// Of a table.
    #[prost(string, tag = "2")]
    pub schema: String,
    /// Of a table, a schema, a server.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The number of a table of Tundra's own: one that has the name by now is another.
    #[prost(uint64, tag = "4")]
    pub dataset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ObjectKind {
    /// One that this version does not know.
    Unknown = 0,
    Database = 1,
    Schema = 2,
    /// Of Tundra's own, or a foreign one.
    Table = 3,
    Server = 4,
}

/// Gives privileges, or takes them.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Grant {
    #[prost(message, repeated, tag = "1")]
    pub objects: Vec<Object>,
    /// Names of roles; an empty one: everybody.
    #[prost(string, repeated, tag = "2")]
    pub grantees: Vec<String>,
    #[prost(uint32, tag = "3")]
    pub privileges: u32,
    /// On single columns of a table, by name.
    #[prost(btree_map = "string, uint32", tag = "4")]
    pub columns: BTreeMap<String, u32>,
    /// With the right to grant them to others; or, where they are taken, that right alone.
    #[prost(bool, tag = "5")]
    pub option: bool,
    /// They are taken. Taking a privilege on a table takes it on its columns, too.
    #[prost(bool, tag = "6")]
    pub revoke: bool,
}

/// Makes roles members of others, or ends that.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Membership {
    #[prost(string, repeated, tag = "1")]
    pub roles: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub members: Vec<String>,
    /// With the right to make others members; or, where it ends, that right alone.
    #[prost(bool, tag = "3")]
    pub option: bool,
    #[prost(bool, tag = "4")]
    pub revoke: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SetOwner {
    #[prost(message, optional, tag = "1")]
    pub object: Option<Object>,
    /// A role.
    #[prost(string, tag = "2")]
    pub owner: String,
}

/// Gives what roles own to another.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Reassign {
    #[prost(string, repeated, tag = "1")]
    pub from: Vec<String>,
    #[prost(string, tag = "2")]
    pub to: String,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct CreatePolicy {
    /// A table.
    #[prost(message, optional, tag = "1")]
    pub table: Option<Object>,
    #[prost(message, optional, tag = "2")]
    pub policy: Option<RowPolicy>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct DropPolicy {
    #[prost(message, optional, tag = "1")]
    pub table: Option<Object>,
    #[prost(string, tag = "2")]
    pub name: String,
    /// One that is not there is no fault.
    #[prost(bool, tag = "3")]
    pub if_exists: bool,
}

/// Has a table's policies be in force, or not.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SetRowSecurity {
    #[prost(message, optional, tag = "1")]
    pub table: Option<Object>,
    #[prost(bool, tag = "2")]
    pub enabled: bool,
}

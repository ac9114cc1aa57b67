//! Statements about roles and grants.

use crate::catalog::Table;
use std::fmt;
use std::sync::Arc;

/// A statement about roles and grants. Roles, schemas and servers are named as they were written.
#[derive(Debug, Clone)]
pub enum Access {
    CreateRole {
        name: String,
        if_not_exists: bool,
        options: RoleOptions,
        /// `IN ROLE`
        member_of: Vec<String>,
    },
    AlterRole {
        role: Grantee,
        options: RoleOptions,
    },
    DropRole {
        names: Vec<String>,
        if_exists: bool,
    },
    Grant {
        privileges: PrivilegeSet,
        on: GrantOn,
        grantees: Vec<Grantee>,
        /// With the right to grant them on; where they are revoked, that right alone.
        option: bool,
        revoke: bool,
    },
    /// Members of roles come and go.
    Membership {
        roles: Vec<String>,
        members: Vec<Grantee>,
        /// With the right to make others members; where it ends, that right alone.
        option: bool,
        revoke: bool,
    },
    SetOwner {
        /// One object.
        on: GrantOn,
        owner: Grantee,
    },
    Reassign {
        from: Vec<Grantee>,
        to: Grantee,
    },
    CreatePolicy {
        name: String,
        table: Arc<Table>,
        roles: Vec<Grantee>,
        /// As SQL over the table's columns.
        condition: String,
        restrictive: bool,
    },
    DropPolicy {
        name: String,
        table: Arc<Table>,
        if_exists: bool,
    },
    SetRowSecurity {
        table: Arc<Table>,
        enabled: bool,
    },
}

/// Whom a privilege is granted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    Role(String),
    /// `PUBLIC`
    Everybody,
    /// `CURRENT_USER`
    Oneself,
}

/// What a role is given as it is created or altered. What is absent was not named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleOptions {
    pub login: Option<bool>,
    pub superuser: Option<bool>,
    pub password: Option<Password>,
}

/// A password; `None`: there shall be none.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Option<String>);

/// It is in no log.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "…" } else { "NULL" })
    }
}

/// What a role may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    Usage,
    Create,
}

impl Privilege {
    pub const ALL: [Privilege; 7] = [
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Truncate,
        Privilege::Usage,
        Privilege::Create,
    ];
    /// Those on tables.
    pub const OF_TABLES: [Privilege; 5] =
        [Privilege::Select, Privilege::Insert, Privilege::Update, Privilege::Delete, Privilege::Truncate];
    /// Those that may be limited to columns.
    pub const OF_COLUMNS: [Privilege; 3] = [Privilege::Select, Privilege::Insert, Privilege::Update];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Privilege::Select => "SELECT",
            Privilege::Insert => "INSERT",
            Privilege::Update => "UPDATE",
            Privilege::Delete => "DELETE",
            Privilege::Truncate => "TRUNCATE",
            Privilege::Usage => "USAGE",
            Privilege::Create => "CREATE",
        }
    }

    /// The one of that name, without regard to case.
    pub fn named(name: &str) -> Option<Privilege> {
        Privilege::ALL.into_iter().find(|privilege| privilege.name().eq_ignore_ascii_case(name))
    }
}

/// Privileges on an object and on columns of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrivilegeSet {
    pub whole: Vec<Privilege>,
    /// With the column's name as it was created.
    pub columns: Vec<(Privilege, String)>,
}

/// What privileges are granted on, or what gets an owner.
#[derive(Debug, Clone)]
pub enum GrantOn {
    Tables(Vec<Arc<Table>>),
    /// Those that are there in these schemas.
    AllTables(Vec<String>),
    Schemas(Vec<String>),
    /// There is one, which has the tenant's name.
    Databases(Vec<String>),
    Servers(Vec<String>),
}

//! What the catalog's state machine answers.

use crate::error::{Error, Result};
use flight_proto::catalog::{self as stored, Done, Outcome, Reason, Refused};
use serde::{Deserialize, Serialize};

/// What the state machine answers to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    Done,
    /// The number of a new dataset.
    Dataset(u64),
    /// Nothing was changed.
    Refused(Refusal),
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    #[error("schema '{0}' already exists")]
    SchemaExists(String),
    #[error("there is no schema '{0}'")]
    NoSchema(String),
    #[error("schema '{0}' cannot be dropped: it still holds tables, views or macros")]
    SchemaNotEmpty(String),
    #[error("schema '{0}' is built in")]
    BuiltIn(String),
    #[error("table or view '{0}' already exists")]
    TableExists(String),
    #[error("there is no such table any more")]
    NoDataset,
    #[error("version {offered} does not follow version {current}")]
    StaleVersion { offered: u64, current: u64 },
    #[error("a catalog can only be restored into an empty one")]
    NotEmpty,
    #[error("the catalog is being brought back from the object store; try again")]
    Restoring,
    #[error("another statement has begun to create table '{0}' meanwhile; try again")]
    Overtaken(String),
    #[error("there is no shard {0:016x}")]
    NoShard(u64),
    #[error("shard {0:016x} is the last one of its pool that takes part, and cannot be drained")]
    LastShard(u64),
    #[error("shard {shard:016x} {status}, which does not go with that")]
    ShardStatus { shard: u64, status: String },
    #[error("there is no tenant '{0}'")]
    NoTenant(String),
    #[error("no dataset can get a number any more: the object store has a folder of the highest one")]
    NoNumbers,
    #[error("{0}")]
    BadDocument(String),
    #[error("policy document '{0}' is not signed with the key that this cluster takes documents of")]
    ForeignKey(String),
    #[error(
        "version {offered} of policy document '{name}' is not later than version {current}, which is known"
    )]
    StaleDocument { name: String, offered: u64, current: u64 },
    #[error("server '{0}' already exists")]
    ServerExists(String),
    #[error("there is no server '{0}'")]
    NoServer(String),
    #[error("server '{0}' cannot be dropped: foreign tables use it; DROP SERVER … CASCADE drops them, too")]
    ServerInUse(String),
    #[error("there is no foreign table '{0}'")]
    NoForeignTable(String),
    #[error("role '{0}' already exists")]
    RoleExists(String),
    #[error("there is no role '{0}': CREATE ROLE or CREATE USER makes one")]
    NoRole(String),
    #[error(
        "role '{0}' cannot be dropped: it owns something (REASSIGN OWNED BY {0} TO another role), or a policy names it"
    )]
    RoleInUse(String),
    #[error("there are no roles, and everybody may do everything: CREATE USER or CREATE ROLE restricts that")]
    NotRestricted,
    #[error("role '{0}' would be a member of itself")]
    CircularRoles(String),
    #[error("roles or grants were changed meanwhile; try again")]
    AccessChanged,
    #[error("a role cannot have the name '{0}', which means something else")]
    ReservedName(String),
    #[error("there is no table '{0}' any more")]
    NoTable(String),
    #[error("there is no column '{0}'")]
    NoColumn(String),
    #[error("policy '{0}' already exists for this table")]
    PolicyExists(String),
    #[error("there is no policy '{0}' for this table")]
    NoPolicy(String),
    #[error("there is no view or macro '{0}' any more")]
    NoDefinition(String),
    #[error("it cannot be dropped: '{0}' uses it; CASCADE drops that, too")]
    InUse(String),
    #[error("'{0}' would use itself")]
    CircularDefinition(String),
    #[error("'{0}' was changed meanwhile; try again")]
    DefinitionChanged(String),
    #[error("macro '{0}' already exists")]
    MacroExists(String),
    #[error("'{0}' uses it and needs all its columns, with their types: drop that first")]
    ColumnsInUse(String),
    #[error("a tenant has 10,000 roles at most")]
    TooManyRoles,
    #[error("the command is not known to this version of Tundra")]
    UnknownCommand,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let message = refusal.to_string();
        match refusal {
            Refusal::SchemaExists(_)
            | Refusal::TableExists(_)
            | Refusal::ServerExists(_)
            | Refusal::RoleExists(_)
            | Refusal::MacroExists(_)
            | Refusal::PolicyExists(_) => Error::AlreadyExists(message),
            Refusal::Restoring => Error::Unavailable(message),
            Refusal::NoSchema(_)
            | Refusal::NoDataset
            | Refusal::NoShard(_)
            | Refusal::NoTenant(_)
            | Refusal::NoServer(_)
            | Refusal::NoForeignTable(_)
            | Refusal::NoRole(_)
            | Refusal::NoTable(_)
            | Refusal::NoColumn(_)
            | Refusal::NoDefinition(_)
            | Refusal::NoPolicy(_) => Error::NotFound(message),
            Refusal::TooManyRoles => Error::Overloaded(message),
            Refusal::BadDocument(_) => Error::Statement(message),
            Refusal::NoNumbers => Error::Environment(message),
            Refusal::ForeignKey(_) => Error::Denied(message),
            Refusal::SchemaNotEmpty(_)
            | Refusal::BuiltIn(_)
            | Refusal::ServerInUse(_)
            | Refusal::RoleInUse(_)
            | Refusal::NotRestricted
            | Refusal::CircularRoles(_)
            | Refusal::InUse(_)
            | Refusal::CircularDefinition(_)
            | Refusal::ColumnsInUse(_)
            | Refusal::ReservedName(_) => Error::Statement(message),
            Refusal::StaleVersion { .. }
            | Refusal::AccessChanged
            | Refusal::DefinitionChanged(_)
            | Refusal::Overtaken(_)
            | Refusal::LastShard(_)
            | Refusal::ShardStatus { .. }
            | Refusal::StaleDocument { .. } => Error::Conflict(message),
            Refusal::NotEmpty | Refusal::UnknownCommand => Error::Internal(message),
        }
    }
}

impl Reply {
    /// A refusal as an error.
    pub fn accepted(self) -> Result<Reply> {
        match self {
            Reply::Refused(refusal) => Err(refusal.into()),
            other => Ok(other),
        }
    }
}

impl From<&Reply> for stored::Reply {
    fn from(reply: &Reply) -> stored::Reply {
        let outcome = match reply {
            Reply::Done => Outcome::Done(Done {}),
            Reply::Dataset(number) => Outcome::Dataset(*number),
            Reply::Refused(refusal) => Outcome::Refused(refusal.into()),
        };
        stored::Reply { outcome: Some(outcome) }
    }
}

impl From<&stored::Reply> for Reply {
    /// What this version of Tundra does not know is told as [`Refusal::UnknownCommand`].
    fn from(reply: &stored::Reply) -> Reply {
        match &reply.outcome {
            Some(Outcome::Done(_)) => Reply::Done,
            Some(Outcome::Dataset(number)) => Reply::Dataset(*number),
            Some(Outcome::Refused(refused)) => Reply::Refused(refused.into()),
            None => Reply::Refused(Refusal::UnknownCommand),
        }
    }
}

impl From<&Refusal> for Refused {
    fn from(refusal: &Refusal) -> Refused {
        let named = |reason, name: &String| Refused { name: name.clone(), ..plain(reason) };
        match refusal {
            Refusal::SchemaExists(name) => named(Reason::SchemaExists, name),
            Refusal::NoSchema(name) => named(Reason::NoSchema, name),
            Refusal::SchemaNotEmpty(name) => named(Reason::SchemaNotEmpty, name),
            Refusal::BuiltIn(name) => named(Reason::BuiltIn, name),
            Refusal::TableExists(name) => named(Reason::TableExists, name),
            Refusal::NoDataset => plain(Reason::NoDataset),
            Refusal::StaleVersion { offered, current } => {
                Refused { offered: *offered, current: *current, ..plain(Reason::StaleVersion) }
            }
            Refusal::NoShard(id) => Refused { offered: *id, ..plain(Reason::NoShard) },
            Refusal::LastShard(id) => Refused { offered: *id, ..plain(Reason::LastShard) },
            Refusal::ShardStatus { shard, status } => {
                Refused { offered: *shard, ..named(Reason::ShardStatus, status) }
            }
            Refusal::NoTenant(name) => named(Reason::NoTenant, name),
            Refusal::NoNumbers => plain(Reason::NoNumbers),
            Refusal::BadDocument(why) => named(Reason::BadDocument, why),
            Refusal::ForeignKey(name) => named(Reason::ForeignKey, name),
            Refusal::StaleDocument { name, offered, current } => {
                Refused { offered: *offered, current: *current, ..named(Reason::StaleDocument, name) }
            }
            Refusal::NotEmpty => plain(Reason::NotEmpty),
            Refusal::Restoring => plain(Reason::Restoring),
            Refusal::Overtaken(name) => named(Reason::Overtaken, name),
            Refusal::ServerExists(name) => named(Reason::ServerExists, name),
            Refusal::NoServer(name) => named(Reason::NoServer, name),
            Refusal::ServerInUse(name) => named(Reason::ServerInUse, name),
            Refusal::NoForeignTable(name) => named(Reason::NoForeignTable, name),
            Refusal::RoleExists(name) => named(Reason::RoleExists, name),
            Refusal::NoRole(name) => named(Reason::NoRole, name),
            Refusal::RoleInUse(name) => named(Reason::RoleInUse, name),
            Refusal::NotRestricted => plain(Reason::NotRestricted),
            Refusal::CircularRoles(name) => named(Reason::CircularRoles, name),
            Refusal::AccessChanged => plain(Reason::AccessChanged),
            Refusal::ReservedName(name) => named(Reason::ReservedName, name),
            Refusal::NoTable(name) => named(Reason::NoTable, name),
            Refusal::NoColumn(name) => named(Reason::NoColumn, name),
            Refusal::PolicyExists(name) => named(Reason::PolicyExists, name),
            Refusal::NoPolicy(name) => named(Reason::NoPolicy, name),
            Refusal::NoDefinition(name) => named(Reason::NoDefinition, name),
            Refusal::InUse(name) => named(Reason::InUse, name),
            Refusal::CircularDefinition(name) => named(Reason::CircularDefinition, name),
            Refusal::DefinitionChanged(name) => named(Reason::DefinitionChanged, name),
            Refusal::MacroExists(name) => named(Reason::MacroExists, name),
            Refusal::ColumnsInUse(name) => named(Reason::ColumnsInUse, name),
            Refusal::TooManyRoles => plain(Reason::TooManyRoles),
            Refusal::UnknownCommand => plain(Reason::UnknownCommand),
        }
    }
}

fn plain(reason: Reason) -> Refused {
    Refused { reason: reason.into(), ..Refused::default() }
}

impl From<&Refused> for Refusal {
    fn from(refused: &Refused) -> Refusal {
        let name = || refused.name.clone();
        match refused.reason() {
            Reason::SchemaExists => Refusal::SchemaExists(name()),
            Reason::NoSchema => Refusal::NoSchema(name()),
            Reason::SchemaNotEmpty => Refusal::SchemaNotEmpty(name()),
            Reason::BuiltIn => Refusal::BuiltIn(name()),
            Reason::TableExists => Refusal::TableExists(name()),
            Reason::NoDataset => Refusal::NoDataset,
            Reason::NoShard => Refusal::NoShard(refused.offered),
            Reason::LastShard => Refusal::LastShard(refused.offered),
            Reason::ShardStatus => Refusal::ShardStatus { shard: refused.offered, status: name() },
            Reason::StaleVersion => {
                Refusal::StaleVersion { offered: refused.offered, current: refused.current }
            }
            Reason::NoTenant => Refusal::NoTenant(name()),
            Reason::NoNumbers => Refusal::NoNumbers,
            Reason::BadDocument => Refusal::BadDocument(name()),
            Reason::ForeignKey => Refusal::ForeignKey(name()),
            Reason::StaleDocument => {
                let (offered, current) = (refused.offered, refused.current);
                Refusal::StaleDocument { name: name(), offered, current }
            }
            Reason::NotEmpty => Refusal::NotEmpty,
            Reason::Restoring => Refusal::Restoring,
            Reason::Overtaken => Refusal::Overtaken(name()),
            Reason::ServerExists => Refusal::ServerExists(name()),
            Reason::NoServer => Refusal::NoServer(name()),
            Reason::ServerInUse => Refusal::ServerInUse(name()),
            Reason::NoForeignTable => Refusal::NoForeignTable(name()),
            Reason::RoleExists => Refusal::RoleExists(name()),
            Reason::NoRole => Refusal::NoRole(name()),
            Reason::RoleInUse => Refusal::RoleInUse(name()),
            Reason::NotRestricted => Refusal::NotRestricted,
            Reason::CircularRoles => Refusal::CircularRoles(name()),
            Reason::AccessChanged => Refusal::AccessChanged,
            Reason::ReservedName => Refusal::ReservedName(name()),
            Reason::NoTable => Refusal::NoTable(name()),
            Reason::NoColumn => Refusal::NoColumn(name()),
            Reason::PolicyExists => Refusal::PolicyExists(name()),
            Reason::NoPolicy => Refusal::NoPolicy(name()),
            Reason::NoDefinition => Refusal::NoDefinition(name()),
            Reason::InUse => Refusal::InUse(name()),
            Reason::CircularDefinition => Refusal::CircularDefinition(name()),
            Reason::DefinitionChanged => Refusal::DefinitionChanged(name()),
            Reason::MacroExists => Refusal::MacroExists(name()),
            Reason::ColumnsInUse => Refusal::ColumnsInUse(name()),
            Reason::TooManyRoles => Refusal::TooManyRoles,
            Reason::UnknownCommand => Refusal::UnknownCommand,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_proto::Message;

    fn check(reply: Reply, golden: &[u8]) {
        let bytes = stored::Reply::from(&reply).encode_to_vec();
        assert_eq!(bytes, golden, "{}", bytes.escape_ascii());
        assert_eq!(Reply::from(&stored::Reply::decode(golden).unwrap()), reply);
    }

    /// Replies lie in snapshots: these bytes are fixed.
    #[test]
    fn golden_replies() {
        let named = |refusal: fn(String) -> Refusal| Reply::Refused(refusal("s".into()));
        check(Reply::Done, b"\x0a\x00");
        check(Reply::Dataset(300), b"\x10\xac\x02");
        check(named(Refusal::SchemaExists), b"\x1a\x05\x08\x01\x12\x01s");
        check(named(Refusal::NoSchema), b"\x1a\x05\x08\x02\x12\x01s");
        check(named(Refusal::SchemaNotEmpty), b"\x1a\x05\x08\x03\x12\x01s");
        check(named(Refusal::BuiltIn), b"\x1a\x05\x08\x04\x12\x01s");
        check(named(Refusal::TableExists), b"\x1a\x05\x08\x05\x12\x01s");
        check(Reply::Refused(Refusal::NoDataset), b"\x1a\x02\x08\x06");
        let stale = Refusal::StaleVersion { offered: 2, current: 3 };
        check(Reply::Refused(stale), b"\x1a\x06\x08\x07\x18\x02\x20\x03");
        check(Reply::Refused(Refusal::NotEmpty), b"\x1a\x02\x08\x08");
        check(Reply::Refused(Refusal::Restoring), b"\x1a\x02\x08\x09");
        check(named(Refusal::Overtaken), b"\x1a\x05\x08\x0a\x12\x01s");
        check(Reply::Refused(Refusal::NoShard(5)), b"\x1a\x04\x08\x14\x18\x05");
        check(Reply::Refused(Refusal::LastShard(5)), b"\x1a\x04\x08\x15\x18\x05");
        let status = Refusal::ShardStatus { shard: 5, status: "s".into() };
        check(Reply::Refused(status), b"\x1a\x07\x08\x16\x12\x01s\x18\x05");
        check(named(Refusal::NoTenant), b"\x1a\x05\x08\x1e\x12\x01s");
        check(Reply::Refused(Refusal::NoNumbers), b"\x1a\x02\x08\x23");
        check(named(Refusal::BadDocument), b"\x1a\x05\x08\x20\x12\x01s");
        check(named(Refusal::ForeignKey), b"\x1a\x05\x08\x21\x12\x01s");
        let stale = Refusal::StaleDocument { name: "s".into(), offered: 2, current: 3 };
        check(Reply::Refused(stale), b"\x1a\x09\x08\x22\x12\x01s\x18\x02\x20\x03");
        check(named(Refusal::ServerExists), b"\x1a\x05\x08\x3c\x12\x01s");
        check(named(Refusal::NoServer), b"\x1a\x05\x08\x3d\x12\x01s");
        check(named(Refusal::ServerInUse), b"\x1a\x05\x08\x3e\x12\x01s");
        check(named(Refusal::NoForeignTable), b"\x1a\x05\x08\x3f\x12\x01s");
        check(named(Refusal::RoleExists), b"\x1a\x05\x08F\x12\x01s");
        check(named(Refusal::NoRole), b"\x1a\x05\x08G\x12\x01s");
        check(named(Refusal::RoleInUse), b"\x1a\x05\x08H\x12\x01s");
        check(Reply::Refused(Refusal::NotRestricted), b"\x1a\x02\x08I");
        check(named(Refusal::CircularRoles), b"\x1a\x05\x08J\x12\x01s");
        check(Reply::Refused(Refusal::AccessChanged), b"\x1a\x02\x08K");
        check(named(Refusal::ReservedName), b"\x1a\x05\x08L\x12\x01s");
        check(named(Refusal::NoTable), b"\x1a\x05\x08M\x12\x01s");
        check(named(Refusal::NoColumn), b"\x1a\x05\x08N\x12\x01s");
        check(named(Refusal::PolicyExists), b"\x1a\x05\x08P\x12\x01s");
        check(named(Refusal::NoPolicy), b"\x1a\x05\x08Q\x12\x01s");
        check(named(Refusal::NoDefinition), b"\x1a\x05\x08\x5a\x12\x01s");
        check(named(Refusal::InUse), b"\x1a\x05\x08\x5b\x12\x01s");
        check(named(Refusal::CircularDefinition), b"\x1a\x05\x08\x5c\x12\x01s");
        check(named(Refusal::DefinitionChanged), b"\x1a\x05\x08\x5d\x12\x01s");
        check(named(Refusal::MacroExists), b"\x1a\x05\x08\x5e\x12\x01s");
        check(named(Refusal::ColumnsInUse), b"\x1a\x05\x08\x5f\x12\x01s");
        check(Reply::Refused(Refusal::TooManyRoles), b"\x1a\x02\x08O");
        check(Reply::Refused(Refusal::UnknownCommand), b"\x1a\x00");
    }

    #[test]
    fn a_reason_of_a_later_version_is_no_success() {
        let later = stored::Reply::decode(&b"\x1a\x02\x08\x63"[..]).unwrap();
        assert_eq!(Reply::from(&later), Reply::Refused(Refusal::UnknownCommand));
    }
}

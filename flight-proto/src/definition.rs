//! What SQL defines beside tables, kept as text: views, macros and types, and what is noted of any of them.

use crate::access::Grants;
use crate::schema::Column;

/// A view, a macro or a type. Names in its text that give no schema are of the schema `main`, or of the text itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Definition {
    /// As it was created.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub schema: String,
    #[prost(enumeration = "DefinitionKind", tag = "3")]
    pub kind: i32,
    /// The query of a view or of a macro of tables, the expression of any other macro.
    #[prost(string, tag = "4")]
    pub sql: String,
    /// Of views: what they give. Of a type: the type.
    #[prost(message, repeated, tag = "5")]
    pub columns: Vec<Column>,
    /// Of macros.
    #[prost(message, repeated, tag = "6")]
    pub parameters: Vec<Parameter>,
    /// What its text names, each once.
    #[prost(message, repeated, tag = "7")]
    pub uses: Vec<Use>,
    /// Whose it is, and what others may do with a view.
    #[prost(message, optional, tag = "8")]
    pub grants: Option<Grants>,
    /// The revision of the catalog that made it what it is.
    #[prost(uint64, tag = "10")]
    pub revision: u64,
    /// Of views: its tables are read with the rights of whoever asks, not of its owner.
    #[prost(bool, tag = "15")]
    pub invoker: bool,
    /// Of views: names of the query's first columns, in place of its own.
    #[prost(string, repeated, tag = "16")]
    pub column_names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum DefinitionKind {
    /// One that this version does not know.
    Unknown = 0,
    View = 1,
    /// Gives a value.
    ScalarMacro = 3,
    /// Gives rows.
    TableMacro = 4,
    /// An enum, in `columns` as the type of the only one.
    Type = 5,
}

/// A parameter of a macro.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Parameter {
    #[prost(string, tag = "1")]
    pub name: String,
    /// The expression that stands for it where a call gives none.
    #[prost(string, optional, tag = "2")]
    pub default: Option<String>,
}

/// Something that a definition names.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Use {
    #[prost(enumeration = "UseKind", tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub schema: String,
    #[prost(string, tag = "3")]
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum UseKind {
    Unknown = 0,
    /// A table, a foreign table or a view: no two of a schema share a name.
    Relation = 1,
    Macro = 2,
    Type = 3,
}

/// Makes a definition, or puts it in the place of another one of its kind and name.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Define {
    #[prost(message, optional, tag = "1")]
    pub definition: Option<Definition>,
    /// The revision of the one that it replaces; 0: there must be none of its name.
    #[prost(uint64, tag = "2")]
    pub replaces: u64,
    /// As in [`crate::catalog::AllocateDataset`]: of a view's name no earlier table may turn up any more.
    #[prost(uint64, tag = "3")]
    pub above: u64,
}

/// Removes a definition.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Undefine {
    #[prost(string, tag = "1")]
    pub schema: String,
    #[prost(enumeration = "UseKind", tag = "2")]
    pub kind: i32,
    #[prost(string, tag = "3")]
    pub name: String,
    /// With all that uses it; without, one that is used stays.
    #[prost(bool, tag = "4")]
    pub cascade: bool,
    /// The revision of the one that is meant.
    #[prost(uint64, tag = "5")]
    pub revision: u64,
}

/// What is noted of a schema, or of something in it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Comment {
    /// [`UseKind::Unknown`]: the schema itself.
    #[prost(enumeration = "UseKind", tag = "1")]
    pub kind: i32,
    /// In lower case.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Of a table or view, in lower case; empty: it is not of a column.
    #[prost(string, tag = "3")]
    pub column: String,
    #[prost(string, tag = "4")]
    pub text: String,
}

/// Notes something, in place of what was noted before.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct SetComment {
    #[prost(string, tag = "1")]
    pub schema: String,
    /// Without a text: there is to be none.
    #[prost(message, optional, tag = "2")]
    pub comment: Option<Comment>,
}

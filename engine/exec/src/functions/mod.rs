//! Scalar functions: names and types, resolved once by the planner and run here by name.

use columnar::DataType;

/// The overload that a call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The name to write into [`crate::Expr::Call`]; an alias becomes the function's own name.
    pub function: String,
    /// The types to cast the arguments to, one an argument.
    pub args: Vec<DataType>,
    pub returns: DataType,
}

/// Why a call means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("there is no function {name}")]
    Unknown {
        name: String,
        /// A function whose name is close.
        similar: Option<String>,
    },
    #[error("no function {call} takes these arguments; there is {}", signatures.join(", "))]
    NoOverload { call: String, signatures: Vec<String> },
}

/// A function for those who list them.
#[derive(Clone, Debug)]
pub struct Description {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// As `left(VARCHAR, BIGINT) -> VARCHAR`.
    pub signatures: Vec<String>,
    pub description: &'static str,
    pub example: &'static str,
}

/// The overload of `name` (any case) for arguments of these types. [`DataType::Null`] stands for a bare
/// `NULL` and for a literal string, which take the type that the overload asks for.
pub fn resolve(name: &str, _args: &[DataType]) -> Result<Resolved, ResolveError> {
    Err(ResolveError::Unknown { name: name.to_owned(), similar: None })
}

/// The function behind `EXTRACT(field FROM …)`: `year` for `YEARS`, `dow` for `weekday`.
pub fn extract_function(_field: &str) -> Option<&'static str> {
    None
}

/// All functions, by name.
pub fn list() -> Vec<Description> {
    Vec::new()
}

/// The call of a function by the name that [`resolve`] gave, over compiled arguments of the types it gave.
pub(crate) fn compile(
    function: &str,
    _args: Vec<crate::expression::node::Node>,
    _returns: DataType,
) -> crate::Result<crate::expression::node::Node> {
    Err(crate::Error::Unsupported(format!("the function {function}")))
}

//! SQL text to distributed physical plans: parse, bind, unnest, optimise, distribute, cut into fragments.
//!
//! Synchronous and without I/O: names are resolved by a [`catalog::Catalog`] snapshot. Plans leave as
//! [`exec::Fragment`]s.

mod binder;
pub mod catalog;
mod define;
mod defined;
mod dependency;
mod distribute;
mod error;
mod estimate;
mod explain;
mod foreign;
mod functions;
mod known;
mod logical;
mod nullability;
mod outline;
mod parse;
mod physical;
mod planning;
mod prepared;
mod proven;
mod reads;
mod refresh;
mod rules;
mod shapes;
mod share;
mod slicings;
mod statement;
mod unnest;

pub use defined::{Macro, MacroParameter, View};
pub use error::{Error, ErrorKind, Result};
pub use explain::Placed;
pub use functions::{functions, functions_page};
pub use outline::{Outline, OutlinedScan, Pushed, QueryShape, shape_text};
pub use parse::{Parsed, listed_text, parse};
pub use prepared::{Prepared, converted};
pub use statement::{
    Access, Change, ChangeKind, Comment, CreateExternalTable, CreateForeignTable, CreateMacro, CreateServer,
    CreateType, CreateView, Define, FragmentNotes, GrantOn, Grantee, ImportForeignSchema, MergedRow,
    OperatorNote, Optimizer, PLAN_VERSION, PartitionBy, Password, PlannedQuery, PlannerOptions, Privilege,
    PrivilegeSet, RefreshMode, RefreshOptions, RemoteQuery, ResultColumn, RoleOptions, Statement, TableName,
    TableRead, Use, UseKind,
};

use catalog::Catalog;
use exec::runtime::STACK_BYTES;

/// Parses, binds and plans one statement.
pub fn plan(sql: &str, catalog: &dyn Catalog, options: &PlannerOptions) -> Result<Statement> {
    bind(&parse_one(sql)?, catalog, options)
}

/// Parses a text of one statement.
pub fn parse_one(sql: &str) -> Result<Parsed> {
    let mut statements = parse(sql)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::new(ErrorKind::Syntax, "the statement is empty")),
        (Some(_), false) => {
            Err(Error::new(ErrorKind::Syntax, "one statement is expected, there are several"))
        }
    }
}

/// Binds a parsed statement to the catalog, and plans it where it queries.
pub fn bind(parsed: &Parsed, catalog: &dyn Catalog, options: &PlannerOptions) -> Result<Statement> {
    with_deep_stack(|| planning::statement(&parsed.syntax, catalog, options))
        .map_err(|error| error.in_text(&parsed.text))
}

/// As [`with_deep_stack`], of what is a text of its own within another.
fn with_stack_of_text<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_BYTES / 2, STACK_BYTES, run)
}

/// Runs what recurses over syntax trees and plans, of which the depth is bounded, where the stack is deep
/// enough for it.
fn with_deep_stack<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(STACK_BYTES / 4, STACK_BYTES, run)
}

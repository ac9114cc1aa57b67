//! Scalar functions: names and types, resolved once by the planner and run here by name.
//!
//! A function is a row of a table in one of the files below: its name, its overloads, and for each the code
//! that runs on whole vectors. Operators on dates and text (`+`, `-`, `||`) are functions of that name.

mod arguments;
mod bit_strings;
mod bits;
mod blobs;
mod calendar;
mod clock_template;
mod datetime;
mod encoding;
mod enums;
mod fields;
mod floats;
mod format;
mod general;
mod infinite;
pub(crate) mod items;
mod json;
mod json_build;
mod json_lists;
mod json_paths;
mod list_making;
mod list_sums;
mod list_text;
mod lists;
mod maps;
mod number_template;
mod numeric;
mod pattern;
mod quoting;
mod random;
mod regular;
mod similarity;
mod strftime;
mod structs;
mod suggestion;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod unicode;
mod uuids;
mod whole;
pub(crate) mod zone;
mod zoned;

pub use json_paths::{is_wild_path, structure_type};
pub use suggestion::{edit_distance, similar};
pub use zone::zone_name;
pub use zoned::instant_text;

use crate::Error;
use crate::expression::cast_to_physical;
use crate::expression::node::{Input, Node, Operation, bounded_shape, plain_shape};
pub(crate) use arguments::MOST_TEXT_BYTES;
use arguments::{Arguments, Run};
use columnar::types::{Nested, TypeError, list_of, unify};
use columnar::{DataType, PhysicalType, Vector};
pub(crate) use datetime::add_months;
use infinite::Infinite;
use std::collections::HashMap;
use std::sync::LazyLock;

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
    /// A result of a type that cannot be.
    #[error("{0}")]
    Type(String),
}

/// What a function is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    Text,
    Pattern,
    Number,
    Time,
    Binary,
    Nested,
    Json,
    Conditional,
    Session,
    Aggregate,
    Window,
}

impl std::fmt::Display for Category {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Category::Text => "text",
            Category::Pattern => "patterns",
            Category::Number => "numbers",
            Category::Time => "date and time",
            Category::Binary => "bytes, bits and digests",
            Category::Nested => "lists, structs and maps",
            Category::Json => "JSON",
            Category::Conditional => "conditions",
            Category::Session => "session",
            Category::Aggregate => "aggregates",
            Category::Window => "windows",
        })
    }
}

/// A function for those who list them.
#[derive(Clone, Debug)]
pub struct Description {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub category: Category,
    /// As `left(VARCHAR, BIGINT)`.
    pub signatures: Vec<String>,
    pub description: &'static str,
    pub example: &'static str,
    /// What the example gives, as text; empty where that hangs on the moment.
    pub result: &'static str,
}

/// An example and its result, which are written as one text.
pub fn example_and_result(text: &'static str) -> (&'static str, &'static str) {
    text.split_once(" → ").unwrap_or((text, ""))
}

/// A function as its file lists it.
struct Function {
    name: &'static str,
    aliases: &'static [&'static str],
    description: &'static str,
    /// With its result: `left('tundra', 3) → tun`.
    example: &'static str,
    category: Category,
    overloads: Vec<Overload>,
}

struct Overload {
    parameters: Vec<Parameter>,
    /// Whether the last parameter may occur any number of times (at least once).
    variadic: bool,
    returns: Returns,
    /// Whether a null argument makes the result null, without running the code for that row.
    strict: bool,
    /// Whether the result may be null though no argument is.
    nullable: bool,
    fallible: bool,
    /// The version of plans that brought it.
    since: u16,
    /// What infinite dates and timestamps among the arguments do.
    infinite: Infinite,
    /// What every result of integers lies within, where that is less than its type.
    bounds: Option<(i64, i64)>,
    /// Whether it makes much out of little: never evaluated ahead of a query.
    grows: bool,
    code: Code,
}

/// How an overload is computed.
#[derive(Clone, Copy)]
enum Code {
    /// On whole vectors, at the widths of their types.
    Vectors(Run),
    /// As an expression that there is without the function.
    Expression(fn(Vec<Node>, DataType) -> crate::Result<Node>),
}

/// What an argument may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Exact(DataType),
    /// Any integer type, kept.
    Integer,
    /// Any decimal type, kept; integers become the decimal that holds them.
    Decimal,
    /// Any timestamp type, kept.
    Timestamp,
    /// Any type; all parameters of this kind take one type.
    Same,
    /// Any type, as the text that a cast to `VARCHAR` gives.
    Printed,
    /// As [`Parameter::Same`], numbers only.
    Number,
    /// As [`Parameter::Same`], integers only.
    SameInteger,
    /// Any type, kept.
    Any,
    /// A list or fixed array; its elements and all [`Parameter::Element`]s take one type.
    List,
    /// A list whose elements take part in nothing.
    OtherList,
    /// A value of the type of the lists' elements.
    Element,
    /// Any struct, kept.
    Struct,
    /// Any map, kept.
    Map,
    /// A value of the type of the map's keys.
    Key,
    /// Any enum, kept; all are of one type.
    Enum,
}

enum Returns {
    Type(DataType),
    /// The type of the first argument.
    First,
    Of(fn(&[DataType]) -> DataType),
    /// As [`Returns::Of`], of types that there may be no room for.
    Nested(fn(&[DataType]) -> Result<DataType, TypeError>),
}

impl Function {
    fn new(name: &'static str, description: &'static str, example: &'static str) -> Function {
        let category = Category::Text;
        Function { name, aliases: &[], description, example, category, overloads: Vec::new() }
    }

    fn aliases(mut self, aliases: &'static [&'static str]) -> Function {
        self.aliases = aliases;
        self
    }

    /// An overload that is null for null arguments and cannot fail.
    fn with(self, parameters: &[Parameter], returns: Returns, run: Run) -> Function {
        self.overload(parameters, returns, Code::Vectors(run))
    }

    /// An overload that is another expression.
    fn with_expression(
        self,
        parameters: &[Parameter],
        returns: Returns,
        build: fn(Vec<Node>, DataType) -> crate::Result<Node>,
    ) -> Function {
        self.overload(parameters, returns, Code::Expression(build))
    }

    fn overload(mut self, parameters: &[Parameter], returns: Returns, code: Code) -> Function {
        let parameters = parameters.to_vec();
        self.overloads.push(Overload {
            parameters,
            variadic: false,
            returns,
            strict: true,
            nullable: false,
            fallible: false,
            since: 1,
            infinite: Infinite::Seen,
            bounds: None,
            grows: false,
            code,
        });
        self
    }

    /// As [`Function::with`], of an overload that may fail for some values.
    fn with_fallible(self, parameters: &[Parameter], returns: Returns, run: Run) -> Function {
        let mut function = self.with(parameters, returns, run);
        function.change_last(|overload| overload.fallible = true);
        function
    }

    fn change_last(&mut self, change: impl FnOnce(&mut Overload)) {
        if let Some(overload) = self.overloads.last_mut() {
            change(overload);
        }
    }

    /// Says that the results of the overload lie within bounds, so that they travel narrow.
    fn within(mut self, low: i64, high: i64) -> Function {
        self.change_last(|overload| overload.bounds = Some((low, high)));
        self
    }

    /// Says that the last overload is null of infinite dates and timestamps, and sees none.
    fn finite(mut self) -> Function {
        self.change_last(|overload| overload.infinite = Infinite::Null);
        self
    }

    /// Says that the last overload gives back an infinite date or timestamp as it is, and sees none.
    fn keeps_infinity(mut self) -> Function {
        self.change_last(|overload| overload.infinite = Infinite::Kept);
        self
    }

    /// Says that the last overload fails for infinite dates and timestamps.
    fn refuses_infinity(mut self) -> Function {
        self.change_last(|overload| overload.infinite = Infinite::Refused);
        self
    }

    fn variadic(mut self) -> Function {
        self.change_last(|overload| overload.variadic = true);
        self
    }

    /// Says that the last overload makes much out of little.
    fn grows(mut self) -> Function {
        self.change_last(|overload| overload.grows = true);
        self
    }

    fn sees_nulls(mut self) -> Function {
        self.change_last(|overload| overload.strict = false);
        self
    }

    /// Says that the last overload may be null of arguments that are not.
    fn nullable(mut self) -> Function {
        self.change_last(|overload| overload.nullable = true);
        self
    }

    /// Says that the last overload came with version 2 of plans.
    fn later(mut self) -> Function {
        self.change_last(|overload| overload.since = 2);
        self
    }
}

impl Overload {
    fn parameter(&self, index: usize) -> Option<Parameter> {
        match self.parameters.get(index) {
            None if self.variadic => self.parameters.last().copied(),
            known => known.copied(),
        }
    }

    /// The types to cast `args` to and how far they are from what was given; `None` where they do not fit.
    fn accept(&self, args: &[DataType]) -> Option<(Vec<DataType>, usize)> {
        if args.len() < self.parameters.len() || args.len() > self.parameters.len() && !self.variadic {
            return None;
        }
        let parameters = (0..args.len()).map(|index| self.parameter(index)).collect::<Option<Vec<_>>>()?;
        let same = parameters
            .iter()
            .zip(args)
            .filter(|(parameter, _)| {
                matches!(parameter, Parameter::Same | Parameter::Number | Parameter::SameInteger)
            })
            .try_fold(DataType::Null, |common, (_, &arg)| unify(common, arg))?;
        let element = parameters
            .iter()
            .zip(args)
            .filter_map(|(parameter, &arg)| match parameter {
                Parameter::List => Some(element_of(arg)),
                Parameter::Element => Some(Some(arg)),
                _ => None,
            })
            .try_fold(DataType::Null, |common, arg| unify(common, arg?))?;
        let key = parameters.iter().zip(args).find(|(parameter, _)| **parameter == Parameter::Map);
        let key = key.and_then(|(_, arg)| match arg.as_nested()?.info().shape {
            Nested::Map { key, .. } => Some(key),
            _ => None,
        });
        let kind = args.iter().copied().find(|arg| matches!(arg, DataType::Enum(_)));
        let integers = parameters.contains(&Parameter::SameInteger);
        let same = match same {
            DataType::Null if integers => DataType::Int64,
            DataType::Null => DataType::Varchar,
            same => same,
        };
        let (mut types, mut cost) = (Vec::with_capacity(args.len()), 0);
        for (&parameter, &arg) in parameters.iter().zip(args) {
            let (data_type, step) = match parameter {
                Parameter::Same => (same, 0),
                Parameter::Number if same.is_numeric() => (same, 0),
                Parameter::SameInteger if same.is_integer() => (same, 0),
                Parameter::Any => (arg, 0),
                Parameter::Exact(wanted) => (wanted, conversion_cost(arg, wanted)?),
                Parameter::Printed => {
                    (DataType::Varchar, conversion_cost(arg, DataType::Varchar).unwrap_or(3))
                }
                Parameter::Integer if arg.is_integer() => (arg, 0),
                Parameter::Integer if arg == DataType::Null => (DataType::Int64, 1),
                Parameter::Decimal if matches!(arg, DataType::Decimal { .. }) => (arg, 0),
                Parameter::Timestamp if matches!(arg, DataType::Timestamp { .. }) => (arg, 0),
                Parameter::Timestamp if arg == DataType::Null => (DataType::TIMESTAMP, 1),
                Parameter::Timestamp if arg == DataType::Date => (DataType::TIMESTAMP, 2),
                Parameter::List => (list_of(element).ok()?, 0),
                Parameter::OtherList => (list_of(element_of(arg)?).ok()?, 0),
                Parameter::Element => (element, 0),
                Parameter::Struct if matches!(arg.as_nested()?.info().shape, Nested::Struct(_)) => (arg, 0),
                Parameter::Map if key.is_some() => (arg, 0),
                Parameter::Key if key.is_some_and(|key| unify(arg, key) == Some(key)) => (key?, 0),
                Parameter::Enum if arg == DataType::Null || Some(arg) == kind => (kind?, 0),
                Parameter::Integer
                | Parameter::Enum
                | Parameter::Struct
                | Parameter::Map
                | Parameter::Key
                | Parameter::Decimal
                | Parameter::Timestamp
                | Parameter::Number
                | Parameter::SameInteger => return None,
            };
            types.push(data_type);
            cost += step;
        }
        Some((types, cost))
    }

    fn signature(&self, name: &str) -> String {
        let mut parameters: Vec<String> =
            self.parameters.iter().map(|parameter| parameter.to_string()).collect();
        if self.variadic {
            parameters.push("…".into());
        }
        format!("{name}({})", parameters.join(", "))
    }
}

impl std::fmt::Display for Parameter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Parameter::Exact(data_type) => data_type.fmt(f),
            Parameter::Integer | Parameter::SameInteger => f.write_str("integer"),
            Parameter::Decimal => f.write_str("DECIMAL"),
            Parameter::Timestamp => f.write_str("TIMESTAMP"),
            Parameter::Number => f.write_str("number"),
            Parameter::List | Parameter::OtherList => f.write_str("list"),
            Parameter::Element => f.write_str("element"),
            Parameter::Struct => f.write_str("struct"),
            Parameter::Map => f.write_str("map"),
            Parameter::Key => f.write_str("key"),
            Parameter::Enum => f.write_str("ENUM"),
            Parameter::Same | Parameter::Printed | Parameter::Any => f.write_str("any"),
        }
    }
}

/// How far an implicit cast goes; `None` where there is none.
fn conversion_cost(from: DataType, to: DataType) -> Option<usize> {
    let rank = |data_type: DataType| match data_type {
        DataType::Int8 | DataType::UInt8 => 1,
        DataType::Int16 | DataType::UInt16 => 2,
        DataType::Int32 | DataType::UInt32 => 3,
        DataType::Int64 | DataType::UInt64 => 4,
        _ => 5_usize,
    };
    Some(match (from, to) {
        (from, to) if from == to => 0,
        (DataType::Null, DataType::Varchar) => 0,
        (DataType::Null, _) => 1,
        (from, to) if from.is_integer() && to.is_integer() && unify(from, to) == Some(to) => {
            rank(to) - rank(from)
        }
        (DataType::Enum(_), DataType::Varchar) => 4,
        (from, DataType::Float64) if from.is_numeric() => 5,
        (DataType::Date, DataType::Timestamp { zone: false, .. }) => 1,
        (DataType::Json { canonical: true }, DataType::Json { .. }) => 1,
        (DataType::Json { .. }, DataType::Json { .. }) => 2,
        (DataType::Varchar, DataType::Json { canonical: false }) => 4,
        _ => return None,
    })
}

/// The type of the elements of a list or fixed array; a bare `NULL` may be one.
fn element_of(data_type: DataType) -> Option<DataType> {
    match data_type {
        DataType::Null => Some(DataType::Null),
        data_type => data_type.as_nested()?.element(),
    }
}

struct Registry {
    functions: Vec<Function>,
    by_name: HashMap<&'static str, usize>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut functions: Vec<Function> = [
        (Category::Time, datetime::functions()),
        (Category::Conditional, general::functions()),
        (Category::Number, numeric::functions()),
        (Category::Pattern, regular::functions()),
        (Category::Text, text::functions()),
    ]
    .into_iter()
    .flat_map(|(category, functions)| {
        functions.into_iter().map(move |function| Function { category, ..function })
    })
    .collect();
    let later = [
        (Category::Number, bits::functions()),
        (Category::Text, unicode::functions()),
        (Category::Binary, bit_strings::functions()),
        (Category::Binary, blobs::functions()),
        (Category::Time, calendar::functions()),
        (Category::Time, clock_template::functions()),
        (Category::Binary, encoding::functions()),
        (Category::Conditional, enums::functions()),
        (Category::Number, floats::functions()),
        (Category::Text, format::functions()),
        (Category::Conditional, general::later_functions()),
        (Category::Nested, lists::functions()),
        (Category::Json, json::functions()),
        (Category::Json, json_build::functions()),
        (Category::Nested, list_making::functions()),
        (Category::Nested, list_sums::functions()),
        (Category::Nested, list_text::functions()),
        (Category::Nested, maps::functions()),
        (Category::Nested, structs::functions()),
        (Category::Json, json_lists::functions()),
        (Category::Json, json_paths::functions()),
        (Category::Number, number_template::functions()),
        (Category::Pattern, pattern::functions()),
        (Category::Text, quoting::functions()),
        (Category::Number, random::functions()),
        (Category::Text, similarity::functions()),
        (Category::Time, strftime::functions()),
        (Category::Binary, uuids::functions()),
        (Category::Number, whole::functions()),
        (Category::Time, zone::functions()),
        (Category::Time, zoned::functions()),
    ];
    for (category, more) in later {
        for mut function in more {
            function.overloads.iter_mut().for_each(|overload| overload.since = 2);
            match functions.iter_mut().find(|known| known.name == function.name) {
                // Kinds of values that the function did not take before.
                Some(known) => {
                    known.overloads.append(&mut function.overloads);
                    if !function.description.is_empty() {
                        (known.description, known.example) = (function.description, function.example);
                    }
                }
                None => functions.push(Function { category, ..function }),
            }
        }
    }
    functions.sort_by_key(|function| function.name);
    let mut by_name = HashMap::new();
    for (index, function) in functions.iter().enumerate() {
        for name in function.aliases.iter().chain([&function.name]) {
            let earlier = by_name.insert(*name, index);
            debug_assert!(earlier.is_none(), "two functions are called {name}");
        }
    }
    Registry { functions, by_name }
});

impl Registry {
    fn find(&self, name: &str) -> Option<&Function> {
        let index = self.by_name.get(name).or_else(|| self.by_name.get(name.to_lowercase().as_str()))?;
        self.functions.get(*index)
    }
}

/// The overload of `name` (any case) for arguments of these types. [`DataType::Null`] stands for a bare
/// `NULL` and for a literal string, which take the type that the overload asks for.
pub fn resolve(name: &str, args: &[DataType]) -> Result<Resolved, ResolveError> {
    let Some(function) = REGISTRY.find(name) else {
        let similar = suggestion::similar(name, std::iter::empty());
        return Err(ResolveError::Unknown { name: name.to_owned(), similar });
    };
    // What an operator does with lists is for lists: a text that is open might be read as one.
    let is_operator = !function.name.starts_with(|c: char| c.is_alphabetic());
    let has_lists = args.iter().any(|arg| arg.as_nested().is_some());
    let fits =
        |overload: &&Overload| !is_operator || has_lists || !overload.parameters.contains(&Parameter::List);
    let accepted = function
        .overloads
        .iter()
        .filter(fits)
        .filter_map(|overload| Some((overload, overload.accept(args)?)));
    match accepted.min_by_key(|(_, (_, cost))| *cost) {
        Some((overload, (types, _))) => {
            let returns = match overload.returns {
                Returns::Type(data_type) => data_type,
                Returns::First => types.first().copied().unwrap_or(DataType::Null),
                Returns::Of(compute) => compute(&types),
                Returns::Nested(compute) => {
                    compute(&types).map_err(|error| ResolveError::Type(error.to_string()))?
                }
            };
            Ok(Resolved { function: function.name.to_owned(), args: types, returns })
        }
        None => {
            let types: Vec<String> = args.iter().map(DataType::to_string).collect();
            Err(ResolveError::NoOverload {
                call: format!("{}({})", function.name, types.join(", ")),
                signatures: function
                    .overloads
                    .iter()
                    .map(|overload| overload.signature(function.name))
                    .collect(),
            })
        }
    }
}

/// The call of a function by the name that [`resolve`] gave, over compiled arguments of the types it gave.
pub(crate) fn compile(function: &str, args: Vec<Node>, returns: DataType) -> crate::Result<Node> {
    let types: Vec<DataType> = args.iter().map(Node::data_type).collect();
    let found = REGISTRY
        .find(function)
        .ok_or_else(|| Error::Internal(format!("a plan calls {function}, which does not exist")))?;
    let accepted = found.overloads.iter().filter_map(|overload| Some((overload, overload.accept(&types)?)));
    let exact = accepted.min_by_key(|(_, (_, cost))| *cost).filter(|(_, (wanted, _))| *wanted == types);
    let (overload, _) = exact.ok_or_else(|| {
        Error::Internal(format!("a plan calls {function} with types that it does not take: {types:?}"))
    })?;
    let run = match overload.code {
        Code::Vectors(run) => run,
        Code::Expression(build) => return build(args, returns),
    };
    // What is known to be finite is not looked at.
    let infinite = match args.iter().any(infinite::may_be_infinite) {
        true => overload.infinite,
        false => Infinite::Seen,
    };
    let args = match infinite {
        Infinite::Seen => match table::tabulate(overload.strict, run, args, returns) {
            Ok(node) => return Ok(node),
            Err(args) => args,
        },
        _ => args,
    };
    let nullable = overload.nullable
        || infinite == Infinite::Null
        || !overload.strict
        || args.iter().any(|arg| arg.shape().nullable);
    let shape = match overload.bounds {
        Some((low, high)) => bounded_shape(returns, nullable, (low.into(), high.into())),
        None => plain_shape(returns, nullable),
    };
    let physical = shape.physical;
    let call = |args| -> Box<dyn Operation> {
        Box::new(Call { run, strict: overload.strict, infinite, args, returns, physical })
    };
    let node = match overload.grows {
        true => Node::unfolded(args, shape, overload.fallible, false, call),
        false => Node::over(args, shape, overload.fallible, call),
    };
    Ok(node.costly())
}

/// A call of code that is null for null arguments and has no overload of its own.
fn call_of(run: Run, infinite: Infinite, args: Vec<Node>, returns: DataType) -> Node {
    let nullable = args.iter().any(|arg| arg.shape().nullable);
    let shape = plain_shape(returns, nullable);
    let physical = shape.physical;
    Node::over(args, shape, true, |args| {
        Box::new(Call { run, strict: true, infinite, args, returns, physical })
    })
}

struct Call {
    run: Run,
    strict: bool,
    infinite: Infinite,
    args: Vec<Node>,
    returns: DataType,
    physical: PhysicalType,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("args", &self.args)
            .field("returns", &self.returns)
            .finish_non_exhaustive()
    }
}

impl Operation for Call {
    fn evaluate(&self, input: &Input<'_>) -> crate::Result<Vector> {
        let args = self.args.iter().map(|arg| arg.evaluate(input)).collect::<crate::Result<Vec<_>>>()?;
        let result = match self.infinite {
            Infinite::Seen => (self.run)(&Arguments::new(&args, input.rows, self.strict), self.returns)?,
            other => infinite::run(self.run, other, &args, input.rows, self.returns)?,
        };
        // A result may be an argument as it came, narrow, or of the full width where less will do.
        Ok(cast_to_physical(&result, self.physical))
    }
}

/// The function behind `EXTRACT(field FROM …)`: `year` for `YEARS`, `dow` for `weekday`.
pub fn extract_function(field: &str) -> Option<&'static str> {
    fields::field_function(field)
}

/// All functions, by name.
pub fn list() -> Vec<Description> {
    REGISTRY
        .functions
        .iter()
        .map(|function| Description {
            name: function.name,
            aliases: function.aliases,
            category: function.category,
            signatures: function.overloads.iter().map(|overload| overload.signature(function.name)).collect(),
            description: function.description,
            example: example_and_result(function.example).0,
            result: example_and_result(function.example).1,
        })
        .collect()
}

/// Whether a call makes much out of little, so that it is not evaluated ahead of a query.
pub fn grows(function: &str) -> bool {
    REGISTRY.find(function).is_some_and(|function| function.overloads.iter().any(|overload| overload.grows))
}

/// The version of plans that a call needs, by the name and types that [`resolve`] gave.
pub fn since(function: &str, args: &[DataType]) -> u16 {
    let Some(function) = REGISTRY.find(function) else { return 1 };
    let accepted = function.overloads.iter().filter_map(|overload| Some((overload, overload.accept(args)?)));
    accepted.min_by_key(|(_, (_, cost))| *cost).map_or(1, |(overload, _)| overload.since)
}

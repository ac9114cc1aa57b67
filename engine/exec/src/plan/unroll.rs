//! Lists as rows.

use super::Plan;
use crate::expr::Expr;
use columnar::DataType;
use columnar::types::{Nested, struct_of};
use serde::{Deserialize, Serialize};

/// Each row once for each place of its longest list, from the first place on: the columns of `keep`, then the elements of
/// each list at the place, null where it is shorter or null itself, then the place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unroll {
    pub input: Box<Plan>,
    /// Columns of the input.
    pub keep: Vec<u32>,
    pub lists: Vec<Unrolled>,
    /// Whether the place is given, as a `BIGINT` from 1 on.
    pub position: bool,
    /// A row all of whose lists are null or empty is given once, with nulls for elements and place.
    pub keeps_empty: bool,
}

/// A list that is given element by element.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unrolled {
    pub list: Expr,
    /// That of the elements: see [`element_type`].
    pub data_type: DataType,
}

/// The type of the elements of a list, an array or, as structs of key and value, a map; `None` for other types.
pub fn element_type(list: DataType) -> Option<DataType> {
    let DataType::Nested(list) = list else { return None };
    match list.shape {
        Nested::List(element) | Nested::Array { element, .. } => Some(element),
        Nested::Map { key, value } => struct_of([("key".into(), key), ("value".into(), value)]).ok(),
        Nested::Struct(_) => None,
    }
}

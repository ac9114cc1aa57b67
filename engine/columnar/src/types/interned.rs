//! Descriptions of nested types and enums, each kept once for as long as the process lives, so that a
//! [`DataType`] stays a small value that is copied and compared by address.
//!
//! The table only grows. What statements may add is bounded by [`of_statement`]; what exists already (in the
//! catalog, in files, in plans of other nodes) is never refused but for the limits of a single type.

use super::{DataType, describe};
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

/// How deep types nest.
pub const MAX_DEPTH: u8 = 16;
/// Types within a type, itself among them.
pub const MAX_NODES: u32 = 4096;
/// Fields of a struct.
pub const MAX_FIELDS: usize = 1024;
/// Bytes of all field names of a type.
pub const MAX_NAME_BYTES: usize = 64 << 10;
/// Values of an enum, and their bytes.
pub const MAX_ENUM_VALUES: usize = 65_536;
pub const MAX_ENUM_BYTES: usize = 1 << 20;
/// Elements of a fixed array.
pub const MAX_ARRAY_LEN: u32 = 1 << 17;

/// A type that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    #[error("a type nests at most {MAX_DEPTH} levels deep")]
    Deep,
    #[error("a type has at most {MAX_NODES} types within it")]
    Large,
    #[error("a struct has 1 to {MAX_FIELDS} fields, not {0}")]
    Fields(usize),
    #[error("the names within a type have at most {MAX_NAME_BYTES} bytes")]
    Names,
    #[error("two fields of a struct are named \"{0}\"")]
    FieldTwice(String),
    #[error("a fixed array has 1 to {MAX_ARRAY_LEN} elements, not {0}")]
    ArrayLength(u64),
    #[error("an enum has 1 to {MAX_ENUM_VALUES} values of {MAX_ENUM_BYTES} bytes together")]
    EnumValues,
    #[error("the value '{0}' occurs twice in an enum")]
    ValueTwice(String),
    #[error(
        "too many different nested types and enums were named by statements; use types that are known already"
    )]
    TooMany,
    #[error("malformed description of a type")]
    Malformed,
}

/// A list, fixed array, struct or map.
#[derive(Clone, Copy)]
pub struct NestedType(&'static NestedInfo);

/// An enum.
#[derive(Clone, Copy)]
pub struct EnumType(&'static EnumInfo);

pub struct NestedInfo {
    pub shape: Nested,
    /// Levels, 1 for a list of integers.
    pub depth: u8,
    /// Types within, itself among them.
    pub nodes: u32,
    hash: u64,
}

/// What a nested type is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Nested {
    List(DataType),
    Array { element: DataType, len: u32 },
    Struct(Box<[FieldType]>),
    Map { key: DataType, value: DataType },
}

/// A field of a struct; without a name in `ROW(…)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldType {
    pub name: Box<str>,
    pub data_type: DataType,
}

pub struct EnumInfo {
    /// The name of the type, qualified by its schema; enums of other names are other types, as in PostgreSQL.
    pub name: Option<Box<str>>,
    /// The values in their order.
    pub values: Box<[Box<str>]>,
    by_value: HashMap<Box<str>, u32>,
    hash: u64,
}

impl std::ops::Deref for NestedType {
    type Target = NestedInfo;
    fn deref(&self) -> &NestedInfo {
        self.0
    }
}

impl std::ops::Deref for EnumType {
    type Target = EnumInfo;
    fn deref(&self) -> &EnumInfo {
        self.0
    }
}

impl PartialEq for NestedType {
    fn eq(&self, other: &NestedType) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl Eq for NestedType {}
impl Hash for NestedType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}
impl PartialEq for EnumType {
    fn eq(&self, other: &EnumType) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}
impl Eq for EnumType {}
impl Hash for EnumType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}
impl fmt::Debug for NestedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", DataType::Nested(*self))
    }
}
impl fmt::Debug for EnumType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", DataType::Enum(*self))
    }
}

impl NestedType {
    /// A hash of the description, the same on every node (FNV-1a).
    pub fn structural_hash(self) -> u64 {
        self.0.hash
    }

    /// The fields of a struct; none of other types.
    pub fn fields(self) -> &'static [FieldType] {
        match &self.0.shape {
            Nested::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// The type of the elements of a list or fixed array.
    pub fn element(self) -> Option<DataType> {
        match self.0.shape {
            Nested::List(element) | Nested::Array { element, .. } => Some(element),
            _ => None,
        }
    }

    pub fn info(self) -> &'static NestedInfo {
        self.0
    }
}

impl EnumType {
    /// A hash of the description, the same on every node (FNV-1a).
    pub fn structural_hash(self) -> u64 {
        self.0.hash
    }

    /// The place of a value, which is its code.
    pub fn code(self, value: &str) -> Option<u32> {
        self.0.by_value.get(value).copied()
    }

    /// The value of a code; none for one beyond the list, which only a damaged file or message has.
    pub fn value(self, code: i128) -> Option<&'static str> {
        self.0.values.get(usize::try_from(code).ok()?).map(|value| &**value)
    }

    pub fn info(self) -> &'static EnumInfo {
        self.0
    }
}

/// The type of the shape.
pub fn nested(shape: Nested) -> Result<DataType, TypeError> {
    let within: Vec<DataType> = match &shape {
        Nested::List(element) => vec![*element],
        Nested::Array { element, len } => {
            if !(1..=MAX_ARRAY_LEN).contains(len) {
                return Err(TypeError::ArrayLength((*len).into()));
            }
            vec![*element]
        }
        Nested::Struct(fields) => {
            if fields.is_empty() || fields.len() > MAX_FIELDS {
                return Err(TypeError::Fields(fields.len()));
            }
            let mut names = std::collections::HashSet::new();
            for field in fields.iter().filter(|field| !field.name.is_empty()) {
                if !names.insert(&*field.name) {
                    return Err(TypeError::FieldTwice(field.name.to_string()));
                }
            }
            fields.iter().map(|field| field.data_type).collect()
        }
        Nested::Map { key, value } => {
            vec![*key, *value]
        }
    };
    let (mut depth, mut nodes) = (0, 1_u32);
    for data_type in within {
        if let DataType::Nested(inner) = data_type {
            depth = depth.max(inner.depth);
            nodes = nodes.saturating_add(inner.nodes);
        } else {
            nodes = nodes.saturating_add(1);
        }
    }
    if depth >= MAX_DEPTH {
        return Err(TypeError::Deep);
    }
    if nodes > MAX_NODES {
        return Err(TypeError::Large);
    }
    let description = describe::of_shape(&shape);
    if description.len() > MAX_NAME_BYTES + 8 * MAX_NODES as usize + MAX_ENUM_BYTES {
        return Err(TypeError::Names);
    }
    intern(&TABLE.nested, description, |hash| NestedInfo { shape, depth: depth + 1, nodes, hash })
        .map(|info| DataType::Nested(NestedType(info)))
}

/// A list of the type.
pub fn list_of(element: DataType) -> Result<DataType, TypeError> {
    nested(Nested::List(element))
}

/// A struct of the fields; names may be empty.
pub fn struct_of(fields: impl IntoIterator<Item = (String, DataType)>) -> Result<DataType, TypeError> {
    let fields = fields.into_iter().map(|(name, data_type)| FieldType { name: name.into(), data_type });
    nested(Nested::Struct(fields.collect()))
}

/// The enum of the values, in their order.
pub fn enumeration(name: Option<&str>, values: Vec<String>) -> Result<DataType, TypeError> {
    let bytes: usize = values.iter().map(String::len).sum::<usize>() + name.map_or(0, str::len);
    if values.is_empty() || values.len() > MAX_ENUM_VALUES || bytes > MAX_ENUM_BYTES {
        return Err(TypeError::EnumValues);
    }
    let mut by_value = HashMap::with_capacity(values.len());
    for (code, value) in (0_u32..).zip(&values) {
        if by_value.insert(Box::from(value.as_str()), code).is_some() {
            return Err(TypeError::ValueTwice(value.clone()));
        }
    }
    let values: Box<[Box<str>]> = values.into_iter().map(Box::from).collect();
    let description = describe::of_enum(name, &values);
    intern(&TABLE.enums, description, |hash| EnumInfo { name: name.map(Box::from), values, by_value, hash })
        .map(|info| DataType::Enum(EnumType(info)))
}

/// Within `body` descriptions that are new are a statement's: of at most `room` bytes together, beyond which
/// they are refused. Gives how many bytes it added.
pub fn of_statement<R>(room: usize, body: impl FnOnce() -> R) -> (R, usize) {
    let outer = ROOM.replace(Some(room));
    let result = body();
    let left = ROOM.replace(outer).unwrap_or(0);
    (result, room.saturating_sub(left))
}

/// Bytes of all descriptions that are kept.
pub fn bytes() -> usize {
    let kept = |bytes: &Mutex<usize>| *bytes.lock().unwrap_or_else(PoisonError::into_inner);
    kept(&TABLE.bytes)
}

thread_local! {
    /// What a statement may still add on this thread; no bound outside of statements.
    static ROOM: Cell<Option<usize>> = const { Cell::new(None) };
}

type Interned<T> = Mutex<HashMap<Box<[u8]>, &'static T>>;

struct Table {
    nested: Interned<NestedInfo>,
    enums: Interned<EnumInfo>,
    bytes: Mutex<usize>,
}

static TABLE: LazyLock<Table> =
    LazyLock::new(|| Table { nested: Mutex::default(), enums: Mutex::default(), bytes: Mutex::default() });

fn intern<T>(
    table: &'static Interned<T>,
    description: Vec<u8>,
    info: impl FnOnce(u64) -> T,
) -> Result<&'static T, TypeError> {
    let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = table.get(description.as_slice()) {
        return Ok(known);
    }
    // The key, what it describes, and the entry, about.
    let bytes = description.len() * 3 + 256;
    if let Some(room) = ROOM.get() {
        ROOM.set(Some(room.checked_sub(bytes).ok_or(TypeError::TooMany)?));
    }
    *TABLE.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
    let info: &'static T = Box::leak(Box::new(info(fnv(&description))));
    table.insert(description.into(), info);
    Ok(info)
}

/// FNV-1a of 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests")]
mod tests {
    use super::*;

    #[test]
    fn equal_types_are_one() {
        let one = list_of(DataType::Int32).unwrap();
        assert_eq!(one, list_of(DataType::Int32).unwrap());
        assert_ne!(one, list_of(DataType::Int64).unwrap());
        let colour = |name| enumeration(name, vec!["red".into(), "green".into()]).unwrap();
        assert_eq!(colour(Some("c")), colour(Some("c")));
        assert_ne!(colour(Some("c")), colour(None));
    }

    #[test]
    fn limits_hold() {
        let mut deep = DataType::Int32;
        for _ in 0..MAX_DEPTH {
            deep = list_of(deep).unwrap();
        }
        assert_eq!(list_of(deep), Err(TypeError::Deep));
        let fields = |n: usize| struct_of((0..n).map(|i| (format!("limit{i}"), DataType::Int8)));
        assert!(fields(MAX_FIELDS).is_ok());
        assert_eq!(fields(MAX_FIELDS + 1), Err(TypeError::Fields(MAX_FIELDS + 1)));
        assert_eq!(fields(0), Err(TypeError::Fields(0)));
        let twice = struct_of([("a".into(), DataType::Int8), ("a".into(), DataType::Int8)]);
        assert_eq!(twice, Err(TypeError::FieldTwice("a".into())));
        assert_eq!(enumeration(None, vec!["x".into(), "x".into()]), Err(TypeError::ValueTwice("x".into())));
        assert_eq!(enumeration(None, vec![]), Err(TypeError::EnumValues));
    }

    #[test]
    fn a_statement_adds_what_it_may_and_no_more() {
        let make = |n: u32| nested(Nested::Array { element: DataType::Interval, len: n });
        let (made, added) =
            of_statement(1000, || (make(77_001), make(77_001), make(77_002), make(77_003), make(77_004)));
        assert!(made.0.is_ok() && made.1.is_ok() && made.2.is_ok());
        assert_eq!(made.4, Err(TypeError::TooMany));
        assert!(added <= 1000);
        // What is known is never refused.
        assert!(of_statement(0, || make(77_001)).0.is_ok());
        assert!(make(77_004).is_ok());
    }
}

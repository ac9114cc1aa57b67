//! Columns and their types, as they are stored.

/// A column of a dataset.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Column {
    /// As it was created; looked up without regard to case.
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub data_type: Option<ColumnType>,
    #[prost(bool, tag = "3")]
    pub nullable: bool,
}

/// The type of a column.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ColumnType {
    #[prost(enumeration = "TypeKind", tag = "1")]
    pub kind: i32,
    /// Of decimals: 1–38.
    #[prost(uint32, tag = "2")]
    pub precision: u32,
    #[prost(uint32, tag = "3")]
    pub scale: u32,
    /// Of timestamps: digits of a second (0, 3, 6 or 9).
    #[prost(uint32, tag = "4")]
    pub second_digits: u32,
    /// Of timestamps: an instant, not a wall-clock reading.
    #[prost(bool, tag = "5")]
    pub zone: bool,
    /// Of lists, arrays, structs, maps and enums: the description that plans have of them.
    #[prost(bytes = "vec", tag = "6")]
    pub description: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum TypeKind {
    /// A type that this version does not know.
    Unknown = 0,
    Boolean = 1,
    Int8 = 2,
    Int16 = 3,
    Int32 = 4,
    Int64 = 5,
    Decimal = 6,
    Float32 = 7,
    Float64 = 8,
    Date = 9,
    Time = 10,
    Timestamp = 11,
    Interval = 12,
    Varchar = 13,
    Binary = 14,
    UInt8 = 15,
    UInt16 = 16,
    UInt32 = 17,
    UInt64 = 18,
    Int128 = 19,
    Uuid = 20,
    TimeZoned = 21,
    Json = 22,
    Jsonb = 23,
    Bits = 24,
    /// An enum, as its description says.
    Enum = 25,
    /// A list, array, struct or map, as its description says.
    Nested = 26,
}

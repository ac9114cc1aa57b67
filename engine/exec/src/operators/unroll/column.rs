//! Elements of lists as they become a column.

use crate::error::Result;
use columnar::packed::Element;
use columnar::view::ViewsBuilder;
use columnar::{Bitmap, DataType, Flat, PhysicalType, Scalar, Values, Vector};

/// A column that grows element by element, at the canonical width of its type.
pub(super) struct Column {
    data_type: DataType,
    values: Growing,
    valid: Vec<bool>,
    has_nulls: bool,
    bytes: usize,
}

/// Integers are packed big-endian with their first bit turned; what is nested, as it is.
enum Growing {
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
    Text(ViewsBuilder),
    Nested(ViewsBuilder),
    Others(Vec<Scalar>),
}

/// The integer that is packed in so many bytes.
macro_rules! integer {
    ($type:ty, $bytes:expr) => {
        match $bytes.try_into() {
            Ok(bytes) => <$type>::from_be_bytes(bytes) ^ <$type>::MIN,
            Err(_) => return Err(columnar::Error::Malformed("an integer of another width".into()).into()),
        }
    };
}

impl Column {
    pub(super) fn new(data_type: DataType, rows: usize) -> Column {
        let values = match data_type.physical() {
            PhysicalType::I8 => Growing::I8(Vec::with_capacity(rows)),
            PhysicalType::I16 => Growing::I16(Vec::with_capacity(rows)),
            PhysicalType::I32 => Growing::I32(Vec::with_capacity(rows)),
            PhysicalType::I64 => Growing::I64(Vec::with_capacity(rows)),
            PhysicalType::I128 => Growing::I128(Vec::with_capacity(rows)),
            PhysicalType::View if matches!(data_type, DataType::Nested(_)) => {
                Growing::Nested(ViewsBuilder::default())
            }
            PhysicalType::View => Growing::Text(ViewsBuilder::default()),
            _ => Growing::Others(Vec::with_capacity(rows)),
        };
        Column { data_type, values, valid: Vec::with_capacity(rows), has_nulls: false, bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    /// About as many bytes as its text and nested values have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// # Errors
    /// An element whose bytes are no value of the type.
    pub(super) fn push(&mut self, element: Element<'_>) -> Result<()> {
        let Some(bytes) = element.0 else {
            self.push_null();
            return Ok(());
        };
        match &mut self.values {
            Growing::I8(values) => values.push(integer!(i8, bytes)),
            Growing::I16(values) => values.push(integer!(i16, bytes)),
            Growing::I32(values) => values.push(integer!(i32, bytes)),
            Growing::I64(values) => values.push(integer!(i64, bytes)),
            Growing::I128(values) => values.push(integer!(i128, bytes)),
            Growing::Text(views) => views.push(&element.string(self.data_type)?),
            Growing::Nested(views) => views.push(bytes),
            Growing::Others(values) => values.push(element.scalar(self.data_type)?),
        }
        self.bytes += bytes.len();
        self.valid.push(true);
        Ok(())
    }

    pub(super) fn push_null(&mut self) {
        match &mut self.values {
            Growing::I8(values) => values.push(0),
            Growing::I16(values) => values.push(0),
            Growing::I32(values) => values.push(0),
            Growing::I64(values) => values.push(0),
            Growing::I128(values) => values.push(0),
            Growing::Text(views) | Growing::Nested(views) => views.push(&[]),
            Growing::Others(values) => values.push(Scalar::Null),
        }
        self.valid.push(false);
        self.has_nulls = true;
    }

    pub(super) fn finish(self) -> Vector {
        let values = match self.values {
            Growing::I8(values) => Values::I8(values.into()),
            Growing::I16(values) => Values::I16(values.into()),
            Growing::I32(values) => Values::I32(values.into()),
            Growing::I64(values) => Values::I64(values.into()),
            Growing::I128(values) => Values::I128(values.into()),
            Growing::Text(views) | Growing::Nested(views) => Values::View(views.finish()),
            Growing::Others(values) => return Vector::from_scalars(self.data_type, &values),
        };
        let validity: Option<Bitmap> = self.has_nulls.then(|| self.valid.iter().copied().collect());
        Flat::new(self.data_type, values, validity).into()
    }
}

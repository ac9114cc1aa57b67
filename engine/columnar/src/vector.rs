//! Vectors: a column of a batch in one of three shapes.

use crate::{Bitmap, Buffer, DataType, Interval, PhysicalType, Scalar, Value, Views};
use std::sync::Arc;

/// Values of one logical type in flight. Whatever the shape, [`Vector::flatten`] gives the plain one.
#[derive(Clone, Debug)]
pub enum Vector {
    Flat(Flat),
    /// One value, repeated.
    Constant(Constant),
    /// Codes into a dictionary of distinct values.
    Dictionary(DictionaryVector),
}

/// A value a row. Where `validity` has a clear bit the row is null and its value is unspecified (but
/// present, and harmless to compute with).
#[derive(Clone, Debug)]
pub struct Flat {
    pub data_type: DataType,
    pub values: Values,
    /// `None`: no row is null.
    pub validity: Option<Bitmap>,
}

/// The values of a [`Flat`] vector by physical type. Integers hold the value itself (decimals unscaled), at
/// any width that fits; the width is a property of the vector, not of its logical type.
#[derive(Clone, Debug)]
pub enum Values {
    Bool(Bitmap),
    I8(Buffer<i8>),
    I16(Buffer<i16>),
    I32(Buffer<i32>),
    I64(Buffer<i64>),
    I128(Buffer<i128>),
    F32(Buffer<f32>),
    F64(Buffer<f64>),
    Interval(Arc<[Interval]>),
    View(Views),
}

/// One value for every row.
#[derive(Clone, Debug)]
pub struct Constant {
    pub value: Value,
    /// The width that [`Vector::flatten`] gives; it holds the value.
    pub physical: PhysicalType,
    pub len: usize,
}

/// Codes into shared values. Codes of two dictionaries are comparable only where the dictionaries' identities
/// are equal.
#[derive(Clone, Debug)]
pub struct DictionaryVector {
    pub codes: Codes,
    pub dictionary: Arc<Dictionary>,
    /// `None`: no row is null. The code of a null row is unspecified but within the dictionary.
    pub validity: Option<Bitmap>,
}

/// Codes at the width they are stored in.
#[derive(Clone, Debug)]
pub enum Codes {
    U8(Buffer<u8>),
    U16(Buffer<u16>),
    U32(Buffer<u32>),
}

/// Distinct values, none of them null.
#[derive(Debug)]
pub struct Dictionary {
    /// Unique in this process for as long as it runs; equal identities mean equal values.
    pub id: u64,
    pub values: Flat,
    /// Whether values ascend, so that codes order as values do.
    pub sorted: bool,
}

impl Dictionary {
    /// A dictionary with a new identity. `values` must be distinct and without nulls.
    pub fn new(values: Flat, sorted: bool) -> Dictionary {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Dictionary { id, values, sorted }
    }
}

impl Codes {
    pub fn len(&self) -> usize {
        match self {
            Codes::U8(codes) => codes.len(),
            Codes::U16(codes) => codes.len(),
            Codes::U32(codes) => codes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn get(&self, row: usize) -> usize {
        match self {
            Codes::U8(codes) => codes[row].into(),
            Codes::U16(codes) => codes[row].into(),
            Codes::U32(codes) => codes[row] as usize,
        }
    }

    pub fn slice(&self, start: usize, len: usize) -> Codes {
        match self {
            Codes::U8(codes) => Codes::U8(codes.slice(start, len)),
            Codes::U16(codes) => Codes::U16(codes.slice(start, len)),
            Codes::U32(codes) => Codes::U32(codes.slice(start, len)),
        }
    }

    /// The codes as 32-bit indices.
    pub fn to_indices(&self) -> Vec<u32> {
        match self {
            Codes::U8(codes) => codes.iter().map(|&code| code.into()).collect(),
            Codes::U16(codes) => codes.iter().map(|&code| code.into()).collect(),
            Codes::U32(codes) => codes.to_vec(),
        }
    }
}

/// Runs `$body` with `$buffer` bound to the typed buffer of any fixed-width number in `$values`; `$other`
/// handles booleans, intervals and strings.
#[macro_export]
macro_rules! match_numbers {
    ($values:expr, $buffer:ident => $body:expr, $other:pat => $rest:expr) => {
        match $values {
            $crate::Values::I8($buffer) => $body,
            $crate::Values::I16($buffer) => $body,
            $crate::Values::I32($buffer) => $body,
            $crate::Values::I64($buffer) => $body,
            $crate::Values::I128($buffer) => $body,
            $crate::Values::F32($buffer) => $body,
            $crate::Values::F64($buffer) => $body,
            $other => $rest,
        }
    };
}

impl Values {
    pub fn len(&self) -> usize {
        match_numbers!(self, buffer => buffer.len(), other => match other {
            Values::Bool(bits) => bits.len(),
            Values::Interval(values) => values.len(),
            Values::View(views) => views.len(),
            _ => 0,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn physical(&self) -> PhysicalType {
        match self {
            Values::Bool(_) => PhysicalType::Bool,
            Values::I8(_) => PhysicalType::I8,
            Values::I16(_) => PhysicalType::I16,
            Values::I32(_) => PhysicalType::I32,
            Values::I64(_) => PhysicalType::I64,
            Values::I128(_) => PhysicalType::I128,
            Values::F32(_) => PhysicalType::F32,
            Values::F64(_) => PhysicalType::F64,
            Values::Interval(_) => PhysicalType::Interval,
            Values::View(_) => PhysicalType::View,
        }
    }

    /// Rows `start .. start + len`, sharing memory where the shape allows.
    pub fn slice(&self, start: usize, len: usize) -> Values {
        match self {
            Values::Bool(bits) => Values::Bool(bits.slice(start, len)),
            Values::I8(buffer) => Values::I8(buffer.slice(start, len)),
            Values::I16(buffer) => Values::I16(buffer.slice(start, len)),
            Values::I32(buffer) => Values::I32(buffer.slice(start, len)),
            Values::I64(buffer) => Values::I64(buffer.slice(start, len)),
            Values::I128(buffer) => Values::I128(buffer.slice(start, len)),
            Values::F32(buffer) => Values::F32(buffer.slice(start, len)),
            Values::F64(buffer) => Values::F64(buffer.slice(start, len)),
            Values::Interval(values) => Values::Interval(values[start..start + len].into()),
            Values::View(views) => Values::View(views.slice(start, len)),
        }
    }

    /// The value of one row, whatever its validity.
    pub fn scalar(&self, row: usize) -> Scalar {
        match self {
            Values::Bool(bits) => Scalar::Boolean(bits.get(row)),
            Values::I8(buffer) => Scalar::Integer(buffer[row].into()),
            Values::I16(buffer) => Scalar::Integer(buffer[row].into()),
            Values::I32(buffer) => Scalar::Integer(buffer[row].into()),
            Values::I64(buffer) => Scalar::Integer(buffer[row].into()),
            Values::I128(buffer) => Scalar::Integer(buffer[row]),
            Values::F32(buffer) => Scalar::Float(buffer[row].into()),
            Values::F64(buffer) => Scalar::Float(buffer[row]),
            Values::Interval(values) => Scalar::Interval(values[row]),
            Values::View(views) => Scalar::Bytes(views.get(row).to_vec()),
        }
    }

    /// `len` copies of `scalar`; a null gives zeros, `false` or empty strings. The scalar must be of the
    /// kind that `physical` holds and fit it.
    pub fn repeat(scalar: &Scalar, physical: PhysicalType, len: usize) -> Values {
        let integer = scalar.as_integer().unwrap_or(0);
        let float = if let Scalar::Float(value) = scalar { *value } else { 0.0 };
        match physical {
            PhysicalType::Bool => Values::Bool(Bitmap::filled(matches!(scalar, Scalar::Boolean(true)), len)),
            PhysicalType::I8 => Values::I8(vec![integer as i8; len].into()),
            PhysicalType::I16 => Values::I16(vec![integer as i16; len].into()),
            PhysicalType::I32 => Values::I32(vec![integer as i32; len].into()),
            PhysicalType::I64 => Values::I64(vec![integer as i64; len].into()),
            PhysicalType::I128 => Values::I128(vec![integer; len].into()),
            PhysicalType::F32 => Values::F32(vec![float as f32; len].into()),
            PhysicalType::F64 => Values::F64(vec![float; len].into()),
            PhysicalType::Interval => {
                let value = if let Scalar::Interval(value) = scalar { *value } else { Interval::default() };
                Values::Interval(vec![value; len].into())
            }
            PhysicalType::View => {
                let bytes: &[u8] = if let Scalar::Bytes(bytes) = scalar { bytes } else { &[] };
                let one = Views::from_strings([bytes]);
                Values::View(Views::new(vec![one.view(0).0; len].into(), one.buffers().clone()))
            }
        }
    }
}

impl Flat {
    pub fn new(data_type: DataType, values: Values, validity: Option<Bitmap>) -> Flat {
        debug_assert!(validity.as_ref().is_none_or(|validity| validity.len() == values.len()));
        Flat { data_type, values, validity }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.validity.as_ref().is_some_and(|validity| !validity.get(row))
    }

    pub fn scalar(&self, row: usize) -> Scalar {
        if self.is_null(row) { Scalar::Null } else { self.values.scalar(row) }
    }

    pub fn slice(&self, start: usize, len: usize) -> Flat {
        let validity = self.validity.as_ref().map(|validity| validity.slice(start, len));
        Flat { data_type: self.data_type, values: self.values.slice(start, len), validity }
    }
}

impl From<Flat> for Vector {
    fn from(flat: Flat) -> Vector {
        Vector::Flat(flat)
    }
}

impl Vector {
    /// `len` times `value`, at the width that is canonical for its type.
    pub fn constant(value: Value, len: usize) -> Vector {
        let physical = value.data_type.physical();
        Vector::Constant(Constant { value, physical, len })
    }

    /// A vector from single values, at the canonical width: for tests, literals and small results.
    /// Scalars must be null or of the kind that the type holds.
    pub fn from_scalars(data_type: DataType, scalars: &[Scalar]) -> Vector {
        let integers = || scalars.iter().map(|scalar| scalar.as_integer().unwrap_or(0));
        let floats = || scalars.iter().map(|s| if let Scalar::Float(value) = s { *value } else { 0.0 });
        let values = match data_type.physical() {
            PhysicalType::Bool => {
                Values::Bool(scalars.iter().map(|s| matches!(s, Scalar::Boolean(true))).collect())
            }
            PhysicalType::I8 => Values::I8(integers().map(|value| value as i8).collect()),
            PhysicalType::I16 => Values::I16(integers().map(|value| value as i16).collect()),
            PhysicalType::I32 => Values::I32(integers().map(|value| value as i32).collect()),
            PhysicalType::I64 => Values::I64(integers().map(|value| value as i64).collect()),
            PhysicalType::I128 => Values::I128(integers().collect()),
            PhysicalType::F32 => Values::F32(floats().map(|value| value as f32).collect()),
            PhysicalType::F64 => Values::F64(floats().collect()),
            PhysicalType::Interval => Values::Interval(
                scalars
                    .iter()
                    .map(|s| if let Scalar::Interval(i) = s { *i } else { Interval::default() })
                    .collect(),
            ),
            PhysicalType::View => Values::View(Views::from_strings(
                scalars.iter().map(|s| if let Scalar::Bytes(bytes) = s { bytes.as_slice() } else { &[] }),
            )),
        };
        let validity: Bitmap = scalars.iter().map(|scalar| !matches!(scalar, Scalar::Null)).collect();
        Flat::new(data_type, values, (!validity.all()).then_some(validity)).into()
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Vector::Flat(flat) => flat.data_type,
            Vector::Constant(constant) => constant.value.data_type,
            Vector::Dictionary(vector) => vector.dictionary.values.data_type,
        }
    }

    /// The width of the values, also of those behind codes.
    pub fn physical(&self) -> PhysicalType {
        match self {
            Vector::Flat(flat) => flat.values.physical(),
            Vector::Constant(constant) => constant.physical,
            Vector::Dictionary(vector) => vector.dictionary.values.values.physical(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Vector::Flat(flat) => flat.len(),
            Vector::Constant(constant) => constant.len,
            Vector::Dictionary(vector) => vector.codes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bits of rows that are not null; `None` where none is null. A null constant gives all clear.
    pub fn validity(&self) -> Option<Bitmap> {
        match self {
            Vector::Flat(flat) => flat.validity.clone(),
            Vector::Constant(constant) => {
                constant.value.is_null().then(|| Bitmap::filled(false, constant.len))
            }
            Vector::Dictionary(vector) => vector.validity.clone(),
        }
    }

    pub fn is_null(&self, row: usize) -> bool {
        match self {
            Vector::Flat(flat) => flat.is_null(row),
            Vector::Constant(constant) => constant.value.is_null(),
            Vector::Dictionary(vector) => vector.validity.as_ref().is_some_and(|validity| !validity.get(row)),
        }
    }

    /// The value of one row. Slow; for tests, keys of small tables and printing.
    pub fn scalar(&self, row: usize) -> Scalar {
        match self {
            Vector::Flat(flat) => flat.scalar(row),
            Vector::Constant(constant) => constant.value.scalar.clone(),
            Vector::Dictionary(_) if self.is_null(row) => Scalar::Null,
            Vector::Dictionary(vector) => vector.dictionary.values.values.scalar(vector.codes.get(row)),
        }
    }

    /// The same values, one a row. Free for a flat vector.
    pub fn flatten(&self) -> Flat {
        match self {
            Vector::Flat(flat) => flat.clone(),
            Vector::Constant(constant) => {
                let validity = constant.value.is_null().then(|| Bitmap::filled(false, constant.len));
                let values = Values::repeat(&constant.value.scalar, constant.physical, constant.len);
                Flat::new(constant.value.data_type, values, validity)
            }
            Vector::Dictionary(vector) => {
                let values =
                    crate::kernels::take::take_codes(&vector.dictionary.values.values, &vector.codes);
                Flat::new(vector.dictionary.values.data_type, values, vector.validity.clone())
            }
        }
    }

    /// Rows `start .. start + len`, sharing memory.
    pub fn slice(&self, start: usize, len: usize) -> Vector {
        match self {
            Vector::Flat(flat) => Vector::Flat(flat.slice(start, len)),
            Vector::Constant(constant) => Vector::Constant(Constant { len, ..constant.clone() }),
            Vector::Dictionary(vector) => Vector::Dictionary(DictionaryVector {
                codes: vector.codes.slice(start, len),
                dictionary: vector.dictionary.clone(),
                validity: vector.validity.as_ref().map(|validity| validity.slice(start, len)),
            }),
        }
    }

    /// The same values under another logical type of the same physical kind (say, a decimal as its unscaled
    /// integer).
    pub fn with_type(self, data_type: DataType) -> Vector {
        match self {
            Vector::Flat(flat) => Vector::Flat(Flat { data_type, ..flat }),
            Vector::Constant(mut constant) => {
                constant.value.data_type = data_type;
                Vector::Constant(constant)
            }
            Vector::Dictionary(_) => Vector::Flat(Flat { data_type, ..self.flatten() }),
        }
    }
}

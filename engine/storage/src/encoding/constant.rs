//! One value for every row, or none at all.

use super::{Encoded, EncodedBlock, Encoding, Input, Offer, Source, Summary};
use crate::error::{Result, damaged};
use crate::evaluate::evaluate;
use crate::format;
use crate::prepared::PreparedTest;
use crate::rows::RowsRef;
use columnar::{Bitmap, Constant, PhysicalType, Scalar, Value, Vector};
use prost::Message;

pub(super) struct ConstantEncoding;

#[derive(Clone, PartialEq, Message)]
struct Parameters {
    /// Absent where every row is null.
    #[prost(message, optional, tag = "1")]
    value: Option<format::Scalar>,
}

impl Encoding for ConstantEncoding {
    fn tag(&self) -> u32 {
        1
    }

    fn offer<'a>(&self, input: Input<'a>, summary: &Summary) -> Option<Offer<'a>> {
        if summary.runs != 1 {
            return None;
        }
        let scalar = match input {
            Input::I64(values) => Scalar::Integer((*values.first()?).into()),
            Input::I128(values) => Scalar::Integer(*values.first()?),
            Input::F32(values) => Scalar::Float((*values.first()?).into()),
            Input::F64(values) => Scalar::Float(*values.first()?),
            Input::Intervals(values) => Scalar::Interval(*values.first()?),
            Input::Bits(bits) => Scalar::Boolean(bits.get(0)),
            Input::Strings(strings) => Scalar::Bytes(strings.get(0).to_vec()),
            // Codes stay codes, so that a dictionary column is one in every block.
            Input::Codes { .. } => return None,
        };
        Offer::new(0, move || Ok(encoded(&scalar, input.len())))
    }

    fn open(&self, source: &Source<'_>) -> Result<Box<dyn EncodedBlock>> {
        let parameters: Parameters = source.parameters()?;
        let scalar = format::Scalar::value(parameters.value.as_ref(), source.data_type)?;
        if let Scalar::Bytes(bytes) = &scalar
            && source.data_type == columnar::DataType::Varchar
            && std::str::from_utf8(bytes).is_err()
        {
            return Err(damaged("text that is not UTF-8"));
        }
        let rows = source.rows();
        Ok(Box::new(ConstantBlock { value: Value::new(source.data_type, scalar), rows }))
    }
}

fn encoded(scalar: &Scalar, rows: usize) -> Encoded {
    let parameters = Parameters { value: format::Scalar::new(scalar) }.encode_to_vec();
    Encoded { tag: ConstantEncoding.tag(), rows, parameters, buffers: vec![], children: vec![] }
}

/// A block of `rows` nulls.
pub(crate) fn all_null(rows: usize) -> Encoded {
    encoded(&Scalar::Null, rows)
}

#[derive(Debug)]
struct ConstantBlock {
    value: Value,
    rows: usize,
}

impl EncodedBlock for ConstantBlock {
    fn read(&self, rows: RowsRef<'_>, physical: PhysicalType) -> Result<Vector> {
        Ok(Vector::Constant(Constant { value: self.value.clone(), physical, len: rows.len() }))
    }

    fn filter(&self, test: &PreparedTest, _: Option<&Bitmap>) -> Result<Option<Bitmap>> {
        if self.value.is_null() {
            return Ok(Some(Bitmap::filled(false, self.rows)));
        }
        let one = Vector::constant(self.value.clone(), 1);
        let passes = evaluate(test.test(), &one)?.get(0);
        Ok(Some(Bitmap::filled(passes, self.rows)))
    }

    fn filter_cost(&self) -> u32 {
        0
    }
}

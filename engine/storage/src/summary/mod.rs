//! What a shard publishes of a bucket, as bytes: estimates for the planner, and what its segments prove.
//!
//! A version byte, then a protobuf message. Fields that a reader does not know are left out, so a field may be added
//! without a new version. The sample is a frame (`docs/frame-format.md`), the registers of a sketch are an LZ4 block where
//! that is shorter. Bytes may be anything: what they give is consistent in itself and with the schema, or an error.

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::facts::ColumnFacts;
use crate::sketch::DistinctSketch;
use crate::statistics::{ColumnSchema, ColumnStatistics, TableStatistics};
use crate::{BLOCK_ROWS, format};
use columnar::{Batch, DataType, FrameDecoder, FrameEncoder, FrameLimits, FrameOptions, Scalar, lz4};
use prost::Message;
use std::cmp::Ordering;

/// What is known of the rows of a bucket.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub statistics: TableStatistics,
    /// One a column of the schema, in its order.
    pub facts: Vec<ColumnFacts>,
}

const VERSION: u8 = 1;

/// More rows than a bucket ever has; so many buckets as there may be are added up without overflow.
const ROWS_MAX: u64 = 1 << 48;

const SAMPLE_LIMITS: FrameLimits = FrameLimits { rows: BLOCK_ROWS, bytes: 256 << 20 };

#[derive(Clone, PartialEq, Message)]
struct SummaryMessage {
    #[prost(uint64, tag = "1")]
    rows: u64,
    /// Each a [`ColumnMessage`]; they are decoded once their number is known to be right.
    #[prost(bytes = "vec", repeated, tag = "2")]
    columns: Vec<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    sample: Option<Vec<u8>>,
    /// Each a [`FactsMessage`].
    #[prost(bytes = "vec", repeated, tag = "4")]
    facts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct ColumnMessage {
    #[prost(uint64, tag = "1")]
    nulls: u64,
    #[prost(message, optional, tag = "2")]
    min: Option<format::Scalar>,
    #[prost(message, optional, tag = "3")]
    max: Option<format::Scalar>,
    #[prost(double, tag = "4")]
    distinct: f64,
    #[prost(bool, tag = "5")]
    unique: bool,
    #[prost(bool, tag = "6")]
    sorted: bool,
    #[prost(double, tag = "7")]
    average_bytes: f64,
    #[prost(oneof = "Sketch", tags = "8, 9")]
    sketch: Option<Sketch>,
}

/// The registers of a sketch.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Sketch {
    #[prost(bytes, tag = "8")]
    Plain(Vec<u8>),
    #[prost(bytes, tag = "9")]
    Lz4(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct FactsMessage {
    #[prost(uint64, tag = "1")]
    rows: u64,
    #[prost(uint64, tag = "2")]
    nulls: u64,
    /// Absent, as `max` is, where there are no bounds.
    #[prost(message, optional, tag = "3")]
    min: Option<format::Scalar>,
    #[prost(message, optional, tag = "4")]
    max: Option<format::Scalar>,
    /// 16 bytes, little-endian, two's complement.
    #[prost(bytes = "vec", optional, tag = "5")]
    sum: Option<Vec<u8>>,
    #[prost(bool, tag = "6")]
    exact: bool,
    #[prost(bool, tag = "7")]
    unique: bool,
    #[prost(bool, tag = "8")]
    dense: bool,
    #[prost(bool, tag = "9")]
    sorted: bool,
    #[prost(bool, tag = "10")]
    dictionary: bool,
}

fn malformed(what: impl Into<String>) -> Error {
    Error::Summary(what.into())
}

/// An error of a part as one of the summary.
fn within(error: impl std::fmt::Display) -> Error {
    Error::Summary(error.to_string())
}

fn check(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(malformed(what)) }
}

impl Summary {
    pub fn encode(&self) -> Vec<u8> {
        let sample = self.statistics.sample.as_ref();
        let message = SummaryMessage {
            rows: self.statistics.rows,
            columns: self
                .statistics
                .columns
                .iter()
                .map(|column| ColumnMessage::new(column).encode_to_vec())
                .collect(),
            sample: sample.map(|sample| FrameEncoder::new(FrameOptions { compress: true }).encode(sample)),
            facts: self.facts.iter().map(|facts| FactsMessage::new(facts).encode_to_vec()).collect(),
        };
        let mut bytes = vec![VERSION];
        bytes.extend(message.encode_to_vec());
        bytes
    }

    /// The summary of a bucket of a dataset of this schema. Columns or facts may lack altogether.
    pub fn decode(bytes: &[u8], schema: &[ColumnSchema]) -> Result<Summary> {
        let (&version, message) = bytes.split_first().ok_or_else(|| malformed("no bytes"))?;
        check(version == VERSION, "of a version that this node does not read")?;
        let message = SummaryMessage::decode(message).map_err(within)?;
        check(message.rows <= ROWS_MAX, "more rows than there can be")?;
        for count in [message.columns.len(), message.facts.len()] {
            check(count == 0 || count == schema.len(), "of another number of columns than the schema")?;
        }
        let typed = |parts| <Vec<Vec<u8>> as IntoIterator>::into_iter(parts).zip(schema);
        let columns = typed(message.columns).map(|(bytes, column)| {
            ColumnMessage::decode(&bytes[..]).map_err(within)?.statistics(column.data_type)
        });
        let columns = columns.collect::<Result<_>>()?;
        let facts = typed(message.facts)
            .map(|(bytes, column)| FactsMessage::decode(&bytes[..]).map_err(within)?.facts(column.data_type));
        let facts = facts.collect::<Result<_>>()?;
        let sample = message.sample.map(|frame| read_sample(&frame, schema)).transpose()?;
        Ok(Summary { statistics: TableStatistics { rows: message.rows, columns, sample }, facts })
    }
}

fn read_sample(frame: &[u8], schema: &[ColumnSchema]) -> Result<Batch> {
    let types: Vec<_> = schema.iter().map(|column| column.data_type).collect();
    let sample = FrameDecoder::new(SAMPLE_LIMITS).expecting(types).decode(frame).map_err(within)?;
    let typed = sample.columns.len() == schema.len()
        && sample.columns.iter().zip(schema).all(|(vector, column)| vector.data_type() == column.data_type);
    check(typed, "a sample of another schema")?;
    Ok(sample)
}

impl ColumnMessage {
    fn new(column: &ColumnStatistics) -> ColumnMessage {
        let sketch = column.sketch.as_ref().map(|sketch| {
            let registers = sketch.as_bytes();
            lz4::compress(registers).map_or_else(|| Sketch::Plain(registers.to_vec()), Sketch::Lz4)
        });
        ColumnMessage {
            nulls: column.nulls,
            min: format::Scalar::new(&column.min),
            max: format::Scalar::new(&column.max),
            distinct: column.distinct,
            unique: column.unique,
            sorted: column.sorted,
            average_bytes: column.average_bytes,
            sketch,
        }
    }

    fn statistics(self, data_type: DataType) -> Result<ColumnStatistics> {
        check(self.nulls <= ROWS_MAX, "more nulls than there can be rows")?;
        let (min, max) = bounds(self.min.as_ref(), self.max.as_ref(), data_type)?;
        for number in [self.distinct, self.average_bytes] {
            check(number.is_finite() && number >= 0.0, "a count that is none")?;
        }
        let sketch = self.sketch.map(|sketch| {
            let registers = match sketch {
                Sketch::Plain(registers) => Some(registers),
                Sketch::Lz4(block) => lz4::decompress(&block, DistinctSketch::BYTES),
            };
            let sketch = registers.and_then(|registers| DistinctSketch::from_bytes(&registers));
            sketch.ok_or_else(|| malformed("a sketch that is none"))
        });
        Ok(ColumnStatistics {
            nulls: self.nulls,
            min,
            max,
            distinct: self.distinct,
            unique: self.unique,
            sorted: self.sorted,
            average_bytes: self.average_bytes,
            sketch: sketch.transpose()?,
        })
    }
}

/// Bounds of a column's type, the first not above the second; null where there is none.
fn bounds(
    min: Option<&format::Scalar>,
    max: Option<&format::Scalar>,
    data_type: DataType,
) -> Result<(Scalar, Scalar)> {
    let scalar =
        |scalar| format::Scalar::value(scalar, data_type).map_err(|_| malformed("a bound of another type"));
    let (min, max) = (scalar(min)?, scalar(max)?);
    check(min.compare(&max) != Some(Ordering::Greater), "bounds the wrong way round")?;
    Ok((min, max))
}

impl FactsMessage {
    fn new(facts: &ColumnFacts) -> FactsMessage {
        let ColumnFacts { rows, nulls, bounds, sum, exact, unique, dense, sorted, dictionary } = *facts;
        let bound = |bound| format::Scalar::new(&Scalar::Integer(bound));
        FactsMessage {
            rows,
            nulls,
            min: bounds.and_then(|(min, _)| bound(min)),
            max: bounds.and_then(|(_, max)| bound(max)),
            sum: sum.map(|sum| sum.to_le_bytes().to_vec()),
            exact,
            unique,
            dense,
            sorted,
            dictionary,
        }
    }

    fn facts(self, data_type: DataType) -> Result<ColumnFacts> {
        let FactsMessage { rows, nulls, exact, unique, dense, sorted, dictionary, .. } = self;
        check(rows <= ROWS_MAX && nulls <= rows, "more nulls or rows than there can be")?;
        let bounds = match bounds(self.min.as_ref(), self.max.as_ref(), data_type)? {
            (Scalar::Integer(min), Scalar::Integer(max)) => Some((min, max)),
            (Scalar::Null, Scalar::Null) => None,
            _ => return Err(malformed("bounds that are no integers")),
        };
        let sum =
            self.sum.map(|sum| format::integer(&sum).ok_or_else(|| malformed("a sum that is no integer")));
        let full = || bounds.and_then(|(min, max)| max.checked_sub(min)) == Some(i128::from(rows) - 1);
        check(!dense || unique && nulls == 0 && full(), "a dense column with gaps")?;
        check(!sorted || nulls == 0, "an ascending column with nulls")?;
        Ok(ColumnFacts {
            rows,
            nulls,
            bounds,
            sum: sum.transpose()?,
            exact,
            unique,
            dense,
            sorted,
            dictionary,
        })
    }
}

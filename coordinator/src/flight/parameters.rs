//! Bound parameters: Arrow batches from a client as rows of values.

use crate::error::{Error, Result};
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use columnar::{DataType, Value, Vector};
use exec::expr::Expr;
use futures::TryStreamExt;
use shard::schema::type_before;
use tonic::Status;

/// The most rows that are bound at once.
const ROWS_MAX: usize = 100_000;

/// Reads rows of parameters off a DoPut stream.
pub(super) async fn read(stream: PeekableFlightDataStream) -> std::result::Result<Vec<Vec<Value>>, Status> {
    // A message that only carries the command holds no data.
    let data = stream
        .into_peekable()
        .try_filter(|data| std::future::ready(!data.data_header.is_empty()))
        .map_err(|status| FlightError::Tonic(Box::new(status)));
    let mut batches = FlightRecordBatchStream::new_from_flight_data(data);
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await.map_err(malformed)? {
        if rows.len() + batch.num_rows() > ROWS_MAX {
            let message = format!("at most {ROWS_MAX} rows of parameters can be bound at once");
            return Err(Error::Statement(message).into());
        }
        let columns = columnar::arrow::batch(&batch).map_err(|error| Error::Execution(error.into()))?.columns;
        for row in 0..batch.num_rows() {
            // What a statement takes is more often signed, and a literal is.
            let value = |column: &Vector| match column.data_type() {
                unsigned if unsigned.is_unsigned() => Value::new(type_before(unsigned), column.scalar(row)),
                data_type => Value::new(data_type, column.scalar(row)),
            };
            rows.push(columns.iter().map(value).collect());
        }
    }
    Ok(rows)
}

/// A bound value as the type that the statement takes in its place, where nothing is lost by that: drivers
/// bind every integer as `BIGINT`, and some bind everything as text. Other values stay as they are, and the
/// planner decides.
pub(super) fn coerce(value: Value, expected: DataType) -> Result<Value> {
    let given = value.data_type;
    if given == expected || expected == DataType::Null {
        return Ok(value);
    }
    if value.is_null() {
        return Ok(Value::null(expected));
    }
    let fits = match expected {
        _ if given == DataType::Varchar => true,
        _ if expected.is_integer() && (given.is_integer() || given == DataType::decimal(20, 0)) => {
            let bounds = expected.integer_bounds().zip(value.scalar.as_integer());
            bounds.is_some_and(|((least, most), value)| (least..=most).contains(&value))
        }
        DataType::Decimal { .. } | DataType::Float32 | DataType::Float64 => given.is_integer(),
        _ => false,
    };
    if !fits {
        return Ok(value);
    }
    let cast = Expr::Cast { input: Box::new(Expr::Literal(value)), data_type: expected, try_cast: false };
    Ok(exec::expression::constant::evaluate(&cast)?)
}

fn malformed(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => Status::invalid_argument(format!("the bound parameters cannot be read: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_coerced_where_nothing_is_lost() {
        let same = |value: Value, expected| coerce(value.clone(), expected).unwrap() == value;
        assert_eq!(coerce(Value::int64(5), DataType::Int32).unwrap(), Value::int32(5));
        assert!(same(Value::int64(1 << 40), DataType::Int32));
        assert!(same(Value::float64(2.5), DataType::Int32));
        assert_eq!(coerce(Value::int64(5), DataType::Float64).unwrap(), Value::float64(5.0));
        assert_eq!(coerce(Value::varchar("5"), DataType::Int32).unwrap(), Value::int32(5));
        assert!(coerce(Value::varchar("five"), DataType::Int32).is_err());
        assert_eq!(coerce(Value::null(DataType::Null), DataType::Date).unwrap(), Value::null(DataType::Date));
        let cents = coerce(Value::int64(5), DataType::decimal(15, 2)).unwrap();
        assert_eq!(cents.scalar.as_integer(), Some(500));
    }
}

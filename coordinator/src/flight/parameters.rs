//! Bound parameters: Arrow batches from a client as rows of values.

use crate::error::Error;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::server::PeekableFlightDataStream;
use columnar::Value;
use futures::TryStreamExt;
use tonic::Status;

/// The most rows that are bound at once.
const ROWS_MAX: usize = 100_000;

/// Reads rows of parameters off a DoPut stream.
pub(super) async fn read(stream: PeekableFlightDataStream) -> Result<Vec<Vec<Value>>, Status> {
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
        let fields = batch.schema();
        let columns = columnar::arrow::batch(&batch).map_err(|error| Error::Execution(error.into()))?.columns;
        let types = fields
            .fields()
            .iter()
            .map(|field| columnar::arrow::data_type_of(field.name(), field.data_type()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::Execution(error.into()))?;
        for row in 0..batch.num_rows() {
            let values = columns.iter().zip(&types);
            rows.push(values.map(|(column, &of)| Value::new(of, column.scalar(row))).collect());
        }
    }
    Ok(rows)
}

fn malformed(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => Status::invalid_argument(format!("the bound parameters cannot be read: {other}")),
    }
}

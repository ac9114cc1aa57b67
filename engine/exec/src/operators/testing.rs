//! Drives sinks, operators and sources on one thread, their tasks in turn, for tests.

use crate::memory::MemoryPool;
use crate::operator::{Operator, Output, Progress, Sink, Source, Step};
use crate::{QueryContext, Result, Settings, Shape};
use columnar::{Batch, Codes, DataType, Dictionary, DictionaryVector, Scalar, Selection, Value, Vector};
use std::sync::Arc;
use std::task::Waker;
use storage::{ColumnSchema, Segment, SegmentBuilder, Table};

/// A row of single values.
pub(crate) type Row = Vec<Scalar>;

pub(crate) fn query(batch_rows: usize, disturb: Option<u64>) -> QueryContext {
    let mut query = QueryContext::new(1, MemoryPool::unlimited());
    query.settings = Settings { batch_rows, disturb, ..Settings::default() };
    query
}

pub(crate) fn step<'a>(query: &'a QueryContext, waker: &'a Waker) -> Step<'a> {
    Step { query, waker, started: query.now() }
}

/// Numbers that look random.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = crate::hash::hash_word(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15));
        (self.0 >> 20) as usize % bound.max(1)
    }
}

/// Shapes for rows of these types: exact bounds and nullability where `tight`, else what the types allow.
pub(crate) fn shapes_of(types: &[DataType], rows: &[Row], tight: bool) -> Vec<Shape> {
    let shape = |(column, &data_type): (usize, &DataType)| {
        let mut shape = Shape::of_type(data_type);
        if tight {
            let integers: Vec<i128> = rows.iter().filter_map(|row| row[column].as_integer()).collect();
            if let (Some(&least), Some(&most)) = (integers.iter().min(), integers.iter().max()) {
                shape.bounds = Some((least, most));
            }
            shape.nullable = rows.iter().any(|row| matches!(row[column], Scalar::Null));
        }
        shape
    };
    types.iter().enumerate().map(shape).collect()
}

/// Rows as batches of `batch_rows`, some with a selection that leaves out filler rows.
pub(crate) fn batches_of(types: &[DataType], rows: &[Row], batch_rows: usize) -> Vec<Batch> {
    rows.chunks(batch_rows)
        .enumerate()
        .map(|(number, chunk)| {
            let filled = number % 3 == 1 && batch_rows > 1 && chunk.len() < batch_rows;
            let column = |(column, &data_type): (usize, &DataType)| {
                let mut scalars: Vec<Scalar> = chunk.iter().map(|row| row[column].clone()).collect();
                if filled {
                    scalars.push(scalars[0].clone());
                }
                let flat = Vector::from_scalars(data_type, &scalars);
                if scalars.iter().all(|scalar| *scalar == scalars[0]) && number % 4 == 2 {
                    return Vector::constant(Value::new(data_type, scalars[0].clone()), scalars.len());
                }
                if number % 2 == 0 && flat.len() <= 256 {
                    dictionary_of(&flat, number % 4 == 0)
                } else {
                    flat
                }
            };
            let columns = types.iter().enumerate().map(column).collect();
            let mut batch = Batch::of_rows(columns, chunk.len() + usize::from(filled));
            batch.selection = filled.then(|| Selection::new((0..chunk.len() as u32).collect()));
            batch
        })
        .collect()
}

/// The same values behind codes.
pub(crate) fn dictionary_of(vector: &Vector, wide: bool) -> Vector {
    let mut distinct = vec![Scalar::Null];
    distinct.clear();
    let mut codes = Vec::new();
    for row in 0..vector.len() {
        let scalar = vector.scalar(row);
        let null = matches!(scalar, Scalar::Null);
        let known = distinct.iter().position(|other| *other == scalar);
        codes.push(match known {
            _ if null => 0,
            Some(code) => code as u32,
            None => {
                distinct.push(scalar);
                distinct.len() as u32 - 1
            }
        });
    }
    if distinct.is_empty() {
        return vector.clone();
    }
    let values = Vector::from_scalars(vector.data_type(), &distinct).flatten();
    let codes = match distinct.len() {
        0..=256 if !wide => Codes::U8(codes.iter().map(|&code| code as u8).collect()),
        0..=65_536 if !wide => Codes::U16(codes.iter().map(|&code| code as u16).collect()),
        _ => Codes::U32(codes.into()),
    };
    let dictionary = Arc::new(Dictionary::new(values, false));
    Vector::Dictionary(DictionaryVector { codes, dictionary, validity: vector.validity() })
}

/// The rows in segments of `segment_rows`.
pub(crate) fn table_of(types: &[DataType], rows: &[Row], segment_rows: usize) -> Table {
    let column = |(column, &data_type): (usize, &DataType)| ColumnSchema {
        name: format!("c{column}"),
        data_type,
        nullable: true,
    };
    let schema: Arc<[ColumnSchema]> = types.iter().enumerate().map(column).collect();
    let segment = |rows: &[Row]| {
        let mut builder = SegmentBuilder::new(schema.clone());
        for rows in rows.chunks(columnar::BATCH_ROWS) {
            let column = |(column, &data_type): (usize, &DataType)| {
                let scalars: Vec<Scalar> = rows.iter().map(|row| row[column].clone()).collect();
                Vector::from_scalars(data_type, &scalars)
            };
            let columns = types.iter().enumerate().map(column).collect();
            builder.push(&Batch::of_rows(columns, rows.len())).unwrap();
        }
        Arc::new(Segment::open(builder.finish().unwrap().into_bytes()).unwrap())
    };
    Table { segments: rows.chunks(segment_rows).map(segment).collect(), schema: schema.clone() }
}

/// Feeds `batches` to a sink by `tasks` tasks in turn and finalizes it.
pub(crate) fn fill(
    sink: &dyn Sink,
    batches: impl IntoIterator<Item = Batch>,
    tasks: usize,
    query: &QueryContext,
) -> Result<()> {
    let waker = Waker::noop();
    let mut parts = (0..tasks).map(|_| sink.start()).collect::<Result<Vec<_>>>()?;
    for (number, batch) in batches.into_iter().enumerate() {
        let part = &mut parts[number % tasks];
        part.push(batch)?;
        while part.advance(&step(query, waker))? == Progress::Yield {}
    }
    for mut part in parts {
        while part.combine(&step(query, waker))? == Progress::Yield {}
    }
    let mut work = sink.finalize()?;
    while !work.is_empty() {
        let mut left = Vec::new();
        for mut piece in work {
            if piece.advance(&step(query, waker))? == Progress::Yield {
                left.push(piece);
            }
        }
        work = left;
    }
    Ok(())
}

/// The rows of a batch; checks it against the shapes that were announced.
pub(crate) fn rows_of(batch: Batch, shapes: &[Shape], most: usize) -> Vec<Row> {
    let batch = batch.compact();
    assert!(batch.rows <= most, "a batch of {} rows", batch.rows);
    assert_eq!(batch.columns.len(), shapes.len());
    for (column, shape) in batch.columns.iter().zip(shapes) {
        assert_eq!((column.len(), column.data_type()), (batch.rows, shape.data_type));
        assert_eq!(column.physical(), shape.physical, "{shape:?}");
        assert!(shape.nullable || column.validity().is_none_or(|validity| validity.all()), "{shape:?}");
    }
    (0..batch.rows).map(|row| batch.columns.iter().map(|column| column.scalar(row)).collect()).collect()
}

/// All rows of a source, read by `tasks` tasks in turn.
pub(crate) fn drain(source: &dyn Source, tasks: usize, query: &QueryContext) -> Result<Vec<Row>> {
    let waker = Waker::noop();
    let tasks = tasks.min(source.parallelism());
    let mut parts = (0..tasks).map(|_| source.start()).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    while !parts.is_empty() {
        let mut left = Vec::new();
        for mut part in parts {
            match part.next(&step(query, waker))? {
                Output::Batch(batch) => {
                    rows.extend(rows_of(batch, source.output(), query.settings.batch_rows));
                }
                Output::Finished => continue,
                Output::NeedsInput => panic!("a source needs no input"),
                Output::Yield | Output::Blocked => {}
            }
            left.push(part);
        }
        parts = left;
    }
    Ok(rows)
}

/// All that an operator makes of `batches`, handled by `tasks` tasks in turn.
pub(crate) fn stream(
    operator: &dyn Operator,
    batches: Vec<Batch>,
    tasks: usize,
    query: &QueryContext,
) -> Result<Vec<Row>> {
    let waker = Waker::noop();
    let mut parts = (0..tasks).map(|_| operator.start()).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    let mut pull = |part: &mut Box<dyn crate::operator::OperatorTask>| loop {
        match part.pull(&step(query, waker))? {
            Output::Batch(batch) => {
                rows.extend(rows_of(batch, operator.output(), query.settings.batch_rows));
            }
            Output::NeedsInput => return Ok::<bool, crate::Error>(true),
            Output::Finished => return Ok(false),
            Output::Yield | Output::Blocked => {}
        }
    };
    for (number, batch) in batches.into_iter().enumerate() {
        let part = &mut parts[number % tasks];
        if pull(part)? {
            part.push(batch)?;
        }
    }
    for mut part in parts {
        if pull(&mut part)? {
            part.end()?;
            pull(&mut part)?;
        }
    }
    Ok(rows)
}

/// Rows in a canonical order, as text that tells where two lists differ.
pub(crate) fn sorted(rows: &[Row]) -> Vec<String> {
    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

//! Series: gives each row once for each number or moment from a start to a stop, by a step. `generate_series` is one
//! over a single row; a row that counts how often it is wanted is repeated by one from 1 to that number.

use crate::error::Result;
use crate::expr::Expr;
use crate::expression::{Compiled, cast_to_physical};
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::plan;
use crate::shape::Shape;
use columnar::kernels::take::take;
use columnar::{Batch, DataType, Flat, Interval, Scalar, Value, Values, Vector};
use std::sync::Arc;

/// The microseconds of a day.
const DAY_MICROS: i128 = 86_400_000_000;

/// The operator; its output are the input's columns, then the series.
pub struct Series {
    shared: Arc<Shared>,
    output: Vec<Shape>,
}

struct Shared {
    start: Compiled,
    stop: Compiled,
    step: Compiled,
    /// Of moments: a moment (column 0) moved by an interval (column 1).
    moved: Option<Compiled>,
    inclusive: bool,
    value: Shape,
    batch_rows: usize,
}

struct SeriesTask {
    shared: Arc<Shared>,
    pending: Option<Pending>,
}

/// A batch whose rows are given, and how far that is.
struct Pending {
    batch: Batch,
    starts: Vector,
    stops: Vector,
    steps: Vector,
    row: usize,
    /// The series of `row`, where it has begun.
    run: Option<Run>,
}

/// The rest of one series.
struct Run {
    next: i128,
    stop: i128,
    stride: Stride,
}

enum Stride {
    By(i128),
    /// Months have no fixed length: how far, and whether forwards.
    Months(Interval, bool),
}

impl Series {
    /// `input` are the shapes of the rows, which the bounds refer to. Start and stop are integers, or timestamps in
    /// microseconds; the step is an integer of their type, or an interval.
    pub fn new(series: &plan::Series, input: &[Shape], batch_rows: usize) -> Result<Series> {
        let compile = |expr: &Expr| Compiled::compile(expr, input);
        let data_type = series.start.data_type();
        let moved = match data_type {
            DataType::Timestamp { .. } => {
                let types = [data_type, DataType::Interval];
                let args = vec![Expr::column(0, data_type), Expr::column(1, DataType::Interval)];
                let moved = Expr::Call { function: "+".into(), args, data_type };
                Some(Compiled::compile(&moved, &Shape::of_types(&types))?)
            }
            _ => None,
        };
        let value = Shape { nullable: false, ..Shape::of_type(data_type) };
        let shared = Shared {
            start: compile(&series.start)?,
            stop: compile(&series.stop)?,
            step: compile(&series.step)?,
            moved,
            inclusive: series.inclusive,
            value: value.clone(),
            batch_rows: batch_rows.max(1),
        };
        let output = input.iter().cloned().chain([value]).collect();
        Ok(Series { shared: Arc::new(shared), output })
    }
}

impl Operator for Series {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(SeriesTask { shared: self.shared.clone(), pending: None }))
    }
}

impl OperatorTask for SeriesTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        let batch = batch.compact();
        let (starts, stops) = (self.shared.start.evaluate(&batch)?, self.shared.stop.evaluate(&batch)?);
        let steps = self.shared.step.evaluate(&batch)?;
        self.pending = Some(Pending { batch, starts, stops, steps, row: 0, run: None });
        Ok(())
    }

    fn pull(&mut self, step: &Step<'_>) -> Result<Output> {
        let Some(pending) = &mut self.pending else { return Ok(Output::NeedsInput) };
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        while values.len() < self.shared.batch_rows && pending.row < pending.batch.rows {
            if pending.run.is_none() {
                pending.run = pending.begin(&self.shared)?;
            }
            let given = values.len();
            let goes_on = match &mut pending.run {
                Some(run) => run.take(&mut values, &self.shared, step)?,
                None => false,
            };
            rows.resize(rows.len() + values.len() - given, pending.row as u32);
            if !goes_on {
                (pending.run, pending.row) = (None, pending.row + 1);
            } else if step.expired() {
                break;
            }
        }
        let done = pending.row >= pending.batch.rows;
        if values.is_empty() {
            if done {
                self.pending = None;
            }
            return Ok(if done { Output::NeedsInput } else { Output::Yield });
        }
        let mut columns: Vec<Vector> =
            pending.batch.columns.iter().map(|column| take(column, &rows)).collect();
        let count = values.len();
        let series = Flat::new(self.shared.value.data_type, Values::I64(values.into()), None);
        columns.push(cast_to_physical(&series.into(), self.shared.value.physical));
        if done {
            self.pending = None;
        }
        Ok(Output::Batch(Batch::of_rows(columns, count)))
    }
}

impl Pending {
    /// The series of the row; `None` where a bound is null.
    fn begin(&self, shared: &Shared) -> Result<Option<Run>> {
        let (start, stop) = (self.starts.scalar(self.row), self.stops.scalar(self.row));
        let (Scalar::Integer(start), Scalar::Integer(mut stop)) = (start, stop) else { return Ok(None) };
        let data_type = shared.value.data_type;
        if shared.moved.is_some() && [start, stop].iter().any(|&bound| data_type.infinite_sign(bound) != 0) {
            return Err(refused("a series has no end that is infinite"));
        }
        let stride = match self.steps.scalar(self.row) {
            Scalar::Integer(by) => Stride::By(by),
            Scalar::Interval(by) => {
                let micros = i128::from(by.days) * DAY_MICROS + i128::from(by.micros);
                let signs = [by.months.signum(), by.days.signum(), by.micros.signum() as i32];
                let mixed = signs.contains(&1) && signs.contains(&-1);
                if mixed {
                    return Err(refused("the step of a series has parts of both signs"));
                }
                match by.months {
                    0 => Stride::By(micros),
                    months => Stride::Months(by, months > 0),
                }
            }
            _ => return Ok(None),
        };
        let forwards = match stride {
            Stride::By(0) => return Err(refused("the step of a series is zero")),
            Stride::By(by) => by > 0,
            Stride::Months(_, forwards) => forwards,
        };
        if !shared.inclusive {
            stop += if forwards { -1 } else { 1 };
        }
        Ok(Some(Run { next: start, stop, stride }))
    }
}

impl Run {
    /// Gives values until there is a batch of them or the step is over; false at the end of the series.
    fn take(&mut self, values: &mut Vec<i64>, shared: &Shared, step: &Step<'_>) -> Result<bool> {
        let room = shared.batch_rows - values.len();
        match self.stride {
            Stride::By(by) => {
                let left = if by > 0 { self.stop - self.next } else { self.next - self.stop };
                if left < 0 {
                    return Ok(false);
                }
                let count = (left / by.abs() + 1).min(room as i128);
                // What lies between start and stop has their type.
                values.extend((0..count).map(|place| (self.next + place * by) as i64));
                self.next += count * by;
                Ok(if by > 0 { self.next <= self.stop } else { self.next >= self.stop })
            }
            Stride::Months(by, forwards) => {
                for _ in 0..room {
                    let past = if forwards { self.next > self.stop } else { self.next < self.stop };
                    if past {
                        return Ok(false);
                    }
                    values.push(self.next as i64);
                    if !self.advance(by, shared)? {
                        return Ok(false);
                    }
                    if step.expired() {
                        break;
                    }
                }
                Ok(true)
            }
        }
    }

    /// Goes on by an interval of months; false where no timestamp comes after it.
    fn advance(&mut self, by: Interval, shared: &Shared) -> Result<bool> {
        let Some(moved) = &shared.moved else { return Ok(false) };
        let moment = Value::new(shared.value.data_type, Scalar::Integer(self.next));
        let span = Value::new(DataType::Interval, Scalar::Interval(by));
        let pair = Batch::new(vec![Vector::constant(moment, 1), Vector::constant(span, 1)]);
        match moved.evaluate(&pair) {
            Ok(moved) => match moved.scalar(0) {
                Scalar::Integer(next) => {
                    self.next = next;
                    Ok(true)
                }
                _ => Ok(false),
            },
            Err(crate::Error::Value(columnar::Error::OutOfRange { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn refused(why: &str) -> crate::Error {
    columnar::Error::Told(why.into()).into()
}

//! Unroll: gives each row once for each element of its lists, so that lists become rows.
//!
//! A task keeps the batch, the lists and how far it is in them; a pull gives a batch of rows at most, so that a list of a
//! million elements is many pulls. Columns that are kept are taken by row numbers, by which codes of dictionaries stay codes.

mod column;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::expression::Compiled;
use crate::operator::{Operator, OperatorTask, Output, Step};
use crate::plan;
use crate::shape::Shape;
use column::Column;
use columnar::kernels::take::take;
use columnar::packed::{Elements, Place};
use columnar::{Batch, DataType, Flat, Values, Vector};
use std::sync::Arc;

/// A batch ends where its elements have more bytes.
const MOST_BYTES: usize = 16 << 20;
/// Elements between two looks at the clock.
const ELEMENTS_A_LOOK: usize = 256;

/// The operator; its output are the columns that are kept, the elements of each list, and their place.
pub struct Unroll {
    shared: Arc<Shared>,
    output: Vec<Shape>,
}

struct Shared {
    keep: Vec<usize>,
    lists: Vec<List>,
    position: bool,
    keeps_empty: bool,
    batch_rows: usize,
}

struct List {
    expr: Compiled,
    data_type: DataType,
    element: DataType,
}

struct UnrollTask {
    shared: Arc<Shared>,
    pending: Option<Pending>,
}

/// A batch whose rows are given, and how far that is.
struct Pending {
    batch: Batch,
    lists: Vec<Flat>,
    row: usize,
    /// In each list of `row`; `None` where it is null or at its end.
    places: Vec<Option<Place>>,
    /// How often `row` was given.
    given: i64,
}

impl Unroll {
    /// `input` are the shapes of the rows that lists and kept columns refer to.
    pub fn new(unroll: &plan::Unroll, input: &[Shape], batch_rows: usize) -> Result<Unroll> {
        let mut lists = Vec::with_capacity(unroll.lists.len());
        for plan::Unrolled { list, data_type } in &unroll.lists {
            if plan::element_type(list.data_type()) != Some(*data_type) {
                let (list, element) = (list.data_type(), *data_type);
                return Err(Error::Internal(format!("{list} is unrolled as {element}")));
            }
            let expr = Compiled::compile(list, input)?;
            lists.push(List { expr, data_type: list.data_type(), element: *data_type });
        }
        let keep: Vec<usize> = unroll.keep.iter().map(|&column| column as usize).collect();
        if lists.is_empty() || keep.iter().any(|&column| column >= input.len()) {
            return Err(Error::Internal("nothing is unrolled, or a column is kept that there is not".into()));
        }
        let place = Shape { nullable: unroll.keeps_empty, ..Shape::of_type(DataType::Int64) };
        let output = keep
            .iter()
            .map(|&column| input[column].clone())
            .chain(lists.iter().map(|list| Shape::of_type(list.element)))
            .chain(unroll.position.then_some(place))
            .collect();
        let shared = Shared {
            keep,
            lists,
            position: unroll.position,
            keeps_empty: unroll.keeps_empty,
            batch_rows: batch_rows.max(1),
        };
        Ok(Unroll { shared: Arc::new(shared), output })
    }
}

impl Operator for Unroll {
    fn output(&self) -> &[Shape] {
        &self.output
    }

    fn start(&self) -> Result<Box<dyn OperatorTask>> {
        Ok(Box::new(UnrollTask { shared: self.shared.clone(), pending: None }))
    }
}

impl OperatorTask for UnrollTask {
    fn push(&mut self, batch: Batch) -> Result<()> {
        let batch = batch.compact();
        let lists = self.shared.lists.iter().map(|list| Ok(list.expr.evaluate(&batch)?.flatten()));
        let lists = lists.collect::<Result<Vec<Flat>>>()?;
        let mut pending = Pending { batch, lists, row: 0, places: Vec::new(), given: 0 };
        pending.begin();
        self.pending = Some(pending);
        Ok(())
    }

    fn pull(&mut self, step: &Step<'_>) -> Result<Output> {
        let Some(pending) = &mut self.pending else { return Ok(Output::NeedsInput) };
        let shared = &*self.shared;
        let new = |list: &List| Column::new(list.element, shared.batch_rows.min(columnar::BATCH_ROWS));
        let mut elements: Vec<Column> = shared.lists.iter().map(new).collect();
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        let mut looks = 0;
        while rows.len() < shared.batch_rows && pending.row < pending.batch.rows {
            let is_given = pending.advance(shared, &mut elements)?;
            if is_given {
                pending.given += 1;
                rows.push(pending.row as u32);
                places.push(pending.given);
            } else {
                // Of what is kept empty the place is null, which is told by 0.
                if shared.keeps_empty && pending.given == 0 {
                    elements.iter_mut().for_each(Column::push_null);
                    rows.push(pending.row as u32);
                    places.push(0);
                }
                pending.row += 1;
                pending.begin();
            }
            looks += 1;
            if elements.iter().map(Column::bytes).sum::<usize>() > MOST_BYTES
                || looks % ELEMENTS_A_LOOK == 0 && step.expired()
            {
                break;
            }
        }
        let done = pending.row >= pending.batch.rows;
        let output = match rows.len() {
            0 if done => Output::NeedsInput,
            0 => Output::Yield,
            count => {
                let kept = shared.keep.iter().map(|&column| take(&pending.batch.columns[column], &rows));
                let mut columns: Vec<Vector> = kept.collect();
                columns.extend(elements.into_iter().map(Column::finish));
                if shared.position {
                    columns.push(position(places, shared.keeps_empty));
                }
                Output::Batch(Batch::of_rows(columns, count))
            }
        };
        if done {
            self.pending = None;
        }
        Ok(output)
    }
}

impl Pending {
    /// Goes to the first elements of the row.
    fn begin(&mut self) {
        let row = self.row;
        let place = |list: &Flat| (row < list.len() && !list.is_null(row)).then(Place::default);
        self.places.clear();
        self.places.extend(self.lists.iter().map(place));
        self.given = 0;
    }

    /// Adds the next element of each list of the row, nulls for those at their end; false, and nothing, where all are.
    fn advance(&mut self, shared: &Shared, elements: &mut [Column]) -> Result<bool> {
        let mut found = false;
        let before = elements.first().map_or(0, Column::len);
        for (number, list) in shared.lists.iter().enumerate() {
            let Some(place) = self.places[number] else { continue };
            let Values::View(views) = &self.lists[number].values else {
                return Err(Error::Internal("a list that is not packed is unrolled".into()));
            };
            let mut walk = Elements::from(views.get(self.row), list.data_type, place);
            let element = walk.advance()?;
            self.places[number] = element.map(|_| walk.place());
            if let Some(element) = element {
                elements[number].push(element)?;
                found = true;
            }
        }
        if found {
            elements.iter_mut().filter(|column| column.len() == before).for_each(Column::push_null);
        }
        Ok(found)
    }
}

/// The places as a column; 0 is null, which there is only where empty lists are kept.
fn position(places: Vec<i64>, nullable: bool) -> Vector {
    let validity = (nullable && places.contains(&0)).then(|| places.iter().map(|&place| place > 0).collect());
    Flat::new(DataType::Int64, Values::I64(places.into()), validity).into()
}

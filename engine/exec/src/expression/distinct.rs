//! Expressions over one dictionary column, evaluated once a distinct value and remembered.
//!
//! An error of an entry is kept and raised only where a row uses the entry.

use super::node::{Input, Operation};
use crate::{Error, Result, Shape};
use columnar::kernels::{compare::lookup, take};
use columnar::{Bitmap, Buffer, Codes, DataType, Dictionary, DictionaryVector, Flat, Values, Vector};
use hashbrown::HashMap;
use parking_lot::Mutex;
use std::sync::Arc;

/// Dictionaries remembered at a time: one a segment that workers are in.
const REMEMBERED: usize = 16;
/// A dictionary of at most this many entries is evaluated whole at once; a larger one when as many rows have
/// been seen.
const EAGER_ENTRIES: usize = 4096;
/// Larger dictionaries are not evaluated whole: that would take too long at a stretch.
const MOST_ENTRIES: usize = 1 << 17;

#[derive(Debug, Default)]
pub(super) struct DistinctCache(Mutex<Vec<Slot>>);

#[derive(Debug)]
struct Slot {
    dictionary: u64,
    rows_seen: usize,
    answers: Option<Arc<Answers>>,
}

/// Results by code; the entry after the last code is that of null.
#[derive(Debug)]
struct Answers {
    results: Results,
    errors: HashMap<u32, Error>,
    /// A byte an entry, 1 where the result is not null; `None`: no result is null.
    valid: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Results {
    /// 0 or 1.
    Truth(Vec<u8>),
    Numbers(Values),
    /// Distinct strings, and which of them is each entry's.
    Strings(Arc<Dictionary>, Vec<u32>),
}

impl DistinctCache {
    pub(super) fn evaluate(
        &self,
        shape: &Shape,
        operation: &dyn Operation,
        position: usize,
        input: &DictionaryVector,
    ) -> Result<Vector> {
        match self.answers(shape, operation, position, input) {
            Some(answers) => answers.give(shape, input),
            None => {
                let columns = with_column(position, Vector::Dictionary(input.clone()).flatten().into());
                operation.evaluate(&Input { columns: &columns, rows: input.codes.len() })
            }
        }
    }

    fn answers(
        &self,
        shape: &Shape,
        operation: &dyn Operation,
        position: usize,
        input: &DictionaryVector,
    ) -> Option<Arc<Answers>> {
        let entries = input.dictionary.values.len();
        if entries > MOST_ENTRIES {
            return None;
        }
        {
            let mut slots = self.0.lock();
            let at = match slots.iter().position(|slot| slot.dictionary == input.dictionary.id) {
                Some(at) => at,
                None => {
                    if slots.len() == REMEMBERED {
                        slots.remove(0);
                    }
                    slots.push(Slot { dictionary: input.dictionary.id, rows_seen: 0, answers: None });
                    slots.len() - 1
                }
            };
            let slot = &mut slots[at];
            if let Some(answers) = &slot.answers {
                return Some(answers.clone());
            }
            slot.rows_seen = slot.rows_seen.saturating_add(input.codes.len());
            if entries > EAGER_ENTRIES && slot.rows_seen < entries {
                return None;
            }
        }
        let answers = Arc::new(Answers::of(shape, operation, position, &input.dictionary));
        let mut slots = self.0.lock();
        if let Some(slot) = slots.iter_mut().find(|slot| slot.dictionary == input.dictionary.id) {
            slot.answers = Some(answers.clone());
        }
        Some(answers)
    }
}

/// Columns of which only the one at `position` is read.
fn with_column(position: usize, column: Vector) -> Vec<Vector> {
    let absent = Vector::constant(columnar::Value::null(DataType::Null), column.len());
    let mut columns = vec![absent; position];
    columns.push(column);
    columns
}

impl Answers {
    fn of(shape: &Shape, operation: &dyn Operation, position: usize, dictionary: &Dictionary) -> Answers {
        let entries = dictionary.values.len();
        // All entries, then a null, whose value is any.
        let indices: Vec<u32> = (0..entries as u32).chain([0]).collect();
        let values = match entries {
            0 => columnar::kernels::select::zeros(dictionary.values.values.physical(), 1),
            _ => take::take_values(&dictionary.values.values, &indices),
        };
        let validity = Bitmap::from_fn(entries + 1, |entry| entry < entries);
        let column = Flat::new(dictionary.values.data_type, values, Some(validity));
        let mut errors = HashMap::new();
        let columns = with_column(position, column.clone().into());
        let result = match operation.evaluate(&Input { columns: &columns, rows: entries + 1 }) {
            Ok(vector) => vector.flatten(),
            Err(_) => {
                // Entry by entry, to learn which of them fail.
                let mut good = Vec::new();
                for entry in 0..=entries as u32 {
                    let columns = with_column(position, take::take_flat(&column, &[entry]).into());
                    match operation.evaluate(&Input { columns: &columns, rows: 1 }) {
                        Ok(_) => good.push(entry),
                        Err(error) => {
                            errors.insert(entry, error);
                        }
                    }
                }
                let columns = with_column(position, take::take_flat(&column, &good).into());
                let flat = match good.len() {
                    0 => None,
                    rows => operation.evaluate(&Input { columns: &columns, rows }).ok(),
                };
                scattered(shape, flat.map(|vector| vector.flatten()), &good, entries + 1)
            }
        };
        let valid = result.validity.as_ref().map(bytes_of);
        let results = match result.values {
            Values::Bool(bits) => Results::Truth(bytes_of(&bits)),
            Values::View(views) => {
                let mut known: HashMap<&[u8], u32, foldhash::fast::FixedState> = HashMap::default();
                let (mut firsts, mut codes) = (Vec::new(), Vec::with_capacity(views.len()));
                for row in 0..views.len() {
                    let code = *known.entry(views.get(row)).or_insert_with(|| {
                        firsts.push(row as u32);
                        firsts.len() as u32 - 1
                    });
                    codes.push(code);
                }
                let strings = take::take_values(&Values::View(views.clone()), &firsts);
                let strings = Flat::new(shape.data_type, strings, None);
                Results::Strings(Arc::new(Dictionary::new(strings, false)), codes)
            }
            numbers => Results::Numbers(numbers),
        };
        Answers { results, errors, valid }
    }

    /// The result of every row.
    fn give(&self, shape: &Shape, input: &DictionaryVector) -> Result<Vector> {
        let null_entry = input.dictionary.values.len() as u32;
        let codes = match &input.validity {
            None => input.codes.clone(),
            Some(validity) => {
                let mut codes = input.codes.to_indices();
                for (row, code) in codes.iter_mut().enumerate() {
                    if !validity.get(row) {
                        *code = null_entry;
                    }
                }
                Codes::U32(codes.into())
            }
        };
        if !self.errors.is_empty() {
            let failed = (0..codes.len()).find_map(|row| self.errors.get(&(codes.get(row) as u32)));
            if let Some(error) = failed {
                return Err(error.clone());
            }
        }
        let validity = self.valid.as_ref().map(|bytes| look_up(&codes, bytes)).filter(|bits| !bits.all());
        Ok(match &self.results {
            Results::Truth(bytes) => {
                let values = Values::Bool(look_up(&codes, bytes));
                Flat::new(DataType::Boolean, values, validity).into()
            }
            Results::Numbers(values) => {
                Flat::new(shape.data_type, take::take_values(values, &codes.to_indices()), validity).into()
            }
            Results::Strings(dictionary, entries) => {
                let codes: Buffer<u32> = take::gather(entries, &codes.to_indices()).into();
                let dictionary = dictionary.clone();
                Vector::Dictionary(DictionaryVector { codes: Codes::U32(codes), dictionary, validity })
            }
        })
    }
}

/// Results of the entries that have one; the others are null.
fn scattered(shape: &Shape, results: Option<Flat>, rows: &[u32], len: usize) -> Flat {
    use columnar::kernels::select;
    let Some(results) = results else {
        return Flat::new(
            shape.data_type,
            select::zeros(shape.physical, len),
            Some(Bitmap::filled(false, len)),
        );
    };
    let valid = results.validity.unwrap_or_else(|| Bitmap::filled(true, rows.len()));
    let values = select::scatter(&results.values, rows, len);
    Flat::new(shape.data_type, values, Some(select::scatter_bits(&valid, rows, len)))
}

fn bytes_of(bits: &Bitmap) -> Vec<u8> {
    (0..bits.len()).map(|row| u8::from(bits.get(row))).collect()
}

fn look_up(codes: &Codes, bytes: &[u8]) -> Bitmap {
    match codes {
        Codes::U8(codes) => lookup(codes, bytes),
        Codes::U16(codes) => lookup(codes, bytes),
        Codes::U32(codes) => lookup(codes, bytes),
    }
}

//! Whether two answers agree, whatever types the engines chose: rows in any order, numbers to 1e-6.
//!
//! Engines differ in the digits that they keep of a quotient or a mean. Where a decimal meets a number of another
//! type, a unit of its last digit may be missing.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::Failure;
use crate::queries::Compare;

/// Relative; also absolute, for sums that cancel each other out.
const TOLERANCE: f64 = 1e-6;

/// Rows as columns of values that can be compared.
pub(crate) struct Answer {
    rows: usize,
    columns: Vec<Column>,
}

struct Column {
    /// Whether texts stand for whole numbers, or for no numbers at all.
    exact: bool,
    texts: Vec<Option<String>>,
    numbers: Option<Vec<Option<f64>>>,
    /// Digits behind the point, of a decimal.
    scale: Option<i8>,
}

impl Answer {
    pub(crate) fn new(batches: &[RecordBatch]) -> Result<Answer, Failure> {
        let Some(first) = batches.first() else {
            return Ok(Answer { rows: 0, columns: Vec::new() });
        };
        let all = concat_batches(&first.schema(), batches)?;
        let columns = all.columns().iter().map(Column::of).collect::<Result<_, _>>()?;
        Ok(Answer { rows: all.num_rows(), columns })
    }

    /// In words, how this answer differs from what is expected; nothing where it does not.
    pub(crate) fn difference(&self, expected: &Answer, compare: &Compare) -> Option<String> {
        if self.rows != expected.rows {
            return Some(format!("{} rows, not {}", self.rows, expected.rows));
        }
        let chosen: Vec<usize> = match compare {
            _ if self.rows == 0 => return None,
            Compare::Count => return None,
            Compare::Rows if self.columns.len() != expected.columns.len() => {
                return Some(format!("{} columns, not {}", self.columns.len(), expected.columns.len()));
            }
            Compare::Rows => (0..self.columns.len()).collect(),
            Compare::Columns(numbers) => numbers.iter().map(|number| number - 1).collect(),
        };
        let pairs: Option<Vec<_>> = chosen
            .iter()
            .map(|column| {
                Some(Pair { one: self.columns.get(*column)?, other: expected.columns.get(*column)? })
            })
            .collect();
        let Some(pairs) = pairs else {
            return Some("a column to compare is missing".to_string());
        };
        // By what is exact first, so that rounding moves as few rows as can be.
        let mut keys: Vec<&Pair> = pairs.iter().collect();
        keys.sort_by_key(|pair| pair.approximate());
        let order = |of: Side| {
            let mut order: Vec<usize> = (0..self.rows).collect();
            order.sort_by(|a, b| compare_rows(&keys, of, *a, *b));
            order
        };
        let (ours, theirs) = (order(|pair| pair.one), order(|pair| pair.other));
        let differs = |(a, b): &(&usize, &usize)| pairs.iter().any(|pair| !pair.same(**a, **b));
        ours.iter().zip(&theirs).find(differs).map(|(a, b)| {
            let row = |of: Side, row: usize| {
                let values: Vec<_> =
                    pairs.iter().map(|pair| of(pair).texts[row].as_deref().unwrap_or("null")).collect();
                shortened(&format!("({})", values.join(", ")))
            };
            format!("{} and not {}", row(|pair| pair.one, *a), row(|pair| pair.other, *b))
        })
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// A column of the one answer beside that of the other.
struct Pair<'a> {
    one: &'a Column,
    other: &'a Column,
}

/// One of the two.
type Side = for<'a> fn(&Pair<'a>) -> &'a Column;

impl Pair<'_> {
    fn approximate(&self) -> bool {
        !(self.one.exact && self.other.exact) && self.one.numbers.is_some() && self.other.numbers.is_some()
    }

    /// The last digit of the decimal with fewer of them, where the types differ; else nothing.
    fn unit(&self) -> f64 {
        match (self.one.scale, self.other.scale) {
            (Some(one), Some(other)) if one == other => 0.0,
            (Some(one), Some(other)) => 10f64.powi(-i32::from(one.min(other))),
            (Some(scale), None) | (None, Some(scale)) => 10f64.powi(-i32::from(scale)),
            (None, None) => 0.0,
        }
    }

    fn same(&self, a: usize, b: usize) -> bool {
        match (&self.one.numbers, &self.other.numbers) {
            (Some(one), Some(other)) if self.approximate() => match (one[a], other[b]) {
                (Some(one), Some(other)) => close(one, other, self.unit()),
                (one, other) => one.is_none() && other.is_none(),
            },
            _ => self.one.texts[a] == self.other.texts[b],
        }
    }
}

fn close(one: f64, other: f64, unit: f64) -> bool {
    let tolerance = TOLERANCE * one.abs().max(other.abs()).max(TOLERANCE);
    one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= tolerance.max(unit)
}

/// Orders two rows of one answer.
fn compare_rows(keys: &[&Pair], of: Side, a: usize, b: usize) -> Ordering {
    let by = |pair: &Pair| match &of(pair).numbers {
        Some(numbers) if pair.approximate() => {
            let key = |row: usize| numbers[row].unwrap_or(f64::NEG_INFINITY);
            key(a).total_cmp(&key(b))
        }
        _ => of(pair).texts[a].cmp(&of(pair).texts[b]),
    };
    keys.iter().map(|pair| by(pair)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

impl Column {
    fn of(array: &ArrayRef) -> Result<Column, Failure> {
        // Truth is a number to some engines, and a date with a time to others.
        let array = match array.data_type() {
            DataType::Boolean => cast(array, &DataType::Int8)?,
            DataType::Date64 | DataType::Timestamp(_, _) => {
                cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => cast(array, &DataType::Utf8)?,
            DataType::Dictionary(_, values) => return Column::of(&cast(array, values)?),
            _ => array.clone(),
        };
        let kind = array.data_type();
        let numeric = kind.is_numeric();
        let scale = match kind {
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale)
            | DataType::Decimal256(_, scale) => Some(*scale),
            _ => None,
        };
        let whole = kind.is_integer() || scale.is_some_and(|scale| scale <= 0);
        let numbers = match numeric {
            true => Some(cast(&array, &DataType::Float64)?.as_primitive::<Float64Type>().iter().collect()),
            false => None,
        };
        let formatter = ArrayFormatter::try_new(&array, &FormatOptions::default())?;
        let text = |row: usize| {
            let text = formatter.value(row).to_string();
            text.strip_suffix("T00:00:00").map_or(text.clone(), str::to_string)
        };
        let texts = (0..array.len()).map(|row| array.is_valid(row).then(|| text(row))).collect();
        Ok(Column { exact: whole || !numeric, texts, numbers, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, Date64Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
        StringArray, StringViewArray, UInt8Array,
    };

    fn answer(columns: Vec<ArrayRef>) -> Answer {
        let named = columns.into_iter().enumerate().map(|(number, column)| (format!("c{number}"), column));
        Answer::new(&[RecordBatch::try_from_iter(named).unwrap()]).unwrap()
    }

    fn compared(one: Vec<ArrayRef>, other: Vec<ArrayRef>) -> Option<String> {
        answer(one).difference(&answer(other), &Compare::Rows)
    }

    #[test]
    fn types_and_order_do_not_matter() {
        let decimal = |values: Vec<i128>, scale| {
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap()) as ArrayRef
        };
        let one: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![Some(2), Some(1), None])),
            Arc::new(StringArray::from(vec!["b", "a", "c"])),
            decimal(vec![250, 125, 0], 2),
            Arc::new(Date32Array::from(vec![9131, 0, 1])),
            Arc::new(BooleanArray::from(vec![true, false, true])),
        ];
        let day = 86_400_000;
        let other: Vec<ArrayRef> = vec![
            decimal(vec![1, 2, 3], 0),
            Arc::new(StringViewArray::from(vec!["a", "b", "c"])),
            Arc::new(Float64Array::from(vec![1.25, 2.5000000001, 1e-13])),
            Arc::new(Date64Array::from(vec![0, 9131 * day, day])),
            Arc::new(UInt8Array::from(vec![0, 1, 1])),
        ];
        // All but the null, which is no 3.
        let difference = compared(one.clone(), other.clone()).unwrap();
        assert!(difference.contains("(null, c, 0.00, 1970-01-02, 1) and not"), "{difference}");
        let but_first = Compare::Columns(vec![2, 3, 4, 5]);
        assert_eq!(answer(one).difference(&answer(other), &but_first), None);
    }

    #[test]
    fn what_differs_is_told() {
        let floats = |values: &[f64]| vec![Arc::new(Float64Array::from(values.to_vec())) as ArrayRef];
        let whole = |values: &[i64]| vec![Arc::new(Int64Array::from(values.to_vec())) as ArrayRef];
        assert_eq!(compared(floats(&[1e9]), floats(&[1e9 + 500.0])), None);
        assert!(compared(floats(&[1e9]), floats(&[1e9 + 5000.0])).is_some());
        assert!(compared(floats(&[1.0]), floats(&[f64::NAN])).is_some());
        assert_eq!(compared(floats(&[f64::NAN]), floats(&[f64::NAN])), None);
        assert!(compared(whole(&[1 << 60]), whole(&[(1 << 60) + 1])).is_some(), "whole numbers are exact");
        assert_eq!(compared(whole(&[1, 2]), whole(&[1])), Some("2 rows, not 1".to_string()));
        assert!(compared(whole(&[1, 1, 2]), whole(&[1, 2, 2])).is_some(), "repeated rows count");
        let wide = [whole(&[1]), whole(&[1])].concat();
        assert_eq!(compared(wide, whole(&[1])), Some("2 columns, not 1".to_string()));
    }

    #[test]
    fn a_decimal_may_lack_digits_of_another_type() {
        let decimal = |value: i128, scale| -> Vec<ArrayRef> {
            vec![Arc::new(Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).unwrap())]
        };
        let float = |value: f64| -> Vec<ArrayRef> { vec![Arc::new(Float64Array::from(vec![value]))] };
        assert_eq!(compared(decimal(286, 4), float(0.0286487)), None);
        assert!(compared(decimal(284, 4), float(0.0286487)).is_some());
        assert_eq!(compared(decimal(286, 4), decimal(28_649, 6)), None);
        assert!(compared(decimal(286, 4), decimal(287, 4)).is_some(), "of one type, all digits count");
    }

    #[test]
    fn rounding_does_not_put_rows_out_of_order() {
        let rows = |noise: f64| -> Vec<ArrayRef> {
            vec![
                Arc::new(Float64Array::from_iter_values(
                    (0..100).map(|row| 100.0 - f64::from(row / 10) + noise),
                )),
                Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("{row:02}")))),
            ]
        };
        assert_eq!(compared(rows(0.0), rows(1e-8)), None);
    }

    #[test]
    fn counts_alone_may_be_compared() {
        let one = || answer(vec![Arc::new(Int64Array::from(vec![1, 2]))]);
        let other = || answer(vec![Arc::new(Int64Array::from(vec![5, 6]))]);
        assert_eq!(one().difference(&other(), &Compare::Count), None);
        assert!(one().difference(&other(), &Compare::Rows).is_some());
        let missing = one().difference(&other(), &Compare::Columns(vec![2])).unwrap();
        assert_eq!(missing, "a column to compare is missing");
        let none = || Answer::new(&[]).unwrap();
        assert_eq!(none().difference(&none(), &Compare::Rows), None);
        assert!(none().difference(&one(), &Compare::Count).is_some());
    }
}

//! Key columns of joins, groups and sorts: evaluated, and packed into one word where their bounds allow it.

use crate::expression::{Compiled, cast_to_physical};
use crate::{Expr, Result, Shape};
use columnar::{Batch, Bitmap, DataType, Flat, PhysicalType, Values, Vector, kernel};

/// An expression over a batch; a plain column is passed on without evaluation.
pub(crate) enum Input {
    Column(usize, Shape),
    Compiled(Box<Compiled>),
}

impl Input {
    pub(crate) fn compile(expr: &Expr, input: &[Shape]) -> Result<Input> {
        if let Expr::Column { id, .. } = expr
            && let Some(shape) = input.get(*id as usize)
        {
            return Ok(Input::Column(*id as usize, shape.clone()));
        }
        Ok(Input::Compiled(Box::new(Compiled::compile(expr, input)?)))
    }

    pub(crate) fn shape(&self) -> &Shape {
        match self {
            Input::Column(_, shape) => shape,
            Input::Compiled(compiled) => compiled.shape(),
        }
    }

    /// The column it is, if it is just that.
    pub(crate) fn column(&self) -> Option<usize> {
        match self {
            Input::Column(column, _) => Some(*column),
            Input::Compiled(_) => None,
        }
    }

    /// Whether evaluating it can fail.
    pub(crate) fn is_fallible(&self) -> bool {
        match self {
            Input::Column(..) => false,
            Input::Compiled(compiled) => compiled.is_fallible(),
        }
    }

    /// A value for every row of `batch`, which has no selection.
    pub(crate) fn evaluate(&self, batch: &Batch) -> Result<Vector> {
        match self {
            Input::Column(column, _) => Ok(batch.columns[*column].clone()),
            Input::Compiled(compiled) => compiled.evaluate(batch),
        }
    }
}

/// Several integral keys as one word: the values less their least, as digits of some bits each. Equal words mean
/// equal keys.
pub(crate) struct Packing {
    columns: Vec<PackedColumn>,
    /// Words are below this.
    domain: u128,
}

struct PackedColumn {
    least: i64,
    /// The digit of the largest value; where nulls count, theirs is the next.
    top: u64,
    shift: u32,
    bits: u32,
    null_digit: bool,
}

impl Packing {
    /// How to pack columns of `shapes`, if they allow it. `null_digits[i]`: nulls of column i are alike and
    /// equal to nothing else; without it the word of a null is unspecified.
    pub(crate) fn of(shapes: &[Shape], null_digits: &[bool]) -> Option<Packing> {
        let (mut columns, mut shift, mut domain) = (Vec::new(), 0, 1);
        for (shape, &null_digit) in shapes.iter().zip(null_digits) {
            let (least, most) = match shape.data_type {
                DataType::Boolean => (0, 1),
                DataType::Null => return None,
                _ => shape.bounds.or(shape.physical.integer_bounds())?,
            };
            let least = i64::try_from(least).ok()?;
            let top = u64::try_from(most.checked_sub(i128::from(least))?).ok()?;
            let digits = u128::from(top) + 1 + u128::from(null_digit);
            let bits = (digits - 1).checked_ilog2().map_or(0, |highest| highest + 1);
            if shift + bits > 64 {
                return None;
            }
            domain = digits << shift;
            // Only a column of no bits can start beyond the last bit, and its digit is always 0.
            columns.push(PackedColumn { least, top, shift: shift.min(63), bits, null_digit });
            shift += bits;
        }
        (!columns.is_empty()).then_some(Packing { columns, domain })
    }

    /// Every word is below this.
    pub(crate) fn domain(&self) -> u128 {
        self.domain
    }

    /// The keys that `words` stand for, as columns of the shapes that the packing was made of.
    pub(crate) fn unpack(&self, words: &[u64], shapes: &[Shape]) -> Vec<Vector> {
        self.columns.iter().zip(shapes).map(|(column, shape)| column.unpack(words, shape)).collect()
    }

    /// Whether values of column `index` with `shape` may lie outside what the packing has digits for.
    pub(crate) fn may_leave(&self, index: usize, shape: &Shape) -> bool {
        let column = &self.columns[index];
        let least = i128::from(column.least);
        let most = least + i128::from(column.top);
        match shape.bounds.or(shape.physical.integer_bounds()) {
            Some((low, high)) => low < least || high > most,
            None => false,
        }
    }

    /// Whether vectors of 128-bit integers can be told apart where they leave the packing.
    pub(crate) fn tells_wide_apart(&self) -> bool {
        self.columns.iter().all(|column| column.top < u64::MAX)
    }

    /// A word a row. `outside`, if given, gets a non-zero byte where a value has no digit (nulls too may).
    pub(crate) fn pack(
        &self,
        vectors: &[Vector],
        rows: usize,
        mut outside: Option<&mut Vec<u8>>,
    ) -> Vec<u64> {
        let mut words = vec![0; rows];
        if let Some(outside) = &mut outside {
            outside.clear();
            outside.resize(rows, 0);
        }
        for (column, vector) in self.columns.iter().zip(vectors) {
            let flat = vector.flatten();
            let nulls = if column.null_digit { flat.validity } else { None };
            let values = match flat.values {
                Values::Bool(bits) => Values::I8((0..rows).map(|row| i8::from(bits.get(row))).collect()),
                values => values,
            };
            let outside = outside.as_deref_mut().map_or(&mut [][..], Vec::as_mut_slice);
            match &values {
                Values::I8(values) => column.add(values, nulls.as_ref(), &mut words, outside),
                Values::I16(values) => column.add(values, nulls.as_ref(), &mut words, outside),
                Values::I32(values) => column.add(values, nulls.as_ref(), &mut words, outside),
                Values::I64(values) => column.add(values, nulls.as_ref(), &mut words, outside),
                Values::I128(values) => column.add(values, nulls.as_ref(), &mut words, outside),
                _ => {}
            }
        }
        words
    }
}

impl PackedColumn {
    fn add<T: Digit>(&self, values: &[T], nulls: Option<&Bitmap>, words: &mut [u64], outside: &mut [u8]) {
        match nulls {
            None if outside.is_empty() => add_digits(values, self.least, self.shift, words),
            None => add_digits_inside(values, self.least, self.top, self.shift, words, outside),
            Some(validity) => {
                for (row, (&value, word)) in values.iter().zip(words).enumerate() {
                    let mut digit = value.digit(self.least);
                    if !validity.get(row) {
                        digit = self.top + 1;
                    } else if digit > self.top
                        && let Some(outside) = outside.get_mut(row)
                    {
                        *outside = 1;
                    }
                    *word = word.wrapping_add(digit << self.shift);
                }
            }
        }
    }

    fn unpack(&self, words: &[u64], shape: &Shape) -> Vector {
        let mask = u64::MAX.checked_shr(64 - self.bits).unwrap_or(0);
        let digits = || words.iter().map(|&word| word >> self.shift & mask);
        let values = |digit: u64| self.least.wrapping_add_unsigned(digit);
        let physical = match shape.physical {
            PhysicalType::Bool => Values::Bool(digits().map(|digit| digit == 1).collect()),
            PhysicalType::I8 => Values::I8(digits().map(|digit| values(digit) as i8).collect()),
            PhysicalType::I16 => Values::I16(digits().map(|digit| values(digit) as i16).collect()),
            PhysicalType::I32 => Values::I32(digits().map(|digit| values(digit) as i32).collect()),
            PhysicalType::I128 => Values::I128(digits().map(|digit| values(digit).into()).collect()),
            _ => Values::I64(digits().map(values).collect()),
        };
        let validity = self.null_digit.then(|| digits().map(|digit| digit <= self.top).collect::<Bitmap>());
        Flat::new(shape.data_type, physical, validity.filter(|validity| !validity.all())).into()
    }
}

/// An integer that gives a digit.
trait Digit: Copy {
    /// The value less `least`; where that leaves 64 bits, the largest number.
    fn digit(self, least: i64) -> u64;
}

macro_rules! digits {
    ($($type:ty),*) => { $(impl Digit for $type {
        #[inline(always)]
        fn digit(self, least: i64) -> u64 {
            i64::from(self).wrapping_sub(least) as u64
        }
    })* };
}
digits!(i8, i16, i32, i64);

impl Digit for i128 {
    #[inline(always)]
    fn digit(self, least: i64) -> u64 {
        u64::try_from(self.saturating_sub(least.into())).unwrap_or(u64::MAX)
    }
}

kernel! {
    fn add_digits[T: Digit](values: &[T], least: i64, shift: u32, words: &mut [u64]) {
        for (&value, word) in values.iter().zip(words) {
            *word = word.wrapping_add(value.digit(least) << shift);
        }
    }
}

kernel! {
    fn add_digits_inside[T: Digit](
        values: &[T], least: i64, top: u64, shift: u32, words: &mut [u64], outside: &mut [u8],
    ) {
        for ((&value, word), outside) in values.iter().zip(words).zip(outside) {
            let digit = value.digit(least);
            *outside |= u8::from(digit > top);
            *word = word.wrapping_add(digit << shift);
        }
    }
}

/// The vector at a width that holds its values.
pub(crate) fn at_width(vector: &Vector, width: PhysicalType) -> Vector {
    if vector.physical() == width { vector.clone() } else { cast_to_physical(vector, width) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use columnar::Scalar;

    fn shape(bounds: (i128, i128), nullable: bool) -> Shape {
        Shape { bounds: Some(bounds), nullable, ..Shape::of_type(DataType::Int64) }
    }

    #[test]
    fn words_are_equal_where_keys_are() {
        let shapes = [shape((-3, 4), true), shape((10, 12), false)];
        let packing = Packing::of(&shapes, &[true, false]).unwrap();
        let first = [Scalar::Integer(-3), Scalar::Null, Scalar::Integer(4), Scalar::Null];
        let second = [10, 12, 12, 12].map(Scalar::Integer);
        let vectors =
            [Vector::from_scalars(DataType::Int64, &first), Vector::from_scalars(DataType::Int64, &second)];
        let words = packing.pack(&vectors, 4, None);
        assert_eq!(words, [0, 8 + 32, 7 + 32, 8 + 32]);
        assert_eq!(packing.domain(), 48);
        assert_same(&packing.unpack(&words, &shapes), &vectors);
    }

    #[test]
    fn columns_of_one_value_need_no_bits() {
        let all = shape((i64::MIN.into(), i64::MAX.into()), false);
        let shapes = [shape((7, 7), false), all, shape((9, 9), false)];
        let packing = Packing::of(&shapes, &[false; 3]).unwrap();
        let column = |values: [i64; 2]| {
            Vector::from_scalars(DataType::Int64, &values.map(|value| Scalar::Integer(value.into())))
        };
        let vectors = [column([7, 7]), column([i64::MAX, -1]), column([9, 9])];
        let words = packing.pack(&vectors, 2, None);
        assert_same(&packing.unpack(&words, &shapes), &vectors);
    }

    fn assert_same(left: &[Vector], right: &[Vector]) {
        let scalars = |vectors: &[Vector]| -> Vec<Vec<Scalar>> {
            vectors.iter().map(|vector| (0..vector.len()).map(|row| vector.scalar(row)).collect()).collect()
        };
        assert_eq!(scalars(left), scalars(right));
    }

    #[test]
    fn values_without_a_digit_are_told() {
        let packing = Packing::of(&[shape((i64::MIN.into(), i64::MAX.into()), false)], &[false]).unwrap();
        assert!(!packing.tells_wide_apart());
        let packing = Packing::of(&[shape((5, 9), false)], &[false]).unwrap();
        let values = Values::I128(vec![4, 5, 9, 10, i128::MAX, i128::MIN].into());
        let mut outside = Vec::new();
        let vector = Flat::new(DataType::Int64, values, None).into();
        let words = packing.pack(&[vector], 6, Some(&mut outside));
        assert_eq!(outside, [1, 0, 0, 1, 1, 1]);
        assert_eq!(words[1..3], [0, 4]);
        assert!(
            Packing::of(&[shape((0, 1 << 40), false), shape((0, 1 << 30), false)], &[false; 2]).is_none()
        );
    }
}

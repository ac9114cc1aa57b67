//! The state of an aggregate within a group's row, which starts as zeros.

use super::few::Few;
use super::runs::Runs;
use crate::pages::cell::{Cell, INLINE, load, store, text};
use crate::pages::{Field, FrozenRows, Heap, RowPages};
use crate::plan::{self, AggregateFunction};
use crate::{Error, Result, Shape};
use columnar::kernels::take;
use columnar::{Bitmap, DataType, Flat, Interval, PhysicalType, Values, Vector, View, kernel, match_numbers};
use std::cmp::Ordering;

/// What one aggregate keeps for a group, and what becomes of it.
pub(super) struct State {
    kind: Kind,
    /// Bytes from the start of the row.
    offset: usize,
    /// Where the byte lies that says whether there was a value; `None` where there always is.
    seen: Option<usize>,
    pub(super) output: Shape,
    /// Sums of a batch stay within 64 bits.
    narrow: bool,
    /// For errors.
    name: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Count,
    /// A sum that is known to fit.
    Sum64,
    Sum128,
    SumFloat,
    /// The least or largest value, or the first.
    Pick(Pick),
    And,
    Or,
}

#[derive(Clone, Copy, PartialEq)]
enum Pick {
    Least,
    Largest,
    First,
}

/// Bits of the byte that tells of values.
const SEEN: u8 = 1;
const SEEN_INFINITY: u8 = 2;

/// Sums of values up to this stay within 64 bits for more rows than a node can hold (2^36).
const NARROW_VALUE: i128 = 1 << 27;

/// Sums of a batch of values up to this stay within 64 bits.
const BATCH_VALUE: i128 = (i64::MAX as i128) / columnar::BATCH_ROWS as i128;

/// Which rows of a batch an aggregate takes, and the groups' rows they belong to.
pub(super) struct Rows<'a> {
    /// The positions that count; `None`: all.
    pub(super) active: Option<&'a [u32]>,
    /// For each position the number and the address of its group's row.
    pub(super) numbers: &'a [u32],
    pub(super) pointers: &'a [*mut u8],
}

/// Keeps a string for the row of that number.
pub(super) trait Keep: Heap {
    fn keep(&mut self, row: u32, bytes: &[u8]) -> Result<View>;
}

impl Rows<'_> {
    #[inline(always)]
    fn each(&self, mut take: impl FnMut(usize, *mut u8)) {
        match self.active {
            None => self.pointers.iter().enumerate().for_each(|(position, &row)| take(position, row)),
            Some(active) => active.iter().for_each(|&position| {
                take(position as usize, self.pointers[position as usize]);
            }),
        }
    }
}

impl State {
    /// The state of `aggregate` at `offset`; `argument` is its argument's shape. `always`: a group has at
    /// least one row that is taken.
    pub(super) fn new(
        aggregate: &plan::Aggregate,
        argument: Option<&Shape>,
        always: bool,
        offset: usize,
    ) -> Result<State> {
        use AggregateFunction::*;
        let data_type = aggregate.data_type;
        let name = format!("{:?}", aggregate.function);
        let argument = match (aggregate.function, argument) {
            (CountRows, _) => None,
            (_, Some(shape)) => Some(shape),
            (_, None) => return Err(Error::Internal(format!("{name} without an argument"))),
        };
        let nullable = !always || argument.is_some_and(|shape| shape.nullable);
        let whole = Shape { nullable, ..Shape::of_type(data_type) };
        let pick = |pick| {
            let output = argument.map_or(whole.clone(), |shape| Shape { nullable, ..shape.clone() });
            (Kind::Pick(pick), output)
        };
        let (kind, output) = match aggregate.function {
            CountRows | Count => {
                (Kind::Count, Shape { nullable: false, bounds: Some((0, i64::MAX.into())), ..whole })
            }
            Sum | SumCounts => {
                let output = Shape { nullable: nullable && aggregate.function == Sum, ..whole };
                let bounds = argument.and_then(|shape| shape.bounds.or(shape.physical.integer_bounds()));
                match bounds {
                    Some((low, high)) if low >= -NARROW_VALUE && high <= NARROW_VALUE => {
                        (Kind::Sum64, output)
                    }
                    Some(_) => (Kind::Sum128, output),
                    None => (Kind::SumFloat, output),
                }
            }
            Min => pick(Pick::Least),
            Max => pick(Pick::Largest),
            AnyValue => pick(Pick::First),
            BoolAnd => (Kind::And, whole),
            BoolOr => (Kind::Or, whole),
            Stateful(call) => {
                return Err(Error::Internal(format!("{} in the rows of groups", call.function.name())));
            }
        };
        let bounds = argument.and_then(|shape| shape.bounds.or(shape.physical.integer_bounds()));
        let narrow = bounds.is_some_and(|(low, high)| low >= -BATCH_VALUE && high <= BATCH_VALUE);
        let mut state = State { kind, offset, seen: None, output, narrow, name };
        // A picked value needs to know whether it is the first, an empty conjunction what it is.
        if kind != Kind::Count && (state.output.nullable || !matches!(kind, Kind::Sum64 | Kind::Sum128)) {
            state.seen = Some(offset + state.value_bytes());
        }
        Ok(state)
    }

    /// Bytes it takes in a row.
    pub(super) fn bytes(&self) -> usize {
        self.value_bytes() + usize::from(self.seen.is_some())
    }

    /// Whether it may keep strings beside its row.
    pub(super) fn keeps_text(&self) -> bool {
        matches!(self.kind, Kind::Pick(_)) && self.output.physical == PhysicalType::View
    }

    /// Keeps the string that `copy` of a row still names in the heap of the row `from`: gives the view to store.
    pub(super) fn keep_copied(
        &self,
        from: &RowPages,
        copy: *mut u8,
        keep: impl FnOnce(&[u8]) -> Result<View>,
    ) -> Result<()> {
        if !self.keeps_text() {
            return Ok(());
        }
        let view = View(load(copy, self.offset));
        if !view.is_inline() {
            store(copy, self.offset, keep(from.long_bytes(view))?.0);
        }
        Ok(())
    }

    fn value_bytes(&self) -> usize {
        match self.kind {
            Kind::Count | Kind::Sum64 | Kind::SumFloat => 8,
            Kind::Sum128 => 16,
            Kind::Pick(_) => self.output.physical.width_bytes().max(1),
            Kind::And | Kind::Or => 1,
        }
    }

    /// Takes a batch: `argument` has a value a position; rows where it is null are not in `rows`.
    pub(super) fn update(
        &self,
        argument: Option<&Flat>,
        rows: &Rows<'_>,
        heap: &mut impl Keep,
    ) -> Result<()> {
        if let Some(seen) = self.seen.filter(|_| !matches!(self.kind, Kind::Pick(_) | Kind::And)) {
            rows.each(|_, row| store(row, seen, load::<u8>(row, seen) | SEEN));
        }
        let offset = self.offset;
        let Some(argument) = argument.filter(|_| self.kind != Kind::Count) else {
            rows.each(|_, row| store(row, offset, load::<i64>(row, offset) + 1));
            return Ok(());
        };
        match (&self.kind, &argument.values) {
            (Kind::Pick(pick), Values::View(views)) => {
                let text = |position: usize| (views.view(position), views.get(position));
                return self.pick_texts(*pick, rows, text, heap);
            }
            (Kind::Pick(pick), values) => match_numbers!(values, values => self.pick(*pick, rows, values),
                other => match other {
                Values::Interval(values) => self.pick(*pick, rows, values),
                Values::Bool(bits) => {
                    let bytes: Vec<u8> = (0..bits.len()).map(|row| u8::from(bits.get(row))).collect();
                    self.pick(*pick, rows, &bytes);
                }
                _ => {}
            }),
            (Kind::Sum64, Values::I8(values)) => self.sum_64(rows, values),
            (Kind::Sum64, Values::I16(values)) => self.sum_64(rows, values),
            (Kind::Sum64, Values::I32(values)) => self.sum_64(rows, values),
            (Kind::Sum64, Values::I64(values)) => self.sum_64(rows, values),
            (Kind::Sum64, Values::I128(values)) => {
                rows.each(|at, row| store(row, offset, load::<i64>(row, offset) + values[at] as i64));
            }
            (Kind::Sum128, Values::I8(values)) => self.sum_128(rows, values),
            (Kind::Sum128, Values::I16(values)) => self.sum_128(rows, values),
            (Kind::Sum128, Values::I32(values)) => self.sum_128(rows, values),
            (Kind::Sum128, Values::I64(values)) => self.sum_128(rows, values),
            (Kind::Sum128, Values::I128(values)) => {
                let mut overflow = false;
                rows.each(|at, row| {
                    let (sum, over) = load::<i128>(row, offset).overflowing_add(values[at]);
                    overflow |= over;
                    store(row, offset, sum);
                });
                if overflow {
                    return Err(self.out_of_range());
                }
            }
            (Kind::SumFloat, Values::F32(values)) => self.sum_floats(rows, values),
            (Kind::SumFloat, Values::F64(values)) => self.sum_floats(rows, values),
            (Kind::And | Kind::Or, Values::Bool(bits)) => self.fold_booleans(rows, |at| bits.get(at)),
            _ => return Err(Error::Internal(format!("{} of an argument of another type", self.name))),
        }
        Ok(())
    }

    /// Takes a batch of `count` rows into one group's row; false where it has no quicker way than
    /// [`State::update`].
    pub(super) fn update_single(
        &self,
        argument: Option<&Flat>,
        active: Option<&[u32]>,
        count: usize,
        row: *mut u8,
    ) -> Result<bool> {
        let count = active.map_or(count, <[u32]>::len);
        if count == 0 {
            return Ok(true);
        }
        if self.kind == Kind::Count {
            store(row, self.offset, load::<i64>(row, self.offset) + count as i64);
            return Ok(true);
        }
        // Nulls are few or many: picking the others out first keeps the loops plain.
        let picked;
        let values = match (argument, active) {
            (None, _) => return Ok(false),
            (Some(flat), None) => &flat.values,
            (Some(flat), Some(active)) => {
                picked = take::take_values(&flat.values, active);
                &picked
            }
        };
        if !matches!(self.kind, Kind::Sum64 | Kind::Sum128) {
            return Ok(false);
        }
        let sum = match values {
            Values::I8(values) => sum_narrow(values).into(),
            Values::I16(values) => sum_narrow(values).into(),
            Values::I32(values) => sum_narrow(values).into(),
            Values::I64(values) => sum_wide(values),
            _ => return Ok(false),
        };
        if self.kind == Kind::Sum64 {
            store(row, self.offset, load::<i64>(row, self.offset).wrapping_add(sum as i64));
        } else {
            let (sum, overflow) = load::<i128>(row, self.offset).overflowing_add(sum);
            if overflow {
                return Err(self.out_of_range());
            }
            store(row, self.offset, sum);
        }
        if let Some(seen) = self.seen {
            store(row, seen, SEEN);
        }
        Ok(true)
    }

    /// Takes a batch none of whose rows is left out into few groups; false where it has no quicker way than
    /// [`State::update`].
    pub(super) fn update_few(&self, argument: Option<&Flat>, few: &Few) -> Result<bool> {
        let sums;
        let amounts = match (self.kind, argument.map(|flat| &flat.values)) {
            (Kind::Count, _) => few.counts(),
            (Kind::Sum64 | Kind::Sum128, Some(values)) if self.narrow => {
                sums = match values {
                    Values::I8(values) => few.sums(values),
                    Values::I16(values) => few.sums(values),
                    Values::I32(values) => few.sums(values),
                    Values::I64(values) => few.sums(values),
                    _ => return Ok(false),
                };
                &sums[..]
            }
            _ => return Ok(false),
        };
        for (&row, &amount) in few.pointers.iter().zip(amounts) {
            if self.kind == Kind::Sum128 {
                let (sum, overflow) = load::<i128>(row, self.offset).overflowing_add(amount.into());
                if overflow {
                    return Err(self.out_of_range());
                }
                store(row, self.offset, sum);
            } else {
                store(row, self.offset, load::<i64>(row, self.offset).wrapping_add(amount));
            }
        }
        if let Some(seen) = self.seen {
            for (&row, _) in few.pointers.iter().zip(few.counts()).filter(|(_, count)| **count > 0) {
                store(row, seen, SEEN);
            }
        }
        Ok(true)
    }

    /// Takes a batch of rows in the order of their groups, none of which is left out; false where it has no quicker
    /// way than [`State::update`].
    pub(super) fn update_runs(&self, argument: Option<&Flat>, runs: &Runs<'_>) -> bool {
        match (self.kind, argument.map(|flat| &flat.values)) {
            (Kind::Count, _) => {
                let starts = runs.starts.iter().zip(runs.ends());
                self.add_runs(runs, starts.map(|(&start, end)| end as i64 - i64::from(start)));
            }
            (Kind::Sum64, Some(Values::I8(values))) => self.sum_runs(runs, values),
            (Kind::Sum64, Some(Values::I16(values))) => self.sum_runs(runs, values),
            (Kind::Sum64, Some(Values::I32(values))) => self.sum_runs(runs, values),
            (Kind::Sum64, Some(Values::I64(values))) => self.sum_runs(runs, values),
            _ => return false,
        }
        true
    }

    fn sum_runs<T: Copy + Into<i64>>(&self, runs: &Runs<'_>, values: &[T]) {
        // Sums from the first row on: those of a run are a difference, whatever overflows on the way.
        let mut totals = vec![0; values.len() + 1];
        let mut total = 0_i64;
        for (&value, place) in values.iter().zip(&mut totals[1..]) {
            total = total.wrapping_add(value.into());
            *place = total;
        }
        let starts = runs.starts.iter().zip(runs.ends());
        self.add_runs(runs, starts.map(|(&start, end)| totals[end].wrapping_sub(totals[start as usize])));
    }

    fn add_runs(&self, runs: &Runs<'_>, amounts: impl Iterator<Item = i64>) {
        for (&row, amount) in runs.pointers.iter().zip(amounts) {
            store(row, self.offset, load::<i64>(row, self.offset).wrapping_add(amount));
        }
        if let Some(seen) = self.seen {
            for ((&row, &start), end) in runs.pointers.iter().zip(runs.starts).zip(runs.ends()) {
                if end > start as usize {
                    store(row, seen, SEEN);
                }
            }
        }
    }

    fn sum_64<T: Copy + Into<i64>>(&self, rows: &Rows<'_>, values: &[T]) {
        let offset = self.offset;
        rows.each(|at, row| {
            let value: i64 = values[at].into();
            store(row, offset, load::<i64>(row, offset).wrapping_add(value));
        });
    }

    fn sum_128<T: Copy + Into<i128>>(&self, rows: &Rows<'_>, values: &[T]) {
        let offset = self.offset;
        rows.each(|at, row| {
            let value: i128 = values[at].into();
            store(row, offset, load::<i128>(row, offset).wrapping_add(value));
        });
    }

    fn sum_floats<T: Copy + Into<f64>>(&self, rows: &Rows<'_>, values: &[T]) {
        let offset = self.offset;
        rows.each(|at, row| {
            let value: f64 = values[at].into();
            store(row, offset, load::<f64>(row, offset) + value);
            if let Some(seen) = self.seen.filter(|_| value.is_infinite()) {
                store(row, seen, load::<u8>(row, seen) | SEEN_INFINITY);
            }
        });
    }

    fn fold_booleans(&self, rows: &Rows<'_>, value: impl Fn(usize) -> bool) {
        let (offset, Some(seen)) = (self.offset, self.seen) else { return };
        let and = self.kind == Kind::And;
        rows.each(|at, row| {
            let before = load::<u8>(row, offset) != 0;
            let after = match and {
                true => value(at) && (before || load::<u8>(row, seen) == 0),
                false => value(at) || before,
            };
            store(row, offset, u8::from(after));
            store(row, seen, SEEN);
        });
    }

    fn pick<T: Cell>(&self, pick: Pick, rows: &Rows<'_>, values: &[T]) {
        let (offset, Some(seen)) = (self.offset, self.seen) else { return };
        rows.each(|at, row| {
            let value = values[at];
            if load::<u8>(row, seen) == 0 {
                store(row, seen, SEEN);
                store(row, offset, value);
            } else if pick.prefers(|| value.order(load(row, offset))) {
                store(row, offset, value);
            }
        });
    }

    fn pick_texts<'a>(
        &self,
        pick: Pick,
        rows: &Rows<'_>,
        value: impl Fn(usize) -> (View, &'a [u8]),
        heap: &mut impl Keep,
    ) -> Result<()> {
        let (offset, Some(seen)) = (self.offset, self.seen) else { return Ok(()) };
        let mut result = Ok(());
        rows.each(|at, row| {
            let (number, (view, bytes)) = (rows.numbers[at], value(at));
            let mut buffer = [0; INLINE];
            let better = load::<u8>(row, seen) == 0
                || pick.prefers(|| bytes.cmp(text(View(load(row, offset)), number, heap, &mut buffer)));
            if better && result.is_ok() {
                let kept = if view.is_inline() { Ok(view) } else { heap.keep(number, bytes) };
                match kept {
                    Ok(view) => {
                        store(row, seen, SEEN);
                        store(row, offset, view.0);
                    }
                    Err(error) => result = Err(error),
                }
            }
        });
        result
    }

    /// Adds the states of `others` to those of `rows`, pairwise. Strings of both lie in `heap` under their
    /// rows' numbers.
    pub(super) fn merge(
        &self,
        rows: (&[u32], &[*mut u8]),
        others: (&[u32], &[*const u8]),
        heap: &mut impl Keep,
    ) -> Result<()> {
        let offset = self.offset;
        // Only states that saw a value have one to give.
        let active: Option<Vec<u32>> = self.seen.map(|seen| {
            let saw = |&index: &u32| load::<u8>(others.1[index as usize], seen) != 0;
            (0..others.1.len() as u32).filter(saw).collect()
        });
        let rows = Rows { active: active.as_deref(), numbers: rows.0, pointers: rows.1 };
        fn values<T: Copy>(others: &[*const u8], offset: usize) -> Vec<T> {
            others.iter().map(|&row| load(row, offset)).collect()
        }
        if let Some(seen) =
            self.seen.filter(|_| matches!(self.kind, Kind::Sum64 | Kind::Sum128 | Kind::SumFloat))
        {
            rows.each(|at, row| store(row, seen, load::<u8>(row, seen) | load::<u8>(others.1[at], seen)));
        }
        match self.kind {
            Kind::Count | Kind::Sum64 => {
                let values: Vec<i64> = values(others.1, offset);
                self.sum_64(&rows, &values);
            }
            Kind::Sum128 => {
                let mut overflow = false;
                rows.each(|at, row| {
                    let other = load::<i128>(others.1[at], offset);
                    let (sum, over) = load::<i128>(row, offset).overflowing_add(other);
                    overflow |= over;
                    store(row, offset, sum);
                });
                if overflow {
                    return Err(self.out_of_range());
                }
            }
            Kind::SumFloat => rows.each(|at, row| {
                let other = load::<f64>(others.1[at], offset);
                store(row, offset, load::<f64>(row, offset) + other);
            }),
            Kind::And | Kind::Or => self.fold_booleans(&rows, |at| load::<u8>(others.1[at], offset) != 0),
            Kind::Pick(pick) => match self.output.physical {
                PhysicalType::Bool => self.pick(pick, &rows, &values::<u8>(others.1, offset)),
                PhysicalType::I8 => self.pick(pick, &rows, &values::<i8>(others.1, offset)),
                PhysicalType::I16 => self.pick(pick, &rows, &values::<i16>(others.1, offset)),
                PhysicalType::I32 => self.pick(pick, &rows, &values::<i32>(others.1, offset)),
                PhysicalType::I64 => self.pick(pick, &rows, &values::<i64>(others.1, offset)),
                PhysicalType::I128 => self.pick(pick, &rows, &values::<i128>(others.1, offset)),
                PhysicalType::F32 => self.pick(pick, &rows, &values::<f32>(others.1, offset)),
                PhysicalType::F64 => self.pick(pick, &rows, &values::<f64>(others.1, offset)),
                PhysicalType::Interval => self.pick(pick, &rows, &values::<Interval>(others.1, offset)),
                PhysicalType::View => {
                    let texts: Vec<Vec<u8>> = (0..others.1.len())
                        .map(|at| {
                            let seen = self.seen.is_none_or(|seen| load::<u8>(others.1[at], seen) != 0);
                            let view = if seen { View(load(others.1[at], offset)) } else { View(0) };
                            text(view, others.0[at], heap, &mut [0; INLINE]).to_vec()
                        })
                        .collect();
                    let value = |at: usize| {
                        let bytes: &[u8] = &texts[at];
                        // Only whether it is inline matters; the place is made anew.
                        let view =
                            if bytes.len() <= INLINE { View::inline(bytes) } else { View::new(bytes, 0, 0) };
                        (view, bytes)
                    };
                    return self.pick_texts(pick, &rows, value, heap);
                }
            },
        }
        Ok(())
    }

    /// The aggregates of `numbers`, rows of `rows` at `pointers`.
    pub(super) fn finish(
        &self,
        rows: &FrozenRows,
        numbers: &[u32],
        pointers: &[*const u8],
    ) -> Result<Vector> {
        let validity = self
            .seen
            .filter(|_| self.output.nullable)
            .map(|seen| Bitmap::from_fn(pointers.len(), |index| load::<u8>(pointers[index], seen) != 0));
        let validity = validity.filter(|validity| !validity.all());
        let sum = |value: fn(*const u8, usize) -> i128| -> Result<Values> {
            let sums: Vec<i128> = pointers.iter().map(|&row| value(row, self.offset)).collect();
            self.check(&sums)?;
            Ok(match self.output.physical {
                PhysicalType::I128 => Values::I128(sums.into()),
                _ => Values::I64(sums.into_iter().map(|sum| sum as i64).collect()),
            })
        };
        let values = match self.kind {
            Kind::Count | Kind::Sum64 => sum(|row, offset| load::<i64>(row, offset).into())?,
            Kind::Sum128 => sum(load::<i128>)?,
            Kind::SumFloat => {
                let sums: Vec<f64> = pointers.iter().map(|&row| load(row, self.offset)).collect();
                self.check_floats(&sums, pointers)?;
                match self.output.physical {
                    PhysicalType::F32 => Values::F32(sums.into_iter().map(|sum| sum as f32).collect()),
                    _ => Values::F64(sums.into()),
                }
            }
            Kind::Pick(_) | Kind::And | Kind::Or => {
                let field = Field { shape: self.output.clone(), offset: self.offset, null: None };
                rows.read_as(&field, numbers, pointers, false).flatten().values
            }
        };
        Ok(Flat::new(self.output.data_type, values, validity).into())
    }

    fn check(&self, sums: &[i128]) -> Result<()> {
        let (least, most) = self.output.data_type.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
        match sums.iter().all(|sum| (least..=most).contains(sum)) {
            true => Ok(()),
            false => Err(self.out_of_range()),
        }
    }

    /// A sum may be infinite only if a value was.
    fn check_floats(&self, sums: &[f64], rows: &[*const u8]) -> Result<()> {
        let narrow = self.output.physical == PhysicalType::F32;
        for (&sum, &row) in sums.iter().zip(rows) {
            let infinite = if narrow { (sum as f32).is_infinite() } else { sum.is_infinite() };
            let allowed = self.seen.is_some_and(|seen| load::<u8>(row, seen) & SEEN_INFINITY != 0);
            if infinite && !allowed {
                return Err(self.out_of_range());
            }
        }
        Ok(())
    }

    #[cold]
    fn out_of_range(&self) -> Error {
        let data_type: DataType = self.output.data_type;
        Error::Value(columnar::Error::OutOfRange { what: format!("sum of {data_type}") })
    }
}

kernel! {
    /// The sum of at most a batch of values of at most 32 bits.
    fn sum_narrow[T: Narrow](values: &[T]) -> i64 {
        values.iter().map(|&value| value.into()).sum()
    }
}

trait Narrow: Copy + Into<i64> {}
impl Narrow for i8 {}
impl Narrow for i16 {}
impl Narrow for i32 {}

kernel! {
    /// The sum of values of 64 bits: low and high halves apart, neither of which can overflow in a batch.
    fn sum_wide(values: &[i64]) -> i128 {
        let (mut low, mut high) = (0_u64, 0_i64);
        for &value in values {
            low += value as u64 & 0xffff_ffff;
            high += value >> 32;
        }
        (i128::from(high) << 32) + i128::from(low)
    }
}

impl Pick {
    /// Whether a further value replaces the one held, given how it orders to that.
    #[inline(always)]
    fn prefers(self, order: impl FnOnce() -> Ordering) -> bool {
        match self {
            Pick::Least => order() == Ordering::Less,
            Pick::Largest => order() == Ordering::Greater,
            Pick::First => false,
        }
    }
}

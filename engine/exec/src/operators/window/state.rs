//! What a task keeps of a unit for one call, so that the value of any frame is found fast.

use super::Windowing;
use super::call::{Call, Kind};
use super::frame::{Rows, integers_of};
use super::tree::Tree;
use super::unit::Chunk;
use crate::pages::{FrozenRows, NO_ROW, compare_rows};
use crate::{Error, Result};
use columnar::{Flat, Values};
use std::cmp::Ordering;

pub(super) enum State {
    Nothing,
    /// Rows with a value, and their places.
    Present {
        counts: Counts,
        places: Vec<u32>,
    },
    /// Rows with a value.
    Counted(Counts),
    /// Rows with a value, and those where it decides: true of a disjunction, false of a conjunction.
    Deciding {
        counts: Counts,
        deciding: Counts,
    },
    Integers {
        counts: Counts,
        sums: Sums,
    },
    Floats {
        counts: Counts,
        infinite: Counts,
        sums: FloatSums,
    },
    Best(Best),
}

/// How many of a unit's rows are such ones, up to each of them.
pub(super) struct Counts(Vec<u32>);

impl Counts {
    fn with_capacity(rows: usize) -> Counts {
        let mut counts = Vec::with_capacity(rows + 1);
        counts.push(0);
        Counts(counts)
    }

    fn extend(&mut self, ones: impl Iterator<Item = bool>) {
        let mut count = self.before(self.0.len() - 1);
        self.0.extend(ones.map(|one| {
            count += u32::from(one);
            count
        }));
    }

    /// How many lie before this place.
    pub(super) fn before(&self, place: usize) -> u32 {
        self.0[place]
    }

    /// How many lie in these rows.
    pub(super) fn within(&self, (start, end): Rows) -> u32 {
        self.0[end as usize] - self.0[start as usize]
    }
}

/// Sums of a unit's values up to each of them; exact, whatever leaves their width on the way.
pub(super) enum Sums {
    /// Of values of which as many as a unit can have fit 64 bits.
    Narrow(Vec<i64>),
    Wide(Vec<i128>),
    /// Of the upper and the lower 64 bits apart, neither of which can leave 128 bits.
    Halves {
        high: Vec<i128>,
        low: Vec<i128>,
    },
}

/// A unit has no more rows than 2^32: sums of values within these bounds stay within 64 and 128 bits.
const NARROW: i128 = 1 << 31;
const WIDE: i128 = 1 << 94;

impl Sums {
    fn new(bounds: (i128, i128), rows: usize) -> Sums {
        fn zero<T: Default>(rows: usize) -> Vec<T> {
            let mut sums = Vec::with_capacity(rows + 1);
            sums.push(T::default());
            sums
        }
        match Sums::width(bounds) {
            8 => Sums::Narrow(zero(rows)),
            16 => Sums::Wide(zero(rows)),
            _ => Sums::Halves { high: zero(rows), low: zero(rows) },
        }
    }

    /// Bytes a row.
    pub(super) fn width(bounds: (i128, i128)) -> u64 {
        let within = |most: i128| -most < bounds.0 && bounds.1 < most;
        match (within(NARROW), within(WIDE)) {
            (true, _) => 8,
            (_, true) => 16,
            _ => 32,
        }
    }

    fn extend(&mut self, values: impl Iterator<Item = i128>) {
        fn add<T: Copy>(sums: &mut Vec<T>, value: T, plus: fn(T, T) -> T) {
            if let Some(&sum) = sums.last() {
                sums.push(plus(sum, value));
            }
        }
        for value in values {
            match self {
                Sums::Narrow(sums) => add(sums, value as i64, i64::wrapping_add),
                Sums::Wide(sums) => add(sums, value, i128::wrapping_add),
                Sums::Halves { high, low } => {
                    add(high, value >> 64, i128::wrapping_add);
                    add(low, value & i128::from(u64::MAX), i128::wrapping_add);
                }
            }
        }
    }

    /// The sum of these rows; none where it leaves 128 bits.
    pub(super) fn of(&self, pieces: impl Iterator<Item = Rows>) -> Option<i128> {
        let (mut high, mut low) = (0_i128, 0_i128);
        for (start, end) in pieces {
            let (start, end) = (start as usize, end as usize);
            match self {
                Sums::Narrow(sums) => low += i128::from(sums[end].wrapping_sub(sums[start])),
                Sums::Wide(sums) => low += sums[end].wrapping_sub(sums[start]),
                Sums::Halves { high: upper, low: lower } => {
                    high += upper[end].wrapping_sub(upper[start]);
                    low += lower[end].wrapping_sub(lower[start]);
                }
            }
        }
        // What the lower halves carry is added first, so that only a sum that does not fit is refused.
        let carried = high + (low >> 64);
        let low = low & i128::from(u64::MAX);
        let high = i64::try_from(carried).ok()?;
        Some(i128::from(high) << 64 | low)
    }
}

/// Sums of floats: differences would lose what is small beside what is large.
pub(super) enum FloatSums {
    /// From the first row of the partition to each.
    Running(Vec<f64>),
    Tree(Tree<f64>),
}

impl FloatSums {
    pub(super) fn of(&self, pieces: impl Iterator<Item = Rows>) -> f64 {
        match self {
            FloatSums::Running(sums) => pieces.last().map_or(0.0, |(_, end)| sums[end as usize - 1]),
            FloatSums::Tree(tree) => {
                pieces.filter_map(|(start, end)| tree.fold(start, end, |a, b| a + b)).fold(0.0, |a, b| a + b)
            }
        }
    }
}

/// Places of the least or the largest values.
pub(super) enum Best {
    /// From the first row of the partition to each.
    Running(Vec<u32>),
    Tree(Tree<u32>),
}

impl State {
    pub(super) fn new(call: &Call, shared: &Windowing, rows: usize) -> State {
        let counts = || Counts::with_capacity(rows);
        let grows = shared.frames.get(call.frame).is_some_and(super::frame::Frame::grows);
        match call.kind {
            Kind::Count => State::Counted(counts()),
            Kind::Pick if !call.ignore_nulls => State::Nothing,
            Kind::Pick => State::Present { counts: counts(), places: Vec::with_capacity(rows) },
            Kind::Truth { .. } => State::Deciding { counts: counts(), deciding: counts() },
            Kind::SumIntegers(bounds) => State::Integers { counts: counts(), sums: Sums::new(bounds, rows) },
            Kind::SumFloats => State::Floats {
                counts: counts(),
                infinite: counts(),
                sums: match grows {
                    true => FloatSums::Running(Vec::with_capacity(rows)),
                    false => FloatSums::Tree(Tree::with_capacity(rows)),
                },
            },
            Kind::Best { .. } => State::Best(match grows {
                true => Best::Running(Vec::with_capacity(rows)),
                false => Best::Tree(Tree::with_capacity(rows)),
            }),
            Kind::Rank | Kind::CountRows => State::Nothing,
        }
    }

    /// Bytes that are kept of a row, at most.
    pub(super) fn bytes_a_row(kind: Kind, ignore_nulls: bool) -> u64 {
        match kind {
            Kind::Count => 4,
            Kind::Pick if !ignore_nulls => 0,
            Kind::Pick | Kind::Truth { .. } => 8,
            Kind::SumIntegers(bounds) => 4 + Sums::width(bounds),
            Kind::SumFloats => 8 + Tree::<f64>::bytes_a_value(),
            Kind::Best { .. } => Tree::<u32>::bytes_a_value(),
            Kind::Rank | Kind::CountRows => 0,
        }
    }

    /// Takes further rows.
    pub(super) fn gather(&mut self, call: &Call, chunk: &Chunk<'_>) -> Result<()> {
        if let State::Nothing = self {
            return Ok(());
        }
        let field = call.field.ok_or_else(|| Error::Internal("a window has no argument".into()))?;
        if let State::Best(best) = self {
            best.gather(call, field, chunk);
            return Ok(());
        }
        let flat = chunk.read(field);
        let present = || (0..flat.len()).map(|row| !flat.is_null(row));
        match self {
            State::Nothing | State::Best(_) => {}
            State::Counted(counts) => counts.extend(present()),
            State::Present { counts, places } => {
                counts.extend(present());
                let found = chunk.places().zip(present()).filter(|(_, present)| *present);
                places.extend(found.map(|((place, _), _)| place));
            }
            State::Deciding { counts, deciding } => {
                counts.extend(present());
                let (Values::Bool(bits), Kind::Truth { decides }) = (&flat.values, call.kind) else {
                    return Err(Error::Internal("a window takes the truth of no boolean".into()));
                };
                deciding
                    .extend(present().enumerate().map(|(row, present)| present && bits.get(row) == decides));
            }
            State::Integers { counts, sums } => {
                counts.extend(present());
                let values = integers_of(&flat)?.into_iter().zip(present());
                sums.extend(values.map(|(value, present)| if present { value } else { 0 }));
            }
            State::Floats { counts, infinite, sums } => {
                counts.extend(present());
                let values = floats_of(&flat)?;
                let values: Vec<f64> = values
                    .into_iter()
                    .zip(present())
                    .map(|(value, present)| if present { value } else { 0.0 })
                    .collect();
                infinite.extend(values.iter().map(|value| value.is_infinite()));
                match sums {
                    FloatSums::Running(sums) => {
                        let mut sum = sums.last().copied().unwrap_or(0.0);
                        for ((_, starts), value) in chunk.places().zip(values) {
                            sum = if starts { value } else { sum + value };
                            sums.push(sum);
                        }
                    }
                    FloatSums::Tree(tree) => {
                        values.into_iter().for_each(|value| tree.push(value, |a, b| a + b))
                    }
                }
            }
        }
        Ok(())
    }
}

impl Best {
    fn gather(&mut self, call: &Call, field: usize, chunk: &Chunk<'_>) {
        let is_null = |place: u32| {
            let number = chunk.numbers[place as usize];
            chunk.rows.layout().fields[field].is_null(chunk.rows.pointer(number))
        };
        let better = |a: u32, b: u32| call.better(field, chunk.rows, chunk.numbers, a, b);
        for (place, starts) in chunk.places() {
            let own = if is_null(place) { NO_ROW } else { place };
            match self {
                Best::Running(best) => {
                    let before = best.last().copied().filter(|_| !starts).unwrap_or(NO_ROW);
                    best.push(better(before, own));
                }
                Best::Tree(tree) => tree.push(own, better),
            }
        }
    }

    /// The place of the best value of these rows, if they have one.
    pub(super) fn of(&self, pieces: impl Iterator<Item = Rows>, better: impl Fn(u32, u32) -> u32) -> u32 {
        let found = match self {
            Best::Running(best) => pieces.last().map(|(_, end)| best[end as usize - 1]),
            Best::Tree(tree) => {
                pieces.filter_map(|(start, end)| tree.fold(start, end, &better)).reduce(&better)
            }
        };
        found.unwrap_or(NO_ROW)
    }
}

impl Call {
    /// Of two places, or [`NO_ROW`], the one with the better value in a field: the first where they are alike.
    pub(super) fn better(&self, field: usize, rows: &FrozenRows, numbers: &[u32], a: u32, b: u32) -> u32 {
        if a == NO_ROW || b == NO_ROW {
            return if a == NO_ROW { b } else { a };
        }
        let (first, second) = (numbers[a as usize], numbers[b as usize]);
        let field = &rows.layout().fields[field];
        let (x, y) = ((first, rows.pointer(first), rows), (second, rows.pointer(second), rows));
        let order = compare_rows(field, x, y);
        let worse = match self.kind {
            Kind::Best { least: true } => Ordering::Greater,
            _ => Ordering::Less,
        };
        if order == worse { b } else { a }
    }
}

fn floats_of(flat: &Flat) -> Result<Vec<f64>> {
    match &flat.values {
        Values::F32(values) => Ok(values.iter().map(|&value| value.into()).collect()),
        Values::F64(values) => Ok(values.to_vec()),
        other => Err(Error::Internal(format!("{:?} are no floats", other.physical()))),
    }
}

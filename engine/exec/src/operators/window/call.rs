//! One call: what it is given, what is kept for it, and its value for a row.

use super::frame::{Frame, Rows, integers_of};
use super::state::{Counts, State};
use super::unit::{Place, Unit};
use super::{Windowing, field_of};
use crate::operators::keys::at_width;
use crate::pages::{FrozenRows, NO_ROW};
use crate::plan::{AggregateFunction, WindowCall, WindowFunction};
use crate::{Error, Expr, Result, Shape};
use columnar::{Bitmap, DataType, Flat, PhysicalType, Values, Vector};

/// A call over the sorted rows.
pub(super) struct Call {
    function: WindowFunction,
    pub(super) kind: Kind,
    /// The field of its first argument.
    pub(super) field: Option<usize>,
    count: Option<Argument>,
    pub(super) ignore_nulls: bool,
    /// The number of its frame.
    pub(super) frame: usize,
    pub(super) shape: Shape,
}

/// How a call is evaluated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    /// By the row's place alone.
    Rank,
    /// The value of another row.
    Pick,
    CountRows,
    Count,
    /// Of integers within these bounds.
    SumIntegers((i128, i128)),
    SumFloats,
    /// The value of the row where it is least or largest.
    Best {
        least: bool,
    },
    /// Of booleans, one of which may decide.
    Truth {
        decides: bool,
    },
}

/// A number of rows, or the number of one.
enum Argument {
    Literal(Option<i128>),
    Field(usize),
}

/// Whether an aggregate can be computed over frames.
pub fn has_frames(function: AggregateFunction) -> bool {
    use AggregateFunction::{AnyValue, BoolAnd, BoolOr, Count, CountRows, Max, Min, Sum, SumCounts};
    matches!(function, CountRows | Count | Sum | SumCounts | Min | Max | AnyValue | BoolAnd | BoolOr)
}

impl Call {
    /// `frame` is the number of its frame, `input` the shapes of the rows.
    pub(super) fn new(call: &WindowCall, frame: usize, input: &[Shape]) -> Result<Call> {
        // The buckets of ntile are its only argument.
        let (value, count) = match call.function {
            WindowFunction::Ntile => (None, call.args.first()),
            _ => (call.args.first(), call.args.get(1)),
        };
        let field = value.map(|arg| field_of(arg, input)).transpose()?;
        let argument = field.map(|field| &input[field]);
        let whole = Shape::of_type(call.data_type);
        let counted = Shape { nullable: false, bounds: Some((0, i64::MAX.into())), ..whole.clone() };
        let numbered =
            Shape { nullable: false, bounds: whole.bounds.map(|(_, most)| (1, most)), ..whole.clone() };
        let picked = || match argument {
            Some(shape) => Ok(Shape { nullable: true, ..shape.clone() }),
            None => Err(Error::Internal(format!("{:?} without an argument", call.function))),
        };
        use WindowFunction::{Aggregate, CumeDist, DenseRank, FirstValue, Lag, LastValue, Lead, NthValue};
        use WindowFunction::{Ntile, PercentRank, Rank, RowNumber};
        let mut ignore_nulls = call.ignore_nulls;
        let (kind, shape) = match call.function {
            RowNumber | Rank | DenseRank => (Kind::Rank, numbered),
            Ntile => (Kind::Rank, Shape { nullable: true, ..numbered }),
            PercentRank | CumeDist => (Kind::Rank, Shape { nullable: false, ..whole }),
            Lag | Lead | FirstValue | LastValue | NthValue => (Kind::Pick, picked()?),
            Aggregate(other) if !has_frames(other) => {
                return Err(Error::Unsupported(format!("{other:?} over a window")));
            }
            Aggregate(function) => match function {
                AggregateFunction::CountRows => (Kind::CountRows, counted),
                AggregateFunction::Count => (Kind::Count, counted),
                AggregateFunction::Sum | AggregateFunction::SumCounts => {
                    let shape = Shape { nullable: function == AggregateFunction::Sum, ..whole };
                    let bounds = picked()?.bounds.or(picked()?.physical.integer_bounds());
                    (bounds.map_or(Kind::SumFloats, Kind::SumIntegers), shape)
                }
                AggregateFunction::Min => (Kind::Best { least: true }, picked()?),
                AggregateFunction::Max => (Kind::Best { least: false }, picked()?),
                AggregateFunction::AnyValue => {
                    ignore_nulls = true;
                    (Kind::Pick, picked()?)
                }
                AggregateFunction::BoolAnd => (Kind::Truth { decides: false }, whole),
                _ => (Kind::Truth { decides: true }, whole),
            },
        };
        let count = match count {
            None => None,
            Some(Expr::Literal(value)) => Some(Argument::Literal(value.scalar.as_integer())),
            Some(other) => Some(Argument::Field(field_of(other, input)?)),
        };
        Ok(Call { function: call.function, kind, field, count, ignore_nulls, frame, shape })
    }

    pub(super) fn bytes_a_row(&self) -> u64 {
        State::bytes_a_row(self.kind, self.ignore_nulls)
    }

    /// What is kept of a unit of so many rows.
    pub(super) fn state(&self, shared: &Windowing, rows: usize) -> State {
        State::new(self, shared, rows)
    }

    /// A value for each of `places`; `bounds` are those of the frames.
    pub(super) fn values(
        &self,
        rows: &FrozenRows,
        unit: &Unit,
        state: &State,
        frame: (&Frame, &[Rows]),
        places: &[Place],
    ) -> Result<Vector> {
        let (frame, bounds) = frame;
        let framed = || bounds.iter().zip(places).map(|(&bounds, place)| frame.pieces(bounds, place));
        let length = |(start, end): Rows| i128::from(end - start);
        match (self.kind, state) {
            (Kind::Rank, _) => self.ranks(rows, unit, places),
            (Kind::Pick, _) => {
                let found = match self.function {
                    WindowFunction::Lag | WindowFunction::Lead => self.moved(rows, unit, state, places)?,
                    _ => {
                        let wanted = self.counts(rows, unit, places)?;
                        let places =
                            framed().zip(&wanted).map(|(pieces, wanted)| self.nth(pieces, state, *wanted));
                        places.collect::<Result<Vec<_>>>()?
                    }
                };
                self.picked(rows, unit, &found)
            }
            (Kind::CountRows, _) => {
                Ok(self.integers(framed().map(|pieces| Some(pieces.map(length).sum())).collect()))
            }
            (Kind::Count, State::Counted(counts)) => {
                let counted =
                    framed().map(|pieces| Some(pieces.map(|rows| i128::from(counts.within(rows))).sum()));
                Ok(self.integers(counted.collect()))
            }
            (Kind::SumIntegers(_), State::Integers { counts, sums }) => {
                let (least, most) = self.shape.data_type.integer_bounds().unwrap_or((i128::MIN, i128::MAX));
                let summed = framed().map(|pieces| {
                    let pieces: Vec<Rows> = pieces.collect();
                    if !any(counts, &pieces) {
                        return Ok((!self.shape.nullable).then_some(0));
                    }
                    let sum = sums.of(pieces.into_iter()).filter(|sum| (least..=most).contains(sum));
                    sum.map(Some).ok_or_else(|| self.out_of_range())
                });
                Ok(self.integers(summed.collect::<Result<_>>()?))
            }
            (Kind::SumFloats, State::Floats { counts, infinite, sums }) => {
                let narrow = self.shape.physical == PhysicalType::F32;
                let summed = framed().map(|pieces| {
                    let pieces: Vec<Rows> = pieces.collect();
                    if !any(counts, &pieces) {
                        return Ok(None);
                    }
                    let sum = sums.of(pieces.iter().copied());
                    let is_infinite = if narrow { (sum as f32).is_infinite() } else { sum.is_infinite() };
                    // A sum may be infinite only if a value was.
                    match is_infinite && !any(infinite, &pieces) {
                        true => Err(self.out_of_range()),
                        false => Ok(Some(sum)),
                    }
                });
                Ok(self.floats(&summed.collect::<Result<Vec<_>>>()?))
            }
            (Kind::Best { .. }, State::Best(best)) => {
                let field = self.field.unwrap_or_default();
                let better = |a: u32, b: u32| self.better(field, rows, &unit.numbers, a, b);
                let found: Vec<u32> = framed().map(|pieces| best.of(pieces, better)).collect();
                self.picked(rows, unit, &found)
            }
            (Kind::Truth { decides }, State::Deciding { counts, deciding }) => {
                let truths = framed().map(|pieces| {
                    let pieces: Vec<Rows> = pieces.collect();
                    any(counts, &pieces).then(|| any(deciding, &pieces) == decides)
                });
                let truths: Vec<Option<bool>> = truths.collect();
                let bits = Bitmap::from_fn(truths.len(), |row| truths[row] == Some(true));
                Ok(self.flat(Values::Bool(bits), |row| truths[row].is_some(), truths.len()))
            }
            (kind, _) => Err(Error::Internal(format!("a window keeps something else for {kind:?}"))),
        }
    }

    fn ranks(&self, rows: &FrozenRows, unit: &Unit, places: &[Place]) -> Result<Vector> {
        use WindowFunction::{CumeDist, DenseRank, Ntile, PercentRank, Rank};
        let size = |place: &Place| place.partition.1 - place.partition.0;
        let before = |place: &Place| place.peers.0 - place.partition.0;
        Ok(match self.function {
            PercentRank => {
                let rank = |place: &Place| match size(place) {
                    1 => Some(0.0),
                    size => Some(f64::from(before(place)) / f64::from(size - 1)),
                };
                self.floats(&places.iter().map(rank).collect::<Vec<_>>())
            }
            CumeDist => {
                let share = |place: &Place| {
                    Some(f64::from(place.peers.1 - place.partition.0) / f64::from(size(place)))
                };
                self.floats(&places.iter().map(share).collect::<Vec<_>>())
            }
            Ntile => {
                let buckets = self.counts(rows, unit, places)?;
                let bucket = |(place, buckets): (&Place, Option<i128>)| match buckets {
                    None => Ok(None),
                    Some(buckets @ 1..) => {
                        let (size, row) =
                            (i128::from(size(place)), i128::from(place.row - place.partition.0));
                        // The first buckets have one row more than the others.
                        let (least, longer) = (size / buckets, size % buckets);
                        let of_longer = longer * (least + 1);
                        Ok(Some(match row < of_longer {
                            true => row / (least + 1) + 1,
                            false => longer + (row - of_longer) / least.max(1) + 1,
                        }))
                    }
                    Some(_) => Err(out_of_range("the number of buckets of ntile, which is from 1 on,")),
                };
                self.integers(places.iter().zip(buckets).map(bucket).collect::<Result<_>>()?)
            }
            Rank => self.integers(places.iter().map(|place| Some(i128::from(before(place)) + 1)).collect()),
            DenseRank => {
                let rank = |place: &Place| Some(i128::from(place.group - place.first_group) + 1);
                self.integers(places.iter().map(rank).collect())
            }
            _ => {
                let number = |place: &Place| Some(i128::from(place.row - place.partition.0) + 1);
                self.integers(places.iter().map(number).collect())
            }
        })
    }

    /// The number of rows, or the number of one, that the call is given beside its argument; 1 where it is given none.
    fn counts(&self, rows: &FrozenRows, unit: &Unit, places: &[Place]) -> Result<Vec<Option<i128>>> {
        let field = match &self.count {
            None => return Ok(vec![Some(1); places.len()]),
            Some(Argument::Literal(count)) => return Ok(vec![*count; places.len()]),
            Some(Argument::Field(field)) => *field,
        };
        let numbers: Vec<u32> = places.iter().map(|place| unit.numbers[place.row as usize]).collect();
        let flat = rows.read(field, &numbers, &rows.pointers(&numbers), false).flatten();
        let counts = integers_of(&flat)?;
        Ok(counts
            .into_iter()
            .enumerate()
            .map(|(row, count)| Some(count).filter(|_| !flat.is_null(row)))
            .collect())
    }

    /// The places of rows so many before or after.
    fn moved(&self, rows: &FrozenRows, unit: &Unit, state: &State, places: &[Place]) -> Result<Vec<u32>> {
        let counts = self.counts(rows, unit, places)?;
        let back = self.function == WindowFunction::Lag;
        let target = |(place, count): (&Place, Option<i128>)| -> Option<u32> {
            let count = count?;
            let by = if back { count.checked_neg()? } else { count };
            let (first, last) = (i128::from(place.partition.0), i128::from(place.partition.1));
            let within = |target: i128, first: i128, last: i128| {
                (first <= target && target < last).then_some(target as u32)
            };
            match state {
                State::Present { counts, places } if by != 0 => {
                    let row = place.row as usize;
                    let from =
                        if by > 0 { counts.before(row + 1).into() } else { i128::from(counts.before(row)) };
                    let number = from.checked_add(if by > 0 { by - 1 } else { by })?;
                    let first = counts.before(first as usize).into();
                    let last = counts.before(last as usize).into();
                    within(number, first, last).map(|number| places[number as usize])
                }
                _ => within(i128::from(place.row).checked_add(by)?, first, last),
            }
        };
        Ok(places.iter().zip(counts).map(|pair| target(pair).unwrap_or(NO_ROW)).collect())
    }

    /// The place of the first row of a frame, of the last, or of the one of this number.
    fn nth(
        &self,
        pieces: impl DoubleEndedIterator<Item = Rows>,
        state: &State,
        wanted: Option<i128>,
    ) -> Result<u32> {
        // Where nulls are passed over, rows are counted among those with a value.
        let counted = |(start, end): Rows| match state {
            State::Present { counts, .. } => (counts.before(start as usize), counts.before(end as usize)),
            _ => (start, end),
        };
        let place = |number: u32| match state {
            State::Present { places, .. } => places[number as usize],
            _ => number,
        };
        let mut pieces = pieces.map(counted).filter(|(start, end)| start < end);
        let found = match self.function {
            WindowFunction::LastValue => pieces.next_back().map(|(_, end)| end - 1),
            WindowFunction::NthValue => {
                let Some(wanted) = wanted else { return Ok(NO_ROW) };
                if wanted < 1 {
                    return Err(out_of_range("the row of nth_value, which is from 1 on,"));
                }
                let mut left = wanted - 1;
                pieces.find_map(|(start, end)| {
                    let length = i128::from(end - start);
                    if left < length {
                        return Some(start + left as u32);
                    }
                    left -= length;
                    None
                })
            }
            _ => pieces.next().map(|(start, _)| start),
        };
        Ok(found.map_or(NO_ROW, place))
    }

    /// The argument's values at these places; null at [`NO_ROW`].
    fn picked(&self, rows: &FrozenRows, unit: &Unit, places: &[u32]) -> Result<Vector> {
        let field = self.field.ok_or_else(|| Error::Internal("a window has no argument".into()))?;
        let number = |&place: &u32| if place == NO_ROW { NO_ROW } else { unit.numbers[place as usize] };
        let numbers: Vec<u32> = places.iter().map(number).collect();
        let pointers = rows.pointers_or_null(&numbers);
        Ok(rows.read(field, &numbers, &pointers, true))
    }

    fn integers(&self, values: Vec<Option<i128>>) -> Vector {
        let wide = values.iter().map(|value| value.unwrap_or(0));
        let values_of_width = match self.shape.physical {
            PhysicalType::I64 => Values::I64(wide.map(|value| value as i64).collect()),
            PhysicalType::I32 => Values::I32(wide.map(|value| value as i32).collect()),
            _ => Values::I128(wide.collect()),
        };
        let vector = self.flat(values_of_width, |row| values[row].is_some(), values.len());
        at_width(&vector, self.shape.physical)
    }

    fn floats(&self, values: &[Option<f64>]) -> Vector {
        let wide = values.iter().map(|value| value.unwrap_or(0.0));
        let values_of_width = match self.shape.physical {
            PhysicalType::F32 => Values::F32(wide.map(|value| value as f32).collect()),
            _ => Values::F64(wide.collect()),
        };
        self.flat(values_of_width, |row| values[row].is_some(), values.len())
    }

    fn flat(&self, values: Values, is_valid: impl FnMut(usize) -> bool, rows: usize) -> Vector {
        let validity = Some(Bitmap::from_fn(rows, is_valid)).filter(|validity| !validity.all());
        Flat::new(self.shape.data_type, values, validity).into()
    }

    #[cold]
    fn out_of_range(&self) -> Error {
        let data_type: DataType = self.shape.data_type;
        out_of_range(&format!("sum of {data_type}"))
    }
}

fn any(counts: &Counts, pieces: &[Rows]) -> bool {
    pieces.iter().any(|&rows| counts.within(rows) > 0)
}

#[cold]
fn out_of_range(what: &str) -> Error {
    Error::Value(columnar::Error::OutOfRange { what: what.into() })
}

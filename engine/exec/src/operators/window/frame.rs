//! The frame of a row: which rows of its partition a function looks at.

use super::field_of;
use super::unit::{Chunk, Place, Unit};
use crate::functions::add_months;
use crate::plan::{FrameBound, FrameExclusion, FrameUnit, SortKey, WindowFrame};
use crate::{Error, Result, Shape};
use columnar::scalar::compare_floats;
use columnar::{DataType, Flat, Interval, Scalar, Value, Values};
use std::cmp::Ordering;

/// How the frames of rows are found.
pub(super) struct Frame {
    start: Bound,
    end: Bound,
    unit: FrameUnit,
    exclusion: FrameExclusion,
    /// Of offsets that are differences of a key.
    range: Option<Range>,
}

enum Bound {
    UnboundedPreceding,
    Preceding(Offset),
    CurrentRow,
    Following(Offset),
    UnboundedFollowing,
}

enum Offset {
    /// Of rows or groups.
    Count(u64),
    /// Of keys that are integers, or compared as such.
    Integer(i128),
    Float(f64),
    /// Of moments.
    Span(Interval),
}

/// The key whose differences offsets are.
struct Range {
    field: usize,
    descending: bool,
    /// For moments that are moved by intervals: how many nanoseconds a tick has.
    tick_nanos: Option<i128>,
    floats: bool,
}

/// The keys of a unit's rows, integers or floats, whichever they are.
pub(super) struct Keys {
    nulls: Vec<bool>,
    integers: Vec<i128>,
    floats: Vec<f64>,
}

/// Rows of a frame: a first one, and the one after the last.
pub(super) type Rows = (u32, u32);

const DAY_NANOS: i128 = 86_400_000_000_000;

impl Frame {
    /// `order` are the sort keys that `frame` counts peers by; `input` the shapes of the rows.
    pub(super) fn new(frame: &WindowFrame, order: &[SortKey], input: &[Shape]) -> Result<Frame> {
        let offsets = [&frame.start, &frame.end].into_iter().filter_map(|bound| match bound {
            FrameBound::Preceding(value) | FrameBound::Following(value) => Some(value),
            _ => None,
        });
        let spans = offsets.clone().any(|offset| offset.data_type == DataType::Interval);
        let range = match (frame.unit, offsets.count()) {
            (FrameUnit::Range, 1..) => {
                let (Some(key), [order]) = (&frame.key, order) else {
                    return Err(Error::Internal("a range of a window has no key".into()));
                };
                let tick_nanos = match key.data_type() {
                    DataType::Timestamp { unit, .. } if spans => {
                        Some(i128::from(1_000_000_000 / unit.per_second()))
                    }
                    _ => None,
                };
                let floats = key.data_type().is_float();
                Some(Range { field: field_of(key, input)?, descending: order.descending, tick_nanos, floats })
            }
            _ => None,
        };
        let bound = |bound: &FrameBound| {
            Ok::<_, Error>(match bound {
                FrameBound::UnboundedPreceding => Bound::UnboundedPreceding,
                FrameBound::Preceding(value) => Bound::Preceding(offset(value, range.as_ref())?),
                FrameBound::CurrentRow => Bound::CurrentRow,
                FrameBound::Following(value) => Bound::Following(offset(value, range.as_ref())?),
                FrameBound::UnboundedFollowing => Bound::UnboundedFollowing,
            })
        };
        let (start, end) = (bound(&frame.start)?, bound(&frame.end)?);
        Ok(Frame { start, end, unit: frame.unit, exclusion: frame.exclusion, range })
    }

    /// Whether a row's frame begins with its partition and has no gaps.
    pub(super) fn grows(&self) -> bool {
        matches!(self.start, Bound::UnboundedPreceding) && self.exclusion == FrameExclusion::NoOthers
    }

    pub(super) fn bytes_a_row(&self) -> u64 {
        match &self.range {
            Some(Range { floats: true, .. }) => 9,
            Some(_) => 17,
            None => 0,
        }
    }

    /// What is kept of the keys of so many rows, if they are needed.
    pub(super) fn keys(&self, rows: usize) -> Option<Keys> {
        let range = self.range.as_ref()?;
        let (integers, floats) = if range.floats { (0, rows) } else { (rows, 0) };
        Some(Keys {
            nulls: Vec::with_capacity(rows),
            integers: Vec::with_capacity(integers),
            floats: Vec::with_capacity(floats),
        })
    }

    pub(super) fn gather(&self, keys: &mut Keys, chunk: &Chunk<'_>) -> Result<()> {
        let Some(range) = &self.range else { return Ok(()) };
        let flat = chunk.read(range.field);
        keys.nulls.extend((0..flat.len()).map(|row| flat.is_null(row)));
        match &flat.values {
            Values::F32(values) if range.floats => {
                keys.floats.extend(values.iter().map(|&key| f64::from(key)))
            }
            Values::F64(values) if range.floats => keys.floats.extend(values.iter()),
            _ if range.floats => return Err(Error::Internal("the key of a range is no float".into())),
            _ => keys.integers.extend(integers_of(&flat)?),
        }
        Ok(())
    }

    /// The bounds of the rows' frames, as far as they lie within the partition; where there is nothing between them both
    /// are the same. What is excluded lies between them still.
    pub(super) fn bounds(&self, unit: &Unit, places: &[Place], keys: Option<&Keys>) -> Result<Vec<Rows>> {
        let bounds = places.iter().map(|place| {
            let start = self.edge(&self.start, false, unit, place, keys)?;
            let end = self.edge(&self.end, true, unit, place, keys)?;
            Ok((start, end.max(start)))
        });
        bounds.collect()
    }

    /// One bound of a row's frame; of an `end` the row after it.
    fn edge(&self, bound: &Bound, end: bool, unit: &Unit, place: &Place, keys: Option<&Keys>) -> Result<u32> {
        let (first, last) = place.partition;
        let (forward, offset) = match bound {
            Bound::UnboundedPreceding => return Ok(first),
            Bound::UnboundedFollowing => return Ok(last),
            Bound::CurrentRow => {
                return Ok(match (self.unit, end) {
                    (FrameUnit::Rows, _) => place.row + u32::from(end),
                    (_, false) => place.peers.0,
                    (_, true) => place.peers.1,
                });
            }
            Bound::Preceding(offset) => (false, offset),
            Bound::Following(offset) => (true, offset),
        };
        match (self.unit, offset) {
            (FrameUnit::Rows, Offset::Count(count)) => {
                let row = u64::from(place.row + u32::from(end));
                let moved = if forward { row.saturating_add(*count) } else { row.saturating_sub(*count) };
                Ok(moved.clamp(first.into(), last.into()) as u32)
            }
            (FrameUnit::Groups, Offset::Count(count)) => {
                let group = u64::from(place.group);
                if !forward && *count > group - u64::from(place.first_group) {
                    return Ok(first);
                }
                let moved = if forward { group.saturating_add(*count) } else { group - count };
                let after = moved.saturating_add(u64::from(end));
                let start = usize::try_from(after).ok().and_then(|group| unit.peers.get(group));
                Ok(start.map_or(last, |&start| start.clamp(first, last)))
            }
            _ => {
                let (Some(range), Some(keys)) = (&self.range, keys) else {
                    return Err(Error::Internal("a frame has an offset of another kind".into()));
                };
                Ok(range.edge(keys, place, offset, forward, end))
            }
        }
    }

    /// The parts of a row's frame that are left of what is excluded, in order.
    pub(super) fn pieces(&self, (start, end): Rows, place: &Place) -> impl DoubleEndedIterator<Item = Rows> {
        let (row, (first, last)) = (place.row, place.peers);
        let own = (row.max(start), (row + 1).min(end));
        let before = |place: u32| (start, end.min(place.max(start)));
        let after = |place: u32| (start.max(place.min(end)), end);
        let none = (start, start);
        let pieces = match self.exclusion {
            FrameExclusion::NoOthers => [(start, end), none, none],
            FrameExclusion::CurrentRow => [before(row), after(row + 1), none],
            FrameExclusion::Group => [before(first), after(last), none],
            FrameExclusion::Ties => [before(first), own, after(last)],
        };
        pieces.into_iter().filter(|(start, end)| start < end)
    }
}

fn offset(value: &Value, range: Option<&Range>) -> Result<Offset> {
    let wrong = || Error::Internal(format!("{value} is no offset of such a frame"));
    Ok(match (&value.scalar, range) {
        (Scalar::Integer(count), None) => Offset::Count(u64::try_from(*count).map_err(|_| wrong())?),
        (Scalar::Integer(difference), Some(_)) => Offset::Integer(*difference),
        (Scalar::Float(difference), Some(Range { floats: true, .. })) => Offset::Float(*difference),
        (Scalar::Interval(span), Some(Range { tick_nanos: Some(_), .. })) => Offset::Span(*span),
        (Scalar::Interval(span), Some(_)) => Offset::Integer(span.comparison_micros()),
        _ => return Err(wrong()),
    })
}

impl Range {
    /// A bound that lies so far from a row by its key: the first row that is not before it, or of an `end` the first that is
    /// after it. Rows whose key is null have each other.
    fn edge(&self, keys: &Keys, place: &Place, offset: &Offset, forward: bool, end: bool) -> u32 {
        let row = place.row as usize;
        if keys.nulls[row] {
            return if end { place.peers.1 } else { place.peers.0 };
        }
        // Nulls are together at one end.
        let (mut first, mut last) = (place.partition.0 as usize, place.partition.1 as usize);
        let nulls = &keys.nulls[first..last];
        if keys.nulls[first] {
            first += nulls.partition_point(|&null| null);
        } else {
            last = first + nulls.partition_point(|&null| !null);
        }
        let adds = forward != self.descending;
        let place_of = |order: &dyn Fn(usize) -> Ordering| {
            let is_before = |place: usize| {
                let order = if self.descending { order(place).reverse() } else { order(place) };
                order == Ordering::Less || end && order == Ordering::Equal
            };
            let (mut low, mut high) = (first, last);
            while low < high {
                let middle = low + (high - low) / 2;
                if is_before(middle) { low = middle + 1 } else { high = middle }
            }
            low as u32
        };
        match offset {
            Offset::Float(difference) => {
                let key = keys.floats[row];
                let target = if adds { key + difference } else { key - difference };
                if target.is_nan() && !key.is_nan() {
                    // Infinity less infinity: every row is near enough.
                    return if end { last as u32 } else { first as u32 };
                }
                place_of(&|place| compare_floats(keys.floats[place], target))
            }
            Offset::Span(span) => {
                let tick = self.tick_nanos.unwrap_or(1);
                let target = moved(keys.integers[row] * tick, *span, if adds { 1 } else { -1 });
                place_of(&|place| (keys.integers[place] * tick).cmp(&target))
            }
            Offset::Integer(_) | Offset::Count(_) => {
                let difference = match offset {
                    Offset::Integer(difference) => *difference,
                    _ => 0,
                };
                let key = keys.integers[row];
                let target = match adds {
                    true => key.saturating_add(difference),
                    false => key.saturating_sub(difference),
                };
                place_of(&|place| keys.integers[place].cmp(&target))
            }
        }
    }
}

/// A moment moved by an interval, in nanoseconds: months, then days, then the clock.
fn moved(nanos: i128, span: Interval, sign: i64) -> i128 {
    let (mut days, clock) = (nanos.div_euclid(DAY_NANOS) as i64, nanos.rem_euclid(DAY_NANOS));
    if span.months != 0 {
        days = add_months(days, sign * i64::from(span.months));
    }
    days += sign * i64::from(span.days);
    i128::from(days) * DAY_NANOS + clock + i128::from(sign) * i128::from(span.micros) * 1_000
}

/// The values as integers by whose order they are ordered; those of nulls are any.
pub(super) fn integers_of(flat: &Flat) -> Result<Vec<i128>> {
    Ok(match &flat.values {
        Values::I8(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I16(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I32(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I64(values) => values.iter().map(|&value| value.into()).collect(),
        Values::I128(values) => values.to_vec(),
        Values::Interval(values) => values.iter().map(|value| value.comparison_micros()).collect(),
        other => return Err(Error::Internal(format!("{:?} are no integers", other.physical()))),
    })
}

//! Windows as the words mean them, each row's frame looked through anew.

use super::reference::{Row, eval, fold, is_null, sort};
use columnar::{DataType, Interval, Scalar, Value};
use exec::Expr;
use exec::plan::*;
use std::cmp::Ordering;

type Answer<T> = Result<T, String>;

/// The rows with the values of the calls after their columns.
pub(super) fn window(rows: Vec<Row>, window: &Window) -> Answer<Vec<Row>> {
    let mut partitions: Vec<(Row, Vec<Row>)> = Vec::new();
    for row in rows {
        let key: Row = window.partition.iter().map(|key| eval(key, &row)).collect::<Answer<_>>()?;
        match partitions.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(row),
            None => partitions.push((key, vec![row])),
        }
    }
    let mut answer = Vec::new();
    for (_, members) in partitions {
        let rows = sort(members, &window.order)?;
        let keys = |row: &Row| window.order.iter().map(|key| eval(&key.expr, row)).collect::<Answer<Row>>();
        let keys = rows.iter().map(keys).collect::<Answer<Vec<Row>>>()?;
        // The number of each row's group of peers.
        let mut groups = vec![0_usize; rows.len()];
        for row in 1..rows.len() {
            groups[row] = groups[row - 1] + usize::from(keys[row] != keys[row - 1]);
        }
        let partition = Partition { rows: &rows, groups: &groups, order: &window.order };
        for (at, row) in rows.iter().enumerate() {
            let calls = window.calls.iter().map(|call| partition.value(call, at)).collect::<Answer<Row>>()?;
            answer.push(row.iter().cloned().chain(calls).collect());
        }
    }
    Ok(answer)
}

struct Partition<'a> {
    rows: &'a [Row],
    groups: &'a [usize],
    order: &'a [SortKey],
}

impl Partition<'_> {
    fn value(&self, call: &WindowCall, at: usize) -> Answer<Scalar> {
        use WindowFunction::*;
        let peers = |row: &usize| self.groups[*row] == self.groups[at];
        let all = || 0..self.rows.len();
        let first = all().find(peers).unwrap_or(at);
        let number = |count: usize| Scalar::Integer(count as i128);
        let argument = |row: usize, argument: usize| eval(&call.args[argument], &self.rows[row]);
        let count = |argument_at: usize| match call.args.get(argument_at) {
            None => Ok(Some(1)),
            Some(count) => eval(count, &self.rows[at]).map(|count| count.as_integer()),
        };
        let mut usable = Vec::new();
        for row in all() {
            usable.push(!call.ignore_nulls || !is_null(&argument(row, 0)?));
        }
        Ok(match call.function {
            RowNumber => number(at + 1),
            Rank => number(first + 1),
            DenseRank => number(self.groups[at] + 1),
            PercentRank if self.rows.len() == 1 => Scalar::Float(0.0),
            PercentRank => Scalar::Float(first as f64 / (self.rows.len() - 1) as f64),
            CumeDist => Scalar::Float((first + all().filter(peers).count()) as f64 / self.rows.len() as f64),
            Ntile => match count(0)? {
                None => Scalar::Null,
                Some(buckets @ 1..) => {
                    let (mut bucket, mut left, rows) = (1, at as i128, self.rows.len() as i128);
                    while left >= rows / buckets + i128::from(bucket <= rows % buckets) {
                        left -= rows / buckets + i128::from(bucket <= rows % buckets);
                        bucket += 1;
                    }
                    Scalar::Integer(bucket)
                }
                Some(_) => return Err("the number of buckets of ntile".into()),
            },
            Lag | Lead => {
                let Some(by) = count(1)? else { return Ok(Scalar::Null) };
                let by = if call.function == Lag { -by } else { by };
                let steps = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
                let found = match by.cmp(&0) {
                    Ordering::Equal => Some(at),
                    Ordering::Less => (0..at).rev().filter(|&row| usable[row]).nth(steps - 1),
                    Ordering::Greater => all().skip(at + 1).filter(|&row| usable[row]).nth(steps - 1),
                };
                found.map_or(Ok(Scalar::Null), |row| argument(row, 0))?
            }
            FirstValue | LastValue | NthValue => {
                let mut frame = self.frame(&call.frame, at)?;
                frame.retain(|&row| usable[row]);
                let found = match call.function {
                    FirstValue => frame.first(),
                    LastValue => frame.last(),
                    _ => match count(1)? {
                        None => None,
                        Some(wanted @ 1..) => usize::try_from(wanted - 1).ok().and_then(|at| frame.get(at)),
                        Some(_) => return Err("the row of nth_value".into()),
                    },
                };
                found.map_or(Ok(Scalar::Null), |&row| argument(row, 0))?
            }
            Aggregate(function) => {
                let mut values = Vec::new();
                for row in self.frame(&call.frame, at)? {
                    values.push(if call.args.is_empty() { Scalar::Boolean(true) } else { argument(row, 0)? });
                }
                values.retain(|value| !is_null(value));
                fold(function, &values)
            }
        })
    }

    /// The rows of a row's frame, in order.
    fn frame(&self, frame: &WindowFrame, at: usize) -> Answer<Vec<usize>> {
        let peers = |row: usize| self.groups[row] == self.groups[at];
        let mut rows = Vec::new();
        for row in 0..self.rows.len() {
            let excluded = match frame.exclusion {
                FrameExclusion::NoOthers => false,
                FrameExclusion::CurrentRow => row == at,
                FrameExclusion::Group => peers(row),
                FrameExclusion::Ties => row != at && peers(row),
            };
            if !excluded
                && self.is_within(frame, &frame.start, row, at, true)?
                && self.is_within(frame, &frame.end, row, at, false)?
            {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Whether a row is not before the start of another's frame, or not after its end.
    fn is_within(
        &self,
        frame: &WindowFrame,
        bound: &FrameBound,
        row: usize,
        at: usize,
        start: bool,
    ) -> Answer<bool> {
        let (forward, offset) = match bound {
            FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing => return Ok(true),
            FrameBound::CurrentRow => (true, None),
            FrameBound::Preceding(offset) => (false, Some(offset)),
            FrameBound::Following(offset) => (true, Some(offset)),
        };
        let reaches = |order: Ordering| if start { order.is_ge() } else { order.is_le() };
        let by = offset.and_then(|offset| offset.scalar.as_integer()).unwrap_or(0);
        let by = if forward { by } else { -by };
        match (frame.unit, offset) {
            (FrameUnit::Rows, _) => Ok(reaches((row as i128 - at as i128).cmp(&by))),
            (FrameUnit::Groups, _) | (FrameUnit::Range, None) => {
                Ok(reaches((self.groups[row] as i128 - self.groups[at] as i128).cmp(&by)))
            }
            (FrameUnit::Range, Some(offset)) => {
                let (Some(key), [order]) = (&frame.key, self.order) else {
                    return Err("a range has no key".into());
                };
                let (own, other) = (eval(key, &self.rows[at])?, eval(key, &self.rows[row])?);
                match (is_null(&own), is_null(&other)) {
                    (true, other) => return Ok(other || order.nulls_first == start),
                    (_, true) => return Ok(order.nulls_first != start),
                    _ => {}
                }
                let target = moved(key.data_type(), own, offset, forward != order.descending)?;
                let compared = other.compare(&target).ok_or("a range of another type")?;
                Ok(reaches(if order.descending { compared.reverse() } else { compared }))
            }
        }
    }
}

/// A key moved by an offset.
fn moved(data_type: DataType, key: Scalar, offset: &Value, adds: bool) -> Answer<Scalar> {
    let sign = if adds { 1 } else { -1 };
    Ok(match (key, &offset.scalar) {
        (Scalar::Integer(key), Scalar::Integer(by)) => Scalar::Integer(key.saturating_add(by * sign)),
        (Scalar::Float(key), Scalar::Float(by)) => Scalar::Float(key + by * sign as f64),
        (Scalar::Interval(key), Scalar::Interval(by)) => {
            let sum = |a: i32, b: i32| a + b * sign as i32;
            Scalar::Interval(Interval {
                months: sum(key.months, by.months),
                days: sum(key.days, by.days),
                micros: key.micros + by.micros * sign as i64,
            })
        }
        (key @ Scalar::Integer(_), Scalar::Interval(_)) => {
            let args = vec![Expr::Literal(Value::new(data_type, key)), Expr::Literal(offset.clone())];
            let function = if adds { "+" } else { "-" }.to_string();
            eval(&Expr::Call { function, args, data_type }, &[])?
        }
        other => return Err(format!("a range of {other:?}")),
    })
}

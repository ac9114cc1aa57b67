//! Infinite dates and timestamps as arguments: most functions are null of them or give them back.

use super::arguments::{Arguments, Run, out_of_range};
use crate::expression::cast_to_physical;
use crate::expression::node::Node;
use columnar::kernels::cast::{integer_at, integers_outside, to_width};
use columnar::{Bitmap, DataType, Flat, Result, Values, Vector};

/// What infinite dates and timestamps among the arguments of a call do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Infinite {
    /// The code sees them.
    Seen,
    /// The result is null.
    Null,
    /// The result is the first of them.
    Kept,
    /// The call fails.
    Refused,
}

/// Whether a value may be `infinity` or `-infinity`.
pub(super) fn may_be_infinite(node: &Node) -> bool {
    node.data_type().infinity().is_some() && node.data_type().may_be_infinite(node.bounds())
}

/// A call of code that is null for null arguments, which gets no infinite ones.
pub(super) fn run(
    run: Run,
    infinite: Infinite,
    args: &[Vector],
    rows: usize,
    returns: DataType,
) -> Result<Vector> {
    let mut flats: Vec<Flat> = args.iter().map(Vector::flatten).collect();
    let found = infinite_rows(&flats, rows);
    if found.is_empty() {
        return run(&Arguments::new(args, rows, true), returns);
    }
    if infinite == Infinite::Refused {
        return Err(out_of_range("infinity in a difference"));
    }
    // They go as nulls, which no code sees.
    let masked = Bitmap::from_fn(rows, |row| found.binary_search_by_key(&row, |(row, _)| *row).is_err());
    if let Some(first) = flats.first_mut() {
        let valid = first.validity.take();
        let both = |row: usize| masked.get(row) && valid.as_ref().is_none_or(|valid| valid.get(row));
        first.validity = Some(Bitmap::from_fn(rows, both));
    }
    let vectors: Vec<Vector> = flats.into_iter().map(Vector::from).collect();
    let result = run(&Arguments::new(&vectors, rows, true), returns)?;
    let Some(infinity) = returns.infinity().filter(|_| infinite == Infinite::Kept) else { return Ok(result) };
    let flat = cast_to_physical(&result, returns.physical()).flatten();
    let mut values: Vec<i128> = (0..rows).map(|row| integer_at(&flat.values, row)).collect();
    for &(row, sign) in &found {
        values[row] = infinity * i128::from(sign);
    }
    let validity = flat.validity.map(|valid| {
        Bitmap::from_fn(rows, |row| {
            valid.get(row) || found.binary_search_by_key(&row, |(row, _)| *row).is_ok()
        })
    });
    let values = to_width(&Values::I128(values.into()), returns.physical());
    Ok(Flat::new(returns, values, validity).into())
}

/// The rows in which no argument is null and one is infinite, with the sign of the first that is.
fn infinite_rows(flats: &[Flat], rows: usize) -> Vec<(usize, i8)> {
    let moments: Vec<&Flat> = flats
        .iter()
        .filter(|flat| {
            let limit = flat.data_type.infinity().map(|infinity| infinity - 1);
            limit.is_some_and(|limit| integers_outside(&flat.values, -limit, limit))
        })
        .collect();
    if moments.is_empty() {
        return Vec::new();
    }
    (0..rows)
        .filter(|&row| flats.iter().all(|flat| !flat.is_null(row)))
        .filter_map(|row| {
            let signs =
                moments.iter().map(|flat| flat.data_type.infinite_sign(integer_at(&flat.values, row)));
            signs.into_iter().find(|sign| *sign != 0).map(|sign| (row, sign))
        })
        .collect()
}

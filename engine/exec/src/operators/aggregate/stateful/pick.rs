//! The first or last row of each group by keys, of which a value is kept: `first`, `last`, `arg_min`, `arg_max`.

use super::folded::Fold;
use crate::plan::KeyOrder;
use crate::{Result, codec};
use columnar::{DataType, Flat, Scalar, Values};
use std::cmp::Ordering;

/// Of rows of a value and keys. Of rows with equal keys the one with the least value is taken, so that the choice does
/// not hang on the order in which rows come; without keys it does.
pub(super) struct Pick {
    pub(super) order: KeyOrder,
    pub(super) last: bool,
}

/// A row: its value and keys.
pub(super) type Kept = Option<Box<[Scalar]>>;

impl Pick {
    /// Whether a row replaces the one that is kept, given how their columns order: `None` where one is null.
    fn prefers(
        &self,
        kept: &[Scalar],
        is_null: impl Fn(usize) -> bool,
        order: impl Fn(usize) -> Option<Ordering>,
    ) -> bool {
        let keys = usize::from(self.order.keys);
        if keys == 0 {
            return self.last;
        }
        let compare = |column: usize, descending: bool, nulls_first: bool| {
            let after = if nulls_first { Ordering::Less } else { Ordering::Greater };
            match (is_null(column), matches!(kept[column], Scalar::Null)) {
                (true, true) => Ordering::Equal,
                (true, false) => after,
                (false, true) => after.reverse(),
                (false, false) => {
                    let order = order(column).unwrap_or(Ordering::Equal);
                    if descending { order.reverse() } else { order }
                }
            }
        };
        let by_keys = (0..keys)
            .map(|key| compare(key + 1, self.order.is_descending(key), self.order.has_nulls_first(key)))
            .find(|&order| order != Ordering::Equal);
        match by_keys {
            Some(order) => order == if self.last { Ordering::Greater } else { Ordering::Less },
            None => compare(0, false, false) == Ordering::Less,
        }
    }
}

impl Fold for Pick {
    type State = Kept;

    fn update(&self, states: &mut [Kept], groups: &[u32], args: &[Flat]) -> Result<isize> {
        let mut grown = 0;
        for (row, &group) in groups.iter().enumerate() {
            let state = &mut states[group as usize];
            let better = state.as_deref().is_none_or(|kept| {
                self.prefers(
                    kept,
                    |column| args[column].is_null(row),
                    |column| order_of(&args[column], row, &kept[column]),
                )
            });
            if better {
                grown -= bytes_of(state);
                *state = Some(args.iter().map(|arg| arg.scalar(row)).collect());
                grown += bytes_of(state);
            }
        }
        Ok(grown)
    }

    fn merge(&self, state: &mut Kept, other: &Kept) -> Result<isize> {
        let Some(row) = other else { return Ok(0) };
        let better = state.as_deref().is_none_or(|kept| {
            let is_null = |column: usize| matches!(row[column], Scalar::Null);
            self.prefers(kept, is_null, |column| row[column].compare(&kept[column]))
        });
        let mut grown = 0;
        if better {
            grown -= bytes_of(state);
            state.clone_from(other);
            grown += bytes_of(state);
        }
        Ok(grown)
    }

    fn is_empty(&self, state: &Kept) -> bool {
        state.is_none()
    }

    fn finish(&self, state: &Kept, _: DataType) -> Result<Scalar> {
        Ok(state.as_ref().and_then(|row| row.first().cloned()).unwrap_or(Scalar::Null))
    }

    fn write(&self, state: &Kept) -> Vec<u8> {
        codec::encode_scalars(state.as_deref().unwrap_or_default())
    }

    fn read(&self, bytes: &[u8]) -> Option<Kept> {
        let row = codec::decode_scalars(bytes)?;
        (row.len() == 1 + usize::from(self.order.keys)).then(|| Some(row.into()))
    }

    fn most_growth(&self, args: &[Flat]) -> usize {
        let of_column = |flat: &Flat| {
            let text = match &flat.values {
                Values::View(views) => views.iter().map(<[u8]>::len).sum(),
                _ => 0,
            };
            text + flat.len() * size_of::<Scalar>()
        };
        args.iter().map(of_column).sum()
    }

    fn most_read(&self, bytes: usize) -> usize {
        bytes + (1 + usize::from(self.order.keys)) * size_of::<Scalar>()
    }
}

/// How the value of a row, which is not null, orders to one that is kept.
fn order_of(flat: &Flat, row: usize, kept: &Scalar) -> Option<Ordering> {
    match (&flat.values, kept) {
        (Values::View(views), Scalar::Bytes(bytes)) => Some(views.get(row).cmp(bytes.as_slice())),
        (values, kept) => values.scalar(row).compare(kept),
    }
}

/// Bytes that a row takes beside its state.
fn bytes_of(state: &Kept) -> isize {
    let text = |scalar: &Scalar| if let Scalar::Bytes(bytes) = scalar { bytes.len() } else { 0 };
    let bytes: usize =
        state.iter().flat_map(|row| row.iter()).map(|scalar| text(scalar) + size_of::<Scalar>()).sum();
    bytes as isize
}

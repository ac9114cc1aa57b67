//! Which dictionaries a stream knows. Each has a slot that its codes name; a dictionary that is brought to a slot
//! replaces the one before.

use super::header::ColumnHeader;
use super::{FrameError, Result};
use crate::{Dictionary, DictionaryVector, Flat, Values, View};
use std::sync::Arc;

/// The most dictionaries of a stream at a time.
pub(super) const SLOTS: usize = 64;

/// A dictionary crosses once a stream has seen as many rows of it as it has values, these aside: what flat rows cost
/// before is then about what it costs itself. A few values are always worth it.
const FREE_VALUES: usize = 256;

/// Larger dictionaries do not cross.
pub(super) const VALUES_MAX: usize = 1 << 16;

/// Nor do those whose values take more memory than this, as [`value_bytes`] counts it.
pub(super) const BYTES_MAX: usize = 2 << 20;

/// Bytes of values, a view and its string counted apart.
fn value_bytes(values: &Flat) -> usize {
    let fixed = values.len().saturating_mul(values.values.physical().width_bytes().max(1));
    let strings = match &values.values {
        Values::View(views) => views.raw().iter().map(|&view| View(view).len()).sum(),
        _ => 0,
    };
    fixed.saturating_add(strings)
}

/// That a dictionary is of those that cross.
pub(super) fn check_size(values: &Flat) -> Result<()> {
    if values.len() > VALUES_MAX {
        return Err(FrameError::TooLarge { what: "values of a dictionary", limit: VALUES_MAX });
    }
    if value_bytes(values) > BYTES_MAX {
        return Err(FrameError::TooLarge { what: "bytes of a dictionary", limit: BYTES_MAX });
    }
    Ok(())
}

/// Bytes of a code into so many values, at most [`VALUES_MAX`].
pub(super) fn code_width(values: usize) -> u8 {
    if values <= 1 << 8 { 1 } else { 2 }
}

/// What an encoder has sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    slots: Vec<Slot>,
    vectors: u64,
}

#[derive(Debug)]
struct Slot {
    id: u64,
    state: State,
    /// When it was last asked for, in vectors.
    last_use: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Flat so far, this many rows of it.
    Waiting(usize),
    Sent,
    TooLarge,
}

/// How a vector of codes crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crossing {
    Flat,
    /// As codes; the decoder has the dictionary in this slot.
    Known(usize),
    /// As codes, with the dictionary for this slot.
    New(usize),
}

impl Sent {
    pub(super) fn crossing(&mut self, vector: &DictionaryVector) -> Crossing {
        let (rows, dictionary) = (vector.codes.len(), &*vector.dictionary);
        if rows == 0 {
            return Crossing::Flat;
        }
        let place = self.place(dictionary.id);
        let slot = &mut self.slots[place];
        match slot.state {
            State::Sent => return Crossing::Known(place),
            State::TooLarge => return Crossing::Flat,
            State::Waiting(before) => {
                let seen = before.saturating_add(rows);
                slot.state = State::Waiting(seen);
                if dictionary.values.len() > seen.saturating_add(FREE_VALUES).min(VALUES_MAX) {
                    return Crossing::Flat;
                }
            }
        }
        if check_size(&dictionary.values).is_err() {
            slot.state = State::TooLarge;
            return Crossing::Flat;
        }
        slot.state = State::Sent;
        Crossing::New(place)
    }

    /// The slot of a dictionary: its own, a free one, or that which was not asked for longest.
    fn place(&mut self, id: u64) -> usize {
        self.vectors += 1;
        let new = Slot { id, state: State::Waiting(0), last_use: self.vectors };
        if let Some(place) = self.slots.iter().position(|slot| slot.id == id) {
            self.slots[place].last_use = self.vectors;
            return place;
        }
        let oldest = self.slots.iter().enumerate().min_by_key(|(_, slot)| slot.last_use);
        match oldest {
            Some((place, _)) if self.slots.len() == SLOTS => {
                self.slots[place] = new;
                place
            }
            _ => {
                self.slots.push(new);
                self.slots.len() - 1
            }
        }
    }
}

/// What a decoder has received.
#[derive(Debug, Default)]
pub(super) struct Received {
    slots: Vec<Option<Arc<Dictionary>>>,
}

impl Received {
    /// The dictionary of a slot, which must be of the type that `header` says.
    pub(super) fn get(&self, slot: usize, header: &ColumnHeader) -> Result<Arc<Dictionary>> {
        let known = self.slots.get(slot).and_then(Option::as_ref);
        let dictionary = known.ok_or(FrameError::Malformed("codes of a dictionary that never came"))?;
        let values = &dictionary.values;
        if (values.data_type, values.values.physical()) != (header.data_type, header.physical) {
            return Err(FrameError::Malformed("codes of a dictionary of another type"));
        }
        Ok(dictionary.clone())
    }

    pub(super) fn put(&mut self, slot: usize, dictionary: Arc<Dictionary>) -> Result<()> {
        if slot >= SLOTS {
            return Err(FrameError::TooLarge { what: "dictionaries at a time", limit: SLOTS });
        }
        if slot >= self.slots.len() {
            self.slots.resize(slot + 1, None);
        }
        self.slots[slot] = Some(dictionary);
        Ok(())
    }
}

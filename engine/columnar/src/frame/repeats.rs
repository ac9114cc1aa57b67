//! Texts that repeat: a flat column of few values crosses as codes of a dictionary that the encoder makes of it.

use crate::view::INLINE_BYTES;
use crate::{Buffer, Codes, DataType, Dictionary, DictionaryVector, Flat, Values, View, Views};
use std::sync::Arc;

/// A code takes a byte.
const VALUES_MAX: usize = 1 << 8;
/// Longer strings are not compared with others.
const STRING_BYTES_MAX: usize = 256;
/// Shorter columns are not looked into.
const ROWS_MIN: usize = 64;
/// A code and its part of a dictionary must take less than a third of what strings and lengths do.
const SAVED: usize = 3;
/// Frames one after the other that saved too little before a column is let be.
const TRIALS: u32 = 4;
/// More columns of a stream do not cross so: their dictionaries would push out each other, and others.
const COLUMNS_MAX: usize = 32;

/// Places of the hash table; at most a quarter is taken.
const PLACES: usize = 4 * VALUES_MAX;
/// Longer runs of taken places are those of strings that were made to collide.
const RUN_MAX: usize = 16;

/// What is known of the columns of a stream, by position.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    columns: Vec<Seen>,
    known: usize,
}

#[derive(Debug, Default)]
enum Seen {
    /// No text came.
    #[default]
    Nothing,
    Known(Box<Repeated>),
    /// It crosses as it is.
    LetBe,
}

/// The strings of one column so far.
#[derive(Debug)]
struct Repeated {
    data_type: DataType,
    /// A code and 1; 0 is free.
    places: Vec<u16>,
    values: Vec<Vec<u8>>,
    /// Of the values.
    bytes: usize,
    /// All values, or those of earlier frames.
    dictionary: Option<Arc<Dictionary>>,
    /// Frames that saved too little.
    failed: u32,
}

impl Repeats {
    /// The column at `position` as codes, if it is text of few values and that is shorter.
    pub(super) fn coded(&mut self, position: usize, flat: &Flat) -> Option<DictionaryVector> {
        let Values::View(views) = &flat.values else { return None };
        if views.len() < ROWS_MIN {
            return None;
        }
        if self.columns.len() <= position {
            self.columns.resize_with(position + 1, Seen::default);
        }
        let column = &mut self.columns[position];
        if let Seen::Nothing = column {
            *column = match self.known < COLUMNS_MAX {
                true => {
                    self.known += 1;
                    Seen::Known(Box::new(Repeated::new(flat.data_type)))
                }
                false => Seen::LetBe,
            };
        }
        let Seen::Known(known) = column else { return None };
        if known.data_type != flat.data_type {
            return None;
        }
        match known.coded(flat, views) {
            Some(coded) => coded,
            None => {
                *column = Seen::LetBe;
                self.known -= 1;
                None
            }
        }
    }
}

impl Repeated {
    fn new(data_type: DataType) -> Repeated {
        Repeated {
            data_type,
            places: vec![0; PLACES],
            values: Vec::new(),
            bytes: 0,
            dictionary: None,
            failed: 0,
        }
    }

    /// `None`: there are too many values, now and later. `Some(None)`: they had better cross as they are this time.
    fn coded(&mut self, flat: &Flat, views: &Views) -> Option<Option<DictionaryVector>> {
        let validity = flat.validity.as_ref();
        let (mut codes, mut bytes) = (Vec::with_capacity(views.len()), 0);
        for row in 0..views.len() {
            // The code of a null may be any.
            let is_null = validity.is_some_and(|validity| !validity.get(row));
            let code = if is_null { 0 } else { self.code(views, row)? };
            bytes += if is_null { 0 } else { views.view(row).len() };
            codes.push(code);
        }
        let is_new = self.dictionary.as_ref().is_none_or(|known| known.values.len() < self.values.len());
        let dictionary_bytes = if is_new { self.bytes + self.values.len() } else { 0 };
        if self.values.is_empty() || (codes.len() + dictionary_bytes) * SAVED > bytes + codes.len() {
            // Nulls alone tell nothing.
            self.failed += u32::from(bytes > 0);
            return (self.failed < TRIALS).then_some(None);
        }
        self.failed = 0;
        if is_new {
            let values = Views::from_strings(self.values.iter().map(Vec::as_slice));
            let values = Flat::new(self.data_type, Values::View(values), None);
            self.dictionary = Some(Arc::new(Dictionary::new(values, false)));
        }
        let dictionary = self.dictionary.clone()?;
        let codes = Codes::U8(Buffer::from(codes));
        Some(Some(DictionaryVector { codes, dictionary, validity: flat.validity.clone() }))
    }

    /// The code of a string, a new one if need be; `None` where there is none left.
    #[inline]
    fn code(&mut self, views: &Views, row: usize) -> Option<u8> {
        let view = views.view(row);
        if view.len() > STRING_BYTES_MAX {
            return None;
        }
        let string = views.get(row);
        let first = hash(view, string) as usize;
        for step in 0..RUN_MAX {
            let place = (first + step) % PLACES;
            match self.places[place] {
                0 => return self.add(place, string),
                taken if self.values[usize::from(taken) - 1] == string => return Some((taken - 1) as u8),
                _ => {}
            }
        }
        None
    }

    #[cold]
    fn add(&mut self, place: usize, string: &[u8]) -> Option<u8> {
        let code = self.values.len();
        if code == VALUES_MAX {
            return None;
        }
        self.values.push(string.to_vec());
        self.bytes += string.len();
        self.places[place] = code as u16 + 1;
        Some(code as u8)
    }
}

/// Of a short string all bytes, of a long one its length, its first four, eight from its middle and its last eight.
#[inline]
fn hash(view: View, string: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let tail = match string.last_chunk() {
        Some(&tail) if string.len() > INLINE_BYTES => {
            let middle = string[string.len() / 2 - 4..].first_chunk().copied().unwrap_or_default();
            u64::from_le_bytes(tail) ^ u64::from_le_bytes(middle).wrapping_mul(FACTOR)
        }
        _ => (view.0 >> 64) as u64,
    };
    let product = u128::from(view.head() ^ FACTOR) * u128::from(tail ^ FACTOR.rotate_left(32));
    (product >> 64) as u64 ^ product as u64
}

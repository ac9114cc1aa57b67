//! Groups of few possible keys.

use super::Aggregation;
use super::few::FEW;
use columnar::{Codes, Scalar, Values, Vector};

/// Groups of few possible keys by an array: a number of mixed radix of dictionary codes, booleans and narrow
/// integers leads to the row. It is a cache before the table, emptied where a dictionary changes.
#[derive(Default)]
pub(super) struct Small {
    columns: Vec<SmallKey>,
    /// The number of the group's row plus one.
    slots: Vec<u32>,
    /// For each row of the batch the place in `slots`.
    places: Vec<u32>,
    /// The rows learned, in the order in which they were, and for each place which of them it is, or [`UNKNOWN`].
    pub(super) known: Vec<u32>,
    locals: Vec<u8>,
}

/// A key's digits: 0 for null.
#[derive(PartialEq)]
enum SmallKey {
    Dictionary { id: u64, len: usize },
    Integer { least: i64, range: usize },
    Constant(Scalar),
}

const SMALL_DOMAIN: usize = 1 << 16;
const UNKNOWN: u8 = u8::MAX;

impl SmallKey {
    fn of(vector: &Vector, shape: &crate::Shape) -> Option<SmallKey> {
        match vector {
            Vector::Constant(constant) => Some(SmallKey::Constant(constant.value.scalar.clone())),
            Vector::Dictionary(vector) => {
                Some(SmallKey::Dictionary { id: vector.dictionary.id, len: vector.dictionary.values.len() })
            }
            Vector::Flat(flat) => {
                let (least, most) = match &flat.values {
                    Values::Bool(_) => (0, 1),
                    Values::I8(_) | Values::I16(_) | Values::I32(_) | Values::I64(_) => {
                        shape.bounds.or(shape.physical.integer_bounds())?
                    }
                    _ => return None,
                };
                let range = usize::try_from(most.checked_sub(least)?).ok()?;
                (range < SMALL_DOMAIN).then(|| SmallKey::Integer { least: least as i64, range: range + 1 })
            }
        }
    }

    /// The digit of each value; of nulls, anything. False where the vector is not of this form.
    fn digits_of(&self, vector: &Vector, digits: &mut Vec<u32>) -> bool {
        digits.clear();
        match (self, vector) {
            (SmallKey::Dictionary { .. }, Vector::Dictionary(vector)) => match &vector.codes {
                Codes::U8(codes) => digits.extend(codes.iter().map(|&code| u32::from(code) + 1)),
                Codes::U16(codes) => digits.extend(codes.iter().map(|&code| u32::from(code) + 1)),
                Codes::U32(codes) => digits.extend(codes.iter().map(|&code| code + 1)),
            },
            (SmallKey::Integer { least, .. }, Vector::Flat(flat)) => {
                let digit = |value: i64| (value.wrapping_sub(*least) as u32).wrapping_add(1);
                match &flat.values {
                    Values::I8(values) => digits.extend(values.iter().map(|&value| digit(value.into()))),
                    Values::I16(values) => digits.extend(values.iter().map(|&value| digit(value.into()))),
                    Values::I32(values) => digits.extend(values.iter().map(|&value| digit(value.into()))),
                    Values::I64(values) => digits.extend(values.iter().map(|&value| digit(value))),
                    Values::Bool(bits) => {
                        digits.extend((0..bits.len()).map(|row| u32::from(bits.get(row)) + 1));
                    }
                    _ => return false,
                }
            }
            _ => return false,
        }
        true
    }

    fn digits(&self) -> usize {
        match self {
            SmallKey::Dictionary { len, .. } => len + 1,
            SmallKey::Integer { range, .. } => range + 1,
            SmallKey::Constant(_) => 1,
        }
    }
}

impl Small {
    pub(super) fn forget(&mut self) {
        self.slots.fill(0);
        self.locals.fill(UNKNOWN);
        self.known.clear();
    }

    /// For each row of the batch which of the known rows is its group's, if those are few and all are known.
    pub(super) fn locals(&self) -> Option<Vec<u8>> {
        if self.known.len() > FEW {
            return None;
        }
        let locals: Vec<u8> = self.places.iter().map(|&place| self.locals[place as usize]).collect();
        locals.iter().all(|&local| local != UNKNOWN).then_some(locals)
    }

    /// Computes the places of a batch; false where its keys have too many values.
    pub(super) fn index(&mut self, shared: &Aggregation, keys: &[Vector], count: usize) -> bool {
        let columns: Option<Vec<SmallKey>> =
            keys.iter().zip(&shared.keys).map(|(vector, key)| SmallKey::of(vector, key.shape())).collect();
        let Some(columns) = columns else { return false };
        let mut domain = 1_usize;
        for column in &columns {
            domain = domain.saturating_mul(column.digits());
        }
        if domain > SMALL_DOMAIN {
            return false;
        }
        if columns != self.columns {
            self.columns = columns;
            self.slots.clear();
            self.slots.resize(domain, 0);
            self.locals.clear();
            self.locals.resize(domain, UNKNOWN);
            self.known.clear();
        }
        self.places.clear();
        self.places.resize(count, 0);
        let mut digits = Vec::new();
        for (column, vector) in self.columns.iter().zip(keys) {
            if matches!(column, SmallKey::Constant(_)) {
                continue;
            }
            if !column.digits_of(vector, &mut digits) {
                return false;
            }
            if let Some(validity) = vector.validity() {
                for (row, digit) in digits.iter_mut().enumerate() {
                    *digit = if validity.get(row) { *digit } else { 0 };
                }
            }
            let base = column.digits() as u32;
            for (place, &digit) in self.places.iter_mut().zip(&digits) {
                *place = *place * base + digit;
            }
        }
        true
    }

    /// Leaves `numbers` with the row of every place; gives the positions of those not known.
    pub(super) fn look_up(&self, numbers: &mut Vec<u32>) -> Vec<u32> {
        numbers.extend(self.places.iter().map(|&place| self.slots[place as usize].wrapping_sub(1)));
        let unknown = |&(_, number): &(usize, &u32)| *number == u32::MAX;
        numbers.iter().enumerate().filter(unknown).map(|(position, _)| position as u32).collect()
    }

    pub(super) fn learn(&mut self, position: u32, number: u32) {
        let place = self.places[position as usize] as usize;
        if self.slots[place] == 0 {
            // Beyond the few nobody asks.
            self.locals[place] = self.known.len().min(FEW) as u8;
            self.known.push(number);
        }
        self.slots[place] = number + 1;
    }
}

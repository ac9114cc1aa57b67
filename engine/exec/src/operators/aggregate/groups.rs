//! From keys to the rows of their groups, within one task.

use super::few::{FEW, Few};
use super::{Aggregation, WORD_BYTES};
use crate::Result;
use crate::hash::{Hasher, hash_word};
use crate::memory::Reservation;
use crate::pages::cell::{load, store};
use crate::pages::{Partitions, RowPages, equal_to_vector};
use columnar::{Codes, Flat, Scalar, Values, Vector, kernels::take};
use std::sync::Arc;

/// A task's groups. The slots of its table hold the low half of a hash and the number of a row plus one; a
/// slot is found by the lowest bits of the hash, which choose neither partitions nor shards, and what does not
/// fit there lies in the slots after it.
pub(super) struct Groups {
    shared: Arc<Aggregation>,
    pub(super) rows: Partitions,
    slots: Vec<u64>,
    slot_memory: Reservation,
    /// Groups that the table leads to.
    count: usize,
    limit: usize,
    hasher: Hasher,
    small: Small,
    /// Rows of emptied tables, by partition.
    pub(super) full: Vec<RowPages>,
}

/// In place of a row's number.
const NONE: u32 = u32::MAX;

/// The largest table, in groups. Beyond it the merge, which goes by partitions that fit the caches, is the
/// cheaper place to find equal keys.
const GROUP_LIMIT: usize = 1 << 18;

impl Groups {
    pub(super) fn new(shared: &Arc<Aggregation>) -> Groups {
        // A disturbed run empties its table all the time.
        let limit = if shared.settings.disturb.is_some() { 40 } else { GROUP_LIMIT };
        Groups {
            shared: shared.clone(),
            rows: new_rows(shared),
            slots: Vec::new(),
            slot_memory: shared.memory.reservation("the table of an aggregation"),
            count: 0,
            limit,
            hasher: Hasher::default(),
            small: Small::default(),
            full: Vec::new(),
        }
    }

    /// Leaves `numbers` with the number of the group's row for each of `count` rows with these keys; where groups
    /// are few, gives the batch by groups instead.
    pub(super) fn find(
        &mut self,
        keys: &[Vector],
        count: usize,
        numbers: &mut Vec<u32>,
    ) -> Result<Option<Few>> {
        numbers.clear();
        if keys.is_empty() {
            if self.rows.rows() == 0 {
                self.rows.push(0)?;
            }
            numbers.resize(count, 0);
            return Ok(None);
        }
        if self.count + count > self.limit.max(count) {
            self.empty();
        }
        let shared = self.shared.clone();
        if !self.small.index(&shared, keys, count) {
            self.find_hashed(keys, count, numbers)?;
            return Ok(None);
        }
        if let Some(locals) = self.small.locals() {
            return Ok(Some(self.few(locals)));
        }
        let missing = self.small.look_up(numbers);
        if !missing.is_empty() {
            let keys: Vec<Vector> = keys.iter().map(|key| take::take(key, &missing)).collect();
            let mut found = Vec::new();
            self.find_hashed(&keys, missing.len(), &mut found)?;
            for (&position, &number) in missing.iter().zip(&found) {
                numbers[position as usize] = number;
                self.small.learn(position, number);
            }
        }
        Ok(self.small.locals().map(|locals| self.few(locals)))
    }

    fn few(&mut self, locals: Vec<u8>) -> Few {
        let numbers = self.small.known.clone();
        let pointers = self.rows.pointers_mut(&numbers);
        Few::new(locals, numbers, pointers)
    }

    /// Starts an empty table; the rows stay.
    fn empty(&mut self) {
        if self.count > 0 {
            let rows = std::mem::replace(&mut self.rows, new_rows(&self.shared));
            self.full.extend(rows.into_parts());
            self.slots.fill(0);
            self.count = 0;
            self.small.forget();
        }
    }

    fn find_hashed(&mut self, keys: &[Vector], count: usize, numbers: &mut Vec<u32>) -> Result<()> {
        let shared = self.shared.clone();
        let (words, hashes);
        match &shared.packing {
            Some(packing) => {
                words = packing.pack(keys, count, None);
                hashes = words.iter().map(|&word| hash_word(word)).collect::<Vec<u64>>();
            }
            None => {
                hashes = self.hasher.hash(keys, count);
                words = hashes.clone();
            }
        }
        self.make_room(count)?;
        // First the slots of all, then the rows they name: so the processor fetches many at a time.
        let mask = self.slots.len() - 1;
        numbers.clear();
        numbers.extend(hashes.iter().map(|&hash| {
            let entry = self.slots[hash as usize & mask];
            let named = entry as u32 != 0 && (entry >> 32) as u32 == hash as u32;
            if named { entry as u32 - 1 } else { NONE }
        }));
        let is_found = |(position, &number): (usize, &u32)| {
            number != NONE && load::<u64>(self.rows.pointer(number), 0) == words[position]
        };
        let open: Vec<u32> = (0..count)
            .filter(|&position| !is_found((position, &numbers[position])))
            .map(|position| position as u32)
            .collect();
        let mut new = Vec::new();
        for position in open {
            let (word, hash) = (words[position as usize], hashes[position as usize]);
            let (slot, found) = self.seek(hash, |row| load::<u64>(row, 0) == word);
            numbers[position as usize] = match found {
                Some(number) => number,
                None => {
                    new.push(position);
                    self.insert(slot, word, hash)?
                }
            };
        }
        self.write_keys(keys, &new, numbers)?;
        if shared.packing.is_none() {
            self.settle_collisions(keys, &hashes, &new, numbers)?;
        }
        Ok(())
    }

    /// The first slot from `hash` on whose row `is_it`, and the row; or the empty slot after them.
    #[inline(always)]
    fn seek(&self, hash: u64, is_it: impl Fn(*const u8) -> bool) -> (usize, Option<u32>) {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let entry = self.slots[slot & mask];
            if entry as u32 == 0 {
                return (slot & mask, None);
            }
            if (entry >> 32) as u32 == hash as u32 {
                let number = entry as u32 - 1;
                if is_it(self.rows.pointer(number)) {
                    return (slot & mask, Some(number));
                }
            }
            slot += 1;
        }
    }

    /// Adds a group at an empty slot.
    #[inline]
    fn insert(&mut self, slot: usize, word: u64, hash: u64) -> Result<u32> {
        let number = self.rows.push(hash)?;
        store(self.rows.pointer_mut(number), 0, word);
        self.slots[slot] = hash << 32 | u64::from(number + 1);
        self.count += 1;
        Ok(number)
    }

    /// Writes the keys at `positions` into their rows.
    fn write_keys(&mut self, keys: &[Vector], positions: &[u32], numbers: &[u32]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let rows: Vec<u32> = positions.iter().map(|&position| numbers[position as usize]).collect();
        let pointers = self.rows.pointers_mut(&rows);
        let layout = self.shared.layout.clone();
        for (field, key) in layout.fields.iter().zip(keys) {
            self.rows.write(field, &take::take(key, positions), &rows, &pointers)?;
        }
        Ok(())
    }

    /// Two keys of one hash were taken for one: finds or adds the right group for those that differ from
    /// the row they were given.
    fn settle_collisions(
        &mut self,
        keys: &[Vector],
        hashes: &[u64],
        new: &[u32],
        numbers: &mut [u32],
    ) -> Result<()> {
        let flats: Vec<Flat> = keys.iter().map(Vector::flatten).collect();
        let layout = self.shared.layout.clone();
        let equal = |groups: &Groups, positions: &[u32], rows: &[u32]| {
            let pointers: Vec<*const u8> = rows.iter().map(|&row| groups.rows.pointer(row)).collect();
            let mut equal = vec![true; positions.len()];
            for (field, flat) in layout.fields.iter().zip(&flats) {
                equal_to_vector(field, flat, positions, &pointers, rows, &groups.rows, &mut equal);
            }
            equal
        };
        if new.len() == numbers.len() {
            return Ok(());
        }
        let positions: Vec<u32> = (0..numbers.len() as u32).collect();
        let agree = equal(self, &positions, numbers);
        for position in positions.into_iter().filter(|&position| !agree[position as usize]) {
            let hash = hashes[position as usize];
            let (slot, found) = {
                let mask = self.slots.len() - 1;
                let mut slot = hash as usize & mask;
                loop {
                    let entry = self.slots[slot & mask];
                    if entry as u32 == 0 {
                        break (slot & mask, None);
                    }
                    let row = entry as u32 - 1;
                    let same = load::<u64>(self.rows.pointer(row), 0) == hash;
                    if same && equal(self, &[position], &[row])[0] {
                        break (slot & mask, Some(row));
                    }
                    slot += 1;
                }
            };
            numbers[position as usize] = match found {
                Some(number) => number,
                None => {
                    let number = self.insert(slot, hash, hash)?;
                    numbers[position as usize] = number;
                    self.write_keys(keys, &[position], numbers)?;
                    number
                }
            };
        }
        Ok(())
    }

    /// Makes sure that half of the slots stay empty with `more` groups.
    fn make_room(&mut self, more: usize) -> Result<()> {
        let wanted = (2 * (self.count + more)).next_power_of_two().max(256);
        if wanted <= self.slots.len() {
            return Ok(());
        }
        self.slot_memory.resize(8 * wanted as u64)?;
        let before = std::mem::replace(&mut self.slots, vec![0; wanted]);
        for entry in before.into_iter().filter(|&entry| entry as u32 != 0) {
            let mut slot = (entry >> 32) as usize & (wanted - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (wanted - 1);
            }
            self.slots[slot] = entry;
        }
        Ok(())
    }

    /// All rows, by partition: those of emptied tables and the last ones.
    pub(super) fn into_rows(mut self) -> Vec<RowPages> {
        self.full.extend(self.rows.into_parts());
        self.full
    }
}

fn new_rows(shared: &Aggregation) -> Partitions {
    debug_assert!(shared.layout.width >= WORD_BYTES);
    Partitions::new(&shared.layout, &shared.memory, "the groups of an aggregation")
}

/// Groups of few possible keys by an array: a number of mixed radix of dictionary codes, booleans and narrow
/// integers leads to the row. It is a cache before the table, emptied where a dictionary changes.
#[derive(Default)]
struct Small {
    columns: Vec<SmallKey>,
    /// The number of the group's row plus one.
    slots: Vec<u32>,
    /// For each row of the batch the place in `slots`.
    places: Vec<u32>,
    /// The rows learned, in the order in which they were, and for each place which of them it is, or [`UNKNOWN`].
    known: Vec<u32>,
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
    fn forget(&mut self) {
        self.slots.fill(0);
        self.locals.fill(UNKNOWN);
        self.known.clear();
    }

    /// For each row of the batch which of the known rows is its group's, if those are few and all are known.
    fn locals(&self) -> Option<Vec<u8>> {
        if self.known.len() > FEW {
            return None;
        }
        let locals: Vec<u8> = self.places.iter().map(|&place| self.locals[place as usize]).collect();
        locals.iter().all(|&local| local != UNKNOWN).then_some(locals)
    }

    /// Computes the places of a batch; false where its keys have too many values.
    fn index(&mut self, shared: &Aggregation, keys: &[Vector], count: usize) -> bool {
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
    fn look_up(&self, numbers: &mut Vec<u32>) -> Vec<u32> {
        numbers.extend(self.places.iter().map(|&place| self.slots[place as usize].wrapping_sub(1)));
        let unknown = |&(_, number): &(usize, &u32)| *number == u32::MAX;
        numbers.iter().enumerate().filter(unknown).map(|(position, _)| position as u32).collect()
    }

    fn learn(&mut self, position: u32, number: u32) {
        let place = self.places[position as usize] as usize;
        if self.slots[place] == 0 {
            // Beyond the few nobody asks.
            self.locals[place] = self.known.len().min(FEW) as u8;
            self.known.push(number);
        }
        self.slots[place] = number + 1;
    }
}

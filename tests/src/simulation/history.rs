//! What clients did and saw, and whether one catalog with whole versions can have answered so.
//!
//! Rows come in batches that are inserted whole: a table is a set of batches that only grows, between one creation and
//! at most one drop. Its name is used once; where nobody knows what became of its creation, that is tried again, and one
//! of the attempts at most may take effect, none after one that was acknowledged. Moments are numbers that count up with every beginning
//! and every end of a statement, so that their order is the real one.

use std::collections::{BTreeMap, BTreeSet};

/// Counts beginnings and ends of statements.
pub type Moment = u64;

/// What becomes of a change.
#[derive(Clone, Copy, Debug)]
struct Change {
    begun: Moment,
    /// It was acknowledged. Without that it may have happened, may yet happen, or may never.
    done: Option<Moment>,
}

#[derive(Debug, Default)]
struct Table {
    created: Option<Change>,
    dropped: Option<Change>,
    /// The earliest ends of statements that saw that it is there, and that it is gone.
    seen: Option<Moment>,
    seen_gone: Option<Moment>,
    batches: BTreeMap<u64, Batch>,
    /// Which batches each reader saw.
    reads: Vec<(Moment, BTreeSet<u64>)>,
}

#[derive(Debug)]
struct Batch {
    rows: u64,
    /// The table was created with it.
    is_first: bool,
    inserted: Change,
    /// The earliest end of a statement that saw it.
    seen: Option<Moment>,
}

/// A batch as a reader saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenBatch {
    pub batch: u64,
    pub rows: u64,
    /// Of amounts that sum up to 0 over a whole batch.
    pub amount: i64,
}

/// Everything that clients did and saw.
#[derive(Debug, Default)]
pub struct History {
    now: Moment,
    tables: BTreeMap<String, Table>,
}

impl History {
    /// The next moment.
    pub fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    /// Tables that can be read at the moment, as far as a client can know.
    pub fn live(&self) -> Vec<String> {
        let live = self.tables.iter().filter(|(_, table)| {
            table.created.is_some_and(|created| created.done.is_some()) && table.dropped.is_none()
        });
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Every table that may be there.
    pub fn names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    pub fn creates(&mut self, name: &str) -> Moment {
        let begun = self.tick();
        self.tables.entry(name.into()).or_default().created = Some(Change { begun, done: None });
        begun
    }

    /// It is created with that batch.
    pub fn creates_with(&mut self, name: &str, batch: u64, rows: u64) {
        self.inserts(name, batch, rows);
        let batches = self.tables.get_mut(name).map(|table| &mut table.batches);
        if let Some(batch) = batches.and_then(|batches| batches.get_mut(&batch)) {
            batch.is_first = true;
        }
    }

    /// The last attempt to create it was acknowledged, with that batch where it has rows.
    pub fn created(&mut self, name: &str, first: u64) -> Result<(), String> {
        let now = self.tick();
        let Some(table) = self.tables.get_mut(name) else { return Ok(()) };
        if let Some(created) = &mut table.created {
            created.done = Some(now);
        }
        let others = table.batches.extract_if(.., |number, batch| batch.is_first && *number != first);
        match others.filter(|(_, batch)| batch.seen.is_some()).last() {
            Some((number, _)) => {
                Err(format!("catalog: {name} was there with batch {number}, and could be created again"))
            }
            None => Ok(()),
        }
    }

    /// An attempt to create it that began then found that there is such a table.
    pub fn exists(&mut self, name: &str, begun: Moment) -> Result<(), String> {
        let now = self.tick();
        let Some(table) = self.tables.get_mut(name) else { return Ok(()) };
        if let Some(created) = &mut table.created {
            created.done.get_or_insert(now);
        }
        table.is_there(name, begun, now)
    }

    pub fn drops(&mut self, name: &str) {
        let begun = self.tick();
        if let Some(table) = self.tables.get_mut(name) {
            table.dropped = Some(Change { begun, done: None });
        }
    }

    pub fn dropped(&mut self, name: &str) {
        let now = self.tick();
        if let Some(dropped) = self.tables.get_mut(name).and_then(|table| table.dropped.as_mut()) {
            dropped.done = Some(now);
        }
    }

    pub fn inserts(&mut self, name: &str, batch: u64, rows: u64) -> Moment {
        let begun = self.tick();
        if let Some(table) = self.tables.get_mut(name) {
            let inserted = Change { begun, done: None };
            table.batches.insert(batch, Batch { rows, is_first: false, inserted, seen: None });
        }
        begun
    }

    /// An insert that began then was acknowledged.
    pub fn inserted(&mut self, name: &str, batch: u64, begun: Moment) -> Result<(), String> {
        let now = self.tick();
        let Some(table) = self.tables.get_mut(name) else { return Ok(()) };
        if let Some(batch) = table.batches.get_mut(&batch) {
            batch.inserted.done = Some(now);
        }
        table.is_there(name, begun, now)
    }

    /// A statement that began then found no such table.
    pub fn not_found(&mut self, name: &str, begun: Moment) -> Result<(), String> {
        let now = self.tick();
        let Some(table) = self.tables.get_mut(name) else { return Ok(()) };
        if table.dropped.is_some_and(|dropped| dropped.begun < now) {
            let known = |moment: Option<Moment>| moment.is_some_and(|moment| moment < begun);
            if known(table.created.and_then(|created| created.done)) || known(table.seen) {
                table.seen_gone = Some(table.seen_gone.map_or(now, |gone| gone.min(now)));
            }
            return Ok(());
        }
        if table.created.and_then(|created| created.done).is_some_and(|done| done < begun) {
            return Err(format!("catalog: {name} was created, and was not found afterwards"));
        }
        if table.seen.is_some_and(|seen| seen < begun) {
            return Err(format!("catalog: {name} was seen, and was not found afterwards"));
        }
        Ok(())
    }

    /// A statement that began then saw these batches.
    pub fn read(&mut self, name: &str, begun: Moment, seen: &[SeenBatch]) -> Result<(), String> {
        let now = self.tick();
        let Some(table) = self.tables.get_mut(name) else { return Ok(()) };
        table.is_there(name, begun, now)?;
        let mut batches = BTreeSet::new();
        for one in seen {
            let Some(known) = table.batches.get(&one.batch) else {
                return Err(format!("catalog: {name} has batch {}, which nobody inserted", one.batch));
            };
            if one.rows > known.rows && one.rows.is_multiple_of(known.rows) {
                return Err(format!("catalog: batch {} of {name} is there more than once", one.batch));
            }
            if one.rows != known.rows || one.amount != 0 {
                return Err(format!("version: of batch {} of {name} a part was seen: {one:?}", one.batch));
            }
            batches.insert(one.batch);
        }
        if batches.iter().filter(|number| table.batches[*number].is_first).count() > 1 {
            return Err(format!("catalog: {name} has the rows of two creations: {batches:?}"));
        }
        for (number, batch) in &table.batches {
            let acknowledged = batch.inserted.done.is_some_and(|done| done < begun);
            if acknowledged && !batches.contains(number) {
                return Err(format!("catalog: batch {number} of {name} was acknowledged, and is not there"));
            }
            if batch.seen.is_some_and(|seen| seen < begun) && !batches.contains(number) {
                return Err(format!("catalog: batch {number} of {name} was seen, and is not there"));
            }
        }
        for number in &batches {
            if let Some(batch) = table.batches.get_mut(number) {
                batch.seen.get_or_insert(now);
            }
        }
        table.reads.push((now, batches));
        Ok(())
    }

    /// Whether the reads of each table can be put in one order, in which it only grows.
    pub fn check_order(&self) -> Result<(), String> {
        for (name, table) in &self.tables {
            let mut reads: Vec<&(Moment, BTreeSet<u64>)> = table.reads.iter().collect();
            reads.sort_by_key(|(moment, batches)| (batches.len(), *moment));
            for pair in reads.windows(2) {
                if !pair[0].1.is_subset(&pair[1].1) {
                    let (a, b) = (&pair[0].1, &pair[1].1);
                    return Err(format!("catalog: {name} was read as {a:?} and as {b:?}"));
                }
            }
        }
        Ok(())
    }
}

impl Table {
    /// A statement from `begun` to `now` found the table.
    fn is_there(&mut self, name: &str, begun: Moment, now: Moment) -> Result<(), String> {
        let before = |moment: Option<Moment>| moment.is_some_and(|moment| moment < begun);
        if before(self.dropped.and_then(|dropped| dropped.done)) {
            return Err(format!("catalog: {name} was dropped, and was found afterwards"));
        }
        if before(self.seen_gone) {
            return Err(format!("catalog: {name} was seen to be gone, and was found afterwards"));
        }
        self.seen.get_or_insert(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "t";

    fn seen(batch: u64) -> [SeenBatch; 1] {
        [SeenBatch { batch, rows: 2, amount: 0 }]
    }

    /// Nobody knows what became of the first attempt, with batch 1; the second, with batch 2, was acknowledged.
    fn created_again() -> History {
        let mut history = History::default();
        for batch in [1, 2] {
            history.creates(T);
            history.creates_with(T, batch, 2);
        }
        history.created(T, 2).unwrap();
        history
    }

    #[test]
    fn an_attempt_that_comes_back_is_found() {
        let mut history = created_again();
        let begun = history.tick();
        history.read(T, begun, &seen(2)).unwrap();
        assert!(history.read(T, begun, &seen(1)).unwrap_err().contains("nobody inserted"));
        history.drops(T);
        history.dropped(T);
        let begun = history.tick();
        assert!(history.read(T, begun, &seen(2)).unwrap_err().contains("was dropped"));
        history.not_found(T, begun).unwrap();
    }

    #[test]
    fn a_table_is_not_created_twice() {
        let mut history = History::default();
        history.creates(T);
        history.creates_with(T, 1, 2);
        let begun = history.tick();
        history.read(T, begun, &seen(1)).unwrap();
        let begun = history.creates(T);
        history.exists(T, begun).unwrap();
        assert_eq!(history.live(), [T]);
        history.creates(T);
        assert!(history.created(T, 2).unwrap_err().contains("could be created again"));
    }
}

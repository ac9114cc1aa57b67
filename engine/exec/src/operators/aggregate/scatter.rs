//! Rows set aside by the hashes of their keys, where most keys are new: to look each up in a table that no cache
//! holds costs more than to write it down and look it up later among those of its partition ([`super::regroup`]),
//! in a table that fits.
//!
//! After the partitioning routine of Müller, Sanders, Lacurie, Lehner and Färber, "Cache-Efficient Aggregation:
//! Hashing Is Sorting" (SIGMOD 2015). Rows are written down by columns, a chunk of each partition at a time.

use super::{Aggregation, Call};
use crate::memory::Reservation;
use crate::{Result, Shape};
use columnar::{Batch, Bitmap, Bytes, Flat, Interval, PhysicalType, Values, Vector, View, Views};
use std::ops::Range;
use std::sync::Arc;

/// Partitions, by the top eight bits of a hash.
pub(super) const PARTS: usize = 256;
const PART_SHIFT: u32 = 64 - PARTS.ilog2();
/// The most rows a chunk.
const CHUNK_ROWS: usize = 512;
/// Bytes a page of text: every partition has one that is not full.
const TEXT_BYTES: usize = 32 << 10;

/// The partition of a hash.
#[inline(always)]
pub(super) fn part_of(hash: u64) -> usize {
    (hash >> PART_SHIFT) as usize
}

/// What is written down of a row: the word of its key, the key itself where the word does not say it, and the
/// aggregates' arguments.
pub(super) struct Records {
    shapes: Vec<Shape>,
    /// How many columns hold keys: the first ones.
    pub(super) keys: usize,
    /// By aggregate: the column of its argument.
    pub(super) arguments: Vec<Option<usize>>,
}

impl Records {
    /// `None` where rows of these calls cannot be set aside; `keys` are the shapes of those that words do not say.
    pub(super) fn of(keys: &[Shape], calls: &[Call]) -> Option<Records> {
        let mut shapes = keys.to_vec();
        let mut taken: Vec<(usize, usize)> = Vec::new();
        let mut arguments = Vec::with_capacity(calls.len());
        for call in calls {
            if call.filter.is_some() {
                return None;
            }
            let Some(argument) = &call.argument else {
                arguments.push(None);
                continue;
            };
            let known = taken.iter().find(|(input, _)| Some(*input) == argument.column());
            arguments.push(Some(known.map_or(shapes.len(), |&(_, column)| column)));
            if known.is_none() {
                taken.extend(argument.column().map(|input| (input, shapes.len())));
                shapes.push(argument.shape().clone());
            }
        }
        Some(Records { shapes, keys: keys.len(), arguments })
    }
}

/// A partition's rows and the memory they take.
pub(super) struct Part {
    chunks: Vec<Chunk>,
    /// The strings that views of the chunks do not hold themselves.
    text: Vec<Vec<u8>>,
    /// The same, once all rows are in.
    frozen: Option<Arc<[Bytes]>>,
    memory: Reservation,
}

/// Some rows of a partition: their words and columns.
struct Chunk {
    words: Vec<u64>,
    columns: Vec<Flat>,
}

/// What a task has set aside.
pub(super) struct Scattered {
    shared: Arc<Aggregation>,
    /// Rows in the open chunk of each partition; those of partition `p` lie in every slab from `p * CHUNK_ROWS` on.
    open: Vec<u32>,
    words: Vec<u64>,
    slabs: Vec<Slab>,
    slab_memory: Reservation,
    parts: Vec<Part>,
}

impl Scattered {
    pub(super) fn new(shared: &Arc<Aggregation>, records: &Records) -> Result<Scattered> {
        let memory = |what| shared.memory.reservation(what);
        let part = |_| Part { chunks: Vec::new(), text: Vec::new(), frozen: None, memory: memory(WHAT) };
        let bytes: usize = records.shapes.iter().map(|shape| shape.physical.width_bytes() + 1).sum();
        let mut slab_memory = memory(WHAT);
        slab_memory.grow(((size_of::<u64>() + bytes) * PARTS * CHUNK_ROWS) as u64)?;
        Ok(Scattered {
            shared: shared.clone(),
            open: vec![0; PARTS],
            words: vec![0; PARTS * CHUNK_ROWS],
            slabs: records.shapes.iter().map(Slab::new).collect(),
            slab_memory,
            parts: (0..PARTS).map(part).collect(),
        })
    }

    /// Sets the rows of `batch` aside, whose keys are `keys` and their words `words`.
    pub(super) fn take(
        &mut self,
        records: &Records,
        words: &[u64],
        keys: &[Vector],
        batch: &Batch,
    ) -> Result<()> {
        let shared = self.shared.clone();
        let mut columns: Vec<Flat> = keys[..records.keys].iter().map(Vector::flatten).collect();
        for (call, column) in shared.calls.iter().zip(&records.arguments) {
            if let Some(input) = call.argument.as_ref().filter(|_| *column == Some(columns.len())) {
                columns.push(input.evaluate(batch)?.flatten());
            }
        }
        for start in (0..words.len()).step_by(CHUNK_ROWS) {
            self.scatter(start..words.len().min(start + CHUNK_ROWS), words, &columns)?;
        }
        Ok(())
    }

    /// Writes at most a chunk of rows into the slabs.
    fn scatter(&mut self, rows: Range<usize>, words: &[u64], columns: &[Flat]) -> Result<()> {
        let words = &words[rows.clone()];
        let parts: Vec<u8> = words.iter().map(|&word| part_of(self.shared.hash_of(word)) as u8).collect();
        let mut counts = [0; PARTS];
        parts.iter().for_each(|&part| counts[usize::from(part)] += 1);
        for (part, count) in counts.into_iter().enumerate() {
            if self.open[part] as usize + count > CHUNK_ROWS {
                self.close(part)?;
            }
        }
        let open = &mut self.open;
        let places: Vec<u32> = parts
            .iter()
            .map(|&part| {
                let row = open[usize::from(part)];
                open[usize::from(part)] = row + 1;
                u32::from(part) * CHUNK_ROWS as u32 + row
            })
            .collect();
        put(words, &places, &mut self.words);
        for (slab, column) in self.slabs.iter_mut().zip(columns) {
            slab.put(column, rows.clone(), &places, &mut self.parts)?;
        }
        Ok(())
    }

    /// Moves the open rows of a partition into a chunk of their own.
    fn close(&mut self, part: usize) -> Result<()> {
        let rows = std::mem::take(&mut self.open[part]) as usize;
        if rows == 0 {
            return Ok(());
        }
        let place = part * CHUNK_ROWS;
        let width: usize = self.slabs.iter().map(Slab::width_bytes).sum();
        self.parts[part].memory.grow((rows * (size_of::<u64>() + width)) as u64)?;
        let words = self.words[place..place + rows].to_vec();
        let columns = self.slabs.iter().map(|slab| slab.cut(place..place + rows)).collect();
        self.parts[part].chunks.push(Chunk { words, columns });
        Ok(())
    }

    /// All rows, by partition.
    pub(super) fn into_parts(mut self) -> Result<Vec<Part>> {
        (0..PARTS).try_for_each(|part| self.close(part))?;
        self.slab_memory.resize(0)?;
        Ok(self.parts)
    }
}

/// For errors about memory.
const WHAT: &str = "the input of an aggregation";

impl Part {
    pub(super) fn rows(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.words.len()).sum()
    }

    /// Takes some rows out: their words and columns.
    pub(super) fn next_chunk(&mut self) -> Option<(Vec<u64>, Vec<Vector>)> {
        let Chunk { words, columns } = self.chunks.pop()?;
        let text = std::mem::take(&mut self.text);
        let text = self.frozen.get_or_insert_with(|| text.into_iter().map(Bytes::from_vec).collect()).clone();
        let whole = |mut column: Flat| {
            if let Values::View(views) = &column.values {
                column.values = Values::View(Views::new(views.raw().clone(), text.clone()));
            }
            column.into()
        };
        Some((words, columns.into_iter().map(whole).collect()))
    }

    /// Keeps a string that a view does not hold itself.
    #[inline]
    fn keep(&mut self, text: &[u8]) -> Result<View> {
        let fits = self.text.last().is_some_and(|page| page.capacity() - page.len() >= text.len());
        if !fits {
            let size = TEXT_BYTES.max(text.len());
            self.memory.grow(size as u64)?;
            self.text.push(Vec::with_capacity(size));
        }
        let index = self.text.len() - 1;
        let page = &mut self.text[index];
        let view = View::new(text, index as u32, page.len() as u32);
        page.extend_from_slice(text);
        Ok(view)
    }
}

/// A column of the open chunks of all partitions, one after the other.
struct Slab {
    shape: Shape,
    values: SlabValues,
    /// By row, where values may be null: whether there is one.
    valid: Vec<bool>,
}

enum SlabValues {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Interval(Vec<Interval>),
    /// Views into the text of partitions.
    View(Vec<u128>),
}

impl Slab {
    fn new(shape: &Shape) -> Slab {
        const ROWS: usize = PARTS * CHUNK_ROWS;
        let values = match shape.physical {
            PhysicalType::Bool => SlabValues::Bool(vec![false; ROWS]),
            PhysicalType::I8 => SlabValues::I8(vec![0; ROWS]),
            PhysicalType::I16 => SlabValues::I16(vec![0; ROWS]),
            PhysicalType::I32 => SlabValues::I32(vec![0; ROWS]),
            PhysicalType::I64 => SlabValues::I64(vec![0; ROWS]),
            PhysicalType::I128 => SlabValues::I128(vec![0; ROWS]),
            PhysicalType::F32 => SlabValues::F32(vec![0.0; ROWS]),
            PhysicalType::F64 => SlabValues::F64(vec![0.0; ROWS]),
            PhysicalType::Interval => SlabValues::Interval(vec![Interval::default(); ROWS]),
            PhysicalType::View => SlabValues::View(vec![0; ROWS]),
        };
        Slab { shape: shape.clone(), values, valid: vec![true; if shape.nullable { ROWS } else { 0 }] }
    }

    fn width_bytes(&self) -> usize {
        self.shape.physical.width_bytes().max(1) + usize::from(self.shape.nullable)
    }

    /// Writes these rows of `column` to `places`.
    fn put(&mut self, column: &Flat, rows: Range<usize>, places: &[u32], parts: &mut [Part]) -> Result<()> {
        if self.shape.nullable {
            let valid = &mut self.valid;
            match &column.validity {
                None => places.iter().for_each(|&place| valid[place as usize] = true),
                Some(bits) => rows.clone().zip(places).for_each(|(row, &place)| {
                    valid[place as usize] = bits.get(row);
                }),
            }
        }
        match (&mut self.values, &column.values) {
            (SlabValues::I8(slab), Values::I8(values)) => put(&values[rows], places, slab),
            (SlabValues::I16(slab), Values::I16(values)) => put(&values[rows], places, slab),
            (SlabValues::I32(slab), Values::I32(values)) => put(&values[rows], places, slab),
            (SlabValues::I64(slab), Values::I64(values)) => put(&values[rows], places, slab),
            (SlabValues::I128(slab), Values::I128(values)) => put(&values[rows], places, slab),
            (SlabValues::F32(slab), Values::F32(values)) => put(&values[rows], places, slab),
            (SlabValues::F64(slab), Values::F64(values)) => put(&values[rows], places, slab),
            (SlabValues::Interval(slab), Values::Interval(values)) => put(&values[rows], places, slab),
            (SlabValues::Bool(slab), Values::Bool(bits)) => {
                rows.zip(places).for_each(|(row, &place)| slab[place as usize] = bits.get(row));
            }
            (SlabValues::View(slab), Values::View(views)) => {
                for (row, &place) in rows.zip(places) {
                    let mut view = views.view(row);
                    if !view.is_inline() {
                        let part = &mut parts[place as usize / CHUNK_ROWS];
                        view = if column.is_null(row) { View(0) } else { part.keep(views.get(row))? };
                    }
                    slab[place as usize] = view.0;
                }
            }
            _ => return Err(crate::Error::Internal("a column of another width than its shape".into())),
        }
        Ok(())
    }

    /// The rows at these places.
    fn cut(&self, places: Range<usize>) -> Flat {
        let valid = self.valid.get(places.clone()).filter(|valid| valid.contains(&false));
        let validity = valid.map(|valid| valid.iter().copied().collect::<Bitmap>());
        let values = match &self.values {
            SlabValues::Bool(slab) => Values::Bool(slab[places].iter().copied().collect()),
            SlabValues::I8(slab) => Values::I8(slab[places].to_vec().into()),
            SlabValues::I16(slab) => Values::I16(slab[places].to_vec().into()),
            SlabValues::I32(slab) => Values::I32(slab[places].to_vec().into()),
            SlabValues::I64(slab) => Values::I64(slab[places].to_vec().into()),
            SlabValues::I128(slab) => Values::I128(slab[places].to_vec().into()),
            SlabValues::F32(slab) => Values::F32(slab[places].to_vec().into()),
            SlabValues::F64(slab) => Values::F64(slab[places].to_vec().into()),
            SlabValues::Interval(slab) => Values::Interval(slab[places].into()),
            // Their text is added once all of it is there.
            SlabValues::View(slab) => Values::View(Views::new(slab[places].to_vec().into(), Arc::default())),
        };
        Flat::new(self.shape.data_type, values, validity)
    }
}

#[inline(always)]
fn put<T: Copy>(values: &[T], places: &[u32], slab: &mut [T]) {
    for (&value, &place) in values.iter().zip(places) {
        slab[place as usize] = value;
    }
}

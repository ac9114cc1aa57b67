//! Building one column: values gather until a block is full, then the block is encoded.
//!
//! Strings are first numbered; if too many are distinct, they go on as strings. What is numbered to the end
//! becomes a dictionary column.

use crate::encoding::{self, Input, Source, Strings, Writer};
use crate::error::{Error, Result};
use crate::format;
use crate::interner::{Interner, hash_bytes};
use crate::pending::{Pending, append_string, fill_nulls};
use crate::rows::RowsRef;
use crate::segment::BLOCK_ROWS;
use crate::sketch::{DistinctSketch, hash_integer};
use crate::statistics::{ColumnSchema, SAMPLE_ROWS, spread};
use crate::zone::{lower_bound, upper_bound, widen};
use columnar::{BATCH_ROWS, Bitmap, Bytes, DataType, PhysicalType, Scalar, Values, Vector};

pub(crate) struct ColumnBuilder {
    schema: ColumnSchema,
    pending: Pending,
    /// Of pending rows; bits past its end are set.
    validity: Vec<bool>,
    pending_rows: usize,
    output: Output,
}

/// What is encoded already.
struct Output {
    writer: Writer,
    blocks: Vec<format::Block>,
    bounds: (Scalar, Scalar),
    nulls: u64,
    /// Of integers; `None` where it does not fit.
    sum: Option<i128>,
    /// The last value, while values ascend.
    last: Option<i128>,
    ascending: bool,
    strictly: bool,
    sketch: DistinctSketch,
    /// Up to [`SAMPLE_ROWS`] values of each block.
    samples: Vec<Vec<Scalar>>,
}

/// A column whose places count from the start of its bytes.
pub(crate) struct BuiltColumn {
    pub message: format::Column,
    pub bytes: Bytes,
    /// Values of evenly spread rows, a block each.
    pub samples: Vec<Vec<Scalar>>,
}

impl ColumnBuilder {
    pub(crate) fn new(schema: ColumnSchema) -> ColumnBuilder {
        let data_type = schema.data_type;
        let pending = match Pending::new(data_type) {
            Pending::Strings { .. } => {
                Pending::Numbers { interner: Interner::default(), numbers: Vec::new(), known: None }
            }
            other => other,
        };
        let output = Output {
            writer: Writer::default(),
            blocks: Vec::new(),
            bounds: (Scalar::Null, Scalar::Null),
            nulls: 0,
            sum: data_type.is_integral().then_some(0),
            last: None,
            ascending: data_type.is_integral(),
            strictly: data_type.is_integral(),
            sketch: DistinctSketch::default(),
            samples: Vec::new(),
        };
        ColumnBuilder { schema, pending, validity: Vec::new(), pending_rows: 0, output }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.output.writer.len() + self.validity.len() + self.pending.memory_bytes()
    }

    /// Appends values; no more than the block has room for.
    pub(crate) fn push(&mut self, vector: &Vector) -> Result<()> {
        if vector.data_type() != self.schema.data_type {
            let (found, name, expected) = (vector.data_type(), &self.schema.name, self.schema.data_type);
            return Err(Error::Internal(format!("{found} pushed to column {name} of type {expected}")));
        }
        let validity = vector.validity();
        if let Some(validity) = &validity {
            self.validity.resize(self.pending_rows, true);
            self.validity.extend((0..vector.len()).map(|row| validity.get(row)));
        }
        self.pending.append(vector, validity.as_ref())?;
        self.pending_rows += vector.len();
        if self.pending.repeats_too_little(self.pending_rows, false) {
            self.give_up_numbers()?;
        }
        if self.pending_rows == BLOCK_ROWS && !matches!(self.pending, Pending::Numbers { .. }) {
            self.flush()?;
        }
        Ok(())
    }

    /// Validity of pending rows `start .. start + len`; `None` where none is null.
    fn validity(&self, start: usize, len: usize) -> Option<Bitmap> {
        let end = (start + len).min(self.validity.len());
        let held = self.validity.get(start..end)?;
        if held.iter().all(|&valid| valid) {
            return None;
        }
        Some(Bitmap::from_fn(len, |row| held.get(row).copied().unwrap_or(true)))
    }

    /// Encodes what is pending as a block.
    fn flush(&mut self) -> Result<()> {
        if self.pending_rows == 0 {
            return Ok(());
        }
        let validity = self.validity(0, self.pending_rows);
        if let Some(validity) = &validity {
            self.pending.fill_nulls(validity);
        }
        let output = &mut self.output;
        self.pending.with_input(|input| output.block(input, validity, None))?;
        self.pending = Pending::new(self.schema.data_type);
        self.validity.clear();
        self.pending_rows = 0;
        Ok(())
    }

    /// Goes on with strings as they are.
    fn give_up_numbers(&mut self) -> Result<()> {
        let Pending::Numbers { interner, numbers, .. } =
            std::mem::replace(&mut self.pending, Pending::new(self.schema.data_type))
        else {
            return Ok(());
        };
        let validity = std::mem::take(&mut self.validity);
        self.pending_rows = 0;
        for (block, numbers) in numbers.chunks(BLOCK_ROWS).enumerate() {
            if let Pending::Strings { bytes, starts } = &mut self.pending {
                let first = block * BLOCK_ROWS;
                for (row, &number) in numbers.iter().enumerate() {
                    let valid = validity.get(first + row).copied().unwrap_or(true);
                    append_string(bytes, starts, if valid { interner.get(number) } else { &[] })?;
                }
                let held = validity.len().clamp(first, first + numbers.len());
                self.validity = validity.get(first..held).unwrap_or_default().to_vec();
                self.pending_rows = numbers.len();
            }
            if self.pending_rows == BLOCK_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<BuiltColumn> {
        if self.pending.repeats_too_little(self.pending_rows, true) {
            self.give_up_numbers()?;
        }
        let mut dictionary = None;
        let mut exact = None;
        match std::mem::replace(&mut self.pending, Pending::Bits(Vec::new())) {
            Pending::Numbers { interner, mut numbers, .. } => {
                dictionary = Some(self.output.dictionary(&interner, &mut numbers)?);
                exact = Some(interner.len());
                let sorted = Sorted::new(&interner);
                for (block, codes) in numbers.chunks_mut(BLOCK_ROWS).enumerate() {
                    let validity = self.validity(block * BLOCK_ROWS, codes.len());
                    if let Some(validity) = &validity {
                        fill_nulls(codes, validity);
                    }
                    let input = Input::Codes { codes, count: interner.len() };
                    self.output.block(input, validity, Some(&sorted))?;
                }
                interner.hashes().iter().for_each(|&hash| self.output.sketch.insert(hash));
            }
            other => {
                self.pending = other;
                self.flush()?;
            }
        }
        let output = self.output;
        let bytes = output.writer.finish();
        let rows: u64 = output.blocks.iter().map(|block| block.rows).sum();
        let values = rows - output.nulls;
        let estimate = output.sketch.estimate().min(values as f64);
        let unique = match exact {
            _ if values <= 1 || output.strictly && output.nulls == 0 => true,
            Some(count) => count as u64 == values,
            // A look at every value is spent only where they may well be unique.
            None if self.schema.data_type.is_integral() && estimate > 0.9 * values as f64 => {
                no_integer_twice(&output.blocks, &bytes, self.schema.data_type, &output.bounds)?
            }
            None => false,
        };
        let distinct = match exact {
            Some(count) => count as f64,
            None if unique => values as f64,
            None => estimate,
        };
        let message = format::Column {
            name: self.schema.name,
            data_type: Some(format::Type::new(self.schema.data_type)),
            nullable: self.schema.nullable,
            blocks: output.blocks,
            dictionary,
            sample: None,
            nulls: output.nulls,
            min: format::Scalar::new(&lower_bound(&output.bounds.0)),
            max: format::Scalar::new(&upper_bound(&output.bounds.1)),
            unique,
            sorted: output.ascending && output.nulls == 0,
            distinct,
            sketch: output.sketch.as_bytes().to_vec(),
            sum: output.sum.map(|sum| sum.to_le_bytes().to_vec()),
        };
        Ok(BuiltColumn { message, bytes, samples: output.samples })
    }
}

/// Whether the integers of blocks are distinct, nulls aside. Looked at only within bounds that are not much
/// wider than the values are many, a bit for each integer.
fn no_integer_twice(
    blocks: &[format::Block],
    bytes: &Bytes,
    data_type: DataType,
    bounds: &(Scalar, Scalar),
) -> Result<bool> {
    let rows: u64 = blocks.iter().map(|block| block.rows).sum();
    let (Some(min), Some(max)) = (bounds.0.as_integer(), bounds.1.as_integer()) else { return Ok(false) };
    let widest = (rows * 64).max(1 << 20);
    let Some(range) = max.checked_sub(min).filter(|&range| range < widest.into()) else { return Ok(false) };
    let mut seen = vec![0_u64; range as usize / 64 + 1];
    for block in blocks {
        let source = Source { block, bytes, data_type, dictionary: None };
        let (values, validity) = (encoding::open(&source)?, source.validity()?);
        let rows = block.rows as usize;
        for start in (0..rows).step_by(BATCH_ROWS) {
            let range = RowsRef::Range(start, BATCH_ROWS.min(rows - start));
            let Values::I128(values) = values.read(range, PhysicalType::I128)?.flatten().values else {
                return Ok(false);
            };
            for (row, value) in values.iter().enumerate() {
                if validity.as_ref().is_some_and(|validity| !validity.get(start + row)) {
                    continue;
                }
                let place = (value - min) as usize;
                let (word, bit) = (&mut seen[place / 64], 1 << (place % 64));
                if *word & bit != 0 {
                    return Ok(false);
                }
                *word |= bit;
            }
        }
    }
    Ok(true)
}

/// A dictionary's strings by code.
struct Sorted<'a> {
    interner: &'a Interner,
    /// The number of each code.
    order: Vec<u32>,
}

impl<'a> Sorted<'a> {
    fn new(interner: &'a Interner) -> Sorted<'a> {
        let mut order: Vec<u32> = (0..interner.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| interner.get(a).cmp(interner.get(b)));
        Sorted { interner, order }
    }

    fn scalar(&self, code: u32) -> Scalar {
        Scalar::Bytes(self.interner.get(self.order[code as usize]).to_vec())
    }
}

impl Output {
    /// Writes the dictionary and turns numbers into codes.
    fn dictionary(&mut self, interner: &Interner, numbers: &mut [u32]) -> Result<format::Block> {
        let order = Sorted::new(interner).order;
        let mut codes = vec![0; order.len()];
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for (code, &number) in order.iter().enumerate() {
            codes[number as usize] = code as u32;
            append_string(&mut bytes, &mut starts, interner.get(number))?;
        }
        numbers.iter_mut().for_each(|number| *number = codes.get(*number as usize).copied().unwrap_or(0));
        let strings = Strings { bytes: &bytes, starts: &starts };
        let mut block = self.writer.write(encoding::encode(Input::Strings(strings))?, None);
        block.rows = interner.len() as u64;
        Ok(block)
    }

    /// Encodes a block. `sorted` is the dictionary of codes.
    fn block(
        &mut self,
        input: Input<'_>,
        validity: Option<Bitmap>,
        sorted: Option<&Sorted<'_>>,
    ) -> Result<()> {
        let rows = input.len();
        let nulls = validity.as_ref().map_or(0, |validity| rows - validity.count_ones());
        self.nulls += nulls as u64;
        let encoded = match nulls == rows && sorted.is_none() {
            true => encoding::all_null(rows),
            false => encoding::encode(input)?,
        };
        let bounds = match nulls == rows {
            true => (Scalar::Null, Scalar::Null),
            false => self.note(input, validity.as_ref(), sorted),
        };
        let partly = validity.as_ref().filter(|_| nulls < rows);
        let mut block = self.writer.write(encoded, partly);
        block.nulls = nulls as u64;
        block.min = format::Scalar::new(&lower_bound(&bounds.0));
        block.max = format::Scalar::new(&upper_bound(&bounds.1));
        self.blocks.push(block);
        widen(&mut self.bounds, bounds);
        let scalar = |row: usize| match &validity {
            Some(validity) if !validity.get(row) => Scalar::Null,
            _ => scalar_at(input, row, sorted),
        };
        self.samples.push(spread(rows, SAMPLE_ROWS).into_iter().map(scalar).collect());
        Ok(())
    }

    /// Takes a block's values into the summary. Gives their bounds. Some value is not null.
    fn note(
        &mut self,
        input: Input<'_>,
        validity: Option<&Bitmap>,
        sorted: Option<&Sorted<'_>>,
    ) -> (Scalar, Scalar) {
        let valid = |row: usize| validity.is_none_or(|validity| validity.get(row));
        match input {
            Input::I64(values) => {
                // A block is so short that its sum fits.
                let sum: i128 = valid_values(values, validity).map(i128::from).sum();
                self.sum = self.sum.and_then(|before| before.checked_add(sum));
                self.note_integers(values, |value| hash_integer(value as u64))
            }
            Input::I128(values) => {
                self.sum = valid_values(values, validity)
                    .try_fold(self.sum.unwrap_or(0), i128::checked_add)
                    .filter(|_| self.sum.is_some());
                self.note_integers(values, |value| {
                    hash_integer(value as u64 ^ hash_integer((value >> 64) as u64).rotate_left(1))
                })
            }
            Input::F32(values) => self.note_floats(values, valid),
            Input::F64(values) => self.note_floats(values, valid),
            Input::Intervals(values) => {
                let held = (0..values.len()).filter(|&row| valid(row)).map(|row| values[row]);
                let (mut min, mut max) = (Scalar::Null, Scalar::Null);
                for value in held {
                    self.sketch.insert(hash_integer(value.comparison_micros() as u64));
                    let mut bounds = (min, max);
                    widen(&mut bounds, (Scalar::Interval(value), Scalar::Interval(value)));
                    (min, max) = bounds;
                }
                (min, max)
            }
            Input::Bits(bits) => {
                let held = |value: bool| (0..bits.len()).any(|row| valid(row) && bits.get(row) == value);
                let (no, yes) = (held(false), held(true));
                [no.then_some(0), yes.then_some(1)].into_iter().flatten().for_each(|value| {
                    self.sketch.insert(hash_integer(value));
                });
                (Scalar::Boolean(!no), Scalar::Boolean(yes))
            }
            Input::Strings(strings) => {
                let mut bounds: Option<(&[u8], &[u8])> = None;
                for row in (0..strings.len()).filter(|&row| valid(row)) {
                    let string = strings.get(row);
                    self.sketch.insert(hash_bytes(string));
                    let (min, max) = bounds.unwrap_or((string, string));
                    bounds = Some((min.min(string), max.max(string)));
                }
                match bounds {
                    Some((min, max)) => (Scalar::Bytes(min.to_vec()), Scalar::Bytes(max.to_vec())),
                    None => (Scalar::Null, Scalar::Null),
                }
            }
            Input::Codes { codes, .. } => match (codes.iter().min(), codes.iter().max(), sorted) {
                (Some(&min), Some(&max), Some(sorted)) => (sorted.scalar(min), sorted.scalar(max)),
                _ => (Scalar::Null, Scalar::Null),
            },
        }
    }

    /// Null rows repeat a neighbour, so that they change nothing here.
    fn note_integers<T: Copy + Ord + Into<i128>>(
        &mut self,
        values: &[T],
        hash: impl Fn(T) -> u64,
    ) -> (Scalar, Scalar) {
        let Some(&first) = values.first() else { return (Scalar::Null, Scalar::Null) };
        let (mut min, mut max, mut last) = (first, first, first);
        let follows = |last: i128, next: i128| (last <= next, last < next);
        let (mut ascending, mut strictly) =
            self.last.map_or((true, true), |last| follows(last, first.into()));
        self.sketch.insert(hash(first));
        for &value in &values[1..] {
            ascending &= last <= value;
            strictly &= last < value;
            if value != last {
                self.sketch.insert(hash(value));
            }
            (min, max, last) = (min.min(value), max.max(value), value);
        }
        self.ascending &= ascending;
        self.strictly &= strictly;
        self.last = Some(last.into());
        (Scalar::Integer(min.into()), Scalar::Integer(max.into()))
    }

    fn note_floats<T: Copy + Into<f64>>(
        &mut self,
        values: &[T],
        valid: impl Fn(usize) -> bool,
    ) -> (Scalar, Scalar) {
        let mut bounds: Option<(f64, f64)> = None;
        for (row, &value) in values.iter().enumerate() {
            if !valid(row) {
                continue;
            }
            let value: f64 = value.into();
            let alike = if value.is_nan() { f64::NAN } else { value + 0.0 };
            self.sketch.insert(hash_integer(alike.to_bits()));
            let (min, max) = bounds.unwrap_or((value, value));
            let less = |a: f64, b: f64| columnar::scalar::compare_floats(a, b).is_lt();
            bounds = Some((
                if less(value, min) { value } else { min },
                if less(max, value) { value } else { max },
            ));
        }
        bounds.map_or((Scalar::Null, Scalar::Null), |(min, max)| (Scalar::Float(min), Scalar::Float(max)))
    }
}

/// The values that are not null.
fn valid_values<'a, T: Copy>(values: &'a [T], validity: Option<&'a Bitmap>) -> impl Iterator<Item = T> + 'a {
    let valid = move |row: usize| validity.is_none_or(|validity| validity.get(row));
    values.iter().enumerate().filter(move |(row, _)| valid(*row)).map(|(_, &value)| value)
}

fn scalar_at(input: Input<'_>, row: usize, sorted: Option<&Sorted<'_>>) -> Scalar {
    match input {
        Input::I64(values) => Scalar::Integer(values[row].into()),
        Input::I128(values) => Scalar::Integer(values[row]),
        Input::F32(values) => Scalar::Float(values[row].into()),
        Input::F64(values) => Scalar::Float(values[row]),
        Input::Intervals(values) => Scalar::Interval(values[row]),
        Input::Bits(bits) => Scalar::Boolean(bits.get(row)),
        Input::Strings(strings) => Scalar::Bytes(strings.get(row).to_vec()),
        Input::Codes { codes, .. } => sorted.map_or(Scalar::Null, |sorted| sorted.scalar(codes[row])),
    }
}

/// Encodes single values, say a sample, as a block with its validity.
pub(crate) fn encode_scalars(
    writer: &mut Writer,
    data_type: DataType,
    scalars: &[Scalar],
) -> Result<format::Block> {
    let vector = Vector::from_scalars(data_type, scalars);
    let mut pending = Pending::new(data_type);
    let validity = vector.validity();
    pending.append(&vector, validity.as_ref())?;
    let nulls = validity.as_ref().map_or(0, |validity| validity.len() - validity.count_ones());
    if let Some(validity) = &validity {
        pending.fill_nulls(validity);
    }
    let all_null = nulls == scalars.len();
    let encoded =
        if all_null { encoding::all_null(scalars.len()) } else { pending.with_input(encoding::encode)? };
    let mut block = writer.write(encoded, validity.as_ref().filter(|_| !all_null));
    block.nulls = nulls as u64;
    Ok(block)
}

//! Fields of rows: written, read and compared a column at a time.
//!
//! Functions here take addresses of rows. Their callers make sure that each is the address of a live row of
//! the layout that the field belongs to ([`super::RowPages::pointer`]); that is what every `unsafe` block
//! below relies on.

use super::layout::Field;
use columnar::kernels::text::{prefetch, prefetch_text};
use columnar::scalar::compare_floats;
use columnar::{Bitmap, Flat, Interval, PhysicalType, Scalar, Values, Vector, View};
use std::cmp::Ordering;

/// Finds long strings: the bytes behind a view of row `row` that is not inline.
pub trait Heap {
    fn long(&self, row: u32, view: View) -> &[u8];
}

/// A fixed-width value in a row.
pub(crate) trait Cell: Copy {
    fn order(self, other: Self) -> Ordering;
    #[inline(always)]
    fn same(self, other: Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

macro_rules! integers {
    ($($type:ty),*) => { $(impl Cell for $type {
        #[inline(always)]
        fn order(self, other: Self) -> Ordering {
            self.cmp(&other)
        }
        #[inline(always)]
        fn same(self, other: Self) -> bool {
            self == other
        }
    })* };
}
integers!(i8, i16, i32, i64, i128, u8);

macro_rules! floats {
    ($($type:ty),*) => { $(impl Cell for $type {
        #[inline(always)]
        fn order(self, other: Self) -> Ordering {
            compare_floats(self.into(), other.into())
        }
    })* };
}
floats!(f32, f64);

impl Cell for Interval {
    fn order(self, other: Self) -> Ordering {
        self.comparison_micros().cmp(&other.comparison_micros())
    }
}

/// Reads a value at `offset` of a row, which must be the address of a row that has one there.
#[inline(always)]
pub(crate) fn load<T: Copy>(row: *const u8, offset: usize) -> T {
    // SAFETY: see the module: the row has a field of this type at `offset`, and every bit pattern written
    // there was one of `T`.
    unsafe { row.add(offset).cast::<T>().read_unaligned() }
}

/// Writes a value at `offset` of a row; as [`load`].
#[inline(always)]
pub(crate) fn store<T: Copy>(row: *mut u8, offset: usize, value: T) {
    // SAFETY: see the module.
    unsafe { row.add(offset).cast::<T>().write_unaligned(value) }
}

/// Whether the field of a row is null.
#[inline(always)]
pub(super) fn is_null(field: &Field, row: *const u8) -> bool {
    field.null.is_some_and(|(byte, bit)| load::<u8>(row, byte) & bit != 0)
}

/// Marks the rows whose value is null.
pub(super) fn write_nulls(field: &Field, vector: &Vector, rows: &[*mut u8]) {
    let (Some((byte, bit)), Some(validity)) = (field.null, vector.validity()) else {
        debug_assert!(vector.validity().is_none_or(|validity| validity.all()), "null where none can be");
        return;
    };
    for (position, &row) in rows.iter().enumerate() {
        if !validity.get(position) {
            store(row, byte, load::<u8>(row, byte) | bit);
        }
    }
}

/// Writes a value a row, for every type but strings.
pub(super) fn write_fixed(field: &Field, vector: &Vector, rows: &[*mut u8]) {
    fn write<T: Copy>(values: &[T], rows: &[*mut u8], offset: usize) {
        for (&value, &row) in values.iter().zip(rows) {
            store(row, offset, value);
        }
    }
    write_nulls(field, vector, rows);
    let flat = vector.flatten();
    columnar::match_numbers!(&flat.values, values => write(values, rows, field.offset), other => match other {
        Values::Interval(values) => write(values, rows, field.offset),
        Values::Bool(bits) => rows.iter().enumerate().for_each(|(position, &row)| {
            store(row, field.offset, u8::from(bits.get(position)));
        }),
        _ => {}
    });
}

/// How many rows before they are compared their fields, and the text that these lead to, are asked of memory.
const ROWS_AHEAD: usize = 16;
const TEXTS_AHEAD: usize = 8;

/// Clears `equal[i]` unless the field of `rows[i]` equals `flat`'s value at `positions[i]`; nulls are alike.
/// `numbers[i]` is the number of the row, by which `heap` finds its strings.
pub fn equal_to_vector(
    field: &Field,
    flat: &Flat,
    positions: &[u32],
    rows: &[*const u8],
    numbers: &[u32],
    heap: &impl Heap,
    equal: &mut [bool],
) {
    fn compare<T: Cell>(
        values: &[T],
        positions: &[u32],
        rows: &[*const u8],
        offset: usize,
        equal: &mut [bool],
    ) {
        for ((&position, &row), equal) in positions.iter().zip(rows).zip(equal) {
            *equal &= values[position as usize].same(load(row, offset));
        }
    }
    // Values under nulls are unspecified: what they compare to is settled apart.
    let nulls = (field.null.is_some() || flat.validity.is_some()).then(|| {
        let both =
            |(&position, &row): (&u32, &*const u8)| (flat.is_null(position as usize), is_null(field, row));
        let pairs: Vec<(bool, bool)> = positions.iter().zip(rows).map(both).collect();
        (pairs, equal.to_vec())
    });
    let offset = field.offset;
    columnar::match_numbers!(&flat.values, values => compare(values, positions, rows, offset, equal),
        other => match other {
        Values::Interval(values) => compare(values, positions, rows, offset, equal),
        Values::Bool(bits) => {
            for ((&position, &row), equal) in positions.iter().zip(rows).zip(&mut *equal) {
                *equal &= u8::from(bits.get(position as usize)) == load::<u8>(row, offset);
            }
        }
        Values::View(views) => {
            for (index, equal) in equal.iter_mut().enumerate() {
                if let Some(&row) = rows.get(index + ROWS_AHEAD) {
                    prefetch(row.wrapping_add(offset));
                }
                if let Some(&row) = rows.get(index + TEXTS_AHEAD) {
                    let view = View(load(row, offset));
                    if !view.is_inline() {
                        prefetch_text(heap.long(numbers[index + TEXTS_AHEAD], view));
                    }
                }
                if *equal {
                    let position = positions[index] as usize;
                    let (ours, theirs) = (views.view(position), View(load(rows[index], offset)));
                    *equal = ours.head() == theirs.head()
                        && if ours.is_inline() {
                            ours == theirs
                        } else {
                            views.get(position) == heap.long(numbers[index], theirs)
                        };
                }
            }
        }
        _ => {}
    });
    if let Some((pairs, before)) = nulls {
        for (index, (a, b)) in pairs.into_iter().enumerate() {
            if a || b {
                equal[index] = before[index] && a && b;
            }
        }
    }
}

/// The order of the fields of two rows, neither null.
fn compare_values(
    field: &Field,
    a: (u32, *const u8, &impl Heap),
    b: (u32, *const u8, &impl Heap),
) -> Ordering {
    fn order<T: Cell>(a: *const u8, b: *const u8, offset: usize) -> Ordering {
        load::<T>(a, offset).order(load(b, offset))
    }
    let offset = field.offset;
    match field.shape.physical {
        PhysicalType::Bool => order::<u8>(a.1, b.1, offset),
        PhysicalType::I8 => order::<i8>(a.1, b.1, offset),
        PhysicalType::I16 => order::<i16>(a.1, b.1, offset),
        PhysicalType::I32 => order::<i32>(a.1, b.1, offset),
        PhysicalType::I64 => order::<i64>(a.1, b.1, offset),
        PhysicalType::I128 => order::<i128>(a.1, b.1, offset),
        PhysicalType::F32 => order::<f32>(a.1, b.1, offset),
        PhysicalType::F64 => order::<f64>(a.1, b.1, offset),
        PhysicalType::Interval => order::<Interval>(a.1, b.1, offset),
        PhysicalType::View => {
            let (left, right) = (View(load(a.1, offset)), View(load(b.1, offset)));
            let (mut left_inline, mut right_inline) = ([0; INLINE], [0; INLINE]);
            let left = text(left, a.0, a.2, &mut left_inline);
            left.cmp(text(right, b.0, b.2, &mut right_inline))
        }
    }
}

pub(crate) const INLINE: usize = columnar::view::INLINE_BYTES;

/// The bytes of a view, inline ones by way of `buffer`.
pub(crate) fn text<'a>(view: View, row: u32, heap: &'a impl Heap, buffer: &'a mut [u8; INLINE]) -> &'a [u8] {
    if view.is_inline() {
        buffer.copy_from_slice(&view.0.to_le_bytes()[4..]);
        &buffer[..view.len()]
    } else {
        heap.long(row, view)
    }
}

/// The order of the fields of two rows, given as number, address and heap; nulls are alike and last.
pub fn compare_rows(
    field: &Field,
    a: (u32, *const u8, &impl Heap),
    b: (u32, *const u8, &impl Heap),
) -> Ordering {
    match (is_null(field, a.1), is_null(field, b.1)) {
        (false, false) => compare_values(field, a, b),
        (a, b) => a.cmp(&b),
    }
}

/// Whether two rows agree in all `fields`; nulls are alike.
pub fn equal_rows(
    fields: &[Field],
    a: (u32, *const u8, &impl Heap),
    b: (u32, *const u8, &impl Heap),
) -> bool {
    fields.iter().all(|field| compare_rows(field, a, b) == Ordering::Equal)
}

/// The values of a field in many rows; a null address gives null. `shift` moves the buffer of a long view of
/// the row of that number into the buffers of the whole.
pub(super) fn read(
    field: &Field,
    rows: &[*const u8],
    numbers: &[u32],
    heap: &std::sync::Arc<[columnar::Bytes]>,
    shift: impl Fn(u32) -> u32,
    missing: bool,
) -> Flat {
    fn values<T: Copy + Default>(rows: &[*const u8], offset: usize, missing: bool) -> Vec<T> {
        if missing {
            let value = |&row: &*const u8| if row.is_null() { T::default() } else { load(row, offset) };
            return rows.iter().map(value).collect();
        }
        rows.iter().map(|&row| load(row, offset)).collect()
    }
    let offset = field.offset;
    let values = match field.shape.physical {
        PhysicalType::Bool => {
            let bytes = values::<u8>(rows, offset, missing);
            Values::Bool(Bitmap::from_fn(bytes.len(), |row| bytes[row] != 0))
        }
        PhysicalType::I8 => Values::I8(values(rows, offset, missing).into()),
        PhysicalType::I16 => Values::I16(values(rows, offset, missing).into()),
        PhysicalType::I32 => Values::I32(values(rows, offset, missing).into()),
        PhysicalType::I64 => Values::I64(values(rows, offset, missing).into()),
        PhysicalType::I128 => Values::I128(values(rows, offset, missing).into()),
        PhysicalType::F32 => Values::F32(values(rows, offset, missing).into()),
        PhysicalType::F64 => Values::F64(values(rows, offset, missing).into()),
        PhysicalType::Interval => Values::Interval(values::<Interval>(rows, offset, missing).into()),
        PhysicalType::View => {
            let mut views = values::<u128>(rows, offset, missing);
            if !heap.is_empty() {
                for (view, &number) in views.iter_mut().zip(numbers) {
                    if !View(*view).is_inline() {
                        *view = View(*view).shifted(shift(number)).0;
                    }
                }
            }
            Values::View(columnar::Views::new(views.into(), heap.clone()))
        }
    };
    let validity = (field.null.is_some() || missing)
        .then(|| Bitmap::from_fn(rows.len(), |index| !rows[index].is_null() && !is_null(field, rows[index])))
        .filter(|validity| !validity.all());
    Flat::new(field.shape.data_type, values, validity)
}

/// The value of a field in one row. Slow; for single values.
pub fn read_row_field(field: &Field, row: (u32, *const u8, &impl Heap)) -> Scalar {
    let (number, row, heap) = row;
    if is_null(field, row) {
        return Scalar::Null;
    }
    let offset = field.offset;
    match field.shape.physical {
        PhysicalType::Bool => Scalar::Boolean(load::<u8>(row, offset) != 0),
        PhysicalType::I8 => Scalar::Integer(load::<i8>(row, offset).into()),
        PhysicalType::I16 => Scalar::Integer(load::<i16>(row, offset).into()),
        PhysicalType::I32 => Scalar::Integer(load::<i32>(row, offset).into()),
        PhysicalType::I64 => Scalar::Integer(load::<i64>(row, offset).into()),
        PhysicalType::I128 => Scalar::Integer(load(row, offset)),
        PhysicalType::F32 => Scalar::Float(load::<f32>(row, offset).into()),
        PhysicalType::F64 => Scalar::Float(load(row, offset)),
        PhysicalType::Interval => Scalar::Interval(load(row, offset)),
        PhysicalType::View => {
            let mut buffer = [0; INLINE];
            Scalar::Bytes(text(View(load(row, offset)), number, heap, &mut buffer).to_vec())
        }
    }
}

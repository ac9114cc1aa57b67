//! How a row lies in memory: header, null bits, fields, tail.

use crate::Shape;
use columnar::PhysicalType;

/// The size that pages are cut to, in bytes.
pub const PAGE_BYTES: usize = 256 << 10;

/// One column within a row.
#[derive(Clone, Debug)]
pub struct Field {
    pub shape: Shape,
    /// Bytes from the start of the row.
    pub offset: usize,
    /// Byte and bit that say that the field is null; `None` where it never is.
    pub null: Option<(usize, u8)>,
}

impl Field {
    /// Whether the field is null in the row at this address, which must be one of its layout.
    #[inline(always)]
    pub(crate) fn is_null(&self, row: *const u8) -> bool {
        super::cell::is_null(self, row)
    }
}

/// Rows of one width: `header` bytes for whoever owns the rows, a null bit for each nullable field, the fields
/// at their physical widths (booleans as a byte, strings as a view), then `tail` bytes for the owner again.
/// Nothing is aligned; all of a new row is zero.
#[derive(Clone, Debug)]
pub struct RowLayout {
    pub fields: Vec<Field>,
    /// Where the tail starts.
    pub tail: usize,
    /// Bytes a row.
    pub width: usize,
    /// Rows a page, as a power of two.
    pub page_shift: u32,
}

impl RowLayout {
    pub fn new(shapes: &[Shape], header: usize, tail: usize) -> RowLayout {
        let nullable = shapes.iter().filter(|shape| shape.nullable).count();
        let mut offset = header + nullable.div_ceil(8);
        let mut null_bits = (0..nullable).map(|bit| (header + bit / 8, 1 << (bit % 8)));
        let mut fields = Vec::with_capacity(shapes.len());
        for shape in shapes {
            let null = if shape.nullable { null_bits.next() } else { None };
            fields.push(Field { shape: shape.clone(), offset, null });
            offset += field_bytes(shape.physical);
        }
        let width = (offset + tail).next_multiple_of(8).max(8);
        RowLayout { fields, tail: offset, width, page_shift: (PAGE_BYTES / width).max(1).ilog2() }
    }

    /// Rows a page.
    pub fn page_rows(&self) -> usize {
        1 << self.page_shift
    }
}

/// Bytes that a value takes in a row.
fn field_bytes(physical: PhysicalType) -> usize {
    physical.width_bytes().max(1)
}

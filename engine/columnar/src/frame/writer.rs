//! A frame as it grows.

use super::ALIGNMENT;
use super::header::ColumnHeader;
use crate::Buffer;
use arrow::datatypes::ArrowNativeType;

/// Bytes of a frame, its header's place left free. Sections are filled up with zeros.
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn section(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.fill_up();
    }

    pub(super) fn numbers<T: ArrowNativeType>(&mut self, numbers: &Buffer<T>) {
        self.section(numbers.inner().as_slice());
    }

    /// Ends a section that was written into [`Writer::bytes`].
    pub(super) fn fill_up(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }

    /// Writes a column whose width is known when `write` has written the rest of it.
    pub(super) fn column(&mut self, header: ColumnHeader, write: impl FnOnce(&mut Writer) -> u8) {
        let width_at = self.bytes.len() + ColumnHeader::WIDTH_AT;
        self.section(&header.to_bytes());
        let width = write(self);
        self.bytes[width_at] = width;
    }
}

//! Values in flight: types, vectors, batches, selections and the kernels that work on them.
//!
//! This floor knows nothing of files, plans or networks. A *logical* type ([`DataType`]) says what a value
//! means; a *physical* type ([`PhysicalType`]) says how wide it is stored. The two are apart so that a
//! `DECIMAL(15,2)` whose values are known to fit 16 bits travels as 16-bit integers.

pub mod arrow;
pub mod batch;
pub mod bitmap;
pub mod error;
pub mod frame;
mod infinity;
pub mod kernels;
pub mod lz4;
pub mod packed;
pub mod row_set;
pub mod scalar;
pub mod time_zoned;
pub mod types;
pub mod uuid;
pub mod vector;
pub mod view;

pub use batch::{BATCH_ROWS, Batch, Selection};
pub use bitmap::Bitmap;
pub use error::{Error, Result};
pub use frame::{FrameDecoder, FrameEncoder, FrameError, FrameLimits, FrameOptions};
pub use row_set::RowSet;
pub use scalar::{Scalar, Value};
pub use types::{DataType, Interval, PhysicalType, TimeUnit};
pub use vector::{Codes, Constant, Dictionary, DictionaryVector, Flat, Values, Vector};
pub use view::{View, Views};

/// A shared, immutable run of values; cheap to clone and to slice, backed by a `Vec`, mapped memory or an
/// Arrow array alike.
pub type Buffer<T> = ::arrow::buffer::ScalarBuffer<T>;
/// Shared bytes, the untyped form of [`Buffer`].
pub type Bytes = ::arrow::buffer::Buffer;

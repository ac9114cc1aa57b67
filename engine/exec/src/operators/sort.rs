//! Sort: all rows, in the order of the keys.

use crate::error::{Error, Result};
use crate::operator::{Sink, Source};
use crate::plan::SortKey;
use crate::{QueryContext, Shape};
use std::sync::Arc;

/// The two parts of a sort: rows go into `sink`; once it is finalized, they come out of `source` in order.
/// The source has one task.
pub struct Sort {
    pub sink: Arc<dyn Sink>,
    pub source: Arc<dyn Source>,
}

impl Sort {
    /// `input` are the shapes of the rows, which `keys` refer to.
    pub fn new(_keys: &[SortKey], _input: &[Shape], _query: &QueryContext) -> Result<Sort> {
        Err(Error::Unsupported("sort".into()))
    }
}

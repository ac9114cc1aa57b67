//! Top-N: the first rows in the order of the keys.

use crate::error::{Error, Result};
use crate::operator::{Sink, Source};
use crate::plan::SortKey;
use crate::{QueryContext, Shape};
use std::sync::Arc;

/// The two parts of a top-N: as [`super::sort::Sort`], but only `limit` rows after `offset` are given, and
/// rows that cannot be among them are dropped on the way in.
pub struct TopN {
    pub sink: Arc<dyn Sink>,
    pub source: Arc<dyn Source>,
}

impl TopN {
    /// `input` are the shapes of the rows, which `keys` refer to.
    pub fn new(
        _keys: &[SortKey],
        _limit: u64,
        _offset: u64,
        _input: &[Shape],
        _query: &QueryContext,
    ) -> Result<TopN> {
        Err(Error::Unsupported("top-N".into()))
    }
}

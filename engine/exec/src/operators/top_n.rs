//! Top-N: the first rows in the order of the keys.

use super::bound::BoundColumn;
use super::sort::Sort;
use crate::error::Result;
use crate::operator::{Sink, Source};
use crate::plan::SortKey;
use crate::{QueryContext, Shape};
use std::sync::Arc;

/// The two parts of a top-N: as [`Sort`], but only `limit` rows after `offset` are given, and rows that cannot
/// be among them are dropped on the way in. Tasks share the prefix of the last row that still counts.
pub struct TopN {
    pub sink: Arc<dyn Sink>,
    pub source: Arc<dyn Source>,
    /// What its tasks find out of the first key, where they drop rows, it is a column of them, and no key can fail.
    pub bound: Option<BoundColumn>,
}

impl TopN {
    /// `input` are the shapes of the rows, which `keys` refer to.
    pub fn new(
        keys: &[SortKey],
        limit: u64,
        offset: u64,
        input: &[Shape],
        query: &QueryContext,
    ) -> Result<TopN> {
        let (Sort { sink, source }, bound) = Sort::with_range(keys, Some((limit, offset)), input, query)?;
        Ok(TopN { sink, source, bound })
    }
}

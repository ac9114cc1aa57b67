//! Hash aggregate: one row a group.

use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::operator::{Sink, Source};
use crate::{QueryContext, Shape, plan};
use std::sync::Arc;

/// The two parts of an aggregation: rows go into `sink`; once it is finalized, groups come out of `source`,
/// keys first, then the aggregates.
pub struct Aggregate {
    pub sink: Arc<dyn Sink>,
    pub source: Arc<dyn Source>,
}

impl Aggregate {
    /// `input` are the shapes that `groups` and `aggregates` refer to.
    pub fn new(
        _groups: &[Expr],
        _aggregates: &[plan::Aggregate],
        _input: &[Shape],
        _query: &QueryContext,
    ) -> Result<Aggregate> {
        Err(Error::Unsupported("aggregation".into()))
    }
}

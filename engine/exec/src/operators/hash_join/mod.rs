//! Hash join: one side is held, the other streams past it.

use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::operator::{Operator, Sink, Source};
use crate::plan::{JoinKey, JoinKind};
use crate::{QueryContext, Shape};
use std::sync::Arc;

/// The parts of a join, which share one table. The build pipeline ends in `build`; once it is finalized
/// probe pipelines run through `probe`; once they have all ended, `rest` gives the rows of the build side that
/// the kind adds at the end, in the same shapes.
pub struct HashJoin {
    pub build: Arc<dyn Sink>,
    pub probe: Arc<dyn Operator>,
    /// For [`JoinKind::BuildOuter`], `Full`, `BuildSemi` and `BuildAnti`.
    pub rest: Option<Arc<dyn Source>>,
}

impl HashJoin {
    /// `probe` and `build` are the shapes of the inputs; keys and residual as in [`crate::plan::HashJoin`].
    pub fn new(
        _kind: JoinKind,
        _keys: &[JoinKey],
        _residual: Option<&Expr>,
        _probe: &[Shape],
        _build: &[Shape],
        _query: &QueryContext,
    ) -> Result<HashJoin> {
        Err(Error::Unsupported("hash join".into()))
    }
}

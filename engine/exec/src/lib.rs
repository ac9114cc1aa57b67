//! Runs physical plans: expressions, operators, pipelines, scheduler, memory.
//!
//! Synchronous: no sockets, no async runtime. Upper floors bring segments, exchanges and the clock.

pub mod codec;
pub mod context;
pub mod error;
pub mod expr;
pub mod expression;
pub mod functions;
pub mod hash;
pub(crate) mod json;
pub mod memory;
pub mod meter;
pub mod operator;
pub mod operators;
pub mod pages;
pub mod plan;
pub mod runtime;
pub mod shape;
pub mod slices;

pub use context::{Cancel, QueryContext, Settings};
pub use error::{Error, Result};
pub use expr::{ArithmeticOp, CompareOp, Expr};
pub use plan::{Fragment, Plan};
pub use shape::Shape;
pub use slices::Slicing;

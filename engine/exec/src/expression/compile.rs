//! From an expression to the tree that runs.

use super::node::Node;
use super::{arithmetic, cast, compare, conditional, in_list, lambda, like, logic};
use crate::{Error, Expr, Result, Shape};

/// Compiles `expr` over columns of these shapes.
pub(super) fn compile(expr: &Expr, input: &[Shape]) -> Result<Node> {
    let boxed = |expr: &Expr| compile(expr, input);
    let many = |exprs: &[Expr]| exprs.iter().map(boxed).collect::<Result<Vec<Node>>>();
    Ok(match expr {
        Expr::Column { id, .. } => {
            let shape = input.get(*id as usize).ok_or_else(|| {
                Error::Internal(format!("an expression reads column {id} of {}", input.len()))
            })?;
            Node::column(*id as usize, shape.clone())
        }
        Expr::Literal(value) => Node::constant(value.clone()),
        Expr::Compare { op, left, right } => compare::comparison(*op, boxed(left)?, boxed(right)?),
        Expr::Arithmetic { op, left, right, data_type } => {
            arithmetic(*op, boxed(left)?, boxed(right)?, *data_type)
        }
        Expr::And(operands) => logic::junction(true, many(operands)?),
        Expr::Or(operands) => logic::junction(false, many(operands)?),
        Expr::Not(input) => logic::not(boxed(input)?),
        Expr::IsNull { input, negated } => logic::is_null(boxed(input)?, *negated),
        Expr::InList { input, list, negated } => in_list::in_list(boxed(input)?, list, *negated),
        Expr::Like { input, pattern, escape, case_insensitive, negated } => {
            like::like(boxed(input)?, boxed(pattern)?, *escape, *case_insensitive, *negated)
        }
        Expr::Case { branches, otherwise, data_type } => {
            let branches = branches
                .iter()
                .map(|(condition, value)| Ok((boxed(condition)?, boxed(value)?)))
                .collect::<Result<Vec<_>>>()?;
            conditional::case(branches, otherwise.as_deref().map(boxed).transpose()?, *data_type)
        }
        Expr::Cast { input, data_type, try_cast } => cast(boxed(input)?, *data_type, *try_cast)?,
        Expr::Call { function, args, data_type }
            if args.iter().any(|arg| matches!(arg, Expr::Lambda { .. })) =>
        {
            lambda::compile(function, args, *data_type, boxed)?
        }
        Expr::Lambda { .. } => {
            return Err(Error::Internal("a lambda stands outside of a call that takes one".into()));
        }
        Expr::Call { function, args, data_type } => {
            crate::functions::compile(function, many(args)?, *data_type)?
        }
    })
}

//! What stands between the parentheses of a call.

use crate::binder::literals::text_of;
use crate::error::{Error, Result};
use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, NullTreatment,
    OrderByExpr, Spanned,
};

pub(in crate::binder) enum Argument<'a> {
    Star,
    Expr(&'a ast::Expr),
}

pub(in crate::binder) struct Arguments<'a> {
    pub(in crate::binder) distinct: bool,
    pub(in crate::binder) args: Vec<Argument<'a>>,
    pub(in crate::binder) order: &'a [OrderByExpr],
    /// `IGNORE NULLS` or `RESPECT NULLS`, inside or after.
    pub(in crate::binder) nulls: Option<NullTreatment>,
    /// `SEPARATOR '…'`.
    pub(in crate::binder) separator: Option<String>,
}

pub(in crate::binder) fn arguments(call: &ast::Function) -> Result<Arguments<'_>> {
    let span = call.span();
    let nulls = call.null_treatment;
    let mut found = Arguments { distinct: false, args: Vec::new(), order: &[], nulls, separator: None };
    let list = match &call.args {
        FunctionArguments::None => return Ok(found),
        FunctionArguments::Subquery(_) => {
            return Err(Error::unsupported("a subquery as the only argument of a function").at(span));
        }
        FunctionArguments::List(list) => list,
    };
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(items) if found.order.is_empty() => found.order = items,
            FunctionArgumentClause::IgnoreOrRespectNulls(treatment) if found.nulls.is_none() => {
                found.nulls = Some(*treatment);
            }
            FunctionArgumentClause::Separator(value) => {
                let text = text_of(&value.value);
                found.separator =
                    Some(text.ok_or_else(|| Error::value("a separator is a text").at(value.span))?);
            }
            other => return Err(Error::unsupported(format!("{other} in a call")).at(span)),
        }
    }
    for item in found.order.iter().chain(&call.within_group) {
        if item.with_fill.is_some() || matches!(item.options.sort, Some(ast::OrderBySort::Using(_))) {
            return Err(Error::unsupported(format!("the order {item} in a call")).at(span));
        }
    }
    for arg in &list.args {
        found.args.push(match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Argument::Expr(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Argument::Star,
            other => return Err(Error::unsupported(format!("the argument {other}")).at(span)),
        });
    }
    found.distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
    Ok(found)
}

/// `IGNORE NULLS` or `RESPECT NULLS`, within the parentheses or after them.
pub(in crate::binder) fn null_treatment(call: &ast::Function) -> Option<NullTreatment> {
    let within = match &call.args {
        FunctionArguments::List(list) => list.clauses.iter().find_map(|clause| match clause {
            FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => Some(*treatment),
            _ => None,
        }),
        _ => None,
    };
    call.null_treatment.or(within)
}

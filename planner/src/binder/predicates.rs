//! Conditions: comparisons, `IS`, `IN`, `LIKE`, and what joins them.

use super::expression::{Bound, Context, negate_if};
use super::literals::text_of;
use super::{Binder, types};
use crate::error::{Error, Result};
use columnar::{DataType, Value};
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, BinaryOperator, Spanned};
use sqlparser::tokenizer::Span;

impl Binder<'_> {
    pub(super) fn is_null(
        &mut self,
        input: &ast::Expr,
        negated: bool,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let input = self.expression(input, context)?;
        Ok(Expr::IsNull { input: Box::new(input), negated })
    }

    pub(super) fn is_boolean(
        &mut self,
        input: &ast::Expr,
        value: bool,
        negated: bool,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let bound = self.bind(input, context)?;
        let input = self.boolean(bound, "IS TRUE")?;
        let op = if negated { CompareOp::IsDistinctFrom } else { CompareOp::IsNotDistinctFrom };
        Ok(Expr::compare(op, input, Expr::Literal(Value::boolean(value))))
    }

    pub(super) fn is_unknown(
        &mut self,
        input: &ast::Expr,
        negated: bool,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let bound = self.bind(input, context)?;
        let input = self.boolean(bound, "IS UNKNOWN")?;
        Ok(Expr::IsNull { input: Box::new(input), negated })
    }

    /// A test of text, which what is no text needs a written cast for.
    pub(super) fn text_test(
        &mut self,
        function: &str,
        what: &str,
        args: Vec<Bound>,
        span: Span,
    ) -> Result<Expr> {
        for arg in &args {
            let found = arg.data_type();
            if !matches!(found, DataType::Varchar | DataType::Enum(_) | DataType::Null) {
                return Err(Error::value(format!("{what} takes VARCHAR, not {found}")).at(arg.span));
            }
        }
        self.call(function, args, span)
    }

    /// Rows of values are equal where all values are.
    pub(super) fn compare_rows(
        &mut self,
        left: &[ast::Expr],
        op: &BinaryOperator,
        right: &[ast::Expr],
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        let negated = match op {
            BinaryOperator::Eq => false,
            BinaryOperator::NotEq => true,
            other => return Err(Error::unsupported(format!("{other} of rows of values"))),
        };
        if left.len() != right.len() {
            return Err(Error::value(format!("a row of {} values and one of {}", left.len(), right.len())));
        }
        let mut tests = Vec::with_capacity(left.len());
        for (left, right) in left.iter().zip(right) {
            let (left, right) = (self.bind(left, context)?, self.bind(right, context)?);
            tests.push(self.compare(CompareOp::Equal, left, right)?);
        }
        Ok(Bound::typed(negate_if(Expr::and(tests), negated), span))
    }

    /// AND and OR: a chain of either is one node, however long.
    pub(super) fn connective(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        let mut chain = vec![right];
        let mut rest = left;
        while let ast::Expr::BinaryOp { left, op: inner, right } = rest
            && inner == op
        {
            chain.push(right);
            rest = left;
        }
        chain.push(rest);
        let (is_and, name) = if *op == BinaryOperator::And { (true, "AND") } else { (false, "OR") };
        let mut operands = Vec::with_capacity(chain.len());
        for operand in chain.into_iter().rev() {
            let bound = self.bind(operand, context)?;
            match self.boolean(bound, name)? {
                Expr::And(inner) if is_and => operands.extend(inner),
                Expr::Or(inner) if !is_and => operands.extend(inner),
                other => operands.push(other),
            }
        }
        Ok(Bound::typed(if is_and { Expr::And(operands) } else { Expr::Or(operands) }, span))
    }

    /// Brings both sides to one type and compares them. Decimals need one scale only, so a column's digits
    /// are left as they are.
    pub(crate) fn compare(&mut self, op: CompareOp, left: Bound, right: Bound) -> Result<Expr> {
        let span = left.span.union(&right.span);
        let (a, b) = (left.data_type(), right.data_type());
        let target = match (left.is_open(), right.is_open()) {
            (true, true) => Some(DataType::Varchar),
            (true, false) => Some(b),
            (false, true) => Some(a),
            _ => self.unify_bound(&left, &right),
        };
        let Some(target) = target else {
            let message = format!("{a} {} {b} cannot be compared; cast one side", op.symbol());
            return Err(Error::value(message).at(span));
        };
        let mut side = |bound: Bound| {
            let same_scale = matches!(
                (bound.data_type(), target),
                (DataType::Decimal { scale: a, .. }, DataType::Decimal { scale: b, .. }) if a == b
            );
            if same_scale { Ok(bound.expr) } else { self.coerce(bound, target) }
        };
        Ok(Expr::compare(op, side(left)?, side(right)?))
    }

    pub(super) fn in_list(
        &mut self,
        input: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let mut values = vec![self.bind(input, context)?];
        for item in list {
            values.push(self.bind(item, context)?);
        }
        // Nothing is in an empty list, not even a null.
        if list.is_empty() {
            return Ok(Expr::Literal(Value::boolean(negated)));
        }
        let span = values[0].span;
        // `x IN l` is `x = ANY (l)`.
        let is_list =
            |bound: &Bound| bound.data_type().as_nested().is_some_and(|kind| kind.element().is_some());
        if let [value, list] = &values[..]
            && is_list(list)
            && types::unify(value.data_type(), list.data_type()).is_none_or(|_| value.is_open())
        {
            let sign = Bound::typed(Expr::Literal(Value::varchar("=")), span);
            let any = self.call("any_of", vec![list.clone(), value.clone(), sign], span)?;
            return Ok(negate_if(any, negated));
        }
        let (mut exprs, _) = self.unify_all(values, "the list of IN").map_err(|error| error.at(span))?;
        let input = exprs.remove(0);
        let constants: Option<Vec<Value>> = exprs
            .iter()
            .map(|expr| match expr {
                Expr::Literal(value) => Some(value.clone()),
                _ => None,
            })
            .collect();
        Ok(match constants {
            Some(list) => Expr::InList { input: Box::new(input), list, negated },
            None => {
                let tests =
                    exprs.into_iter().map(|item| Expr::compare(CompareOp::Equal, input.clone(), item));
                negate_if(Expr::Or(tests.collect()), negated)
            }
        })
    }

    pub(super) fn like(
        &mut self,
        input: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        case_insensitive: bool,
        negated: bool,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let mut text = |binder: &mut Self, ast: &ast::Expr| {
            let bound = binder.bind(ast, context)?;
            let (found, span) = (bound.data_type(), bound.span);
            if !matches!(found, DataType::Varchar | DataType::Enum(_) | DataType::Null) {
                return Err(Error::value(format!("LIKE takes VARCHAR, not {found}")).at(span));
            }
            binder.coerce(bound, DataType::Varchar)
        };
        let (input, pattern) = (text(self, input)?, text(self, pattern)?);
        let escape = match escape {
            None => Some('\\'),
            Some(ast::Expr::Value(value)) if value.value == ast::Value::Null => {
                return Ok(Expr::Literal(Value::null(DataType::Boolean)));
            }
            Some(ast::Expr::Value(value)) => {
                let text = text_of(&value.value).unwrap_or_default();
                let mut characters = text.chars();
                match (characters.next(), characters.next()) {
                    (first, None) => first,
                    _ => return Err(Error::value("ESCAPE takes one character").at(value.span)),
                }
            }
            Some(other) => return Err(Error::value("ESCAPE takes one character").at(other.span())),
        };
        let (input, pattern) = (Box::new(input), Box::new(pattern));
        Ok(Expr::Like { input, pattern, escape, case_insensitive, negated })
    }
}

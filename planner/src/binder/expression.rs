//! Scalar expressions: names to columns, operators and literals to types.

use super::constants::{fold, fold_case, is_any_volatile};
use super::integers;
use super::literals::{number, text_of};
use super::operators::{compare_op_of, function_of, like_of, regexp_of};
use super::scope::{Scope, same_name, span_of};
use super::sets::Sets;
use super::subquery::Pending;
use super::window::Windows;
use super::{Alias, Binder, aggregate::Aggregation, types};
use crate::error::{Error, Result};
use crate::functions;
use columnar::{DataType, Scalar, Value, types::DECIMAL_MAX_PRECISION};
use exec::{ArithmeticOp, CompareOp, Expr};
use sqlparser::ast::{self, BinaryOperator, Spanned, UnaryOperator};
use sqlparser::tokenizer::Span;

/// Expressions nest no deeper.
const MAX_DEPTH: usize = 500;
/// An alias is bound anew wherever it is used, and may use others.
const MAX_ALIAS_USES: usize = 1_000;

/// Where an expression stands and what it needs around it.
pub(crate) struct Context<'s> {
    pub(crate) scope: &'s Scope<'s>,
    /// Joins with subqueries, to be put below the operator that evaluates the expression, in order.
    pub(crate) pending: Vec<Pending>,
    /// Present where aggregates may stand.
    pub(crate) aggregation: Option<Aggregation>,
    /// Present where window functions may stand.
    pub(crate) windows: Option<Windows>,
    /// Present where functions that give rows may stand.
    pub(crate) sets: Option<Sets>,
    /// Calls around.
    pub(super) calls: usize,
    /// Items of the select list that a name may mean which no column has.
    pub(crate) items: Vec<(String, Expr)>,
    /// The clause, for messages.
    pub(crate) clause: &'static str,
    /// A null here keeps no row, just as false does.
    pub(crate) null_is_false: bool,
    /// What a name may mean besides that is no column's.
    pub(crate) aliases: &'s [Alias<'s>],
    depth: usize,
}

impl<'s> Context<'s> {
    pub(crate) fn new(scope: &'s Scope<'s>, clause: &'static str) -> Context<'s> {
        Context {
            scope,
            pending: Vec::new(),
            aggregation: None,
            windows: None,
            sets: None,
            calls: 0,
            items: Vec::new(),
            clause,
            null_is_false: false,
            aliases: &[],
            depth: 0,
        }
    }
}

impl Context<'_> {
    /// What a name means that no column has.
    fn item(&self, parts: &[ast::Ident]) -> Option<Expr> {
        let [name] = parts else { return None };
        let known = self.items.iter().find(|(item, _)| same_name(item, &name.value));
        known.map(|(_, expr)| expr.clone())
    }
}

/// An expression, and what may still become of its type.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) expr: Expr,
    pub(crate) literal: Literal,
    pub(crate) span: Span,
}

/// Literals take the type that their context asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literal {
    No,
    Text,
    Null,
    /// Digits of an integer.
    Integer(u8),
    /// A parameter of which neither type nor value is known.
    Parameter(usize),
}

impl Bound {
    pub(crate) fn typed(expr: Expr, span: Span) -> Bound {
        Bound { expr, literal: Literal::No, span }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.literal, Literal::Text | Literal::Null | Literal::Parameter(_))
    }

    pub(crate) fn data_type(&self) -> DataType {
        if self.is_open() { DataType::Null } else { self.expr.data_type() }
    }
}

impl Binder<'_> {
    /// An expression of the type it has by itself; open literals become `VARCHAR`, `NULL` stays untyped.
    pub(crate) fn expression(&mut self, ast: &ast::Expr, context: &mut Context<'_>) -> Result<Expr> {
        let bound = self.bind(ast, context)?;
        self.settle(bound)
    }

    pub(crate) fn settle(&mut self, bound: Bound) -> Result<Expr> {
        match bound.literal {
            Literal::Parameter(_) => self.coerce(bound, DataType::Varchar),
            _ => Ok(bound.expr),
        }
    }

    /// An expression that must be true or false.
    pub(crate) fn condition(&mut self, ast: &ast::Expr, context: &mut Context<'_>) -> Result<Expr> {
        let bound = self.bind(ast, context)?;
        self.boolean(bound, context.clause)
    }

    pub(super) fn boolean(&mut self, bound: Bound, what: &str) -> Result<Expr> {
        let (found, span) = (bound.data_type(), bound.span);
        if !matches!(found, DataType::Boolean | DataType::Null) {
            return Err(Error::value(format!("{what} takes BOOLEAN, not {found}")).at(span));
        }
        self.coerce(bound, DataType::Boolean)
    }

    pub(crate) fn bind(&mut self, ast: &ast::Expr, context: &mut Context<'_>) -> Result<Bound> {
        let span = ast.span();
        if context.depth >= MAX_DEPTH {
            let message = format!("an expression is nested more than {MAX_DEPTH} deep");
            return Err(Error::value(message).at(span));
        }
        context.depth += 1;
        // Only AND, OR and parentheses hand the leniency towards nulls down.
        let null_is_false = context.null_is_false;
        if !passes_nulls_on(ast) {
            context.null_is_false = false;
        }
        let bound = self.bind_node(ast, context);
        context.null_is_false = null_is_false;
        context.depth -= 1;
        bound
            .map(|bound| if bound.span == Span::empty() { Bound { span, ..bound } } else { bound })
            .map_err(|error| error.at(span))
    }

    fn bind_node(&mut self, ast: &ast::Expr, context: &mut Context<'_>) -> Result<Bound> {
        use ast::Expr as Sql;
        let span = ast.span();
        let expr = match ast {
            Sql::Identifier(name) => return self.column(std::slice::from_ref(name), context),
            Sql::CompoundIdentifier(parts) => return self.column(parts, context),
            Sql::Nested(inner) => return self.bind(inner, context),
            Sql::Value(value) => return self.literal(&value.value, value.span),
            Sql::TypedString(typed) => {
                let data_type = self.type_of(&typed.data_type)?;
                let text = text_of(&typed.value.value).ok_or_else(|| Error::value("text is expected"))?;
                self.text_value(&text, data_type)?
            }
            Sql::Interval(interval) => self.interval(interval, context)?,
            Sql::BinaryOp { left, op, right } => return self.binary(left, op, right, span, context),
            Sql::UnaryOp { op, expr } => return self.unary(*op, expr, span, context),
            Sql::IsNull(input) => self.is_null(input, false, context)?,
            Sql::IsNotNull(input) => self.is_null(input, true, context)?,
            Sql::IsTrue(input) => self.is_boolean(input, true, false, context)?,
            Sql::IsNotTrue(input) => self.is_boolean(input, true, true, context)?,
            Sql::IsFalse(input) => self.is_boolean(input, false, false, context)?,
            Sql::IsNotFalse(input) => self.is_boolean(input, false, true, context)?,
            Sql::IsUnknown(input) => self.is_unknown(input, false, context)?,
            Sql::IsNotUnknown(input) => self.is_unknown(input, true, context)?,
            Sql::IsDistinctFrom(left, right) => {
                let (left, right) = (self.bind(left, context)?, self.bind(right, context)?);
                self.compare(CompareOp::IsDistinctFrom, left, right)?
            }
            Sql::IsNotDistinctFrom(left, right) => {
                let (left, right) = (self.bind(left, context)?, self.bind(right, context)?);
                self.compare(CompareOp::IsNotDistinctFrom, left, right)?
            }
            Sql::Between { expr, negated, low, high } => {
                let value = self.bind(expr, context)?;
                let (low, high) = (self.bind(low, context)?, self.bind(high, context)?);
                let above = self.compare(CompareOp::GreaterOrEqual, value.clone(), low)?;
                let below = self.compare(CompareOp::LessOrEqual, value, high)?;
                negate_if(Expr::And(vec![above, below]), *negated)
            }
            Sql::InList { expr, list, negated } => self.in_list(expr, list, *negated, context)?,
            Sql::InSubquery { expr, subquery, negated } => {
                negate_if(self.in_subquery(expr, CompareOp::Equal, subquery, context)?, *negated)
            }
            Sql::Exists { subquery, negated } => negate_if(self.exists(subquery, context)?, *negated),
            Sql::Subquery(query) => return self.scalar_subquery(query, context),
            Sql::AnyOp { left, compare_op, right, .. } => {
                let op = compare_op_of(compare_op).ok_or_else(|| unsupported_operator(compare_op))?;
                match (quantified(right), &**right, op) {
                    (Some(query), ..) => self.in_subquery(left, op, query, context)?,
                    // So that scans see the values.
                    (None, Sql::Array(array), CompareOp::Equal) if !array.elem.is_empty() => {
                        self.in_list(left, &array.elem, false, context)?
                    }
                    _ => self.any_of(left, op, right, context)?,
                }
            }
            Sql::AllOp { left, compare_op, right } => {
                let op = compare_op_of(compare_op).ok_or_else(|| unsupported_operator(compare_op))?;
                let other = match quantified(right) {
                    Some(query) => self.in_subquery(left, op.negated(), query, context)?,
                    None => self.any_of(left, op.negated(), right, context)?,
                };
                Expr::Not(Box::new(other))
            }
            Sql::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), false, *negated, context)?
            }
            Sql::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), true, *negated, context)?
            }
            Sql::Case { operand, conditions, else_result, .. } => {
                let before = context.close_sets("CASE");
                let case = self.case(operand.as_deref(), conditions, else_result.as_deref(), context);
                context.reopen_sets(before);
                case?
            }
            Sql::Cast { kind, expr, data_type, format: None } => {
                let input = self.bind(expr, context)?;
                let try_cast = matches!(kind, ast::CastKind::TryCast | ast::CastKind::SafeCast);
                if let ast::DataType::Bit(Some(length))
                | ast::DataType::BitVarying(Some(length))
                | ast::DataType::VarBit(Some(length)) = data_type
                {
                    let is_fixed = matches!(data_type, ast::DataType::Bit(_));
                    return Ok(Bound::typed(
                        self.cast_to_bits(input, *length, is_fixed, try_cast, span)?,
                        span,
                    ));
                }
                let data_type = self.type_of(data_type)?;
                self.cast(input, data_type, try_cast)?
            }
            Sql::Extract { field, expr, .. } => {
                let field = field.to_string();
                let function = exec::functions::extract_function(field.trim_matches('\''))
                    .ok_or_else(|| Error::unsupported(format!("EXTRACT({} FROM …)", field.to_uppercase())))?;
                let input = self.bind(expr, context)?;
                if input.data_type() == DataType::TimeZoned {
                    let name = Bound::typed(Expr::Literal(Value::varchar(function)), span);
                    let part = self.call("date_part", vec![name, input], span)?;
                    match function {
                        "epoch" => part,
                        _ => {
                            let whole = self.call("floor", vec![Bound::typed(part, span)], span)?;
                            self.cast(Bound::typed(whole, span), DataType::Int64, false)?
                        }
                    }
                } else {
                    self.call(function, vec![input], span)?
                }
            }
            Sql::Substring { expr, substring_from, substring_for, special, .. } => {
                let mut args = vec![self.bind(expr, context)?];
                match substring_from {
                    Some(from) => {
                        let from = self.bind(from, context)?;
                        let is_pattern =
                            from.literal == Literal::Text || from.data_type() == DataType::Varchar;
                        args.push(from);
                        if is_pattern && !special {
                            if substring_for.is_some() {
                                let what = "SUBSTRING(… FROM pattern FOR escape)";
                                return Err(Error::unsupported(what).hint("use regexp_substr"));
                            }
                            return Ok(Bound::typed(self.call("regexp_substring", args, span)?, span));
                        }
                    }
                    None => args.push(Bound::typed(Expr::Literal(Value::int64(1)), span)),
                }
                if let Some(length) = substring_for {
                    args.push(self.bind(length, context)?);
                }
                self.call("substring", args, span)?
            }
            Sql::SimilarTo { negated, expr, pattern, escape_char } => {
                let mut args = vec![self.bind(expr, context)?, self.bind(pattern, context)?];
                if let Some(escape) = escape_char {
                    args.push(self.bind(escape, context)?);
                }
                negate_if(self.text_test("similar_to", "SIMILAR TO", args, span)?, *negated)
            }
            Sql::RLike { negated, expr, pattern, .. } => {
                let args = vec![self.bind(expr, context)?, self.bind(pattern, context)?];
                negate_if(self.text_test("regexp_matches", "REGEXP", args, span)?, *negated)
            }
            Sql::AtTimeZone { timestamp, time_zone } => {
                let (moment, zone) = (self.bind(timestamp, context)?, self.bind(time_zone, context)?);
                self.call("timezone", vec![zone, moment], span)?
            }
            Sql::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args = Vec::with_capacity(4);
                for arg in [expr, overlay_what, overlay_from].into_iter().chain(overlay_for) {
                    args.push(self.bind(arg, context)?);
                }
                self.call("overlay", args, span)?
            }
            Sql::Position { expr, r#in } => {
                let (needle, text) = (self.bind(expr, context)?, self.bind(r#in, context)?);
                self.call("strpos", vec![text, needle], span)?
            }
            Sql::Trim { trim_where, trim_what, expr, trim_characters } => {
                let function = match trim_where {
                    None | Some(ast::TrimWhereField::Both) => "trim",
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                };
                let mut args = vec![self.bind(expr, context)?];
                for argument in trim_what.iter().map(AsRef::as_ref).chain(trim_characters.iter().flatten()) {
                    args.push(self.bind(argument, context)?);
                }
                self.call(function, args, span)?
            }
            Sql::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                let input = self.bind(expr, context)?;
                self.call("ceil", vec![input], span)?
            }
            Sql::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                let input = self.bind(expr, context)?;
                self.call("floor", vec![input], span)?
            }
            Sql::Function(function) => {
                context.calls += 1;
                let bound = match self.macro_named(&function.name) {
                    Some(found) => self.macro_call(&found, function, context),
                    None => self.function(function, context),
                };
                context.calls -= 1;
                return bound;
            }
            Sql::Collate { expr, collation } => {
                check_collation(collation)?;
                let bound = self.bind(expr, context)?;
                let found = bound.data_type();
                if !matches!(found, DataType::Varchar | DataType::Null) {
                    return Err(Error::value(format!("COLLATE takes VARCHAR, not {found}")).at(bound.span));
                }
                return Ok(bound);
            }
            Sql::Array(array) => self.list_literal(&array.elem, span, context)?,
            Sql::Dictionary(fields) => self.dictionary(fields, context)?,
            Sql::Map(map) => self.map(map, span, context)?,
            Sql::CompoundFieldAccess { root, access_chain } => {
                self.access(root, access_chain, span, context)?
            }
            Sql::Tuple(values) => self.row(&values.iter().collect::<Vec<_>>(), context)?,
            Sql::Lambda(_) => {
                return Err(Error::unsupported("a lambda where no function takes one"));
            }
            Sql::IsJson { expr, kind, unique_keys, negated } => {
                negate_if(self.is_json(expr, kind.as_ref(), unique_keys.is_some(), context)?, *negated)
            }
            other => return Err(Error::unsupported(format!("the expression {}", shorten(other)))),
        };
        Ok(Bound::typed(expr, span))
    }

    pub(super) fn column(&mut self, parts: &[ast::Ident], context: &mut Context<'_>) -> Result<Bound> {
        let span = span_of(parts);
        if let Some(id) = context.scope.find(parts).map_err(|error| error.at(span))? {
            return Ok(Bound::typed(self.columns.reference(id), span));
        }
        if let Some(bound) = self.argument(parts)? {
            return Ok(bound);
        }
        if let Some(expr) = context.item(parts) {
            return Ok(Bound::typed(expr, span));
        }
        if let [name] = parts
            && let Some(place) =
                context.aliases.iter().position(|alias| same_name(&alias.name.value, &name.value))
        {
            return self.alias(place, span, context);
        }
        if let Some(bound) = self.fields_of_column(parts, context)? {
            return Ok(bound);
        }
        if let Some(text) = self.session_name(parts) {
            return Ok(Bound::typed(Expr::Literal(Value::varchar(&text)), span));
        }
        let mut error = context.scope.unknown(parts).at(span);
        if self.hides_columns {
            error.hint = None;
        }
        Err(error)
    }

    /// The expression that an alias of the select list stands for; it may name those before it.
    fn alias(&mut self, place: usize, span: Span, context: &mut Context<'_>) -> Result<Bound> {
        self.alias_uses += 1;
        if self.alias_uses > MAX_ALIAS_USES {
            let message = format!("aliases are used in place of columns more than {MAX_ALIAS_USES} times");
            return Err(Error::value(message).at(span));
        }
        let aliases = context.aliases;
        context.aliases = &aliases[..place];
        let bound = self.bind(aliases[place].expr, context);
        context.aliases = aliases;
        let bound = bound?;
        if is_any_volatile(&bound.expr) {
            let name = &aliases[place].name.value;
            let error =
                Error::unsupported(format!("the alias \"{name}\" of what is another value each time"));
            return Err(error.at(span).hint("name it in a subquery"));
        }
        Ok(Bound { span, ..bound })
    }

    fn unary(
        &mut self,
        op: UnaryOperator,
        input: &ast::Expr,
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        match op {
            UnaryOperator::Not => {
                let bound = self.bind(input, context)?;
                Ok(Bound::typed(Expr::Not(Box::new(self.boolean(bound, "NOT")?)), span))
            }
            UnaryOperator::Plus => {
                let bound = self.bind(input, context)?;
                if bound.data_type().is_numeric() || bound.data_type() == DataType::Interval {
                    return Ok(bound);
                }
                Err(Error::value(format!("+ takes a number, not {}", bound.data_type())))
            }
            UnaryOperator::Minus => {
                // `-9223372036854775808` is a BIGINT although its digits alone are not.
                if let ast::Expr::Value(value) = input
                    && let ast::Value::Number(digits, _) = &value.value
                {
                    return Ok(Bound { span, ..number(&format!("-{digits}"), span)? });
                }
                let bound = self.bind(input, context)?;
                let data_type = bound.data_type();
                if data_type == DataType::Interval {
                    return Ok(Bound::typed(self.call("-", vec![bound], span)?, span));
                }
                if !data_type.is_numeric() {
                    return Err(Error::value(format!("- takes a number, not {data_type}")));
                }
                // What is no less than zero has its negative in the next signed type.
                let signed = integers::signed(data_type);
                let bound = match signed == data_type {
                    true => bound,
                    false => Bound::typed(self.coerce(bound, signed)?, span),
                };
                let data_type = signed;
                let zero = match data_type {
                    DataType::Float32 | DataType::Float64 => Scalar::Float(0.0),
                    _ => Scalar::Integer(0),
                };
                if let Expr::Literal(Value { scalar: Scalar::Float(value), .. }) = bound.expr {
                    let value = Value::new(data_type, Scalar::Float(-value));
                    return Ok(Bound::typed(Expr::Literal(value), span));
                }
                let zero = Expr::Literal(Value::new(data_type, zero));
                let expr = Expr::arithmetic(ArithmeticOp::Subtract, zero, bound.expr, data_type);
                Ok(Bound::typed(fold(expr), span))
            }
            other => {
                let function = match other {
                    UnaryOperator::BitwiseNot => "~",
                    UnaryOperator::PGAbs => "abs",
                    UnaryOperator::PGSquareRoot => "sqrt",
                    UnaryOperator::PGCubeRoot => "cbrt",
                    UnaryOperator::PGPostfixFactorial | UnaryOperator::PGPrefixFactorial => "factorial",
                    _ => return Err(Error::unsupported(format!("the operator {other}"))),
                };
                let bound = self.bind(input, context)?;
                Ok(Bound::typed(self.call(function, vec![bound], span)?, span))
            }
        }
    }

    fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            return self.connective(left, op, right, span, context);
        }
        if let (ast::Expr::Tuple(left), ast::Expr::Tuple(right)) = (left, right) {
            if *op == BinaryOperator::Overlaps {
                let mut bind = |side: &[ast::Expr]| {
                    side.iter().map(|expr| self.bind(expr, context)).collect::<Result<Vec<_>>>()
                };
                let (left, right) = (bind(left)?, bind(right)?);
                return Ok(Bound::typed(self.overlaps(left, right, span)?, span));
            }
            return self.compare_rows(left, op, right, span, context);
        }
        if let Some((case_insensitive, negated)) = like_of(op) {
            let expr = self.like(left, right, None, case_insensitive, negated, context)?;
            return Ok(Bound::typed(expr, span));
        }
        let (left, right) = (self.bind(left, context)?, self.bind(right, context)?);
        if let Some((case_insensitive, negated)) = regexp_of(op) {
            let mut args = vec![left, right];
            if case_insensitive {
                args.push(Bound::typed(Expr::Literal(Value::varchar("i")), span));
            }
            let test = self.text_test("regexp_matches", &op.to_string(), args, span)?;
            return Ok(Bound::typed(negate_if(test, negated), span));
        }
        if let Some(function) = function_of(op) {
            let args = vec![left, right];
            let expr = match self.json_meaning(function, &args, span)? {
                Some(expr) => expr,
                None => self.call(function, args, span)?,
            };
            return Ok(Bound::typed(expr, span));
        }
        if let Some(op) = compare_op_of(op) {
            return Ok(Bound::typed(self.compare(op, left, right)?, span));
        }
        let arithmetic = match op {
            BinaryOperator::Plus => ArithmeticOp::Add,
            BinaryOperator::Minus => ArithmeticOp::Subtract,
            BinaryOperator::Multiply => ArithmeticOp::Multiply,
            BinaryOperator::Divide => ArithmeticOp::Divide,
            BinaryOperator::Modulo => ArithmeticOp::Modulo,
            BinaryOperator::StringConcat => {
                return Ok(Bound::typed(self.call("||", vec![left, right], span)?, span));
            }
            other => return Err(unsupported_operator(other)),
        };
        Ok(Bound::typed(self.arithmetic(arithmetic, left, right, span)?, span))
    }

    pub(super) fn unify_bound(&self, left: &Bound, right: &Bound) -> Option<DataType> {
        let (a, b) = (integers::beside(left, right.data_type()), integers::beside(right, left.data_type()));
        if a.is_integer() && b.is_integer() {
            return types::unify(a, b);
        }
        // An integer literal beside a decimal counts its digits only.
        match (decimal_of(left), decimal_of(right)) {
            (Some(x), Some(y)) if !(a.is_integer() && b.is_integer()) => Some(types::unify_decimals(x, y)),
            _ => types::unify(a, b),
        }
    }

    /// Values that stand in one column: of a list, a CASE, a UNION. All get one type.
    pub(crate) fn unify_all(&mut self, values: Vec<Bound>, what: &str) -> Result<(Vec<Expr>, DataType)> {
        let mut target: Option<DataType> = None;
        let typed = values.iter().zip(integers::types_beside(&values)).filter(|(value, _)| !value.is_open());
        for (value, data_type) in typed {
            target = Some(match target {
                None => data_type,
                Some(so_far) => types::unify(so_far, data_type).ok_or_else(|| {
                    Error::value(format!("{what} mixes {so_far} and {}", value.data_type())).at(value.span)
                })?,
            });
        }
        let all_null = values.iter().all(|value| value.literal == Literal::Null);
        let target = target.unwrap_or(if all_null { DataType::Null } else { DataType::Varchar });
        let exprs = values.into_iter().map(|value| self.coerce(value, target)).collect::<Result<_>>()?;
        Ok((exprs, target))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let operand = operand.map(|operand| self.bind(operand, context)).transpose()?;
        let (mut tests, mut values) = (Vec::new(), Vec::new());
        for branch in conditions {
            tests.push(match &operand {
                Some(operand) => {
                    let value = self.bind(&branch.condition, context)?;
                    self.compare(CompareOp::Equal, operand.clone(), value)?
                }
                None => {
                    let bound = self.bind(&branch.condition, context)?;
                    self.boolean(bound, "WHEN")?
                }
            });
            values.push(self.bind(&branch.result, context)?);
        }
        let has_otherwise = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            values.push(self.bind(otherwise, context)?);
        }
        let (mut values, data_type) = self.unify_all(values, "CASE")?;
        let otherwise = if has_otherwise { values.pop().map(Box::new) } else { None };
        Ok(Expr::Case { branches: tests.into_iter().zip(values).collect(), otherwise, data_type })
    }

    pub(crate) fn arithmetic(
        &mut self,
        op: ArithmeticOp,
        left: Bound,
        right: Bound,
        span: Span,
    ) -> Result<Expr> {
        let (left, right) = self.settle_operands(left, right)?;
        let (a, b) = (integers::beside(&left, right.data_type()), integers::beside(&right, left.data_type()));
        if !a.is_numeric() || !b.is_numeric() {
            if a == DataType::Null && b == DataType::Null {
                return Ok(Expr::Literal(Value::null(DataType::Int32)));
            }
            return self.call(op.symbol(), vec![left, right], span);
        }
        let overflow = |digits: u8| {
            Error::value(format!(
                "{a} {} {b} has {digits} digits after the point; a DECIMAL has {DECIMAL_MAX_PRECISION} digits",
                op.symbol()
            ))
            .at(span)
            .hint("cast an operand to fewer digits or to DOUBLE")
        };
        let decimals = decimal_of(&left).zip(decimal_of(&right));
        let data_type = match (a, b) {
            (DataType::Float32, DataType::Float32) => DataType::Float32,
            (a, b) if a.is_float() || b.is_float() => DataType::Float64,
            (a, b) if a.is_integer() && b.is_integer() => types::unify(a, b).unwrap_or(DataType::Int64),
            _ => {
                let Some(((p1, s1), (p2, s2))) = decimals else {
                    return Err(Error::internal("arithmetic of a type without digits"));
                };
                let scale = s1.max(s2);
                match op {
                    ArithmeticOp::Divide => DataType::Float64,
                    ArithmeticOp::Multiply if s1 + s2 > DECIMAL_MAX_PRECISION => {
                        return Err(overflow(s1 + s2));
                    }
                    ArithmeticOp::Multiply => {
                        DataType::decimal((p1 + p2).min(DECIMAL_MAX_PRECISION), s1 + s2)
                    }
                    _ => {
                        let precision = (p1 - s1).max(p2 - s2) + scale + 1;
                        DataType::decimal(precision.min(DECIMAL_MAX_PRECISION), scale)
                    }
                }
            }
        };
        let operands = match data_type {
            DataType::Decimal { scale, .. } => {
                let target = |own: (u8, u8)| match op {
                    ArithmeticOp::Multiply => own,
                    _ => ((own.0 + scale - own.1).min(DECIMAL_MAX_PRECISION), scale),
                };
                let (x, y) = decimals.ok_or_else(|| Error::internal("a decimal without digits"))?;
                let ((p1, s1), (p2, s2)) = (target(x), target(y));
                (DataType::decimal(p1, s1), DataType::decimal(p2, s2))
            }
            other => (other, other),
        };
        let (left, right) = (self.coerce(left, operands.0)?, self.coerce(right, operands.1)?);
        Ok(fold(Expr::arithmetic(op, left, right, data_type)))
    }

    /// Open literals beside a number, a date or a time take a type that goes with it.
    fn settle_operands(&mut self, left: Bound, right: Bound) -> Result<(Bound, Bound)> {
        let beside = |other: DataType| match other {
            DataType::Date | DataType::Time | DataType::Timestamp { .. } => DataType::Interval,
            // A key to take away.
            DataType::Json { .. } => DataType::Varchar,
            DataType::Null => DataType::Int32,
            other => other,
        };
        let (a, b) = (left.data_type(), right.data_type());
        let mut settle = |bound: Bound, target: DataType| -> Result<Bound> {
            if !bound.is_open() || bound.literal == Literal::Null && !target.is_numeric() {
                return Ok(bound);
            }
            let span = bound.span;
            Ok(Bound::typed(self.coerce(bound, target)?, span))
        };
        Ok((settle(left, beside(b))?, settle(right, beside(a))?))
    }

    /// A call of a scalar function or operator, its arguments cast to what it takes.
    pub(crate) fn call(&mut self, name: &str, mut args: Vec<Bound>, span: Span) -> Result<Expr> {
        // Functions that only take documents take a text as what their name says.
        if name.starts_with("jsonb_")
            && !name.starts_with("jsonb_build_")
            && let Some(first) = args.first_mut()
            && first.literal == Literal::Text
        {
            let jsonb = DataType::Json { canonical: true };
            *first = Bound::typed(self.coerce(first.clone(), jsonb)?, first.span);
        }
        let types: Vec<DataType> = args.iter().map(Bound::data_type).collect();
        let beside = integers::types_beside(&args);
        let taken = (beside != types).then(|| exec::functions::resolve(name, &beside).ok()).flatten();
        let resolved = taken.map_or_else(|| exec::functions::resolve(name, &types), Ok).map_err(|error| {
            use exec::functions::ResolveError;
            match error {
                ResolveError::Unknown { .. } | ResolveError::NoOverload { .. }
                    if !name.starts_with(|c: char| c.is_alphabetic()) =>
                {
                    let types = types_in_words(&types);
                    let message = match types.as_slice() {
                        [one] => format!("there is no {name} {one}"),
                        _ => format!("there is no {}", types.join(&format!(" {name} "))),
                    };
                    Error::value(message).at(span).hint("cast an operand")
                }
                ResolveError::Unknown { .. } => {
                    let plain = Error::name(error.to_string()).at(span);
                    match exec::functions::similar(name, functions::own_names()) {
                        Some(similar) => plain.hint(format!("did you mean \"{similar}\"?")),
                        None => plain,
                    }
                }
                ResolveError::Type(message) => Error::value(message).at(span),
                ResolveError::NoOverload { signatures, .. } => {
                    let call = format!("{name}({})", types_in_words(&types).join(", "));
                    Error::value(ResolveError::NoOverload { call, signatures }.to_string()).at(span)
                }
            }
        })?;
        let args = args
            .into_iter()
            .zip(&resolved.args)
            .map(|(arg, &data_type)| {
                if arg.data_type() == DataType::Boolean && matches!(name, "concat" | "concat_ws") {
                    return Ok(in_one_letter(arg.expr));
                }
                // Where a function takes text it may print what it is given, as `||` does.
                let is_document = matches!(data_type, DataType::Json { .. });
                let converts = is_document && arg.data_type() == DataType::Varchar
                    || data_type == DataType::Varchar && arg.data_type() != data_type;
                if converts && !arg.is_open() {
                    let span = arg.span;
                    return self.cast_in_zone(arg.expr, data_type, false).map_err(|error| error.at(span));
                }
                self.coerce(arg, data_type)
            })
            .collect::<Result<Vec<_>>>()?;
        if let Some(expr) = self.call_in_zone(&resolved.function, &args).map_err(|error| error.at(span))? {
            return Ok(expr);
        }
        Ok(fold(Expr::Call { function: resolved.function, args, data_type: resolved.returns }))
    }
}

/// Types of arguments, where an untyped literal has none yet.
fn types_in_words(types: &[DataType]) -> Vec<String> {
    let word = |data_type: &DataType| match data_type {
        DataType::Null => "unknown".to_string(),
        other => other.to_string(),
    };
    types.iter().map(word).collect()
}

/// A boolean as PostgreSQL prints it: `t` or `f`.
fn in_one_letter(value: Expr) -> Expr {
    let letter = |letter: &str| Expr::Literal(Value::varchar(letter));
    let branches = vec![(value.clone(), letter("t")), (Expr::Not(Box::new(value)), letter("f"))];
    fold_case(Expr::Case { branches, otherwise: None, data_type: DataType::Varchar })
}

/// Whether `null_is_false` holds for the operands if it holds for the expression.
fn passes_nulls_on(ast: &ast::Expr) -> bool {
    match ast {
        ast::Expr::Nested(_) | ast::Expr::InSubquery { negated: false, .. } | ast::Expr::AnyOp { .. } => true,
        ast::Expr::BinaryOp { op, .. } => matches!(op, BinaryOperator::And | BinaryOperator::Or),
        _ => false,
    }
}

/// Text has one order, that of its bytes.
pub(crate) fn check_collation(name: &ast::ObjectName) -> Result<()> {
    let last = name.0.last().and_then(|part| part.as_ident());
    let known = ["c", "posix", "c.utf8", "c.utf-8", "ucs_basic", "default", "binary"];
    if last.is_some_and(|last| known.contains(&last.value.to_lowercase().as_str())) {
        return Ok(());
    }
    let error = Error::unsupported(format!("the collation {name}")).at(name.span());
    Err(error.hint("text is ordered by its bytes, which is the collation \"C\""))
}

pub(crate) fn negate_if(expr: Expr, negated: bool) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

fn decimal_of(bound: &Bound) -> Option<(u8, u8)> {
    match bound.literal {
        Literal::Integer(digits) => Some((digits, 0)),
        _ => types::integer_as_decimal(bound.data_type()),
    }
}

fn unsupported_operator(op: &BinaryOperator) -> Error {
    Error::unsupported(format!("the operator {op}"))
}

/// The subquery that `ANY` or `ALL` has, if it is one.
fn quantified(ast: &ast::Expr) -> Option<&ast::Query> {
    match ast {
        ast::Expr::Subquery(query) => Some(query),
        ast::Expr::Nested(inner) => quantified(inner),
        _ => None,
    }
}

fn shorten(expr: &ast::Expr) -> String {
    let text = expr.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

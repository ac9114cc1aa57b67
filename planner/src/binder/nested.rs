//! Lists, structs and maps: their literals, and the access to what is in them.

use super::constants::fold;
use super::expression::{Bound, Context, Literal};
use super::scope::{same_name, span_of};
use super::{Binder, suggest, types};
use crate::error::{Error, Result};
use columnar::types::{Nested, NestedType, list_of, struct_of};
use columnar::{DataType, Scalar, Value};
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, AccessExpr, Subscript};
use sqlparser::tokenizer::Span;

/// A type that cannot be, as an error of the statement.
pub(crate) fn type_error(error: columnar::types::TypeError) -> Error {
    Error::value(error.to_string())
}

impl Binder<'_> {
    /// `[…]` and `ARRAY[…]`.
    pub(super) fn list_literal(
        &mut self,
        elements: &[ast::Expr],
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let elements: Vec<Bound> =
            elements.iter().map(|element| self.bind(element, context)).collect::<Result<_>>()?;
        // Of no type yet.
        if elements.iter().all(|element| element.literal == Literal::Null) {
            let data_type = list_of(DataType::Null).map_err(type_error)?;
            let mut bytes = vec![2; elements.len()];
            bytes.push(0);
            return Ok(Expr::Literal(Value::new(data_type, Scalar::Bytes(bytes))));
        }
        self.call("list_value", elements, span)
    }

    /// `{'a': 1, 'b': 2}`.
    pub(super) fn dictionary(
        &mut self,
        fields: &[ast::DictionaryField],
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let mut named = Vec::with_capacity(fields.len());
        for field in fields {
            named.push((field.key.value.clone(), self.expression(&field.value, context)?));
        }
        record(named)
    }

    /// `MAP {'a': 1, 'b': 2}`.
    pub(super) fn map(&mut self, map: &ast::Map, span: Span, context: &mut Context<'_>) -> Result<Expr> {
        let keys = map.entries.iter().map(|entry| (*entry.key).clone()).collect::<Vec<_>>();
        let values = map.entries.iter().map(|entry| (*entry.value).clone()).collect::<Vec<_>>();
        let lists = [self.list_literal(&keys, span, context)?, self.list_literal(&values, span, context)?];
        self.call("map", lists.map(|list| Bound::typed(list, span)).into(), span)
    }

    /// `root[…].field` and so on.
    pub(super) fn access(
        &mut self,
        root: &ast::Expr,
        chain: &[AccessExpr],
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        // What looks like a path of names may be a column of a relation, and fields of it.
        let mut names: Vec<ast::Ident> = match root {
            ast::Expr::Identifier(name) => vec![name.clone()],
            ast::Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => Vec::new(),
        };
        let mut rest = chain;
        while !names.is_empty()
            && let [AccessExpr::Dot(ast::Expr::Identifier(name)), more @ ..] = rest
        {
            names.push(name.clone());
            rest = more;
        }
        let mut expr = match names.is_empty() {
            true => self.expression(root, context)?,
            false => {
                let bound = self.column(&names, context)?;
                self.settle(bound)?
            }
        };
        for step in rest {
            expr = match step {
                AccessExpr::Dot(ast::Expr::Identifier(name)) => self.field(expr, &name.value, name.span)?,
                AccessExpr::Dot(other) => {
                    return Err(Error::unsupported(format!("the access .{other}")).at(span));
                }
                AccessExpr::Subscript(subscript) => self.subscript(expr, subscript, span, context)?,
            };
        }
        Ok(expr)
    }

    /// A field of a struct by its name.
    pub(super) fn field(&mut self, expr: Expr, name: &str, span: Span) -> Result<Expr> {
        let data_type = expr.data_type();
        let fields = data_type.as_nested().map_or(&[][..], NestedType::fields);
        if fields.is_empty() {
            return Err(Error::value(format!("a {data_type} has no fields")).at(span));
        }
        // The exact name first, since two may differ by case alone.
        let place = fields
            .iter()
            .position(|field| *field.name == *name)
            .or_else(|| fields.iter().position(|field| same_name(&field.name, name)));
        let Some(place) = place else {
            let error = Error::name(format!("no field \"{name}\" in {data_type}")).at(span);
            return Err(suggest(error, name, fields.iter().map(|field| &*field.name)));
        };
        Ok(fold(Expr::Call {
            function: "struct_extract_at".into(),
            args: vec![expr, Expr::Literal(Value::int64(place as i64 + 1))],
            data_type: fields[place].data_type,
        }))
    }

    fn subscript(
        &mut self,
        expr: Expr,
        subscript: &Subscript,
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let data_type = expr.data_type();
        let bound = |expr: Expr| Bound::typed(expr, span);
        if let (Subscript::Index { index }, DataType::Json { .. }) = (subscript, data_type) {
            let index = self.bind(index, context)?;
            return self.call("->", vec![bound(expr), index], span);
        }
        let Some(kind) = data_type.as_nested() else {
            return Err(Error::unsupported(format!("a subscript of a {data_type}")).at(span));
        };
        match (subscript, &kind.info().shape) {
            (Subscript::Index { index }, Nested::Struct(fields)) => {
                let index = self.bind(index, context)?;
                match (&index.literal, &index.expr) {
                    (Literal::Text, Expr::Literal(Value { scalar: Scalar::Bytes(name), .. })) => {
                        self.field(expr, &String::from_utf8_lossy(name), span)
                    }
                    (_, Expr::Literal(Value { scalar: Scalar::Integer(place), .. }))
                        if (1..=fields.len() as i128).contains(place) =>
                    {
                        let data_type = fields[*place as usize - 1].data_type;
                        let args = vec![expr, Expr::Literal(Value::int64(*place as i64))];
                        Ok(fold(Expr::Call { function: "struct_extract_at".into(), args, data_type }))
                    }
                    _ => Err(Error::value(format!(
                        "a field of {data_type} is named by a text or a place that it has"
                    ))
                    .at(span)),
                }
            }
            (Subscript::Index { index }, Nested::Map { .. }) => {
                let key = self.bind(index, context)?;
                self.call("map_extract_value", vec![bound(expr), key], span)
            }
            (Subscript::Index { index }, _) => {
                let index = self.bind(index, context)?;
                self.call("list_extract", vec![bound(expr), index], span)
            }
            (
                Subscript::Slice { lower_bound, upper_bound, stride },
                Nested::List(_) | Nested::Array { .. },
            ) => {
                let mut args = vec![bound(expr)];
                for edge in [lower_bound, upper_bound] {
                    args.push(match edge {
                        Some(edge) => self.bind(edge, context)?,
                        None => bound(Expr::Literal(Value::null(DataType::Int64))),
                    });
                }
                if let Some(stride) = stride {
                    args.push(self.bind(stride, context)?);
                }
                self.call("list_slice", args, span)
            }
            (Subscript::Slice { .. }, _) => {
                Err(Error::value(format!("a {data_type} has no slices")).at(span))
            }
        }
    }

    /// A column that is named by the first of these words, and fields of it by the others.
    pub(super) fn fields_of_column(
        &mut self,
        parts: &[ast::Ident],
        context: &mut Context<'_>,
    ) -> Result<Option<Bound>> {
        for len in (1..parts.len()).rev() {
            let (column, fields) = parts.split_at(len);
            let Some(id) = context.scope.find(column).ok().flatten() else { continue };
            let mut expr = self.columns.reference(id);
            if !expr
                .data_type()
                .as_nested()
                .is_some_and(|kind| matches!(kind.info().shape, Nested::Struct(_)))
            {
                continue;
            }
            for field in fields {
                expr = self.field(expr, &field.value, field.span)?;
            }
            return Ok(Some(Bound::typed(expr, span_of(parts))));
        }
        Ok(None)
    }

    /// `left op ANY (list)`: true if it is of some element, null if no element decides and one is null.
    pub(super) fn any_of(
        &mut self,
        left: &ast::Expr,
        op: CompareOp,
        right: &ast::Expr,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let span = right.span_of_list();
        let (value, list) = (self.bind(left, context)?, self.bind(right, context)?);
        let sign = match op {
            CompareOp::Equal => "=",
            CompareOp::NotEqual => "<>",
            CompareOp::Less => "<",
            CompareOp::LessOrEqual => "<=",
            CompareOp::Greater => ">",
            CompareOp::GreaterOrEqual => ">=",
            CompareOp::IsDistinctFrom | CompareOp::IsNotDistinctFrom => {
                return Err(Error::unsupported("IS DISTINCT FROM ANY").at(span));
            }
        };
        if list.data_type() != DataType::Null
            && list.data_type().as_nested().and_then(NestedType::element).is_none()
        {
            let message = format!("ANY and ALL take a subquery or a list, not a {}", list.data_type());
            return Err(Error::value(message).at(span));
        }
        let sign = Bound::typed(Expr::Literal(Value::varchar(sign)), span);
        self.call("any_of", vec![list, value, sign], span)
    }
}

trait ListSpan {
    fn span_of_list(&self) -> Span;
}

impl ListSpan for ast::Expr {
    fn span_of_list(&self) -> Span {
        use sqlparser::ast::Spanned;
        self.span()
    }
}

/// A struct of named values.
pub(crate) fn record(fields: Vec<(String, Expr)>) -> Result<Expr> {
    let types = fields.iter().map(|(name, value)| (name.clone(), value.data_type()));
    let data_type = struct_of(types).map_err(type_error)?;
    let args = fields.into_iter().map(|(_, value)| value).collect();
    Ok(fold(Expr::Call { function: "struct_pack".into(), args, data_type }))
}

/// The nested type that SQL names; `None` for words that name another.
pub(crate) fn from_sql(data_type: &ast::DataType, named: &types::Named<'_>) -> Result<Option<DataType>> {
    use ast::{ArrayElemTypeDef, DataType as Sql};
    Ok(Some(match data_type {
        Sql::Array(
            ArrayElemTypeDef::SquareBracket(element, None) | ArrayElemTypeDef::AngleBracket(element),
        ) => list_of(types::from_sql(element, named)?).map_err(type_error)?,
        Sql::Array(ArrayElemTypeDef::SquareBracket(element, Some(len))) => {
            let element = types::from_sql(element, named)?;
            let len = u32::try_from(*len).unwrap_or(u32::MAX);
            columnar::types::nested(Nested::Array { element, len }).map_err(type_error)?
        }
        Sql::Struct(fields, _) => {
            let fields = fields.iter().map(|field| {
                let name = field.field_name.as_ref().map_or_else(String::new, |name| name.value.clone());
                Ok((name, types::from_sql(&field.field_type, named)?))
            });
            struct_of(fields.collect::<Result<Vec<_>>>()?).map_err(type_error)?
        }
        Sql::Map(key, value, _) => {
            let (key, value) = (types::from_sql(key, named)?, types::from_sql(value, named)?);
            columnar::types::nested(Nested::Map { key, value }).map_err(type_error)?
        }
        _ => return Ok(None),
    }))
}

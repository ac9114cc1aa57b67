//! Calls over lists, structs and maps that hang on more than the types of their arguments: on names, lambdas, or the
//! name of an aggregate.

use super::constants::fold;
use super::expression::{Bound, Context, Literal};
use super::nested::type_error;
use super::scope::{Relation, Scope, ScopeColumn};
use super::{Binder, types};
use crate::error::{Error, Result};
use columnar::types::{FieldType, Nested, list_of, nested, struct_of};
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, OneOrManyWithParens, Spanned};
use sqlparser::tokenizer::Span;

/// A value, and the name that it was given.
type Named<'e> = (Option<&'e str>, &'e ast::Expr);

impl Binder<'_> {
    /// The call by what it means, if it is one of these.
    pub(super) fn nested_call(
        &mut self,
        name: &str,
        call: &ast::Function,
        context: &mut Context<'_>,
    ) -> Result<Option<Bound>> {
        let span = call.span();
        let FunctionArguments::List(list) = &call.args else { return Ok(None) };
        let args = || named(&list.args, span);
        let expr = match (name, list.args.len()) {
            ("struct_pack", _) => self.struct_pack(&args()?, span, context)?,
            ("row", 1..) => {
                let values: Vec<&ast::Expr> = args()?.into_iter().map(|(_, value)| value).collect();
                self.row(&values, context)?
            }
            ("struct_insert", 2..) => self.struct_insert(&args()?, span, context)?,
            ("struct_extract" | "struct_extract_at", 2) => match args()?[..] {
                [(_, value), (_, field)] => self.struct_extract(value, field, span, context)?,
                _ => return Ok(None),
            },
            ("list_value" | "list_pack" | "array_value", 0) => self.list_literal(&[], span, context)?,
            ("map", 0) => {
                let shape = Nested::Map { key: DataType::Varchar, value: DataType::Null };
                Expr::Literal(Value::new(nested(shape).map_err(type_error)?, Scalar::Bytes(vec![0])))
            }
            ("list_aggregate" | "list_aggr" | "array_aggregate" | "array_aggr", 2..) => {
                self.list_aggregate(&args()?, span, context)?
            }
            (name, _) => match exec::expression::lambda::function(name) {
                Some(function) => self.lambda_call(function, &args()?, span, context)?,
                None => return Ok(None),
            },
        };
        Ok(Some(Bound::typed(expr, span)))
    }

    fn struct_pack(&mut self, args: &[Named<'_>], span: Span, context: &mut Context<'_>) -> Result<Expr> {
        let mut fields = Vec::with_capacity(args.len());
        for (name, value) in args {
            let name = name.or_else(|| own_name(value)).ok_or_else(|| {
                Error::value("struct_pack takes named values").at(span).hint("write struct_pack(a := 1)")
            })?;
            fields.push((name.to_owned(), self.expression(value, context)?));
        }
        super::nested::record(fields)
    }

    /// `row(a, b)` and `(a, b)`: a struct whose fields have no names.
    pub(super) fn row(&mut self, values: &[&ast::Expr], context: &mut Context<'_>) -> Result<Expr> {
        let mut fields = Vec::with_capacity(values.len());
        for value in values {
            fields.push((String::new(), self.expression(value, context)?));
        }
        super::nested::record(fields)
    }

    fn struct_insert(&mut self, args: &[Named<'_>], span: Span, context: &mut Context<'_>) -> Result<Expr> {
        let value = self.expression(args[0].1, context)?;
        let data_type = value.data_type();
        let mut fields: Vec<(String, DataType)> = match data_type.as_nested().map(|kind| &kind.info().shape) {
            Some(Nested::Struct(fields)) => {
                fields.iter().map(|field| (field.name.to_string(), field.data_type)).collect()
            }
            _ => return Err(Error::value(format!("struct_insert takes a struct, not {data_type}")).at(span)),
        };
        let mut values = vec![value];
        for (name, value) in &args[1..] {
            let name = name.ok_or_else(|| {
                Error::value("struct_insert takes named values")
                    .at(span)
                    .hint("write struct_insert(s, a := 1)")
            })?;
            let value = self.expression(value, context)?;
            fields.push((name.to_owned(), value.data_type()));
            values.push(value);
        }
        let data_type = struct_of(fields).map_err(type_error)?;
        Ok(fold(Expr::Call { function: "struct_insert".into(), args: values, data_type }))
    }

    fn struct_extract(
        &mut self,
        value: &ast::Expr,
        field: &ast::Expr,
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let value = self.expression(value, context)?;
        let field = self.bind(field, context)?;
        match (&field.literal, &field.expr) {
            (Literal::Text, Expr::Literal(Value { scalar: Scalar::Bytes(name), .. })) => {
                self.field(value, &String::from_utf8_lossy(name), span)
            }
            (_, Expr::Literal(Value { scalar: Scalar::Integer(place), .. })) => {
                let data_type = value.data_type();
                let fields: &[FieldType] = data_type.as_nested().map_or(&[], |kind| kind.fields());
                let found = usize::try_from(*place - 1).ok().and_then(|place| fields.get(place));
                let found =
                    found.ok_or_else(|| Error::value(format!("no field {place} in {data_type}")).at(span))?;
                let args = vec![value, Expr::Literal(Value::int64(*place as i64))];
                let data_type = found.data_type;
                Ok(fold(Expr::Call { function: "struct_extract_at".into(), args, data_type }))
            }
            _ => Err(Error::value("a field is named by a text or a place").at(span)),
        }
    }

    /// `list_aggregate(l, 'sum')` is `list_sum(l)`.
    fn list_aggregate(&mut self, args: &[Named<'_>], span: Span, context: &mut Context<'_>) -> Result<Expr> {
        let name = self.bind(args[1].1, context)?;
        let name = match (&name.literal, &name.expr) {
            (Literal::Text, Expr::Literal(Value { scalar: Scalar::Bytes(name), .. })) => {
                String::from_utf8_lossy(name).to_lowercase()
            }
            _ => return Err(Error::value("list_aggregate names its aggregate by a text").at(span)),
        };
        let mut bound = vec![self.bind(args[0].1, context)?];
        for (_, arg) in &args[2..] {
            bound.push(self.bind(arg, context)?);
        }
        match name.as_str() {
            "string_agg" | "group_concat" | "listagg" => {
                if bound.len() == 1 {
                    bound.push(Bound::typed(Expr::Literal(Value::varchar(",")), span));
                }
                self.call("array_to_string", bound, span)
            }
            name @ ("sum" | "min" | "max" | "avg" | "mean" | "count" | "first" | "last" | "any_value"
            | "bool_and" | "bool_or" | "product") => self.call(&format!("list_{name}"), bound, span),
            name => Err(Error::unsupported(format!("list_aggregate by '{name}'")).at(span)),
        }
    }

    fn lambda_call(
        &mut self,
        function: &str,
        args: &[Named<'_>],
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let values: Vec<&ast::Expr> = args.iter().map(|(_, value)| *value).collect();
        let (list, lambda, first) = match values[..] {
            [list, ast::Expr::Lambda(lambda)] => (list, lambda, None),
            [list, ast::Expr::Lambda(lambda), first] if function == "list_reduce" => {
                (list, lambda, Some(first))
            }
            _ => {
                let error = Error::value(format!("{function} takes a list and a lambda")).at(span);
                return Err(error.hint("write lambda x: x + 1"));
            }
        };
        let list = self.bind(list, context)?;
        let list = match list.data_type() {
            DataType::Null => self.coerce(list, list_of(DataType::Null).map_err(type_error)?)?,
            _ => self.settle(list)?,
        };
        let element = list.data_type().as_nested().and_then(|kind| kind.element()).ok_or_else(|| {
            Error::value(format!("{function} takes a list, not {}", list.data_type())).at(span)
        })?;
        if function == "list_reduce" {
            return self.reduce(list, lambda, first, element, span, context);
        }
        let boolean = (function != "list_transform").then_some(DataType::Boolean);
        let lambda = self.lambda(lambda, &[element], boolean, context)?;
        let data_type = match function {
            "list_transform" => list_of(lambda.data_type()).map_err(type_error)?,
            "list_filter" => list_of(element).map_err(type_error)?,
            _ => DataType::Boolean,
        };
        Ok(Expr::Call { function: function.into(), args: vec![list, lambda], data_type })
    }

    /// The value so far has the type of the first value, or of the elements, unless the body gives a wider one.
    fn reduce(
        &mut self,
        list: Expr,
        lambda: &ast::LambdaFunction,
        first: Option<&ast::Expr>,
        element: DataType,
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let first = first.map(|first| self.bind(first, context)).transpose()?;
        let start = match &first {
            Some(first) if first.data_type() != DataType::Null => first.data_type(),
            _ => element,
        };
        let narrow = self.lambda(lambda, &[start, element], None, context)?;
        let data_type = types::unify(start, narrow.data_type()).ok_or_else(|| {
            Error::value(format!("list_reduce goes from {start} to {}", narrow.data_type())).at(span)
        })?;
        // Without a first value that is the first element.
        let (list, element) = match (&first, data_type == element) {
            (None, false) => {
                let wide = list_of(data_type).map_err(type_error)?;
                (self.coerce(Bound::typed(list, span), wide)?, data_type)
            }
            _ => (list, element),
        };
        let lambda = self.lambda(lambda, &[data_type, element], Some(data_type), context)?;
        let mut args = vec![list, lambda];
        if let Some(first) = first {
            args.push(self.coerce(first, data_type)?);
        }
        Ok(Expr::Call { function: "list_reduce".into(), args, data_type })
    }

    /// A lambda over parameters of these types, and perhaps one more, the element's place.
    fn lambda(
        &mut self,
        lambda: &ast::LambdaFunction,
        params: &[DataType],
        result: Option<DataType>,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let names: Vec<&ast::Ident> = match &lambda.params {
            OneOrManyWithParens::One(param) => vec![&param.name],
            OneOrManyWithParens::Many(params) => params.iter().map(|param| &param.name).collect(),
        };
        let span = lambda.body.span();
        if names.len() < params.len() || names.len() > params.len() + 1 {
            let message = format!("a lambda of {} names, where {} are given", names.len(), params.len());
            return Err(Error::value(message).at(span).hint("one more name is the element's place, from 1"));
        }
        let types = params.iter().copied().chain([DataType::Int64]);
        let params: Vec<DataType> = types.take(names.len()).collect();
        let columns: Vec<ScopeColumn> = names
            .iter()
            .zip(&params)
            .map(|(name, &data_type)| ScopeColumn {
                name: name.value.clone(),
                id: self.columns.add(name.value.as_str(), data_type),
                qualified_only: false,
            })
            .collect();
        let ids: Vec<u32> = columns.iter().map(|column| column.id).collect();
        let relation = Relation { schema: None, name: None, columns };
        let scope = Scope { relations: vec![relation], outer: Some(context.scope) };
        let mut inner = Context::new(&scope, "a lambda");
        inner.aliases = context.aliases;
        let bound = self.bind(&lambda.body, &mut inner)?;
        if !inner.pending.is_empty() {
            return Err(Error::unsupported("a subquery in a lambda").at(span));
        }
        let body = match result {
            Some(DataType::Boolean) => self.boolean(bound, "a lambda that tests")?,
            Some(data_type) => self.coerce(bound, data_type)?,
            None => self.settle(bound)?,
        };
        let mut captures: Vec<Expr> = Vec::new();
        let body = body.transform(&mut |node| match node {
            Expr::Column { id, data_type } => {
                let place = ids.iter().position(|known| *known == id).unwrap_or_else(|| {
                    let column = Expr::column(id, data_type);
                    let known = captures.iter().position(|capture| *capture == column);
                    ids.len()
                        + known.unwrap_or_else(|| {
                            captures.push(column);
                            captures.len() - 1
                        })
                });
                Expr::column(place as u32, data_type)
            }
            other => other,
        });
        let data_type = body.data_type();
        Ok(Expr::Lambda { params, captures, body: Box::new(body), data_type })
    }
}

/// The arguments with their names.
fn named(args: &[FunctionArg], span: Span) -> Result<Vec<Named<'_>>> {
    args.iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Ok((None, value)),
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
                Ok((Some(name.value.as_str()), value))
            }
            other => Err(Error::unsupported(format!("the argument {other}")).at(span)),
        })
        .collect()
}

/// The name that a column brings with it.
fn own_name(value: &ast::Expr) -> Option<&str> {
    match value {
        ast::Expr::Identifier(name) => Some(&name.value),
        ast::Expr::CompoundIdentifier(parts) => parts.last().map(|name| name.value.as_str()),
        _ => None,
    }
}

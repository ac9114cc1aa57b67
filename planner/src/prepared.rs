//! Statements that a session keeps by name.

use crate::binder::Binder;
use crate::binder::constants::is_any_volatile;
use crate::binder::conversion::{casts, constant_cast};
use crate::binder::expression::Context;
use crate::binder::scope::Scope;
use crate::error::{Error, Result};
use crate::logical::columns_of;
use crate::parse::PreparedSyntax;
use columnar::{DataType, Value};
use sqlparser::ast::{self, Spanned};

/// What a statement does with prepared ones.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    Prepare {
        name: String,
        /// Of its first parameters; those of the others are those of their values.
        types: Vec<DataType>,
        /// The statement as it was written.
        sql: String,
    },
    Execute {
        name: String,
        values: Vec<Value>,
    },
    Deallocate {
        /// `None`: all.
        name: Option<String>,
    },
}

pub(crate) fn bind(mut binder: Binder<'_>, syntax: &PreparedSyntax) -> Result<Prepared> {
    Ok(match syntax {
        PreparedSyntax::Prepare { name, types, text } => Prepared::Prepare {
            name: name.value.clone(),
            types: types
                .iter()
                .map(|of| binder.type_of(of).map_err(|error| error.at(name.span)))
                .collect::<Result<_>>()?,
            sql: text.sql.clone(),
        },
        PreparedSyntax::Execute { name, args } => Prepared::Execute {
            name: name.value.clone(),
            values: args.iter().map(|arg| constant(&mut binder, arg)).collect::<Result<_>>()?,
        },
        PreparedSyntax::Deallocate { name } => {
            Prepared::Deallocate { name: name.as_ref().map(|name| name.value.clone()) }
        }
    })
}

fn constant(binder: &mut Binder<'_>, arg: &ast::Expr) -> Result<Value> {
    let scope = Scope::default();
    let mut context = Context::new(&scope, "EXECUTE");
    let expr = binder.expression(arg, &mut context)?;
    let is_constant = context.pending.is_empty()
        && columns_of(&expr).is_empty()
        && !is_any_volatile(&expr)
        && binder.parameter_types.is_empty();
    if !is_constant {
        return Err(Error::unsupported("EXECUTE with anything but constants").at(arg.span()));
    }
    exec::expression::constant::evaluate(&expr)
        .map_err(|error| Error::value(error.to_string()).at(arg.span()))
}

/// The value as one of a type, by a written cast's rules.
pub fn converted(value: Value, to: DataType) -> Result<Value> {
    if value.is_null() {
        return Ok(Value::null(to));
    }
    if value.data_type != to && !casts(value.data_type, to) {
        return Err(Error::value(format!("{} cannot be cast to {to}", value.data_type)));
    }
    constant_cast(value, to)
}

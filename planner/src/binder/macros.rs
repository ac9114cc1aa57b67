//! Macros: a call's arguments are bound where the call stands, the macro's text by itself, and where the text names a parameter
//! the argument stands. So a name of the text never means a column of the caller's, nor the other way round.

use super::constants::is_any_volatile;
use super::expression::{Bound, Context, Literal};
use super::from::{Source, derived};
use super::inlined::of_text;
use super::scope::{Scope, same_name};
use super::{Binder, aggregate::Aggregation, suggest};
use crate::defined::{Macro, MacroBody, ParsedMacro};
use crate::error::{Error, ErrorKind, Result};
use crate::logical::{ColumnSet, Logical, columns_of_all};
use crate::statement::UseKind;
use columnar::{DataType, Value};
use exec::Expr;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned};
use sqlparser::tokenizer::Span;
use std::sync::Arc;

/// Nodes of expressions that the arguments of all macros of a statement may become.
const MAX_NODES: usize = 100_000;
/// Words that are no functions to the parser, so that a macro of that name could not be called.
const WORDS: [&str; 6] = ["case", "cast", "exists", "extract", "position", "try_cast"];

/// The arguments of a macro whose text is being bound.
#[derive(Debug, Default)]
pub(super) struct Frame {
    arguments: Vec<Argument>,
}

#[derive(Debug)]
struct Argument {
    name: String,
    value: Bound,
    nodes: usize,
    /// Another value each time it is computed.
    volatile: bool,
    uses: usize,
}

impl Argument {
    fn new(name: &str, value: Bound) -> Argument {
        let mut nodes = 0;
        value.expr.visit(&mut |_| nodes += 1);
        let volatile = is_any_volatile(&value.expr);
        Argument { name: name.into(), value, nodes, volatile, uses: 0 }
    }
}

impl Binder<'_> {
    /// The macro of that name.
    pub(super) fn macro_named(&self, name: &ast::ObjectName) -> Option<Arc<Macro>> {
        match crate::parse::identifiers(name).ok()?.as_slice() {
            [name] => self.catalog.macro_named(None, &name.value),
            [schema, name] => self.catalog.macro_named(Some(&schema.value), &name.value),
            _ => None,
        }
    }

    /// What a name that is no column's stands for in the text of a macro: an argument.
    pub(super) fn argument(&mut self, parts: &[ast::Ident]) -> Result<Option<Bound>> {
        let ([name], Some(frame)) = (parts, self.inlined.frame.as_mut()) else { return Ok(None) };
        let mut arguments = frame.arguments.iter_mut();
        let Some(argument) = arguments.find(|argument| same_name(&argument.name, &name.value)) else {
            return Ok(None);
        };
        argument.uses += 1;
        if argument.volatile && argument.uses > 1 {
            let message = format!(
                "the argument for \"{}\" has another value each time, and the macro uses it twice",
                argument.name
            );
            return Err(Error::value(message).hint("compute it in a subquery first"));
        }
        self.inlined.nodes += argument.nodes;
        if self.inlined.nodes > MAX_NODES {
            let message = format!("the macros of a statement become more than {MAX_NODES} operators");
            return Err(Error::value(message));
        }
        Ok(Some(Bound { span: Span::empty(), ..argument.value.clone() }))
    }

    /// A call of a macro that gives a value.
    pub(super) fn macro_call(
        &mut self,
        found: &Macro,
        call: &ast::Function,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        let span = call.span();
        let name = &found.name;
        if found.is_table {
            let message = format!("macro \"{name}\" gives rows, and stands in FROM");
            return Err(Error::value(message).at(span));
        }
        let plain = call.over.is_none()
            && call.filter.is_none()
            && call.within_group.is_empty()
            && call.null_treatment.is_none()
            && matches!(call.parameters, FunctionArguments::None);
        if !plain {
            let message = format!("\"{name}\" is a macro: OVER, FILTER and the like are for functions");
            return Err(Error::value(message).at(span));
        }
        let args: &[FunctionArg] = match &call.args {
            FunctionArguments::None => &[][..],
            FunctionArguments::List(list)
                if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
            {
                &list.args
            }
            _ => {
                return Err(Error::value(format!("\"{name}\" is a macro: it takes plain arguments")).at(span));
            }
        };
        self.uses(UseKind::Macro, &found.schema, name);
        let parsed = found.parsed().map_err(|error| of_text(error, "macro", name, &found.sql, span))?;
        let frame = self.macro_frame(found, parsed, args, span, context)?;
        let given = aggregated(context.aggregation.as_ref());
        let from_aggregates = frame.arguments.iter().any(|argument| meet(&argument.value.expr, &given));
        let MacroBody::Expr(body) = &parsed.body.syntax else {
            return Err(Error::internal("a macro of rows as a value"));
        };
        let scope = std::mem::replace(&mut context.scope, Scope::NONE);
        let bound = self.apart(Some(frame), parsed.body.depth, |binder| binder.bind(body, context));
        context.scope = scope;
        let (bound, _) = bound.map_err(|error| of_text(error, "macro", name, &found.sql, span))?;
        if from_aggregates && aggregates_again(context.aggregation.as_ref()) {
            let message = format!("macro \"{name}\" aggregates an argument that has aggregates itself");
            return Err(Error::value(message).at(span));
        }
        Ok(Bound { span, ..bound })
    }

    /// A macro in `FROM`.
    pub(super) fn table_macro(
        &mut self,
        name: &ast::ObjectName,
        args: &ast::TableFunctionArgs,
        alias: Option<&ast::TableAlias>,
        outer: Option<&Scope<'_>>,
    ) -> Result<Source> {
        let span = name.span();
        let found = self.macro_named(name).ok_or_else(|| Error::internal("a macro that is gone"))?;
        let name = &found.name;
        if !found.is_table {
            let message = format!("macro \"{name}\" gives a value, and does not stand in FROM");
            return Err(Error::value(message).at(span));
        }
        self.uses(UseKind::Macro, &found.schema, name);
        let parsed = found.parsed().map_err(|error| of_text(error, "macro", name, &found.sql, span))?;
        let scope = Scope { relations: Vec::new(), outer };
        let mut context = Context::new(&scope, "the arguments of a macro in FROM");
        let frame = self.macro_frame(&found, parsed, &args.args, span, &mut context)?;
        if !context.pending.is_empty() {
            return Err(Error::unsupported("a subquery as an argument of a macro in FROM").at(span));
        }
        let MacroBody::Query(body) = &parsed.body.syntax else {
            return Err(Error::internal("a macro of a value as rows"));
        };
        let bound = self.apart(Some(frame), parsed.body.depth, |binder| binder.query(body, None));
        let (bound, _) = bound.map_err(|error| of_text(error, "macro", name, &found.sql, span))?;
        derived(bound, Some(name), alias, span)
    }

    /// The arguments of a call by the parameters that they are for.
    fn macro_frame(
        &mut self,
        found: &Macro,
        parsed: &ParsedMacro,
        args: &[FunctionArg],
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Frame> {
        let name = &found.name;
        let mut given: Vec<Option<&ast::Expr>> = vec![None; found.parameters.len()];
        let mut next = 0;
        for arg in args {
            let (place, expr) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                    next += 1;
                    (Some(next - 1).filter(|&place| place < given.len()), expr)
                }
                FunctionArg::Named { name: parameter, arg: FunctionArgExpr::Expr(expr), .. } => {
                    let mut parameters = found.parameters.iter();
                    let place = parameters.position(|known| same_name(&known.name, &parameter.value));
                    if place.is_none() {
                        let message = format!("macro \"{name}\" has no parameter \"{}\"", parameter.value);
                        let known = found.parameters.iter().map(|known| known.name.as_str());
                        return Err(suggest(Error::name(message), &parameter.value, known).at(parameter.span));
                    }
                    (place, expr)
                }
                other => return Err(Error::unsupported(format!("the argument {other}")).at(span)),
            };
            let Some(place) = place else {
                let (most, count) = (given.len(), args.len());
                let message = format!("macro \"{name}\" takes {most} arguments at most, {count} are given");
                return Err(Error::value(message).at(span));
            };
            if given[place].replace(expr).is_some() {
                let parameter = &found.parameters[place].name;
                let message = format!("macro \"{name}\" is given two arguments for \"{parameter}\"");
                return Err(Error::value(message).at(expr.span()));
            }
        }
        let mut frame = Frame::default();
        for ((parameter, given), default) in found.parameters.iter().zip(given).zip(&parsed.defaults) {
            let value = match (given, default) {
                (Some(expr), _) => self.bind(expr, context)?,
                (None, Some(default)) => self.default_of(found, default, span)?,
                (None, None) => {
                    let message = format!("macro \"{name}\" needs an argument for \"{}\"", parameter.name);
                    return Err(Error::value(message).at(span));
                }
            };
            frame.arguments.push(Argument::new(&parameter.name, value));
        }
        Ok(frame)
    }

    /// What stands for a parameter without an argument: a constant expression.
    fn default_of(&mut self, found: &Macro, default: &ast::Expr, span: Span) -> Result<Bound> {
        let mut context = Context::new(Scope::NONE, "a default of a macro's parameter");
        let bound = self.apart(None, 0, |binder| binder.bind(default, &mut context));
        let of_macro = |error: Error| {
            let plain = Error { line: 0, column: 0, ..error };
            of_text(plain, "macro", &found.name, "", span)
        };
        let (bound, _) = bound.map_err(of_macro)?;
        match context.pending.is_empty() {
            true => Ok(bound),
            false => Err(of_macro(Error::unsupported("a subquery as a default of a macro's parameter"))),
        }
    }

    /// Refuses a macro whose text cannot be bound. What its parameters are is not known yet, so that a text that takes them for
    /// something in particular may be good for all that: only what no argument mends is refused.
    pub(crate) fn check_macro(&mut self, new: &Macro, span: Span) -> Result<()> {
        let of_macro = |error: Error| of_text(error, "macro", &new.name, &new.sql, span);
        self.check_macro_name(&new.name, span)?;
        let parsed = new.parsed().map_err(of_macro)?;
        for default in parsed.defaults.iter().flatten() {
            self.default_of(new, default, span)?;
        }
        let null = |data_type| Expr::Literal(Value::null(data_type));
        let unknown = Bound {
            expr: null(DataType::Null),
            literal: Literal::Parameter(usize::MAX),
            span: Span::empty(),
        };
        let typed = [
            DataType::Int64,
            DataType::Varchar,
            DataType::Float64,
            DataType::Date,
            DataType::TIMESTAMP,
            DataType::Boolean,
        ];
        let typed = typed.map(|data_type| Bound::typed(null(data_type), Span::empty()));
        for value in std::iter::once(unknown).chain(typed) {
            let parameters = new.parameters.iter();
            let arguments =
                parameters.map(|parameter| Argument::new(&parameter.name, value.clone())).collect();
            match self.try_macro(parsed, Frame { arguments }) {
                Ok(()) => break,
                Err(error) if error.kind == ErrorKind::Value && !new.parameters.is_empty() => {}
                Err(error) => return Err(of_macro(error)),
            }
        }
        match self.parameter_types.is_empty() {
            true => Ok(()),
            false => Err(Error::unsupported("a parameter $1 in a macro").at(span)),
        }
    }

    /// Binds the text of a macro that is about to be created: what it names is what the statement names.
    fn try_macro(&mut self, parsed: &ParsedMacro, frame: Frame) -> Result<()> {
        self.inlined.frame = Some(frame);
        let bound = match &parsed.body.syntax {
            MacroBody::Query(query) => self.query(query, None).map(drop),
            MacroBody::Expr(expr) => {
                let mut context = Context::new(Scope::NONE, "a macro");
                context.aggregation = Some(Aggregation::default());
                self.bind(expr, &mut context).map(drop)
            }
        };
        self.inlined.frame = None;
        bound
    }

    /// Refuses the name of what is built in.
    fn check_macro_name(&mut self, name: &str, span: Span) -> Result<()> {
        let quoted = name.replace('"', "\"\"");
        let mut is_free = true;
        for arguments in ["", "NULL", "NULL, NULL", "NULL, NULL, NULL"] {
            let parsed = crate::parse::expression_of(&format!("\"{quoted}\"({arguments})"));
            let Ok(ast::Expr::Function(call)) = parsed.map(|parsed| parsed.syntax) else {
                is_free = false;
                break;
            };
            let mut context = Context::new(Scope::NONE, "a name");
            context.aggregation = Some(Aggregation::default());
            let called = self.function(&call, &mut context);
            is_free &= called.is_err_and(|error| error.message.starts_with("there is no function"));
        }
        let is_word = WORDS.iter().any(|word| name.eq_ignore_ascii_case(word));
        match is_free && !is_word {
            true => Ok(()),
            false => Err(Error::name(format!("the function {name} is built in")).at(span)),
        }
    }
}

/// The columns of a query's aggregates.
fn aggregated(aggregation: Option<&Aggregation>) -> ColumnSet {
    aggregation.into_iter().flat_map(|aggregation| &aggregation.calls).map(|&(id, _)| id).collect()
}

fn meet(expr: &Expr, columns: &ColumnSet) -> bool {
    !columns_of_all([expr]).is_disjoint(columns)
}

/// Whether an aggregate takes what another one of the same query gives.
fn aggregates_again(aggregation: Option<&Aggregation>) -> bool {
    let Some(aggregation) = aggregation else { return false };
    let given = aggregated(Some(aggregation));
    let of_calls = Logical::one_row().aggregate(Vec::new(), aggregation.calls.clone());
    of_calls.exprs().into_iter().any(|expr| meet(expr, &given))
        || aggregation.pending.iter().any(|join| {
            !join.plan.free_columns().is_disjoint(&given) || join.on.iter().any(|expr| meet(expr, &given))
        })
}

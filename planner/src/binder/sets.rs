//! Functions that give rows: `unnest` and those that are a list's elements, in the select list, in `GROUP BY` and in
//! `FROM`. In the first two those of one query go side by side, the shorter filled up with nulls.

use super::Binder;
use super::aggregate::{Argument, Arguments, arguments};
use super::constants::is_any_volatile;
use super::expression::{Bound, Context, Literal};
use super::from::Source;
use super::query::refuse_if;
use super::scope::{Relation, Scope, ScopeColumn};
use super::series::TableCall;
use super::subquery::{Pending, attach};
use crate::error::{Error, ErrorKind, Result};
use crate::logical::{ColumnId, ColumnSet, JoinKind, Logical, Unroll, columns_of};
use columnar::types::list_of;
use columnar::{DataType, Value};
use exec::Expr;
use exec::plan::element_type;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Spanned};
use sqlparser::tokenizer::Span;

/// A function by the list whose elements it gives.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum SetFunction {
    /// Its argument.
    Unnest,
    /// What this function gives.
    Of(&'static str),
    /// Likewise; each element is a row of several columns in `FROM`.
    Rows(&'static str),
}

/// The function of that name, if it gives rows wherever it stands.
pub(super) fn set_function(name: &str) -> Option<SetFunction> {
    use SetFunction::{Of, Rows, Unnest};
    Some(match name {
        "unnest" => Unnest,
        "string_to_table" => Of("string_to_array"),
        "regexp_split_to_table" => Of("regexp_split_to_array"),
        "json_array_elements" => Of("json_array_elements"),
        "jsonb_array_elements" => Of("jsonb_array_elements"),
        "json_array_elements_text" => Of("json_array_elements_text"),
        "jsonb_array_elements_text" => Of("jsonb_array_elements_text"),
        "json_object_keys" => Of("json_object_keys"),
        "jsonb_object_keys" => Of("jsonb_object_keys"),
        "json_each" => Rows("json_each"),
        "jsonb_each" => Rows("jsonb_each"),
        "json_each_text" => Rows("json_each_text"),
        "jsonb_each_text" => Rows("jsonb_each_text"),
        _ => return None,
    })
}

/// The lists of one query whose elements its expressions use.
#[derive(Debug, Default)]
pub(crate) struct Sets {
    pub(super) lists: Vec<(ColumnId, Expr)>,
    /// Those that are unrolled already.
    known: Vec<(ColumnId, Expr)>,
    /// Where no further ones may stand.
    closed: Option<&'static str>,
}

impl Sets {
    /// Beside lists that are unrolled already.
    pub(super) fn beside(known: Vec<(ColumnId, Expr)>) -> Sets {
        Sets { known, ..Sets::default() }
    }

    /// Subqueries that do not use the elements, and those that do.
    pub(super) fn split(&self, pending: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
        let mut made: ColumnSet = self.lists.iter().map(|&(id, _)| id).collect();
        let (mut below, mut above) = (Vec::new(), Vec::new());
        for join in pending {
            let mut used = join.plan.free_columns();
            join.on.iter().for_each(|expr| used.extend(columns_of(expr)));
            if used.is_disjoint(&made) {
                below.push(join);
                continue;
            }
            made.extend(join.plan.output_set());
            if let JoinKind::Mark(mark) | JoinKind::NullMark(mark) = join.kind {
                made.insert(mark);
            }
            above.push(join);
        }
        (below, above)
    }

    /// The rows once for each place of the lists.
    pub(super) fn over(self, plan: Logical) -> Logical {
        unroll(plan, self.lists)
    }
}

/// The rows of the plan once for each place of the lists, if there are any.
pub(super) fn unroll(plan: Logical, lists: Vec<(ColumnId, Expr)>) -> Logical {
    if lists.is_empty() {
        return plan;
    }
    let (input, dropped) = (Box::new(plan), ColumnSet::new());
    Logical::Unroll(Unroll { input, lists, position: None, keeps_empty: false, dropped })
}

/// The error that such a function has no meaning there.
fn not_allowed(name: &str, place: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{name} is not allowed in {place}"))
}

impl Context<'_> {
    /// Lets no functions that give rows stand in what is bound next; gives what [`Context::reopen_sets`] takes back.
    pub(super) fn close_sets(&mut self, place: &'static str) -> Option<&'static str> {
        self.sets.as_mut().and_then(|sets| sets.closed.replace(place))
    }

    pub(super) fn reopen_sets(&mut self, before: Option<&'static str>) {
        if let Some(sets) = &mut self.sets {
            sets.closed = before;
        }
    }
}

impl Binder<'_> {
    /// A call of such a function in an expression.
    pub(super) fn set_call(
        &mut self,
        function: SetFunction,
        name: &str,
        call: &ast::Function,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        let span = call.span();
        let Some(mut sets) = context.sets.take() else {
            let error = not_allowed(name, context.clause).at(span);
            return Err(error.hint("it may stand in the select list, in GROUP BY and in FROM"));
        };
        let list = self.set_list(function, name, call, context)?;
        let is_same = |(_, known): &&(ColumnId, Expr)| *known == list && !is_any_volatile(&list);
        let found = sets.known.iter().chain(&sets.lists).find(is_same).map(|&(id, _)| id);
        let id = match (found, sets.closed) {
            (Some(id), _) => id,
            (None, Some(place)) => {
                return Err(not_allowed(name, place).at(span));
            }
            (None, None) => {
                let data_type = self.element(name, &list, span)?;
                let id = self.columns.add(name, data_type);
                sets.lists.push((id, list));
                id
            }
        };
        context.sets = Some(sets);
        Ok(Bound::typed(self.columns.reference(id), span))
    }

    /// The list that a call in an expression gives the elements of.
    fn set_list(
        &mut self,
        function: SetFunction,
        name: &str,
        call: &ast::Function,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        let span = call.span();
        let Arguments { args, distinct, order, separator, nulls } = arguments(call)?;
        let plain = !distinct && order.is_empty() && separator.is_none() && nulls.is_none();
        if !plain || call.filter.is_some() || call.over.is_some() || !call.within_group.is_empty() {
            return Err(
                Error::value(format!("{name} is no aggregate: it takes its arguments alone")).at(span)
            );
        }
        let clause = std::mem::replace(&mut context.clause, "the argument of a function that gives rows");
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                Argument::Expr(expr) => bound.push(self.bind(expr, context)?),
                Argument::Star => return Err(Error::name(format!("{name} takes no *")).at(span)),
            }
        }
        context.clause = clause;
        match (function, bound.len()) {
            (SetFunction::Unnest, 1) => match bound.pop() {
                Some(list) => self.list_argument(list),
                None => Err(Error::internal("an argument is lost")),
            },
            (SetFunction::Unnest, _) => {
                let error = Error::value(format!("{name} takes one list in an expression")).at(span);
                Err(error.hint("several go side by side in FROM"))
            }
            (SetFunction::Of(list) | SetFunction::Rows(list), _) => self.call(list, bound, span),
        }
    }

    /// The argument of `unnest`.
    fn list_argument(&mut self, bound: Bound) -> Result<Expr> {
        match bound.literal {
            Literal::Null => {
                let list = list_of(DataType::Null);
                let list = list.map_err(|error| Error::value(error.to_string()).at(bound.span))?;
                Ok(Expr::Literal(Value::null(list)))
            }
            Literal::Text | Literal::Parameter(_) => {
                let error = Error::value("unnest takes a list, not a text").at(bound.span);
                Err(error.hint("write a cast to the type of the list"))
            }
            _ => self.settle(bound),
        }
    }

    /// The type of the elements of a list.
    fn element(&mut self, name: &str, list: &Expr, span: Span) -> Result<DataType> {
        let found = list.data_type();
        if matches!(found, DataType::Nested(known) if !known.fields().is_empty()) {
            let error = Error::unsupported(format!("{name} of a {found}")).at(span);
            return Err(error.hint("its fields are columns as s.*"));
        }
        element_type(found).ok_or_else(|| {
            Error::value(format!("{name} takes a list, an array or a map, not {found}")).at(span)
        })
    }

    /// The rows of such a function in `FROM`, whose arguments may name columns of `scope`.
    pub(super) fn table_set(
        &mut self,
        function: SetFunction,
        call: &TableCall<'_>,
        scope: &Scope<'_>,
    ) -> Result<Source> {
        let TableCall { alias, span, .. } = *call;
        let name = call.name.to_string().to_lowercase();
        let mut context = Context::new(scope, "the argument of a function that gives rows");
        let mut bound = Vec::with_capacity(call.args.len());
        for arg in call.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return Err(Error::unsupported(format!("the argument {arg}")).at(span));
            };
            bound.push(self.bind(expr, &mut context)?);
        }
        let lists = match function {
            SetFunction::Unnest => {
                bound.into_iter().map(|one| self.list_argument(one)).collect::<Result<Vec<_>>>()?
            }
            SetFunction::Of(list) | SetFunction::Rows(list) => vec![self.call(list, bound, span)?],
        };
        if lists.is_empty() {
            return Err(Error::value(format!("{name} takes one list or several")).at(span));
        }
        let mut unrolled = Vec::with_capacity(lists.len());
        for list in lists {
            let data_type = self.element(&name, &list, span)?;
            unrolled.push((self.columns.add(&name, data_type), list));
        }
        let elements: Vec<ColumnId> = unrolled.iter().map(|&(id, _)| id).collect();
        let position = call.with_ordinality.then(|| self.columns.add("ordinality", DataType::Int64));
        let plan = Logical::Unroll(Unroll {
            input: Box::new(attach(Logical::one_row(), context.pending)),
            lists: unrolled,
            position,
            keeps_empty: false,
            dropped: ColumnSet::new(),
        });
        let (plan, mut given) = match (function, elements.as_slice()) {
            (SetFunction::Rows(_), &[element]) => self.fields(plan, element, position, span)?,
            _ => {
                // The elements of one list go by the name of their relation.
                let one = alias.filter(|_| elements.len() == 1).map_or(&name, |alias| &alias.name.value);
                let given = elements.iter().map(|&id| (one.clone(), id)).collect();
                (plan, given)
            }
        };
        given.extend(position.map(|id| ("ordinality".to_string(), id)));
        if let Some(alias) = alias {
            refuse_if(alias.at.is_some(), "AT in an alias", span)?;
        }
        let mut columns: Vec<ScopeColumn> =
            given.into_iter().map(|(name, id)| ScopeColumn { name, id, qualified_only: false }).collect();
        super::from::apply_alias(&mut columns, alias, &name)?;
        let name = alias.map_or(name, |alias| alias.name.value.clone());
        Ok((plan, vec![Relation { schema: None, name: Some(name), columns }]))
    }

    /// The fields of an element as columns of their own.
    fn fields(
        &mut self,
        plan: Logical,
        element: ColumnId,
        position: Option<ColumnId>,
        span: Span,
    ) -> Result<(Logical, Vec<(String, ColumnId)>)> {
        let data_type = self.columns.data_type(element);
        let names: Vec<String> = match data_type {
            DataType::Nested(known) => known.fields().iter().map(|field| field.name.to_string()).collect(),
            _ => Vec::new(),
        };
        let (mut exprs, mut given) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
        for name in names {
            let field = self.field(self.columns.reference(element), &name, span)?;
            let id = self.columns.add(&name, field.data_type());
            exprs.push((id, field));
            given.push((name, id));
        }
        exprs.extend(position.map(|id| (id, self.columns.reference(id))));
        Ok((plan.project(exprs), given))
    }
}

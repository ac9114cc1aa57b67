//! `MERGE`: which rows of a table and of a source belong together, and what becomes of each.

use super::Binder;
use super::constants::is_any_volatile;
use super::expression::Context;
use super::from::together;
use super::scope::Scope;
use super::subquery::attach;
use super::write::{BoundChange, Target, given};
use crate::error::{Error, Result};
use crate::logical::{ColumnId, JoinKind, Logical, conjuncts};
use crate::parse::{MatchKind, MergeAction, MergeSyntax};
use crate::statement::{ChangeKind, MergedRow};
use columnar::{DataType, Scalar, Value};
use exec::{CompareOp, Expr};
use sqlparser::ast::{self, Spanned};

impl Binder<'_> {
    /// The query gives the address, the number of the clause from 1 and the new row; rows with which nothing is done
    /// it does not give.
    pub(crate) fn merge(&mut self, syntax: &MergeSyntax) -> Result<BoundChange> {
        let target = self.target(&syntax.table, syntax.alias.as_ref(), "MERGE")?;
        let Target { table, ids, address, plan, relation } = target;
        let (source, of_source) = self.from(std::slice::from_ref(&syntax.source), None)?;
        // Its rows are told by this from the nulls of an outer join.
        let present = self.columns.add("present", DataType::Boolean);
        let source =
            self.with(source, present, Expr::Literal(Value::new(DataType::Boolean, Scalar::Boolean(true))));
        let span = syntax.source.span();
        let both = together(vec![relation.clone()], of_source.clone(), span)?;
        let both = Scope { relations: both, outer: None };
        let mut context = Context::new(&both, "ON");
        context.null_is_false = true;
        let on = self.condition(&syntax.on, &mut context)?;
        if !context.pending.is_empty() {
            return Err(Error::unsupported("a subquery in ON of MERGE").at(syntax.on.span()));
        }
        refuse_volatile(&on, &syntax.on)?;
        let has = |kind| syntax.clauses.iter().any(|clause| clause.kind == kind);
        let on = conjuncts(on);
        let mut plan = match (has(MatchKind::NotMatched), has(MatchKind::BySource)) {
            (false, false) => plan.join(source, JoinKind::Inner, on),
            (true, false) => source.join(plan, JoinKind::Left, on),
            (false, true) => plan.join(source, JoinKind::Left, on),
            (true, true) => plan.join(source, JoinKind::Full, on),
        };
        let of_target = Scope { relations: vec![relation], outer: None };
        let of_source = Scope { relations: of_source, outer: None };
        let scope = |kind| match kind {
            MatchKind::Matched => &both,
            MatchKind::NotMatched => &of_source,
            MatchKind::BySource => &of_target,
        };
        let there = |binder: &Self, id, negated| Expr::IsNull {
            input: Box::new(binder.columns.reference(id)),
            negated,
        };
        let (mut branches, mut open) =
            (Vec::new(), vec![MatchKind::Matched, MatchKind::NotMatched, MatchKind::BySource]);
        for (place, clause) in syntax.clauses.iter().enumerate() {
            if !open.contains(&clause.kind) {
                let message = "this WHEN is never reached: one before it takes all such rows";
                return Err(Error::value(message).at(clause.span));
            }
            let mut tests = match clause.kind {
                MatchKind::Matched => vec![there(self, address, true), there(self, present, true)],
                MatchKind::NotMatched => vec![there(self, address, false)],
                MatchKind::BySource => vec![there(self, present, false)],
            };
            match &clause.condition {
                None => open.retain(|kind| *kind != clause.kind),
                Some(condition) => {
                    let mut context = Context::new(scope(clause.kind), "WHEN");
                    let bound = self.condition(condition, &mut context)?;
                    refuse_volatile(&bound, condition)?;
                    plan = attach(plan, context.pending);
                    tests.push(bound);
                }
            }
            let number = if matches!(clause.action, MergeAction::Nothing) { 0 } else { place + 1 };
            branches.push((Expr::and(tests), integer(number)));
        }
        let number = self.columns.add("clause", DataType::Int64);
        let otherwise = Some(Box::new(integer(0)));
        let plan = self.with(plan, number, Expr::Case { branches, otherwise, data_type: DataType::Int64 });
        let is =
            |binder: &Self, op, value| Expr::compare(op, binder.columns.reference(number), integer(value));
        let mut plan = plan.filter(vec![is(self, CompareOp::NotEqual, 0)]);
        let mut rows = Vec::with_capacity(syntax.clauses.len());
        // Of each column what the clauses make of it.
        let mut made: Vec<Vec<(Expr, Expr)>> = vec![Vec::new(); table.columns.len()];
        for (place, clause) in syntax.clauses.iter().enumerate() {
            let mut context = Context::new(scope(clause.kind), "WHEN");
            let (values, row) = match &clause.action {
                MergeAction::Nothing => (Vec::new(), MergedRow::Same),
                MergeAction::Delete => (Vec::new(), MergedRow::Deleted),
                MergeAction::Update(assignments) => {
                    let values = self.set_values(&table, assignments, &mut context)?;
                    let set = given(&values);
                    let old = |(value, id): (Option<Expr>, ColumnId)| {
                        value.unwrap_or_else(|| self.columns.reference(id))
                    };
                    let values = values.into_iter().zip(ids.iter().map(|&(_, id)| id)).map(old).collect();
                    (values, MergedRow::Updated(set))
                }
                MergeAction::Insert { columns, values } => {
                    let values = self.inserted(&table, columns, values, clause.span, &mut context)?;
                    let set = given(&values);
                    let null = |(value, column): (Option<Expr>, &storage::ColumnSchema)| {
                        value.unwrap_or_else(|| Expr::Literal(Value::null(column.data_type)))
                    };
                    (values.into_iter().zip(&table.columns).map(null).collect(), MergedRow::Inserted(set))
                }
            };
            plan = attach(plan, context.pending);
            for (made, value) in made.iter_mut().zip(values) {
                made.push((is(self, CompareOp::Equal, place + 1), value));
            }
            rows.push(row);
        }
        let mut exprs =
            vec![(address, self.columns.reference(address)), (number, self.columns.reference(number))];
        for (branches, column) in made.into_iter().zip(&table.columns) {
            let data_type = column.data_type;
            let value = match branches.is_empty() {
                true => Expr::Literal(Value::null(data_type)),
                false => Expr::Case { branches, otherwise: None, data_type },
            };
            exprs.push((self.columns.add(&column.name, data_type), value));
        }
        let asked = exprs.iter().map(|&(id, _)| id).collect();
        Ok(BoundChange { table, kind: ChangeKind::Merge(rows), query: self.giving(plan, exprs), asked })
    }

    /// The values of a row that is inserted.
    fn inserted(
        &mut self,
        table: &std::sync::Arc<crate::catalog::Table>,
        columns: &[ast::ObjectName],
        values: &[ast::Expr],
        span: sqlparser::tokenizer::Span,
        context: &mut Context<'_>,
    ) -> Result<Vec<Option<Expr>>> {
        let mut row: Vec<Option<Expr>> = vec![None; table.columns.len()];
        let places = match columns.is_empty() {
            true => (0..table.columns.len()).collect(),
            false => columns.iter().map(|name| self.position(table, name)).collect::<Result<Vec<_>>>()?,
        };
        if places.len() != values.len() {
            let (found, wanted) = (values.len(), places.len());
            return Err(Error::value(format!("INSERT has {found} values for {wanted} columns")).at(span));
        }
        for (&place, value) in places.iter().zip(values) {
            let column = &table.columns[place];
            if row[place].is_some() {
                return Err(Error::name(format!("column \"{}\" is named twice", column.name)).at(span));
            }
            row[place] = Some(self.value_for(value, column.data_type, context)?);
        }
        let lacks =
            table.columns.iter().zip(&row).find(|(column, value)| !column.nullable && value.is_none());
        if let Some((column, _)) = lacks {
            let message = format!("column \"{}\" takes no nulls and is given no value", column.name);
            return Err(Error::value(message).at(span));
        }
        Ok(row)
    }

    /// The plan with one more column.
    fn with(&self, plan: Logical, id: ColumnId, expr: Expr) -> Logical {
        let known = plan.outputs().into_iter().map(|known| (known, self.columns.reference(known)));
        let exprs = known.chain([(id, expr)]).collect();
        plan.project(exprs)
    }
}

fn integer(value: usize) -> Expr {
    Expr::Literal(Value::int64(value as i64))
}

/// What may be evaluated twice must say the same.
fn refuse_volatile(bound: &Expr, written: &ast::Expr) -> Result<()> {
    match is_any_volatile(bound) {
        true => Err(Error::unsupported("a volatile function in a condition of MERGE").at(written.span())),
        false => Ok(()),
    }
}

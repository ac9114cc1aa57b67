//! From a parsed statement to one that can be run: the passes in their order.

use crate::binder::expression::check_collation;
use crate::binder::{Binder, BoundChange, BoundQuery, OutputColumn, access, same_name, suggest, types};
use crate::catalog::{Catalog, Table};
use crate::error::{Error, Result};
use crate::estimate::Estimator;
use crate::foreign::statements;
use crate::logical::ColumnId;
use crate::parse::{Partition, Syntax, table_name};
use crate::refresh::refresh_options;
use crate::statement::{
    Change, CreateExternalTable, Optimizer, PartitionBy, PlannedQuery, PlannerOptions, ResultColumn,
    Statement, TableName,
};
use crate::{
    define, distribute, foreign, known, nullability, outline, physical, prepared, reads, rules, share, unnest,
};
use columnar::{DataType, Value};
use exec::Expr;
use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::Span;
use std::sync::Arc;
use storage::statistics::ColumnSchema;

fn partition(by: &Partition) -> PartitionBy {
    let mut columns: Vec<String> = by.columns.iter().map(|column| column.value.clone()).collect();
    match by.ranges {
        true if columns.len() == 1 => PartitionBy::Range(columns.remove(0)),
        _ => PartitionBy::Hash(columns),
    }
}

/// The statement, bound to the catalog.
pub(crate) fn statement(
    syntax: &Syntax,
    catalog: &dyn Catalog,
    options: &PlannerOptions,
) -> Result<Statement> {
    let mut binder = Binder::new(catalog, options);
    let named = |name: &ast::ObjectName| -> Result<TableName> { Ok(table_name(name)?.0) };
    Ok(match syntax {
        Syntax::Query(query) => Statement::Query(plan_query(binder, query, options)?),
        Syntax::ExplainCost(query) => Statement::ExplainCost(plan_query(binder, query, options)?),
        Syntax::Explain { route: true, query, .. } => {
            Statement::ExplainRoute { query: plan_query(binder, query, options)? }
        }
        Syntax::Explain { analyze, json, query, .. } => {
            let query = plan_query(binder, query, options)?;
            Statement::Explain { analyze: *analyze, json: *json, query }
        }
        Syntax::CreateExternalTable { name, if_not_exists, columns, location, partition_by, options } => {
            let columns = if columns.is_empty() { None } else { Some(schema(columns, catalog)?) };
            if let Some(columns) = &columns {
                for key in partition_by.iter().flat_map(|partition| &partition.columns) {
                    if !columns.iter().any(|column| same_name(&column.name, &key.value)) {
                        let error = Error::name(format!("unknown column \"{}\"", key.value)).at(key.span);
                        return Err(suggest(error, &key.value, columns.iter().map(|c| c.name.as_str())));
                    }
                }
            }
            Statement::CreateExternalTable(CreateExternalTable {
                name: named(name)?,
                if_not_exists: *if_not_exists,
                columns,
                location: location.clone(),
                partition_by: partition_by.as_ref().map(partition),
                refresh: refresh_options(options)?,
            })
        }
        Syntax::CreateTable { name, if_not_exists, columns } => Statement::CreateTable {
            name: named(name)?,
            if_not_exists: *if_not_exists,
            columns: schema(columns, catalog)?,
        },
        Syntax::CreateTableAs { name, if_not_exists, columns, query } => {
            let mut bound = binder.query(query, None)?;
            if let Some(extra) = columns.get(bound.columns.len()) {
                let message = format!("the query gives {} columns, more are named", bound.columns.len());
                return Err(Error::name(message).at(extra.span));
            }
            for (column, name) in bound.columns.iter_mut().zip(columns) {
                column.name = name.value.clone();
            }
            // A column of nulls alone is text.
            let target: Vec<DataType> = bound
                .columns
                .iter()
                .map(|column| match binder.columns.data_type(column.id) {
                    DataType::Null => DataType::Varchar,
                    other => other,
                })
                .collect();
            let (plan, ids) = binder.cast_columns(bound.plan, &bound.columns, &target, query.span())?;
            let names = bound.columns.into_iter().map(|column| column.name);
            let columns: Vec<OutputColumn> =
                names.zip(ids).map(|(name, id)| OutputColumn::typed(name, id)).collect();
            let query = finish(binder, BoundQuery { plan, columns }, options)?;
            let columns: Vec<ColumnSchema> = query
                .columns
                .iter()
                .map(|column| ColumnSchema {
                    name: column.name.clone(),
                    data_type: column.data_type,
                    nullable: true,
                })
                .collect();
            unique_names(&columns)?;
            Statement::CreateTableAs { name: named(name)?, if_not_exists: *if_not_exists, columns, query }
        }
        Syntax::Insert { table, columns, by_name, query } => {
            insert(binder, table, (!by_name).then_some(columns), query, options)?
        }
        Syntax::DropTable { names, if_exists, cascade } => Statement::DropTable {
            names: names.iter().map(named).collect::<Result<_>>()?,
            if_exists: *if_exists,
            cascade: *cascade,
        },
        Syntax::CreateSchema { name, if_not_exists } => {
            Statement::CreateSchema { name: name.value.clone(), if_not_exists: *if_not_exists }
        }
        Syntax::DropSchema { name, if_exists, cascade } => {
            Statement::DropSchema { name: name.value.clone(), if_exists: *if_exists, cascade: *cascade }
        }
        Syntax::ShowTables { schema } => {
            Statement::ShowTables { schema: schema.as_ref().map(|schema| schema.value.clone()) }
        }
        Syntax::Describe { table } => {
            let (name, span) = table_name(table)?;
            Statement::Describe { table: binder.relation(&name, span)? }
        }
        Syntax::RefreshTable { table } => {
            let (name, span) = table_name(table)?;
            Statement::RefreshTable { table: own(binder.table(&name, span)?, "REFRESH TABLE", span)? }
        }
        Syntax::AlterTable { table, options } => {
            let (name, span) = table_name(table)?;
            let table = own(binder.table(&name, span)?, "ALTER TABLE", span)?;
            Statement::AlterTable { table, refresh: refresh_options(options)? }
        }
        Syntax::Set { name, value } => Statement::Set { name: name.clone(), value: value.clone() },
        Syntax::Show { name } => Statement::Show { name: name.clone() },
        Syntax::Access(syntax) => Statement::Access(access::statement(&mut binder, syntax)?),
        Syntax::Define(syntax) => Statement::Define(define::statement(binder, syntax, options)?),
        Syntax::ShowViews { schema } => {
            Statement::ShowViews { schema: schema.as_ref().map(|schema| schema.value.clone()) }
        }
        Syntax::Prepared(syntax) => Statement::Prepared(prepared::bind(binder, syntax)?),
        Syntax::Summarize(query) => {
            let bound = binder.summary(query)?;
            Statement::Query(finish(binder, bound, options)?)
        }
        Syntax::DescribeQuery(query) => Statement::DescribeQuery(plan_query(binder, query, options)?),
        Syntax::Change(syntax) => {
            let bound = binder.change(syntax)?;
            Statement::Change(Box::new(plan_change(binder, bound, options)?))
        }
        Syntax::Merge(syntax) => {
            let bound = binder.merge(syntax)?;
            Statement::Change(Box::new(plan_change(binder, bound, options)?))
        }
        Syntax::ExplainChange { json, change } => {
            let bound = binder.change(change)?;
            let Change { query, .. } = plan_change(binder, bound, options)?;
            Statement::Explain { analyze: false, json: *json, query }
        }
        Syntax::Truncate { tables: names } => {
            let mut tables: Vec<Arc<Table>> = Vec::with_capacity(names.len());
            for name in names {
                let (name, span) = table_name(name)?;
                let table = own(binder.table(&name, span)?, "TRUNCATE", span)?;
                if tables.iter().all(|known| known.dataset != table.dataset) {
                    tables.push(table);
                }
            }
            Statement::Truncate { tables }
        }
        Syntax::CreateServer { .. }
        | Syntax::DropServer { .. }
        | Syntax::CreateForeignTable { .. }
        | Syntax::DropForeignTable { .. }
        | Syntax::ImportForeignSchema { .. } => statements::statement(syntax, catalog)?,
    })
}

fn plan_query(mut binder: Binder<'_>, query: &ast::Query, options: &PlannerOptions) -> Result<PlannedQuery> {
    let bound = binder.query(query, None)?;
    finish(binder, bound, options)
}

fn plan_change(binder: Binder<'_>, bound: BoundChange, options: &PlannerOptions) -> Result<Change> {
    let BoundChange { table, kind, query, asked } = bound;
    let query = finish_for(binder, query, Some(&asked), options)?;
    Ok(Change { table, kind, query })
}

/// Every pass after binding.
pub(crate) fn finish(
    binder: Binder<'_>,
    bound: BoundQuery,
    options: &PlannerOptions,
) -> Result<PlannedQuery> {
    finish_for(binder, bound, None, options)
}

/// As [`finish`], of a query that reads what it reads for the results `asked`, where these are told apart: others are
/// but copied.
fn finish_for(
    mut binder: Binder<'_>,
    bound: BoundQuery,
    asked: Option<&[ColumnId]>,
    options: &PlannerOptions,
) -> Result<PlannedQuery> {
    let results: Vec<ColumnId> = bound.columns.iter().map(|column| column.id).collect();
    let parameters = binder.parameter_types.iter().map(|known| known.unwrap_or(DataType::Varchar)).collect();
    let columns = &mut binder.columns;
    let plan = unnest::unnest(bound.plan, columns)?;
    let (plan, mut reads) = reads::of(plan, &results, columns);
    if let Some(asked) = asked {
        (_, reads) = reads::of(plan.clone(), asked, columns);
        // To know which rows there are is no reading of them where all are meant.
        reads.retain(|read| !(read.table.addressed && read.columns.is_empty()));
    }
    reads::add_views(&mut reads, &plan, &results, &binder.views);
    let is_foreign = foreign::check(&plan)?;
    // Other engines' rows come to the coordinator.
    let shards = if is_foreign { 1 } else { options.shards };
    let alone = PlannerOptions { shards, ..options.clone() };
    let options = &alone;
    let mut context =
        rules::Context { columns, results: &results, shards, join_seed: options.optimizer.seed() };
    let improve = options.optimizer != Optimizer::Off;
    // What is read of another engine's tables is in its query afterwards.
    let plain = match is_foreign && options.outline {
        true => Some(rules::make_plain(plan.clone(), &mut context)?),
        false => None,
    };
    let mut plan = match is_foreign {
        true => foreign::push(plan, &mut context, improve)?,
        false => rules::optimize(plan, &mut context, improve)?,
    };
    let mut outlined =
        options.outline.then(|| outline::outline(plain.as_ref().unwrap_or(&plan), context.columns));
    if let Some(outlined) = outlined.as_mut().filter(|_| is_foreign) {
        outlined.pushed = Some(outline::Pushed::of(&plan));
    }
    // Of the plan for any rows: what columns may hold must not hang on those that there are.
    let not_null = nullability::not_null(&plan);
    if improve {
        plan = known::answer(plan);
    }
    if let Some(outlined) = outlined.as_mut().filter(|_| outline::reads_nothing(&plan)) {
        // Facts answer it.
        (outlined.scan_values, outlined.operator_rows) = (0.0, 0.0);
        outlined.scans.iter_mut().for_each(|scan| (scan.rows, scan.bytes) = (0.0, 0.0));
    }
    let mut plan = distribute::distribute(plan, columns, shards)?;
    if improve {
        plan = share::share(plan, &results, columns);
        let join_seed = None;
        rules::verify(&plan, &rules::Context { columns, results: &results, shards, join_seed }, "share")?;
    }
    let estimator = Estimator::new(columns);
    let lowered = physical::lower(&plan, &results, columns, &estimator, options)?;
    let columns = bound
        .columns
        .into_iter()
        .map(|column| ResultColumn {
            data_type: columns.data_type(column.id),
            name: column.name,
            nullable: !not_null.contains(&column.id),
        })
        .collect();
    Ok(PlannedQuery {
        columns,
        parameters,
        fragments: lowered.fragments,
        notes: lowered.notes,
        tables: lowered.tables,
        foreign: lowered.foreign,
        reads,
        outline: outlined.map(Arc::new),
        zone: options.zone.clone(),
    })
}

/// A table of Tundra itself.
fn own(table: Arc<Table>, statement: &str, span: Span) -> Result<Arc<Table>> {
    match table.foreign {
        None => Ok(table),
        Some(_) => {
            Err(Error::unsupported(format!("{statement} of the foreign table \"{}\"", table.name)).at(span))
        }
    }
}

fn insert(
    mut binder: Binder<'_>,
    table: &ast::ObjectName,
    columns: Option<&Vec<ast::Ident>>,
    query: &ast::Query,
    options: &PlannerOptions,
) -> Result<Statement> {
    let (name, span) = table_name(table)?;
    let table = own(binder.table(&name, span)?, "INSERT", span)?;
    let mut bound = binder.query(query, None)?;
    // By name where none are written.
    let named: Vec<ast::Ident>;
    let columns = match columns {
        Some(columns) => columns,
        None => {
            named = bound.columns.iter().map(|column| ast::Ident::new(column.name.as_str())).collect();
            &named
        }
    };
    let mut targets = Vec::with_capacity(columns.len());
    for ident in columns {
        let position = table.columns.iter().position(|column| same_name(&column.name, &ident.value));
        let Some(position) = position else {
            let message = format!("table \"{}\" has no column \"{}\"", table.name, ident.value);
            let error = Error::name(message).at(ident.span);
            let known = table.columns.iter().map(|column| column.name.as_str());
            return Err(suggest(error, &ident.value, known.filter(|name| binder.sees_column(&table, name))));
        };
        if targets.contains(&position) {
            return Err(Error::name(format!("column \"{}\" is named twice", ident.value)).at(ident.span));
        }
        targets.push(position);
    }
    if columns.is_empty() {
        targets = (0..table.columns.len()).collect();
    }
    if bound.columns.len() != targets.len() {
        let (found, wanted) = (bound.columns.len(), targets.len());
        return Err(Error::value(format!("INSERT has {found} values for {wanted} columns")).at(query.span()));
    }
    // Literal rows take the types of the table's columns.
    let types: Vec<DataType> = targets.iter().map(|&position| table.columns[position].data_type).collect();
    let (plan, ids) = binder.insert_columns(bound.plan.take(), &bound.columns, &types, query.span())?;
    let mut exprs = Vec::with_capacity(table.columns.len());
    let mut outputs = Vec::with_capacity(table.columns.len());
    for (position, column) in table.columns.iter().enumerate() {
        let (id, expr) = match targets.iter().position(|&target| target == position) {
            Some(given) => (ids[given], binder.columns.reference(ids[given])),
            None if !column.nullable => {
                let message = format!("column \"{}\" takes no nulls and is given no value", column.name);
                return Err(Error::value(message).at(span));
            }
            None => {
                let id = binder.columns.add(&column.name, column.data_type);
                (id, Expr::Literal(Value::null(column.data_type)))
            }
        };
        exprs.push((id, expr));
        outputs.push(OutputColumn::typed(column.name.clone(), id));
    }
    let plan = if plan.outputs() == outputs.iter().map(|column| column.id).collect::<Vec<_>>() {
        plan
    } else {
        plan.project(exprs)
    };
    let query = finish(binder, BoundQuery { plan, columns: outputs }, options)?;
    Ok(Statement::Insert { table, columns: targets, query })
}

/// Column definitions as a schema.
pub(crate) fn schema(definitions: &[ast::ColumnDef], catalog: &dyn Catalog) -> Result<Vec<ColumnSchema>> {
    let mut columns: Vec<ColumnSchema> = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let span = definition.name.span;
        let data_type = types::from_sql(&definition.data_type, &|name| types::named(catalog, name));
        let data_type = data_type.map_err(|error| error.at(span))?;
        let mut nullable = true;
        for option in &definition.options {
            match &option.option {
                ast::ColumnOption::Null => {}
                ast::ColumnOption::NotNull => nullable = false,
                ast::ColumnOption::Collation(collation) => check_collation(collation)?,
                other => {
                    let words = other.to_string();
                    let word: Vec<&str> = words.split_whitespace().take(2).collect();
                    return Err(Error::unsupported(format!("{} of a column", word.join(" "))).at(span));
                }
            }
        }
        if columns.iter().any(|column| same_name(&column.name, &definition.name.value)) {
            let message = format!("column \"{}\" is defined twice", definition.name.value);
            return Err(Error::name(message).at(span));
        }
        columns.push(ColumnSchema { name: definition.name.value.clone(), data_type, nullable });
    }
    Ok(columns)
}

/// An error where two columns have the same name.
pub(crate) fn unique_names(columns: &[ColumnSchema]) -> Result<()> {
    for (position, column) in columns.iter().enumerate() {
        if columns[..position].iter().any(|other| same_name(&other.name, &column.name)) {
            return Err(Error::name(format!("the query gives two columns \"{}\"", column.name))
                .hint("name one of them with AS"));
        }
    }
    Ok(())
}

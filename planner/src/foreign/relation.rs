//! Operators as SQL of another engine.
//!
//! What can stand in one `SELECT` is gathered in a [`Block`]; where an operator needs rows that are computed before,
//! the block becomes a subquery in `FROM`.

use super::dialect::{self, Dialect};
use super::expression::{Quotients, Said, conjunction, expression};
use crate::binder::constants::is_any_volatile;
use crate::catalog::ForeignTable;
use crate::logical::{
    AggregateCall, ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, Scan, SortKey, columns_of,
    columns_of_all, equality,
};
use columnar::DataType;
use exec::plan::AggregateFunction;
use exec::{CompareOp, Expr};
use std::collections::{BTreeMap, HashMap};

/// What an engine cannot say, for people.
#[derive(Debug)]
pub(super) struct Unsaid(pub(super) String);

type Result<T> = std::result::Result<T, Unsaid>;

/// Longer texts are not sent: expressions that are used often stand in them as often.
const LONGEST_BYTES: usize = 256 << 10;

pub(super) fn unsaid<T>(what: impl Into<String>) -> Result<T> {
    Err(Unsaid(what.into()))
}

/// The plan as one query of the server that has all its tables; it gives the plan's columns in their order.
pub(super) fn select(plan: &Logical, columns: &Columns) -> Result<String> {
    let mut server: Option<ForeignTable> = None;
    let mut several = false;
    super::visit_scans(plan, &mut |scan| match (&server, &scan.table.foreign) {
        (None, Some(foreign)) => server = Some(foreign.clone()),
        (Some(known), Some(foreign)) if known.server_revision == foreign.server_revision => {}
        _ => several = true,
    });
    let Some(server) = server.filter(|_| !several) else {
        return unsaid("tables of several servers");
    };
    let dialect = dialect::of(server.engine);
    if !dialect.computes() && !matches!(plan, Logical::Scan(scan) if scan.predicate.is_empty()) {
        return unsaid("more than a table's columns");
    }
    if is_volatile(plan) {
        return unsaid("a function that gives another value each time");
    }
    if plan.outputs().iter().any(|&id| columns.data_type(id) == DataType::Null) {
        return unsaid("a column of nothing but nulls");
    }
    let mut writer = Writer { dialect, columns, made: 0, quotients: Quotients::default() };
    let block = writer.block(plan)?;
    let sql = writer.text(&block, &plan.outputs(), false)?;
    if sql.len() > LONGEST_BYTES {
        return unsaid("a text so long");
    }
    Ok(sql)
}

fn is_volatile(plan: &Logical) -> bool {
    plan.exprs().into_iter().any(is_any_volatile) || plan.inputs().into_iter().any(is_volatile)
}

/// The parts of one `SELECT`.
#[derive(Default)]
struct Block {
    from: Vec<String>,
    filters: Vec<String>,
    /// The columns that it may give.
    said: Said,
    order: Vec<String>,
    limit: Option<u64>,
    offset: u64,
}

impl Block {
    fn is_limited(&self) -> bool {
        self.limit.is_some() || self.offset > 0
    }

    /// One source, as it is.
    fn is_plain(&self) -> bool {
        self.from.len() == 1 && self.filters.is_empty() && !self.is_limited()
    }
}

struct Writer<'a> {
    dialect: &'static dyn Dialect,
    columns: &'a Columns,
    /// Sources that have a name.
    made: usize,
    quotients: Quotients,
}

impl Writer<'_> {
    fn text(&self, block: &Block, ids: &[ColumnId], named: bool) -> Result<String> {
        let mut items = Vec::with_capacity(ids.len());
        for (position, id) in ids.iter().enumerate() {
            let Some(said) = block.said.get(id) else { return unsaid("a column that is lost") };
            items.push(match named {
                true => format!("{said} AS c{id}"),
                false => format!("{said} AS c{}", position + 1),
            });
        }
        if items.is_empty() {
            items.push("1 AS c0".into());
        }
        let mut sql = format!("SELECT {}", items.join(", "));
        if !block.from.is_empty() {
            sql += &format!(" FROM {}", block.from.join(" CROSS JOIN "));
        }
        if !block.filters.is_empty() {
            sql += &format!(" WHERE {}", block.filters.join(" AND "));
        }
        sql += &tail(block);
        Ok(sql)
    }

    fn name(&mut self, letter: &str) -> String {
        self.made += 1;
        format!("{letter}{}", self.made)
    }

    /// The block as a subquery that gives these columns.
    fn derived(&mut self, block: &Block, ids: &[ColumnId]) -> Result<Block> {
        let sql = self.text(block, ids, true)?;
        Ok(self.source(&sql, ids))
    }

    fn source(&mut self, sql: &str, ids: &[ColumnId]) -> Block {
        let name = self.name("s");
        let said = ids.iter().map(|id| (*id, format!("{name}.c{id}"))).collect();
        Block { from: vec![format!("({sql}) AS {name}")], said, ..Block::default() }
    }

    fn say(&self, expr: &Expr, said: &Said) -> Result<String> {
        let text = expression(expr, said, self.dialect, &self.quotients)?;
        if text.len() > LONGEST_BYTES {
            return unsaid("a text so long");
        }
        Ok(text)
    }

    fn say_all(&self, exprs: &[Expr], said: &Said) -> Result<Vec<String>> {
        exprs.iter().map(|expr| self.say(expr, said)).collect()
    }

    fn block(&mut self, plan: &Logical) -> Result<Block> {
        match plan {
            Logical::Scan(scan) => self.scan(scan),
            Logical::Values { columns, rows } => self.values(columns, rows),
            Logical::Filter { input, predicate } => {
                let mut block = self.unlimited(input)?;
                block.filters.extend(self.say_all(predicate, &block.said)?);
                Ok(block)
            }
            Logical::Project { input, exprs } => {
                let mut block = self.block(input)?;
                let said = exprs.iter().map(|(id, expr)| Ok((*id, self.say(expr, &block.said)?)));
                block.said = said.collect::<Result<_>>()?;
                Ok(block)
            }
            Logical::Join(join) => self.join(join),
            Logical::Aggregate { input, groups, aggregates } => self.aggregate(input, groups, aggregates),
            Logical::Sort { input, keys } => {
                let mut block = self.unlimited(input)?;
                block.order = self.keys(keys, &block.said)?;
                Ok(block)
            }
            Logical::TopN { input, keys, limit, offset } => {
                let mut block = self.unlimited(input)?;
                block.order = self.keys(keys, &block.said)?;
                (block.limit, block.offset) = (Some(*limit), *offset);
                Ok(block)
            }
            Logical::Limit { input, limit, offset } => {
                let mut block = self.unlimited(input)?;
                (block.limit, block.offset) = (*limit, *offset);
                Ok(block)
            }
            Logical::Union { inputs, columns } => {
                let mut parts = Vec::with_capacity(inputs.len());
                for (input, given) in inputs {
                    let block = self.block(input)?;
                    let mut renamed = Block { said: Said::new(), ..block };
                    for (id, own) in columns.iter().zip(given) {
                        let Some(said) = block.said.get(own) else { return unsaid("a column that is lost") };
                        renamed.said.insert(*id, said.clone());
                    }
                    parts.push(format!("({})", self.text(&renamed, columns, true)?));
                }
                let sql = parts.join(" UNION ALL ");
                Ok(self.source(&sql, columns))
            }
            Logical::TopOfGroups(_)
            | Logical::AsOf(_)
            | Logical::Expand { .. }
            | Logical::Series(_)
            | Logical::Unroll(_) => unsaid("an operator that it may not have"),
            Logical::Window(_) => unsaid("a window function"),
            Logical::Foreign(_)
            | Logical::Exchange { .. }
            | Logical::Shared { .. }
            | Logical::Reread { .. } => unsaid("a step of a distributed plan"),
        }
    }

    /// A block whose rows may be filtered, joined or sorted further.
    fn unlimited(&mut self, plan: &Logical) -> Result<Block> {
        let block = self.block(plan)?;
        match block.is_limited() {
            true => self.derived(&block, &plan.outputs()),
            false => Ok(block),
        }
    }

    /// As [`Writer::unlimited`]; order means nothing to what follows.
    fn unordered(&mut self, plan: &Logical) -> Result<Block> {
        let mut block = self.unlimited(plan)?;
        block.order.clear();
        Ok(block)
    }

    fn scan(&mut self, scan: &Scan) -> Result<Block> {
        let Some(foreign) = &scan.table.foreign else { return unsaid("a table of Tundra") };
        let name = self.name("t");
        let mut said = Said::new();
        for &(position, id) in scan.columns.iter().chain(&scan.filtered) {
            let Some(column) = scan.table.columns.get(position as usize) else {
                return unsaid("a column that is lost");
            };
            let quoted = format!("{name}.{}", dialect::quoted(&column.name)?);
            said.insert(id, self.dialect.column(&quoted, column.data_type));
        }
        let schema = match foreign.remote_schema.as_str() {
            "" => String::new(),
            schema => format!("{}.", dialect::quoted(schema)?),
        };
        let from = format!("{schema}{} AS {name}", dialect::quoted(&foreign.remote_name)?);
        let filters = self.say_all(&scan.predicate, &said)?;
        Ok(Block { from: vec![from], filters, said, ..Block::default() })
    }

    fn values(&mut self, ids: &[ColumnId], rows: &[Vec<columnar::Value>]) -> Result<Block> {
        if ids.is_empty() && rows.len() == 1 {
            return Ok(Block::default());
        }
        if rows.is_empty() || ids.is_empty() {
            let nulls = ids.iter().map(|id| columnar::Value::null(self.columns.data_type(*id)));
            let nulls = nulls.map(|null| self.dialect.literal(&null)).collect::<Result<Vec<_>>>()?;
            let said = ids.iter().copied().zip(nulls).collect();
            let mut block = Block { said, ..Block::default() };
            if !rows.is_empty() {
                return unsaid("several rows without columns");
            }
            block.filters.push("1 = 0".into());
            return self.derived(&block, ids);
        }
        let mut parts = Vec::with_capacity(rows.len());
        for row in rows {
            let values = row.iter().map(|value| self.dialect.literal(value)).collect::<Result<Vec<_>>>()?;
            let named = values.iter().zip(ids).map(|(value, id)| format!("{value} AS c{id}"));
            parts.push(format!("SELECT {}", named.collect::<Vec<_>>().join(", ")));
        }
        let sql = parts.join(" UNION ALL ");
        Ok(self.source(&sql, ids))
    }

    fn keys(&self, keys: &[SortKey], said: &Said) -> Result<Vec<String>> {
        let key = |key: &SortKey| {
            let text = self.say(&key.expr, said)?;
            let text = self.dialect.ordered(text, key.expr.data_type());
            let direction = if key.descending { "DESC" } else { "ASC" };
            let nulls = if key.nulls_first { "FIRST" } else { "LAST" };
            // A constant orders nothing, and would mean a position, or an error.
            Ok((!is_constant(&text)).then(|| format!("{text} {direction} NULLS {nulls}")))
        };
        keys.iter().filter_map(|sort| key(sort).transpose()).collect()
    }

    fn join(&mut self, join: &Join) -> Result<Block> {
        let mut left = self.unordered(&join.left)?;
        match join.kind {
            JoinKind::Inner => {
                let right = self.unordered(&join.right)?;
                left.from.extend(right.from);
                left.filters.extend(right.filters);
                left.said.extend(right.said);
                left.filters.extend(self.say_all(&join.on, &left.said)?);
                Ok(left)
            }
            JoinKind::Left | JoinKind::Full => self.outer_join(join, left),
            JoinKind::Semi | JoinKind::Anti => {
                let exists = self.exists(join, &left)?;
                let not = if join.kind == JoinKind::Anti { "NOT " } else { "" };
                left.filters.push(format!("{not}{exists}"));
                Ok(left)
            }
            JoinKind::Mark(mark) => {
                let exists = self.exists(join, &left)?;
                left.said.insert(mark, exists);
                Ok(left)
            }
            JoinKind::NullMark(mark) => {
                let any = self.any(join, &left)?;
                left.said.insert(mark, any);
                Ok(left)
            }
            JoinKind::Single => unsaid("a scalar subquery that may give several rows"),
        }
    }

    fn outer_join(&mut self, join: &Join, left: Block) -> Result<Block> {
        let is_full = join.kind == JoinKind::Full;
        let left_ids = join.left.output_set();
        let right_ids = join.right.output_set();
        let is_equality = |on: &Expr| matches!(equality(on, &left_ids, &right_ids), Some((_, _, null_equal)) if !null_equal);
        if is_full && !join.on.is_empty() && !join.on.iter().any(is_equality) {
            return unsaid("a full join without an equality");
        }
        let uses_marks = columns_of_all(&join.on)
            .iter()
            .any(|id| left.said.get(id).is_some_and(|said| said.contains("SELECT")));
        // What a projection makes of nulls that the join adds is not what it makes of rows.
        let is_source = |block: &Block| block.is_plain() && block.said.values().all(|said| is_column(said));
        let stands = if is_full { is_source(&left) } else { !left.from.is_empty() && !uses_marks };
        let mut left = match stands {
            true => left,
            false => self.derived(&left, &left_ids.iter().copied().collect::<Vec<_>>())?,
        };
        let right = self.unordered(&join.right)?;
        let right = match is_source(&right) {
            true => right,
            false => self.derived(&right, &join.right.outputs())?,
        };
        let mut said = left.said.clone();
        said.extend(right.said.clone());
        let on = match join.on.is_empty() {
            true => "1 = 1".to_string(),
            false => conjunction(&self.say_all(&join.on, &said)?),
        };
        let word = if is_full { "FULL" } else { "LEFT" };
        let (of_left, of_right) = (left.from.join(" CROSS JOIN "), right.from.join(""));
        let from = format!("({of_left} {word} JOIN {of_right} ON {on})");
        left.from = vec![from];
        left.said = said;
        Ok(left)
    }

    /// `EXISTS (SELECT … )`
    fn exists(&mut self, join: &Join, left: &Block) -> Result<String> {
        let mut right = self.unordered(&join.right)?;
        let mut said = left.said.clone();
        said.extend(right.said.clone());
        right.filters.extend(self.say_all(&join.on, &said)?);
        right.said.clear();
        Ok(format!("EXISTS ({})", self.text(&right, &[], true)?))
    }

    /// `left op ANY (SELECT right … )`: null where no right row matches and some comparison is null.
    fn any(&mut self, join: &Join, left: &Block) -> Result<String> {
        let (of_left, of_right) = (join.left.output_set(), join.right.output_set());
        let mut right = self.unordered(&join.right)?;
        let mut said = left.said.clone();
        said.extend(right.said.clone());
        let (two_valued, open): (Vec<&Expr>, Vec<&Expr>) = join.on.iter().partition(|expr| {
            matches!(expr, Expr::Compare { op: CompareOp::IsNotDistinctFrom | CompareOp::IsDistinctFrom, .. })
        });
        let [Expr::Compare { op, left: a, right: b }] = open.as_slice() else {
            return unsaid("a comparison of several columns with a subquery");
        };
        let within = |expr: &Expr, set: &ColumnSet| columns_of(expr).is_subset(set);
        let (op, a, b) = match (
            within(a, &of_left) && within(b, &of_right),
            within(a, &of_right) && within(b, &of_left),
        ) {
            (true, _) => (*op, a, b),
            (_, true) => (op.swapped(), b, a),
            _ => return unsaid("a comparison with a subquery that uses both sides"),
        };
        if a.data_type() == DataType::Varchar && !matches!(op, CompareOp::Equal | CompareOp::NotEqual) {
            return unsaid("an ordered comparison of text with a subquery");
        }
        let (a, b) = (self.say(a, &said)?, self.say(b, &said)?);
        for expr in two_valued {
            right.filters.push(self.say(expr, &said)?);
        }
        right.said = [(0, b)].into();
        Ok(format!("({a} {} ANY ({}))", op.symbol(), self.text(&right, &[0], true)?))
    }

    fn aggregate(
        &mut self,
        input: &Logical,
        groups: &[(ColumnId, Expr)],
        aggregates: &[(ColumnId, AggregateCall)],
    ) -> Result<Block> {
        if groups.is_empty() && aggregates.is_empty() {
            return unsaid("an aggregation of nothing");
        }
        let mut block = self.unordered(input)?;
        let mut said: BTreeMap<ColumnId, String> = BTreeMap::new();
        let mut ids: Vec<ColumnId> = Vec::new();
        for (id, expr) in groups {
            said.insert(*id, self.say(expr, &block.said)?);
            ids.push(*id);
        }
        for (id, call) in aggregates {
            said.insert(*id, self.call(call, &block.said)?);
            ids.push(*id);
        }
        block.said = said.into_iter().collect();
        let mut sql = self.text(&block, &ids, true)?;
        if !groups.is_empty() {
            let places = (1..=groups.len()).map(|place| place.to_string());
            sql += &format!(" GROUP BY {}", places.collect::<Vec<_>>().join(", "));
        }
        // A sum over the count of the same values is null where the count is zero.
        let mut sums: HashMap<ColumnId, Vec<ColumnId>> = HashMap::new();
        for (count, of_count) in
            aggregates.iter().filter(|(_, call)| call.function == AggregateFunction::Count)
        {
            let same = |call: &AggregateCall| {
                call.function == AggregateFunction::Sum
                    && (call.distinct, &call.args, &call.filter)
                        == (of_count.distinct, &of_count.args, &of_count.filter)
            };
            let found = aggregates.iter().filter(|(_, call)| same(call)).map(|&(id, _)| id);
            sums.insert(*count, found.collect());
        }
        self.quotients.add(sums);
        Ok(self.source(&sql, &ids))
    }

    fn call(&self, call: &AggregateCall, said: &Said) -> Result<String> {
        if let AggregateFunction::Stateful(stateful) = call.function {
            return unsaid(format!("{}()", stateful.function.name()));
        }
        let arg = call.arg().map(|arg| Ok((self.say(arg, said)?, arg.data_type()))).transpose()?;
        let (mut text, rest) = self.dialect.aggregate(call.function, call.distinct, arg, call.data_type)?;
        if let Some(filter) = &call.filter {
            text += &format!(" FILTER (WHERE {})", self.say(filter, said)?);
        }
        Ok(text + rest)
    }
}

/// Whether the text is a column of a source, which is null where the source's row is not there.
fn is_column(said: &str) -> bool {
    let bare = said.strip_prefix("CAST(").and_then(|rest| rest.strip_suffix(" AS text)")).unwrap_or(said);
    let mut quoted = false;
    bare.starts_with(['t', 's'])
        && bare.contains('.')
        && bare.chars().all(|letter| {
            quoted ^= letter == '"';
            quoted || letter == '"' || letter == '.' || letter.is_ascii_alphanumeric()
        })
}

/// Whether the text is a literal without a type.
fn is_constant(said: &str) -> bool {
    matches!(said, "NULL" | "TRUE" | "FALSE")
        || said.starts_with('\'')
        || said.starts_with(|first: char| first.is_ascii_digit())
}

/// `ORDER BY`, `LIMIT` and `OFFSET`.
fn tail(block: &Block) -> String {
    let mut sql = String::new();
    if !block.order.is_empty() {
        sql += &format!(" ORDER BY {}", block.order.join(", "));
    }
    if let Some(limit) = block.limit {
        sql += &format!(" LIMIT {limit}");
    }
    if block.offset > 0 {
        sql += &format!(" OFFSET {}", block.offset);
    }
    sql
}

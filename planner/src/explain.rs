//! Plans as people read them.

use crate::logical::{
    AggregateCall, Columns, Join, JoinKind, Logical, Routing, SortKey, TopOfGroups, WindowCall,
};
use crate::statement::{OperatorNote, PlannedQuery};
use columnar::{DataType, Value};
use exec::Expr;
use exec::plan::{
    AggregateFunction, FrameBound, FrameExclusion, JoinKey, JoinKind as Physical, KeyOrder, Phase, Stateful,
    WindowFunction,
};
use std::fmt::Write;

/// One line for one operator.
pub(crate) fn operator(plan: &Logical, columns: &Columns) -> String {
    let names = |ids: &[u32]| ids.iter().map(|&id| columns.name(id)).collect::<Vec<_>>().join(", ");
    match plan {
        Logical::Scan(scan) => {
            let ids: Vec<u32> = scan.columns.iter().map(|&(_, id)| id).collect();
            let mut text = format!("Scan {} ({})", scan.table.name, names(&ids));
            if !scan.predicate.is_empty() {
                let _ = write!(text, " where {}", conjunction(&scan.predicate, columns));
            }
            text
        }
        Logical::Foreign(foreign) => {
            format!("Foreign {} ({}): {}", foreign.query.server, names(&foreign.columns), foreign.query.sql)
        }
        Logical::Values { columns: ids, rows } => {
            if ids.is_empty() {
                return format!("Values: {} without columns", count(rows.len() as u64, "row"));
            }
            format!("Values ({}): {}", names(ids), count(rows.len() as u64, "row"))
        }
        Logical::Filter { predicate, .. } => format!("Filter {}", conjunction(predicate, columns)),
        Logical::Project { exprs, .. } => {
            let items = exprs.iter().map(|(id, expr)| match expr {
                Expr::Column { id: own, .. } if own == id => columns.name(*id).to_string(),
                expr => {
                    let (text, name) = (expression(expr, columns), columns.name(*id));
                    if text == name { text } else { format!("{text} as {name}") }
                }
            });
            format!("Project {}", items.collect::<Vec<_>>().join(", "))
        }
        Logical::Join(join) => format!("Join {:?}", join.kind),
        Logical::Aggregate { groups, aggregates, .. } => {
            let keys: Vec<String> = groups.iter().map(|(_, expr)| expression(expr, columns)).collect();
            let calls: Vec<String> = aggregates.iter().map(|(_, call)| aggregate(call, columns)).collect();
            match (keys.is_empty(), calls.is_empty()) {
                (false, true) => format!("Distinct {}", keys.join(", ")),
                (true, _) => format!("Aggregate {}", calls.join(", ")),
                _ => format!("Aggregate {} by {}", calls.join(", "), keys.join(", ")),
            }
        }
        Logical::Window(window) => {
            let calls: Vec<String> =
                window.calls.iter().map(|(_, call)| window_call(call, columns)).collect();
            let mut text = format!("Window {}", calls.join(", "));
            if !window.partition.is_empty() {
                let keys: Vec<String> = window.partition.iter().map(|key| expression(key, columns)).collect();
                let _ = write!(text, " by {}", keys.join(", "));
            }
            if !window.order.is_empty() {
                let _ = write!(text, " in order of {}", sort_keys(&window.order, columns));
            }
            text
        }
        Logical::Sort { keys, .. } => format!("Sort by {}", sort_keys(keys, columns)),
        Logical::TopN { keys, limit, offset, .. } => {
            let mut text = format!("TopN {limit} by {}", sort_keys(keys, columns));
            if *offset > 0 {
                let _ = write!(text, " offset {offset}");
            }
            text
        }
        Logical::Limit { limit, offset, .. } => match (limit, offset) {
            (Some(limit), 0) => format!("Limit {limit}"),
            (Some(limit), offset) => format!("Limit {limit} offset {offset}"),
            (None, offset) => format!("Offset {offset}"),
        },
        Logical::TopOfGroups(TopOfGroups { groups, keys, limit, offset, ties, .. }) => {
            let groups: Vec<String> = groups.iter().map(|expr| expression(expr, columns)).collect();
            let mut text = format!("TopOfGroups {limit}");
            if *ties {
                text += " with ties";
            }
            if !groups.is_empty() {
                let _ = write!(text, " of {}", groups.join(", "));
            }
            if !keys.is_empty() {
                let _ = write!(text, " by {}", sort_keys(keys, columns));
            }
            if *offset > 0 {
                let _ = write!(text, " offset {offset}");
            }
            text
        }
        Logical::AsOf(join) => {
            let kind = if join.required { "AsOf inner" } else { "AsOf left" };
            let groups: Vec<String> = join.groups.iter().map(|expr| expression(expr, columns)).collect();
            format!("{kind} of {} by {}", groups.join(", "), sort_keys(&join.keys, columns))
        }
        Logical::Expand { lists, .. } => {
            let list = |list: &Vec<Expr>| {
                let exprs: Vec<String> = list.iter().map(|expr| expression(expr, columns)).collect();
                format!("({})", exprs.join(", "))
            };
            let mut text =
                format!("Expand {}", lists.iter().take(8).map(list).collect::<Vec<_>>().join(", "));
            if lists.len() > 8 {
                let _ = write!(text, " and {} more", lists.len() - 8);
            }
            text
        }
        Logical::Series(series) => format!(
            "Series {} from {} to {} by {}",
            columns.name(series.column),
            expression(&series.start, columns),
            expression(&series.stop, columns),
            expression(&series.step, columns)
        ),
        Logical::Unroll(unroll) => {
            let lists = unroll
                .lists
                .iter()
                .map(|(id, expr)| format!("{} as {}", expression(expr, columns), columns.name(*id)));
            let mut text = format!("Unroll {}", lists.collect::<Vec<_>>().join(", "));
            if let Some(position) = unroll.position {
                let _ = write!(text, ", position as {}", columns.name(position));
            }
            if unroll.keeps_empty {
                text.push_str(", empty ones kept");
            }
            text
        }
        Logical::Union { inputs, .. } => format!("Union of {}", inputs.len()),
        Logical::Exchange { routing, .. } => match routing {
            Routing::Hash(keys) => {
                let keys: Vec<String> = keys.iter().map(|key| expression(key, columns)).collect();
                format!("Exchange hash {}", keys.join(", "))
            }
            Routing::Ranges { key, .. } => format!("Exchange range {}", expression(key, columns)),
            Routing::Broadcast => "Exchange broadcast".into(),
            Routing::Gather => "Exchange gather".into(),
        },
        Logical::Shared { number, .. } => format!("Shared #{number}"),
        Logical::Reread { number, columns: given, .. } => {
            let ids: Vec<u32> = given.iter().map(|&(_, id)| id).collect();
            format!("Reread #{number} ({})", names(&ids))
        }
    }
}

/// A join as it will run.
pub(crate) fn join(join: &Join, keys: &[JoinKey], columns: &Columns, kind: Physical) -> String {
    let name = match (join.kind, kind) {
        (JoinKind::Inner, _) if join.on.is_empty() => "CrossJoin".to_string(),
        (JoinKind::NullMark(_), _) => "HashJoin null mark".to_string(),
        (_, kind) => {
            let mut words = String::new();
            for character in format!("{kind:?}").chars() {
                if character.is_uppercase() && !words.is_empty() {
                    words.push(' ');
                }
                words.extend(character.to_lowercase());
            }
            if keys.is_empty() { format!("LoopJoin {words}") } else { format!("HashJoin {words}") }
        }
    };
    if join.on.is_empty() {
        return name;
    }
    format!("{name} on {}", conjunction(&join.on, columns))
}

/// A logical plan as an indented tree, for messages and tests.
pub(crate) fn tree(plan: &Logical, columns: &Columns) -> String {
    fn write(plan: &Logical, columns: &Columns, depth: usize, into: &mut String) {
        let line = match plan {
            Logical::Join(join) => {
                let kind = match join.kind {
                    JoinKind::Mark(_) => "Mark".to_string(),
                    JoinKind::NullMark(_) => "NullMark".to_string(),
                    kind => format!("{kind:?}"),
                };
                if join.on.is_empty() {
                    format!("Join {kind}")
                } else {
                    format!("Join {kind} on {}", conjunction(&join.on, columns))
                }
            }
            other => operator(other, columns),
        };
        let _ = writeln!(into, "{:indent$}{line}", "", indent = depth * 2);
        for input in plan.inputs() {
            write(input, columns, depth + 1, into);
        }
    }
    let mut text = String::new();
    write(plan, columns, 0, &mut text);
    text
}

fn sort_keys(keys: &[SortKey], columns: &Columns) -> String {
    let key = |key: &SortKey| {
        let mut text = expression(&key.expr, columns);
        text.push_str(if key.descending { " desc" } else { "" });
        if key.nulls_first != key.descending {
            text.push_str(if key.nulls_first { " nulls first" } else { " nulls last" });
        }
        text
    };
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

/// A call over a window, with its frame where it is another than that of all rows.
fn window_call(call: &WindowCall, columns: &Columns) -> String {
    let name = match call.function {
        WindowFunction::Aggregate(function) => aggregate_name(function).to_string(),
        function => snake_case(&format!("{function:?}")),
    };
    let args: Vec<String> = call.args.iter().map(|arg| expression(arg, columns)).collect();
    let args = match (call.function, args.is_empty()) {
        (WindowFunction::Aggregate(_), true) => "*".to_string(),
        _ => args.join(", "),
    };
    let mut text = format!("{name}({args}{})", if call.ignore_nulls { " ignore nulls" } else { "" });
    if call.function.has_frame() && !call.frame.is_whole() {
        let bound = |bound: &FrameBound| match bound {
            FrameBound::UnboundedPreceding => "unbounded preceding".to_string(),
            FrameBound::Preceding(value) => format!("{} preceding", literal(value)),
            FrameBound::CurrentRow => "current row".to_string(),
            FrameBound::Following(value) => format!("{} following", literal(value)),
            FrameBound::UnboundedFollowing => "unbounded following".to_string(),
        };
        let unit = format!("{:?}", call.frame.unit).to_lowercase();
        let (start, end) = (bound(&call.frame.start), bound(&call.frame.end));
        let _ = write!(text, " over {unit} {start} to {end}");
        if call.frame.exclusion != FrameExclusion::NoOthers {
            let excluded = snake_case(&format!("{:?}", call.frame.exclusion)).replace('_', " ");
            let _ = write!(text, " but {excluded}");
        }
    }
    text
}

/// `RowNumber` as `row_number`.
fn snake_case(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.extend(character.to_lowercase());
    }
    words
}

fn aggregate_name(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::CountRows => "count",
        AggregateFunction::Count => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::SumCounts => "sum_counts",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
        AggregateFunction::AnyValue => "any_value",
        AggregateFunction::BoolAnd => "bool_and",
        AggregateFunction::BoolOr => "bool_or",
        AggregateFunction::Stateful(stateful) => stateful.function.name(),
    }
}

fn aggregate(call: &AggregateCall, columns: &Columns) -> String {
    let name = aggregate_name(call.function);
    let (args, order): (&[Expr], Vec<String>) = match call.function {
        AggregateFunction::Stateful(Stateful { phase: Phase::Whole | Phase::Partial, order, .. }) => {
            let (args, keys) = call.args.split_at(call.args.len() - usize::from(order.keys));
            (args, keys.iter().enumerate().map(|(key, expr)| ordered(expr, order, key, columns)).collect())
        }
        _ => (&call.args[..], Vec::new()),
    };
    let mut args = args.iter().map(|arg| expression(arg, columns)).collect::<Vec<_>>().join(", ");
    if call.args.is_empty() {
        args = "*".to_string();
    }
    let mut text = format!("{name}({}{args}", if call.distinct { "distinct " } else { "" });
    if !order.is_empty() {
        let _ = write!(text, " order by {}", order.join(", "));
    }
    text.push(')');
    match call.function {
        AggregateFunction::Stateful(stateful) if stateful.gives_states() => text.push_str(" as state"),
        AggregateFunction::Stateful(stateful) if stateful.takes_states() => text.push_str(" of states"),
        _ => {}
    }
    if let Some(filter) = &call.filter {
        let _ = write!(text, " filter ({})", expression(filter, columns));
    }
    text
}

/// A key of an order inside a call.
fn ordered(expr: &Expr, order: KeyOrder, key: usize, columns: &Columns) -> String {
    let (descending, nulls_first) = (order.is_descending(key), order.has_nulls_first(key));
    sort_keys(&[SortKey { expr: expr.clone(), descending, nulls_first }], columns)
}

fn conjunction(exprs: &[Expr], columns: &Columns) -> String {
    exprs.iter().map(|expr| operand(expr, columns)).collect::<Vec<_>>().join(" and ")
}

/// An operand of AND: an OR gets parentheses.
fn operand(expr: &Expr, columns: &Columns) -> String {
    match expr {
        Expr::Or(_) => format!("({})", expression(expr, columns)),
        _ => expression(expr, columns),
    }
}

/// An expression in SQL's words.
pub(crate) fn expression(expr: &Expr, columns: &Columns) -> String {
    let nested = |expr: &Expr| match expr {
        Expr::Column { .. }
        | Expr::Literal(_)
        | Expr::Call { .. }
        | Expr::Cast { .. }
        | Expr::Case { .. } => expression(expr, columns),
        _ => format!("({})", expression(expr, columns)),
    };
    let not = |negated: bool| if negated { "not " } else { "" };
    match expr {
        Expr::Column { id, .. } => columns.name(*id).to_string(),
        Expr::Literal(value) => literal(value),
        Expr::Compare { op, left, right } => format!("{} {} {}", nested(left), op.symbol(), nested(right)),
        Expr::Arithmetic { op, left, right, .. } => {
            format!("{} {} {}", nested(left), op.symbol(), nested(right))
        }
        Expr::And(operands) => conjunction(operands, columns),
        Expr::Or(operands) => {
            let part = |expr: &Expr| match expr {
                Expr::And(_) => format!("({})", expression(expr, columns)),
                _ => expression(expr, columns),
            };
            operands.iter().map(part).collect::<Vec<_>>().join(" or ")
        }
        Expr::Not(input) => format!("not {}", nested(input)),
        Expr::IsNull { input, negated } => format!("{} is {}null", nested(input), not(*negated)),
        Expr::InList { input, list, negated } => {
            let mut values: Vec<String> = list.iter().take(8).map(literal).collect();
            if list.len() > values.len() {
                values.push(format!("… {} more", list.len() - values.len()));
            }
            format!("{} {}in ({})", nested(input), not(*negated), values.join(", "))
        }
        Expr::Like { input, pattern, case_insensitive, negated, .. } => {
            let like = if *case_insensitive { "ilike" } else { "like" };
            format!("{} {}{like} {}", nested(input), not(*negated), nested(pattern))
        }
        Expr::Case { branches, otherwise, .. } => {
            let mut text = "case".to_string();
            for (condition, value) in branches {
                let _ = write!(
                    text,
                    " when {} then {}",
                    expression(condition, columns),
                    expression(value, columns)
                );
            }
            if let Some(otherwise) = otherwise {
                let _ = write!(text, " else {}", expression(otherwise, columns));
            }
            text + " end"
        }
        Expr::Cast { input, data_type, try_cast } => {
            let name = if *try_cast { "try_cast" } else { "cast" };
            format!("{name}({} as {data_type})", expression(input, columns))
        }
        Expr::Call { function, args, .. } => {
            let args: Vec<String> = args.iter().map(|arg| expression(arg, columns)).collect();
            format!("{function}({})", args.join(", "))
        }
        Expr::Lambda { params, captures, body, .. } => {
            // The body has a numbering of its own.
            let mut own = Columns::default();
            let names: Vec<String> = (1..=params.len()).map(|place| format!("x{place}")).collect();
            for (name, &data_type) in names.iter().zip(params) {
                own.add(name.as_str(), data_type);
            }
            for capture in captures {
                own.add(expression(capture, columns), capture.data_type());
            }
            format!("lambda {}: {}", names.join(", "), expression(body, &own))
        }
    }
}

fn literal(value: &Value) -> String {
    match value.data_type {
        _ if value.is_null() => "null".into(),
        DataType::Varchar
        | DataType::Date
        | DataType::Time
        | DataType::Timestamp { .. }
        | DataType::Interval
        | DataType::Binary
        | DataType::Uuid
        | DataType::TimeZoned
        | DataType::Json { .. }
        | DataType::Bits
        | DataType::Enum(_)
        | DataType::Nested(_) => format!("'{value}'"),
        _ => value.to_string(),
    }
}

fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A number of rows in few characters.
fn about(rows: f64) -> String {
    match rows {
        r if r < 1e4 => format!("{:.0}", r.round()),
        r if r < 1e6 => format!("{:.0}K", r / 1e3),
        r if r < 1e9 => format!("{:.1}M", r / 1e6),
        r => format!("{:.1}G", r / 1e9),
    }
}

impl PlannedQuery {
    /// The whole plan as an indented tree, the root first, each exchange followed by what it receives.
    pub fn explain(&self) -> String {
        self.explain_with(|_, _| String::new())
    }

    /// As [`PlannedQuery::explain`]; `measured` adds to the line of an operator, given the position of its
    /// fragment in [`PlannedQuery::fragments`] and its preorder number in it.
    pub fn explain_with(&self, measured: impl Fn(usize, usize) -> String) -> String {
        let mut text = String::new();
        for Placed { depth, fragment, number, note } in self.operators() {
            let _ = writeln!(
                text,
                "{:pad$}{}  [~{} rows]{}",
                "",
                note.text,
                about(note.estimated_rows),
                measured(fragment, number),
                pad = depth * 2
            );
        }
        text
    }

    /// The operators of all fragments in preorder, each exchange followed by what it receives.
    pub fn operators(&self) -> Vec<Placed<'_>> {
        let mut found = Vec::new();
        if let Some(root) = self.notes.len().checked_sub(1) {
            self.add_fragment(root, 0, &mut found);
        }
        found
    }

    fn add_fragment<'a>(&'a self, fragment: usize, indent: usize, into: &mut Vec<Placed<'a>>) {
        for (number, note) in self.notes[fragment].operators.iter().enumerate() {
            let depth = indent + note.depth;
            into.push(Placed { depth, fragment, number, note });
            let received =
                note.receives.and_then(|id| self.notes.iter().position(|notes| notes.fragment == id));
            if let Some(received) = received {
                self.add_fragment(received, depth + 1, into);
            }
        }
    }
}

/// An operator where it stands in the whole plan.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// Edges to the plan's root.
    pub depth: usize,
    /// The position of its fragment in [`PlannedQuery::fragments`].
    pub fragment: usize,
    /// Its preorder number in the fragment.
    pub number: usize,
    pub note: &'a OperatorNote,
}

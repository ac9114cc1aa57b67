//! What a query is, in a few numbers, for whoever decides which engine answers it; and its text without constants, by
//! which queries are alike.

use crate::catalog::Table;
use crate::estimate::Estimator;
use crate::logical::{Columns, Logical, Scan, columns_of};
use crate::parse::tokens_of;
use exec::{CompareOp, Expr};
use sqlparser::tokenizer::Token;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows that a look-up is expected to read at most.
const LOOKUP_ROWS: f64 = 1_000.0;
/// A text that is tested counts as one value for so many bytes.
const TEXT_VALUE_BYTES: f64 = 4.0;
/// Rows that are read at least where a sorted column says which.
const BLOCK_ROWS: f64 = 2_048.0;

/// What a query is, as it was planned.
#[derive(Debug, Clone)]
pub struct Outline {
    pub shape: QueryShape,
    /// One each time that a table is read.
    pub scans: Vec<OutlinedScan>,
    pub joins: usize,
    /// Values that scans of Tundra look at.
    pub scan_values: f64,
    /// Rows that go into joins, aggregates and sorts.
    pub operator_rows: f64,
    /// Rows of the result.
    pub result_rows: f64,
    /// How much of it another engine computes; `None`: nothing.
    pub pushed: Option<Pushed>,
}

#[derive(Debug, Clone)]
pub struct OutlinedScan {
    pub table: Arc<Table>,
    /// Positions of the columns that are read.
    pub columns: Vec<u32>,
    /// Rows that its conditions are expected to leave, and bytes of their columns.
    pub rows: f64,
    pub bytes: f64,
}

/// What kind of query it is; of several the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryShape {
    Scan,
    Aggregate,
    Join,
    /// Few rows, of each table those of given values.
    Lookup,
}

impl QueryShape {
    pub fn name(self) -> &'static str {
        match self {
            QueryShape::Scan => "scan",
            QueryShape::Aggregate => "aggregate",
            QueryShape::Join => "join",
            QueryShape::Lookup => "lookup",
        }
    }
}

/// How much of a query another engine computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pushed {
    /// Rows of tables.
    Scans,
    /// All but the last steps.
    Partly,
    Whole,
}

impl Pushed {
    pub fn name(self) -> &'static str {
        match self {
            Pushed::Scans => "scans",
            Pushed::Partly => "partly",
            Pushed::Whole => "whole",
        }
    }

    /// Of a plan with foreign queries at its leaves.
    pub(crate) fn of(plan: &Logical) -> Pushed {
        match plan {
            Logical::Foreign(_) => Pushed::Whole,
            Logical::Project { input, .. }
            | Logical::Filter { input, .. }
            | Logical::Sort { input, .. }
            | Logical::TopN { input, .. }
            | Logical::Limit { input, .. } => Pushed::of(input).min(Pushed::Partly),
            Logical::Window(window) => Pushed::of(&window.input).min(Pushed::Partly),
            _ => Pushed::Scans,
        }
    }
}

/// The outline of a plan that is not distributed yet.
pub(crate) fn outline(plan: &Logical, columns: &Columns) -> Outline {
    let estimator = Estimator::new(columns);
    let mut outline = Outline {
        shape: QueryShape::Scan,
        scans: Vec::new(),
        joins: 0,
        scan_values: 0.0,
        operator_rows: 0.0,
        result_rows: estimator.rows(plan),
        pushed: None,
    };
    let (mut aggregates, mut all_fixed) = (false, true);
    let mut pending = vec![plan];
    while let Some(plan) = pending.pop() {
        let mut takes =
            || outline.operator_rows += plan.inputs().iter().map(|one| estimator.rows(one)).sum::<f64>();
        match plan {
            Logical::Scan(scan) => {
                all_fixed &= scan.predicate.iter().any(fixes_a_column);
                let rows = estimator.rows(plan);
                outline.scan_values += scan_values(scan, rows);
                outline.scans.push(OutlinedScan {
                    table: scan.table.clone(),
                    columns: scan
                        .columns
                        .iter()
                        .chain(&scan.filtered)
                        .map(|&(position, _)| position)
                        .collect(),
                    rows,
                    bytes: estimator.bytes(plan),
                });
            }
            Logical::Join(_) => {
                takes();
                outline.joins += 1;
            }
            Logical::Aggregate { .. } => {
                takes();
                aggregates = true;
            }
            Logical::Sort { .. }
            | Logical::TopN { .. }
            | Logical::TopOfGroups(_)
            | Logical::AsOf(_)
            | Logical::Expand { .. }
            | Logical::Series(_)
            | Logical::Unroll(_)
            | Logical::Window(_) => takes(),
            _ => {}
        }
        pending.extend(plan.inputs());
    }
    let read: f64 = outline.scans.iter().map(|scan| scan.rows).sum();
    outline.shape = match (all_fixed && read <= LOOKUP_ROWS, outline.joins > 0, aggregates) {
        (true, ..) => QueryShape::Lookup,
        (_, true, _) => QueryShape::Join,
        (_, _, true) => QueryShape::Aggregate,
        _ => QueryShape::Scan,
    };
    outline
}

/// Whether no table is left in a plan.
pub(crate) fn reads_nothing(plan: &Logical) -> bool {
    !matches!(plan, Logical::Scan(_) | Logical::Foreign(_)) && plan.inputs().into_iter().all(reads_nothing)
}

/// Values that a scan looks at: of columns that its conditions use those of all rows, unless segments are sorted by one
/// that is given a value; of the others those of rows that are left.
fn scan_values(scan: &Scan, kept: f64) -> f64 {
    let statistics = &scan.table.statistics;
    let tested: BTreeSet<u32> = scan.predicate.iter().flat_map(columns_of).collect();
    let all = || scan.columns.iter().chain(&scan.filtered);
    let is_sorted = |id: u32| {
        let position = all().find(|(_, known)| *known == id).map(|&(position, _)| position as usize);
        position.and_then(|at| statistics.columns.get(at)).is_some_and(|column| column.sorted)
    };
    let rows = statistics.rows as f64;
    let sorted = tested.iter().any(|&id| is_sorted(id));
    let looked_at = if sorted { (kept + BLOCK_ROWS).min(rows) } else { rows };
    let others = all().filter(|(_, id)| !tested.contains(id)).count() as f64;
    // Rows that are left lie apart: blocks of them are decoded.
    let decoded = if scan.predicate.is_empty() { rows } else { (kept * 64.0).min(looked_at) };
    let weights = tested.iter().map(|&id| {
        let position = all().find(|(_, known)| *known == id).map(|&(position, _)| position as usize);
        let is_text = position
            .and_then(|at| scan.table.columns.get(at))
            .is_some_and(|column| column.data_type.is_bytes());
        let bytes =
            position.and_then(|at| statistics.columns.get(at)).map_or(16.0, |column| column.average_bytes);
        if is_text { (bytes / TEXT_VALUE_BYTES).max(1.0) } else { 1.0 }
    });
    looked_at * weights.sum::<f64>() + decoded * others
}

/// Whether a condition asks for given values of a column.
fn fixes_a_column(condition: &Expr) -> bool {
    match condition {
        Expr::Compare { op: CompareOp::Equal | CompareOp::IsNotDistinctFrom, left, right } => {
            columns_of(left).is_empty() != columns_of(right).is_empty()
        }
        Expr::InList { negated, .. } => !negated,
        Expr::Or(operands) => operands.iter().all(fixes_a_column),
        _ => false,
    }
}

/// A query's text with `?` in place of constants and of lists of them, words in lower case, one blank between two words.
/// `EXPLAIN` and what follows it is left out. `None`: it cannot be read.
pub fn shape_text(sql: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    let mut leads = true;
    for token in tokens_of(sql).ok()? {
        let word = match token {
            Token::Whitespace(_) | Token::SemiColon | Token::EOF => continue,
            Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
            Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_) => "?".into(),
            token => token.to_string(),
        };
        leads &= matches!(word.as_str(), "explain" | "analyze" | "route");
        if leads {
            continue;
        }
        match words.as_slice() {
            [.., constant, comma] if word == "?" && constant == "?" && comma == "," => drop(words.pop()),
            _ => words.push(word),
        }
    }
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_alike_without_their_constants() {
        let shape = |sql: &str| shape_text(sql).unwrap();
        assert_eq!(
            shape(
                "SELECT  a FROM T -- why\n WHERE b = 'x;' AND c IN (1, 2,3) AND \"D\" < DATE '2020-01-01';"
            ),
            "select a from t where b = ? and c in ( ? ) and \"D\" < date ?"
        );
        assert_eq!(shape("select 1, -2.5, a, $1"), "select ? , - ? , a , ?");
        assert_eq!(shape("EXPLAIN ROUTE SELECT route FROM explain"), "select route from explain");
        assert_eq!(shape("explain analyze select ?"), shape("SELECT 7"));
        assert_ne!(shape("select a from t where a < 1"), shape("select a from t where a > 1"));
        assert!(shape_text("select 'open").is_none());
    }
}

//! Whether computing a part once is cheaper. The unit is about a nanosecond of one thread.

use crate::estimate::{Estimate, Estimator};
use crate::logical::{Join, JoinKind, Logical, Scan, equality};
use crate::rules::class;
use exec::Expr;

/// Less than this is not worth the words.
const LEAST_SAVED: f64 = 100_000.0;
/// How much more must be saved than keeping the rows is estimated to cost.
const MARGIN: f64 = 2.0;
/// More bytes than this are not kept.
const MOST_BYTES: f64 = 256e6;

/// A place that reads the rows.
pub(super) struct Use<'p> {
    pub(super) plan: &'p Logical,
    pub(super) path: &'p [usize],
    /// A limit may end it early.
    pub(super) limited: bool,
}

/// Whether rows of such an operator may be worth keeping. Reading a table again is as cheap as reading kept rows.
pub(super) fn is_candidate(plan: &Logical) -> bool {
    match plan {
        Logical::Join(_)
        | Logical::Aggregate { .. }
        | Logical::Filter { .. }
        | Logical::TopN { .. }
        | Logical::TopOfGroups(_)
        | Logical::AsOf(_)
        | Logical::Limit { .. }
        | Logical::Union { .. }
        | Logical::Window(_)
        | Logical::Exchange { .. } => true,
        Logical::Project { exprs, .. } => {
            exprs.iter().any(|(_, expr)| !matches!(expr, Expr::Column { .. } | Expr::Literal(_)))
        }
        Logical::Scan(scan) => scan.predicate.iter().any(|expr| class(expr) > 1),
        // Giving a row again is as cheap as keeping it.
        Logical::Expand { .. }
        | Logical::Series(_)
        | Logical::Unroll(_)
        | Logical::Sort { .. }
        | Logical::Values { .. }
        | Logical::Foreign(_)
        | Logical::Shared { .. }
        | Logical::Reread { .. } => false,
    }
}

/// Whether `part`, which gives what all uses need, should be computed once.
pub(super) fn is_worth_it(part: &Logical, uses: &[Use<'_>], estimator: &Estimator<'_>) -> bool {
    if table_rows(part) * uses.len() as f64 * 100.0 < LEAST_SAVED {
        return false;
    }
    let holds = matches!(part, Logical::Aggregate { .. } | Logical::TopN { .. });
    if !holds && (uses.iter().any(|place| place.limited) || estimator.bytes(part) > MOST_BYTES) {
        return false;
    }
    let once = work(part, 1.0, estimator);
    let now: f64 = uses.iter().map(|place| work(part, left_by_keys(place, estimator), estimator)).sum();
    let keeping = if holds { 0.0 } else { 4.0 * values(part, estimator.rows(part)) };
    now - once > MARGIN * keeping + LEAST_SAVED
}

/// Rows of all tables that are read.
fn table_rows(plan: &Logical) -> f64 {
    let own = if let Logical::Scan(scan) = plan { scan.table.statistics.rows as f64 } else { 0.0 };
    own + plan.inputs().into_iter().map(table_rows).sum::<f64>()
}

/// How many values `rows` rows of the plan have.
fn values(plan: &Logical, rows: f64) -> f64 {
    rows * (plan.outputs().len() as f64).max(1.0)
}

/// What it takes to compute the rows, where keys from above leave a share of those that the scan of the probe side
/// gives.
fn work(plan: &Logical, left: f64, estimator: &Estimator<'_>) -> f64 {
    let rows = |plan: &Logical| estimator.rows(plan);
    let (own, left) = match plan {
        Logical::Scan(scan) => {
            let bare = Logical::Scan(Scan { predicate: Vec::new(), ..scan.clone() });
            let estimate = estimator.estimate(&bare);
            (left * (conditions(&scan.predicate, &estimate) + values(plan, rows(plan))), left)
        }
        Logical::Filter { input, predicate } => {
            (left * conditions(predicate, &estimator.estimate(input)), left)
        }
        Logical::Project { input, exprs } => {
            let computed = exprs.iter().filter(|(_, expr)| !matches!(expr, Expr::Column { .. })).count();
            (left * 2.0 * rows(input) * computed as f64, left)
        }
        Logical::Join(join) => {
            let (mut build, mut probe) = (&join.right, &join.left);
            if join.build_left {
                std::mem::swap(&mut build, &mut probe);
            }
            let pairs = if has_key(join) { 0.0 } else { rows(build) * rows(probe) };
            let own = 15.0 * rows(build) + left * (6.0 * rows(probe) + pairs + values(plan, rows(plan)));
            return own + work(build, 1.0, estimator) + work(probe, left, estimator);
        }
        Logical::Aggregate { input, aggregates, .. } => {
            (rows(input) * (10.0 + 5.0 * aggregates.len() as f64), 1.0)
        }
        Logical::Sort { input, .. } => (50.0 * rows(input), 1.0),
        Logical::TopOfGroups(top) => (50.0 * rows(&top.input), 1.0),
        Logical::AsOf(join) => (50.0 * rows(&join.input), 1.0),
        Logical::Expand { .. } | Logical::Series(_) | Logical::Unroll(_) => {
            (2.0 * values(plan, rows(plan)), 1.0)
        }
        Logical::TopN { input, .. } => (5.0 * rows(input), 1.0),
        Logical::Window(window) => (rows(&window.input) * (80.0 + 20.0 * window.calls.len() as f64), 1.0),
        Logical::Exchange { input, .. } => (5.0 * values(input, rows(input)), 1.0),
        Logical::Values { .. }
        | Logical::Foreign(_)
        | Logical::Limit { .. }
        | Logical::Union { .. }
        | Logical::Shared { .. }
        | Logical::Reread { .. } => (0.0, 1.0),
    };
    own + plan.inputs().into_iter().map(|input| work(input, left, estimator)).sum::<f64>()
}

/// What it takes to test conditions one after the other.
fn conditions(predicate: &[Expr], input: &Estimate) -> f64 {
    let mut rows = input.rows;
    let mut sum = 0.0;
    for expr in predicate {
        sum += rows * [0.3, 1.0, 30.0, 10.0][usize::from(class(expr).min(3))];
        rows *= input.selectivity(expr);
    }
    sum
}

fn has_key(join: &Join) -> bool {
    let (left, right) = (join.left.output_set(), join.right.output_set());
    join.on.iter().any(|expr| equality(expr, &left, &right).is_some())
}

/// The share of a part's rows that joins above one place leave, as they hand their keys down to its scan.
fn left_by_keys(place: &Use<'_>, estimator: &Estimator<'_>) -> f64 {
    let mut plan = place.plan;
    let mut left: f64 = 1.0;
    for &input in place.path {
        left = match plan {
            Logical::Join(join) if (input == 1) == join.build_left => {
                let drops = match join.kind {
                    JoinKind::Inner | JoinKind::Semi => true,
                    JoinKind::Left | JoinKind::Anti => join.build_left,
                    _ => false,
                };
                let probe = plan.inputs()[input];
                match drops && has_key(join) {
                    true => left * (estimator.rows(plan) / estimator.rows(probe).max(1.0)).min(1.0),
                    false => left,
                }
            }
            Logical::Filter { .. } | Logical::Project { .. } => left,
            _ => 1.0,
        };
        plan = plan.inputs()[input];
    }
    left
}

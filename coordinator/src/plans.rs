//! Plans of a tenant's queries that were asked lately: a dashboard asks the same ones over and over, and planning takes as long
//! as running a small one.
//!
//! Planning depends on nothing but the text, the parameters, the tenant's routes and policies of rows, and the view; plans of a view that is no longer current
//! are dropped, and none keeps a view alive.

use crate::routing::choice::Routed;
use crate::view::View;
use columnar::Value;
use parking_lot::Mutex;
use planner::{Optimizer, Statement};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

/// The most plans that are kept; the one that was not asked for longest makes room.
const PLANS: usize = 256;
/// Plans of longer text are not kept.
const LONGEST_BYTES: usize = 16 << 10;

/// What a plan is of: `parameters` as [`planner::PlannerOptions`] has them.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) sql: String,
    pub(crate) parameters: Option<Vec<Value>>,
    /// The version of the tenant's routes; 0: it has none.
    pub(crate) routes: u64,
    /// The revision of its roles, grants and policies; 0: it has none.
    pub(crate) access: u64,
    pub(crate) optimizer: Optimizer,
    /// The session's time zone.
    pub(crate) zone: String,
}

impl PartialEq for Asked {
    /// Values that are only equal, such as a month and 30 days, make other plans.
    fn eq(&self, other: &Asked) -> bool {
        let same = match (&self.parameters, &other.parameters) {
            (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_identical(b)),
            (a, b) => a.is_none() == b.is_none(),
        };
        same && self.sql == other.sql
            && (self.routes, self.access, self.optimizer) == (other.routes, other.access, other.optimizer)
            && self.zone == other.zone
    }
}

impl Eq for Asked {}

impl Hash for Asked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.sql, &self.parameters, self.routes, self.access, self.optimizer, &self.zone).hash(state);
    }
}

#[derive(Default)]
pub(crate) struct Plans(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    view: Weak<View>,
    plans: HashMap<Asked, Plan>,
    /// How often a plan was asked for.
    clock: u64,
}

struct Plan {
    routed: Routed,
    used: u64,
}

impl Plans {
    /// The plan against `view`, if it is kept.
    pub(crate) fn get(&self, asked: &Asked, view: &Arc<View>) -> Option<Routed> {
        let mut kept = self.0.lock();
        if !kept.is_of(view) {
            return None;
        }
        kept.clock += 1;
        let clock = kept.clock;
        let plan = kept.plans.get_mut(asked)?;
        plan.used = clock;
        Some(plan.routed.clone())
    }

    /// Keeps a plan against `view`, which is the current one.
    pub(crate) fn keep(&self, asked: Asked, view: &Arc<View>, routed: &Routed) {
        if !matches!(*routed.statement, Statement::Query(_)) || asked.sql.len() > LONGEST_BYTES {
            return;
        }
        let mut kept = self.0.lock();
        if !kept.is_of(view) {
            *kept = Kept { view: Arc::downgrade(view), ..Kept::default() };
        }
        if kept.plans.len() >= PLANS
            && let Some(oldest) = kept.plans.iter().min_by_key(|(_, plan)| plan.used).map(|(asked, _)| asked)
        {
            let oldest = oldest.clone();
            kept.plans.remove(&oldest);
        }
        let used = kept.clock;
        kept.plans.insert(asked, Plan { routed: routed.clone(), used });
    }
}

impl Kept {
    fn is_of(&self, view: &Arc<View>) -> bool {
        std::ptr::eq(self.view.as_ptr(), Arc::as_ptr(view))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use columnar::{DataType, Interval, Scalar};

    fn asked(sql: &str) -> Asked {
        Asked {
            sql: sql.into(),
            parameters: Some(Vec::new()),
            routes: 0,
            access: 0,
            optimizer: Optimizer::On,
            zone: "UTC".into(),
        }
    }

    fn plan(sql: &str, view: &View) -> Routed {
        Routed::as_written(planner::plan(sql, view, &planner::PlannerOptions::default()).unwrap())
    }

    #[test]
    fn plans_are_kept_by_text_parameters_and_view() {
        let (plans, view) = (Plans::default(), Arc::new(View::default()));
        let one = plan("SELECT 1", &view);
        assert!(plans.get(&asked("SELECT 1"), &view).is_none());
        plans.keep(asked("SELECT 1"), &view, &one);
        let kept = plans.get(&asked("SELECT 1"), &view).unwrap();
        assert!(Arc::ptr_eq(&kept.statement, &one.statement));
        for later in [
            Asked { routes: 1, ..asked("SELECT 1") },
            Asked { access: 1, ..asked("SELECT 1") },
            Asked { optimizer: Optimizer::Random(1), ..asked("SELECT 1") },
            Asked { zone: "Europe/Berlin".into(), ..asked("SELECT 1") },
        ] {
            assert!(plans.get(&later, &view).is_none());
        }
        assert!(plans.get(&asked("SELECT 2"), &view).is_none());
        let span = |months, days| {
            let span = Interval { months, days, micros: 0 };
            let span = Value::new(DataType::Interval, Scalar::Interval(span));
            Asked { parameters: Some(vec![span]), ..asked("SELECT 1") }
        };
        plans.keep(span(1, 0), &view, &one);
        assert!(plans.get(&span(1, 0), &view).is_some());
        assert!(plans.get(&span(0, 30), &view).is_none(), "a month is not 30 days");
        let unbound = Asked { parameters: None, ..asked("SELECT 1") };
        assert!(plans.get(&unbound, &view).is_none());

        let next = Arc::new(View::default());
        assert!(plans.get(&asked("SELECT 1"), &next).is_none());
        plans.keep(asked("SELECT 2"), &next, &plan("SELECT 2", &next));
        assert!(plans.get(&asked("SELECT 1"), &view).is_none(), "plans of the view before are dropped");
        assert_eq!(Arc::weak_count(&view), 0);
    }

    #[test]
    fn the_plan_not_asked_for_longest_makes_room() {
        let (plans, view) = (Plans::default(), Arc::new(View::default()));
        let text = |index: usize| format!("SELECT {index}");
        for index in 0..PLANS {
            plans.keep(asked(&text(index)), &view, &plan(&text(index), &view));
        }
        assert!(plans.get(&asked(&text(0)), &view).is_some());
        plans.keep(asked("SELECT 'more'"), &view, &plan("SELECT 'more'", &view));
        assert!(plans.get(&asked(&text(0)), &view).is_some());
        assert_eq!(plans.0.lock().plans.len(), PLANS);
        plans.keep(asked("EXPLAIN SELECT 1"), &view, &plan("EXPLAIN SELECT 1", &view));
        assert!(plans.get(&asked("EXPLAIN SELECT 1"), &view).is_none(), "only queries are kept");
    }
}

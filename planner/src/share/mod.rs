//! Parts of a plan that compute the same rows are computed once where that is cheaper: a common table that is
//! used twice, or what unnesting copied.
//!
//! The pass runs on the distributed plan, so both uses must end in one fragment: a part that two fragments use is
//! computed by each (but see [`crate::distribute`] on extremes).

mod merge;
mod worth;

use crate::estimate::{Estimate, Estimator};
use crate::logical::{ColumnId, ColumnSet, Columns, Join, Logical, collect_columns};
use crate::rules::exactly;
pub(crate) use merge::{Twins, is_pass, merge};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use worth::{Use, is_candidate, is_worth_it};

/// More parts than this are not looked for.
const MOST_PARTS: u32 = 16;

/// Marks the parts of `plan` that are computed once; the largest first.
pub(crate) fn share(mut plan: Logical, results: &[ColumnId], columns: &Columns) -> Logical {
    let required: ColumnSet = results.iter().copied().collect();
    for number in 1..=MOST_PARTS {
        let Some(part) = find(&plan, &required, columns) else { break };
        part.apply(&mut plan, number, columns);
    }
    plan
}

/// A place in a plan where a part stands that may stand elsewhere too.
struct Place {
    /// From the root: which input of each operator.
    path: Vec<usize>,
    /// What equal parts have in common.
    hash: u64,
    /// Which fragment it will be of.
    fragment: usize,
    /// The columns that are used above.
    required: ColumnSet,
    /// A limit above may end it early.
    limited: bool,
}

/// What is to be shared.
struct Part {
    /// Gives the columns of all uses.
    merged: Logical,
    estimate: Rc<Estimate>,
    /// The first in the order in which the plan runs is where it is computed.
    uses: Vec<(Place, Twins)>,
}

/// The first part in preorder that is worth it.
fn find(plan: &Logical, required: &ColumnSet, columns: &Columns) -> Option<Part> {
    let mut search = Search { places: Vec::new(), fragments: 0 };
    search.visit(plan, &mut Vec::new(), Place::root(required));
    let mut places: Vec<Option<Place>> = search.places.into_iter().map(Some).collect();
    let mut counts: HashMap<(u64, usize), usize> = HashMap::new();
    for place in places.iter().flatten() {
        *counts.entry((place.hash, place.fragment)).or_insert(0) += 1;
    }
    let estimator = Estimator::new(columns);
    for position in 0..places.len() {
        let Some(first) = places[position].take() else { continue };
        if counts.get(&(first.hash, first.fragment)).is_none_or(|&count| count < 2) {
            continue;
        }
        let mut merged = at(plan, &first.path).clone();
        let mut uses = vec![(first, Twins::new())];
        for other in &mut places[position + 1..] {
            let same = |other: &Place| (other.hash, other.fragment) == (uses[0].0.hash, uses[0].0.fragment);
            let Some(place) = other.take_if(|other| same(other)) else { continue };
            let (mut both, mut twins) = (merged.clone(), Twins::new());
            if merge(&mut both, at(plan, &place.path), &mut twins, columns) {
                merged = both;
                uses.push((place, twins));
            } else {
                *other = Some(place);
            }
        }
        let known: Vec<Use<'_>> =
            uses.iter().map(|(place, _)| Use { plan, path: &place.path, limited: place.limited }).collect();
        if uses.len() > 1 && is_worth_it(&merged, &known, &estimator) {
            let estimate = estimator.estimate(&merged);
            return Some(Part { merged, estimate, uses });
        }
    }
    None
}

/// The operator at a place.
fn at<'p>(plan: &'p Logical, path: &[usize]) -> &'p Logical {
    path.iter().fold(plan, |plan, &input| plan.inputs()[input])
}

fn at_mut<'p>(plan: &'p mut Logical, path: &[usize]) -> &'p mut Logical {
    path.iter().fold(plan, |plan, &input| plan.inputs_mut().swap_remove(input))
}

impl Part {
    fn apply(self, plan: &mut Logical, number: u32, columns: &Columns) {
        let Part { merged, estimate, uses } = self;
        let mut needed = ColumnSet::new();
        for (place, twins) in &uses {
            needed.extend(place.required.iter().map(|&id| twin(twins, id)));
        }
        let mut given = merged.outputs();
        let mut input = merged;
        // The groups of an aggregate are read where they are.
        if !matches!(input, Logical::Aggregate { .. }) {
            given.retain(|id| needed.contains(id));
            input = exactly(input, &given, columns);
        }
        let mut computed = Some(Logical::Shared { number, input: Box::new(input) });
        for (place, twins) in uses {
            let target = at_mut(plan, &place.path);
            let wanted: Vec<ColumnId> =
                target.outputs().into_iter().filter(|id| place.required.contains(id)).collect();
            *target = match computed.take() {
                Some(shared) => exactly(shared, &wanted, columns),
                None => reread(number, &wanted, &given, &twins, &estimate),
            };
        }
    }
}

fn twin(twins: &Twins, id: ColumnId) -> ColumnId {
    twins.get(&id).copied().unwrap_or(id)
}

/// Reads the `wanted` columns of rows that have the columns `given`.
fn reread(
    number: u32,
    wanted: &[ColumnId],
    given: &[ColumnId],
    twins: &Twins,
    estimate: &Estimate,
) -> Logical {
    let mut own = Estimate { rows: estimate.rows, ..Estimate::default() };
    let column = |&id: &ColumnId| {
        let twin = twin(twins, id);
        own.columns.extend(estimate.columns.get(&twin).map(|known| (id, *known)));
        (given.iter().position(|&known| known == twin).unwrap_or(usize::MAX) as u32, id)
    };
    let columns = wanted.iter().map(column).collect();
    Logical::Reread { number, columns, estimate: Arc::new(own) }
}

impl Place {
    fn root(required: &ColumnSet) -> Place {
        Place { path: Vec::new(), hash: 0, fragment: 0, required: required.clone(), limited: false }
    }
}

/// The inputs of an operator in the order in which they are lowered.
fn in_order(plan: &Logical) -> Vec<usize> {
    match plan {
        Logical::Join(Join { build_left: true, .. }) => vec![1, 0],
        other => (0..other.inputs().len()).collect(),
    }
}

struct Search {
    /// In the preorder of the physical plan.
    places: Vec<Place>,
    fragments: usize,
}

impl Search {
    /// Notes the candidates of a plan of which `place` tells what is known from above; returns its hash.
    fn visit(&mut self, plan: &Logical, path: &mut Vec<usize>, place: Place) -> u64 {
        let mut below = match plan {
            Logical::Project { .. }
            | Logical::Aggregate { .. }
            | Logical::Expand { .. }
            | Logical::Union { .. } => ColumnSet::new(),
            // Others read its columns by their places.
            Logical::Shared { .. } => plan.output_set(),
            _ => place.required.clone(),
        };
        plan.exprs().into_iter().for_each(|expr| collect_columns(expr, &mut below));
        let (fragment, limited) = (place.fragment, place.limited);
        let noted = is_candidate(plan).then(|| {
            self.places.push(Place { path: path.clone(), ..place });
            self.places.len() - 1
        });
        let mut hashes = vec![0; plan.inputs().len()];
        for input in in_order(plan) {
            let required = match plan {
                Logical::Union { inputs, .. } => inputs[input].1.iter().copied().collect(),
                _ => below.clone(),
            };
            let fragment = match plan {
                Logical::Exchange { .. } => {
                    self.fragments += 1;
                    self.fragments
                }
                _ => fragment,
            };
            let limited = match plan {
                Logical::Limit { .. } => true,
                Logical::Aggregate { .. }
                | Logical::Sort { .. }
                | Logical::TopN { .. }
                | Logical::TopOfGroups(_)
                | Logical::AsOf(_)
                | Logical::Window(_) => false,
                Logical::Join(join) => limited && (input == 1) == join.build_left,
                _ => limited,
            };
            path.push(input);
            let below = Place { path: Vec::new(), hash: 0, fragment, required, limited };
            hashes[input] = self.visit(plan.inputs()[input], path, below);
            path.pop();
        }
        let hash = hash_of(plan, &hashes);
        if let Some(noted) = noted {
            self.places[noted].hash = hash;
        }
        hash
    }
}

/// Equal for plans that compute the same rows; their columns may be others.
fn hash_of(plan: &Logical, inputs: &[u64]) -> u64 {
    if is_pass(plan) {
        return inputs.first().copied().unwrap_or_default();
    }
    let mut hasher = DefaultHasher::new();
    std::mem::discriminant(plan).hash(&mut hasher);
    inputs.hash(&mut hasher);
    match plan {
        Logical::Scan(scan) => {
            (scan.table.dataset, scan.table.version, scan.predicate.len()).hash(&mut hasher);
        }
        Logical::Values { rows, .. } => rows.hash(&mut hasher),
        Logical::Foreign(foreign) => foreign.query.sql.hash(&mut hasher),
        Logical::Filter { predicate, .. } => predicate.len().hash(&mut hasher),
        Logical::Join(join) => {
            (std::mem::discriminant(&join.kind), join.on.len()).hash(&mut hasher);
        }
        Logical::Aggregate { groups, .. } => groups.len().hash(&mut hasher),
        Logical::Window(window) => {
            (window.partition.len(), window.order.len()).hash(&mut hasher);
        }
        Logical::TopN { limit, offset, .. } => (limit, offset).hash(&mut hasher),
        Logical::TopOfGroups(top) => {
            (top.groups.len(), top.limit, top.offset, top.ties).hash(&mut hasher);
        }
        Logical::AsOf(join) => (join.groups.len(), join.required).hash(&mut hasher),
        Logical::Expand { lists, .. } => lists.len().hash(&mut hasher),
        Logical::Series(series) => series.inclusive.hash(&mut hasher),
        Logical::Unroll(unroll) => {
            (unroll.lists.len(), unroll.position.is_some(), unroll.keeps_empty).hash(&mut hasher);
        }
        Logical::Limit { limit, offset, .. } => (limit, offset).hash(&mut hasher),
        Logical::Shared { number, .. } | Logical::Reread { number, .. } => number.hash(&mut hasher),
        Logical::Project { .. } | Logical::Sort { .. } | Logical::Union { .. } | Logical::Exchange { .. } => {
        }
    }
    hasher.finish()
}

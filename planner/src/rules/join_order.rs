//! The order of joins, by estimated cost.
//!
//! A region of inner joins becomes a graph: relations, and conditions between them. Semi, anti, outer, mark
//! and scalar joins in the region take part as relations that can be joined only to a set that has what
//! their condition needs: they commute with the inner joins around them. Up to [`EXHAUSTIVE`] relations every
//! connected tree is considered, by dynamic programming over subsets (Moerkotte and Neumann, 2006, consider
//! the same pairs); beyond, the join that gives the fewest rows is made first (Fegaras, 1998), and the tree
//! is improved part by part. A seed draws a tree instead.

use super::{Context, Rule};
use crate::error::Result;
use crate::estimate::{Estimate, Estimator};
use crate::logical::{
    ColumnId, ColumnSet, Columns, Join, JoinKind, Logical, columns_of, columns_of_all, substitute,
};
use exec::{CompareOp, Expr};
use std::collections::HashMap;
use std::rc::Rc;

/// The most relations for which all orders are tried.
const EXHAUSTIVE: usize = 10;
/// The most relations, or trees of them, of a part of a larger tree for which all orders are tried.
const PART: usize = 7;
/// More relations are joined in the order in which they were written, as far as conditions connect them.
const MOST: usize = 64;

pub(super) struct JoinOrder;

impl Rule for JoinOrder {
    fn name(&self) -> &'static str {
        "join_order"
    }

    fn apply(&self, plan: Logical, context: &mut Context<'_>) -> Result<Logical> {
        let estimator = Estimator::new(context.columns);
        let orders = Orders { columns: context.columns, estimator: &estimator, seed: context.join_seed };
        Ok(orders.order(plan))
    }
}

/// By what orders are chosen.
#[derive(Clone, Copy)]
struct Orders<'a> {
    columns: &'a Columns,
    estimator: &'a Estimator<'a>,
    /// Draws orders, rather than that the best is looked for.
    seed: Option<u64>,
}

impl Orders<'_> {
    /// Orders every region of the plan.
    fn order(self, mut plan: Logical) -> Logical {
        let starts = match &plan {
            Logical::Filter { input, .. } => is_region(input),
            Logical::Join(_) => is_region(&plan),
            _ => false,
        };
        if starts {
            let outputs = plan.outputs();
            let mut region = Region::default();
            region.flatten(plan, self);
            return region.solve(outputs, self);
        }
        for input in plan.inputs_mut() {
            *input = self.order(input.take());
        }
        plan
    }
}

/// Whether joins lie below filters and projections alone.
fn is_region(plan: &Logical) -> bool {
    match plan {
        Logical::Join(join) => join.kind != JoinKind::Full,
        Logical::Filter { input, .. } | Logical::Project { input, .. } => is_region(input),
        _ => false,
    }
}

/// A set of relations, as bits.
type Set = u64;

#[derive(Default)]
struct Region {
    relations: Vec<Relation>,
    /// Conditions of inner joins and filters.
    predicates: Vec<Expr>,
    /// Columns computed by projections between the joins.
    computed: HashMap<ColumnId, Expr>,
}

struct Relation {
    plan: Logical,
    columns: ColumnSet,
    /// How it must be joined, where that is not an inner join.
    attached: Option<(JoinKind, Vec<Expr>)>,
}

impl Region {
    fn flatten(&mut self, plan: Logical, orders: Orders<'_>) {
        match plan {
            Logical::Join(join) if join.kind == JoinKind::Inner => {
                self.flatten(*join.left, orders);
                self.flatten(*join.right, orders);
                let on = join.on.into_iter().map(|expr| substitute(expr, &self.computed));
                self.predicates.extend(on);
            }
            Logical::Join(join) if join.kind != JoinKind::Full => {
                self.flatten(*join.left, orders);
                let on = join.on.into_iter().map(|expr| substitute(expr, &self.computed)).collect();
                let plan = orders.order(*join.right);
                let mut given = plan.output_set();
                if let JoinKind::Mark(mark) | JoinKind::NullMark(mark) = join.kind {
                    given.insert(mark);
                }
                self.relations.push(Relation { plan, columns: given, attached: Some((join.kind, on)) });
            }
            Logical::Filter { input, predicate } if is_region(&input) => {
                self.flatten(*input, orders);
                let predicate = predicate.into_iter().map(|expr| substitute(expr, &self.computed));
                self.predicates.extend(predicate);
            }
            Logical::Project { input, exprs } if is_region(&input) => {
                self.flatten(*input, orders);
                for (id, expr) in exprs {
                    if !matches!(&expr, Expr::Column { id: own, .. } if *own == id) {
                        let expr = substitute(expr, &self.computed);
                        self.computed.insert(id, expr);
                    }
                }
            }
            other => {
                let plan = orders.order(other);
                let given = plan.output_set();
                self.relations.push(Relation { plan, columns: given, attached: None });
            }
        }
    }

    fn solve(mut self, outputs: Vec<ColumnId>, orders: Orders<'_>) -> Logical {
        let computed = std::mem::take(&mut self.computed);
        let predicates = std::mem::take(&mut self.predicates);
        let plan = if self.relations.len() > MOST {
            as_written(self.relations, predicates)
        } else {
            Graph::new(self.relations, predicates, orders).solve()
        };
        if computed.is_empty() {
            return plan;
        }
        let exprs = outputs
            .into_iter()
            .map(|id| (id, computed.get(&id).cloned().unwrap_or_else(|| orders.columns.reference(id))))
            .collect();
        plan.project(exprs)
    }
}

/// A left-deep tree: the next relation is the first that a condition connects to those before. A condition goes
/// where all that it names has come together.
fn as_written(mut relations: Vec<Relation>, mut predicates: Vec<Expr>) -> Logical {
    let mut available = ColumnSet::default();
    let mut plan: Option<Logical> = None;
    while !relations.is_empty() {
        let next = relations.iter().position(|relation| match &relation.attached {
            Some((_, on)) => columns_of_all(on).is_subset(&union(&available, &relation.columns)),
            None => {
                let both = union(&available, &relation.columns);
                predicates.iter().map(columns_of).any(|used| {
                    used.is_subset(&both)
                        && !used.is_disjoint(&available)
                        && !used.is_disjoint(&relation.columns)
                })
            }
        });
        let inner = |relation: &Relation| relation.attached.is_none();
        let next = next.filter(|_| plan.is_some()).or_else(|| relations.iter().position(inner)).unwrap_or(0);
        let Relation { plan: right, columns, attached } = relations.remove(next);
        available.extend(columns);
        let complete = |expr: &mut Expr| columns_of(expr).is_subset(&available);
        let here: Vec<Expr> = predicates.extract_if(.., complete).collect();
        plan = Some(match (plan, attached) {
            (None, _) => right.filter(here),
            (Some(left), None) => left.join(right, JoinKind::Inner, here),
            (Some(left), Some((kind, on))) => left.join(right, kind, on).filter(here),
        });
    }
    plan.unwrap_or_else(Logical::one_row).filter(predicates)
}

fn union(a: &ColumnSet, b: &ColumnSet) -> ColumnSet {
    a.union(b).copied().collect()
}

/// A condition between relations.
struct Edge {
    expr: Expr,
    relations: Set,
}

/// Columns that are equal wherever they meet.
struct Class {
    /// Relation and column.
    members: Vec<(usize, ColumnId)>,
    /// The pairs that the query names.
    written: Vec<(ColumnId, ColumnId)>,
}

struct Graph<'a> {
    relations: Vec<Relation>,
    /// What an attached relation needs on the other side.
    needs: Vec<Set>,
    edges: Vec<Edge>,
    classes: Vec<Class>,
    orders: Orders<'a>,
    /// Filters without columns of any relation.
    constant: Vec<Expr>,
}

/// The best way found to join a set.
#[derive(Clone)]
struct Best {
    cost: f64,
    estimate: Rc<Estimate>,
    columns: Rc<ColumnSet>,
    /// The sides, or none for a relation itself.
    split: Option<(Set, Set)>,
}

/// A join of two sets.
struct Made {
    kind: JoinKind,
    on: Vec<Expr>,
    filter: Vec<Expr>,
}

impl<'a> Graph<'a> {
    fn new(relations: Vec<Relation>, predicates: Vec<Expr>, orders: Orders<'a>) -> Graph<'a> {
        let mut graph = Graph {
            needs: vec![0; relations.len()],
            relations,
            edges: Vec::new(),
            classes: Vec::new(),
            orders,
            constant: Vec::new(),
        };
        for number in 0..graph.relations.len() {
            if let Some((_, on)) = &graph.relations[number].attached {
                graph.needs[number] = graph.set_of(&columns_of_all(on)) & !(1 << number);
            }
        }
        for expr in predicates {
            let used = graph.set_of(&columns_of(&expr));
            match used.count_ones() {
                0 => graph.constant.push(expr),
                1 if graph.relations[used.trailing_zeros() as usize].attached.is_none() => {
                    let relation = &mut graph.relations[used.trailing_zeros() as usize];
                    relation.plan = relation.plan.take().filter(vec![expr]);
                }
                _ => {
                    if !graph.add_to_class(&expr) {
                        graph.edges.push(Edge { expr, relations: used });
                    }
                }
            }
        }
        graph.equate_within_relations();
        graph
    }

    /// Two columns of one relation that are equal to a third elsewhere are equal to each other. A join tests one
    /// pair of a class, which says nothing about the others of the same relation.
    fn equate_within_relations(&mut self) {
        for class in &self.classes {
            for (position, &(number, id)) in class.members.iter().enumerate() {
                let before = class.members[..position].iter().find(|(relation, _)| *relation == number);
                if let Some(&(_, other)) = before {
                    let (left, right) =
                        (self.orders.columns.reference(other), self.orders.columns.reference(id));
                    let relation = &mut self.relations[number];
                    let equal = Expr::compare(CompareOp::Equal, left, right);
                    relation.plan = relation.plan.take().filter(vec![equal]);
                }
            }
        }
    }

    /// The relations that give the columns.
    fn set_of(&self, columns: &ColumnSet) -> Set {
        let mut set = 0;
        for (number, relation) in self.relations.iter().enumerate() {
            if !relation.columns.is_disjoint(columns) {
                set |= 1 << number;
            }
        }
        set
    }

    /// Takes an equality of two plain columns of inner relations.
    fn add_to_class(&mut self, expr: &Expr) -> bool {
        let Expr::Compare { op: CompareOp::Equal, left, right } = expr else { return false };
        let (Expr::Column { id: a, data_type: x }, Expr::Column { id: b, data_type: y }) =
            (left.as_ref(), right.as_ref())
        else {
            return false;
        };
        let place = |id: &ColumnId| {
            self.relations
                .iter()
                .position(|relation| relation.attached.is_none() && relation.columns.contains(id))
        };
        let (Some(p), Some(q)) = (place(a), place(b)) else { return false };
        if x != y {
            return false;
        }
        let find = |id: &ColumnId| {
            self.classes.iter().position(|class| class.members.iter().any(|(_, known)| known == id))
        };
        let class = match (find(a), find(b)) {
            (Some(x), Some(y)) if x != y => {
                let merged = self.classes.swap_remove(x.max(y));
                let class = &mut self.classes[x.min(y)];
                class.members.extend(merged.members);
                class.written.extend(merged.written);
                x.min(y)
            }
            (Some(x), _) | (_, Some(x)) => x,
            (None, None) => {
                self.classes.push(Class { members: Vec::new(), written: Vec::new() });
                self.classes.len() - 1
            }
        };
        let class = &mut self.classes[class];
        for member in [(p, *a), (q, *b)] {
            if !class.members.contains(&member) {
                class.members.push(member);
            }
        }
        class.written.push((*a, *b));
        true
    }

    /// The join of two disjoint sets, the sides in order; `None` where it is not allowed or is a product
    /// that no condition asks for.
    fn join(&self, left: Set, right: Set, products: bool) -> Option<Made> {
        let attached = |set: Set| -> Option<usize> {
            let number = set.trailing_zeros() as usize;
            (set.count_ones() == 1 && self.relations[number].attached.is_some()).then_some(number)
        };
        if attached(left).is_some() {
            return None;
        }
        let (kind, mut on) = match attached(right) {
            Some(number) => {
                if self.needs[number] & !left != 0 {
                    return None;
                }
                self.relations[number].attached.clone()?
            }
            None => (JoinKind::Inner, Vec::new()),
        };
        let both = left | right;
        let mut connected = kind != JoinKind::Inner;
        let mut filter = Vec::new();
        for class in &self.classes {
            let in_set = |id: &ColumnId, set: Set| {
                class.members.iter().any(|(relation, known)| known == id && set & (1 << relation) != 0)
            };
            let written = class
                .written
                .iter()
                .map(|(a, b)| if in_set(a, left) { (*a, *b) } else { (*b, *a) })
                .find(|(a, b)| in_set(a, left) && in_set(b, right));
            let pair = written.or_else(|| {
                let pick = |set: Set| {
                    class.members.iter().find(|(relation, _)| set & (1 << relation) != 0).map(|&(_, id)| id)
                };
                pick(left).zip(pick(right))
            });
            if let Some((a, b)) = pair {
                connected = true;
                on.push(Expr::compare(
                    CompareOp::Equal,
                    self.orders.columns.reference(a),
                    self.orders.columns.reference(b),
                ));
            }
        }
        for edge in &self.edges {
            let new =
                edge.relations & !both == 0 && edge.relations & !left != 0 && edge.relations & !right != 0;
            // A condition on an attached relation alone comes with it.
            let own = edge.relations == right && kind != JoinKind::Inner;
            if new || own {
                connected = true;
                if kind == JoinKind::Inner {
                    on.push(edge.expr.clone());
                } else {
                    filter.push(edge.expr.clone());
                }
            }
        }
        (connected || products).then_some(Made { kind, on, filter })
    }

    fn leaf(&self, number: usize) -> Best {
        let relation = &self.relations[number];
        Best {
            cost: 0.0,
            estimate: self.orders.estimator.estimate(&relation.plan),
            columns: Rc::new(relation.plan.output_set()),
            split: None,
        }
    }

    /// The cost of a join beyond that of its sides: rows given, rows held and rows looked up.
    fn cost(&self, made: &Made, left: &Best, right: &Best, rows: f64) -> f64 {
        let (l, r) = (left.estimate.rows, right.estimate.rows);
        let keyed = made
            .on
            .iter()
            .any(|expr| crate::logical::equality(expr, &left.columns, &right.columns).is_some());
        let pairs = if keyed { 0.0 } else { l * r };
        let (held, streamed) = match made.kind {
            JoinKind::Mark(_) | JoinKind::NullMark(_) | JoinKind::Single => (r, l),
            _ => (l.min(r), l.max(r)),
        };
        left.cost + right.cost + rows + held * 1.5 + streamed * 0.5 + pairs
    }

    fn combine(&self, split: (Set, Set), made: &Made, left: &Best, right: &Best) -> Best {
        let estimate = self.orders.estimator.joined(
            made.kind,
            &made.on,
            (&left.columns, &left.estimate),
            (&right.columns, &right.estimate),
        );
        let mut columns = (*left.columns).clone();
        match made.kind {
            JoinKind::Mark(mark) | JoinKind::NullMark(mark) => {
                columns.insert(mark);
            }
            kind if kind.gives_right() => columns.extend(right.columns.iter().copied()),
            _ => {}
        }
        let kept: f64 = made.filter.iter().map(|expr| estimate.selectivity(expr)).product();
        let estimate = if made.filter.is_empty() { estimate } else { estimate.filtered(kept) };
        let cost = self.cost(made, left, right, estimate.rows);
        Best { cost, estimate: Rc::new(estimate), columns: Rc::new(columns), split: Some(split) }
    }

    fn solve(mut self) -> Logical {
        let count = self.relations.len();
        let mut best: HashMap<Set, Best> =
            (0..count).map(|number| (1 << number, self.leaf(number))).collect();
        let mut roots: Vec<Set> = (0..count).map(|number| 1 << number).collect();
        match self.orders.seed {
            Some(seed) => self.by_chance(seed, &mut roots, &mut best),
            None if count <= EXHAUSTIVE => {
                self.every_subset(&roots, &mut best);
                roots = cover(count, &best);
            }
            None => {}
        }
        self.greedily(&mut roots, &mut best);
        if let (&[root], None) = (&roots[..], self.orders.seed)
            && count > EXHAUSTIVE
        {
            self.improve(root, &mut best);
        }
        let constant = std::mem::take(&mut self.constant);
        let plan = match roots.first() {
            Some(&root) => self.build(root, &best),
            None => Logical::one_row(),
        };
        plan.filter(constant)
    }

    /// The best tree of every connected set of the units, which are relations or sets that have a tree.
    fn every_subset(&self, units: &[Set], best: &mut HashMap<Set, Best>) {
        let mut unions: Vec<Set> = vec![0];
        for unit in units {
            unions.extend_from_within(..);
            let half = unions.len() / 2;
            unions[half..].iter_mut().for_each(|set| *set |= unit);
        }
        for (subset, &set) in unions.iter().enumerate().filter(|(subset, _)| subset.count_ones() > 1) {
            let mut part = (subset - 1) & subset;
            while part > 0 {
                let (left, right) = (unions[part], unions[subset & !part]);
                if let (Some(a), Some(b)) = (best.get(&left), best.get(&right)) {
                    // An inner join is tried one way round only.
                    let inner = left > right;
                    if let Some(made) = self.join(left, right, false)
                        && (made.kind != JoinKind::Inner || inner)
                    {
                        let candidate = self.combine((left, right), &made, a, b);
                        if best.get(&set).is_none_or(|known| candidate.cost < known.cost) {
                            best.insert(set, candidate);
                        }
                    }
                }
                part = (part - 1) & subset;
            }
        }
    }

    /// Looks for better trees of parts of a tree, of few units each, and then takes each part for a unit, until the
    /// tree is one (Kossmann and Stocker, 2000).
    fn improve(&self, root: Set, best: &mut HashMap<Set, Best>) {
        let mut units: Vec<Set> = (0..self.relations.len()).map(|number| 1 << number).collect();
        loop {
            let (mut parts, mut open) = (Vec::new(), vec![root]);
            while let Some(set) = open.pop() {
                let within = units.iter().filter(|unit| *unit & set != 0).count();
                match best.get(&set).and_then(|best| best.split) {
                    Some(_) if within <= PART && within > 1 => parts.push(set),
                    Some((left, right)) if within > PART => open.extend([left, right]),
                    _ => {}
                }
            }
            if parts.is_empty() {
                return;
            }
            for part in parts {
                let within: Vec<Set> = units.extract_if(.., |unit| *unit & part != 0).collect();
                self.every_subset(&within, best);
                units.push(part);
            }
        }
    }

    /// Joins the pair that gives the fewest rows until one tree is left; products last.
    fn greedily(&self, roots: &mut Vec<Set>, best: &mut HashMap<Set, Best>) {
        let mut known: HashMap<(Set, Set, bool), Option<Best>> = HashMap::new();
        while roots.len() > 1 {
            let mut found: Option<(f64, (Set, Set, bool))> = None;
            for products in [false, true] {
                for &left in roots.iter() {
                    for &right in roots.iter().filter(|&&right| right != left) {
                        let pair = (left, right, products);
                        let candidate = known.entry(pair).or_insert_with(|| {
                            let made = self.join(left, right, products)?;
                            Some(self.combine((left, right), &made, best.get(&left)?, best.get(&right)?))
                        });
                        if let Some(candidate) = candidate
                            && found.is_none_or(|(rows, _)| candidate.estimate.rows < rows)
                        {
                            found = Some((candidate.estimate.rows, pair));
                        }
                    }
                }
                if found.is_some() {
                    break;
                }
            }
            let Some((_, pair)) = found else { return };
            let Some(made) = known.remove(&pair).flatten() else { return };
            let (left, right, _) = pair;
            roots.retain(|&root| root != left && root != right);
            best.insert(left | right, made);
            roots.insert(0, left | right);
        }
    }

    /// Joins any pair that conditions connect, until none is left.
    fn by_chance(&self, seed: u64, roots: &mut Vec<Set>, best: &mut HashMap<Set, Best>) {
        let mut state = seed;
        loop {
            let pairs = roots.iter().flat_map(|&left| roots.iter().map(move |&right| (left, right)));
            let pairs = pairs.filter(|(left, right)| left != right);
            let joins: Vec<(Set, Set, Made)> = pairs
                .filter_map(|(left, right)| Some((left, right, self.join(left, right, false)?)))
                .collect();
            if joins.is_empty() {
                return;
            }
            let (left, right, made) = &joins[(draw(&mut state) % joins.len() as u64) as usize];
            let (Some(a), Some(b)) = (best.get(left), best.get(right)) else { return };
            let joined = self.combine((*left, *right), made, a, b);
            roots.retain(|root| root != left && root != right);
            best.insert(left | right, joined);
            roots.push(left | right);
        }
    }

    fn build(&mut self, set: Set, best: &HashMap<Set, Best>) -> Logical {
        match best.get(&set).and_then(|best| best.split) {
            None => self.relations[set.trailing_zeros() as usize].plan.take(),
            Some((left, right)) => {
                let made = self.join(left, right, true);
                let (left, right) = (self.build(left, best), self.build(right, best));
                match made {
                    Some(Made { kind, on, filter }) => {
                        let (left, right) = (Box::new(left), Box::new(right));
                        Logical::Join(Join { left, right, kind, on, build_left: false }).filter(filter)
                    }
                    None => left.join(right, JoinKind::Inner, Vec::new()),
                }
            }
        }
    }
}

/// The next number of a sequence (SplitMix64; Steele, Lea and Flood, 2014).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Disjoint sets that have a tree and together are all relations, the largest first.
fn cover(count: usize, best: &HashMap<Set, Best>) -> Vec<Set> {
    let mut sets: Vec<Set> = best.keys().copied().collect();
    sets.sort_by_key(|set| (std::cmp::Reverse(set.count_ones()), *set));
    let (mut covered, mut roots): (Set, Vec<Set>) = (0, Vec::with_capacity(count));
    for set in sets {
        if set & covered == 0 {
            covered |= set;
            roots.push(set);
        }
    }
    roots
}

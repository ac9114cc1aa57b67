//! Whole plans on worker threads, against naive oracles: whatever the tasks of a join, an aggregate, a sort or
//! an exchange do at once, rows are neither lost nor doubled.
//!
//! Data and settings are drawn by a seed, which is printed; `SEED=n` draws the same again.

#![allow(clippy::print_stdout, reason = "a failing run names its seed")]

use super::*;
use crate::operators::testing::{Random, Row, table_of};
use crate::plan::{JoinKey, JoinKind, SortKey};
use std::cmp::Ordering as Order;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use storage::Table;

/// A dense key, a scattered key, a text key, a flag, the row's number.
const TYPES: [DataType; 5] =
    [DataType::Int32, DataType::Int64, DataType::Varchar, DataType::Boolean, DataType::Int64];
const FLAG: usize = 3;
const NUMBER: usize = 4;

/// The tables of one shard, by dataset.
struct Held(Vec<Arc<Table>>);

impl Tables for Held {
    fn table(&self, table: &TableRef) -> Result<Arc<Table>> {
        Ok(self.0[table.dataset as usize].clone())
    }
}

fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed =
        given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into());
    println!("SEED={seed}");
    seed
}

/// `count` rows whose keys are drawn of `domain`, some of them null where `nulls`.
fn drawn(random: &mut Random, count: usize, domain: usize, nulls: bool) -> Vec<Row> {
    let mut row = |number: usize| {
        let mut key = || random.below(domain) as i128;
        let (a, b, c, flag) = (key(), key(), key(), key() % 2 == 0);
        let mut row = vec![
            Scalar::Integer(a - 3),
            Scalar::Integer(b * 1_000_000_000_007),
            Scalar::Bytes(format!("a key beyond an inline view {c}").into_bytes()),
            Scalar::Boolean(flag),
            Scalar::Integer(number as i128),
        ];
        if nulls && random.below(8) == 0 {
            row[random.below(NUMBER)] = Scalar::Null;
        }
        row
    };
    (0..count).map(&mut row).collect()
}

/// The rows of each dataset in even parts on `count` shards, in segments of `segment_rows`.
fn held(datasets: &[&[Row]], count: usize, segment_rows: usize) -> Vec<Arc<dyn Tables>> {
    let part = |rows: &[Row], shard: usize| {
        let bound = |shard: usize| rows.len() * shard / count;
        Arc::new(table_of(&TYPES, &rows[bound(shard)..bound(shard + 1)], segment_rows))
    };
    let shard = |shard| {
        let tables = datasets.iter().map(|rows| part(rows, shard)).collect();
        Arc::new(Held(tables)) as Arc<dyn Tables>
    };
    (0..count).map(shard).collect()
}

fn scan_of(dataset: u64) -> Plan {
    let table = TableRef { tenant: "default".into(), dataset, version: 1, name: format!("t{dataset}") };
    let columns = (0..TYPES.len() as u32).collect();
    Plan::Scan(plan::Scan { table, schema: TYPES.to_vec(), columns, predicate: vec![] })
}

fn key(column: usize) -> Expr {
    Expr::column(column as u32, TYPES[column])
}

/// Pools, and what of the settings may not matter, drawn.
struct Runs {
    pools: Vec<Arc<Workers>>,
    random: Random,
}

impl Runs {
    fn new() -> Runs {
        let pools = [2, 4, 8].map(|threads| Workers::new(threads).unwrap()).into();
        Runs { pools, random: Random(seed()) }
    }

    /// The rows that the fragments give, and how they were run.
    fn run(&mut self, fragments: &[Fragment], tables: &[Arc<dyn Tables>]) -> (Result<Vec<Row>>, String) {
        let workers = &self.pools[self.random.below(self.pools.len())];
        let disturb = (self.random.below(2) == 0).then(|| self.random.below(1 << 30) as u64);
        let batch_rows = [3, 64, 2048][self.random.below(3)];
        let settings = Settings { batch_rows, disturb, ..Settings::default() };
        let how = format!("{settings:?}, {} threads, {} shards", workers.threads(), tables.len());
        let context = query(settings);
        let mut running = RunningQuery::start(fragments, tables, &context, workers).unwrap();
        let batches = collect(&mut running, workers);
        let rows = batches.map(|batches| {
            let row = |batch: &Batch, row| batch.columns.iter().map(|column| column.scalar(row)).collect();
            let rows = |batch: &Batch| (0..batch.rows).map(|at| row(batch, at)).collect::<Vec<Row>>();
            batches.iter().flat_map(rows).collect()
        });
        (rows, how)
    }
}

/// A plan over the rows of `inputs`, which the plan receives: scattered by their keys, or scanned on the spot.
fn fragments(
    shards: usize,
    inputs: Vec<(Plan, Vec<Expr>)>,
    plan: impl FnOnce(Vec<Plan>) -> Plan,
) -> Vec<Fragment> {
    if shards == 1 {
        return vec![fragment(0, plan(inputs.into_iter().map(|(input, _)| input).collect()), OneShard, None)];
    }
    let (mut fragments, mut received) = (Vec::new(), Vec::new());
    for (number, (input, keys)) in inputs.into_iter().enumerate() {
        let id = number as u32 + 2;
        received.push(Plan::Receive { fragment: id, types: input.output_types() });
        fragments.push(fragment(id, input, AllShards, Some(Routing::Hash(keys))));
    }
    let plan = plan(received);
    let root = Plan::Receive { fragment: 1, types: plan.output_types() };
    fragments.push(fragment(1, plan, AllShards, Some(Routing::Gather)));
    fragments.push(fragment(0, root, OneShard, None));
    fragments
}

/// Where two sorted lists part.
#[track_caller]
fn same<T: Ord + std::fmt::Debug>(mut found: Vec<T>, mut wanted: Vec<T>, how: &str) {
    found.sort();
    wanted.sort();
    let parting = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
    assert!(
        parting.is_none() && found.len() == wanted.len(),
        "{} rows for {}, {parting:?}; {how}",
        found.len(),
        wanted.len()
    );
}

const KINDS: [JoinKind; 10] = [
    JoinKind::Inner,
    JoinKind::ProbeOuter,
    JoinKind::BuildOuter,
    JoinKind::Full,
    JoinKind::ProbeSemi,
    JoinKind::ProbeAnti,
    JoinKind::BuildSemi,
    JoinKind::BuildAnti,
    JoinKind::Mark,
    JoinKind::Single,
];

/// A join's condition: key columns of both sides and whether their nulls match, the flag of a side.
struct Condition {
    keys: Vec<(usize, bool)>,
    residual: Option<usize>,
}

impl Condition {
    fn holds(&self, a: &Row, b: &Row) -> Option<bool> {
        let null = |scalar: &Scalar| matches!(scalar, Scalar::Null);
        for &(key, null_equal) in &self.keys {
            let nulls = null(&a[key]) || null(&b[key]);
            if a[key] != b[key] || nulls && !null_equal {
                return Some(false);
            }
        }
        let flag = self.residual.map(|column| match column.checked_sub(TYPES.len()) {
            None => &a[column],
            Some(column) => &b[column],
        });
        match flag {
            None => Some(true),
            Some(Scalar::Boolean(flag)) => Some(*flag),
            Some(_) => None,
        }
    }

    fn plan(&self, kind: JoinKind, probe: Plan, build: Plan) -> Plan {
        let keys = self.keys.iter();
        let keys =
            keys.map(|&(column, null_equal)| JoinKey { probe: key(column), build: key(column), null_equal });
        Plan::HashJoin(plan::HashJoin {
            probe: Box::new(probe),
            build: Box::new(build),
            kind,
            keys: keys.collect(),
            residual: self.residual.map(|column| Expr::column(column as u32, DataType::Boolean)),
        })
    }
}

/// A row of a join: the numbers of the rows it is made of, and the mark.
type Pair = (Option<usize>, Option<usize>, Option<Option<bool>>);

/// What each kind gives, by what the condition says of every pair; `None` is the error of two rows.
fn pairs(kind: JoinKind, verdicts: &[Vec<Option<bool>>], builds: usize) -> Option<Vec<Pair>> {
    let mut result = Vec::new();
    let mut matched = vec![false; builds];
    for (probe, verdicts) in verdicts.iter().enumerate() {
        let matches: Vec<usize> = (0..builds).filter(|&build| verdicts[build] == Some(true)).collect();
        matches.iter().for_each(|&build| matched[build] = true);
        let each = matches.iter().map(|&build| (Some(probe), Some(build), None));
        let alone = (Some(probe), None, None);
        match kind {
            JoinKind::Single if matches.len() > 1 => return None,
            JoinKind::Inner | JoinKind::BuildOuter => result.extend(each),
            JoinKind::ProbeOuter | JoinKind::Full | JoinKind::Single if matches.is_empty() => {
                result.push(alone)
            }
            JoinKind::ProbeOuter | JoinKind::Full | JoinKind::Single => result.extend(each),
            JoinKind::ProbeSemi if !matches.is_empty() => result.push(alone),
            JoinKind::ProbeAnti if matches.is_empty() => result.push(alone),
            JoinKind::Mark => {
                let mark = match matches.is_empty() {
                    false => Some(true),
                    true if verdicts.contains(&None) => None,
                    true => Some(false),
                };
                result.push((Some(probe), None, Some(mark)));
            }
            _ => {}
        }
    }
    let rest = |wanted: bool| (0..builds).filter(move |&build| matched[build] == wanted);
    let alone = |build| (None, Some(build), None);
    match kind {
        JoinKind::BuildSemi => result.extend(rest(true).map(alone)),
        JoinKind::BuildOuter | JoinKind::Full | JoinKind::BuildAnti => result.extend(rest(false).map(alone)),
        _ => {}
    }
    Some(result)
}

/// The pair that a row of a join is, all of whose values must be those of its numbers.
fn pair_of(kind: JoinKind, row: &Row, probe: &[Row], build: &[Row]) -> Pair {
    let side = |values: &[Scalar], rows: &[Row]| {
        let number = values[NUMBER].as_integer().map(|number| number as usize);
        match number {
            Some(number) => assert_eq!(values, rows[number], "{kind:?}"),
            None => assert_eq!(values, vec![Scalar::Null; TYPES.len()], "{kind:?}"),
        }
        number
    };
    let (first, rest) = row.split_at(TYPES.len());
    match (kind, rest) {
        (JoinKind::BuildSemi | JoinKind::BuildAnti, []) => (None, side(first, build), None),
        (JoinKind::Mark, [Scalar::Boolean(mark)]) => (side(first, probe), None, Some(Some(*mark))),
        (JoinKind::Mark, [Scalar::Null]) => (side(first, probe), None, Some(None)),
        (_, []) => (side(first, probe), None, None),
        (_, rest) => (side(first, probe), side(rest, build), None),
    }
}

impl Runs {
    /// Runs the join of every kind and compares what it gives.
    fn join(&mut self, probe: &[Row], build: &[Row], condition: &Condition, segment_rows: usize) {
        let verdict = |a: &Row| build.iter().map(|b| condition.holds(a, b)).collect();
        let verdicts: Vec<Vec<Option<bool>>> = probe.iter().map(verdict).collect();
        let shards = if self.random.below(2) == 0 { 1 } else { 3 };
        let tables = held(&[probe, build], shards, segment_rows);
        for kind in KINDS {
            let keys = || condition.keys.iter().map(|&(column, _)| key(column)).collect();
            let inputs = vec![(scan_of(0), keys()), (scan_of(1), keys())];
            let fragments = fragments(shards, inputs, |mut inputs| {
                let build = inputs.remove(1);
                condition.plan(kind, inputs.remove(0), build)
            });
            let (result, how) = self.run(&fragments, &tables);
            let how = format!("{kind:?} of {:?}, {:?}; {how}", condition.keys, condition.residual);
            match (result, pairs(kind, &verdicts, build.len())) {
                (Ok(rows), Some(wanted)) => {
                    same(rows.iter().map(|row| pair_of(kind, row, probe, build)).collect(), wanted, &how);
                }
                (Err(Error::SubqueryRows), None) => {}
                (result, wanted) => {
                    panic!(
                        "{:?} for {:?}; {how}",
                        result.map(|rows| rows.len()),
                        wanted.map(|rows| rows.len())
                    )
                }
            }
        }
    }
}

#[test]
fn joins_of_few_keys_find_every_row() {
    let mut runs = Runs::new();
    // Many rows of a key are put into the index at once.
    for round in 0..9 {
        let domain = 1 + runs.random.below(4);
        let build = drawn(&mut runs.random, 40_000, domain, false);
        let probe = drawn(&mut runs.random, 2, domain + 1, false);
        let condition = Condition { keys: vec![(round % 3, false)], residual: None };
        runs.join(&probe, &build, &condition, 4_000);
    }
}

#[test]
fn joins_of_many_keys_find_every_pair() {
    let mut runs = Runs::new();
    for keys in [&[0][..], &[1], &[2], &[0, 1], &[2, 0]] {
        for (null_equal, nulls) in [(false, true), (true, true), (true, false)] {
            let count = 50 + runs.random.below(800);
            let domain = if keys.len() == 1 { count } else { 20 };
            let build = drawn(&mut runs.random, count, domain, nulls);
            let probe = drawn(&mut runs.random, 800, domain, true);
            let residual = [None, Some(FLAG), Some(TYPES.len() + FLAG)][runs.random.below(3)];
            let keys = keys.iter().map(|&key| (key, null_equal)).collect();
            runs.join(&probe, &build, &Condition { keys, residual }, 100);
        }
    }
}

/// Each build row matches once, and rows that share a word of the bits that say so match on several workers.
#[test]
fn matches_of_neighbours_are_all_kept() {
    const ROWS: usize = 4_096;
    const PARTS: usize = 8;
    let mut runs = Runs::new();
    let build = drawn(&mut runs.random, ROWS, 1, false);
    let build: Vec<Row> = build
        .into_iter()
        .enumerate()
        .map(|(number, row)| [&[Scalar::Integer(number as i128)], &row[1..]].concat())
        .collect();
    // Each segment has every eighth key.
    let mut probe = build.clone();
    probe.sort_by_key(|row| row[0].as_integer().map(|key| key % PARTS as i128));
    let tables = held(&[&probe, &build], 1, ROWS / PARTS);
    let condition = Condition { keys: vec![(0, false)], residual: None };
    for round in 0..300 {
        let (kind, wanted) = [
            (JoinKind::BuildAnti, 0),
            (JoinKind::BuildSemi, ROWS),
            (JoinKind::BuildOuter, ROWS),
            (JoinKind::Full, ROWS),
        ][round % 4];
        let fragments = fragments(1, vec![(scan_of(0), vec![]), (scan_of(1), vec![])], |mut inputs| {
            let build = inputs.remove(1);
            condition.plan(kind, inputs.remove(0), build)
        });
        let (result, how) = runs.run(&fragments, &tables);
        assert_eq!(result.unwrap().len(), wanted, "{kind:?}, round {round}; {how}");
    }
}

#[test]
fn groups_count_every_row_once() {
    let mut runs = Runs::new();
    let call = |function, column: Option<usize>, data_type| plan::Aggregate {
        function,
        args: column.map(key).into_iter().collect(),
        filter: None,
        data_type,
    };
    let (long, text, wide) = (DataType::Int64, DataType::Varchar, DataType::decimal(38, 0));
    let calls = [
        call(AggregateFunction::CountRows, None, long),
        call(AggregateFunction::Sum, Some(NUMBER), wide),
        call(AggregateFunction::Max, Some(NUMBER), long),
        call(AggregateFunction::Min, Some(2), text),
    ];
    for round in 0..40 {
        let groups: &[usize] = [&[0][..], &[1], &[2], &[0, 2], &[]][round % 5];
        let domain = [3, 5_000][runs.random.below(2)];
        let rows = drawn(&mut runs.random, 6_000, domain, true);
        let mut wanted: BTreeMap<String, (Row, i128, i128, i128, Scalar)> = BTreeMap::new();
        for row in &rows {
            let keys: Row = groups.iter().map(|&group| row[group].clone()).collect();
            let group = wanted.entry(format!("{keys:?}")).or_insert((keys, 0, 0, 0, Scalar::Null));
            let number = row[NUMBER].as_integer().unwrap();
            (group.1, group.2, group.3) = (group.1 + 1, group.2 + number, group.3.max(number));
            if group.4.compare(&row[2]).is_none_or(Order::is_gt) && !matches!(row[2], Scalar::Null) {
                group.4 = row[2].clone();
            }
        }
        let wanted = wanted.into_values().map(|(keys, count, sum, most, least)| {
            let calls = [count, sum, most].map(Scalar::Integer).into_iter().chain([least]);
            format!("{:?}", keys.into_iter().chain(calls).collect::<Row>())
        });
        let shards = if groups.is_empty() { 1 } else { [1, 3][runs.random.below(2)] };
        let tables = held(&[&rows], shards, 300);
        let keys: Vec<Expr> = groups.iter().map(|&group| key(group)).collect();
        let fragments = fragments(shards, vec![(scan_of(0), keys.clone())], |mut inputs| Plan::Aggregate {
            input: Box::new(inputs.remove(0)),
            groups: keys,
            aggregates: calls.to_vec(),
        });
        let (result, how) = runs.run(&fragments, &tables);
        let found = result.unwrap().iter().map(|row| format!("{row:?}")).collect();
        same(found, wanted.collect(), &format!("groups {groups:?}; {how}"));
    }
}

/// Where any groups are enough, those that come are whole.
#[test]
fn some_of_the_groups_count_every_row_once() {
    let mut runs = Runs::new();
    for round in 0..40 {
        let groups: &[usize] = [&[0][..], &[1], &[2], &[0, 2], &[]][round % 5];
        let domain = [3, 5_000][runs.random.below(2)];
        let rows = drawn(&mut runs.random, 6_000, domain, true);
        let mut all: BTreeMap<String, i128> = BTreeMap::new();
        for row in &rows {
            *all.entry(format!("{:?}", groups.iter().map(|&group| &row[group]).collect::<Vec<_>>()))
                .or_default() += 1;
        }
        let count = plan::Aggregate {
            function: AggregateFunction::CountRows,
            args: vec![],
            filter: None,
            data_type: DataType::Int64,
        };
        let keys: Vec<Expr> = groups.iter().map(|&group| key(group)).collect();
        let (limit, offset) = ([0, 1, 10, 3_000][runs.random.below(4)], [0, 5][runs.random.below(2)]);
        let shards = if groups.is_empty() { 1 } else { [1, 3][runs.random.below(2)] };
        let tables = held(&[&rows], shards, 300);
        let fragments = fragments(shards, vec![(scan_of(0), keys.clone())], |mut inputs| {
            let grouped = Plan::Aggregate {
                input: Box::new(inputs.remove(0)),
                groups: keys.clone(),
                aggregates: vec![count],
            };
            let types = grouped.output_types();
            let last = types.len() - 1;
            let turned = std::iter::once(last).chain(0..last);
            let exprs = turned.map(|column| Expr::column(column as u32, types[column])).collect();
            let turned = Plan::Project { input: Box::new(grouped), exprs };
            Plan::Limit { input: Box::new(turned), limit: Some(limit), offset }
        });
        let (result, how) = runs.run(&fragments, &tables);
        let result = result.unwrap();
        if shards == 1 {
            assert_eq!(result.len() as u64, limit.min((all.len() as u64).saturating_sub(offset)), "{how}");
        }
        for row in result {
            let whole = all.remove(&format!("{:?}", row[1..].iter().collect::<Vec<_>>()));
            assert_eq!(Some(row[0].clone()), whole.map(Scalar::Integer), "{row:?} by {groups:?}; {how}");
        }
    }
}

/// The order of two values of a key.
fn order(a: &Scalar, b: &Scalar, descending: bool, nulls_first: bool) -> Order {
    match a.compare(b) {
        Some(order) if descending => order.reverse(),
        Some(order) => order,
        None => {
            let null = |value: &Scalar| matches!(value, Scalar::Null) != nulls_first;
            null(a).cmp(&null(b))
        }
    }
}

#[test]
fn sorted_rows_come_in_order() {
    let mut runs = Runs::new();
    for round in 0..30 {
        // Once more rows than one piece of work merges.
        let count = if round == 0 { 140_000 } else { 4_000 };
        let domain = [3, 5_000][runs.random.below(2)];
        let rows = drawn(&mut runs.random, count, domain, true);
        let first = runs.random.below(FLAG);
        let (descending, nulls_first) = (runs.random.below(2) == 0, runs.random.below(2) == 0);
        let by = |column, descending| SortKey { expr: key(column), descending, nulls_first };
        let keys = vec![by(first, descending), by(NUMBER, false)];
        let range = (runs.random.below(2) == 0).then(|| (runs.random.below(700), runs.random.below(50)));
        let shards = [1, 3][runs.random.below(2)];
        let tables = held(&[&rows], shards, (count / 20).max(1));
        let input = |input| match range {
            None => Plan::Sort { input: Box::new(input), keys: keys.clone() },
            Some((limit, offset)) => {
                let (limit, offset) = (limit as u64, offset as u64);
                Plan::TopN { input: Box::new(input), keys: keys.clone(), limit, offset }
            }
        };
        let received = Plan::Receive { fragment: 1, types: TYPES.to_vec() };
        let fragments = match shards {
            1 => vec![fragment(0, input(scan_of(0)), OneShard, None)],
            _ => vec![
                fragment(1, scan_of(0), AllShards, Some(Routing::Gather)),
                fragment(0, input(received), OneShard, None),
            ],
        };
        let mut wanted: Vec<&Row> = rows.iter().collect();
        wanted.sort_by(|a, b| order(&a[first], &b[first], descending, nulls_first));
        let (limit, offset) = range.unwrap_or((usize::MAX, 0));
        let wanted: Vec<&Row> = wanted.into_iter().skip(offset).take(limit).collect();
        let (result, how) = runs.run(&fragments, &tables);
        let result = result.unwrap();
        assert_eq!(result.len(), wanted.len(), "{how}");
        let parting = result.iter().zip(wanted).position(|(found, wanted)| found != wanted);
        assert_eq!(parting, None, "the first row out of place, by {first}, {range:?}; {how}");
    }
}

/// What a top-N tells the scan of its first key reaches it through joins, filters and projections.
#[test]
fn first_rows_come_whatever_lies_between() {
    let mut runs = Runs::new();
    for round in 0..40 {
        let domain = [3, 60, 5_000][runs.random.below(3)];
        let rows = drawn(&mut runs.random, 4_000, domain, true);
        let others = drawn(&mut runs.random, domain / 2, domain, true);
        let kind =
            [None, Some(JoinKind::ProbeSemi), Some(JoinKind::ProbeAnti), Some(JoinKind::Inner)][round % 4];
        let first = runs.random.below(FLAG);
        let (descending, nulls_first) = (runs.random.below(2) == 0, runs.random.below(2) == 0);
        let mut plan = scan_of(0);
        if let Some(kind) = kind {
            let mut build = scan_of(1);
            if kind == JoinKind::Inner {
                // One of each key, so that rows stay what they are.
                build = Plan::Aggregate { input: Box::new(build), groups: vec![key(0)], aggregates: vec![] };
            }
            plan = Plan::HashJoin(plan::HashJoin {
                probe: Box::new(plan),
                build: Box::new(build),
                kind,
                keys: vec![JoinKey { probe: key(0), build: key(0), null_equal: false }],
                residual: None,
            });
        }
        plan = Plan::Filter { input: Box::new(plan), predicate: key(FLAG) };
        plan = Plan::Project { input: Box::new(plan), exprs: (0..TYPES.len()).rev().map(key).collect() };
        let by = |column: usize, descending| {
            let expr = Expr::column((TYPES.len() - 1 - column) as u32, TYPES[column]);
            SortKey { expr, descending, nulls_first }
        };
        let keys = vec![by(first, descending), by(NUMBER, false)];
        let (limit, offset) = (1 + runs.random.below(100), runs.random.below(20));
        plan = Plan::TopN { input: Box::new(plan), keys, limit: limit as u64, offset: offset as u64 };
        let tables = held(&[&rows, &others], 1, [150, 4_000][runs.random.below(2)]);
        let partners: Vec<&Scalar> =
            others.iter().map(|row| &row[0]).filter(|key| **key != Scalar::Null).collect();
        let matches = |row: &&Row| match kind {
            None => true,
            Some(JoinKind::ProbeAnti) => !partners.contains(&&row[0]),
            Some(_) => partners.contains(&&row[0]),
        };
        let mut wanted: Vec<&Row> =
            rows.iter().filter(|row| row[FLAG] == Scalar::Boolean(true)).filter(matches).collect();
        wanted.sort_by(|a, b| order(&a[first], &b[first], descending, nulls_first));
        let wanted: Vec<Row> = wanted
            .into_iter()
            .skip(offset)
            .take(limit)
            .map(|row| row.iter().rev().cloned().collect())
            .collect();
        let (result, how) = runs.run(&[fragment(0, plan, OneShard, None)], &tables);
        assert!(result.unwrap() == wanted, "by {first}, {kind:?}; {how}");
    }
}

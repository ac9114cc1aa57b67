use super::*;
use crate::hash::weak;
use crate::operators::testing::*;
use columnar::{Batch, DataType, Flat, PhysicalType, Scalar, Values};
use proptest::prelude::*;

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

/// Two small keys, a text key, a flag for residuals, a number of its own for each row.
const TYPES: [DataType; 5] =
    [DataType::Int32, DataType::Int64, DataType::Varchar, DataType::Boolean, DataType::Int64];
const FLAG: usize = 3;

fn rows(random: &mut Random, count: usize, domain: usize, nulls: bool) -> Vec<Row> {
    let mut row = |number: usize| -> Row {
        let or_null = |scalar: Scalar, random: &mut Random| {
            if nulls && random.below(6) == 0 { Scalar::Null } else { scalar }
        };
        let (a, b, c) = (random.below(domain), random.below(3), random.below(domain));
        let flag = Scalar::Boolean(random.below(2) == 0);
        vec![
            or_null(Scalar::Integer(a as i128 - 2), random),
            or_null(Scalar::Integer(b as i128 * 1_000_000_007), random),
            or_null(Scalar::Bytes(format!("{}{c}", "key ".repeat(c % 5)).into_bytes()), random),
            or_null(flag, random),
            Scalar::Integer(number as i128),
        ]
    };
    (0..count).map(&mut row).collect()
}

/// What a join should give, pair by pair.
fn expected(
    kind: JoinKind,
    keys: &[(usize, bool)],
    residual: Option<usize>,
    probe: &[Row],
    build: &[Row],
) -> Option<Vec<Row>> {
    let width = TYPES.len();
    let verdict = |a: &Row, b: &Row| -> Option<bool> {
        for &(key, null_equal) in keys {
            let null = |row: &Row| matches!(row[key], Scalar::Null);
            let equal = match (null(a), null(b)) {
                (false, false) => a[key] == b[key],
                (true, true) => null_equal,
                _ => false,
            };
            if !equal {
                return Some(false);
            }
        }
        match residual.map(|column| if column < width { &a[column] } else { &b[column - width] }) {
            None => Some(true),
            Some(Scalar::Boolean(value)) => Some(*value),
            Some(_) => None,
        }
    };
    let nulls = || vec![Scalar::Null; width];
    let pair = |a: &Row, b: &Row| [a.clone(), b.clone()].concat();
    let mut result = Vec::new();
    for a in probe {
        let verdicts: Vec<Option<bool>> = build.iter().map(|b| verdict(a, b)).collect();
        let matching: Vec<&Row> = build
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| **verdict == Some(true))
            .map(|(b, _)| b)
            .collect();
        match kind {
            JoinKind::Single if matching.len() > 1 => return None,
            JoinKind::ProbeSemi if !matching.is_empty() => result.push(a.clone()),
            JoinKind::ProbeAnti if matching.is_empty() => result.push(a.clone()),
            JoinKind::Mark => {
                let mark = match (matching.is_empty(), verdicts.contains(&None)) {
                    (false, _) => Scalar::Boolean(true),
                    (true, true) => Scalar::Null,
                    (true, false) => Scalar::Boolean(false),
                };
                result.push([a.clone(), vec![mark]].concat());
            }
            _ if kind.gives_probe() && kind.gives_build() => {
                result.extend(matching.iter().map(|b| pair(a, b)));
                if matching.is_empty() && kind.fills_build() {
                    result.push(pair(a, &nulls()));
                }
            }
            _ => {}
        }
    }
    for b in build {
        let matches = probe.iter().any(|a| verdict(a, b) == Some(true));
        match kind {
            JoinKind::BuildSemi if matches => result.push(b.clone()),
            JoinKind::BuildAnti if !matches => result.push(b.clone()),
            JoinKind::BuildOuter | JoinKind::Full if !matches => result.push(pair(&nulls(), b)),
            _ => {}
        }
    }
    Some(result)
}

struct Case<'a> {
    kind: JoinKind,
    keys: &'a [(usize, bool)],
    residual: Option<usize>,
    tight: bool,
    tasks: usize,
}

fn run(case: &Case<'_>, probe: &[Row], build: &[Row], query: &QueryContext) -> Result<Vec<Row>> {
    let keys: Vec<JoinKey> = case
        .keys
        .iter()
        .map(|&(key, null_equal)| {
            let column = Expr::column(key as u32, TYPES[key]);
            JoinKey { probe: column.clone(), build: column, null_equal }
        })
        .collect();
    let residual = case.residual.map(|column| Expr::column(column as u32, DataType::Boolean));
    let (probe_shapes, build_shapes) =
        (shapes_of(&TYPES, probe, case.tight), shapes_of(&TYPES, build, case.tight));
    let join = HashJoin::new(case.kind, &keys, residual.as_ref(), &probe_shapes, &build_shapes, query)?;
    let batch_rows = query.settings.batch_rows;
    fill(&*join.build, batches_of(&TYPES, build, batch_rows), case.tasks, query)?;
    given(&join, batches_of(&TYPES, probe, batch_rows), case.tasks, query)
}

/// What a join that is built gives for batches of the probe side.
fn given(join: &HashJoin, probe: Vec<Batch>, tasks: usize, query: &QueryContext) -> Result<Vec<Row>> {
    let mut result = stream(&*join.probe, probe, tasks, query)?;
    if let Some(rest) = &join.rest {
        assert_eq!(rest.output(), join.probe.output());
        result.extend(drain(&**rest, tasks, query)?);
    }
    Ok(result)
}

/// Numbers of the build side may lie in fewer bytes than those of the probe side; keys of text do not pack.
#[test]
fn keys_are_as_wide_as_the_wider_side() {
    let mut random = Random(7);
    let (probe, build) = (rows(&mut random, 40, 5, true), rows(&mut random, 30, 5, true));
    let keys = [(0, false), (2, false)];
    let query = query(7, None);
    let shapes = |rows: &[Row], is_narrow: bool| {
        let mut shapes = shapes_of(&TYPES, rows, false);
        if is_narrow {
            shapes[0].physical = PhysicalType::I8;
        }
        shapes
    };
    let narrow = |mut batch: Batch| {
        let flat = batch.columns[0].flatten();
        let number = |row: usize| flat.scalar(row).as_integer().unwrap_or(0) as i8;
        let values = Values::I8((0..flat.len()).map(number).collect::<Vec<i8>>().into());
        batch.columns[0] = Flat::new(TYPES[0], values, flat.validity.clone()).into();
        batch
    };
    for kind in KINDS.into_iter().filter(|&kind| kind != JoinKind::Single) {
        for (probe_is_narrow, build_is_narrow) in [(false, true), (true, false), (true, true)] {
            let joined = keys.map(|(key, null_equal)| {
                let column = Expr::column(key as u32, TYPES[key]);
                JoinKey { probe: column.clone(), build: column, null_equal }
            });
            let (probes, builds) = (shapes(&probe, probe_is_narrow), shapes(&build, build_is_narrow));
            let join = HashJoin::new(kind, &joined, None, &probes, &builds, &query).unwrap();
            let of = |rows: &[Row], is_narrow: bool| -> Vec<Batch> {
                let batches = batches_of(&TYPES, rows, 7).into_iter();
                batches.map(|batch| if is_narrow { narrow(batch) } else { batch }).collect()
            };
            fill(&*join.build, of(&build, build_is_narrow), 2, &query).unwrap();
            let result = given(&join, of(&probe, probe_is_narrow), 2, &query).unwrap();
            let wanted = expected(kind, &keys, None, &probe, &build).unwrap();
            assert_eq!(sorted(&result), sorted(&wanted), "{kind:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_kind_equals_the_nested_loop(
        seed: u64,
        counts in (prop_oneof![Just(0_usize), 1..4_usize, 5..60_usize], prop_oneof![Just(0_usize), 1..4_usize, 5..60_usize]),
        domain in prop_oneof![Just(1_usize), Just(7), Just(1000)],
        key_set in 0..8_usize,
        residual in prop_oneof![Just(None), Just(Some(FLAG)), Just(Some(TYPES.len() + FLAG))],
        batch_rows in prop_oneof![Just(1_usize), Just(3), Just(2048)],
        tasks in 1..4_usize,
        nulls: (bool, bool),
        flags: (bool, bool, bool),
    ) {
        let (tight, disturbed, colliding) = flags;
        let mask = if colliding { 0x3000_0000_0000_0001 } else { u64::MAX };
        let keys: &[(usize, bool)] = [
            &[(0, false)][..],
            &[(0, true)],
            &[(0, false), (1, false)],
            &[(0, true), (1, false)],
            &[(2, false)],
            &[(2, true), (0, false)],
            &[(1, true), (2, true)],
            &[],
        ][key_set];
        let mut random = Random(seed);
        let probe = rows(&mut random, counts.0, domain, nulls.0);
        let build = rows(&mut random, counts.1, domain, nulls.1);
        let query = query(batch_rows, disturbed.then_some(seed));
        for kind in KINDS {
            let case = Case { kind, keys, residual, tight, tasks };
            let result = weak::with_mask(mask, || run(&case, &probe, &build, &query));
            match (result, expected(kind, keys, residual, &probe, &build)) {
                (Ok(rows), Some(wanted)) => prop_assert_eq!(sorted(&rows), sorted(&wanted), "{:?}", kind),
                (Err(Error::SubqueryRows), None) => {}
                (result, wanted) => prop_assert!(false, "{kind:?}: {result:?} for {wanted:?}"),
            }
        }
        prop_assert_eq!(query.memory.used_bytes(), 0);
    }
}

#[test]
fn large_builds_are_found_whole() {
    let build: Vec<Row> = (0..30_000_i128)
        .map(|number| {
            let key = number % 20_000;
            vec![
                Scalar::Integer(key * 50_000),
                Scalar::Integer(key),
                Scalar::Bytes(format!("a key that is long {key}").into_bytes()),
                Scalar::Boolean(true),
                Scalar::Integer(number),
            ]
        })
        .collect();
    let probe: Vec<Row> = build.iter().step_by(3).cloned().collect();
    let query = query(2048, None);
    for key in [0, 1, 2] {
        let case =
            Case { kind: JoinKind::Inner, keys: &[(key, false)], residual: None, tight: true, tasks: 2 };
        let rows = run(&case, &probe, &build, &query).unwrap();
        // Keys below 10,000 have two rows.
        let twice = probe.iter().filter(|row| row[1].as_integer().unwrap() < 10_000).count();
        assert_eq!(rows.len(), probe.len() + twice);
        assert!(rows.iter().all(|row| row[key] == row[key + TYPES.len()]));
    }
}

#[test]
fn a_join_beyond_its_memory_fails() {
    let build: Vec<Row> = (0..20_000)
        .map(|number| {
            let mut row = vec![Scalar::Integer(number); 2];
            row.extend([Scalar::Bytes(vec![b'x'; 40]), Scalar::Boolean(true), Scalar::Integer(number)]);
            row
        })
        .collect();
    let mut query = query(2048, None);
    query.memory = MemoryPool::new(300_000);
    let case = Case { kind: JoinKind::Inner, keys: &[(2, false)], residual: None, tight: true, tasks: 2 };
    let error = run(&case, &build[..1], &build, &query).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    assert_eq!(query.memory.used_bytes(), 0);
    assert!(run(&case, &build[..1], &build[..100], &query).is_ok());
}

//! The bytes of plans, as each version writes them: what version 2 adds is in a file of its own.
//!
//! A coordinator sends plans to shards of the version before, and shards get those of such a coordinator. bincode
//! writes the position of a variant and no names, so if this test fails after a change, nodes of two versions would
//! run other plans than were meant. Variants are only appended to an enumeration, and never moved or removed; a
//! structure keeps its fields (a new form of a node is a new variant). What is appended may be sent from the cluster
//! version on that has it (`CatalogState::cluster_version`), and is a further sample in the file of that version;
//! `UPDATE_GOLDEN=1` writes its entry.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../flight-proto/tests/golden/file.rs"]
mod file;

use columnar::types::{Interval, Nested, TimeUnit, enumeration, list_of, nested, struct_of};
use columnar::{DataType, Scalar, Value};
use exec::plan::{
    Aggregate, AggregateFunction, AsOf, FragmentPlacement, FrameBound, FrameExclusion, FrameUnit, HashJoin,
    JoinKey, JoinKind, KeyOrder, Phase, ReceivedColumn, Routing, Scan, Series, SortKey, StateFunction,
    Stateful, TableRef, TopOfGroups, Unroll, Unrolled, Window, WindowCall, WindowFrame, WindowFunction,
};
use exec::{ArithmeticOp, CompareOp, Expr, Fragment, Plan, codec};
use file::Golden;

struct Samples {
    golden: Golden,
    /// All samples, for people.
    text: String,
}

impl Samples {
    fn check(&mut self, name: &str, fragment: Fragment) {
        let golden = self.golden.check(name, codec::encode(&fragment));
        let read = codec::decode(&golden).unwrap();
        assert_eq!(read, fragment, "{name}");
        let text = format!("{read:?}");
        assert_eq!(text, format!("{fragment:?}"), "{name}");
        self.text += &text;
    }

    fn plan(&mut self, name: &str, plan: Plan) {
        let fragment = Fragment { id: 3, plan, placement: FragmentPlacement::AllShards, output: None };
        self.check(&format!("plan {name}"), fragment);
    }

    fn expr(&mut self, name: &str, expr: Expr) {
        let plan = Plan::Project { input: Box::new(receive()), exprs: vec![expr] };
        let fragment = Fragment { id: 3, plan, placement: FragmentPlacement::AllShards, output: None };
        self.check(&format!("expression {name}"), fragment);
    }
}

fn receive() -> Plan {
    Plan::Receive { fragment: 300, types: vec![DataType::Int64] }
}

fn input() -> Box<Plan> {
    Box::new(receive())
}

fn column() -> Expr {
    Expr::column(2, DataType::Int64)
}

fn boxed() -> Box<Expr> {
    Box::new(column())
}

fn text() -> Box<Expr> {
    Box::new(Expr::Literal(Value::varchar("a%")))
}

fn types() -> Vec<DataType> {
    let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
    let timestamps =
        units.into_iter().flat_map(|unit| [false, true].map(|zone| DataType::Timestamp { unit, zone }));
    let mut types = vec![
        DataType::Null,
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::decimal(15, 2),
        DataType::Float32,
        DataType::Float64,
        DataType::Date,
        DataType::Time,
        DataType::Interval,
        DataType::Varchar,
        DataType::Binary,
    ];
    types.extend(timestamps);
    types
}

fn values() -> Vec<Value> {
    let interval = Interval { months: 14, days: -3, micros: 1_500_000 };
    vec![
        Value::null(DataType::Varchar),
        Value::boolean(true),
        Value::int64(-300),
        Value::new(DataType::decimal(38, 2), Scalar::Integer(i128::MAX)),
        Value::float64(-0.5),
        Value::new(DataType::Interval, Scalar::Interval(interval)),
        Value::varchar("äpfel"),
        Value::new(DataType::Binary, Scalar::Bytes(vec![0, 255])),
    ]
}

fn keys() -> Vec<SortKey> {
    vec![
        SortKey { expr: column(), descending: true, nulls_first: false },
        SortKey { expr: column(), descending: false, nulls_first: true },
    ]
}

fn plans(samples: &mut Samples) {
    let table = TableRef { tenant: "default".into(), dataset: 7, version: 3, name: "hits".into() };
    let below = Expr::compare(CompareOp::Less, column(), Expr::Literal(Value::int64(5)));
    let scan = Scan { table, schema: types(), columns: vec![0, 300, 2], predicate: vec![below.clone()] };
    samples.plan("Scan", Plan::Scan(scan));
    samples.plan("Filter", Plan::Filter { input: input(), predicate: below.clone() });
    samples.plan("Project", Plan::Project { input: input(), exprs: vec![column(), column()] });
    for kind in [
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
    ] {
        let keys = vec![JoinKey { probe: column(), build: column(), null_equal: true }];
        let residual = (kind == JoinKind::Inner).then(|| below.clone());
        let join = HashJoin { probe: input(), build: input(), kind, keys, residual };
        samples.plan(&format!("HashJoin {kind:?}"), Plan::HashJoin(join));
    }
    for function in [
        AggregateFunction::CountRows,
        AggregateFunction::Count,
        AggregateFunction::Sum,
        AggregateFunction::SumCounts,
        AggregateFunction::Min,
        AggregateFunction::Max,
        AggregateFunction::AnyValue,
        AggregateFunction::BoolAnd,
        AggregateFunction::BoolOr,
    ] {
        let args = if function == AggregateFunction::CountRows { vec![] } else { vec![column()] };
        let filter = (function == AggregateFunction::Sum).then(|| below.clone());
        let aggregates = vec![Aggregate { function, args, filter, data_type: DataType::Int64 }];
        let plan = Plan::Aggregate { input: input(), groups: vec![column()], aggregates };
        samples.plan(&format!("Aggregate {function:?}"), plan);
    }
    samples.plan("Sort", Plan::Sort { input: input(), keys: keys() });
    samples.plan("TopN", Plan::TopN { input: input(), keys: keys(), limit: 10, offset: 300 });
    samples.plan("Limit", Plan::Limit { input: input(), limit: Some(10), offset: 300 });
    samples.plan("Limit without", Plan::Limit { input: input(), limit: None, offset: 0 });
    samples.plan("Union", Plan::Union { inputs: vec![receive(), receive()] });
    let types = values().iter().map(|value| value.data_type).collect();
    samples.plan("Values", Plan::Values { types, rows: vec![values(), values()] });
    samples.plan("Exchange", Plan::Exchange { input: input(), routing: Routing::Gather });
    samples.plan("Receive", receive());
    samples.plan("Shared", Plan::Shared { number: 300, input: input() });
    let reread = Plan::Reread { number: 300, columns: vec![1, 0], types: vec![DataType::Int64; 2] };
    samples.plan("Reread", reread);
}

fn exprs(samples: &mut Samples) {
    for data_type in types() {
        samples.expr(&format!("Column {data_type:?}"), Expr::column(300, data_type));
    }
    for (at, value) in values().into_iter().enumerate() {
        samples.expr(&format!("Literal {at}, {}", value.data_type), Expr::Literal(value));
    }
    for op in [
        CompareOp::Equal,
        CompareOp::NotEqual,
        CompareOp::Less,
        CompareOp::LessOrEqual,
        CompareOp::Greater,
        CompareOp::GreaterOrEqual,
        CompareOp::IsDistinctFrom,
        CompareOp::IsNotDistinctFrom,
    ] {
        samples.expr(&format!("Compare {op:?}"), Expr::compare(op, column(), column()));
    }
    for op in [
        ArithmeticOp::Add,
        ArithmeticOp::Subtract,
        ArithmeticOp::Multiply,
        ArithmeticOp::Divide,
        ArithmeticOp::Modulo,
    ] {
        let expr = Expr::arithmetic(op, column(), column(), DataType::Int64);
        samples.expr(&format!("Arithmetic {op:?}"), expr);
    }
    samples.expr("And", Expr::And(vec![column(), column(), column()]));
    samples.expr("Or", Expr::Or(vec![column(), column()]));
    samples.expr("Not", Expr::Not(boxed()));
    for negated in [false, true] {
        samples.expr(&format!("IsNull, negated {negated}"), Expr::IsNull { input: boxed(), negated });
        let list = values();
        samples.expr(&format!("InList, negated {negated}"), Expr::InList { input: boxed(), list, negated });
        let escape = negated.then_some('ß');
        let (input, pattern, case_insensitive) = (text(), text(), negated);
        let like = Expr::Like { input, pattern, escape, case_insensitive, negated };
        samples.expr(&format!("Like, negated {negated}"), like);
        let cast = Expr::Cast { input: boxed(), data_type: DataType::Varchar, try_cast: negated };
        samples.expr(&format!("Cast, try {negated}"), cast);
        let otherwise = negated.then(boxed);
        let branches = vec![(column(), column()), (column(), column())];
        let case = Expr::Case { branches, otherwise, data_type: DataType::Int64 };
        samples.expr(&format!("Case, otherwise {negated}"), case);
    }
    let args = vec![*text(), column()];
    samples.expr("Call", Expr::Call { function: "substring".into(), args, data_type: DataType::Varchar });
}

fn fragments(samples: &mut Samples) {
    let routings = [
        Routing::Hash(vec![column(), column()]),
        Routing::Broadcast,
        Routing::Gather,
        Routing::Ranges { key: column(), span: 6_000_000 },
    ];
    for routing in routings {
        let name = format!("{routing:?}");
        let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_string();
        let placement = FragmentPlacement::OneShard;
        let fragment = Fragment { id: 300, plan: receive(), placement, output: Some(routing) };
        samples.check(&format!("fragment {name}"), fragment);
    }
}

fn plans_of_version_2(samples: &mut Samples) {
    let bounded = ReceivedColumn {
        data_type: DataType::decimal(15, 2),
        nullable: false,
        bounds: Some((-300, i128::from(u64::MAX))),
    };
    let words = ReceivedColumn { data_type: DataType::Varchar, nullable: true, bounds: None };
    let received = Plan::ReceiveProven { fragment: 300, columns: vec![bounded, words] };
    samples.plan("ReceiveProven", received);
    let lists = vec![vec![column(), *text()], vec![column(), *text()]];
    samples.plan("Expand", Plan::Expand { input: input(), lists });
    for inclusive in [false, true] {
        let (start, stop, step) = (column(), column(), column());
        let series = Series { input: input(), start, stop, step, inclusive };
        samples.plan(&format!("Series, inclusive {inclusive}"), Plan::Series(series));
    }
    for ties in [false, true] {
        let groups = vec![column(), *text()];
        let top = TopOfGroups { input: input(), groups, keys: keys(), limit: 10, offset: 300, ties };
        samples.plan(&format!("TopOfGroups, ties {ties}"), Plan::TopOfGroups(top));
    }
    for required in [false, true] {
        let (groups, carried) = (vec![column(), *text()], vec![column(), *text()]);
        let join = AsOf { input: input(), groups, keys: keys(), source: column(), carried, required };
        samples.plan(&format!("AsOf, required {required}"), Plan::AsOf(join));
    }
    windows(samples);
    stateful_aggregates(samples);
    types_of_version_2(samples);
    samples.expr(
        "Lambda",
        Expr::Lambda {
            params: vec![DataType::Int32],
            captures: vec![Expr::column(7, DataType::Int64)],
            body: Box::new(Expr::column(1, DataType::Int64)),
            data_type: DataType::Int64,
        },
    );
    for (position, keeps_empty) in [(false, false), (true, true)] {
        let data_type = DataType::Int64;
        let lists = vec![Unrolled { list: Expr::column(2, list_of(data_type).unwrap()), data_type }];
        let unroll = Unroll { input: input(), keep: vec![0, 300], lists, position, keeps_empty };
        samples.plan(&format!("Unroll, position {position}"), Plan::Unroll(unroll));
    }
}

/// Each nested type and enum is described once in a plan.
fn types_of_version_2(samples: &mut Samples) {
    let fields = [("a".to_string(), DataType::UInt8), (String::new(), DataType::Varchar)];
    let record = struct_of(fields).unwrap();
    let size = enumeration(Some("main.size"), vec!["small".into(), "large".into()]).unwrap();
    let types = vec![
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Int128,
        DataType::Uuid,
        DataType::TimeZoned,
        DataType::Json { canonical: false },
        DataType::Json { canonical: true },
        DataType::Bits,
        size,
        record,
        size,
        list_of(record).unwrap(),
        nested(Nested::Array { element: DataType::Int32, len: 3 }).unwrap(),
        nested(Nested::Map { key: DataType::Varchar, value: record }).unwrap(),
        record,
    ];
    let columns =
        types.into_iter().map(|data_type| ReceivedColumn { data_type, nullable: true, bounds: None });
    samples.plan("types", Plan::ReceiveProven { fragment: 300, columns: columns.collect() });
}

fn windows(samples: &mut Samples) {
    use WindowFunction::*;
    let two = || Value::int64(300);
    let bounds = [
        FrameBound::UnboundedPreceding,
        FrameBound::Preceding(two()),
        FrameBound::CurrentRow,
        FrameBound::Following(two()),
        FrameBound::UnboundedFollowing,
    ];
    let exclusions =
        [FrameExclusion::NoOthers, FrameExclusion::CurrentRow, FrameExclusion::Group, FrameExclusion::Ties];
    let functions = [
        RowNumber,
        Rank,
        DenseRank,
        PercentRank,
        CumeDist,
        Ntile,
        Lag,
        Lead,
        FirstValue,
        LastValue,
        NthValue,
        Aggregate(AggregateFunction::Sum),
    ];
    for (at, function) in functions.into_iter().enumerate() {
        let frame = WindowFrame {
            unit: [FrameUnit::Rows, FrameUnit::Range, FrameUnit::Groups][at % 3],
            start: bounds[at % 5].clone(),
            end: bounds[(at + 2) % 5].clone(),
            exclusion: exclusions[at % 4],
            key: (at % 3 == 1).then(column),
        };
        let args = vec![column(), Expr::Literal(two())];
        let ignore_nulls = at % 2 == 1;
        let call = WindowCall { function, args, ignore_nulls, frame, data_type: DataType::Int64 };
        let window = Window { input: input(), partition: vec![column()], order: keys(), calls: vec![call] };
        samples.plan(&format!("Window {function:?}"), Plan::Window(window));
    }
    let table = TableRef { tenant: "default".into(), dataset: 7, version: 3, name: "hits".into() };
    let scan =
        Scan { table, schema: vec![DataType::Varchar, DataType::Int64], columns: vec![1], predicate: vec![] };
    samples.plan("ScanAddressed", Plan::ScanAddressed(scan));
}

fn stateful_aggregates(samples: &mut Samples) {
    use StateFunction::*;
    let functions = [
        VarPop,
        VarSamp,
        StddevPop,
        StddevSamp,
        StandardError,
        Skewness,
        Kurtosis,
        KurtosisPop,
        CovarPop,
        CovarSamp,
        Corr,
        RegrSlope,
        RegrIntercept,
        RegrR2,
        RegrAvgX,
        RegrAvgY,
        RegrSxx,
        RegrSyy,
        RegrSxy,
        Product,
        SumCompensated,
        BitAnd,
        BitOr,
        BitXor,
        SumInterval,
        AvgInterval,
        AvgInteger,
        First,
        Last,
        StringAgg,
        QuantileCont,
        QuantileDisc,
        Mode,
        MedianDeviation,
        Entropy,
        ApproxCountDistinct,
        ApproxQuantile,
        ArrayAgg,
        MapAgg,
        Histogram,
    ];
    let order = KeyOrder::new([(true, false), (false, true)]);
    let phases = [Phase::Whole, Phase::Partial, Phase::Combine, Phase::Final];
    let calls = functions.map(|function| (function, Phase::Whole)).into_iter();
    for (function, phase) in calls.chain(phases.map(|phase| (VarPop, phase)).into_iter().skip(1)) {
        let call = AggregateFunction::Stateful(Stateful { function, phase, order });
        let args = vec![column(), column(), column()];
        let aggregates = vec![Aggregate { function: call, args, filter: None, data_type: DataType::Float64 }];
        let plan = Plan::Aggregate { input: input(), groups: vec![column()], aggregates };
        samples.plan(&format!("Aggregate {function:?} {phase:?}"), plan);
    }
}

/// The variants of all enumerations of a source that plans may hold.
fn variants(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if !(line.starts_with("#[derive(") && line.contains("Serialize")) {
            continue;
        }
        let declaration = lines.find(|line| line.starts_with("pub ")).unwrap();
        // No plan names how values are laid out.
        if declaration.starts_with("pub enum") && !declaration.contains("PhysicalType") {
            let body = lines.by_ref().take_while(|line| *line != "}");
            let names = body.filter_map(|line| line.strip_prefix("    "));
            let names = names.filter(|line| line.starts_with(char::is_uppercase));
            found.extend(
                names.map(|line| line.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_string()),
            );
        }
    }
    found
}

#[test]
fn plans_are_written_and_read_as_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/1.txt");
    let mut samples = Samples { golden: Golden::open(path), text: String::new() };
    plans(&mut samples);
    exprs(&mut samples);
    fragments(&mut samples);
    samples.golden.finish();
    samples.golden = Golden::open(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/2.txt"));
    plans_of_version_2(&mut samples);
    let sources = [
        include_str!("../src/plan.rs"),
        include_str!("../src/plan/stateful.rs"),
        include_str!("../src/expr.rs"),
        include_str!("../../columnar/src/types/mod.rs"),
        include_str!("../../columnar/src/scalar.rs"),
    ];
    let all: Vec<String> = sources.into_iter().flat_map(variants).collect();
    assert!(all.len() > 80, "{all:?}");
    let words: std::collections::HashSet<&str> = samples.text.split(|c: char| !c.is_alphanumeric()).collect();
    let missing: Vec<_> = all.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no plan has {missing:?}");
    samples.golden.finish();
}

/// Plans name functions: each of version 1 is still there, with the types that it had. Those that are added may be
/// called from the cluster version on that has them.
#[test]
fn functions_are_called_as_ever() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/functions_1.txt");
    let today: std::collections::BTreeSet<String> =
        exec::functions::list().into_iter().flat_map(|function| function.signatures).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !std::path::Path::new(path).exists() {
        let lines: String = today.iter().map(|signature| format!("{signature}\n")).collect();
        std::fs::write(path, lines).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(golden.lines().count() > 100, "{golden}");
    let lost: Vec<&str> = golden.lines().filter(|signature| !today.contains(*signature)).collect();
    assert!(lost.is_empty(), "no such functions any more: {lost:?}");
}

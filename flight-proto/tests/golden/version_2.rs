//! What version 2 has that version 1 had not.

mod access;
mod credentials;
mod definitions;

use super::Samples;
use flight_proto::catalog::{
    CatalogState, Change, Command, CreateForeignTables, Dataset, DropForeignTable, DropServer, ForeignServer,
    ForeignTable, Refresh, RefreshMode, Schema, SetClusterVersion, SetPolicyKey, SetRefresh, Shard, Tenant,
};
use flight_proto::manifest::{Deletes, File, Manifest};
use flight_proto::node::{
    AskQuarantine, AskRefreshes, AskWaiting, Edge, Heartbeat, Hydrate, Input, Load, Orders, Quarantine,
    Quarantined, Ran, RefreshCause, RefreshOutcome, RefreshRun, Refreshes, Rows, Run, RunningQuery,
    ScheduleName, Speaks, Stage, StoreUse, Told, Used, Waiting, WantedKeys,
};
use flight_proto::policy::Signed;
use flight_proto::replication::{Answer, AskVersions, Question, Request, Response};
use flight_proto::schema::{Column, ColumnType, TypeKind};
use flight_proto::spending::{Budget, Budgets, OnLimit, Period, Price, Prices, Spend, Spent, SpentBy};

pub(crate) fn samples(samples: &mut Samples) {
    let speaks = Speaks { least: 1, most: 2 };
    samples.check("CatalogState", CatalogState { cluster_version: 2, ..CatalogState::default() });
    let change = Change::SetClusterVersion(SetClusterVersion { version: 2 });
    let command = Command { at_us: 1_700_000_000_000_000, tenant: "default".into(), change: Some(change) };
    samples.check("Command SetClusterVersion", command);
    samples.check("Heartbeat", Heartbeat { shard: 1, speaks: Some(speaks), ..Heartbeat::default() });
    let load = Load {
        uptime_us: 9_000_000,
        processor_us: 3_000_000,
        threads: 2,
        segment_bytes: 1 << 30,
        memory_bytes: 1 << 33,
    };
    samples.check("Heartbeat with a load", Heartbeat { shard: 1, load: Some(load), ..Heartbeat::default() });
    let pool = String::from("acme");
    samples.check("Heartbeat of a pool", Heartbeat { shard: 1, pool: pool.clone(), ..Heartbeat::default() });
    samples.check("Shard of a pool", Shard { weight: 800, pool, ..Shard::default() });
    samples.check("Orders", Orders { epoch: 3, cluster_version: 2, ..Orders::default() });
    let question = Some(Question::Versions(AskVersions {}));
    samples.check("Request Versions", Request { to: 2, question });
    samples.check("Response Speaks", Response { answer: Some(Answer::Speaks(speaks)) });
    refreshes(samples);
    statements(samples);
    let rows = Rows { query: vec![7; 16].into(), fragment: 1, from: 2, to: 0, hears: true };
    samples.check("Rows that hear", rows);
    let keys = WantedKeys { column: 3, first: -2, words: 1, block: vec![1, 0, 0, 0, 0, 0, 0, 128].into() };
    samples.check("WantedKeys", keys);
    tenants(samples);
    nested_column(samples);
    text_columns(samples);
    foreign(samples);
    usage(samples);
    access::samples(samples);
    credentials::samples(samples);
    definitions::samples(samples);
    traces(samples);
}

/// What says that calls of several nodes belong together.
fn traces(samples: &mut Samples) {
    let traceparent = String::from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let run = Run { statement: vec![9; 16].into(), traceparent: traceparent.clone(), ..Run::default() };
    samples.check("Run of a trace", run);
    samples.check("Hydrate of a trace", Hydrate { epoch: 3, traceparent, ..Hydrate::default() });
}

/// What queries use, and what it may cost.
fn usage(samples: &mut Samples) {
    samples.check("Run that tells its use", Run { usage_every_ms: 500, ..Run::default() });
    let used = Used { processor_us: 5_000_000, scanned_bytes: 1 << 30, exchanged_bytes: 300 };
    samples.check("Ran Used", Ran { told: Some(Told::Used(used)) });
    let store = vec![StoreUse { tenant: "acme".into(), requests: 300, bytes: 1 << 20 }];
    samples.check("Heartbeat with its store", Heartbeat { shard: 1, store, ..Heartbeat::default() });
    let price = Price {
        from_us: 1_700_000_000_000_000,
        processor_hour_micros: 1,
        resident_gib_hour_micros: 2,
        scanned_gib_micros: 3,
        exchanged_gib_micros: 4,
        returned_gib_micros: 5,
        thousand_requests_micros: 6,
        foreign_second_micros: 7,
    };
    samples.check("Prices", Prices { prices: vec![price] });
    let budget = |period: Period, on_limit: OnLimit| Budget {
        name: "analysts".into(),
        user: "ann".into(),
        label: "etl".into(),
        period: period.into(),
        limit_micros: 20_000_000,
        warn_percent: 80,
        on_limit: on_limit.into(),
    };
    let budgets = vec![
        budget(Period::Unknown, OnLimit::Unknown),
        budget(Period::Hour, OnLimit::Warn),
        budget(Period::Day, OnLimit::Throttle),
        budget(Period::Month, OnLimit::Stop),
    ];
    samples.check("Budgets", Budgets { tenant: "acme".into(), budgets });
    let spent = Spent {
        user: "ann".into(),
        label: "etl".into(),
        period: Period::Day.into(),
        began_us: 1_700_006_400_000_000,
        held_micros: 9,
        by: vec![SpentBy { source: "0f".into(), micros: 300, scanned_bytes: 1 << 30 }],
    };
    samples.check("Spend", Spend { tenant: "acme".into(), spent: vec![spent] });
}

/// The bytes that describe a type are those of plans, which have samples of their own.
fn nested_column(samples: &mut Samples) {
    let kind =
        ColumnType { kind: TypeKind::Nested.into(), description: vec![1, 2, 3], ..ColumnType::default() };
    samples.check("Column of lists", Column { name: "tags".into(), data_type: Some(kind), nullable: true });
}

/// Columns of types that are text underneath.
fn text_columns(samples: &mut Samples) {
    for (name, kind) in [("json", TypeKind::Json), ("jsonb", TypeKind::Jsonb), ("bits", TypeKind::Bits)] {
        let data_type = Some(ColumnType { kind: kind.into(), ..ColumnType::default() });
        samples.check(&format!("Column of {name}"), Column { name: name.into(), data_type, nullable: true });
    }
}

/// Servers beside Tundra, and their tables.
fn foreign(samples: &mut Samples) {
    let server = || ForeignServer {
        name: "Warehouse".into(),
        wrapper: "postgresql".into(),
        options: [("host".into(), "db".into()), ("user".into(), "ann".into())].into(),
        secrets: [("password".into(), "x".into())].into(),
        created_revision: 300,
        grants: None,
    };
    let kind =
        ColumnType { kind: TypeKind::Decimal.into(), precision: 15, scale: 2, ..ColumnType::default() };
    let table = || ForeignTable {
        schema: "main".into(),
        name: "Orders".into(),
        server: "warehouse".into(),
        remote_schema: "public".into(),
        remote_name: "orders".into(),
        columns: vec![Column { name: "price".into(), data_type: Some(kind.clone()), nullable: true }],
        rows: 300,
        grants: None,
    };
    let servers = [("warehouse".into(), server())].into();
    samples.check("Tenant with a server", Tenant { servers, ..Tenant::default() });
    let foreign_tables = [("orders".into(), table())].into();
    samples.check("Schema with a foreign table", Schema { foreign_tables, ..Schema::default() });
    let drop = DropForeignTable { schema: "main".into(), name: "orders".into(), cascade: false };
    let changes = [
        Change::CreateServer(server()),
        Change::DropServer(DropServer { name: "warehouse".into(), cascade: true }),
        Change::CreateForeignTables(CreateForeignTables { tables: vec![table()], server_revision: 300 }),
        Change::DropForeignTable(drop),
    ];
    for change in changes {
        let name = format!("Command {change:?}");
        let command =
            Command { at_us: 1_700_000_000_000_000, tenant: "default".into(), change: Some(change) };
        samples.check(name.split('(').next().unwrap(), command);
    }
}

/// What came with tenants.
fn tenants(samples: &mut Samples) {
    let signed = || Signed { document: b"abc".to_vec(), key: vec![1; 32], signature: vec![2; 64] };
    let policy = [("tenant/acme".into(), signed())].into();
    let state = CatalogState { policy, policy_key: vec![1; 32], ..CatalogState::default() };
    samples.check("CatalogState policy", state);
    samples.check("Tenant deleted", Tenant { deleted_up_to: 300, ..Tenant::default() });
    for change in [Change::Publish(signed()), Change::SetPolicyKey(SetPolicyKey { key: vec![1; 32] })] {
        let name = format!("Command {change:?}");
        let command =
            Command { at_us: 1_700_000_000_000_000, tenant: "default".into(), change: Some(change) };
        samples.check(name.split('(').next().unwrap(), command);
    }
    let ask = AskRefreshes {
        files: vec![],
        manifests: vec![3],
        tenants: vec!["acme".into()],
        ..AskRefreshes::default()
    };
    samples.check("AskRefreshes of tenants", ask);
    let quarantined = Quarantined { tenant: "acme".into(), ..Quarantined::default() };
    samples.check("Quarantined of a tenant", quarantined);
    samples
        .check("RunningQuery of a tenant", RunningQuery { tenant: "acme".into(), ..RunningQuery::default() });
    samples
        .check("RunningQuery of a state", RunningQuery { state: "queued".into(), ..RunningQuery::default() });
}

fn refreshes(samples: &mut Samples) {
    let refresh = |mode: RefreshMode| Some(Refresh { every_us: 900_000_000, mode: mode.into() });
    samples.check(
        "Dataset Refresh",
        Dataset { id: 4, refresh: refresh(RefreshMode::Full), ..Dataset::default() },
    );
    let refreshed = Manifest { refresh: refresh(RefreshMode::Incremental), ..Manifest::default() };
    samples.check("Manifest Refresh", refreshed);
    samples.check("File generation", File { generation: 2, ..File::default() });
    let deletes = Deletes {
        rows: 3,
        inline: vec![1, 2],
        url: "s3://bucket/deletes/x.rows".into(),
        offset: 4,
        length: 5,
        checksum: 6,
        etag: "tag".into(),
    };
    let file = File { deletes: Some(deletes), ..File::default() };
    samples.check(
        "Manifest Rows",
        Manifest { format: 2, statement: vec![7; 16], files: vec![file], ..Manifest::default() },
    );
    let set = SetRefresh { dataset: 4, every_us: Some(0), mode: Some(RefreshMode::Full.into()) };
    let change = Some(Change::SetRefresh(set));
    let command = Command { at_us: 1_700_000_000_000_000, tenant: "default".into(), change };
    samples.check("Command SetRefresh", command);
    samples.check(
        "AskRefreshes",
        AskRefreshes { files: vec![1, 2], manifests: vec![3], ..AskRefreshes::default() },
    );
    let schedule = ScheduleName {
        tenant: "acme".into(),
        schema: "main".into(),
        table: "t".into(),
        name: "nightly".into(),
    };
    samples.check(
        "AskRefreshes of schedules",
        AskRefreshes { schedules: vec![schedule], ..AskRefreshes::default() },
    );
    let run = |cause: RefreshCause, mode: RefreshMode, outcome| RefreshRun {
        dataset: 4,
        began_us: 1_700_000_000_000_000,
        cause: cause.into(),
        mode: mode.into(),
        outcome,
        elapsed_ms: 12,
        failures: 1,
        next_us: Some(1_700_000_900_000_000),
        ..RefreshRun::default()
    };
    let runs = vec![
        run(RefreshCause::Unknown, RefreshMode::Incremental, None),
        run(RefreshCause::Schedule, RefreshMode::Incremental, Some(RefreshOutcome::Unchanged(true))),
        run(RefreshCause::Event, RefreshMode::Full, Some(RefreshOutcome::Version(5))),
        run(RefreshCause::Statement, RefreshMode::Full, Some(RefreshOutcome::Failed("no such file".into()))),
    ];
    samples.check("Refreshes", Refreshes { runs });
    let named = |cause| RefreshRun {
        schedule: "nightly".into(),
        attempt: 2,
        files_changed: 300,
        tenant: "acme".into(),
        schema: "main".into(),
        table: "t".into(),
        ..run(cause, RefreshMode::Full, Some(RefreshOutcome::Version(5)))
    };
    let runs = [RefreshCause::Schedule, RefreshCause::Manifest, RefreshCause::Operator].map(named).into();
    samples.check("Refreshes of schedules", Refreshes { runs });
}

fn statements(samples: &mut Samples) {
    let statement = || prost::bytes::Bytes::from(vec![9; 16]);
    let quarantined = Quarantined {
        statement: statement(),
        principal: "ann".into(),
        sql: "SELECT 1".into(),
        since_us: 1_700_000_000_000_000,
        milliseconds_left: 300_000,
        shards: vec!["shard-1 at 10.0.0.1:7000".into()],
        tenant: String::new(),
    };
    let ask = AskQuarantine {
        put: Some(quarantined.clone()),
        release: Some(statement()),
        answered: Some(statement()),
    };
    samples.check("AskQuarantine", ask);
    samples.check("Quarantine", Quarantine { statements: vec![quarantined], answered: true });
    samples.check("AskWaiting", AskWaiting { query: vec![7; 16].into() });
    let inputs = vec![Input { fragment: 1, from: 2 }];
    for stage in [Stage::Unknown, Stage::Runs, Stage::Ended] {
        let waiting = Waiting { stage: stage.into(), inputs: inputs.clone(), untold: vec![] };
        samples.check(&format!("Waiting {stage:?}"), waiting);
    }
    let untold = vec![Edge { fragment: 3, to: 4 }];
    samples.check("Waiting to be told", Waiting { stage: Stage::Runs.into(), inputs, untold });
}

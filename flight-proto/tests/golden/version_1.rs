//! What version 1 had.

use super::Samples;
use flight_proto::catalog::{self, *};
use flight_proto::log::{
    Blank, LogEntry, LogId, Membership, Node, Payload, Remembered, Snapshot, Vote, Voters,
};
use flight_proto::manifest::{File, FolderValue, MANIFEST_FORMAT, Manifest};
use flight_proto::node::{self, *};
use flight_proto::replication::{self, *};
use flight_proto::schema::{Column, ColumnType, TypeKind};
use flight_proto::ticket::{CODE_BYTES, Names, Ticket};

pub(crate) fn samples(samples: &mut Samples) {
    catalog(samples);
    log(samples);
    manifest(samples);
    heartbeats(samples);
    segments(samples);
    queries(samples);
    questions(samples);
    answers(samples);
    tickets(samples);
}

fn columns() -> Vec<Column> {
    let kinds = (0..15).filter_map(|kind| TypeKind::try_from(kind).ok());
    let column = |kind: TypeKind| Column {
        name: format!("{kind:?}").to_lowercase(),
        data_type: Some(ColumnType {
            kind: kind.into(),
            precision: if kind == TypeKind::Decimal { 15 } else { 0 },
            scale: if kind == TypeKind::Decimal { 2 } else { 0 },
            second_digits: if kind == TypeKind::Timestamp { 6 } else { 0 },
            zone: kind == TypeKind::Timestamp,
            ..ColumnType::default()
        }),
        nullable: kind != TypeKind::Boolean,
    };
    kinds.map(column).collect()
}

fn version() -> Version {
    Version { number: 3, rows: 1_000_000, size_bytes: 1 << 33, published_at_us: 1_700_000_000_000_000 }
}

fn dataset() -> Dataset {
    Dataset {
        id: 7,
        schema: "Sales".into(),
        name: "Hits".into(),
        columns: columns(),
        location: "s3://bucket/hits/".into(),
        partition_by: vec!["int64".into(), "date".into()],
        version: Some(version()),
        refresh: None,
        grants: None,
    }
}

fn shard(status: ShardStatus) -> Shard {
    Shard {
        weight: 800,
        status: status.into(),
        address: "10.0.0.4:7000".into(),
        ordered_revision: 300,
        ..Shard::default()
    }
}

fn state() -> CatalogState {
    let schema = Schema {
        name: "Sales".into(),
        tables: [("hits".into(), 7)].into(),
        numbers: [("hits".into(), 7), ("gone".into(), 9)].into(),
        ..Schema::default()
    };
    let tenant = Tenant {
        schemas: [("sales".into(), schema)].into(),
        datasets: [(7, dataset())].into(),
        dropped: [(5, 2), (9, 0)].into(),
        ..Tenant::default()
    };
    CatalogState {
        revision: 300,
        last_dataset: 9,
        tenants: [("default".into(), tenant)].into(),
        shards: [(1, shard(ShardStatus::Active)), (u64::MAX >> 1, shard(ShardStatus::Down))].into(),
        restoring: true,
        cluster_version: 0,
        ..CatalogState::default()
    }
}

fn command(change: Change) -> Command {
    Command { at_us: 1_700_000_000_000_000, tenant: "default".into(), change: Some(change) }
}

fn create_schema() -> Change {
    Change::CreateSchema(CreateSchema { name: "Sales".into(), owner: String::new() })
}

fn catalog(samples: &mut Samples) {
    samples.check("CatalogState", state());
    samples.check("CatalogState of nothing", CatalogState::default());
    samples.check("Column", columns()[6].clone());
    samples.check("Command without a change", Command { change: None, ..command(create_schema()) });
    let allocate =
        AllocateDataset { above: 8, schema: "Sales".into(), name: "Hits".into(), owner: String::new() };
    let changes = [
        create_schema(),
        Change::DropSchema(DropSchema { name: "Sales".into() }),
        Change::AllocateDataset(allocate),
        Change::SwitchVersion(SwitchVersion { dataset: Some(dataset()) }),
        Change::DropDataset(DropDataset { dataset: 7, version: 4 }),
        Change::Restore(state()),
        Change::Restored(Restored {}),
        Change::SetShard(SetShard { shard: 1, state: Some(shard(ShardStatus::Active)) }),
        Change::RemoveShard(RemoveShard { shard: 1 }),
        Change::SetShardStatus(SetShardStatus { shard: 1, status: ShardStatus::Draining.into() }),
    ];
    for change in changes {
        let name = format!("Command {}", variant(&change));
        samples.check(&name, command(change));
    }
    for status in (0..100).filter_map(|status| ShardStatus::try_from(status).ok()) {
        samples.check(&format!("Shard {status:?}"), shard(status));
    }
    let dataset = catalog::Reply { outcome: Some(Outcome::Dataset(7)) };
    samples.check("Reply Dataset", dataset);
    samples.check("Reply Done", catalog::Reply { outcome: Some(Outcome::Done(catalog::Done {})) });
    for reason in (0..100).filter_map(|reason| Reason::try_from(reason).ok()) {
        let refused = Refused { reason: reason.into(), name: "Hits".into(), offered: 3, current: 300 };
        let reply = catalog::Reply { outcome: Some(Outcome::Refused(refused)) };
        samples.check(&format!("Reply Refused {reason:?}"), reply);
    }
}

/// What a choice is called.
fn variant(choice: &impl std::fmt::Debug) -> String {
    let text = format!("{choice:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_string()
}

const LAST: LogId = LogId { term: 3, node: 2, index: 300 };
const VOTE: Vote = Vote { term: 3, node: 2, committed: true };

fn membership() -> Membership {
    Membership {
        voters: vec![Voters { nodes: vec![1, 2, 3] }, Voters { nodes: vec![1, 2] }],
        nodes: (1..=3).map(|id| Node { id, address: format!("10.0.0.{id}:7000") }).collect(),
    }
}

fn entry(payload: Payload) -> LogEntry {
    LogEntry { id: Some(LAST), payload: Some(payload), identity: (0..16).collect(), after: 299 }
}

fn log(samples: &mut Samples) {
    samples.check("LogId", LAST);
    samples.check("Vote", VOTE);
    let payloads = [
        Payload::Blank(Blank {}),
        Payload::Command(command(create_schema())),
        Payload::Membership(membership()),
    ];
    for payload in payloads {
        samples.check(&format!("LogEntry {}", variant(&payload)), entry(payload));
    }
    let reply = catalog::Reply { outcome: Some(Outcome::Dataset(7)) };
    let snapshot = Snapshot {
        last: Some(LAST),
        membership_id: Some(LogId { index: 200, ..LAST }),
        membership: Some(membership()),
        state: Some(state()),
        remembered: vec![Remembered { identity: (0..16).collect(), index: 299, reply: Some(reply) }],
        forgotten: 17,
    };
    samples.check("Snapshot", snapshot);
}

fn a_manifest() -> Manifest {
    let file = File {
        url: "s3://bucket/hits/day=1/part-0.parquet".into(),
        size_bytes: 123_456_789,
        etag: "\"abc\"".into(),
        modified_at_us: 1_700_000_000_000_000,
        rows: 1_000_000,
        folder_values: vec![
            FolderValue { column: "day".into(), text: Some("1".into()) },
            FolderValue { column: "hour".into(), text: None },
        ],
        generation: 0,
        deletes: None,
    };
    Manifest {
        format: MANIFEST_FORMAT,
        tenant: "default".into(),
        dataset: 7,
        version: 3,
        schema: "Sales".into(),
        name: "Hits".into(),
        columns: columns(),
        location: "s3://bucket/hits/".into(),
        partition_by: vec!["int64".into()],
        files: vec![file.clone(), File { etag: String::new(), folder_values: vec![], ..file }],
        tombstone: true,
        created_at_us: 1_700_000_000_000_000,
        columns_declared: true,
        partition_span: 6_000_000,
        refresh: None,
        statement: Vec::new(),
    }
}

fn manifest(samples: &mut Samples) {
    samples.check("Manifest", a_manifest());
    let plain = Manifest { format: 1, dataset: 1, version: 1, name: "t".into(), ..Manifest::default() };
    samples.check("Manifest of little", plain);
}

fn name() -> VersionName {
    VersionName { tenant: "default".into(), dataset: 7, version: 3 }
}

fn dealing() -> Dealing {
    Dealing {
        shards: vec![Member { id: 1, weight: 800 }, Member { id: 2, weight: 0 }],
        replicas: 2,
        replicated_rows: 200_000,
        buckets: 32,
        bucket_rows: 131_072,
        slices: 64,
    }
}

fn held(placement: PlacementKind) -> Held {
    let mut held = Held {
        version: Some(name()),
        placement: 0,
        keys: vec![0, 4],
        buckets: 32,
        numbers: vec![0, 2, 31],
        rows: vec![1000, 2000, 300_000],
        span: 6_000_000,
    };
    held.set_placement(placement);
    held
}

fn heartbeats(samples: &mut Samples) {
    let hydration = Hydration {
        version: Some(name()),
        began_us: 1_700_000_000_000_000,
        elapsed_ms: 1500,
        rows_total: 1_000_000,
        rows_done: 500_000,
        bytes_read: 1 << 30,
        ended: true,
        failure: Some("no such file".into()),
    };
    let holdings = Holdings { versions: vec![held(PlacementKind::Hash), held(PlacementKind::Spread)] };
    let heartbeat = Heartbeat {
        shard: u64::MAX >> 1,
        incarnation: 12345,
        address: "10.0.0.4:7000".into(),
        weight: 800,
        holdings_revision: 17,
        holdings: Some(holdings),
        hydrated_revision: 299,
        wanted_revision: 300,
        hydrations: Some(Hydrations { hydrations: vec![hydration] }),
        speaks: None,
        load: None,
        store: Vec::new(),
        pool: String::new(),
    };
    samples.check("Heartbeat", heartbeat.clone());
    samples.check("Heartbeat of no news", Heartbeat { holdings: None, hydrations: None, ..heartbeat });
    for kind in (0..100).filter_map(|kind| PlacementKind::try_from(kind).ok()) {
        samples.check(&format!("Held {kind:?}"), held(kind));
    }
    let wanted = Wanted {
        revision: 300,
        dealing: Some(dealing()),
        versions: vec![name()],
        nothing: true,
        access: vec![],
    };
    let orders = Orders {
        epoch: 3,
        holdings_revision: 17,
        wanted: Some(wanted),
        in_use: vec![name()],
        settled_revision: 299,
        coordinators: vec!["10.0.0.1:7000".into(), "10.0.0.2:7000".into()],
        shards: vec!["10.0.0.5:7000".into()],
        cluster_version: 0,
    };
    samples.check("Orders", orders.clone());
    samples.check("Orders of no news", Orders { wanted: None, ..orders });
}

fn segments(samples: &mut Samples) {
    let key: prost::bytes::Bytes = (0..16).collect();
    samples.check("VersionName", name());
    let ask = AskSegments { tenant: "default".into(), dataset: 7, keys: vec![key.clone(), key.clone()] };
    samples.check("AskSegments", ask);
    samples.check("HaveSegments", HaveSegments { bytes: vec![0, 1 << 20] });
    samples.check("TakeSegment", TakeSegment { tenant: "default".into(), dataset: 7, key });
    let hydrate =
        Hydrate { epoch: 3, manifest: Some(a_manifest()), dealing: Some(dealing()), ..Hydrate::default() };
    samples.check("Hydrate", hydrate);
    samples.check("Summarize", Summarize { version: Some(name()), buckets: vec![0, 2, 31] });
    samples.check("Summaries", Summaries { buckets: vec![b"abc"[..].into(), b""[..].into()] });
}

fn queries(samples: &mut Samples) {
    let query: prost::bytes::Bytes = (0..16).collect();
    samples.check("AskQueries", AskQueries { query: Some("00ff".into()), cancel: true });
    let running = RunningQuery {
        query: "00ff".into(),
        principal: "ada".into(),
        sql: "SELECT 1".into(),
        elapsed_ms: 1500,
        plan: Some("Values".into()),
        tenant: String::new(),
        state: String::new(),
    };
    samples.check("Queries", Queries { queries: vec![running] });
    let run = Run {
        epoch: 3,
        query: query.clone(),
        tenant: "default".into(),
        principal: "ada".into(),
        fragments: vec![b"abc"[..].into(), b"de"[..].into()],
        shards: vec!["10.0.0.4:7000".into(), "10.0.0.5:7000".into()],
        shard: 1,
        single: 1,
        slices: vec![0, 1, 0, 1],
        tables: vec![Share { version: Some(name()), buckets: vec![0, 2, 31] }],
        milliseconds_left: Some(30_000),
        batch_rows: 2048,
        parallelism: 8,
        disturb: Some(5),
        ..Run::default()
    };
    samples.check("Run", run.clone());
    samples.check("Run without bounds", Run { milliseconds_left: None, disturb: None, ..run });
    let nodes =
        vec![NodeProfile { rows: 1000, batches: 3, nanoseconds: 123_456, memory_peak_bytes: 1 << 20 }];
    let done = node::Done { profiles: vec![node::Profile { fragment: 2, nodes }], exchanged_bytes: 1 << 30 };
    let told = [Told::Started(Started {}), Told::Rows(b"frame"[..].into()), Told::Done(done)];
    for told in told {
        samples.check(&format!("Ran {}", variant(&told)), Ran { told: Some(told) });
    }
    for kind in (0..100).filter_map(|kind| FailureKind::try_from(kind).ok()) {
        let failure = Failure { kind: kind.into(), message: "division by zero".into() };
        samples.check(&format!("Ran Failed {kind:?}"), Ran { told: Some(Told::Failed(failure)) });
    }
    samples.check("Rows", Rows { query, fragment: 2, from: 1, to: 3, hears: false });
}

fn questions(samples: &mut Samples) {
    let campaign = Campaign { vote: Some(VOTE), last: Some(LAST), transfer: true };
    let part = SnapshotPart {
        vote: Some(VOTE),
        last: Some(LAST),
        total_bytes: 300,
        offset: 2,
        bytes: b"xyz".to_vec(),
    };
    let append = Append {
        vote: Some(VOTE),
        previous: Some(LogId { index: 299, ..LAST }),
        entries: vec![entry(Payload::Command(command(create_schema())))],
        committed: Some(LAST),
    };
    let propose =
        Propose { identity: (0..16).collect(), after: 299, command: Some(command(create_schema())) };
    let add = MemberChange::Add(Node { id: 4, address: "10.0.0.9:7000".into() });
    let change = |change| Question::ChangeMembers(ChangeMembers { change: Some(change) });
    let questions = [
        ("Append", Question::Append(append)),
        ("Vote", Question::Vote(campaign)),
        ("PreVote", Question::PreVote(campaign)),
        ("Snapshot", Question::Snapshot(part)),
        ("Transfer", Question::Transfer(Transfer { vote: Some(VOTE), to: 3, last: Some(LAST) })),
        ("Propose", Question::Propose(propose)),
        ("ReadIndex", Question::ReadIndex(replication::ReadIndex {})),
        ("ChangeMembers Add", change(add)),
        ("ChangeMembers Remove", change(MemberChange::Remove(4))),
        ("HandOver", Question::HandOver(4)),
    ];
    for (name, question) in questions {
        samples.check(&format!("Request {name}"), Request { to: 2, question: Some(question) });
    }
}

fn answers(samples: &mut Samples) {
    for outcome in (0..100).filter_map(|outcome| AppendOutcome::try_from(outcome).ok()) {
        let appended = Appended { outcome: outcome.into(), vote: Some(VOTE) };
        let response = Response { answer: Some(Answer::Appended(appended)) };
        samples.check(&format!("Response Appended {outcome:?}"), response);
    }
    let node = Node { id: 4, address: "10.0.0.9:7000".into() };
    let reply = catalog::Reply { outcome: Some(Outcome::Dataset(7)) };
    let answers = [
        Answer::Failed(Failed { why: "too busy".into(), unknown: true }),
        Answer::Voted(Voted { vote: Some(VOTE), last: Some(LAST), granted: true }),
        Answer::Received(Received { vote: Some(VOTE), bytes: 300, installed: true }),
        Answer::Transferred(Transferred { accepted: true }),
        Answer::Replied(reply),
        Answer::Forgotten(Forgotten {}),
        Answer::ReadIndex(300),
        Answer::Changed(Changed {}),
        Answer::NotLeader(NotLeader { leader: Some(node) }),
        Answer::Refused("no".into()),
    ];
    for answer in answers {
        samples.check(&format!("Response {}", variant(&answer)), Response { answer: Some(answer) });
    }
}

fn tickets(samples: &mut Samples) {
    for names in [Names::statement(7), Names::prepared(8)] {
        let name = format!("Ticket {}", variant(&names));
        let ticket = Ticket {
            tenant: "default".into(),
            names: Some(names),
            principal: "ada".into(),
            session: vec![1, 2],
            expires_ms: 300,
        };
        samples.check(&name, ticket.clone());
        let golden = samples.check_bytes(&format!("{name} signed"), ticket.to_bytes(|_| [7; CODE_BYTES]));
        assert_eq!(Ticket::from_bytes(&golden, |_, code| code == [7; CODE_BYTES]), Ok(ticket));
    }
}

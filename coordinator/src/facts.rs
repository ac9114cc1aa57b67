//! What operators are told of the cluster, as the Admin API gives it; the tables of `system` are made of the same.

use crate::catalog::{CatalogStore, MemberState, RaftMember, RaftStatus};
use crate::coordinator::{Coordinator, QuerySummary};
use crate::datasets::now_us;
use crate::explain::query_of;
use crate::progress::Stage;
use crate::quarantine::Refused;
use crate::refreshes::RefreshSummary;
use crate::shards::Shards;
use crate::shards::nodes::NodeSummary;
use crate::tenants::Tenants;
use crate::view::{Resident, View};
use columnar::{DataType, Interval, Scalar, Value};
use flight_proto::admin;
use flight_proto::catalog::RefreshMode;
use flight_proto::node::{RefreshCause, RefreshOutcome, RefreshRun};
use network::Versions;
use planner::catalog::Partitioning;
use shard::{Hydration, HydrationState, VersionId};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

/// A shard's number as people write it.
pub(crate) fn shard_text(id: u64) -> String {
    format!("{id:016x}")
}

/// A query's number as people write it.
pub(crate) fn query_text(id: u128) -> String {
    format!("{id:032x}")
}

fn speaks(versions: Versions) -> admin::Speaks {
    admin::Speaks { least: versions.least.into(), most: versions.most.into() }
}

pub(crate) fn nodes(coordinator: &Coordinator) -> admin::Nodes {
    let tenants = &coordinator.tenants;
    admin::Nodes {
        cluster_version: tenants.catalog().snapshot().cluster_version().into(),
        coordinators: coordinators(tenants.catalog()),
        shards: shards(tenants.shards()),
        moving: tenants.moving(),
    }
}

pub(crate) fn coordinators(catalog: &dyn CatalogStore) -> Vec<admin::Coordinator> {
    let RaftStatus { id, leader, term, last_applied, members, state } = catalog.status();
    let member = |member: RaftMember| admin::Coordinator {
        role: match member.votes {
            _ if leader == Some(member.id) => "leader",
            _ if member.id == id && state == MemberState::Candidate => "candidate",
            true => "follower",
            false => "learner",
        }
        .into(),
        here: member.id == id,
        term,
        // Where the others are is not known here.
        applied: last_applied.filter(|_| member.id == id),
        speaks: member.versions.map(speaks),
        id: member.id,
        address: member.address,
    };
    members.into_iter().map(member).collect()
}

pub(crate) fn leader(catalog: &dyn CatalogStore) -> admin::Leader {
    let status = catalog.status();
    let leader = status.members.into_iter().find(|member| Some(member.id) == status.leader);
    admin::Leader {
        coordinator: leader.as_ref().map(|leader| leader.id),
        address: leader.map(|leader| leader.address).unwrap_or_default(),
        term: status.term,
    }
}

pub(crate) fn shards(shards: &Shards) -> Vec<admin::Shard> {
    let shard = |node: NodeSummary| admin::Shard {
        id: shard_text(node.id),
        address: node.address,
        status: node.status.into(),
        alive: node.alive,
        buckets: node.buckets as u64,
        rows: node.rows,
        pool: node.pool,
        speaks: node.versions.map(speaks),
        load: node.load.map(|load| admin::ShardLoad {
            uptime_us: load.uptime_us,
            processor_us: load.processor_us,
            threads: load.threads,
            segment_bytes: load.segment_bytes,
            memory_bytes: load.memory_bytes,
        }),
    };
    shards.summaries().into_iter().map(shard).collect()
}

/// The shards of a tenant's pools as it sees them: what they hold of its own.
pub(crate) fn shards_of(tenant: &str, pools: &[&str], all: &Shards) -> Vec<admin::Shard> {
    let holdings = all.holdings();
    let mut shards = shards(all);
    shards.retain(|shard| pools.contains(&shard.pool.as_str()));
    for shard in &mut shards {
        let holdings = holdings.iter().find(|(id, _)| shard_text(*id) == shard.id).map(|(_, held)| held);
        let own = holdings.into_iter().flat_map(|held| held.iter()).filter(|(id, _)| id.tenant == tenant);
        let (mut buckets, mut rows) = (0, 0);
        for (_, holding) in own {
            buckets += holding.held.len() as u64;
            rows += holding.held.iter().map(|&(_, rows)| rows).sum::<u64>();
        }
        (shard.buckets, shard.rows) = (buckets, rows);
    }
    shards
}

pub(crate) fn datasets(view: &View, coordinator: &Coordinator) -> Vec<admin::Dataset> {
    let snapshot = coordinator.tenants.catalog().snapshot();
    let dataset = |resident: &Arc<Resident>| {
        let table = &resident.table;
        let known = snapshot.dataset(&table.tenant, table.dataset);
        admin::Dataset {
            tenant: table.tenant.clone(),
            dataset: table.dataset,
            schema: table.schema.clone(),
            table: table.name.clone(),
            version: table.version,
            rows: table.statistics.rows,
            size_bytes: known.and_then(|known| known.version).map_or(0, |version| version.size_bytes),
            placement: placement_text(&table.partitioning).into(),
            state: view.state_of(resident).err().unwrap_or_else(|| "resident".into()),
            location: known.map(|known| known.location.clone()).unwrap_or_default(),
            refresh: coordinator
                .refreshes
                .summary(table.dataset, known.and_then(|known| known.refresh))
                .map(refresh),
        }
    };
    view.residents().map(dataset).collect()
}

fn refresh(summary: RefreshSummary) -> admin::Refresh {
    admin::Refresh {
        every: (summary.refresh.every_us > 0).then(|| interval_text(summary.refresh.every_us)),
        mode: mode_text(summary.refresh.mode()).into(),
        next_at_us: summary.next_us,
        last: summary.last.map(refresh_run),
    }
}

pub(crate) fn refresh_run(run: RefreshRun) -> admin::RefreshRun {
    let (cause, mode) = (run.cause(), run.mode());
    let (state, version, error) = match run.outcome {
        None => ("running", None, String::new()),
        Some(RefreshOutcome::Unchanged(_)) => ("unchanged", None, String::new()),
        Some(RefreshOutcome::Version(version)) => ("refreshed", Some(version), String::new()),
        Some(RefreshOutcome::Failed(why)) => ("failed", None, why),
    };
    admin::RefreshRun {
        began_at_us: run.began_us,
        elapsed_ms: run.elapsed_ms,
        started_by: match cause {
            RefreshCause::Unknown => String::new(),
            RefreshCause::Schedule if run.schedule.is_empty() => "clock".into(),
            RefreshCause::Schedule => format!("schedule {}", run.schedule),
            RefreshCause::Event => "event".into(),
            RefreshCause::Statement => "statement".into(),
            RefreshCause::Manifest => "manifest".into(),
            RefreshCause::Operator => "operator".into(),
        },
        mode: mode_text(mode).into(),
        state: state.into(),
        version,
        error,
        failures: run.failures,
        attempt: run.attempt,
        files_changed: run.files_changed,
    }
}

pub(crate) fn mode_text(mode: RefreshMode) -> &'static str {
    match mode {
        RefreshMode::Incremental => "incremental",
        RefreshMode::Full => "full",
    }
}

/// As PostgreSQL writes intervals: `1 day 02:00:00`.
fn interval_text(micros: u64) -> String {
    const DAY_US: u64 = 86_400_000_000;
    let days = i32::try_from(micros / DAY_US).unwrap_or(i32::MAX);
    let interval = Interval { months: 0, days, micros: (micros % DAY_US) as i64 };
    Value::new(DataType::Interval, Scalar::Interval(interval)).to_string()
}

fn placement_text(partitioning: &Partitioning) -> &'static str {
    match partitioning {
        Partitioning::Replicated => "replicated",
        Partitioning::Hash(_) => "hash",
        Partitioning::Ranges { .. } => "range",
        Partitioning::Spread => "spread",
    }
}

/// Who holds what of the versions that queries see.
pub(crate) fn placement(coordinator: &Coordinator) -> Vec<admin::Placement> {
    let holdings = coordinator.tenants.shards().holdings();
    let placement = |resident: &Arc<Resident>| {
        let table = &resident.table;
        let id = VersionId { tenant: table.tenant.clone(), dataset: table.dataset, version: table.version };
        let mut buckets: BTreeMap<u32, admin::Bucket> = BTreeMap::new();
        for (shard, held) in &holdings {
            let Some(holding) = held.get(&id) else { continue };
            for bucket in 0..holding.buckets as u32 {
                let empty = admin::Bucket { bucket, rows: 0, shards: Vec::new() };
                buckets.entry(bucket).or_insert(empty);
            }
            for &(number, rows) in &holding.held {
                if let Some(bucket) = buckets.get_mut(&number) {
                    bucket.rows = rows;
                    bucket.shards.push(shard_text(*shard));
                }
            }
        }
        admin::Placement {
            tenant: table.tenant.clone(),
            dataset: table.dataset,
            schema: table.schema.clone(),
            table: table.name.clone(),
            version: table.version,
            placement: placement_text(&table.partitioning).into(),
            buckets: buckets.into_values().collect(),
        }
    };
    let views = coordinator.tenants.all().into_iter().map(|datasets| datasets.view());
    views.flat_map(|view| view.residents().map(placement).collect::<Vec<_>>()).collect()
}

/// What the shards bring in, and for each dataset what they brought in last.
pub(crate) fn hydrations(tenants: &Tenants) -> Vec<admin::Hydration> {
    let snapshot = tenants.catalog().snapshot();
    let hydration = |shard: u64, hydration: Hydration| {
        let id = &hydration.version;
        let known = snapshot.dataset(&id.tenant, id.dataset);
        let (state, error) = match hydration.state {
            HydrationState::Running => ("running", String::new()),
            HydrationState::Done => ("done", String::new()),
            HydrationState::Failed(why) => ("failed", why),
        };
        admin::Hydration {
            shard: shard_text(shard),
            tenant: id.tenant.clone(),
            dataset: id.dataset,
            schema: known.map(|known| known.schema.clone()).unwrap_or_default(),
            table: known.map(|known| known.name.clone()).unwrap_or_default(),
            version: id.version,
            state: state.into(),
            error,
            rows_done: hydration.counts.rows_done,
            rows_total: hydration.counts.rows_total,
            bytes_read: hydration.counts.bytes_read,
            began_at_us: hydration.began_us,
            elapsed_ms: hydration.elapsed_ms,
        }
    };
    let all = tenants.shards().hydrations().into_iter();
    all.flat_map(|(shard, of)| of.into_iter().map(move |one| (shard, one)))
        .map(|(shard, one)| hydration(shard, one))
        .collect()
}

/// The queries of this coordinator, the oldest first.
pub(crate) fn queries(coordinator: &Coordinator) -> Vec<admin::Query> {
    let own = coordinator.tenants.catalog().status().id;
    let snapshot = coordinator.tenants.catalog().snapshot();
    let query = |query: QuerySummary| admin::Query {
        query: query_text(query.id),
        coordinator: own,
        tenant: query.tenant.to_string(),
        principal: query.principal.to_string(),
        sql: query.sql.to_string(),
        elapsed_ms: u64::try_from(query.elapsed.as_millis()).unwrap_or(u64::MAX),
        state: match query.stage {
            Stage::Planning => "planning".into(),
            Stage::Queued => "queued".into(),
            Stage::Waking => {
                let pool = snapshot.pool_of(&query.tenant);
                coordinator.pools.of(pool).waking_text(coordinator.tenants.shards())
            }
            Stage::Running => "running".into(),
        },
        plan: None,
    };
    coordinator.listed().into_iter().map(query).collect()
}

/// The statements that this coordinator refuses: number, what is asked, and microseconds since 1970 to which.
pub(crate) fn quarantine(coordinator: &Coordinator) -> Vec<(String, Refused, i64)> {
    let (now, now_us) = (Instant::now(), now_us());
    let refused = coordinator.quarantine.list().into_iter().map(|(statement, refused)| {
        let left = refused.until.saturating_duration_since(now).as_micros();
        let until_us = now_us.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        (query_text(statement), refused, until_us)
    });
    refused.collect()
}

/// One of them, with its plan.
pub(crate) fn query(coordinator: &Coordinator, id: u128) -> Option<admin::Query> {
    let text = query_text(id);
    let found = queries(coordinator).into_iter().find(|query| query.query == text)?;
    let planned = coordinator.planned(id);
    let plan = planned.and_then(|planned| query_of(&planned).map(|query| query.explain()));
    Some(admin::Query { plan, ..found })
}

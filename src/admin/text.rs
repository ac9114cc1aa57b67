//! Answers of the Admin API as aligned text.

use std::fmt::Write;

use flight_proto::admin::{
    Coordinator, Dataset, Hydration, Leader, Nodes, Placement, Policy, Quarantine, Queries, Query, Refresh,
    Shard, Speaks, Upgrade, Version,
};

use crate::table::aligned;
use flight_proto::policy::DEFAULT_TENANT;

pub(super) fn nodes(nodes: &Nodes) -> String {
    let coordinators = nodes.coordinators.iter().map(|node: &Coordinator| {
        let here = if node.here { "yes" } else { "" };
        let (id, term) = (node.id.to_string(), node.term.to_string());
        [id, node.address.clone(), node.role.clone(), term, speaks(node.speaks), here.into()]
    });
    let mut text = format!("The cluster is at version {}.\n\n", nodes.cluster_version);
    text += &aligned(["COORDINATOR", "ADDRESS", "ROLE", "TERM", "SPEAKS", "ASKED"], coordinators);
    text.push('\n');
    text += &shards(&nodes.shards);
    if !nodes.moving.is_empty() {
        let rows = nodes.moving.iter().map(|one| [one.tenant.clone(), one.pool.clone(), one.read_in.clone()]);
        text.push('\n');
        text += &aligned(["MOVING TENANT", "TO POOL", "READ IN"], rows);
    }
    text
}

/// The versions that a node speaks.
fn speaks(speaks: Option<Speaks>) -> String {
    match speaks {
        None => "unknown".into(),
        Some(Speaks { least, most }) if least == most => most.to_string(),
        Some(Speaks { least, most }) => format!("{least}-{most}"),
    }
}

pub(super) fn upgrade(upgrade: &Upgrade) -> String {
    match *upgrade {
        Upgrade { before, after } if before == after => {
            format!("the cluster is at version {after} already\n")
        }
        Upgrade { before, after } => format!("the cluster has gone over from version {before} to {after}\n"),
    }
}

pub(super) fn shards(shards: &[Shard]) -> String {
    let rows = shards.iter().map(|shard| {
        let alive = if shard.alive { "yes" } else { "no" };
        let (id, address, status) = (shard.id.clone(), shard.address.clone(), shard.status.clone());
        let counts = [shard.buckets, shard.rows].map(|count| count.to_string());
        let [buckets, rows] = counts;
        [id, address, status, alive.into(), buckets, rows, speaks(shard.speaks), shard.pool.clone()]
    });
    aligned(["SHARD", "ADDRESS", "STATUS", "ALIVE", "BUCKETS", "ROWS", "SPEAKS", "POOL"], rows)
}

pub(super) fn leader(leader: &Leader) -> String {
    match leader.coordinator {
        Some(id) => format!("coordinator {id} at {} leads in term {}\n", leader.address, leader.term),
        None => format!("no leader is known in term {}\n", leader.term),
    }
}

pub(super) fn datasets(datasets: &[Dataset]) -> String {
    let rows = datasets.iter().map(|dataset| {
        let counts = [dataset.dataset, dataset.version, dataset.rows, dataset.size_bytes];
        let [number, version, rows, bytes] = counts.map(|count| count.to_string());
        let name = named(&dataset.tenant, &dataset.schema, &dataset.table);
        let [every, next, last] = dataset.refresh.as_ref().map(refresh).unwrap_or_default();
        [
            number,
            name,
            version,
            rows,
            bytes,
            dataset.placement.clone(),
            dataset.state.clone(),
            every,
            next,
            last,
        ]
    });
    let names = [
        "DATASET",
        "TABLE",
        "VERSION",
        "ROWS",
        "BYTES",
        "PLACEMENT",
        "STATE",
        "REFRESH",
        "NEXT",
        "LAST REFRESH",
    ];
    aligned(names, rows)
}

/// When it is refreshed, when next, and what came of it last.
fn refresh(refresh: &Refresh) -> [String; 3] {
    let every = refresh.every.as_ref().map(|every| format!("every {every}, {}", refresh.mode));
    let next = refresh.next_at_us.map(time);
    let last = refresh.last.as_ref().map(|last| {
        let outcome = match last.state.as_str() {
            "refreshed" => last.version.map_or_else(String::new, |version| format!("version {version}")),
            "failed" => format!("failed {} in a row: {}", last.failures, last.error),
            state => state.into(),
        };
        format!("{} by {}: {outcome}", time(last.began_at_us), last.started_by)
    });
    [every, next, last].map(Option::unwrap_or_default)
}

pub(super) fn versions(versions: &[Version]) -> String {
    let rows = versions.iter().map(|version| {
        let counts = [version.version, version.rows, version.size_bytes, version.files];
        let [number, rows, bytes, files] = counts.map(|count| count.to_string());
        let state = match (version.tombstone, version.published) {
            (true, _) => "drops the dataset",
            (false, true) => "current",
            (false, false) => "",
        };
        [number, rows, bytes, files, time(version.created_at_us), state.into()]
    });
    aligned(["VERSION", "ROWS", "BYTES", "FILES", "CREATED", "STATE"], rows)
}

pub(super) fn placement(placement: &[Placement]) -> String {
    let rows = placement.iter().flat_map(|of| {
        of.buckets.iter().map(|bucket| {
            let name = named(&of.tenant, &of.schema, &of.table);
            let shards = bucket.shards.join(" ");
            let (version, number, rows) =
                (of.version.to_string(), bucket.bucket.to_string(), bucket.rows.to_string());
            [name, version, of.placement.clone(), number, rows, shards]
        })
    });
    aligned(["TABLE", "VERSION", "PLACEMENT", "BUCKET", "ROWS", "SHARDS"], rows)
}

pub(super) fn hydrations(hydrations: &[Hydration]) -> String {
    let rows = hydrations.iter().map(|one| {
        let name = match one.table.as_str() {
            "" => one.dataset.to_string(),
            table => named(&one.tenant, &one.schema, table),
        };
        let counts = [one.version, one.rows_done, one.rows_total, one.bytes_read];
        let [version, done, total, bytes] = counts.map(|count| count.to_string());
        let (shard, state) = (one.shard.clone(), one.state.clone());
        let (began, took) = (time(one.began_at_us), seconds(one.elapsed_ms));
        [shard, name, version, state, done, total, bytes, began, took, one.error.clone()]
    });
    let names =
        ["SHARD", "TABLE", "VERSION", "STATE", "ROWS", "OF", "BYTES READ", "BEGAN", "SECONDS", "ERROR"];
    aligned(names, rows)
}

pub(super) fn queries(queries: &Queries) -> String {
    let rows = queries.queries.iter().map(|query| {
        let (query_id, principal) = (query.query.clone(), of_tenant(&query.tenant, &query.principal));
        let (coordinator, elapsed) = (query.coordinator.to_string(), seconds(query.elapsed_ms));
        let state = if query.state.is_empty() { "-".into() } else { query.state.clone() };
        [query_id, coordinator, principal, elapsed, state, query.sql.clone()]
    });
    let mut text = aligned(["QUERY", "COORDINATOR", "PRINCIPAL", "SECONDS", "STATE", "SQL"], rows);
    add_silent(&mut text, &queries.silent);
    text
}

pub(super) fn quarantine(quarantine: &Quarantine) -> String {
    let rows = quarantine.statements.iter().map(|one| {
        let coordinators: Vec<String> = one.coordinators.iter().map(u64::to_string).collect();
        let principal = of_tenant(&one.tenant, &one.principal);
        let (statement, sql) = (one.statement.clone(), one.sql.clone());
        let (since, until, shards) = (time(one.since_us), time(one.until_us), one.shards.join(", "));
        [statement, coordinators.join(" "), principal, since, until, shards, sql]
    });
    let names = ["STATEMENT", "COORDINATORS", "PRINCIPAL", "SINCE", "UNTIL", "SHARDS LOST", "SQL"];
    let mut text = aligned(names, rows);
    add_silent(&mut text, &quarantine.silent);
    text
}

fn add_silent(text: &mut String, silent: &[u64]) {
    for silent in silent {
        let _ = writeln!(text, "coordinator {silent} did not answer");
    }
}

pub(super) fn query(query: &Query) -> String {
    let (seconds, plan) = (seconds(query.elapsed_ms), query.plan.as_deref().unwrap_or("not planned yet"));
    let Query { query, coordinator, tenant, principal, sql, .. } = query;
    let principal = of_tenant(tenant, principal);
    format!(
        "query {query} of {principal} on coordinator {coordinator}, for {seconds} s\n\n{}\n\n{}\n",
        sql.trim(),
        plan.trim_end()
    )
}

pub(super) fn policy(policy: &Policy) -> String {
    let key = policy
        .key
        .as_ref()
        .map_or_else(String::new, |key| format!("Documents are signed with the key {key}.\n\n"));
    let rows = policy.documents.iter().map(|document| {
        let state = if document.gone { "gone" } else { "" };
        [document.name.clone(), document.version.to_string(), time(document.decided_at_us), state.into()]
    });
    key + &aligned(["DOCUMENT", "VERSION", "DECIDED", "STATE"], rows)
}

/// A table of a tenant; the default one goes without saying.
fn named(tenant: &str, schema: &str, table: &str) -> String {
    of_tenant(tenant, &format!("{schema}.{table}"))
}

fn of_tenant(tenant: &str, name: &str) -> String {
    match tenant {
        "" | DEFAULT_TENANT => name.into(),
        tenant => format!("{tenant}/{name}"),
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Microseconds since 1970 as a time of UTC.
pub(crate) fn time(at_us: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(at_us);
    time.map_or_else(|| at_us.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_utc() {
        assert_eq!(time(1_000_000_000_000_000), "2001-09-09T01:46:40Z");
        assert_eq!(seconds(61_007), "61.007");
    }

    #[test]
    fn tables_of_tenants() {
        assert_eq!(named("default", "main", "t"), "main.t");
        assert_eq!(named("acme", "main", "t"), "acme/main.t");
    }
}

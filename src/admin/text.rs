//! Answers of the Admin API as aligned text.

use std::fmt::Write;

use flight_proto::admin::{
    Coordinator, Dataset, Hydration, Leader, Nodes, Placement, Queries, Query, Shard, Version,
};
use unicode_width::UnicodeWidthStr;

pub(super) fn nodes(nodes: &Nodes) -> String {
    let coordinators = nodes.coordinators.iter().map(|node: &Coordinator| {
        let here = if node.here { "yes" } else { "" };
        [node.id.to_string(), node.address.clone(), node.role.clone(), node.term.to_string(), here.into()]
    });
    let mut text = table(["COORDINATOR", "ADDRESS", "ROLE", "TERM", "ASKED"], coordinators);
    text.push('\n');
    text + &shards(&nodes.shards)
}

pub(super) fn shards(shards: &[Shard]) -> String {
    let rows = shards.iter().map(|shard| {
        let alive = if shard.alive { "yes" } else { "no" };
        let (id, address, status) = (shard.id.clone(), shard.address.clone(), shard.status.clone());
        [id, address, status, alive.into(), shard.buckets.to_string(), shard.rows.to_string()]
    });
    table(["SHARD", "ADDRESS", "STATUS", "ALIVE", "BUCKETS", "ROWS"], rows)
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
        let name = format!("{}.{}", dataset.schema, dataset.table);
        [number, name, version, rows, bytes, dataset.placement.clone(), dataset.state.clone()]
    });
    table(["DATASET", "TABLE", "VERSION", "ROWS", "BYTES", "PLACEMENT", "STATE"], rows)
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
    table(["VERSION", "ROWS", "BYTES", "FILES", "CREATED", "STATE"], rows)
}

pub(super) fn placement(placement: &[Placement]) -> String {
    let rows = placement.iter().flat_map(|of| {
        of.buckets.iter().map(|bucket| {
            let name = format!("{}.{}", of.schema, of.table);
            let shards = bucket.shards.join(" ");
            let (version, number, rows) =
                (of.version.to_string(), bucket.bucket.to_string(), bucket.rows.to_string());
            [name, version, of.placement.clone(), number, rows, shards]
        })
    });
    table(["TABLE", "VERSION", "PLACEMENT", "BUCKET", "ROWS", "SHARDS"], rows)
}

pub(super) fn hydrations(hydrations: &[Hydration]) -> String {
    let rows = hydrations.iter().map(|one| {
        let name = match one.table.as_str() {
            "" => one.dataset.to_string(),
            table => format!("{}.{table}", one.schema),
        };
        let counts = [one.version, one.rows_done, one.rows_total, one.bytes_read];
        let [version, done, total, bytes] = counts.map(|count| count.to_string());
        let (shard, state) = (one.shard.clone(), one.state.clone());
        let (began, took) = (time(one.began_at_us), seconds(one.elapsed_ms));
        [shard, name, version, state, done, total, bytes, began, took, one.error.clone()]
    });
    let names =
        ["SHARD", "TABLE", "VERSION", "STATE", "ROWS", "OF", "BYTES READ", "BEGAN", "SECONDS", "ERROR"];
    table(names, rows)
}

pub(super) fn queries(queries: &Queries) -> String {
    let rows = queries.queries.iter().map(|query| {
        let (query_id, principal) = (query.query.clone(), query.principal.clone());
        [query_id, query.coordinator.to_string(), principal, seconds(query.elapsed_ms), query.sql.clone()]
    });
    let mut text = table(["QUERY", "COORDINATOR", "PRINCIPAL", "SECONDS", "SQL"], rows);
    for silent in &queries.silent {
        let _ = writeln!(text, "coordinator {silent} did not answer");
    }
    text
}

pub(super) fn query(query: &Query) -> String {
    let (seconds, plan) = (seconds(query.elapsed_ms), query.plan.as_deref().unwrap_or("not planned yet"));
    let Query { query, coordinator, principal, sql, .. } = query;
    format!(
        "query {query} of {principal} on coordinator {coordinator}, for {seconds} s\n\n{}\n\n{}\n",
        sql.trim(),
        plan.trim_end()
    )
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Microseconds since 1970 as a time of UTC.
fn time(at_us: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(at_us);
    time.map_or_else(|| at_us.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Lines with columns as wide as their widest cell; columns of numbers to the right.
fn table<const N: usize>(names: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.map(|row| row.map(|cell| one_line(&cell))).collect();
    let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let mut lines = vec![String::new(); rows.len() + 1];
    for (column, name) in names.into_iter().enumerate() {
        let cells: Vec<&str> =
            std::iter::once(name).chain(rows.iter().map(|row| row[column].as_str())).collect();
        let width = cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
        let right = rows.iter().all(|row| is_number(&row[column]));
        for (line, cell) in lines.iter_mut().zip(cells) {
            let gap = if column == 0 { "" } else { "  " };
            let padding = " ".repeat(width - cell.width());
            *line += &if right { format!("{gap}{padding}{cell}") } else { format!("{gap}{cell}{padding}") };
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The text with single blanks for whatever separates its words.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a".into(), "9".into(), "x".into()], ["größer".into(), "10".into(), "y\n z".into()]];
        let text = table(["NAME", "N", "TEXT"], rows.into_iter());
        assert_eq!(text, "NAME     N  TEXT\na        9  x\ngrößer  10  y z\n");
    }

    #[test]
    fn times_are_of_utc() {
        assert_eq!(time(1_000_000_000_000_000), "2001-09-09T01:46:40Z");
        assert_eq!(seconds(61_007), "61.007");
    }
}

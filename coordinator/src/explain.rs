//! `EXPLAIN`: the planner's tree, with what was measured by `ANALYZE`, as lines or as JSON.

use crate::foreign::Moved;
use exec::runtime::Profile;
use planner::{Placed, PlannedQuery, Statement};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use std::time::Duration;

/// What a run adds to a plan.
pub(crate) struct Measured {
    /// Counters by fragment, summed over shards.
    pub(crate) profiles: Vec<(u32, Profile)>,
    pub(crate) planning: Duration,
    pub(crate) execution: Duration,
    pub(crate) memory_peak_bytes: u64,
    /// Between shards that are nodes.
    pub(crate) exchanged_bytes: Option<u64>,
    /// What foreign servers sent, a remote query each.
    pub(crate) foreign: Vec<Arc<Moved>>,
}

/// The query of a statement that has one.
pub(crate) fn query_of(statement: &Statement) -> Option<&PlannedQuery> {
    match statement {
        Statement::Query(query)
        | Statement::Explain { query, .. }
        | Statement::ExplainRoute { query }
        | Statement::ExplainCost(query)
        | Statement::DescribeQuery(query)
        | Statement::CreateTableAs { query, .. }
        | Statement::Insert { query, .. } => Some(query),
        Statement::Change(change) => Some(&change.query),
        _ => None,
    }
}

/// The lines that describe `query`, with what was measured where it was run.
pub(crate) fn lines(query: &PlannedQuery, measured: Option<&Measured>) -> Vec<String> {
    let Some(measured) = measured else { return text_lines(&query.explain()) };
    let text = query.explain_with(|fragment, operator| {
        let id = query.fragments.get(fragment).map(|fragment| fragment.id);
        let profile = measured.profiles.iter().find(|(known, _)| Some(*known) == id);
        let Some(node) = profile.and_then(|(_, profile)| profile.nodes.get(operator)) else {
            return String::new();
        };
        let memory = match node.memory_peak_bytes {
            0 => String::new(),
            peak => format!(", {}", bytes(peak)),
        };
        format!(" [{} rows, {}{memory}]", node.rows, time(node.time))
    });
    let mut lines = text_lines(&text);
    for moved in &measured.foreign {
        let rows = moved.rows();
        lines.push(format!("from server {}: {rows} rows, {}", moved.server, bytes(moved.bytes())));
    }
    let exchanged = measured.exchanged_bytes.map(|sent| format!(", {} sent between shards", bytes(sent)));
    lines.push(format!(
        "planned in {}, run in {}, {} of memory at most{}",
        time(measured.planning),
        time(measured.execution),
        bytes(measured.memory_peak_bytes),
        exchanged.unwrap_or_default()
    ));
    lines
}

/// The plan as a document with the names that PostgreSQL gives: times in milliseconds, memory in bytes, rows and
/// times of all shards together.
pub(crate) fn document(query: &PlannedQuery, measured: Option<&Measured>) -> String {
    let mut open: Vec<(usize, Map<String, Json>)> = Vec::new();
    for Placed { depth, fragment, number, note } in query.operators() {
        close(&mut open, depth);
        let id = query.fragments.get(fragment).map(|fragment| fragment.id);
        let (kind, detail) = note.text.split_once(' ').unwrap_or((&note.text, ""));
        let mut node = Map::new();
        node.insert("Node Type".into(), kind.trim_end_matches(':').into());
        node.insert("Detail".into(), detail.into());
        node.insert("Fragment".into(), id.into());
        node.insert("Plan Rows".into(), note.estimated_rows.round().into());
        let profile = measured.and_then(|measured| {
            let (_, profile) = measured.profiles.iter().find(|(known, _)| Some(*known) == id)?;
            profile.nodes.get(number)
        });
        if let Some(profile) = profile {
            node.insert("Actual Rows".into(), profile.rows.into());
            node.insert("Actual Total Time".into(), milliseconds(profile.time));
            node.insert("Peak Memory".into(), profile.memory_peak_bytes.into());
        }
        open.push((depth, node));
    }
    close(&mut open, 1);
    let mut whole = Map::new();
    whole.insert("Plan".into(), open.pop().map_or(Json::Null, |(_, root)| Json::Object(root)));
    if let Some(measured) = measured {
        whole.insert("Planning Time".into(), milliseconds(measured.planning));
        whole.insert("Execution Time".into(), milliseconds(measured.execution));
        whole.insert("Peak Memory".into(), measured.memory_peak_bytes.into());
        if let Some(sent) = measured.exchanged_bytes {
            whole.insert("Exchanged Bytes".into(), sent.into());
        }
        let servers = measured.foreign.iter().map(|moved| {
            let mut server = Map::new();
            server.insert("Server".into(), moved.server.to_string().into());
            server.insert("Rows".into(), moved.rows().into());
            server.insert("Bytes".into(), moved.bytes().into());
            Json::Object(server)
        });
        whole.insert("Foreign Servers".into(), servers.collect());
    }
    format!("{:#}", Json::Array(vec![Json::Object(whole)]))
}

/// Puts the nodes that are as deep as `depth` or deeper into those that they stand below.
fn close(open: &mut Vec<(usize, Map<String, Json>)>, depth: usize) {
    while open.len() > 1 && open.last().is_some_and(|(own, _)| *own >= depth) {
        let Some((_, node)) = open.pop() else { return };
        let Some((_, above)) = open.last_mut() else { return };
        let below = above.entry("Plans").or_insert_with(|| Json::Array(Vec::new()));
        if let Json::Array(below) = below {
            below.push(Json::Object(node));
        }
    }
}

fn milliseconds(time: Duration) -> Json {
    (time.as_micros() as f64 / 1e3).into()
}

fn text_lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_string).collect()
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..10_000 => format!("{micros} us"),
        micros @ 10_000..10_000_000 => format!("{} ms", micros / 1_000),
        micros => format!("{:.1} s", micros as f64 / 1e6),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short() {
        assert_eq!(time(Duration::from_micros(9_999)), "9999 us");
        assert_eq!(time(Duration::from_millis(12)), "12 ms");
        assert_eq!(time(Duration::from_secs(75)), "75.0 s");
        assert_eq!(bytes(10_239), "10239 B");
        assert_eq!(bytes(1 << 20), "1024 KiB");
        assert_eq!(bytes(1 << 30), "1024 MiB");
    }
}

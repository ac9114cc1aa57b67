//! `EXPLAIN` and `EXPLAIN ANALYZE` as text: one line an operator, one block a fragment, the root first.

use exec::plan::{FragmentPlacement, Routing};
use exec::runtime::Profile;
use planner::PlannedQuery;
use std::fmt::Write;
use std::time::Duration;

/// What a run adds to a plan.
pub(crate) struct Measured {
    /// Counters by fragment, summed over shards.
    pub(crate) profiles: Vec<(u32, Profile)>,
    pub(crate) planning: Duration,
    pub(crate) execution: Duration,
    pub(crate) memory_peak_bytes: u64,
}

/// The lines that describe `query`, with what was measured where it was run.
pub(crate) fn lines(query: &PlannedQuery, measured: Option<&Measured>) -> Vec<String> {
    let mut lines = Vec::new();
    for (fragment, notes) in query.fragments.iter().zip(&query.notes).rev() {
        if query.fragments.len() > 1 {
            let place = match fragment.placement {
                FragmentPlacement::AllShards => "every shard",
                FragmentPlacement::OneShard => "one shard",
            };
            let output = match &fragment.output {
                None => "gives the result",
                Some(Routing::Gather) => "sends its rows to one shard",
                Some(Routing::Broadcast) => "sends its rows to every shard",
                Some(Routing::Hash(_)) => "sends its rows by hash",
            };
            lines.push(format!("fragment {} on {place}, {output}", fragment.id));
        }
        let profile = measured
            .and_then(|measured| measured.profiles.iter().find(|(id, _)| *id == fragment.id))
            .map(|(_, profile)| profile);
        for (position, note) in notes.operators.iter().enumerate() {
            let indent = note.depth + usize::from(query.fragments.len() > 1);
            let mut line = format!("{:1$}{2}", "", indent * 2, note.text);
            if let Some(sender) = note.receives {
                let _ = write!(line, " from fragment {sender}");
            }
            let _ = write!(line, "  (rows ~{}", count(note.estimated_rows));
            if let Some(node) = profile.and_then(|profile| profile.nodes.get(position)) {
                let _ = write!(line, ", got {}, {}", node.rows, time(node.time));
                if node.memory_peak_bytes > 0 {
                    let _ = write!(line, ", {}", bytes(node.memory_peak_bytes));
                }
            }
            line.push(')');
            lines.push(line);
        }
    }
    if let Some(measured) = measured {
        lines.push(format!(
            "planned in {}, run in {}, {} of memory at most",
            time(measured.planning),
            time(measured.execution),
            bytes(measured.memory_peak_bytes)
        ));
    }
    lines
}

fn count(rows: f64) -> String {
    if rows.is_finite() { format!("{:.0}", rows.max(0.0).round()) } else { "?".into() }
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
        assert_eq!(count(f64::INFINITY), "?");
        assert_eq!(count(1234.6), "1235");
    }
}

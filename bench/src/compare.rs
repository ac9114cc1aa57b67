//! Two results side by side.

use crate::report::{QueryReport, Report, TUNDRA};
use crate::statistics::geometric_mean;
use crate::table::{Table, milliseconds};

/// Tundra before and after, each with the best peer of its run, query by query; queries of one result alone are
/// left out.
pub(crate) fn compare(before: &Report, after: &Report) -> String {
    let head =
        ["ms", "before", "after", "after/before", "best peer before", "after", "ratio before", "after"];
    let mut rows = Vec::new();
    let (mut pairs, mut changes) = (Vec::new(), Vec::new());
    for query in &after.queries {
        let Some(old) = before.queries.iter().find(|old| old.name == query.name) else { continue };
        let change = old.hot_ms(TUNDRA).zip(query.hot_ms(TUNDRA)).map(|(old, new)| new / old);
        changes.extend(change);
        let mut row = vec![query.name.clone()];
        row.extend([time(old.hot_ms(TUNDRA)), time(query.hot_ms(TUNDRA)), factor(change)]);
        row.extend([peer(old), peer(query), factor(old.ratio()), factor(query.ratio())]);
        rows.push(row);
        pairs.push((old, query));
    }
    let queries = rows.len();
    let mean = |time: &dyn Fn(&(&QueryReport, &QueryReport)) -> Option<f64>| {
        geometric_mean(&pairs.iter().filter_map(time).collect::<Vec<_>>())
    };
    rows.push(vec![
        "geometric mean".to_string(),
        time(mean(&|pair| pair.0.hot_ms(TUNDRA))),
        time(mean(&|pair| pair.1.hot_ms(TUNDRA))),
        factor(geometric_mean(&changes)),
        time(mean(&|pair| Some(pair.0.best_peer()?.1))),
        time(mean(&|pair| Some(pair.1.best_peer()?.1))),
        factor(mean(&|pair| pair.0.ratio())),
        factor(mean(&|pair| pair.1.ratio())),
    ]);
    let head = head.map(str::to_string).to_vec();
    let told = |report: &Report| {
        let dirty = if report.commit.dirty { " with changes" } else { "" };
        format!("{} at {}{dirty}, {}", report.title, report.commit.hash, report.date)
    };
    let table = Table { head, rows, queries }.text();
    let mut text = format!("before: {}\nafter:  {}\n\n{table}", told(before), told(after));
    if before.machine != after.machine || before.settings.threads != after.settings.threads {
        text += "\nThe machines or the threads differ.\n";
    }
    text
}

fn time(time: Option<f64>) -> String {
    time.map_or("-".to_string(), milliseconds)
}

fn factor(factor: Option<f64>) -> String {
    factor.map_or("-".to_string(), |factor| format!("{factor:.2}"))
}

fn peer(query: &QueryReport) -> String {
    query.best_peer().map_or("-".to_string(), |(name, time)| format!("{name} {}", milliseconds(time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn before_and_after_stand_side_by_side() {
        let mut after = sample();
        after.queries[0].measured[0].minimum_ms = Some(4.0);
        after.queries[1].name = "q03".to_string();
        after.settings.threads = 1;
        let text = compare(&sample(), &after);
        let expected = "\
before: TPC-H scale 1 & more at 0123456789ab with changes, 2026-11-26 10:00 UTC
after:  TPC-H scale 1 & more at 0123456789ab with changes, 2026-11-26 10:00 UTC

ms              before  after  after/before  best peer before        after  ratio before  after
q01               10.0   4.00          0.40       duckdb 40.0  duckdb 40.0          0.25   0.10

geometric mean    10.0   4.00          0.40              40.0         40.0          0.25   0.10

The machines or the threads differ.
";
        assert_eq!(text, expected);
    }
}

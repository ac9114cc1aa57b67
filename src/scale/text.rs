//! Answers about pools as aligned text.

use control_plane::json::{AuditEntry, PoolPolicy, PoolStatus};
use control_plane::scaling::replay::Report;

use crate::admin::time;
use crate::table::aligned;

pub(super) fn policies(policies: &[PoolPolicy]) -> String {
    let rows = policies.iter().map(|one| {
        let policy = &one.policy;
        [
            one.pool.clone(),
            policy.minimum.to_string(),
            policy.maximum.to_string(),
            percent(policy.processor_percent),
            percent(policy.resident_percent),
            if policy.queue_ms == 0 { "-".into() } else { policy.queue_ms.to_string() },
            if policy.paused { "paused".into() } else { "followed".into() },
            time(one.changed_at_us),
        ]
    });
    aligned(["POOL", "MINIMUM", "MAXIMUM", "PROCESSOR", "RESIDENT", "QUEUE MS", "STATE", "CHANGED"], rows)
}

fn percent(percent: u32) -> String {
    if percent == 0 { "-".into() } else { format!("{percent} %") }
}

pub(super) fn policy(one: &PoolPolicy) -> String {
    let policy = &one.policy;
    let windows: Vec<String> = policy.windows.iter().map(ToString::to_string).collect();
    let rows = [
        ("pool", one.pool.clone()),
        ("minimum", policy.minimum.to_string()),
        ("maximum", policy.maximum.to_string()),
        ("processor", percent(policy.processor_percent)),
        ("resident", percent(policy.resident_percent)),
        ("queue (ms)", policy.queue_ms.to_string()),
        ("cool-down out (s)", policy.cooldown_out_s.to_string()),
        ("cool-down in (s)", policy.cooldown_in_s.to_string()),
        ("launch (s)", policy.launch_s.to_string()),
        ("launch limit (s)", policy.launch_limit_s.to_string()),
        ("predict", policy.predict.to_string()),
        ("idle after (s)", if policy.minimum == 0 { policy.idle_after_s.to_string() } else { "-".into() }),
        ("windows (UTC)", if windows.is_empty() { "none".into() } else { windows.join("; ") }),
        ("paused", policy.paused.to_string()),
        ("version", one.version.to_string()),
        ("changed", time(one.changed_at_us)),
    ];
    aligned(["SETTING", "VALUE"], rows.into_iter().map(|(name, value)| [name.to_string(), value]))
}

pub(super) fn status(pools: &[PoolStatus]) -> String {
    if pools.is_empty() {
        return "no pool has a policy; `tundra scale policy set` gives it one\n".into();
    }
    pools.iter().map(pool).collect()
}

fn rest(pool: &PoolStatus) -> String {
    match (pool.asleep_us, pool.rest.as_str()) {
        (Some(since), _) => format!("asleep since {}: a statement that needs shards wakes it", time(since)),
        (None, "waking") => format!("waking: {} of {} nodes are ready", pool.ready, pool.wanted),
        (None, "") => "-".into(),
        (None, rest) => rest.into(),
    }
}

fn pool(pool: &PoolStatus) -> String {
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let rows = [
        ("pool", pool.pool.clone()),
        ("looked at", if pool.at_us == 0 { "never".into() } else { time(pool.at_us) }),
        ("target", pool.target.clone().unwrap_or_else(|| "none: nodes are launched by somebody else".into())),
        ("state", rest(pool)),
        ("wanted", pool.wanted.to_string()),
        ("ready, coming, leaving", format!("{}, {}, {}", pool.ready, pool.coming, pool.leaving)),
        ("busy nodes", format!("{:.2}", pool.busy)),
        ("statements run, wait", format!("{:.0}, {:.0}", pool.running, pool.queued)),
        ("wait (ms)", format!("{:.0}", pool.queue_ms)),
        ("resident", format!("{} of {}", gigabytes(pool.resident_bytes), gigabytes(pool.memory_bytes))),
        ("failure", pool.failure.clone().unwrap_or_else(|| "none".into())),
    ];
    let mut text =
        aligned(["POOL", "VALUE"], rows.into_iter().map(|(name, value)| [name.to_string(), value]));
    for why in &pool.reasons {
        text += &format!("- {why}\n");
    }
    let nodes = pool.nodes.iter().map(|node| {
        let last = node.steps.last();
        let since = last.map_or(String::new(), |last| time(last.at_us));
        let why = node.steps.iter().rev().find(|step| !step.detail.is_empty());
        [
            node.instance.clone(),
            if node.shard.is_empty() { "-".into() } else { node.shard.clone() },
            node.phase.name().into(),
            since,
            why.map_or(String::new(), |step| step.detail.clone()),
        ]
    });
    text + "\n" + &aligned(["NODE", "SHARD", "PHASE", "SINCE", "TOLD"], nodes)
}

pub(super) fn history(entries: &[AuditEntry]) -> String {
    let rows = entries.iter().map(|entry| {
        let after = &entry.after;
        let told = match (after["wanted"].as_u64(), after["told"].as_str()) {
            (Some(wanted), _) => {
                let why = after["reasons"][0].as_str().unwrap_or_default();
                format!("{} -> {wanted}: {why}", entry.before["wanted"])
            }
            (_, Some(told)) => told.to_string(),
            _ => String::new(),
        };
        let action = entry.action.trim_start_matches("scale ").to_string();
        [entry.number.to_string(), time(entry.at_us), entry.who.clone(), action, entry.subject.clone(), told]
    });
    aligned(["NUMBER", "AT", "WHO", "ACTION", "SUBJECT", "TOLD"], rows)
}

pub(super) fn replay(report: &Report) -> String {
    let rows = report.means.iter().map(|one| {
        [
            one.policy.clone(),
            format!("{:.1}", one.node_hours),
            format!("{:.0}", one.nodes_most),
            format!("{:.2}", one.late_percent),
            format!("{:.0}", one.minutes_over),
            format!("{:.2}", one.median_s),
            format!("{:.2}", one.p95_s),
            format!("{:.2}", one.p99_s),
        ]
    });
    let names = ["POLICY", "NODE HOURS", "MOST", "LATE %", "MINUTES OVER", "MEDIAN S", "P95 S", "P99 S"];
    aligned(names, rows)
}

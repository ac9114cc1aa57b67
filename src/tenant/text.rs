//! Answers about tenants as aligned text.

use control_plane::json::{ApiKey, Tenant, TenantStatus};
use flight_proto::pool::named;

use crate::admin::time;
use crate::table::aligned;

pub(super) fn tenants(tenants: &[Tenant]) -> String {
    let rows = tenants.iter().map(|tenant| {
        let settings = &tenant.settings;
        [
            tenant.name.clone(),
            status(tenant.status).into(),
            settings.tier.clone(),
            named(&settings.pool).into(),
            limit(settings.workload.concurrency.into()),
            limit(settings.quotas.resident_bytes),
            limit(settings.quotas.scanned_bytes_per_day),
            time(tenant.decided_at_us),
        ]
    });
    let names =
        ["TENANT", "STATUS", "TIER", "POOL", "CONCURRENCY", "RESIDENT BYTES", "SCANNED A DAY", "CHANGED"];
    aligned(names, rows)
}

pub(super) fn tenant(tenant: &Tenant) -> String {
    let (workload, quotas) = (&tenant.settings.workload, &tenant.settings.quotas);
    let level = tenant.settings.service_level_ms;
    let spend = quotas.spend_per_month_micros;
    let spend = format!("{}.{:06}", spend / 1_000_000, spend % 1_000_000);
    let rows = [
        ("name", tenant.name.clone()),
        ("status", status(tenant.status).into()),
        ("tier", tenant.settings.tier.clone()),
        ("pool", named(&tenant.settings.pool).into()),
        ("service level (ms)", if level == 0 { "none".into() } else { level.to_string() }),
        ("concurrency", limit(workload.concurrency.into())),
        ("queue", limit(workload.queue.into())),
        ("queue timeout (ms)", limit(workload.queue_timeout_ms)),
        ("share", workload.share.max(1).to_string()),
        ("memory (bytes)", limit(workload.memory_bytes)),
        ("resident (bytes)", limit(quotas.resident_bytes)),
        ("scanned per day (bytes)", limit(quotas.scanned_bytes_per_day)),
        ("spend per month", if quotas.spend_per_month_micros == 0 { "no limit".into() } else { spend }),
        ("locations", tenant.settings.locations.join(" ")),
        ("version", tenant.version.to_string()),
        ("changed", time(tenant.decided_at_us)),
    ];
    aligned(["SETTING", "VALUE"], rows.into_iter().map(|(name, value)| [name.to_string(), value]))
}

pub(super) fn keys(keys: &[ApiKey]) -> String {
    let rows = keys.iter().map(|key| {
        let expires = if key.expires_at_us == 0 { "never".into() } else { time(key.expires_at_us) };
        [key.id.clone(), key.user.clone(), key.roles.join(","), expires]
    });
    aligned(["KEY", "USER", "ROLES", "EXPIRES"], rows)
}

fn status(status: TenantStatus) -> &'static str {
    match status {
        TenantStatus::Active => "active",
        TenantStatus::Suspended => "suspended",
        TenantStatus::Unknown => "unknown",
    }
}

/// A number of which 0 is none.
fn limit(limit: u64) -> String {
    if limit == 0 { "no limit".into() } else { limit.to_string() }
}

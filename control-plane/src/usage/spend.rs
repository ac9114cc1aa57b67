//! What was spent of budgets by all coordinators, as they are told of it. Each telling is an entry of the cluster's log, so
//! that it is told only where it makes a difference.

use super::{budgets, prices};
use crate::database::usage::{DayRow, Part, SHARDS};
use crate::database::{Change, Database};
use crate::decisions::ITSELF;
use crate::error::Result;
use flight_proto::policy::{self, Gone, Subject, spend_document};
use flight_proto::spending::{Budget, Period, Prices, Spend, Spent, SpentBy, micros};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What is spent is told by the start of each coordinator: one that was not heard of for long may live all the same, and
/// knows its own part by that. Of so many of all limits together; the oldest of more are told together.
const TOLD_MOST: usize = 4_000;
/// Of one limit it is never fewer, and never more.
const SOURCES: (usize, usize) = (16, 128);
/// The name of those that are told together.
const FORMER: &str = "former";
/// What is spent is told again once it has grown by this part of the limit.
const STEP: u64 = 100;

/// A budget whose spending is to be known, or a quota as one.
struct Limit {
    name: String,
    user: String,
    label: String,
    period: Period,
    limit: u64,
    warn_percent: u32,
    of_bytes: bool,
}

/// Has coordinators know what was spent, where that has changed by enough.
pub(super) async fn publish(database: &Database) -> Result<()> {
    let documents = database.documents_after(0).await?;
    let mut limits: BTreeMap<String, Vec<Limit>> = BTreeMap::new();
    let mut told: BTreeMap<String, Spend> = BTreeMap::new();
    for held in documents {
        match held.document.subject {
            Some(Subject::Budgets(of)) if !of.budgets.is_empty() => {
                limits.entry(of.tenant).or_default().extend(of.budgets.into_iter().map(of_budget));
            }
            Some(Subject::Tenant(tenant) | Subject::TenantInPool(tenant)) => {
                let quotas = of_quotas(&tenant.quotas.unwrap_or_default());
                if !quotas.is_empty() {
                    limits.entry(tenant.name).or_default().extend(quotas);
                }
            }
            Some(Subject::Spend(spend)) => drop(told.insert(spend.tenant.clone(), spend)),
            _ => {}
        }
    }
    let prices = prices::load(database).await?;
    let now_us = database.now_us().await?;
    let heard = database.sources_heard().await?;
    let mut failed = None;
    for (tenant, limits) in &limits {
        let before = told.remove(tenant);
        // One tenant's trouble is not that of the others.
        if let Err(error) = tell(database, tenant, limits, before, &prices, &heard, now_us).await {
            tracing::debug!("what the tenant '{tenant}' has spent is not told: {error}");
            failed = failed.or(Some(error));
        }
    }
    // What nobody limits any more need not be known.
    for tenant in told.keys() {
        let mut change = database.change(ITSELF).await?;
        change.publish(&spend_document(tenant), Subject::Gone(Gone {})).await?;
        change.commit().await?;
    }
    failed.map_or(Ok(()), Err)
}

/// Has coordinators know what one tenant has spent, where that is another amount than `before`.
async fn tell(
    database: &Database,
    tenant: &str,
    limits: &[Limit],
    before: Option<Spend>,
    prices: &Prices,
    heard: &[String],
    now_us: i64,
) -> Result<()> {
    let spend = spent_of(database, tenant, limits, prices, heard, now_us).await?;
    let differs = before.is_none_or(|before| differs(&before, &spend, limits));
    let mut change = database.change(ITSELF).await?;
    notice(&mut change, tenant, limits, &spend).await?;
    if differs {
        change.publish(&spend_document(tenant), Subject::Spend(spend)).await?;
    }
    change.commit().await
}

fn of_budget(budget: Budget) -> Limit {
    Limit {
        period: budget.period(),
        name: budget.name,
        user: budget.user,
        label: budget.label,
        limit: budget.limit_micros,
        warn_percent: budget.warn_percent,
        of_bytes: false,
    }
}

fn of_quotas(quotas: &policy::Quotas) -> Vec<Limit> {
    let limit = |name: &str, period: Period, limit: u64, of_bytes: bool| Limit {
        name: name.into(),
        user: String::new(),
        label: String::new(),
        period,
        limit,
        warn_percent: budgets::QUOTA_WARN_PERCENT,
        of_bytes,
    };
    let month = limit("quota spend_per_month", Period::Month, quotas.spend_per_month_micros, false);
    let day = limit("quota scanned_per_day", Period::Day, quotas.scanned_bytes_per_day, true);
    [month, day].into_iter().filter(|limit| limit.limit > 0).collect()
}

/// What was spent of each limit in the period of now; those of one user, label and period once.
async fn spent_of(
    database: &Database,
    tenant: &str,
    limits: &[Limit],
    prices: &Prices,
    heard: &[String],
    now_us: i64,
) -> Result<Spend> {
    let most = (TOLD_MOST / limits.len().max(1)).clamp(SOURCES.0, SOURCES.1);
    let mut seen = BTreeSet::new();
    let mut spent = Vec::new();
    for limit in limits {
        if !seen.insert((&limit.user, &limit.label, limit.period.name())) {
            continue;
        }
        let (from_us, to_us) = limit.period.around(now_us);
        let part = Part { from_us, to_us, tenant, user: &limit.user, label: &limit.label };
        let rows = database.usage_by_source(&part).await?;
        spent.push(sum(limit, from_us, &rows, prices, &told_apart(&rows, heard, most)));
    }
    Ok(Spend { tenant: tenant.into(), spent })
}

/// The sources of rows that are told by themselves: all of them, or `most` that were heard last; `heard` begins with these.
fn told_apart<'a>(rows: &'a [DayRow], heard: &[String], most: usize) -> BTreeSet<&'a str> {
    let rows = rows.iter().filter(|row| row.source != SHARDS);
    let all: BTreeSet<&str> = rows.map(|row| row.source.as_str()).collect();
    if all.len() <= most {
        return all;
    }
    heard.iter().filter_map(|source| all.get(source.as_str()).copied()).take(most).collect()
}

fn sum(limit: &Limit, began_us: i64, rows: &[DayRow], prices: &Prices, apart: &BTreeSet<&str>) -> Spent {
    let mut held = 0_u128;
    let mut by: BTreeMap<&str, (u128, u64)> = BTreeMap::new();
    for row in rows {
        let picos = prices.at(row.day_us).picos(&row.used);
        if row.source == SHARDS {
            held = picos.saturating_add(held);
            continue;
        }
        let source = apart.get(row.source.as_str()).copied().unwrap_or(FORMER);
        let sum = by.entry(source).or_default();
        *sum = (sum.0.saturating_add(picos), sum.1.saturating_add(row.used.scanned_bytes));
    }
    let by = by.into_iter().map(|(source, (picos, scanned_bytes))| SpentBy {
        source: source.into(),
        micros: micros(picos),
        scanned_bytes,
    });
    Spent {
        user: limit.user.clone(),
        label: limit.label.clone(),
        period: limit.period.into(),
        began_us,
        held_micros: micros(held),
        by: by.collect(),
    }
}

/// What was spent of it altogether: money, or bytes.
fn total(spent: &Spent, of_bytes: bool) -> u64 {
    let by = spent.by.iter().map(|by| if of_bytes { by.scanned_bytes } else { by.micros });
    by.fold(if of_bytes { 0 } else { spent.held_micros }, u64::saturating_add)
}

fn of<'a>(spend: &'a Spend, limit: &Limit) -> Option<&'a Spent> {
    spend.spent.iter().find(|spent| {
        (&spent.user, &spent.label, spent.period()) == (&limit.user, &limit.label, limit.period)
    })
}

/// Whether coordinators would do something else, or know much less, by what they were told before.
fn differs(before: &Spend, now: &Spend, limits: &[Limit]) -> bool {
    let differs = |limit: &Limit| {
        let (Some(before), Some(now)) = (of(before, limit), of(now, limit)) else { return true };
        let amounts = [before, now].map(|spent| total(spent, limit.of_bytes));
        if before.began_us != now.began_us {
            // A new period is empty to coordinators by themselves.
            return amounts[1] >= (limit.limit / STEP).max(1);
        }
        let step = (limit.limit / STEP).max(1);
        // Which part is whose counts for coordinators: each knows its own.
        let sources = [before, now]
            .map(|spent| spent.by.iter().map(|by| by.source.as_str()).collect::<BTreeSet<&str>>());
        if sources[0] != sources[1] {
            return true;
        }
        // Beyond the limit nothing changes any more.
        let counted = amounts.map(|amount| amount.min(limit.limit));
        counted[0].abs_diff(counted[1]) >= step || level(limit, amounts[0]) != level(limit, amounts[1])
    };
    limits.iter().any(differs)
}

/// 0: free, 1: nearly spent, 2: spent.
fn level(limit: &Limit, spent: u64) -> i64 {
    let warn = u128::from(limit.warn_percent);
    match u128::from(spent) {
        spent if spent >= u128::from(limit.limit) => 2,
        spent if warn > 0 && spent * 100 >= u128::from(limit.limit) * warn => 1,
        _ => 0,
    }
}

/// Has the audit tell of budgets that are nearly spent, or spent: once a period.
async fn notice(change: &mut Change<'_>, tenant: &str, limits: &[Limit], spend: &Spend) -> Result<()> {
    for limit in limits {
        let Some(spent) = of(spend, limit) else { continue };
        let amount = total(spent, limit.of_bytes);
        let level = level(limit, amount);
        if level == 0 || !change.notice(tenant, &limit.name, spent.began_us, level).await? {
            continue;
        }
        let told = json!({
            "budget": limit.name, "user": limit.user, "label": limit.label, "period": limit.period.name(),
            "spent": amount, "limit": limit.limit, "in": if limit.of_bytes { "bytes" } else { "micros" },
        });
        let action = if level == 2 { "budget spent" } else { "budget nearly spent" };
        tracing::warn!("the {action}: '{}' of the tenant '{tenant}'", limit.name);
        change.record(action, &policy::budgets_document(tenant), None, Some(told)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_proto::usage::Measures;

    fn limit(limit: u64) -> Limit {
        Limit {
            name: "b".into(),
            user: String::new(),
            label: String::new(),
            period: Period::Day,
            limit,
            warn_percent: 80,
            of_bytes: false,
        }
    }

    fn spend(began_us: i64, micros: u64) -> Spend {
        let by = vec![SpentBy { source: "a".into(), micros, scanned_bytes: 0 }];
        let spent = Spent { period: Period::Day.into(), began_us, by, ..Spent::default() };
        Spend { tenant: "acme".into(), spent: vec![spent] }
    }

    #[test]
    fn it_is_told_where_it_makes_a_difference() {
        let tells = |before: (i64, u64), now: (i64, u64)| {
            differs(&spend(before.0, before.1), &spend(now.0, now.1), &[limit(1_000)])
        };
        assert!(!tells((0, 100), (0, 109)));
        assert!(tells((0, 100), (0, 110)), "a hundredth of the limit");
        assert!(tells((0, 799), (0, 800)), "nearly spent");
        assert!(tells((0, 999), (0, 1_000)), "spent");
        assert!(!tells((0, 1_000), (0, 9_000)), "beyond the limit");
        assert!(!tells((0, 1_000), (7, 9)), "a new period");
        assert!(tells((0, 1_000), (7, 10)));
        assert!(differs(&Spend::default(), &spend(0, 0), &[limit(1_000)]), "a new budget");
        let mut other = spend(0, 100);
        other.spent[0].by[0].source = "b".into();
        assert!(differs(&spend(0, 100), &other, &[limit(1_000)]), "another coordinator's");
    }

    #[test]
    fn the_oldest_of_very_many_starts_are_told_together() {
        let row = |source: &str, processor_us| DayRow {
            day_us: 0,
            tenant: "acme".into(),
            user: "ann".into(),
            label: String::new(),
            source: source.into(),
            used: Measures { processor_us, ..Measures::default() },
        };
        let rows =
            [row("a", 1_000_000), row("old", 2_000_000), row("older", 4_000_000), row(SHARDS, 8_000_000)];
        let price = flight_proto::spending::Price { processor_hour_micros: 3_600_000, ..Default::default() };
        let prices = Prices { prices: vec![price] };
        let heard = ["older", "a", "old", "elsewhere"].map(String::from);
        assert_eq!(told_apart(&rows, &heard, 3), ["a", "old", "older"].into());
        assert_eq!(told_apart(&rows, &[], 3).len(), 3, "whether they were heard or not");
        assert_eq!(told_apart(&rows, &heard, 2), ["a", "older"].into());
        let spent = sum(&limit(1), 0, &rows, &prices, &["a"].into());
        let by: Vec<_> = spent.by.iter().map(|by| (&*by.source, by.micros)).collect();
        assert_eq!((by, spent.held_micros), (vec![("a", 1_000), (FORMER, 6_000)], 8_000));
        assert_eq!(total(&spent, false), 15_000);
    }
}

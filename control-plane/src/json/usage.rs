//! Prices, budgets and reports as JSON. Amounts of money are millionths of the currency.

use flight_proto::spending;
use flight_proto::usage::Measures;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is paid from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Price {
    /// In microseconds since 1970.
    pub from_us: i64,
    pub processor_hour_micros: u64,
    pub resident_gib_hour_micros: u64,
    pub scanned_gib_micros: u64,
    pub exchanged_gib_micros: u64,
    pub returned_gib_micros: u64,
    /// A thousand requests to the object store.
    pub thousand_requests_micros: u64,
    pub foreign_second_micros: u64,
}

/// Prices to set; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewPrice {
    /// From which day (UTC) on, such as `2026-12-01`; left out: today.
    pub from: Option<String>,
    pub processor_hour_micros: Option<u64>,
    pub resident_gib_hour_micros: Option<u64>,
    pub scanned_gib_micros: Option<u64>,
    pub exchanged_gib_micros: Option<u64>,
    pub returned_gib_micros: Option<u64>,
    pub thousand_requests_micros: Option<u64>,
    pub foreign_second_micros: Option<u64>,
}

/// What may be spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// By this user alone; empty: by all.
    #[serde(default)]
    pub user: String,
    /// By statements with this label alone; empty: by all.
    #[serde(default)]
    pub label: String,
    pub period: Period,
    pub limit_micros: u64,
    /// From which part of the limit on it is told, in percent; 0: not before it is spent.
    #[serde(default = "warn_percent")]
    pub warn_percent: u32,
    pub on_limit: OnLimit,
}

fn warn_percent() -> u32 {
    80
}

/// A budget, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetOf {
    pub tenant: String,
    pub name: String,
    pub budget: Budget,
}

/// After which a budget is whole again (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Hour,
    Day,
    Month,
}

/// What becomes of statements once a budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// Nothing but that it is told.
    Warn,
    /// They run one at a time on a coordinator, after all others.
    Throttle,
    /// New ones are refused, and those that run end.
    Stop,
}

/// What was used between two days, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    pub from: String,
    /// Not included.
    pub to: String,
    pub rows: Vec<ReportRow>,
    /// Of all rows.
    pub used: Measures,
    pub cost_micros: u64,
}

/// One sum; what it is not by is absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Empty: of no statement, but of what shards hold and bring in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<String>,
    pub used: Measures,
    pub cost_micros: u64,
}

impl From<&spending::Price> for Price {
    fn from(price: &spending::Price) -> Price {
        Price {
            from_us: price.from_us,
            processor_hour_micros: price.processor_hour_micros,
            resident_gib_hour_micros: price.resident_gib_hour_micros,
            scanned_gib_micros: price.scanned_gib_micros,
            exchanged_gib_micros: price.exchanged_gib_micros,
            returned_gib_micros: price.returned_gib_micros,
            thousand_requests_micros: price.thousand_requests_micros,
            foreign_second_micros: price.foreign_second_micros,
        }
    }
}

impl From<&spending::Budget> for Budget {
    fn from(budget: &spending::Budget) -> Budget {
        Budget {
            user: budget.user.clone(),
            label: budget.label.clone(),
            // What a later version has set is shown as what this one does about it.
            period: match budget.period() {
                spending::Period::Hour => Period::Hour,
                spending::Period::Day => Period::Day,
                spending::Period::Month | spending::Period::Unknown => Period::Month,
            },
            limit_micros: budget.limit_micros,
            warn_percent: budget.warn_percent,
            on_limit: match budget.on_limit() {
                spending::OnLimit::Throttle => OnLimit::Throttle,
                spending::OnLimit::Stop => OnLimit::Stop,
                spending::OnLimit::Warn | spending::OnLimit::Unknown => OnLimit::Warn,
            },
        }
    }
}

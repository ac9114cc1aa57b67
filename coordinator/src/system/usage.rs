//! What a tenant uses through this coordinator, and how its budgets are.

use super::{Names, count, moment, or_null, row, timestamp};
use crate::usage::Level;
use crate::view::{text, wide};
use columnar::{DataType, Value};
use flight_proto::spending::OnLimit;
use flight_proto::usage::MEASURES;
use planner::catalog::VirtualTable;
use storage::ColumnSchema;

impl Names {
    /// By minute, of the last day.
    pub(super) fn usage(&self) -> VirtualTable {
        let mut columns = vec![timestamp("minute")];
        columns.extend(["user_name", "label"].map(text));
        columns.extend(MEASURES.map(wide));
        columns.push(money("cost"));
        let prices = self.coordinator.tenants.catalog().snapshot().policy().prices();
        let minutes = self.coordinator.usage.minutes(self.tenant.name()).into_iter();
        let rows = minutes.filter(|(_, who, _)| self.sees_user(&who.user)).map(|(minute_us, who, used)| {
            let mut cells =
                vec![moment(Some(minute_us)), Value::varchar(&who.user), Value::varchar(&who.label)];
            cells.extend(used.values().map(count));
            cells.push(amount(flight_proto::spending::micros(prices.at(minute_us).picos(&used))));
            cells
        });
        VirtualTable { name: "usage".into(), rows: rows.collect(), columns }
    }

    pub(super) fn budgets(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["budget", "user_name", "label", "period"].map(text).into();
        columns.extend(["spent", "limit"].map(money).map(or_null));
        columns.extend(["bytes_read", "limit_bytes"].map(wide).map(or_null));
        columns.extend(["state", "on_limit"].map(text));
        columns.push(timestamp("whole_again_at"));
        let snapshot = self.coordinator.tenants.catalog().snapshot();
        let states = self.coordinator.usage.budgets(snapshot.policy(), self.tenant.name());
        // Those of the whole tenant and of labels concern everybody.
        let own = |user: &String| user.is_empty() || self.sees_user(user);
        let rows = states.into_iter().filter(|state| own(&state.budget.user)).map(|state| {
            let budget = &state.budget;
            let period = budget.period().name().to_string();
            let mut cells =
                row(&[budget.name.clone(), budget.user.clone(), budget.label.clone(), period], &[]);
            let pair = [state.spent, budget.limit_micros];
            let (none, no_money) = (Value::null(DataType::Int64), amount_type());
            match state.of_bytes {
                true => {
                    cells.extend([Value::null(no_money), Value::null(no_money)]);
                    cells.extend(pair.map(count));
                }
                false => {
                    cells.extend(pair.map(amount));
                    cells.extend([none.clone(), none]);
                }
            }
            let told = match (state.level(), state.acts()) {
                (Level::Free, _) => "free",
                (Level::Warned, _) => "nearly spent",
                (Level::Spent, Some(OnLimit::Stop)) => "stopped",
                (Level::Spent, Some(OnLimit::Throttle)) => "throttled",
                (Level::Spent, _) => "spent",
            };
            cells.extend([told, budget.on_limit().name()].map(Value::varchar));
            cells.push(moment(Some(state.until_us)));
            cells
        });
        VirtualTable { name: "budgets".into(), rows: rows.collect(), columns }
    }
}

fn amount_type() -> DataType {
    DataType::Decimal { precision: 18, scale: 6 }
}

fn money(name: &str) -> ColumnSchema {
    ColumnSchema { name: name.into(), data_type: amount_type(), nullable: false }
}

/// Of millionths.
fn amount(micros: u64) -> Value {
    Value::new(amount_type(), columnar::Scalar::Integer(micros.min(999_999_999_999_999_999).into()))
}

//! What is paid for what, from days on.

use crate::database::{Change, Database};
use crate::error::{Error, Result};
use crate::json::{NewPrice, Price};
use flight_proto::policy::{PRICES, Subject};
use flight_proto::spending::{self, Period, Prices};

/// The most changes of prices.
const PRICES_MOST: usize = 1_000;
/// The highest price, a million: what is used stays an amount that can be told.
const PRICE_MOST: u64 = 1_000_000_000_000;

/// All prices, the standard ones where nobody set any.
pub(crate) async fn load(database: &Database) -> Result<Prices> {
    let held = database.document(PRICES).await?;
    Ok(of(held.and_then(|held| held.document.subject)))
}

fn of(subject: Option<Subject>) -> Prices {
    match subject {
        Some(Subject::Prices(prices)) if !prices.prices.is_empty() => prices,
        _ => Prices::standard(),
    }
}

pub(crate) async fn list(database: &Database) -> Result<Vec<Price>> {
    Ok(load(database).await?.prices.iter().map(Price::from).collect())
}

/// Sets prices from a day on, which must not be over: what was used before keeps its price. What is not given is as it was.
pub(crate) async fn set(database: &Database, who: &str, new: NewPrice) -> Result<Vec<Price>> {
    let mut change = database.change(who).await?;
    let mut prices = load_in(&mut change).await?;
    let (today_us, _) = Period::Day.around(change.now_us);
    let from_us = match &new.from {
        Some(day) => super::report::day_us(day)?,
        None => today_us,
    };
    if from_us < today_us {
        return Err(Error::Invalid(format!(
            "prices begin today or later, so that reports of days that are over stay as they were; got {}",
            new.from.unwrap_or_default()
        )));
    }
    let before = prices.at(from_us);
    let price = spending::Price {
        from_us,
        processor_hour_micros: new.processor_hour_micros.unwrap_or(before.processor_hour_micros),
        resident_gib_hour_micros: new.resident_gib_hour_micros.unwrap_or(before.resident_gib_hour_micros),
        scanned_gib_micros: new.scanned_gib_micros.unwrap_or(before.scanned_gib_micros),
        exchanged_gib_micros: new.exchanged_gib_micros.unwrap_or(before.exchanged_gib_micros),
        returned_gib_micros: new.returned_gib_micros.unwrap_or(before.returned_gib_micros),
        thousand_requests_micros: new.thousand_requests_micros.unwrap_or(before.thousand_requests_micros),
        foreign_second_micros: new.foreign_second_micros.unwrap_or(before.foreign_second_micros),
    };
    let all = [
        price.processor_hour_micros,
        price.resident_gib_hour_micros,
        price.scanned_gib_micros,
        price.exchanged_gib_micros,
        price.returned_gib_micros,
        price.thousand_requests_micros,
        price.foreign_second_micros,
    ];
    if let Some(dear) = all.into_iter().find(|&micros| micros > PRICE_MOST) {
        return Err(Error::Invalid(format!("a price is at most {PRICE_MOST} millionths, not {dear}")));
    }
    prices.prices.retain(|known| known.from_us != from_us);
    prices.prices.push(price);
    prices.prices.sort_by_key(|price| price.from_us);
    if prices.prices.len() > PRICES_MOST {
        return Err(Error::Conflict(format!("prices change at most {PRICES_MOST} times")));
    }
    let told = prices.prices.iter().map(Price::from).collect();
    change.decide(PRICES, "set prices", Subject::Prices(prices)).await?;
    change.commit().await?;
    Ok(told)
}

async fn load_in(change: &mut Change<'_>) -> Result<Prices> {
    Ok(of(change.document(PRICES).await?.and_then(|held| held.document.subject)))
}

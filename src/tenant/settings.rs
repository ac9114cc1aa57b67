//! What a tenant may use, as flags.

use clap::Args;
use control_plane::json::TenantSettings;

use crate::shard::pool;
use crate::size::Size;

/// Flags that were given change something; 0 takes a limit away.
#[derive(Args)]
pub(super) struct Settings {
    /// What it pays for, by which rules tell tenants apart
    #[arg(long, value_name = "NAME")]
    tier: Option<String>,
    /// How soon its queries are to be answered, in milliseconds at the 95th percentile
    #[arg(long, value_name = "MS")]
    service_level: Option<u64>,
    /// Statements that run at once on a coordinator; the others queue
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// Statements that may wait on a coordinator; further ones are refused
    #[arg(long, value_name = "N")]
    queue: Option<u32>,
    /// How long a statement may wait, in milliseconds
    #[arg(long, value_name = "MS")]
    queue_timeout: Option<u64>,
    /// Its part of turns while other tenants wait as well, as a weight
    #[arg(long, value_name = "N")]
    share: Option<u32>,
    /// What its statements may hold together on a node: bytes, 2GB or 512MiB; not enforced yet
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
    /// Of its datasets in the memory of shards, one copy of each counted; tables beyond it are refused
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    resident: Option<u64>,
    /// Read by its statements in a day (UTC); what goes beyond is refused
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    scanned_per_day: Option<u64>,
    /// Spent in a month (UTC), such as 1500.50; what goes beyond is refused
    #[arg(long, value_name = "AMOUNT", value_parser = micros)]
    spend_per_month: Option<u64>,
    /// A prefix of URLs that its tables may be read from, beside its own folder; in place of those before, '' for none
    #[arg(long, value_name = "URL")]
    location: Vec<String>,
    /// The pool of shards that has its data and runs its queries; data move there in the background
    #[arg(long, value_name = "NAME", value_parser = pool)]
    pool: Option<String>,
}

impl Settings {
    /// Settings with what was given in place of what was there.
    pub(super) fn over(self, mut settings: TenantSettings) -> TenantSettings {
        fn take<T>(place: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *place = given;
            }
        }
        take(&mut settings.tier, self.tier);
        take(&mut settings.pool, self.pool);
        take(&mut settings.service_level_ms, self.service_level);
        take(&mut settings.workload.concurrency, self.concurrency);
        take(&mut settings.workload.queue, self.queue);
        take(&mut settings.workload.queue_timeout_ms, self.queue_timeout);
        take(&mut settings.workload.share, self.share);
        take(&mut settings.workload.memory_bytes, self.memory);
        take(&mut settings.quotas.resident_bytes, self.resident);
        take(&mut settings.quotas.scanned_bytes_per_day, self.scanned_per_day);
        take(&mut settings.quotas.spend_per_month_micros, self.spend_per_month);
        if !self.location.is_empty() {
            settings.locations = self.location.into_iter().filter(|location| !location.is_empty()).collect();
        }
        settings
    }
}

/// An absolute size.
fn bytes(text: &str) -> Result<u64, String> {
    match text.parse::<Size>()? {
        Size::Bytes(bytes) => Ok(bytes),
        Size::Percent(_) => Err(format!("expected a size such as 2GB or 512MiB, got '{text}'")),
    }
}

/// An amount of money in millionths.
pub(crate) fn micros(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected an amount such as 1500.50 with at most 6 decimals, got '{text}'");
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<6}").parse().map_err(|_| wrong())?;
    whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(part)).ok_or_else(wrong)
}

/// A time in seconds.
pub(super) fn lifetime(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a time such as 90s, 30m, 8h or 90d, got '{text}'");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|&seconds| seconds > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        assert_eq!(micros("1500.50"), Ok(1_500_500_000));
        assert_eq!(micros("0.000001"), Ok(1));
        assert_eq!(micros("7"), Ok(7_000_000));
        for wrong in ["", ".5", "5.", "-1", "1e3", "0.0000001", "99999999999999999999", "1,5"] {
            assert!(micros(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes("2GB"), Ok(2_000_000_000));
        assert!(bytes("80%").is_err());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(
            [lifetime("90s"), lifetime("30m"), lifetime("8h"), lifetime("90d")].map(Result::unwrap),
            [90, 1_800, 28_800, 7_776_000]
        );
        for wrong in ["", "8", "h", "0h", "-1h", "1w", "8ü", "99999999999999999999d"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_given_stays() {
        let nothing = Settings {
            tier: None,
            service_level: None,
            concurrency: None,
            queue: None,
            queue_timeout: None,
            share: None,
            memory: None,
            resident: None,
            scanned_per_day: None,
            spend_per_month: None,
            location: Vec::new(),
            pool: None,
        };
        let mut before = TenantSettings { tier: "gold".into(), ..TenantSettings::default() };
        before.workload.concurrency = 8;
        assert_eq!(nothing.over(before.clone()), before);
    }
}

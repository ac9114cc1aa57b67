//! Amounts of memory as people write them: `2GB`, `512MiB`, `80%`, `1073741824`.

use std::str::FromStr;

/// An amount of memory: absolute, or a share of what the machine has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Size {
    Bytes(u64),
    /// Percent of the machine's memory, above 0 and up to 100.
    Percent(f64),
}

impl Size {
    /// The bytes that this means on a machine with `machine_bytes` of memory.
    pub(crate) fn bytes(self, machine_bytes: u64) -> u64 {
        match self {
            Size::Bytes(bytes) => bytes,
            Size::Percent(percent) => (machine_bytes as f64 * percent / 100.0) as u64,
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong = || format!("expected a size such as 2GB, 512MiB or 80%, got '{text}'");
        let trimmed = text.trim();
        let digits_end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits_end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = unit.trim().to_ascii_lowercase();
        if unit == "%" {
            if number <= 0.0 || number > 100.0 {
                return Err(format!("expected a share above 0% and up to 100%, got '{text}'"));
            }
            return Ok(Size::Percent(number));
        }
        let factor: f64 = match unit.as_str() {
            "" | "b" => 1.0,
            "k" | "kb" => 1e3,
            "m" | "mb" => 1e6,
            "g" | "gb" => 1e9,
            "t" | "tb" => 1e12,
            "kib" => 1024.0,
            "mib" => 1024f64.powi(2),
            "gib" => 1024f64.powi(3),
            "tib" => 1024f64.powi(4),
            _ => return Err(wrong()),
        };
        let bytes = number * factor;
        if !(1.0..1e18).contains(&bytes) {
            return Err(format!("expected at least 1 byte and less than 1 EB, got '{text}'"));
        }
        Ok(Size::Bytes(bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_are_read_as_written() {
        let read = |text: &str| text.parse::<Size>().unwrap();
        assert_eq!(read("1073741824"), Size::Bytes(1 << 30));
        assert_eq!(read("2GB"), Size::Bytes(2_000_000_000));
        assert_eq!(read("512MiB"), Size::Bytes(512 << 20));
        assert_eq!(read("1.5 gib"), Size::Bytes(3 << 29));
        assert_eq!(read("80%").bytes(1000), 800);
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "GB", "2XB", "-1GB", "0", "0%", "101%", "1e9", "1..2GB", "9999999TB"] {
            assert!(text.parse::<Size>().is_err(), "{text} was accepted");
        }
    }
}

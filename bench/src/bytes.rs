//! Amounts of memory as people write and read them.

/// An amount of memory: bytes, or a share of the machine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Size {
    Bytes(u64),
    Percent(f64),
}

impl Size {
    /// The bytes that this means on a machine with `machine_bytes` of memory.
    pub(crate) fn of(self, machine_bytes: u64) -> u64 {
        match self {
            Size::Bytes(bytes) => bytes,
            Size::Percent(percent) => (machine_bytes as f64 * percent / 100.0) as u64,
        }
    }
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let digits_end =
            text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits_end);
        let number = number.parse::<f64>().ok().filter(|number| *number > 0.0);
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "%" => {
                return number.filter(|share| *share <= 100.0).map(Size::Percent).ok_or_else(|| wrong(text));
            }
            "mb" => Some(1e6),
            "gb" => Some(1e9),
            "mib" => Some(f64::from(1 << 20)),
            "gib" => Some(f64::from(1 << 30)),
            _ => None,
        };
        let bytes = number.zip(factor).map(|(number, factor)| Size::Bytes((number * factor) as u64));
        bytes.ok_or_else(|| wrong(text))
    }
}

fn wrong(text: &str) -> String {
    format!("expected a size such as 16GB, 12GiB or 80%, got '{text}'")
}

/// As a person reads it: `3.5 GB`, `120 MB`.
pub(crate) fn in_words(bytes: u64) -> String {
    match bytes as f64 {
        few if few < 1e6 => format!("{:.0} kB", few / 1e3),
        some if some < 1e9 => format!("{:.0} MB", some / 1e6),
        many => format!("{:.1} GB", many / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!("16GB".parse(), Ok(Size::Bytes(16_000_000_000)));
        assert_eq!("1.5 gib".parse(), Ok(Size::Bytes(3 << 29)));
        assert_eq!("80%".parse::<Size>().unwrap().of(1000), 800);
        for wrong in ["", "GB", "0GB", "16", "101%", "-1GB", "2XB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
        let words = [999, 120_400_000, 3_450_000_000].map(in_words);
        assert_eq!(words, ["1 kB", "120 MB", "3.5 GB"]);
    }
}

//! `infinity` and `-infinity` of dates and timestamps: values of their own, beyond all others.

use crate::{DataType, Scalar};

impl DataType {
    /// The integer that stands for `infinity`, as DuckDB writes it into files; its negation is `-infinity`. `None` of types
    /// that have no such value.
    pub fn infinity(self) -> Option<i128> {
        match self {
            DataType::Date => Some(i32::MAX.into()),
            DataType::Timestamp { .. } => Some(i64::MAX.into()),
            _ => None,
        }
    }

    /// 1 where the integer behind a value is `infinity`, -1 of `-infinity`, else 0.
    pub fn infinite_sign(self, value: i128) -> i8 {
        match self.infinity() {
            Some(infinity) if value >= infinity => 1,
            Some(infinity) if value <= -infinity => -1,
            _ => 0,
        }
    }

    /// Whether integers within inclusive bounds may stand for `infinity` or `-infinity`.
    pub fn may_be_infinite(self, (low, high): (i128, i128)) -> bool {
        self.infinity().is_some_and(|infinity| low <= -infinity || high >= infinity)
    }
}

impl Scalar {
    /// `infinity` or `-infinity` as a value of the type, as SQL prints it.
    pub(crate) fn infinite_text(&self, data_type: DataType) -> Option<&'static str> {
        match self {
            Scalar::Integer(value) => match data_type.infinite_sign(*value) {
                1 => Some("infinity"),
                -1 => Some("-infinity"),
                _ => None,
            },
            _ => None,
        }
    }
}

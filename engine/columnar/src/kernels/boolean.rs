//! Three-valued logic on bitmaps: a boolean column is its values and its validity.

use crate::Bitmap;

/// Truth values of rows; where validity is clear the row is null, whatever its value bit.
#[derive(Clone, Debug)]
pub struct Truth {
    pub values: Bitmap,
    pub validity: Option<Bitmap>,
}

impl Truth {
    pub fn new(values: Bitmap, validity: Option<Bitmap>) -> Truth {
        Truth { values, validity }
    }

    /// Rows that are true.
    pub fn is_true(&self) -> Bitmap {
        self.validity.as_ref().map_or_else(|| self.values.clone(), |validity| self.values.and(validity))
    }

    /// Rows that are false.
    pub fn is_false(&self) -> Bitmap {
        self.validity.as_ref().map_or_else(|| self.values.not(), |validity| validity.and_not(&self.values))
    }

    /// From rows that are true and rows that are false; the rest is null.
    pub fn from_parts(is_true: Bitmap, is_false: &Bitmap) -> Truth {
        let known = is_true.or(is_false);
        let validity = (!known.all()).then_some(known);
        Truth { values: is_true, validity }
    }

    /// False where either is false, else null where either is null.
    pub fn and(&self, other: &Truth) -> Truth {
        if self.validity.is_none() && other.validity.is_none() {
            return Truth::new(self.values.and(&other.values), None);
        }
        Truth::from_parts(self.is_true().and(&other.is_true()), &self.is_false().or(&other.is_false()))
    }

    /// True where either is true, else null where either is null.
    pub fn or(&self, other: &Truth) -> Truth {
        if self.validity.is_none() && other.validity.is_none() {
            return Truth::new(self.values.or(&other.values), None);
        }
        Truth::from_parts(self.is_true().or(&other.is_true()), &self.is_false().and(&other.is_false()))
    }

    pub fn not(&self) -> Truth {
        Truth { values: self.values.not(), validity: self.validity.clone() }
    }
}

//! A predicate made ready for one segment.

use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::kernels::Matches;
use crate::predicate::Test;
use crate::text::TextAutomaton;
use columnar::{DataType, Dictionary, Flat, Scalar, Vector};
use std::cmp::Ordering;
use std::sync::OnceLock;

/// A test, and what encodings ask of it, once somebody asked: the codes that pass it in the column's dictionary,
/// and the same test as an automaton.
#[derive(Debug)]
pub(crate) struct PreparedTest {
    pub column: usize,
    test: Test,
    codes: OnceLock<Result<Matches>>,
    text: OnceLock<Option<TextAutomaton>>,
}

impl PreparedTest {
    /// Refuses scalars that are not of the column's kind.
    pub(crate) fn new(column: usize, test: Test, data_type: DataType) -> Result<PreparedTest> {
        match fits(&test, data_type) {
            true => Ok(PreparedTest { column, test, codes: OnceLock::new(), text: OnceLock::new() }),
            false => Err(Error::Internal(format!("{test:?} does not fit a column of {data_type}"))),
        }
    }

    pub(crate) fn test(&self) -> &Test {
        &self.test
    }

    /// The test of text as an automaton, if it is one that an automaton can say.
    pub(crate) fn text(&self) -> Option<&TextAutomaton> {
        match &self.test {
            Test::Text(automaton) => Some(automaton),
            test => self.text.get_or_init(|| TextAutomaton::of_test(test)).as_ref(),
        }
    }

    /// The codes of the column's one dictionary, which ascends, whose values pass; found once.
    pub(crate) fn in_dictionary(&self, dictionary: &Dictionary) -> Result<&Matches> {
        let values = &dictionary.values;
        let find = || match Matches::of_test(&self.test, &|scalar| places(values, scalar)) {
            Some(matches) => Ok(matches),
            None => Ok(Matches::of_bits(&evaluate(&self.test, &Vector::Flat(values.clone()))?)),
        };
        self.codes.get_or_init(find).as_ref().map_err(Clone::clone)
    }
}

/// Whether a test asks nothing that values of this type cannot be asked.
fn fits(test: &Test, data_type: DataType) -> bool {
    let of_kind = |scalar: &Scalar| match scalar {
        Scalar::Null => true,
        Scalar::Boolean(_) => data_type == DataType::Boolean,
        Scalar::Integer(_) => data_type.is_integral(),
        Scalar::Float(_) => data_type.is_float(),
        Scalar::Interval(_) => data_type == DataType::Interval,
        Scalar::Bytes(_) => data_type.is_bytes(),
    };
    match test {
        Test::Compare(_, scalar) => of_kind(scalar),
        Test::Between(low, high) => of_kind(low) && of_kind(high),
        Test::In(scalars) => scalars.iter().all(of_kind),
        Test::Text(_) => matches!(data_type, DataType::Varchar | DataType::Binary),
        Test::OrNull(test) => fits(test, data_type),
        Test::IsNull | Test::IsNotNull | Test::Custom(_) => true,
    }
}

/// The place of the first of ascending values that is not below a scalar, and that of the last that is not above.
fn places(values: &Flat, scalar: &Scalar) -> Option<(i128, i128)> {
    // How many values order against the scalar as `before` says.
    let count = |before: fn(Ordering) -> bool| {
        let (mut low, mut high) = (0, values.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match before(values.scalar(middle).compare(scalar)?) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Some(low as i128)
    };
    Some((count(Ordering::is_lt)?, count(Ordering::is_le)? - 1))
}

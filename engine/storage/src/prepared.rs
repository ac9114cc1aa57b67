//! A predicate made ready for one segment.

use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::kernels::Matches;
use crate::predicate::Test;
use crate::text::TextAutomaton;
use columnar::{DataType, Dictionary, Scalar, Vector};
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
        let fits = |scalar: &Scalar| match scalar {
            Scalar::Null => true,
            Scalar::Boolean(_) => data_type == DataType::Boolean,
            Scalar::Integer(_) => data_type.is_integral(),
            Scalar::Float(_) => data_type.is_float(),
            Scalar::Interval(_) => data_type == DataType::Interval,
            Scalar::Bytes(_) => matches!(data_type, DataType::Varchar | DataType::Binary),
        };
        let fit = match &test {
            Test::Compare(_, scalar) => fits(scalar),
            Test::Between(low, high) => fits(low) && fits(high),
            Test::In(scalars) => scalars.iter().all(fits),
            Test::Text(_) => matches!(data_type, DataType::Varchar | DataType::Binary),
            Test::IsNull | Test::IsNotNull | Test::Custom(_) => true,
        };
        match fit {
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

    /// The codes of the column's one dictionary whose values pass; evaluated once.
    pub(crate) fn in_dictionary(&self, dictionary: &Dictionary) -> Result<&Matches> {
        let find = || {
            let values = Vector::Flat(dictionary.values.clone());
            Ok(Matches::of_bits(&evaluate(&self.test, &values)?))
        };
        self.codes.get_or_init(find).as_ref().map_err(Clone::clone)
    }
}

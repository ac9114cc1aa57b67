//! The predicates on one text column that storage can test as automata.

use crate::expr::{CompareOp, Expr};
use crate::expression::pattern_tokens;
use columnar::{DataType, Scalar, Value};
use storage::{TextAutomaton, TextToken};

/// The column that a predicate tests, and the text that passes it; `None` where no automaton of a modest size says
/// so. For null each of these predicates is null.
pub(super) fn text_test(expr: &Expr) -> Option<(u32, TextAutomaton)> {
    match expr {
        Expr::Not(input) => text_test(input).map(|(column, text)| (column, text.inverted())),
        Expr::And(operands) => combined(operands, TextAutomaton::and),
        Expr::Or(operands) => combined(operands, TextAutomaton::or),
        Expr::Like { input, pattern, escape, case_insensitive, negated } => {
            let tokens = pattern_tokens(literal_text(pattern)?, *escape, *case_insensitive).ok()?;
            let text = TextAutomaton::of_sequences(&[tokens], *case_insensitive)?;
            Some((text_column(input)?, if *negated { text.inverted() } else { text }))
        }
        Expr::InList { input, list, negated } => {
            let (column, text) = one_of(input, list.iter().map(value_text).collect::<Option<Vec<_>>>()?)?;
            Some((column, if *negated { text.inverted() } else { text }))
        }
        Expr::Compare { op, left, right } => match (&**left, &**right) {
            (Expr::Literal(value), input) => compared(op.swapped(), input, value),
            (input, Expr::Literal(value)) => compared(*op, input, value),
            _ => None,
        },
        Expr::Call { function, args, .. } => {
            let [input, sought] = args.as_slice() else { return None };
            let sought = bytes(literal_text(sought)?);
            let sequence = match function.as_str() {
                "starts_with" => [sought, vec![TextToken::Run]].concat(),
                "ends_with" => [vec![TextToken::Run], sought].concat(),
                "contains" => around(sought),
                _ => return None,
            };
            Some((text_column(input)?, TextAutomaton::of_sequences(&[sequence], false)?))
        }
        _ => None,
    }
}

/// Tests of one column as one.
fn combined(
    operands: &[Expr],
    combine: fn(&TextAutomaton, &TextAutomaton) -> Option<TextAutomaton>,
) -> Option<(u32, TextAutomaton)> {
    let (first, rest) = operands.split_first()?;
    rest.iter().try_fold(text_test(first)?, |(column, text), operand| {
        let (other, more) = text_test(operand)?;
        Some((column, combine(&text, &more).filter(|_| other == column)?))
    })
}

/// A comparison of a column, of its first characters or of the place of a text in it.
fn compared(op: CompareOp, input: &Expr, value: &Value) -> Option<(u32, TextAutomaton)> {
    if let (Expr::Call { function, args, .. }, Scalar::Integer(0)) = (input, &value.scalar)
        && let ("strpos", [column, sought]) = (function.as_str(), args.as_slice())
    {
        let text = TextAutomaton::of_sequences(&[around(bytes(literal_text(sought)?))], false)?;
        return match op {
            CompareOp::Greater | CompareOp::NotEqual => Some((text_column(column)?, text)),
            CompareOp::LessOrEqual | CompareOp::Equal => Some((text_column(column)?, text.inverted())),
            _ => None,
        };
    }
    let text = value_text(value)?;
    if op == CompareOp::IsNotDistinctFrom {
        // Never null, so that its negation would pass nulls.
        return None;
    }
    match super::predicate::storage_op(op, value)? {
        storage::CompareOp::Equal => one_of(input, vec![text]),
        storage::CompareOp::NotEqual => {
            one_of(input, vec![text]).map(|(column, text)| (column, text.inverted()))
        }
        order => Some((text_column(input)?, TextAutomaton::compared(order, text)?)),
    }
}

/// That a column, or its first characters, are one of some texts.
fn one_of(input: &Expr, texts: Vec<&[u8]>) -> Option<(u32, TextAutomaton)> {
    let (column, characters) = match text_column(input) {
        Some(column) => (column, None),
        None => first_characters(input).map(|(column, characters)| (column, Some(characters)))?,
    };
    let sequence = |text: &[u8]| {
        let characters_of_text = String::from_utf8_lossy(text).chars().count();
        match characters {
            // So many characters are never more.
            Some(characters) if characters_of_text > characters => None,
            // Only a text of so many may go on after them.
            Some(characters) if characters_of_text == characters => {
                Some([bytes(text), vec![TextToken::Run]].concat())
            }
            _ => Some(bytes(text)),
        }
    };
    let sequences: Vec<_> = texts.into_iter().filter_map(sequence).collect();
    Some((column, TextAutomaton::of_sequences(&sequences, false)?))
}

/// A column of whose text the first characters are taken, and how many.
fn first_characters(expr: &Expr) -> Option<(u32, usize)> {
    let Expr::Call { function, args, .. } = expr else { return None };
    let (column, count) = match (function.as_str(), args.as_slice()) {
        ("substring", [column, start, count]) if literal_integer(start) == Some(1) => (column, count),
        ("left", [column, count]) => (column, count),
        _ => return None,
    };
    Some((text_column(column)?, usize::try_from(literal_integer(count)?).ok()?))
}

fn text_column(expr: &Expr) -> Option<u32> {
    match expr {
        Expr::Column { id, data_type: DataType::Varchar } => Some(*id),
        _ => None,
    }
}

fn literal_text(expr: &Expr) -> Option<&[u8]> {
    match expr {
        Expr::Literal(value) => value_text(value),
        _ => None,
    }
}

fn value_text(value: &Value) -> Option<&[u8]> {
    match value {
        Value { data_type: DataType::Varchar, scalar: Scalar::Bytes(bytes) } => Some(bytes),
        _ => None,
    }
}

fn literal_integer(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Literal(value) => value.scalar.as_integer(),
        _ => None,
    }
}

fn bytes(text: &[u8]) -> Vec<TextToken> {
    text.iter().map(|&byte| TextToken::Byte(byte)).collect()
}

/// Anything before and after.
fn around(mut tokens: Vec<TextToken>) -> Vec<TextToken> {
    tokens.insert(0, TextToken::Run);
    tokens.push(TextToken::Run);
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Compiled;
    use crate::shape::Shape;
    use columnar::{Batch, Vector};
    use proptest::prelude::*;

    fn column() -> Expr {
        Expr::column(0, DataType::Varchar)
    }

    fn text(text: &str) -> Value {
        Value::varchar(text)
    }

    fn call(function: &str, args: Vec<Expr>, data_type: DataType) -> Expr {
        Expr::Call { function: function.into(), args, data_type }
    }

    fn integer(value: usize) -> Expr {
        Expr::Literal(Value::new(DataType::Int64, Scalar::Integer(value as i128)))
    }

    /// The column, or its first characters.
    fn input() -> impl Strategy<Value = Expr> {
        prop_oneof![
            Just(column()),
            (0..4_usize).prop_map(|count| call(
                "substring",
                vec![column(), integer(1), integer(count)],
                DataType::Varchar
            )),
            (0..4_usize).prop_map(|count| call("left", vec![column(), integer(count)], DataType::Varchar)),
        ]
    }

    fn comparison(ops: &'static [CompareOp]) -> impl Strategy<Value = CompareOp> {
        prop::sample::select(ops)
    }

    fn predicate() -> impl Strategy<Value = Expr> {
        use CompareOp::*;
        let like = ("[aBkıi%_!é]{0,6}", prop::option::of(Just('!')), any::<bool>(), any::<bool>());
        let like = like.prop_map(|(pattern, escape, case_insensitive, negated)| Expr::Like {
            input: Box::new(column()),
            pattern: Box::new(Expr::Literal(text(&pattern))),
            escape,
            case_insensitive,
            negated,
        });
        let list = (input(), prop::collection::vec("[aBé]{0,3}", 1..4), any::<bool>());
        let list = list.prop_map(|(input, list, negated)| Expr::InList {
            input: Box::new(input),
            list: list.iter().map(|item| text(item)).collect(),
            negated,
        });
        let equal = (input(), "[aBé]{0,3}", comparison(&[Equal, NotEqual]));
        let equal =
            equal.prop_map(|(input, value, op)| Expr::compare(op, input, Expr::Literal(text(&value))));
        let order = ("[aBé]{0,3}", comparison(&[Less, LessOrEqual, Greater, GreaterOrEqual, Equal]));
        let order = order.prop_map(|(value, op)| Expr::compare(op, Expr::Literal(text(&value)), column()));
        let place = ("[aBé]{0,2}", comparison(&[Equal, NotEqual, Greater, LessOrEqual]));
        let place = place.prop_map(|(sought, op)| {
            let place = call("strpos", vec![column(), Expr::Literal(text(&sought))], DataType::Int64);
            Expr::compare(op, place, integer(0))
        });
        let named = ("[aBé]{0,2}", prop::sample::select(&["starts_with", "ends_with", "contains"]));
        let named = named.prop_map(|(sought, name)| {
            call(name, vec![column(), Expr::Literal(text(&sought))], DataType::Boolean)
        });
        prop_oneof![3 => like, 2 => list, 1 => equal, 1 => order, 1 => place, 1 => named].prop_recursive(
            2,
            6,
            3,
            |leaf| {
                prop_oneof![
                    prop::collection::vec(leaf.clone(), 2..4).prop_map(Expr::And),
                    prop::collection::vec(leaf.clone(), 2..4).prop_map(Expr::Or),
                    leaf.prop_map(|input| Expr::Not(Box::new(input))),
                ]
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn automata_pass_what_the_expression_does(
            predicate in predicate(), texts in prop::collection::vec("[aAbBkKKiIİıé!%_]{0,6}", 12),
        ) {
            let Some((0, automaton)) = text_test(&predicate) else { return Ok(()) };
            let mut scalars: Vec<Scalar> = texts.iter().map(|text| Scalar::Bytes(text.clone().into())).collect();
            scalars.push(Scalar::Null);
            let compiled = Compiled::compile(&predicate, &[Shape::of_type(DataType::Varchar)]).unwrap();
            let batch = Batch::new(vec![Vector::from_scalars(DataType::Varchar, &scalars)]);
            let matches = compiled.matches(&batch).unwrap();
            for (row, text) in texts.iter().enumerate() {
                prop_assert_eq!(automaton.accepts(text.as_bytes()), matches.get(row), "{:?}: {:?}", text, &predicate);
            }
            // Storage lets no null pass.
            prop_assert!(!matches.get(texts.len()));
        }
    }

    #[test]
    fn predicates_that_are_tested_as_text() {
        let like = |pattern: Expr| Expr::Like {
            input: Box::new(column()),
            pattern: Box::new(pattern),
            escape: None,
            case_insensitive: false,
            negated: true,
        };
        let literal = |value: &str| Expr::Literal(text(value));
        assert!(text_test(&like(literal("%special%requests%"))).is_some());
        let prefix = call("substring", vec![column(), integer(1), integer(2)], DataType::Varchar);
        let list = |list| Expr::InList { input: Box::new(prefix.clone()), list, negated: false };
        assert!(text_test(&list(vec![text("13"), text("31")])).is_some());
        assert!(text_test(&Expr::Or(vec![like(literal("%x%")), like(literal("%y%"))])).is_some());
        for left in [
            // What is null for some text, or not null for null.
            list(vec![text("13"), Value::null(DataType::Varchar)]),
            Expr::compare(CompareOp::IsNotDistinctFrom, prefix.clone(), literal("13")),
            Expr::IsNull { input: Box::new(column()), negated: false },
            like(Expr::Literal(Value::null(DataType::Varchar))),
            // What no literal says.
            like(column()),
            Expr::Or(vec![
                like(literal("%x%")),
                Expr::compare(CompareOp::Equal, Expr::column(1, DataType::Varchar), literal("y")),
            ]),
            call("substring", vec![column(), integer(2), integer(2)], DataType::Varchar),
        ] {
            assert!(text_test(&left).is_none(), "{left:?}");
        }
    }
}

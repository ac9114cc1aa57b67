//! Automata against definitions.

use super::*;
use proptest::prelude::*;

/// Whether characters match tokens, whose bytes are of whole characters.
fn naive(tokens: &[TextToken], text: &[u8]) -> bool {
    match tokens.split_first() {
        None => text.is_empty(),
        Some((TextToken::Run, rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
        Some((TextToken::Character, rest)) => {
            let text = std::str::from_utf8(text).unwrap_or_default();
            text.chars().next().is_some_and(|first| naive(rest, &text.as_bytes()[first.len_utf8()..]))
        }
        Some((TextToken::Byte(byte), rest)) => text.first() == Some(byte) && naive(rest, &text[1..]),
    }
}

fn tokens(pattern: &str) -> Vec<TextToken> {
    let token = |character: char| match character {
        '%' => vec![TextToken::Run],
        '_' => vec![TextToken::Character],
        other => other.to_string().bytes().map(TextToken::Byte).collect(),
    };
    pattern.chars().flat_map(token).collect()
}

fn automaton(patterns: &[&str]) -> TextAutomaton {
    let sequences: Vec<_> = patterns.iter().map(|pattern| tokens(pattern)).collect();
    TextAutomaton::of_sequences(&sequences, false).unwrap()
}

const OPS: [CompareOp; 6] = [
    CompareOp::Equal,
    CompareOp::NotEqual,
    CompareOp::Less,
    CompareOp::LessOrEqual,
    CompareOp::Greater,
    CompareOp::GreaterOrEqual,
];

proptest! {
    #[test]
    fn sequences_match_as_the_definition_says(
        a in "[ab%_é€]{0,7}", b in "[ab%_é😀]{0,7}", texts in prop::collection::vec("[abé€😀]{0,8}", 8),
    ) {
        let built = |patterns: &[&str]| {
            let sequences: Vec<_> = patterns.iter().map(|pattern| tokens(pattern)).collect();
            TextAutomaton::of_sequences(&sequences, false)
        };
        // After a run, `_` several times takes many states.
        let (Some(one), Some(other), Some(either)) = (built(&[&a]), built(&[&b]), built(&[&a, &b])) else {
            return Err(TestCaseError::reject("too many states"));
        };
        let (Some(or), Some(and)) = (one.or(&other), one.and(&other)) else {
            return Err(TestCaseError::reject("too many states"));
        };
        for text in &texts {
            let text = text.as_bytes();
            let (first, second) = (naive(&tokens(&a), text), naive(&tokens(&b), text));
            prop_assert_eq!(one.accepts(text), first, "{:?} like {}", text, a);
            prop_assert_eq!(one.clone().inverted().accepts(text), !first);
            prop_assert_eq!(either.accepts(text), first || second, "{:?} like {} or {}", text, a, b);
            prop_assert_eq!(or.accepts(text), first || second);
            prop_assert_eq!(and.accepts(text), first && second);
            if let Some(implied) = one.clone().inverted().or(&other) {
                prop_assert_eq!(implied.accepts(text), !first || second);
            }
        }
        let views = Views::from_strings(texts.iter().map(|text| text.as_bytes()));
        for automaton in [one.clone(), one.inverted()] {
            let bits = automaton.test(&views);
            for (row, text) in texts.iter().enumerate() {
                prop_assert_eq!(bits.get(row), automaton.accepts(text.as_bytes()));
            }
        }
    }

    #[test]
    fn folding_is_that_of_lower_case(pattern in "[aiks%]{0,6}", text in "[aAiIİıkKKsSſéÉ\u{307}]{0,7}") {
        let folded = TextAutomaton::of_sequences(&[tokens(&pattern)], true).unwrap();
        let expected = naive(&tokens(&pattern), text.to_lowercase().as_bytes());
        prop_assert_eq!(folded.accepts(text.as_bytes()), expected, "{} ilike {}", text, pattern);
    }

    #[test]
    fn comparisons_order_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..4), text in prop::collection::vec(any::<u8>(), 0..5), cut in 0..4_usize,
    ) {
        // Texts that share a beginning with the bytes are the ones to tell apart.
        let near = [&bytes[..cut.min(bytes.len())], &text].concat();
        for (op, text) in OPS.into_iter().flat_map(|op| [(op, &text), (op, &near)]) {
            let automaton = TextAutomaton::compared(op, &bytes).unwrap();
            prop_assert_eq!(automaton.accepts(text), op.holds(text.cmp(&bytes)));
        }
    }

    #[test]
    fn bounds_prove_only_what_holds(
        pattern in "[abc%_]{0,4}", mut bounds in prop::array::uniform2("[abc]{0,4}"), text in "[abc]{0,5}", negated: bool,
    ) {
        bounds.sort();
        let positive = automaton(&[&pattern]);
        let automaton = if negated { positive.inverted() } else { positive };
        let within = bounds[0] <= text && text <= bounds[1];
        match automaton.judge(bounds[0].as_bytes(), bounds[1].as_bytes()) {
            Verdict::None => prop_assert!(!within || !automaton.accepts(text.as_bytes())),
            Verdict::All => prop_assert!(!within || automaton.accepts(text.as_bytes())),
            Verdict::Unknown => {}
        }
        // Bounds that a damaged file exchanges prove nothing, and do no harm.
        automaton.judge(bounds[1].as_bytes(), bounds[0].as_bytes());
    }
}

#[test]
fn only_two_characters_beyond_ascii_have_ascii_in_their_lower_case() {
    let found: Vec<char> = ('\u{80}'..=char::MAX)
        .filter(|character| character.to_lowercase().any(|lower| lower.is_ascii()))
        .collect();
    assert_eq!(found, ['İ', '\u{212a}']);
}

#[test]
fn bounds_that_rule_out_prefixes() {
    let forest = automaton(&["forest%"]);
    assert_eq!(forest.judge(b"almond", b"blue"), Verdict::None);
    assert_eq!(forest.judge(b"fa", b"fi"), Verdict::None);
    assert_eq!(forest.judge(b"forest green", b"forest red"), Verdict::All);
    assert_eq!(forest.judge(b"forest", b"forest"), Verdict::All);
    assert_eq!(forest.judge(b"forest", b"forestry"), Verdict::All);
    assert_eq!(forest.judge(b"fores", b"forest"), Verdict::Unknown);
    assert_eq!(forest.judge(b"", b"zebra"), Verdict::Unknown);
    assert_eq!(forest.inverted().judge(b"almond", b"blue"), Verdict::All);
}

#[test]
fn what_takes_too_many_states_is_refused() {
    let long = "x".repeat(MAX_STATES);
    assert_eq!(TextAutomaton::of_sequences(&[tokens(&long)], false), None);
    assert_eq!(TextAutomaton::compared(CompareOp::Less, long.as_bytes()), None);
    // The states tell which of the last characters were an `a`.
    assert_eq!(TextAutomaton::of_sequences(&[tokens("%a_______")], false), None);
    let words = ["%green%", "%blue%", "%chocolate%", "%forest%"];
    assert!(automaton(&words[..2]).and(&automaton(&words[2..]).inverted()).is_some());
    assert_eq!(TextAutomaton::of_sequences(&[tokens("é%")], true), None);
    assert_eq!(TextAutomaton::of_sequences(&[tokens("_a")], true), None);
    assert!(!TextAutomaton::of_sequences(&[], false).unwrap().accepts(b""));
}

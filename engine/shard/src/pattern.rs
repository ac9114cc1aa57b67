//! Patterns over paths: `*` and `?` within a part, `[a-z]` and `[!a-z]` for one character, `**` for any parts.

/// Whether a part of a path is a pattern.
pub(crate) fn is_pattern(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// Whether the parts of a path match the parts of a pattern.
pub(crate) fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            matches(rest, path) || path.split_first().is_some_and(|(_, tail)| matches(pattern, tail))
        }
        (Some((first, rest)), Some((part, tail))) => part_matches(first, part) && matches(rest, tail),
        _ => false,
    }
}

/// Greedy matching with one point of return, the last star: time is at most the product of the lengths.
fn part_matches(pattern: &str, part: &str) -> bool {
    let (pattern, part): (Vec<char>, Vec<char>) = (pattern.chars().collect(), part.chars().collect());
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < part.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, position));
            at += 1;
        } else if let Some(next) = one(&pattern, at, part[position]) {
            at = next;
            position += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            (at, position) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&letter| letter == '*')
}

/// Where the pattern goes on after the element at `at` took `letter`; `None` where it does not take it.
fn one(pattern: &[char], at: usize, letter: char) -> Option<usize> {
    match *pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => {
            let end = at + 2 + pattern.get(at + 2..)?.iter().position(|&closing| closing == ']')?;
            let (negated, set) = match pattern[at + 1] {
                '!' | '^' => (true, &pattern[at + 2..end]),
                _ => (false, &pattern[at + 1..end]),
            };
            let mut rest = set;
            let mut inside = false;
            while let Some((&low, tail)) = rest.split_first() {
                (inside, rest) = match tail {
                    ['-', high, after @ ..] => (inside || (low..=*high).contains(&letter), after),
                    _ => (inside || low == letter, tail),
                };
            }
            (inside != negated).then_some(end + 1)
        }
        plain => (plain == letter).then_some(at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str) -> bool {
        let split = |text: &'static str| text.split('/').collect::<Vec<_>>();
        matches(&split(String::leak(pattern.into())), &split(String::leak(path.into())))
    }

    #[test]
    fn patterns_match_as_shells_have_them() {
        for (pattern, path) in [
            ("a/*.parquet", "a/x.parquet"),
            ("a/?[0-9]*", "a/p7"),
            ("**/x", "a/b/x"),
            ("**/x", "x"),
            ("a/**", "a/b/c"),
            ("*a*b*", "xxaxxbxx"),
            ("[!x]b", "ab"),
            ("[a-]b", "-b"),
        ] {
            assert!(check(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a/*.parquet", "a/b/x.parquet"),
            ("a/*", "a"),
            ("[!x]b", "xb"),
            ("[ab", "a"),
            ("*a", "ab"),
            ("?", ""),
        ] {
            assert!(!check(pattern, path), "{pattern} {path}");
        }
        assert!(!check(&"*a".repeat(50), &"a".repeat(49)));
    }
}

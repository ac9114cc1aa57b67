//! How alike two texts are. All count characters (code points).

use super::arguments::Arguments;
use super::{Function, Parameter, Returns, Run};
use columnar::{DataType, Error, Result, Vector};
use std::collections::{HashMap, HashSet};

const PAIR: [Parameter; 2] = [Parameter::Exact(DataType::Varchar), Parameter::Exact(DataType::Varchar)];
/// The most characters of one text times those of the other: comparing takes a step for each.
const MOST_STEPS: usize = 1 << 24;

pub(super) fn functions() -> Vec<Function> {
    let distances: [(&'static str, &'static [&'static str], &'static str, &'static str, Run); 3] = [
        (
            "levenshtein",
            &["editdist3"],
            "Characters to insert, delete or replace to get from one text to another.",
            "levenshtein('duck', 'db') → 3",
            |args, data_type| count(args, data_type, levenshtein),
        ),
        (
            "damerau_levenshtein",
            &[],
            "As levenshtein, where neighbours that changed places count once.",
            "damerau_levenshtein('ca', 'abc') → 2",
            |args, data_type| count(args, data_type, damerau_levenshtein),
        ),
        (
            "hamming",
            &["mismatches"],
            "In how many places two texts of one length differ.",
            "hamming('duck', 'luck') → 1",
            |args, data_type| count(args, data_type, hamming),
        ),
    ];
    let likenesses: [(&'static str, &'static str, &'static str, Run); 3] = [
        (
            "jaccard",
            "How many characters two texts share, of all that they have.",
            "jaccard('duck', 'luck') → 0.6",
            |args, data_type| likeness(args, data_type, jaccard),
        ),
        (
            "jaro_similarity",
            "How alike two texts are, from 0 to 1 (Jaro 1989).",
            "round(jaro_similarity('duck', 'duckdb'), 3) → 0.889",
            |args, data_type| likeness(args, data_type, |a, b| Ok(jaro(a, b))),
        ),
        (
            "jaro_winkler_similarity",
            "As jaro_similarity, where the same start counts more (Winkler 1990).",
            "round(jaro_winkler_similarity('duck', 'duckdb'), 3) → 0.933",
            |args, data_type| likeness(args, data_type, |a, b| Ok(jaro_winkler(a, b))),
        ),
    ];
    let mut functions = Vec::new();
    for (name, aliases, description, example, run) in distances {
        let function = Function::new(name, description, example).aliases(aliases);
        functions.push(function.with_fallible(&PAIR, Returns::Type(DataType::Int64), run));
    }
    for (name, description, example, run) in likenesses {
        let function = Function::new(name, description, example);
        functions.push(function.with_fallible(&PAIR, Returns::Type(DataType::Float64), run));
    }
    functions
}

fn characters(args: &Arguments, row: usize) -> Result<(Vec<char>, Vec<char>)> {
    let (a, b): (Vec<char>, Vec<char>) =
        (args.text(0, row).chars().collect(), args.text(1, row).chars().collect());
    match a.len().checked_mul(b.len()) {
        Some(steps) if steps <= MOST_STEPS => Ok((a, b)),
        _ => {
            let what = format!("the likeness of texts of {} and {} characters", a.len(), b.len());
            Err(Error::OutOfRange { what })
        }
    }
}

fn count(args: &Arguments, data_type: DataType, of: fn(&[char], &[char]) -> Result<usize>) -> Result<Vector> {
    args.map_integers(data_type, |row| {
        let (a, b) = characters(args, row)?;
        Ok(of(&a, &b)? as i128)
    })
}

fn likeness(
    args: &Arguments,
    data_type: DataType,
    of: fn(&[char], &[char]) -> Result<f64>,
) -> Result<Vector> {
    args.map_floats(data_type, |row| {
        let (a, b) = characters(args, row)?;
        of(&a, &b)
    })
}

/// Levenshtein 1966.
fn levenshtein(a: &[char], b: &[char]) -> Result<usize> {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    Ok(row[b.len()])
}

/// Damerau 1964, with letters between those that changed places (Lowrance and Wagner 1975).
fn damerau_levenshtein(a: &[char], b: &[char]) -> Result<usize> {
    let (width, far) = (b.len() + 2, a.len() + b.len());
    // A table with a border of unreachable distances; entry (i + 1, j + 1) is of the first i and j characters.
    let mut table = vec![far; (a.len() + 2) * width];
    let at = |i: usize, j: usize| i * width + j;
    (0..=a.len()).for_each(|i| table[at(i + 1, 1)] = i);
    (0..=b.len()).for_each(|j| table[at(1, j + 1)] = j);
    let mut last_in_a: HashMap<char, usize> = HashMap::new();
    for (i, x) in a.iter().enumerate().map(|(i, x)| (i + 1, x)) {
        let mut last_match = 0;
        for (j, y) in b.iter().enumerate().map(|(j, y)| (j + 1, y)) {
            let (k, l) = (last_in_a.get(y).copied().unwrap_or(0), last_match);
            let replaced = table[at(i, j)] + usize::from(x != y);
            if x == y {
                last_match = j;
            }
            let swapped = table[at(k, l)] + (i - k - 1) + 1 + (j - l - 1);
            let edited = table[at(i, j + 1)].min(table[at(i + 1, j)]) + 1;
            table[at(i + 1, j + 1)] = replaced.min(swapped).min(edited);
        }
        last_in_a.insert(*x, i);
    }
    Ok(table[at(a.len() + 1, b.len() + 1)])
}

fn hamming(a: &[char], b: &[char]) -> Result<usize> {
    if a.len() != b.len() {
        let what = format!("the Hamming distance of texts of {} and {} characters", a.len(), b.len());
        return Err(Error::OutOfRange { what });
    }
    Ok(a.iter().zip(b).filter(|(x, y)| x != y).count())
}

/// Jaccard 1901, of the sets of characters.
fn jaccard(a: &[char], b: &[char]) -> Result<f64> {
    if a.is_empty() || b.is_empty() {
        return Err(Error::OutOfRange { what: "the Jaccard index of an empty text".into() });
    }
    let (a, b): (HashSet<&char>, HashSet<&char>) = (a.iter().collect(), b.iter().collect());
    Ok(a.intersection(&b).count() as f64 / a.union(&b).count() as f64)
}

fn jaro(a: &[char], b: &[char]) -> f64 {
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    let mut taken = vec![false; b.len()];
    let mut matched = Vec::new();
    for (i, x) in a.iter().enumerate() {
        let (from, to) = (i.saturating_sub(reach), (i + reach + 1).min(b.len()));
        if let Some(j) = (from..to).find(|&j| !taken[j] && b[j] == *x) {
            taken[j] = true;
            matched.push(*x);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let others = b.iter().zip(&taken).filter(|(_, taken)| **taken).map(|(y, _)| y);
    let out_of_place = matched.iter().zip(others).filter(|(x, y)| x != y).count() / 2;
    let m = matched.len() as f64;
    (m / a.len() as f64 + m / b.len() as f64 + (m - out_of_place as f64) / m) / 3.0
}

fn jaro_winkler(a: &[char], b: &[char]) -> f64 {
    let jaro = jaro(a, b);
    if jaro <= 0.7 {
        return jaro;
    }
    let start = a.iter().zip(b).take(4).take_while(|(x, y)| x == y).count() as f64;
    jaro + start * 0.1 * (1.0 - jaro)
}

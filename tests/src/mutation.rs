//! Statements that nobody would write: others cut up, put together anew, nested, lengthened and filled with
//! extreme values. What comes out depends on the generator alone.

use crate::random::Random;

const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "7",
    "128",
    "-32769",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "99999999999999999999999999999999999999",
    "170141183460469231731687303715884105728",
    "0.00000000000000000000000000000000000001",
    "-12345678901234567890.123456789012345678",
    "1e308",
    "1e400",
    "-1e-320",
    "0.5",
    "NULL",
];
const TEXTS: [&str; 24] = [
    "''",
    "'%'",
    "'_%é_%'",
    "'\\'",
    "'1995-02-30'",
    "'1996-02-29'",
    "'-5877641-06-23'",
    "'5881580-07-11'",
    "'0000-01-01'",
    "'24:00:00'",
    "'294247-01-10 04:00:54.775807'",
    "'1677-09-21 00:12:43.145224194'",
    "'infinity'",
    "'NaN'",
    "'-0'",
    "'178956970 years 7 mons'",
    "'-2147483648 days'",
    "'9223372036854775807 us'",
    "'99999999999999999999999999999999999999'",
    "'1e-400'",
    "'👩‍👩‍👧\u{202e}ﬀİß\u{301}'",
    "'\\xff00'",
    "'century'",
    "'a longer text that is not held within a view'",
];
const TYPES: [&str; 20] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "DECIMAL(38,38)",
    "DECIMAL(38,0)",
    "DECIMAL(18,3)",
    "DECIMAL(1,1)",
    "REAL",
    "DOUBLE",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "TIMESTAMP_NS",
    "TIMESTAMP_S",
    "INTERVAL",
    "VARCHAR",
    "BLOB",
];
const OPERATORS: [&str; 18] = [
    "+",
    "-",
    "*",
    "/",
    "%",
    "||",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "AND",
    "OR",
    "LIKE",
    "ILIKE",
    "IS DISTINCT FROM",
    "NOT LIKE",
];
const AGGREGATES: [&str; 16] = [
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "any_value",
    "bool_and",
    "bool_or",
    "stddev",
    "median",
    "mode",
    "string_agg",
    "first",
    "bit_xor",
    "approx_count_distinct",
    "entropy",
];
const CHARACTERS: [char; 16] = [
    '\0',
    '\u{7f}',
    '\u{a0}',
    '\u{200b}',
    '\u{202e}',
    '\u{feff}',
    '\u{10ffff}',
    'é',
    'İ',
    '\u{301}',
    '👾',
    '\'',
    '"',
    '$',
    ';',
    '\\',
];
/// How often something is repeated: within what is accepted, at its limits and beyond.
const LENGTHS: [usize; 14] = [2, 3, 4, 6, 9, 13, 20, 33, 63, 150, 290, 310, 1_990, 20_000];

/// The table that expressions are drawn over, a column a type, and rows at the ends of their ranges.
pub const EVERY_TYPE: [&str; 3] = [
    "CREATE TABLE every_type (bo BOOLEAN, ti TINYINT, si SMALLINT, i INTEGER, bi BIGINT, de DECIMAL(15,2), \
     wide DECIMAL(38,10), re REAL, d DOUBLE, da DATE, tm TIME, ts TIMESTAMP, tz TIMESTAMPTZ, tn TIMESTAMP_NS, \
     s VARCHAR, bl BLOB)",
    "INSERT INTO every_type VALUES \
     (true, 127, 32767, 2147483647, 9223372036854775807, 9999999999999.99, 9999999999999999999999999999.9999999999, \
      3.4e38, 1.7e308, DATE '9999-12-31', TIME '23:59:59.999999', TIMESTAMP '9999-12-31 23:59:59.999999', \
      TIMESTAMPTZ '9999-12-31 23:59:59.999999', CAST('2262-04-11 23:47:16.854775806' AS TIMESTAMP_NS), 'zebra', 'z'), \
     (false, -128, -32768, -2147483648, -9223372036854775807, -9999999999999.99, \
      -9999999999999999999999999999.9999999999, -3.4e38, -1.7e308, DATE '0001-01-01', TIME '00:00:00', \
      TIMESTAMP '0001-01-01 00:00:00', TIMESTAMPTZ '0001-01-01 00:00:00', \
      CAST('1677-09-21 00:12:43.145224194' AS TIMESTAMP_NS), '', ''), \
     (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "INSERT INTO every_type VALUES \
     (true, 0, 0, 0, 0, 0, 0, 0, 0, DATE '1970-01-01', TIME '12:00:00', TIMESTAMP '1970-01-01 00:00:00', \
      TIMESTAMPTZ '1970-01-01 00:00:00', CAST('1970-01-01 00:00:00' AS TIMESTAMP_NS), 'é👾ß and more than twelve bytes', 'x'), \
     (true, 1, -1, 2, 3, 0.01, 0.0000000001, 0.5, -0.5, DATE '1996-02-29', TIME '01:02:03', \
      TIMESTAMP '1996-02-29 12:34:56', TIMESTAMPTZ '1996-02-29 12:34:56', CAST('1996-02-29 12:34:56' AS TIMESTAMP_NS), \
      '12', '12')",
];
const COLUMNS: [&str; 16] =
    ["bo", "ti", "si", "i", "bi", "de", "wide", "re", "d", "da", "tm", "ts", "tz", "tn", "s", "bl"];

/// Draws statements from those of a corpus and from the functions that there are.
pub struct Mutator {
    statements: Vec<Vec<String>>,
    functions: Vec<&'static str>,
}

impl Mutator {
    pub fn new(corpus: &[String]) -> Mutator {
        let functions = exec::functions::list().into_iter();
        let functions = functions.flat_map(|function| [&[function.name], function.aliases].concat());
        Mutator { statements: corpus.iter().map(|sql| tokens(sql)).collect(), functions: functions.collect() }
    }

    /// A statement, most likely a wrong one.
    pub fn statement(&self, random: &mut Random) -> String {
        let mut sql = match random.below(16) {
            0..8 => self.query(random),
            8 => self.chain(random),
            _ => {
                let mut tokens = self.any(random).to_vec();
                for _ in 0..1 + random.below(4) {
                    self.change(&mut tokens, random);
                }
                tokens.join(" ")
            }
        };
        if random.one_in(24) {
            let mut characters: Vec<char> = sql.chars().collect();
            let at = random.below(characters.len());
            match random.below(2) {
                0 => characters.truncate(at),
                _ => characters.insert(at, CHARACTERS[random.below(CHARACTERS.len())]),
            }
            sql = characters.into_iter().collect();
        }
        sql
    }

    fn any(&self, random: &mut Random) -> &[String] {
        &self.statements[random.below(self.statements.len())]
    }

    /// One change of a statement's tokens.
    fn change(&self, tokens: &mut Vec<String>, random: &mut Random) {
        let at = random.below(tokens.len());
        let end = tokens.len().min(at + 1 + random.below(6));
        if tokens.is_empty() {
            return;
        }
        match random.below(12) {
            0 => {
                let other = random.below(tokens.len());
                tokens.swap(at, other);
            }
            1 => {
                let stretch = tokens[at..end].to_vec();
                tokens.splice(at..at, stretch);
            }
            2 => drop(tokens.drain(at..end)),
            3 => tokens.truncate(at),
            4 => {
                let other = self.any(random);
                tokens.truncate(at);
                tokens.extend_from_slice(&other[random.below(other.len())..]);
            }
            5 => tokens[at] = format!("({})", self.any(random).join(" ")),
            6 => {
                let alike = self.any(random).iter().filter(|other| class(other) == class(&tokens[at]));
                let alike: Vec<&String> = alike.collect();
                if !alike.is_empty() {
                    tokens[at] = alike[random.below(alike.len())].clone();
                }
            }
            7 | 8 => self.replace_value(tokens, random),
            9 => {
                let depth = LENGTHS[random.below(LENGTHS.len())];
                let (open, close) = nesting(random);
                tokens.insert(end, close.repeat(depth));
                tokens.insert(at, open.repeat(depth));
            }
            10 => tokens[at] = self.expression(2, random),
            _ => {
                let stretch = format!("{} ", tokens[at..end].join(" "));
                tokens[at] = stretch.repeat(LENGTHS[random.below(8)]);
            }
        }
    }

    /// A number, a text or a name gives way to an extreme one.
    fn replace_value(&self, tokens: &mut [String], random: &mut Random) {
        let values: Vec<usize> = (0..tokens.len())
            .filter(|&at| matches!(class(&tokens[at]), Class::Number | Class::Text))
            .collect();
        if let Some(&at) = values.get(random.below(values.len())) {
            tokens[at] = match random.below(4) {
                0 => random.pick(&TEXTS).into(),
                1 => "9".repeat(LENGTHS[random.below(11)]),
                _ => random.pick(&NUMBERS).into(),
            };
        }
    }

    /// A query over every type.
    fn query(&self, random: &mut Random) -> String {
        let mut expression = || self.expression(3, random);
        let (a, b, c) = (expression(), expression(), expression());
        match random.below(7) {
            0 => format!("SELECT {a}, {b}"),
            1 => format!("SELECT {a} FROM every_type WHERE {b}"),
            2 => format!("SELECT {a}, {}({b}) FROM every_type GROUP BY 1", random.pick(&AGGREGATES)),
            3 => format!("SELECT {a} FROM every_type ORDER BY {b}, {c} LIMIT 3"),
            4 => format!("SELECT count(*) FROM every_type x JOIN every_type y ON ({a}) = ({b})"),
            5 => format!("SELECT {a} FROM every_type UNION SELECT {b} FROM every_type"),
            _ => format!("SELECT {a} FROM every_type"),
        }
    }

    /// An expression over the columns of `every_type`.
    fn expression(&self, depth: usize, random: &mut Random) -> String {
        if depth == 0 || random.one_in(4) {
            return match random.below(8) {
                0..4 => random.pick(&COLUMNS).into(),
                4 | 5 => random.pick(&NUMBERS).into(),
                6 => random.pick(&TEXTS).into(),
                _ => format!("INTERVAL {}", random.pick(&TEXTS)),
            };
        }
        let inner = |random: &mut Random| self.expression(depth - 1, random);
        match random.below(10) {
            0 | 1 => format!("({} {} {})", inner(random), random.pick(&OPERATORS), inner(random)),
            2 => format!("CAST({} AS {})", inner(random), random.pick(&TYPES)),
            3 => format!("TRY_CAST({} AS {})", inner(random), random.pick(&TYPES)),
            4 => format!("CASE WHEN {} THEN {} ELSE {} END", inner(random), inner(random), inner(random)),
            5 => format!("({} BETWEEN {} AND {})", inner(random), inner(random), inner(random)),
            6 => format!("({} IN ({}, {}))", inner(random), inner(random), inner(random)),
            _ => {
                let function = self.functions[random.below(self.functions.len())];
                let arguments: Vec<String> = (0..random.below(4)).map(|_| inner(random)).collect();
                format!("{function}({})", arguments.join(", "))
            }
        }
    }

    /// A short thing many times over.
    fn chain(&self, random: &mut Random) -> String {
        let count = LENGTHS[random.below(LENGTHS.len())];
        let (a, b) = (self.expression(1, random), self.expression(1, random));
        let repeat = |between: &str, of: &str| vec![of; count].join(between);
        match random.below(9) {
            0 => format!("SELECT {} FROM every_type", repeat(&format!(" {} ", random.pick(&OPERATORS)), &a)),
            1 => format!("SELECT * FROM every_type WHERE {}", repeat(" OR ", &format!("{a} = {b}"))),
            2 => repeat(" UNION ALL ", &format!("SELECT {a} FROM every_type")),
            3 => repeat(" EXCEPT ", &format!("SELECT {a} FROM every_type")),
            4 => format!("SELECT {} FROM every_type", repeat(", ", &a)),
            5 => format!("SELECT * FROM every_type WHERE {a} IN ({})", repeat(", ", &b)),
            6 => format!("SELECT CASE {} END FROM every_type", repeat(" ", &format!("WHEN {a} THEN {b}"))),
            7 => {
                let tables: Vec<String> = (0..count.min(20)).map(|n| format!("every_type t{n}")).collect();
                let joined = (1..tables.len()).map(|n| format!("t{n}.i = t{}.i", n - 1));
                let conditions: Vec<String> = joined.collect();
                format!("SELECT count(*) FROM {} WHERE {}", tables.join(", "), conditions.join(" AND "))
            }
            _ => {
                let (open, close) = nesting(random);
                format!("SELECT {}{a}{} FROM every_type", open.repeat(count), close.repeat(count))
            }
        }
    }
}

/// What opens and closes something within itself.
fn nesting(random: &mut Random) -> (&'static str, &'static str) {
    let pairs = [
        ("(", ")"),
        ("NOT ", ""),
        ("- ", ""),
        ("abs(", ")"),
        ("(SELECT ", ")"),
        ("SELECT * FROM (", ") t"),
        ("CASE WHEN true THEN ", " END"),
        ("CAST(", " AS VARCHAR)"),
        ("WITH w AS (", ") SELECT * FROM w"),
        ("EXISTS (SELECT ", ")"),
        ("[", "]"),
        ("coalesce(NULL, ", ")"),
    ];
    pairs[random.below(pairs.len())]
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Word,
    Number,
    Text,
    Symbol,
}

fn class(token: &str) -> Class {
    match token.chars().next() {
        Some(first) if first.is_ascii_digit() => Class::Number,
        Some('\'') => Class::Text,
        Some(first) if first.is_alphabetic() || first == '_' || first == '"' => Class::Word,
        _ => Class::Symbol,
    }
}

/// Words, numbers, quoted texts and symbols; blanks and comments are left out.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let end_of = |inside: &dyn Fn(char) -> bool| rest.find(|next| !inside(next)).unwrap_or(rest.len());
        let len = match first {
            '-' if rest.starts_with("--") => {
                rest = rest.split_once('\n').map_or("", |(_, after)| after.trim_start());
                continue;
            }
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if first.is_ascii_digit() => end_of(&|next: char| next.is_ascii_alphanumeric() || next == '.'),
            _ if first.is_alphabetic() || first == '_' => {
                end_of(&|next: char| next.is_alphanumeric() || next == '_')
            }
            _ => {
                let pair = ["::", "<=", ">=", "<>", "!=", "||"].iter().any(|pair| rest.starts_with(pair));
                if pair { 2 } else { first.len_utf8() }
            }
        };
        tokens.push(rest[..len].to_string());
        rest = rest[len..].trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_fall_into_tokens() {
        let sql = "SELECT 'a b', t.x::DATE -- why\nFROM \"T 1\" WHERE x>=1.5e3";
        let found = tokens(sql);
        assert_eq!(found.join(" "), "SELECT 'a b' , t . x :: DATE FROM \"T 1\" WHERE x >= 1.5e3");
    }

    #[test]
    fn a_seed_gives_one_statement() {
        let mutator = Mutator::new(&["SELECT a, 1 FROM t WHERE b = 'x'".into()]);
        let draw = |seed| mutator.statement(&mut Random::new(seed));
        assert!((0..200).all(|seed| draw(seed) == draw(seed)));
        assert!((0..200).map(draw).collect::<std::collections::HashSet<_>>().len() > 150);
    }
}

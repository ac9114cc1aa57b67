//! `to_char` of numbers, with PostgreSQL's templates.

use super::arguments::{Arguments, Memo};
use super::text::append;
use super::{Function, Parameter, Returns};
use columnar::{DataType, Error, Result, Vector};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);

/// The most digits that a template has.
const MOST_DIGITS: usize = 512;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "to_char",
            "A number, or a moment or interval, as text by a template of PostgreSQL's.",
            "to_char(1485.5, 'FM9,999.00') → 1,485.50",
        )
        .with_fallible(&[Parameter::Integer, TEXT], RETURNS_TEXT, to_char)
        .with_fallible(&[Parameter::Decimal, TEXT], RETURNS_TEXT, to_char)
        .with_fallible(&[Parameter::Exact(DataType::Float64), TEXT], RETURNS_TEXT, to_char),
    ]
}

/// What stands in a template.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    /// `9`, and `0`, which shows zeros before and behind.
    Digit {
        zero: bool,
    },
    Point,
    /// `,` or `G`
    Group,
    /// `S`, which shows itself beside the digits.
    Sign,
    /// `MI`: a minus, or a blank.
    Minus,
    /// `PL`: a plus, or a blank.
    Plus,
    /// `SG`: a plus or a minus.
    Either,
    Currency,
    Roman,
    /// `st`, `nd`, `rd`, `th`; in upper case.
    Ordinal(bool),
    Text(String),
}

/// Where the sign of `S` comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignPlace {
    Before,
    Behind,
}

#[derive(Clone, Debug)]
struct Template {
    parts: Vec<Part>,
    /// Digits before and behind the point.
    before: usize,
    behind: usize,
    has_point: bool,
    /// Which of the digits before the point, from 0, is the first `0`.
    zero_from: Option<usize>,
    /// How many digits there are up to the last `0`.
    zero_to: usize,
    /// `FM`: no blanks and no zeros at the end.
    bare: bool,
    sign: Option<SignPlace>,
    /// `MI`, `PL` or `SG` shows the sign.
    minus: bool,
    plus: bool,
    /// `PR`: negative numbers in angle brackets.
    brackets: bool,
    /// `V`: digits to move the point by.
    shift: usize,
    exponent: bool,
}

impl Template {
    fn parse(text: &str) -> Result<Template> {
        let invalid =
            || Error::InvalidText { text: text.to_owned(), data_type: "template of a number".into() };
        let mut template = Template {
            parts: Vec::new(),
            before: 0,
            behind: 0,
            has_point: false,
            zero_from: None,
            zero_to: 0,
            bare: false,
            sign: None,
            minus: false,
            plus: false,
            brackets: false,
            shift: 0,
            exponent: false,
        };
        let mut shifted = false;
        let mut sign_after = 0;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let two = rest.get(..2).unwrap_or("").to_ascii_uppercase();
            let upper = rest.starts_with(|c: char| c.is_ascii_uppercase());
            let mut length = c.len_utf8();
            match (two.as_str(), c.to_ascii_uppercase()) {
                ("FM", _) => (template.bare, length) = (true, 2),
                ("MI", _) => {
                    (template.minus, length) = (true, 2);
                    template.parts.push(Part::Minus);
                }
                ("PL", _) => {
                    (template.plus, length) = (true, 2);
                    template.parts.push(Part::Plus);
                }
                ("SG", _) => {
                    (template.minus, template.plus, length) = (true, true, 2);
                    template.parts.push(Part::Either);
                }
                ("PR", _) => (template.brackets, length) = (true, 2),
                ("RN", _) => {
                    length = 2;
                    template.parts.push(Part::Roman);
                }
                ("TH", _) => {
                    length = 2;
                    template.parts.push(Part::Ordinal(upper));
                }
                _ if rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("EEEE")) => {
                    (template.exponent, length) = (true, 4);
                }
                (_, digit @ ('9' | '0')) => {
                    if template.exponent {
                        return Err(invalid());
                    }
                    template.parts.push(Part::Digit { zero: digit == '0' });
                    if shifted {
                        template.shift += 1;
                    }
                    if digit == '0' && !template.has_point {
                        template.zero_from = template.zero_from.or(Some(template.before));
                    }
                    if template.has_point {
                        template.behind += 1
                    } else {
                        template.before += 1
                    }
                    if digit == '0' {
                        template.zero_to = template.before + template.behind;
                    }
                }
                (_, '.' | 'D') => {
                    if template.has_point || shifted {
                        return Err(invalid());
                    }
                    template.has_point = true;
                    template.parts.push(Part::Point);
                }
                (_, ',' | 'G') => template.parts.push(Part::Group),
                (_, 'S') => {
                    if template.sign.is_some() || template.minus || template.plus || template.brackets {
                        return Err(invalid());
                    }
                    let first = !template.has_point;
                    template.sign = Some(if first { SignPlace::Before } else { SignPlace::Behind });
                    sign_after = template.before;
                    template.parts.push(Part::Sign);
                }
                (_, 'V') => {
                    if template.has_point {
                        return Err(invalid());
                    }
                    shifted = true;
                }
                (_, 'L') => template.parts.push(Part::Currency),
                (_, '"') => {
                    let (quoted, used) = quoted(rest);
                    template.parts.push(Part::Text(quoted));
                    length = used;
                }
                (_, '\\') if rest.len() > 1 => {
                    let next = rest[1..].chars().next().unwrap_or('\\');
                    template.parts.push(Part::Text(next.to_string()));
                    length = 1 + next.len_utf8();
                }
                _ => template.parts.push(Part::Text(c.to_string())),
            }
            rest = &rest[length..];
        }
        if template.before + template.behind > MOST_DIGITS {
            return Err(invalid());
        }
        // Behind all digits before the point it belongs at the end.
        if template.sign == Some(SignPlace::Before) && sign_after == template.before {
            template.sign = Some(SignPlace::Behind);
        }
        Ok(template)
    }
}

/// The text in double quotes at the start, and how many bytes it takes with them.
pub(super) fn quoted(text: &str) -> (String, usize) {
    let (mut out, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (out, at + 1),
            c => {
                escaped = false;
                out.push(c);
            }
        }
    }
    (out, text.len())
}

/// A number as its template takes it.
enum Number {
    /// An integer and the digits of it that are behind the point.
    Exact(i128, u32),
    Double(f64),
}

fn to_char(args: &Arguments, _: DataType) -> Result<Vector> {
    let mut templates = Memo::new();
    let scale = match args.data_type(0) {
        DataType::Decimal { scale, .. } => Some(u32::from(scale)),
        data_type if data_type.is_integer() => Some(0),
        _ => None,
    };
    let (exact, doubles) = match scale {
        Some(_) => (args.integers(0), Vec::new()),
        None => (Vec::new(), args.floats(0)),
    };
    args.map_text(|row, out| {
        let template = templates.get(args.text(1, row), Template::parse)?;
        let number = match scale {
            Some(scale) => Number::Exact(exact[row], scale),
            None => Number::Double(doubles[row]),
        };
        append(out, &shown(template, number)?)
    })
}

/// The digits of a magnitude with so many behind the point, half rounded away from zero; with the sign.
fn digits_of(number: &Number, behind: usize, shift: usize) -> Result<(bool, String)> {
    match *number {
        Number::Exact(value, scale) => {
            let moved = scale as i64 - shift as i64;
            let negative = value < 0;
            let mut digits = value.unsigned_abs().to_string();
            let keep = behind as i64;
            if moved > keep {
                // Some digits go.
                let drop = (moved - keep) as u32;
                let unit = 10_u128.checked_pow(drop);
                let rounded = unit.map_or(0, |unit| {
                    let magnitude = value.unsigned_abs();
                    magnitude / unit
                        + u128::from(magnitude % unit >= unit - magnitude % unit && magnitude % unit != 0)
                });
                digits = rounded.to_string();
            } else {
                digits.push_str(&"0".repeat((keep - moved) as usize));
            }
            if digits.len() <= behind {
                digits = format!("{}{digits}", "0".repeat(behind + 1 - digits.len()));
            }
            let digits = digits.trim_start_matches('0');
            let digits = format!("{}{digits}", "0".repeat((behind + 1).saturating_sub(digits.len())));
            let is_zero = digits.bytes().all(|digit| digit == b'0');
            let (whole, part) = digits.split_at(digits.len() - behind);
            let text = if behind > 0 { format!("{whole}.{part}") } else { whole.to_owned() };
            Ok((negative && !is_zero, text))
        }
        Number::Double(value) => {
            let moved = value * 10_f64.powi(shift as i32);
            if !moved.is_finite() {
                return Ok((value < 0.0, String::new()));
            }
            let text = format!("{:.behind$}", moved.abs());
            // A zero that was less than nothing keeps its sign (PostgreSQL).
            Ok((value.is_sign_negative(), text))
        }
    }
}

fn shown(template: &Template, number: Number) -> Result<String> {
    if template.exponent {
        return Ok(scientific(template, &number));
    }
    if template.parts.contains(&Part::Roman) {
        let (negative, digits) = digits_of(&number, 0, 0)?;
        return Ok(roman(negative, &digits, template.bare));
    }
    let (negative, mut digits) = digits_of(&number, template.behind, template.shift)?;
    let whole = digits.find('.').unwrap_or(digits.len());
    let overflows = whole > template.before || digits.is_empty();
    let mut blanks = template.before.saturating_sub(whole);
    if overflows {
        digits = "#".repeat(template.before);
        if template.has_point {
            digits.push('.');
            digits.push_str(&"#".repeat(template.behind));
        }
        blanks = 0;
    }
    Ok(Filling::new(template, negative, digits.into_bytes(), blanks).run(overflows))
}

/// Puts digits into the places of a template, as PostgreSQL does: the sign goes right before the first digit.
struct Filling<'a> {
    template: &'a Template,
    negative: bool,
    digits: Vec<u8>,
    /// The next digit.
    at: usize,
    /// Places before the first digit.
    blanks: usize,
    /// The place, counting digits and the point.
    place: usize,
    sign_written: bool,
    /// With `FM`: the last digit that is not a zero behind the point.
    last: Option<usize>,
    inside: bool,
    out: String,
}

impl<'a> Filling<'a> {
    fn new(template: &'a Template, negative: bool, digits: Vec<u8>, blanks: usize) -> Filling<'a> {
        let mut last = None;
        if template.bare && template.has_point {
            let point = digits.iter().position(|&digit| digit == b'.');
            last = point.map(|point| {
                let relevant = digits.iter().rposition(|&digit| digit != b'0').unwrap_or(point).max(point);
                let kept = template.zero_to.saturating_sub(blanks);
                // Zeros that the template asks for stay.
                if template.zero_to > blanks && kept > 0 {
                    relevant.max(kept.min(digits.len() - 1))
                } else {
                    relevant
                }
            });
        }
        let sign_written = if template.minus || template.plus {
            // Beside a plus alone the sign is shown again (PostgreSQL).
            template.minus
        } else {
            !negative && template.bare && template.sign.is_none()
        };
        Filling {
            template,
            negative,
            digits,
            at: 0,
            blanks,
            place: 0,
            sign_written,
            last,
            inside: false,
            out: String::new(),
        }
    }

    fn run(mut self, overflows: bool) -> String {
        let template = self.template;
        let places = template.before + template.behind + usize::from(template.has_point);
        for part in &template.parts {
            match part {
                Part::Digit { .. } | Part::Point => {
                    self.digit(matches!(part, Part::Digit { zero: true }));
                    self.place += 1;
                    if self.place == places {
                        self.end();
                    }
                }
                Part::Group if self.inside => self.out.push(','),
                Part::Group => self.blank(),
                Part::Minus if self.negative => self.out.push('-'),
                Part::Minus => self.blank(),
                Part::Plus if !self.negative => self.out.push('+'),
                Part::Plus => self.blank(),
                Part::Either => self.out.push(if self.negative { '-' } else { '+' }),
                Part::Currency => self.out.push(' '),
                Part::Sign | Part::Roman => {}
                Part::Ordinal(upper) => {
                    if !(overflows || self.negative || template.has_point) {
                        let digits = String::from_utf8_lossy(&self.digits).into_owned();
                        let suffix = ordinal(&digits);
                        self.out += &if *upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() };
                    }
                }
                Part::Text(text) => self.out += text,
            }
        }
        self.out
    }

    /// A blank, which `FM` leaves out.
    fn blank(&mut self) {
        if !self.template.bare {
            self.out.push(' ');
        }
    }

    /// Whether the digit at hand is the zero of `0.5` that the template has no room for.
    fn is_lone_zero(&self) -> bool {
        self.template.zero_from.is_none()
            && self.at == 0
            && self.digits.first() == Some(&b'0')
            && self.template.behind > 0
    }

    fn ends_with_point(&self) -> bool {
        self.last.is_some_and(|last| self.digits.get(last) == Some(&b'.'))
    }

    fn digit(&mut self, zero: bool) {
        let zero_here = self.template.zero_from.is_some_and(|from| from <= self.place);
        let sign_now = self.place >= self.blanks || self.template.zero_from == Some(self.place);
        if !self.sign_written && sign_now && (!self.is_lone_zero() || self.ends_with_point()) {
            self.write_sign();
        }
        if self.place < self.blanks {
            if zero_here {
                self.out.push('0');
                self.inside = true;
            } else {
                self.blank();
            }
            return;
        }
        let Some(&digit) = self.digits.get(self.at) else { return };
        if digit == b'.' {
            if self.template.bare || !self.ends_with_point() {
                self.out.push('.');
            }
        } else if self.last.is_some_and(|last| self.at > last) && !zero {
            // A zero at the end that FM leaves out.
        } else if self.is_lone_zero() {
            if !self.template.bare {
                self.out.push(' ');
            } else if self.ends_with_point() {
                self.out.push('0');
            }
        } else {
            self.out.push(digit as char);
            self.inside = true;
        }
        self.at += 1;
    }

    fn write_sign(&mut self) {
        match self.template.sign {
            Some(SignPlace::Before) => self.out.push(if self.negative { '-' } else { '+' }),
            Some(SignPlace::Behind) => return,
            None if self.template.brackets => match (self.negative, self.template.bare) {
                (true, _) => self.out.push('<'),
                (false, true) => {}
                (false, false) => self.out.push(' '),
            },
            None if self.negative => self.out.push('-'),
            None => self.blank(),
        }
        self.sign_written = true;
    }

    /// What comes behind the last digit.
    fn end(&mut self) {
        match self.template.sign {
            Some(SignPlace::Behind) => self.out.push(if self.negative { '-' } else { '+' }),
            None if self.template.brackets && !(self.template.minus || self.template.plus) => {
                if self.negative {
                    self.out.push('>');
                } else {
                    self.blank();
                }
            }
            _ => {}
        }
    }
}

fn ordinal(digits: &str) -> &'static str {
    match (digits.ends_with("11") || digits.ends_with("12") || digits.ends_with("13"), digits.chars().last())
    {
        (false, Some('1')) => "st",
        (false, Some('2')) => "nd",
        (false, Some('3')) => "rd",
        _ => "th",
    }
}

/// `th` behind a number that a template shows.
pub(super) fn ordinal_of(number: i64) -> &'static str {
    ordinal(&number.unsigned_abs().to_string())
}

fn roman(negative: bool, digits: &str, bare: bool) -> String {
    let value = digits.parse::<u32>().ok().filter(|value| !negative && (1..4000).contains(value));
    let text = value.map_or_else(|| "#".repeat(15), roman_numeral);
    if bare { text } else { format!("{text:>15}") }
}

/// A number below 4000 as the Romans wrote it.
pub(super) fn roman_numeral(mut value: u32) -> String {
    const SIGNS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut out = String::new();
    for (worth, sign) in SIGNS {
        while value >= worth {
            out += sign;
            value -= worth;
        }
    }
    out
}

/// `EEEE`
fn scientific(template: &Template, number: &Number) -> String {
    let behind = template.behind;
    let value = match *number {
        Number::Exact(value, scale) => value as f64 / 10_f64.powi(scale as i32),
        Number::Double(value) => value,
    };
    if !value.is_finite() {
        return "#".repeat(template.before + behind + 6);
    }
    let text = format!("{value:.behind$e}");
    let Some((digits, power)) = text.split_once('e') else { return text };
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    let lead = if template.bare || digits.starts_with('-') { "" } else { " " };
    format!("{lead}{digits}e{sign}{:02}", power.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, template: &str) -> String {
        let scale = value.split_once('.').map_or(0, |(_, part)| part.len()) as u32;
        let number = Number::Exact(value.replace('.', "").parse().unwrap(), scale);
        shown(&Template::parse(template).unwrap(), number).unwrap()
    }

    /// Mostly the table of PostgreSQL's manual.
    #[test]
    fn numbers_are_shown_as_postgresql_shows_them() {
        for (value, template, expected) in [
            ("-0.1", "99.99", "  -.10"),
            ("-0.1", "FM9.99", "-.1"),
            ("0.1", "0.9", " 0.1"),
            ("12", "9990999.9", "    0012.0"),
            ("12", "FM9990999.9", "0012."),
            ("485", "999", " 485"),
            ("-485", "999", "-485"),
            ("485", "9 9 9", " 4 8 5"),
            ("1485", "9,999", " 1,485"),
            ("1485", "9G999", " 1,485"),
            ("148.5", "999.999", " 148.500"),
            ("148.5", "FM999.999", "148.5"),
            ("148.5", "FM999.990", "148.500"),
            ("148.5", "999D999", " 148.500"),
            ("3148.5", "9G999D999", " 3,148.500"),
            ("-485", "999S", "485-"),
            ("-485", "999MI", "485-"),
            ("485", "999MI", "485 "),
            ("485", "FM999MI", "485"),
            ("485", "PL999", "+ 485"),
            ("485", "SG999", "+485"),
            ("-485", "SG999", "-485"),
            ("-485", "9SG99", "4-85"),
            ("-485", "999PR", "<485>"),
            ("485", "RN", "        CDLXXXV"),
            ("485", "FMRN", "CDLXXXV"),
            ("5", "FMRN", "V"),
            ("482", "999th", " 482nd"),
            ("485", "\"Good number:\"999", "Good number: 485"),
            ("485.8", "\"Pre:\"999\" Post:\" .999", "Pre: 485 Post: .800"),
            ("12", "99V999", " 12000"),
            ("12.4", "99V999", " 12400"),
            ("12.45", "99V9", " 125"),
            ("0.0004859", "9.99EEEE", " 4.86e-04"),
            ("1485", "999", " ###"),
            ("0", "9", " 0"),
            ("0", "9.99", "  .00"),
            ("0", "FM9.99", "0."),
            ("0", "000", " 000"),
            ("-5", "000", "-005"),
            ("7", "S99", " +7"),
            ("1234567", "FM999,999,999", "1,234,567"),
            ("12", "999,999", "      12"),
        ] {
            assert_eq!(of(value, template), expected, "to_char({value}, '{template}')");
        }
        for template in ["9.9.9", "9EEEE9", "S9S"] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
    }
}

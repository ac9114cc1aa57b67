//! `format` and `printf`: a text with places for values.

use super::arguments::{Arguments, Memo};
use super::quoting::{identifier, literal};
use super::text::append;
use super::{Function, Parameter, Returns};
use columnar::{DataType, Error, Result, Vector};

const TEXT: Parameter = Parameter::Exact(DataType::Varchar);
const RETURNS_TEXT: Returns = Returns::Type(DataType::Varchar);

/// No value is filled up to more characters, and no number has more digits after the point.
const MOST_WIDTH: usize = 10_000;

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "format",
            "A text with %s, %I (a name) and %L (a literal), or else with {}, as places for the other arguments.",
            "format('%s is {} and %L', 1, 'x') → 1 is {} and 'x'",
        )
        .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| run(args, template))
        .sees_nulls()
        .with_fallible(&[TEXT, Parameter::Printed], RETURNS_TEXT, |args, _| run(args, template))
        .variadic()
        .sees_nulls(),
        Function::new(
            "printf",
            "A text with places for the other arguments as the language C has them: %s, %d, %x, %o, %c, %f, %e, %g.",
            "printf('%s: %05.1f', 'x', 2.25) → x: 002.2",
        )
        .with_fallible(&[TEXT], RETURNS_TEXT, |args, _| run(args, printf_template))
        .sees_nulls()
        .with_fallible(&[TEXT, Parameter::Printed], RETURNS_TEXT, |args, _| run(args, printf_template))
        .variadic()
        .sees_nulls(),
    ]
}

/// A part of a template.
enum Part {
    Text(String),
    Place(Place),
}

/// Where a value comes in.
struct Place {
    /// Which of the arguments after the template, from 0.
    argument: usize,
    kind: Kind,
    fill: char,
    align: Align,
    /// `+`, or a blank, before numbers that are not negative.
    sign: Option<char>,
    /// Between groups of three digits before the point.
    thousands: Option<char>,
    width: usize,
    precision: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Name,
    Literal,
    Integer,
    Hexadecimal,
    UpperHexadecimal,
    Octal,
    Binary,
    Character,
    Fixed,
    Exponent,
    General,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Center,
    /// Filled up behind the sign.
    Number,
}

impl Place {
    fn new(argument: usize, kind: Kind) -> Place {
        Place {
            argument,
            kind,
            fill: ' ',
            align: Align::Right,
            sign: None,
            thousands: None,
            width: 0,
            precision: None,
        }
    }
}

fn invalid(template: &str) -> Error {
    Error::InvalidText { text: template.to_owned(), data_type: "format".into() }
}

fn run(args: &Arguments, parse: fn(&str) -> Result<Vec<Part>>) -> Result<Vector> {
    let mut templates = Memo::new();
    args.where_valid(0).map_text(|row, out| {
        let text = args.text(0, row);
        for part in templates.get(text, parse)? {
            match part {
                Part::Text(text) => append(out, text)?,
                Part::Place(place) => {
                    let argument = place.argument + 1;
                    if argument >= args.len() {
                        let what = format!("argument {} of format, which has {}", argument, args.len() - 1);
                        return Err(Error::OutOfRange { what });
                    }
                    let value = (!args.flats[argument].is_null(row)).then(|| args.text(argument, row));
                    append(out, &shown(place, value, text)?)?;
                }
            }
        }
        Ok(())
    })
}

/// PostgreSQL's places where the text has a percent sign, else DuckDB's in braces.
fn template(text: &str) -> Result<Vec<Part>> {
    if text.contains('%') { percent_template(text) } else { brace_template(text) }
}

/// Reads the digits at the start of a text.
fn number<'a>(rest: &'a str, template: &str) -> Result<(Option<usize>, &'a str)> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 {
        return Ok((None, rest));
    }
    let value = rest[..end].parse().ok().filter(|&value| value <= MOST_WIDTH);
    Ok((Some(value.ok_or_else(|| invalid(template))?), &rest[end..]))
}

/// `%[position$][-][width]type` of PostgreSQL's format.
fn percent_template(template: &str) -> Result<Vec<Part>> {
    let (mut parts, mut rest, mut next) = (Vec::new(), template, 0);
    while let Some(at) = rest.find('%') {
        parts.push(Part::Text(rest[..at].to_owned()));
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            parts.push(Part::Text("%".into()));
            rest = after;
            continue;
        }
        let mut argument = None;
        if let (Some(position), after) = number(rest, template)?
            && let Some(after) = after.strip_prefix('$')
        {
            argument = Some(position.checked_sub(1).ok_or_else(|| invalid(template))?);
            rest = after;
        }
        let left = rest.starts_with('-');
        let (width, after) = number(rest.trim_start_matches('-'), template)?;
        let kind = match after.chars().next() {
            Some('s') => Kind::Text,
            Some('I') => Kind::Name,
            Some('L') => Kind::Literal,
            _ => return Err(invalid(template)),
        };
        rest = &after[1..];
        let argument = argument.unwrap_or(next);
        next = argument + 1;
        let align = if left { Align::Left } else { Align::Right };
        parts.push(Part::Place(Place { align, width: width.unwrap_or(0), ..Place::new(argument, kind) }));
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

/// `{[argument][:[[fill]align][sign][0][width][,|_][.precision][type]]}`, as the C++ library fmt has it.
fn brace_template(template: &str) -> Result<Vec<Part>> {
    let (mut parts, mut rest, mut next) = (Vec::new(), template, 0);
    while let Some(at) = rest.find(['{', '}']) {
        parts.push(Part::Text(rest[..at].to_owned()));
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            parts.push(Part::Text(brace.to_owned()));
            rest = after;
            continue;
        }
        let end = rest.find('}').filter(|_| brace == "{").ok_or_else(|| invalid(template))?;
        let (head, spec) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
        rest = &rest[end + 1..];
        let argument = match head.is_empty() {
            true => next,
            false => head
                .parse()
                .ok()
                .filter(|&argument| argument < MOST_WIDTH)
                .ok_or_else(|| invalid(template))?,
        };
        next = argument + 1;
        parts.push(Part::Place(brace_place(argument, spec, template)?));
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

fn brace_place(argument: usize, spec: &str, template: &str) -> Result<Place> {
    let align_of = |c: char| match c {
        '<' => Some(Align::Left),
        '>' => Some(Align::Right),
        '^' => Some(Align::Center),
        '=' => Some(Align::Number),
        _ => None,
    };
    let mut place = Place { align: Align::Left, ..Place::new(argument, Kind::Text) };
    let mut chosen = None;
    let mut chars = spec.chars();
    let mut rest = spec;
    if let (Some(first), Some(second)) = (chars.next(), chars.next())
        && let Some(align) = align_of(second)
    {
        (place.fill, chosen) = (first, Some(align));
        rest = chars.as_str();
    } else if let Some(align) = spec.chars().next().and_then(align_of) {
        chosen = Some(align);
        rest = &spec[1..];
    }
    if let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-' | ' ')) {
        place.sign = Some(sign).filter(|&sign| sign != '-');
        rest = &rest[1..];
    }
    if rest.starts_with('0') {
        (place.fill, chosen) = ('0', chosen.or(Some(Align::Number)));
        rest = &rest[1..];
    }
    let (width, after) = number(rest, template)?;
    (place.width, rest) = (width.unwrap_or(0), after);
    if let Some(thousands) = rest.chars().next().filter(|c| matches!(c, ',' | '_' | '\'')) {
        (place.thousands, place.kind) = (Some(thousands), Kind::Integer);
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('.') {
        let (precision, after) = number(after, template)?;
        (place.precision, rest) = (Some(precision.ok_or_else(|| invalid(template))?), after);
    }
    let mut letters = rest.chars();
    if let Some(letter) = letters.next() {
        place.kind = kind_of(letter).filter(|_| letters.next().is_none()).ok_or_else(|| invalid(template))?;
    }
    let numeric = !matches!(place.kind, Kind::Text | Kind::Character);
    place.align = chosen.unwrap_or(if numeric { Align::Right } else { Align::Left });
    Ok(place)
}

fn kind_of(letter: char) -> Option<Kind> {
    Some(match letter {
        's' => Kind::Text,
        'd' | 'i' | 'u' => Kind::Integer,
        'x' => Kind::Hexadecimal,
        'X' => Kind::UpperHexadecimal,
        'o' => Kind::Octal,
        'b' => Kind::Binary,
        'c' => Kind::Character,
        'f' | 'F' => Kind::Fixed,
        'e' | 'E' => Kind::Exponent,
        'g' | 'G' => Kind::General,
        _ => return None,
    })
}

/// `%[flags][width][.precision]type` of C.
fn printf_template(template: &str) -> Result<Vec<Part>> {
    let (mut parts, mut rest, mut next) = (Vec::new(), template, 0);
    while let Some(at) = rest.find('%') {
        parts.push(Part::Text(rest[..at].to_owned()));
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            parts.push(Part::Text("%".into()));
            rest = after;
            continue;
        }
        let mut place = Place::new(next, Kind::Text);
        next += 1;
        while let Some(flag) = rest.chars().next().filter(|c| matches!(c, '-' | '+' | ' ' | '0' | '\'' | ','))
        {
            match flag {
                '-' => place.align = Align::Left,
                '0' if place.align != Align::Left => (place.fill, place.align) = ('0', Align::Number),
                '0' => {}
                '\'' | ',' => place.thousands = Some(','),
                sign => place.sign = Some(sign),
            }
            rest = &rest[1..];
        }
        let (width, after) = number(rest, template)?;
        (place.width, rest) = (width.unwrap_or(0), after);
        if let Some(after) = rest.strip_prefix('.') {
            let (precision, after) = number(after, template)?;
            (place.precision, rest) = (Some(precision.unwrap_or(0)), after);
        }
        rest = rest.trim_start_matches(['l', 'h']);
        let letter = rest.chars().next().ok_or_else(|| invalid(template))?;
        place.kind = kind_of(letter).filter(|&kind| kind != Kind::Binary).ok_or_else(|| invalid(template))?;
        if place.align == Align::Left {
            place.fill = ' ';
        }
        rest = &rest[1..];
        parts.push(Part::Place(place));
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

/// A value as its place shows it.
fn shown(place: &Place, value: Option<&str>, template: &str) -> Result<String> {
    let Some(value) = value else {
        return match place.kind {
            Kind::Literal => Ok(padded(place, "", "NULL")),
            Kind::Name => Err(Error::OutOfRange { what: format!("a null as a name of format '{template}'") }),
            _ => Ok(padded(place, "", "")),
        };
    };
    let wrong = |what: &str| Error::InvalidText { text: value.to_owned(), data_type: what.to_owned() };
    let integer = || -> Result<i128> {
        let whole = value.parse::<i128>().ok();
        let cut = || value.parse::<f64>().ok().filter(|x| x.abs() < 1e38).map(|x| x.trunc() as i128);
        whole.or_else(cut).ok_or_else(|| wrong("number of a format"))
    };
    let double = || -> Result<f64> { value.parse::<f64>().map_err(|_| wrong("number of a format")) };
    let precision = place.precision.unwrap_or(6);
    let digits = match place.kind {
        Kind::Text => {
            let end = place.precision.and_then(|most| value.char_indices().nth(most)).map(|(at, _)| at);
            return Ok(padded(place, "", &value[..end.unwrap_or(value.len())]));
        }
        Kind::Name => return Ok(padded(place, "", &identifier(value))),
        Kind::Literal => return Ok(padded(place, "", &literal(value))),
        Kind::Character => {
            let letter = integer().ok().and_then(|code| char::from_u32(u32::try_from(code).ok()?));
            let letter = letter.or_else(|| value.chars().next()).ok_or_else(|| wrong("character"))?;
            return Ok(padded(place, "", letter.encode_utf8(&mut [0; 4])));
        }
        Kind::Integer => integer()?.to_string(),
        Kind::Hexadecimal => based(integer()?, |magnitude| format!("{magnitude:x}")),
        Kind::UpperHexadecimal => based(integer()?, |magnitude| format!("{magnitude:X}")),
        Kind::Octal => based(integer()?, |magnitude| format!("{magnitude:o}")),
        Kind::Binary => based(integer()?, |magnitude| format!("{magnitude:b}")),
        Kind::Fixed => format!("{:.precision$}", double()?),
        Kind::Exponent => exponent(double()?, precision),
        Kind::General => general(double()?, precision.max(1)),
    };
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-".to_owned(), digits.to_owned()),
        None => (place.sign.map_or(String::new(), |sign| sign.to_string()), digits),
    };
    let digits = place.thousands.map_or(digits.clone(), |separator| grouped(&digits, separator));
    Ok(padded(place, &sign, &digits))
}

fn based(value: i128, digits: impl Fn(u128) -> String) -> String {
    format!("{}{}", if value < 0 { "-" } else { "" }, digits(value.unsigned_abs()))
}

/// `1.500000e+03`
fn exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    match text.split_once('e').map(|(digits, power)| (digits, power.parse::<i32>())) {
        Some((digits, Ok(power))) => {
            format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
        }
        _ => text,
    }
}

/// The shorter of the two forms, without zeros at its end.
fn general(value: f64, precision: usize) -> String {
    let scientific = exponent(value, precision - 1);
    let Some((digits, power)) = scientific.split_once('e') else { return scientific };
    let power: i64 = power.parse().unwrap_or(0);
    let bare = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if power < -4 || power >= precision as i64 {
        return format!("{}{}", bare(digits), &scientific[digits.len()..]);
    }
    bare(&format!("{value:.*}", (precision as i64 - 1 - power) as usize))
}

fn grouped(digits: &str, separator: char) -> String {
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            out.push(separator);
        }
        out.push(digit);
    }
    out + rest
}

fn padded(place: &Place, sign: &str, text: &str) -> String {
    let missing = place.width.saturating_sub(sign.chars().count() + text.chars().count());
    let fill = |count: usize| place.fill.to_string().repeat(count);
    match place.align {
        Align::Left => format!("{sign}{text}{}", fill(missing)),
        Align::Right => format!("{}{sign}{text}", fill(missing)),
        Align::Center => format!("{}{sign}{text}{}", fill(missing / 2), fill(missing - missing / 2)),
        Align::Number => format!("{sign}{}{text}", fill(missing)),
    }
}

//! Every function on rows whose results come from PostgreSQL or by hand.

use super::*;
use crate::expression::Compiled;
use crate::expression::parse::parse;
use crate::{Expr, Shape};
use columnar::types::{Nested, enumeration, list_of, nested, struct_of};
use columnar::{Batch, Scalar, Value};

const T: DataType = DataType::Varchar;
const I: DataType = DataType::Int64;
const F: DataType = DataType::Float64;
const D: DataType = DataType::Date;
const S: DataType = DataType::TIMESTAMP;
const V: DataType = DataType::Interval;
const DEC: DataType = DataType::decimal(10, 3);

/// Runs a function on columns.
fn evaluate(function: &str, args: &[Vector], rows: usize, data_type: DataType) -> crate::Result<Vector> {
    let types: Vec<DataType> = args.iter().map(Vector::data_type).collect();
    let columns =
        types.iter().enumerate().map(|(id, &data_type)| Expr::column(id as u32, data_type)).collect();
    let call = Expr::Call { function: function.into(), args: columns, data_type };
    Compiled::compile(&call, &Shape::of_types(&types))?.evaluate(&Batch::of_rows(args.to_vec(), rows))
}

/// Calls a function on one row of values spelled as text (`NULL`: null); an error gives `!`.
fn call(name: &str, args: &[(&str, DataType)]) -> String {
    let types: Vec<DataType> = args.iter().map(|(_, data_type)| *data_type).collect();
    let resolved = match resolve(name, &types) {
        Ok(resolved) => resolved,
        Err(error) => return error.to_string(),
    };
    let vectors: Vec<Vector> = args
        .iter()
        .zip(&resolved.args)
        .map(|((text, _), &data_type)| match *text {
            "NULL" => Vector::constant(Value::null(data_type), 1),
            text => Vector::constant(parse(text, data_type).unwrap(), 1),
        })
        .collect();
    match evaluate(&resolved.function, &vectors, 1, resolved.returns) {
        Err(_) => "!".into(),
        Ok(vector) => Value::new(resolved.returns, vector.scalar(0)).to_string(),
    }
}

/// A name, arguments as text, and the result as text; `!` stands for an error.
type Case = (&'static str, &'static [(&'static str, DataType)], &'static str);

#[test]
fn functions_give_what_postgresql_gives() {
    let cases: &[Case] = &[
        ("abs", &[("-5", I)], "5"),
        ("abs", &[("-9223372036854775808", I)], "!"),
        ("abs", &[("-1.500", DEC)], "1.500"),
        ("sign", &[("-2.5", DEC)], "-1"),
        ("sign", &[("0", F)], "0"),
        ("round", &[("2.567", DEC)], "3"),
        ("round", &[("-2.500", DEC)], "-3"),
        ("round", &[("2.567", DEC), ("2", DataType::Int32)], "2.570"),
        ("round", &[("1250", I), ("-2", DataType::Int32)], "1300"),
        ("round", &[("2.5", F)], "2"),
        ("round", &[("5", F), ("-400", DataType::Int32)], "0"),
        ("round", &[("1.7e+308", F), ("-308", DataType::Int32)], "1.7e+308"),
        ("trunc", &[("5e-324", F), ("400", DataType::Int32)], "5e-324"),
        ("trunc", &[("-2.567", DEC)], "-2"),
        ("ceil", &[("-2.1", F)], "-2"),
        ("ceil", &[("2.001", DEC)], "3"),
        ("floor", &[("-2.001", DEC)], "-3"),
        ("mod", &[("-7", I), ("3", I)], "-1"),
        ("mod", &[("7", I), ("0", I)], "!"),
        ("power", &[("2", F), ("10", F)], "1024"),
        ("power", &[("10", F), ("400", F)], "!"),
        ("sqrt", &[("-1", F)], "!"),
        ("sqrt", &[("16", F)], "4"),
        ("ln", &[("0", F)], "!"),
        ("log", &[("2", F), ("8", F)], "3"),
        ("log10", &[("1000", F)], "3"),
        ("greatest", &[("1", I), ("NULL", I), ("3", I)], "3"),
        ("least", &[("b", T), ("a", T)], "a"),
        ("lower", &[("ÄB", T)], "äb"),
        ("initcap", &[("hi THOMAS", T)], "Hi Thomas"),
        ("length", &[("jose\u{301}", T)], "5"),
        ("octet_length", &[("é", T)], "2"),
        ("substring", &[("Thomas", T), ("2", I), ("3", I)], "hom"),
        ("substring", &[("Thomas", T), ("-1", I), ("4", I)], "Th"),
        ("substring", &[("Thomas", T), ("2", I), ("-1", I)], "!"),
        ("substring", &[("äöü", T), ("2", I)], "öü"),
        ("left", &[("abcde", T), ("-2", I)], "abc"),
        ("right", &[("abcde", T), ("2", I)], "de"),
        ("right", &[("abcde", T), ("-2", I)], "cde"),
        ("concat", &[("a", T), ("NULL", T), ("b", T)], "ab"),
        ("||", &[("a", T), ("NULL", T)], "NULL"),
        ("replace", &[("abcdefabcdef", T), ("cd", T), ("XX", T)], "abXXefabXXef"),
        ("translate", &[("12345", T), ("143", T), ("ax", T)], "a2x5"),
        ("reverse", &[("abcde", T)], "edcba"),
        ("repeat", &[("Pg", T), ("4", I)], "PgPgPgPg"),
        ("repeat", &[("Pg", T), ("9223372036854775807", I)], "!"),
        ("strpos", &[("high", T), ("ig", T)], "2"),
        ("split_part", &[("abc~@~def~@~ghi", T), ("~@~", T), ("2", I)], "def"),
        ("split_part", &[("a,b,c", T), (",", T), ("-1", I)], "c"),
        ("split_part", &[("a,b,c", T), (",", T), ("0", I)], "!"),
        ("concat_ws", &[(",", T), ("a", T), ("NULL", T), ("c", T)], "a,c"),
        ("concat_ws", &[("NULL", T), ("a", T)], "NULL"),
        ("chr", &[("65", I)], "A"),
        ("chr", &[("0", I)], "!"),
        ("ascii", &[("x", T)], "120"),
        ("regexp_matches", &[("tundra", T), ("^t.*a$", T)], "true"),
        ("regexp_matches", &[("x", T), ("(", T)], "!"),
        ("regexp_replace", &[("foobarbaz", T), ("b..", T), ("X", T)], "fooXbaz"),
        ("regexp_replace", &[("foobarbaz", T), ("b(..)", T), ("X\\1Y", T), ("g", T)], "fooXarYXazY"),
        ("regexp_extract", &[("a1b22", T), ("[0-9]+$", T)], "22"),
        ("starts_with", &[("alphabet", T), ("alph", T)], "true"),
        ("ends_with", &[("alphabet", T), ("alph", T)], "false"),
        ("contains", &[("alphabet", T), ("hab", T)], "true"),
        ("trim", &[("  a ", T)], "a"),
        ("trim", &[("yxTomxx", T), ("xyz", T)], "Tom"),
        ("ltrim", &[("zzzytest", T), ("xyz", T)], "test"),
        ("rtrim", &[("testxxzx", T), ("xyz", T)], "test"),
        ("lpad", &[("hi", T), ("5", I), ("xy", T)], "xyxhi"),
        ("rpad", &[("hi", T), ("1", I)], "h"),
        ("rpad", &[("é", T), ("6", I), ("öä", T)], "éöäöäö"),
        ("lpad", &[("hi", T), ("200000000", I), ("ö", T)], "!"),
        ("year", &[("1995-03-15", D)], "1995"),
        ("quarter", &[("1995-12-31", D)], "4"),
        ("week", &[("2005-01-01", D)], "53"),
        ("isoyear", &[("2006-01-01", D)], "2005"),
        ("dow", &[("2001-02-18", D)], "0"),
        ("isodow", &[("2001-02-18", D)], "7"),
        ("doy", &[("2001-02-16", D)], "47"),
        ("century", &[("2000-12-16", D)], "20"),
        ("decade", &[("1999-01-01", D)], "199"),
        ("hour", &[("2001-02-16 20:38:40", S)], "20"),
        ("millisecond", &[("2001-02-16 20:38:40.12", S)], "40120"),
        ("epoch", &[("1970-01-02", D)], "86400"),
        ("month", &[("3 years 5 months", V)], "5"),
        ("date_part", &[("second", T), ("2001-02-16 20:38:40.5", S)], "40.5"),
        ("date_trunc", &[("hour", T), ("2001-02-16 20:38:40", S)], "2001-02-16 20:00:00"),
        ("date_trunc", &[("week", T), ("2001-02-16", D)], "2001-02-12 00:00:00"),
        ("date_trunc", &[("parsec", T), ("2001-02-16", D)], "!"),
        ("make_date", &[("2013", I), ("7", I), ("15", I)], "2013-07-15"),
        ("make_date", &[("2013", I), ("2", I), ("30", I)], "!"),
        ("last_day", &[("1996-02-10", D)], "1996-02-29"),
        ("dayname", &[("2001-02-18", D)], "Sunday"),
        ("monthname", &[("2001-02-18", D)], "February"),
        ("date_diff", &[("month", T), ("1995-01-31", D), ("1995-03-01", D)], "2"),
        ("+", &[("2001-09-28", D), ("7", I)], "2001-10-05"),
        ("+", &[("2001-09-28", D), ("1 hour", V)], "2001-09-28 01:00:00"),
        ("+", &[("1995-01-31", D), ("1 month", V)], "1995-02-28 00:00:00"),
        ("-", &[("1998-12-01", D), ("90 days", V)], "1998-09-02 00:00:00"),
        ("-", &[("2001-10-01", D), ("2001-09-28", D)], "3"),
        ("-", &[("2001-09-29 03:00:00", S), ("2001-07-27 12:00:00", S)], "63 days 15:00:00"),
        ("*", &[("1 hour", V), ("3.5", F)], "03:30:00"),
        ("/", &[("1 hour", V), ("1.5", F)], "00:40:00"),
        ("/", &[("1 hour", V), ("0", F)], "!"),
        ("-", &[("1 day", V)], "-1 days"),
        ("abs", &[("0", I)], "0"),
        ("abs", &[("-1.5", F)], "1.5"),
        ("abs", &[("NULL", I)], "NULL"),
        ("sign", &[("7", I)], "1"),
        ("sign", &[("-7", F)], "-1"),
        ("round", &[("-1.25", F), ("1", DataType::Int32)], "-1.3"),
        ("round", &[("1250", I), ("-2147483648", DataType::Int32)], "0"),
        ("round", &[("1.234", DEC), ("2147483647", DataType::Int32)], "1.234"),
        ("trunc", &[("2.567", DEC), ("1", DataType::Int32)], "2.500"),
        ("trunc", &[("-2.9", F)], "-2"),
        ("trunc", &[("7", I)], "7"),
        ("ceil", &[("-2.999", DEC)], "-2"),
        ("ceil", &[("5", I)], "5"),
        ("floor", &[("2.9", F)], "2"),
        ("floor", &[("-0.001", DEC)], "-1"),
        ("floor", &[("NULL", DEC)], "NULL"),
        ("mod", &[("7.5", DEC), ("2", I)], "1.500"),
        ("mod", &[("-7.5", F), ("2", F)], "-1.5"),
        ("power", &[("0", F), ("-1", F)], "!"),
        ("power", &[("-8", F), ("0.5", F)], "!"),
        ("sqrt", &[("2.25", F)], "1.5"),
        ("exp", &[("0", F)], "1"),
        ("exp", &[("1000", F)], "!"),
        ("exp", &[("NULL", F)], "NULL"),
        ("ln", &[("1", F)], "0"),
        ("ln", &[("-1", F)], "!"),
        ("log", &[("100", F)], "2"),
        ("log", &[("0", F)], "!"),
        ("log2", &[("8", F)], "3"),
        ("log2", &[("0.5", F)], "-1"),
        ("log2", &[("0", F)], "!"),
        ("cbrt", &[("27", F)], "3"),
        ("cbrt", &[("-8", F)], "-2"),
        ("cbrt", &[("0", F)], "0"),
        ("sin", &[("0", F)], "0"),
        ("sin", &[("NULL", F)], "NULL"),
        ("sin", &[("1.5707963267948966", F)], "1"),
        ("cos", &[("0", F)], "1"),
        ("cos", &[("3.141592653589793", F)], "-1"),
        ("cos", &[("NULL", F)], "NULL"),
        ("tan", &[("0", F)], "0"),
        ("tan", &[("NULL", F)], "NULL"),
        ("tan", &[("-0.0", F)], "-0"),
        ("atan", &[("0", F)], "0"),
        ("atan", &[("1", F)], "0.7853981633974483"),
        ("atan", &[("NULL", F)], "NULL"),
        ("atan2", &[("1", F), ("1", F)], "0.7853981633974483"),
        ("atan2", &[("0", F), ("1", F)], "0"),
        ("atan2", &[("1", F), ("0", F)], "1.5707963267948966"),
        ("degrees", &[("0", F)], "0"),
        ("degrees", &[("3.141592653589793", F)], "180"),
        ("degrees", &[("NULL", F)], "NULL"),
        ("radians", &[("0", F)], "0"),
        ("radians", &[("180", F)], "3.141592653589793"),
        ("radians", &[("-90", F)], "-1.5707963267948966"),
        ("sinh", &[("0", F)], "0"),
        ("sinh", &[("NULL", F)], "NULL"),
        ("sinh", &[("-0.0", F)], "-0"),
        ("tanh", &[("0", F)], "0"),
        ("tanh", &[("NULL", F)], "NULL"),
        ("tanh", &[("1000", F)], "1"),
        ("greatest", &[("NULL", I), ("NULL", I)], "NULL"),
        ("greatest", &[("1", I), ("2.500", DEC)], "2.500"),
        ("least", &[("NULL", D), ("1995-03-15", D)], "1995-03-15"),
        ("least", &[("3", F), ("NaN", F)], "3"),
        ("lower", &[("", T)], ""),
        ("lower", &[("NULL", T)], "NULL"),
        ("upper", &[("äb", T)], "ÄB"),
        ("upper", &[("Tundra1", T)], "TUNDRA1"),
        ("upper", &[("NULL", T)], "NULL"),
        ("initcap", &[("a-b c", T)], "A-B C"),
        ("initcap", &[("", T)], ""),
        ("length", &[("", T)], "0"),
        ("length", &[("NULL", T)], "NULL"),
        ("octet_length", &[("", T)], "0"),
        ("octet_length", &[("abc", T)], "3"),
        ("substring", &[("Thomas", T), ("9", I)], ""),
        ("left", &[("äöü", T), ("2", I)], "äö"),
        ("left", &[("abc", T), ("-9223372036854775808", I)], ""),
        ("right", &[("abc", T), ("9", I)], "abc"),
        ("concat", &[("NULL", T), ("NULL", T)], ""),
        ("concat", &[("a", T), ("b", T), ("c", T)], "abc"),
        ("||", &[("a", T), ("b", T)], "ab"),
        ("||", &[("", T), ("é", T)], "é"),
        ("replace", &[("abc", T), ("", T), ("X", T)], "abc"),
        ("replace", &[("aaa", T), ("aa", T), ("b", T)], "ba"),
        ("translate", &[("abc", T), ("", T), ("x", T)], "abc"),
        ("translate", &[("äbä", T), ("ä", T), ("a", T)], "aba"),
        ("reverse", &[("äb", T)], "bä"),
        ("reverse", &[("", T)], ""),
        ("repeat", &[("ab", T), ("-1", I)], ""),
        ("strpos", &[("äöü", T), ("ü", T)], "3"),
        ("strpos", &[("abc", T), ("", T)], "1"),
        ("strpos", &[("abc", T), ("x", T)], "0"),
        ("split_part", &[("abc", T), ("", T), ("1", I)], "abc"),
        ("concat_ws", &[(", ", T), ("NULL", T), ("NULL", T)], ""),
        ("chr", &[("8364", I)], "€"),
        ("chr", &[("55296", I)], "!"),
        ("ascii", &[("", T)], "0"),
        ("ascii", &[("€", T)], "8364"),
        ("regexp_matches", &[("tundra", T), ("^d", T)], "false"),
        ("regexp_matches", &[("NULL", T), ("(", T)], "NULL"),
        ("regexp_replace", &[("a$b", T), ("[$]", T), ("$1", T)], "a$1b"),
        ("regexp_extract", &[("a1b22", T), ("x", T)], ""),
        ("regexp_extract", &[("a1b22", T), ("([a-z])([0-9])", T), ("2", I)], "1"),
        ("starts_with", &[("a", T), ("ab", T)], "false"),
        ("starts_with", &[("a", T), ("", T)], "true"),
        ("ends_with", &[("alphabet", T), ("bet", T)], "true"),
        ("ends_with", &[("NULL", T), ("a", T)], "NULL"),
        ("contains", &[("alphabet", T), ("x", T)], "false"),
        ("contains", &[("a", T), ("", T)], "true"),
        ("trim", &[("\ta ", T)], "\ta"),
        ("ltrim", &[("  a ", T)], "a "),
        ("ltrim", &[("", T)], ""),
        ("rtrim", &[("  a ", T)], "  a"),
        ("rtrim", &[("éé", T), ("é", T)], ""),
        ("lpad", &[("hi", T), ("4", I)], "  hi"),
        ("lpad", &[("hi", T), ("1", I), ("xy", T)], "h"),
        ("lpad", &[("hi", T), ("9223372036854775807", I)], "!"),
        ("rpad", &[("hi", T), ("5", I), ("xy", T)], "hixyx"),
        ("rpad", &[("hi", T), ("5", I), ("", T)], "hi"),
        ("millennium", &[("2001-02-16", D)], "3"),
        ("millennium", &[("2000-12-31", D)], "2"),
        ("millennium", &[("0001-01-01 BC", D)], "-1"),
        ("century", &[("2001-02-16", D)], "21"),
        ("century", &[("0001-01-01 BC", D)], "-1"),
        ("decade", &[("2001-02-16", D)], "200"),
        ("decade", &[("NULL", D)], "NULL"),
        ("year", &[("0044-03-15 BC", D)], "-44"),
        ("year", &[("1969-12-31 23:59:59", S)], "1969"),
        ("isoyear", &[("2006-01-02", D)], "2006"),
        ("isoyear", &[("2020-12-31", D)], "2020"),
        ("quarter", &[("2001-04-01", D)], "2"),
        ("quarter", &[("2001-03-31 23:59:59", S)], "1"),
        ("month", &[("2001-12-16", D)], "12"),
        ("month", &[("2001-02-16 20:38:40", S)], "2"),
        ("week", &[("2006-01-02", D)], "1"),
        ("week", &[("2012-12-31", D)], "1"),
        ("day", &[("2001-02-16", D)], "16"),
        ("day", &[("1969-12-31 23:59:59", S)], "31"),
        ("day", &[("40 days 1 minute", V)], "40"),
        ("dow", &[("2001-02-16", D)], "5"),
        ("dow", &[("1969-12-31", D)], "3"),
        ("isodow", &[("2001-02-19", D)], "1"),
        ("isodow", &[("1969-12-31", D)], "3"),
        ("doy", &[("2000-12-31", D)], "366"),
        ("doy", &[("2001-01-01", D)], "1"),
        ("hour", &[("1969-12-31 23:59:59", S)], "23"),
        ("hour", &[("30:10:00", V)], "30"),
        ("minute", &[("2001-02-16 20:38:40", S)], "38"),
        ("minute", &[("1969-12-31 23:59:59", S)], "59"),
        ("minute", &[("-00:05:00", V)], "-5"),
        ("second", &[("2001-02-16 20:38:40", S)], "40"),
        ("second", &[("1969-12-31 23:59:59.5", S)], "59"),
        ("second", &[("NULL", S)], "NULL"),
        ("millisecond", &[("1969-12-31 23:59:59.5", S)], "59500"),
        ("millisecond", &[("2001-02-16 20:38:00", S)], "0"),
        ("microsecond", &[("2001-02-16 20:38:40.12", S)], "40120000"),
        ("microsecond", &[("1969-12-31 23:59:59.5", S)], "59500000"),
        ("microsecond", &[("NULL", S)], "NULL"),
        ("epoch", &[("2001-02-16 20:38:40.12", S)], "982355920.12"),
        ("epoch", &[("5 days 3 hours", V)], "442800"),
        ("date_part", &[("year", T), ("2001-02-16", D)], "2001"),
        ("date_part", &[("parsec", T), ("2001-02-16", D)], "!"),
        ("make_date", &[("2000", I), ("2", I), ("29", I)], "2000-02-29"),
        ("last_day", &[("2001-12-31", D)], "2001-12-31"),
        ("last_day", &[("2001-04-16 20:38:40", S)], "2001-04-30"),
        ("dayname", &[("2001-02-19 10:00:00", S)], "Monday"),
        ("dayname", &[("NULL", D)], "NULL"),
        ("monthname", &[("2001-12-01 10:00:00", S)], "December"),
        ("monthname", &[("NULL", D)], "NULL"),
        ("date_diff", &[("day", T), ("2001-02-16", D), ("2001-01-16", D)], "-31"),
        ("date_diff", &[("hour", T), ("2001-02-16 20:38:40", S), ("2001-02-16 21:00:00", S)], "1"),
        ("+", &[("5874897-12-31", D), ("10000000", I)], "!"),
        ("*", &[("1 month", V), ("0.5", F)], "15 days"),
        ("*", &[("2000000000 days", V), ("2", F)], "!"),
        ("/", &[("1 day", V), ("2", F)], "12:00:00"),
        ("pi", &[], "3.141592653589793"),
    ];
    for (name, args, expected) in cases {
        assert_eq!(call(name, args), *expected, "{name}{args:?}");
    }
    let earlier = |name: &str| {
        let found = REGISTRY.find(name).map(|function| &function.overloads);
        found.is_some_and(|overloads| overloads.iter().any(|overload| overload.since == 1))
    };
    // Logic tests have those that came later.
    for function in list().into_iter().filter(|function| earlier(function.name)) {
        let own = cases.iter().filter(|(name, ..)| *name == function.name).count();
        let aliased = cases.iter().filter(|(name, ..)| function.aliases.contains(name)).count();
        assert!(own + aliased >= 3 || function.name == "pi", "{} has too few cases", function.name);
    }
}

#[test]
fn unknown_names_are_answered_with_a_close_one() {
    assert!(
        matches!(resolve("substrin", &[T]), Err(ResolveError::Unknown { similar: Some(name), .. }) if name == "substring")
    );
    assert!(matches!(resolve("zzzzzzzzz", &[]), Err(ResolveError::Unknown { similar: None, .. })));
    for (name, meant) in [
        ("datetrunc2", "datetrunc"),
        ("CHARINDEX", "strpos"),
        ("mid", "substring"),
        ("regexpreplace", "regexp_replace"),
    ] {
        assert_eq!(similar(name, std::iter::empty()).as_deref(), Some(meant), "{name}");
    }
    assert_eq!(similar("nvl3", ["nvl2"].into_iter()).as_deref(), Some("nvl2"));
    assert_eq!(similar("getdate", ["now"].into_iter()).as_deref(), Some("now"));
    assert!(matches!(resolve("length", &[D]), Err(ResolveError::NoOverload { .. })));
    assert_eq!(extract_function("YEARS"), Some("year"));
}

/// Values of a type that functions may find odd.
fn samples(data_type: DataType) -> Vec<Value> {
    let texts: &[&str] = match data_type {
        DataType::Varchar => &[
            "",
            "a",
            "Abc é-1",
            "2020-01-02",
            "%Y-%m-%d",
            "YYYY-MM-DD",
            "9,999.99",
            "17",
            "hex",
            "(.)b",
            "i",
            "day",
            "Europe/Berlin",
            "%s|{}",
            "dHVuZHJh",
            "a longer text, beyond what a view has room for",
        ],
        DataType::Binary => &["", "\\x00ff", "abc"],
        DataType::Boolean => &["true", "false"],
        DataType::Date => &["1970-01-01", "2020-02-29", "0044-03-15 BC", "1999-12-31"],
        DataType::Time => &["00:00:00", "23:59:59.999999", "12:30:00"],
        DataType::Timestamp { .. } => {
            &["1970-01-01 00:00:00", "2020-02-29 13:14:15.161718", "1969-12-31 23:59:59.5"]
        }
        DataType::Interval => &["1 day", "-2 mons 3 days 04:05:06", "00:00:00", "15 minutes"],
        DataType::Float32 | DataType::Float64 => &["0", "-1.5", "0.5", "2", "1e300", "NaN", "33"],
        DataType::Int8 => &["0", "-128", "127", "5"],
        DataType::Json { .. } => &["[1, \"x\", null]", "{\"a\": {\"b\": 1}}", "\"a\"", "2.5", "null"],
        DataType::Decimal { .. } => &["0", "-1.500", "2.567", "7", "1234567.891"],
        DataType::Nested(_) => &[
            "[]",
            "[1, 2, NULL]",
            "[3]",
            "[2, 2, -1]",
            "[[1, 2], NULL, [3]]",
            "{}",
            "{1=2, 3=NULL}",
            "{'a': 5}",
        ],
        _ => &["0", "-3", "1", "2", "5", "33", "100"],
    };
    let mut values: Vec<Value> = texts.iter().filter_map(|text| parse(text, data_type).ok()).collect();
    values.push(Value::null(data_type));
    values
}

/// Whatever form the arguments have, each row gives what it gives alone.
#[test]
fn forms_of_arguments_change_no_result() {
    let integers = list_of(DataType::Int32).unwrap();
    let type_of = |function: &str, parameter: &Parameter| match *parameter {
        Parameter::Exact(data_type) => data_type,
        Parameter::List if function == "flatten" => list_of(integers).unwrap(),
        Parameter::Integer | Parameter::SameInteger => DataType::Int32,
        Parameter::Decimal | Parameter::Number => DEC,
        Parameter::Timestamp => S,
        Parameter::Same => D,
        Parameter::Printed | Parameter::Any => T,
        Parameter::List | Parameter::OtherList => integers,
        Parameter::Element | Parameter::Key => DataType::Int32,
        Parameter::Enum => enumeration(None, vec!["a".into(), "b".into()]).unwrap(),
        Parameter::Struct => struct_of([("a".to_string(), DataType::Int32)]).unwrap(),
        Parameter::Map => nested(Nested::Map { key: DataType::Int32, value: DataType::Int32 }).unwrap(),
    };
    let mut barren = Vec::new();
    for function in &REGISTRY.functions {
        for overload in &function.overloads {
            let types: Vec<DataType> =
                overload.parameters.iter().map(|parameter| type_of(function.name, parameter)).collect();
            let Ok(resolved) = resolve(function.name, &types) else { continue };
            if types.is_empty() || resolved.args != types || function.name == "error" {
                continue;
            }
            let what = overload.signature(function.name);
            let samples: Vec<Vec<Value>> = types.iter().map(|&data_type| samples(data_type)).collect();
            let row = |number: usize| -> Vec<Value> {
                let of = |(place, values): (usize, &Vec<Value>)| {
                    values[(number * (2 * place + 1) + number / 7) % values.len()].clone()
                };
                samples.iter().enumerate().map(of).collect()
            };
            // Alone; rows that fail are left out.
            let mut kept: Vec<(Vec<Value>, Scalar)> = Vec::new();
            for values in (0..60).map(row) {
                let args: Vec<Vector> =
                    values.iter().map(|value| Vector::constant(value.clone(), 1)).collect();
                if let Ok(result) = evaluate(&resolved.function, &args, 1, resolved.returns) {
                    kept.push((values, result.scalar(0)));
                }
            }
            if kept.is_empty() {
                barren.push(what);
                continue;
            }
            let rows = kept.len();
            let expected: Vec<&Scalar> = kept.iter().map(|(_, result)| result).collect();
            let check = |args: &[Vector], form: &str| {
                let result = evaluate(&resolved.function, args, rows, resolved.returns).unwrap();
                for (place, expected) in expected.iter().enumerate() {
                    assert_eq!(
                        result.scalar(place),
                        **expected,
                        "{what} of {form}, row {place}: {:?}",
                        kept[place].0
                    );
                }
            };
            let column = |place: usize| -> Vec<Scalar> {
                kept.iter().map(|(values, _)| values[place].scalar.clone()).collect()
            };
            let flat = |place: usize| Vector::from_scalars(types[place], &column(place));
            let all = |form: &dyn Fn(usize) -> Vector| (0..types.len()).map(form).collect::<Vec<_>>();
            check(&all(&flat), "columns");
            let sliced = |place: usize| {
                let padded: Vec<Scalar> =
                    [Scalar::Null].into_iter().chain(column(place)).chain([Scalar::Null]).collect();
                Vector::from_scalars(types[place], &padded).slice(1, rows)
            };
            check(&all(&sliced), "slices");
            // Rows of one value of the first argument, as a constant.
            for first in &samples[0] {
                let some: Vec<usize> = (0..rows).filter(|&at| kept[at].0[0].is_identical(first)).collect();
                let args: Vec<Vector> = (0..types.len())
                    .map(|place| match place {
                        0 => Vector::constant(first.clone(), some.len()),
                        _ => {
                            let column = column(place);
                            let taken: Vec<Scalar> = some.iter().map(|&at| column[at].clone()).collect();
                            Vector::from_scalars(types[place], &taken)
                        }
                    })
                    .collect();
                if !some.is_empty() {
                    let result = evaluate(&resolved.function, &args, some.len(), resolved.returns).unwrap();
                    for (place, &at) in some.iter().enumerate() {
                        assert_eq!(result.scalar(place), *expected[at], "{what} of a constant, row {at}");
                    }
                }
            }
        }
    }
    // They take arguments in pairs, or lists of other elements.
    barren.sort();
    let known = [
        "json_build_object(any, …)",
        "json_object(any, …)",
        "jsonb_build_object(any, …)",
        "list_bool_and(list)",
        "list_bool_or(list)",
        "map_from_entries(list)",
        "struct_pack(any, …)",
    ];
    assert_eq!(barren, known, "no row of these has an answer");
}

#[test]
fn every_function_is_described_and_finds_itself() {
    for function in list() {
        assert!(!function.result.is_empty() && !function.description.is_empty(), "{}", function.name);
        assert!(!function.description.is_empty() && function.example.contains(|c: char| c.is_alphanumeric()));
        assert!(!function.signatures.is_empty(), "{}", function.name);
    }
}

#[test]
fn nulls_in_bare_calls_take_the_types_asked_for() {
    assert_eq!(resolve("length", &[DataType::Null]).unwrap().args, [T]);
    assert_eq!(resolve("+", &[D, DataType::Null]).unwrap().args.len(), 2);
    assert_eq!(call("length", &[("NULL", DataType::Null)]), "NULL");
    let rows = Vector::from_scalars(I, &[Scalar::Integer(4), Scalar::Null]);
    let roots =
        evaluate("sqrt", &[Vector::from_scalars(F, &[Scalar::Float(4.0), Scalar::Null])], 2, F).unwrap();
    assert_eq!((roots.scalar(0), roots.scalar(1)), (Scalar::Float(2.0), Scalar::Null));
    assert!(evaluate("mod", &[rows.clone(), rows], 2, I).is_ok());
}

#[test]
fn a_batch_of_long_texts_is_an_error() {
    let texts = Vector::from_scalars(T, &vec![Scalar::Bytes(vec![b'x'; 1 << 10]); 2_048]);
    let times = Vector::from_scalars(I, &vec![Scalar::Integer(100_000); 2_048]);
    let error = evaluate("repeat", &[texts, times], 2_048, T).unwrap_err().to_string();
    assert!(error.contains("out of range"), "{error}");
}

#[test]
fn integers_keep_to_their_types_at_the_ends() {
    const HUGE: DataType = DataType::Int128;
    const BIG: DataType = DataType::UInt64;
    let (least, most) = (i128::MIN.to_string(), i128::MAX.to_string());
    let (least, most, top) = (least.as_str(), most.as_str(), "18446744073709551615");
    type Case<'a> = (&'a str, &'a [(&'a str, DataType)], &'a str);
    let cases: &[Case<'_>] = &[
        ("abs", &[(least, HUGE)], "!"),
        ("abs", &[(most, HUGE)], most),
        ("abs", &[(top, BIG)], top),
        ("sign", &[(least, HUGE)], "-1"),
        ("round", &[(most, HUGE), ("-38", DataType::Int32)], "!"),
        ("trunc", &[(least, HUGE), ("-38", DataType::Int32)], "-100000000000000000000000000000000000000"),
        ("round", &[(least, HUGE), ("-40", DataType::Int32)], "0"),
        ("gcd", &[(least, HUGE), ("0", HUGE)], "!"),
        ("gcd", &[(least, HUGE), ("6", HUGE)], "2"),
        ("lcm", &[(least, HUGE), ("3", HUGE)], "!"),
        ("lcm", &[(least, HUGE), ("0", HUGE)], "0"),
        ("mod", &[(least, HUGE), ("-1", HUGE)], "0"),
        ("~", &[(most, HUGE)], least),
        ("~", &[("0", BIG)], top),
        ("&", &[(top, BIG), (top, BIG)], top),
        ("#", &[(least, HUGE), ("-1", HUGE)], most),
        ("<<", &[(top, BIG), ("1", DataType::Int64)], "18446744073709551614"),
        ("<<", &[("1", HUGE), ("127", DataType::Int64)], least),
        (">>", &[(least, HUGE), ("127", DataType::Int64)], "-1"),
        (">>", &[(top, BIG), ("63", DataType::Int64)], "1"),
        ("bit_count", &[(least, HUGE)], "1"),
        ("bit_count", &[(top, BIG)], "64"),
        ("hex", &[("-1", HUGE)], "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"),
        ("bin", &[("5", DataType::UInt8)], "101"),
        ("uuid_extract_version", &[("00000000-0000-0000-0000-000000000000", DataType::Uuid)], "NULL"),
        (
            "uuid_extract_timestamp",
            &[("C232AB00-9414-11EC-B3C8-9F6BDECED846", DataType::Uuid)],
            "2022-02-22 19:22:22+00",
        ),
    ];
    for (name, args, expected) in cases {
        assert_eq!(call(name, args), *expected, "{name} of {args:?}");
    }
}

//! The walks over text against `serde_json`, on documents that are random and on what damage makes of them.

use super::tree::same;
use super::*;
use proptest::prelude::*;

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-1e9..1e9).prop_map(|value: f64| serde_json::Value::from(value)),
        "[a-c\"\\\\\\n\u{e9}\u{1F600}{}\\[\\],:]{0,6}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c\"\\\\]{0,2}", inner, 0..5)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Reads the document by the walks alone.
fn walked(text: &str) -> serde_json::Value {
    match kind(text) {
        Kind::Array => elements(text).map(walked).collect(),
        Kind::Object => {
            members(text).map(|(key, value)| (unquote(key).into_owned(), walked(value))).collect()
        }
        Kind::String => unquote(text.trim()).into_owned().into(),
        _ => serde_json::from_str(text).unwrap(),
    }
}

fn canonical_text(text: &str) -> String {
    let mut out = Vec::new();
    canonical(&Tree::parse(text).unwrap(), &mut out);
    String::from_utf8(out).unwrap()
}

proptest! {
    #[test]
    fn walks_read_what_was_written(document in document(), wide in any::<bool>()) {
        let text = if wide { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let text = text.unwrap();
        prop_assert_eq!(check(&text), Ok(()));
        // What the digits of a number are read as is the parser's affair.
        prop_assert_eq!(walked(&text), serde_json::from_str::<serde_json::Value>(&text).unwrap());
        let once = canonical_text(&text);
        prop_assert_eq!(canonical_text(&once), once.clone());
        prop_assert!(same(&Tree::parse(&text).unwrap(), &Tree::parse(&once).unwrap(), &mut Work::new()).unwrap());
        prop_assert!(contains(&Tree::parse(&text).unwrap(), &Tree::parse(&once).unwrap(), &mut Work::new()).unwrap());
    }

    #[test]
    fn damaged_documents_are_refused_as_others_refuse_them(
        document in document(),
        place in any::<prop::sample::Index>(),
        sign in prop::sample::select(b"{}[]\",:\\ 0e-.u\x01tx".to_vec()),
        cut in any::<bool>(),
    ) {
        let mut bytes = serde_json::to_vec(&document).unwrap();
        let place = place.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] = sign }
        if let Ok(text) = String::from_utf8(bytes) {
            // Numbers beyond a double are none of ours to refuse.
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            if !theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
                prop_assert_eq!(check(&text).is_ok(), theirs.is_ok(), "{}", text);
            }
            prop_assert_eq!(Tree::parse(&text).is_ok(), check(&text).is_ok());
            // Walks over what was never checked end.
            members(&text).for_each(|(key, value)| { unquote(key); kind(value); });
            elements(&text).for_each(|element| { unquote(element); });
        }
    }
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(check(&deep(MAX_DEPTH)), Ok(()));
    assert!(check(&deep(MAX_DEPTH + 1)).is_err());
    assert!(check(&"[".repeat(1_000_000)).is_err());
    assert!(Tree::parse(&"{\"a\":".repeat(1_000_000)).is_err());
}

#[test]
fn canonical_text_is_postgresqls() {
    for (text, expected) in [
        ("{\"b\":1,\"a\":2,\"b\":3}", "{\"a\": 2, \"b\": 3}"),
        ("{\"aa\":1,\"b\":[1,{}]}", "{\"b\": [1, {}], \"aa\": 1}"),
        ("\"\\u0041\\/\\u00e9\\ud83d\\ude00\"", "\"A/\u{e9}\u{1F600}\""),
        ("[1e2, 1.50, -0, -0.0, 1.5e1, 1E-3, 12e-1]", "[100, 1.50, 0, 0.0, 15, 0.001, 1.2]"),
        (" null ", "null"),
    ] {
        assert_eq!(canonical_text(text), expected);
    }
}

#[test]
fn paths_find_values() {
    let document = "{\"a\": [1, {\"b c\": \"x\"}], \"$\": 2, \"a\\n\": 3, \"0\": 4}";
    for (path, expected) in [
        ("a", Some("[1, {\"b c\": \"x\"}]")),
        ("$.a[0]", Some("1")),
        ("$.a[1].\"b c\"", Some("\"x\"")),
        ("$.a[#-2]", Some("1")),
        ("$.a[-3]", None),
        ("/a/1/b c", Some("\"x\"")),
        ("/0", Some("4")),
        ("$", Some(document)),
        ("$[\"a\\\\n\"]", Some("3")),
        ("a\n", Some("3")),
        ("nothing", None),
    ] {
        assert_eq!(Path::of_function(path).unwrap().find(document), expected, "{path}");
    }
    assert_eq!(Path::of_array("{a,1,\"b c\"}").unwrap().find(document), Some("\"x\""));
    assert_eq!(Path::of_array("{}").unwrap().find(document), Some(document));
    assert_eq!(Path::of_operator("/a").unwrap().find(document), None);
    for path in ["$.", "$[", "$[1", "$[x]", "$.a[*]", "$..a", "$[0]x"] {
        assert!(Path::of_function(path).is_err(), "{path}");
    }
    for (path, expected) in [
        ("$.a[*]", &["1", "{\"b c\": \"x\"}"][..]),
        ("$.a[*].*", &["\"x\""]),
        ("$[*]", &[]),
        ("$.a[1]", &["{\"b c\": \"x\"}"]),
    ] {
        assert_eq!(Path::of_many(path).unwrap().find_all(document).unwrap(), expected, "{path}");
    }
    for path in ["a", "{a", "{a,}", "{,}", "{\"a}"] {
        assert!(Path::of_array(path).is_err(), "{path}");
    }
}

#[test]
fn values_are_written_and_read_back() {
    use columnar::types::{Nested, list_of, nested, struct_of};
    let words = list_of(columnar::DataType::Varchar).unwrap();
    let fields = [("a".to_string(), columnar::DataType::Int32), ("b c".to_string(), words)];
    let row = struct_of(fields).unwrap();
    let map =
        nested(Nested::Map { key: columnar::DataType::Int8, value: columnar::DataType::Float64 }).unwrap();
    for (text, data_type) in [
        ("[\"x\",null,\"\\\"\\n\"]", words),
        ("{\"a\":1,\"b c\":[\"y\"]}", row),
        ("{\"a\":null,\"b c\":null}", row),
        ("{\"1\":0.5,\"-2\":null}", map),
        ("[[],[1],null]", list_of(list_of(columnar::DataType::Int64).unwrap()).unwrap()),
    ] {
        for reading in [Reading::Cast, Reading::Strict, Reading::Lenient] {
            let value = value_of(text, data_type, reading).unwrap();
            let mut out = Vec::new();
            write_json(data_type, value, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
    let refused = |text: &str, reading| value_of(text, row, reading).is_err();
    assert!(refused("[]", Reading::Cast));
    assert!(refused("{\"a\": 1, \"q\": 2}", Reading::Cast));
    assert!(!refused("{\"A\": 1}", Reading::Cast));
    assert!(refused("{\"a\": 1}", Reading::Strict));
    assert!(refused("{\"a\": \"x\", \"b c\": []}", Reading::Strict));
    assert!(!refused("{\"a\": \"x\", \"q\": []}", Reading::Lenient));
}

#[test]
fn tests_of_large_documents_end() {
    let ones = format!("[{}2]", "1,".repeat(50_000));
    let twos = format!("[{}3]", "2,".repeat(50_000));
    let (ones, twos) = (Tree::parse(&ones).unwrap(), Tree::parse(&twos).unwrap());
    assert!(contains(&ones, &twos, &mut Work::new()).is_err());
    assert!(contains(&ones, &ones, &mut Work::new()).unwrap());
}

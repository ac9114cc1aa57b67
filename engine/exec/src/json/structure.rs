//! The types within documents, by DuckDB's names.

use super::scan::{Kind, kind};
use super::text::quote;
use super::tree::Tree;
use std::collections::HashMap;

/// DuckDB's name of the type.
pub(crate) fn type_name(document: &str) -> &'static str {
    let document = document.trim();
    match kind(document) {
        Kind::Null => "NULL",
        Kind::Boolean => "BOOLEAN",
        Kind::String => "VARCHAR",
        Kind::Array => "ARRAY",
        Kind::Object => "OBJECT",
        Kind::Number if document.parse::<u64>().is_ok() => "UBIGINT",
        Kind::Number if document.parse::<i64>().is_ok() => "BIGINT",
        Kind::Number => "DOUBLE",
    }
}

/// The types within documents.
pub(crate) enum Structure {
    Null,
    Type(&'static str),
    List(Box<Structure>),
    Members(Vec<(String, Structure)>),
}

impl Structure {
    pub(crate) fn of(tree: &Tree<'_>) -> Structure {
        match tree {
            Tree::Plain("null") => Structure::Null,
            Tree::Plain(text) => Structure::Type(type_name(text)),
            Tree::Text(_) => Structure::Type("VARCHAR"),
            Tree::Array(elements) => Structure::List(Box::new(
                elements.iter().map(Structure::of).fold(Structure::Null, Structure::with),
            )),
            Tree::Object(members) => Structure::Members(
                members.iter().map(|(key, value)| (key.clone().into_owned(), Structure::of(value))).collect(),
            ),
        }
    }

    /// The structure that holds values of both.
    fn with(self, other: Structure) -> Structure {
        match (self, other) {
            (Structure::Null, other) | (other, Structure::Null) => other,
            (Structure::Type(a), Structure::Type(b)) if a == b => Structure::Type(a),
            (Structure::Type(a), Structure::Type(b)) => Structure::Type(match (a, b) {
                ("UBIGINT" | "BIGINT" | "HUGEINT", "UBIGINT" | "BIGINT" | "HUGEINT") => "HUGEINT",
                ("UBIGINT" | "BIGINT" | "HUGEINT", "DOUBLE")
                | ("DOUBLE", "UBIGINT" | "BIGINT" | "HUGEINT") => "DOUBLE",
                _ => "JSON",
            }),
            (Structure::List(a), Structure::List(b)) => Structure::List(Box::new(a.with(*b))),
            (Structure::Members(mut members), Structure::Members(more)) => {
                let mut places: HashMap<String, usize> =
                    members.iter().enumerate().map(|(place, (key, _))| (key.clone(), place)).collect();
                for (key, structure) in more {
                    match places.get(&key) {
                        Some(&place) => {
                            let own = std::mem::replace(&mut members[place].1, Structure::Null);
                            members[place].1 = own.with(structure);
                        }
                        None => {
                            places.insert(key.clone(), members.len());
                            members.push((key, structure));
                        }
                    }
                }
                Structure::Members(members)
            }
            _ => Structure::Type("JSON"),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Structure::Null => quote("NULL", out),
            Structure::Type(name) => quote(name, out),
            Structure::List(element) => {
                out.push(b'[');
                element.write(out);
                out.push(b']');
            }
            Structure::Members(members) => {
                out.push(b'{');
                for (place, (key, structure)) in members.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    quote(key, out);
                    out.push(b':');
                    structure.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

//! The text of `JSONB`: one text for a value, as PostgreSQL prints it, but that `1.0` and `1` are two.

use super::number::plain_number;
use super::text::quote;
use super::tree::Tree;
use std::borrow::Cow;

/// How deep a line of [`pretty`] is indented a level.
const INDENT: &str = "    ";

/// Appends the canonical text: keys by their length, then their bytes, `", "` and `": "` between.
pub(crate) fn canonical(tree: &Tree<'_>, out: &mut Vec<u8>) {
    match tree {
        Tree::Plain(text) => out.extend(plain_number(text).bytes()),
        Tree::Text(text) => quote(text, out),
        Tree::Array(elements) => {
            out.push(b'[');
            for (place, element) in elements.iter().enumerate() {
                if place > 0 {
                    out.extend(b", ");
                }
                canonical(element, out);
            }
            out.push(b']');
        }
        Tree::Object(members) => {
            out.push(b'{');
            for (place, (key, value)) in by_keys(members).into_iter().enumerate() {
                if place > 0 {
                    out.extend(b", ");
                }
                quote(key, out);
                out.extend(b": ");
                canonical(value, out);
            }
            out.push(b'}');
        }
    }
}

fn by_keys<'t, 'a>(members: &'t [(Cow<'a, str>, Tree<'a>)]) -> Vec<&'t (Cow<'a, str>, Tree<'a>)> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| (a.len(), a.as_bytes()).cmp(&(b.len(), b.as_bytes())));
    sorted
}

/// Appends the tree over several lines, as `jsonb_pretty` of PostgreSQL has it; members in the order of the tree.
pub(crate) fn pretty(tree: &Tree<'_>, depth: usize, out: &mut Vec<u8>) {
    let line = |depth: usize, out: &mut Vec<u8>| {
        out.push(b'\n');
        (0..depth).for_each(|_| out.extend(INDENT.bytes()));
    };
    match tree {
        Tree::Plain(text) => out.extend(text.bytes()),
        Tree::Text(text) => quote(text, out),
        Tree::Array(elements) => {
            out.push(b'[');
            for (place, element) in elements.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                line(depth + 1, out);
                pretty(element, depth + 1, out);
            }
            line(depth, out);
            out.push(b']');
        }
        Tree::Object(members) => {
            out.push(b'{');
            for (place, (key, value)) in members.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                line(depth + 1, out);
                quote(key, out);
                out.extend(b": ");
                pretty(value, depth + 1, out);
            }
            line(depth, out);
            out.push(b'}');
        }
    }
}

//! Which names an expression may use, and what they mean.

use crate::error::{Error, Result};
use crate::logical::ColumnId;
use exec::functions::edit_distance;
use sqlparser::ast::Ident;

/// The relations of one query, inside those of the query around it.
#[derive(Debug, Default)]
pub(crate) struct Scope<'s> {
    pub(crate) relations: Vec<Relation>,
    pub(crate) outer: Option<&'s Scope<'s>>,
}

/// A table, subquery or join under the name by which a query knows it.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) schema: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) columns: Vec<ScopeColumn>,
}

#[derive(Debug, Clone)]
pub(crate) struct ScopeColumn {
    pub(crate) name: String,
    pub(crate) id: ColumnId,
    /// It stands for itself only with its relation's name: `USING` merged it into another.
    pub(crate) qualified_only: bool,
}

/// Names are compared without regard to case.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

impl Scope<'_> {
    /// Of a text that stands by itself.
    pub(crate) const NONE: &'static Scope<'static> = &Scope { relations: Vec::new(), outer: None };

    /// The column that a name of one to three parts means, in this scope or the nearest around it.
    pub(crate) fn resolve(&self, parts: &[Ident]) -> Result<ColumnId> {
        self.find(parts)?.ok_or_else(|| self.unknown(parts))
    }

    /// As [`Scope::resolve`]; nothing where there is none.
    pub(crate) fn find(&self, parts: &[Ident]) -> Result<Option<ColumnId>> {
        let mut scope = Some(self);
        while let Some(current) = scope {
            if let Some(found) = current.resolve_here(parts)? {
                return Ok(Some(found));
            }
            scope = current.outer;
        }
        Ok(None)
    }

    /// The column, if this scope itself has one of that name.
    pub(crate) fn resolve_here(&self, parts: &[Ident]) -> Result<Option<ColumnId>> {
        let (qualifier, name) = match parts {
            [name] => (None, name),
            [relation, name] => (Some((None, relation)), name),
            [schema, relation, name] => (Some((Some(schema), relation)), name),
            _ => return Ok(None),
        };
        let mut found =
            self.relations.iter().filter(|relation| relation.answers_to(qualifier)).flat_map(|relation| {
                relation.columns.iter().filter(|column| {
                    (qualifier.is_some() || !column.qualified_only) && same_name(&column.name, &name.value)
                })
            });
        let first = found.next().map(|column| column.id);
        if let (Some(first), Some(second)) = (first, found.next())
            && first != second.id
        {
            let error = Error::name(format!("column \"{}\" is ambiguous", dotted(parts))).at(name.span);
            return Err(error.hint("write the table's name before it"));
        }
        Ok(first)
    }

    /// The error that no column has the name.
    pub(crate) fn unknown(&self, parts: &[Ident]) -> Error {
        let Some(name) = parts.last() else {
            return Error::internal("a name without parts");
        };
        let span = parts[0].span.union(&name.span);
        if let [.., relation, _] = parts {
            let mut scope = Some(self);
            let mut known = Vec::new();
            while let Some(current) = scope {
                known.extend(current.relations.iter().filter_map(|relation| relation.name.clone()));
                scope = current.outer;
            }
            if !known.iter().any(|known| same_name(known, &relation.value)) {
                let error = Error::name(format!("unknown table \"{}\" in this query", relation.value));
                return suggest(error, &relation.value, known.iter().map(String::as_str)).at(span);
            }
        }
        let error = Error::name(format!("unknown column \"{}\"", dotted(parts))).at(span);
        let mut names = Vec::new();
        let mut scope = Some(self);
        while let Some(current) = scope {
            for relation in &current.relations {
                names.extend(relation.columns.iter().map(|column| column.name.as_str()));
            }
            scope = current.outer;
        }
        suggest(error, &name.value, names)
    }
}

impl Relation {
    fn answers_to(&self, qualifier: Option<(Option<&Ident>, &Ident)>) -> bool {
        let Some((schema, name)) = qualifier else { return true };
        self.name.as_ref().is_some_and(|own| same_name(own, &name.value))
            && schema
                .is_none_or(|schema| self.schema.as_ref().is_some_and(|own| same_name(own, &schema.value)))
    }
}

fn dotted(parts: &[Ident]) -> String {
    parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".")
}

/// Adds the nearest of the names as a hint, if one is near.
pub(crate) fn suggest<'a>(error: Error, wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Error {
    let wanted = wanted.to_lowercase();
    // In a short name two other letters make another word.
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let nearest = names
        .into_iter()
        .filter(|name| !name.is_empty() && wanted.chars().count() < 100)
        .map(|name| (edit_distance(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, name)| {
            *distance <= limit || (wanted.len() >= 3 && name.to_lowercase().ends_with(&format!("_{wanted}")))
        })
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, name)) => error.hint(format!("did you mean \"{name}\"?")),
        None => error,
    }
}

/// The spot of a name.
pub(crate) fn span_of(parts: &[Ident]) -> sqlparser::tokenizer::Span {
    parts
        .iter()
        .map(|part| part.span)
        .reduce(|a, b| a.union(&b))
        .unwrap_or_else(sqlparser::tokenizer::Span::empty)
}

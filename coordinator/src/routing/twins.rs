//! Tables that are in Tundra and elsewhere, as the policy names them and a view has them.

use super::Routing;
use crate::view::View;
use flight_proto::policy::Routes;
use planner::catalog::{Catalog, Table};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

/// Faults that are kept: for people.
const FAULTS: usize = 100;

/// By lower-case schema and name.
pub(super) type Key = (String, String);

/// The twins of one view.
#[derive(Default)]
pub(crate) struct Twins {
    /// The foreign tables that have the rows of a table of Tundra.
    foreign: HashMap<Key, Vec<Arc<Table>>>,
    /// The table of Tundra that has the rows of a foreign one.
    resident: HashMap<Key, Arc<Table>>,
    /// What the policy names and is not there, or not as it says; for people.
    pub(super) faults: Vec<String>,
}

/// Twins that were found, of this view and version of the policy.
pub(super) struct Known(Weak<View>, u64, Arc<Twins>);

impl Routing {
    /// The twins of a view.
    pub(crate) fn twins(&self, view: &Arc<View>, version: u64, routes: &Routes) -> Arc<Twins> {
        let mut known = self.twins.lock();
        match &*known {
            Some(Known(of, at, twins)) if std::ptr::eq(of.as_ptr(), Arc::as_ptr(view)) && *at == version => {
                twins.clone()
            }
            _ => {
                let twins = Arc::new(Twins::of(view, routes));
                *known = Some(Known(Arc::downgrade(view), version, twins.clone()));
                twins
            }
        }
    }
}

impl Twins {
    fn of(view: &View, routes: &Routes) -> Twins {
        let mut twins = Twins::default();
        let mut by_schema: BTreeMap<String, Vec<Arc<Table>>> = BTreeMap::new();
        for table in view.tables_of_all().filter(|table| !table.is_view()) {
            by_schema.entry(table.schema.to_lowercase()).or_default().push(table.clone());
        }
        for pair in &routes.twins {
            let (own, other) = (name(&pair.table), name(&pair.foreign));
            let ((own_schema, own_name), (other_schema, other_name)) = (&own, &other);
            if own_name != "*" || other_name != "*" {
                let (table, foreign) =
                    (view.table(Some(own_schema), own_name), view.table(Some(other_schema), other_name));
                twins.add(&pair.table, table.as_ref(), &pair.foreign, foreign.as_ref());
                continue;
            }
            let mut found = false;
            for table in by_schema.get(own_schema).into_iter().flatten() {
                if let Some(foreign) = view.table(Some(other_schema), &table.name) {
                    let named = |of: &Table| format!("{}.{}", of.schema, of.name);
                    twins.add(&named(table), Some(table), &named(&foreign), Some(&foreign));
                    found = true;
                }
            }
            if !found {
                twins.fault(format!("{} and {} have no tables of one name", pair.table, pair.foreign));
            }
        }
        twins
    }

    fn add(&mut self, own: &str, table: Option<&Arc<Table>>, other: &str, foreign: Option<&Arc<Table>>) {
        let (Some(table), Some(foreign)) = (table, foreign) else {
            let missing = if table.is_none() { own } else { other };
            return self.fault(format!("{own} and {other}: there is no table {missing}"));
        };
        if table.foreign.is_some() || foreign.foreign.is_none() {
            let (is, expected) =
                if table.foreign.is_some() { (own, "one of Tundra") } else { (other, "foreign") };
            return self.fault(format!("{own} and {other}: {is} is not {expected}"));
        }
        if let Err(why) = same_columns(table, foreign) {
            // It would stand in the way of one that fits.
            return self.fault(format!("{own} and {other}: {why}"));
        }
        let (of_table, of_foreign) = (key(table), key(foreign));
        if let Some(known) = self.resident.get(&of_foreign).filter(|known| key(known) != of_table) {
            let (schema, name) = (&known.schema, &known.name);
            let why = format!("{own} and {other}: {other} is the twin of {schema}.{name} already");
            return self.fault(why);
        }
        self.resident.insert(of_foreign.clone(), table.clone());
        let others = self.foreign.entry(of_table).or_default();
        if !others.iter().any(|other| key(other) == of_foreign) {
            others.push(foreign.clone());
        }
    }

    fn fault(&mut self, why: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(why);
        }
    }

    /// Whether a table has a twin.
    pub(super) fn concern(&self, table: &Table) -> bool {
        let key = key(table);
        self.resident.contains_key(&key) || self.foreign.contains_key(&key)
    }

    /// The servers that have a table's rows.
    pub(super) fn servers<'a>(&'a self, table: &'a Arc<Table>) -> impl Iterator<Item = &'a str> {
        let resident = if table.foreign.is_some() { self.resident.get(&key(table)) } else { Some(table) };
        let others = resident.and_then(|resident| self.foreign.get(&key(resident))).into_iter().flatten();
        std::iter::once(table)
            .chain(others)
            .filter_map(|table| table.foreign.as_ref())
            .map(|of| of.server.as_str())
    }

    /// The table that has the rows of `table` in an engine; `server`: the name of one, else in Tundra. Why there is none.
    pub(super) fn stand_in(&self, table: &Arc<Table>, server: Option<&str>) -> Result<Arc<Table>, String> {
        let on = |table: &&Arc<Table>| match (&table.foreign, server) {
            (None, None) => true,
            (Some(foreign), Some(server)) => foreign.server.eq_ignore_ascii_case(server),
            _ => false,
        };
        if on(&table) {
            return Ok(table.clone());
        }
        let resident = if table.foreign.is_some() { self.resident.get(&key(table)) } else { Some(table) };
        let others = resident.and_then(|resident| self.foreign.get(&key(resident))).into_iter().flatten();
        let twin = resident.into_iter().chain(others).find(on);
        let (schema, name) = (&table.schema, &table.name);
        let Some(twin) = twin else {
            let place = server.map_or("Tundra".into(), |server| format!("server {server}"));
            return Err(format!("table {schema}.{name} has no twin in {place}"));
        };
        let other = format!("{}.{}", twin.schema, twin.name);
        let checked = same_columns(table, twin).and_then(|()| no_wider(table, twin));
        checked.map_err(|why| format!("table {schema}.{name} and its twin {other}: {why}"))?;
        // It is called what the query calls it.
        Ok(Arc::new(Table { schema: schema.clone(), name: name.clone(), ..Table::clone(twin) }))
    }
}

pub(super) fn key(table: &Table) -> Key {
    (table.schema.to_lowercase(), table.name.to_lowercase())
}

/// `SCHEMA.TABLE`
fn name(text: &str) -> Key {
    let (schema, table) = text.split_once('.').unwrap_or((crate::catalog::DEFAULT_SCHEMA, text));
    (schema.to_lowercase(), table.to_lowercase())
}

/// That both have the same columns, nulls aside.
fn same_columns(table: &Table, twin: &Table) -> Result<(), String> {
    if table.columns.len() != twin.columns.len() {
        return Err(format!("one has {} columns, the other {}", table.columns.len(), twin.columns.len()));
    }
    for (number, (own, other)) in table.columns.iter().zip(&twin.columns).enumerate() {
        if (&own.name, own.data_type) != (&other.name, other.data_type) {
            let (place, of, to) = (number + 1, own.data_type, other.data_type);
            return Err(format!("column {place} is \"{}\" {of} and \"{}\" {to}", own.name, other.name));
        }
    }
    Ok(())
}

/// That the twin has no nulls where the table has none.
fn no_wider(table: &Table, twin: &Table) -> Result<(), String> {
    let mut columns = table.columns.iter().zip(&twin.columns);
    match columns.find(|(own, other)| other.nullable && !own.nullable) {
        Some((own, _)) => Err(format!("column \"{}\" may be null in the twin alone", own.name)),
        None => Ok(()),
    }
}

//! What the catalog knows of engines beside Tundra: servers of a tenant, and tables of theirs in its schemas.

use super::definitions::{self, Named};
use super::reply::Refusal;
use super::{access, comments};
use flight_proto::catalog::{
    CreateForeignTables, DropForeignTable, DropServer, ForeignServer, ForeignTable, Tenant,
};

type Changed = std::result::Result<(), Refusal>;

pub(super) fn create_server(tenant: &mut Tenant, server: ForeignServer) -> Changed {
    let key = server.name.to_lowercase();
    if tenant.servers.contains_key(&key) {
        return Err(Refusal::ServerExists(server.name));
    }
    tenant.servers.insert(key, server);
    Ok(())
}

pub(super) fn drop_server(tenant: &mut Tenant, drop: &DropServer, revision: u64) -> Changed {
    let key = drop.name.to_lowercase();
    if !tenant.servers.contains_key(&key) {
        return Err(Refusal::NoServer(drop.name.clone()));
    }
    let uses = |table: &ForeignTable| table.server.to_lowercase() == key;
    let used = tenant.schemas.values().flat_map(|schema| schema.foreign_tables.values()).any(uses);
    if used && !drop.cascade {
        return Err(Refusal::ServerInUse(drop.name.clone()));
    }
    let tables = tenant.schemas.values().flat_map(|schema| schema.foreign_tables.values());
    let gone = tables.filter(|table| uses(table)).map(|table| Named::relation(&table.schema, &table.name));
    for table in gone.collect::<Vec<_>>() {
        definitions::remove_dependents(tenant, &table, revision);
        comments::forget(tenant, &table);
    }
    for schema in tenant.schemas.values_mut() {
        schema.foreign_tables.retain(|_, table| !uses(table));
    }
    tenant.servers.remove(&key);
    Ok(())
}

pub(super) fn create_tables(tenant: &mut Tenant, create: &CreateForeignTables) -> Changed {
    let schemas = tenant.schemas.clone();
    let created = add_tables(tenant, create);
    if created.is_err() {
        tenant.schemas = schemas;
    }
    created
}

fn add_tables(tenant: &mut Tenant, create: &CreateForeignTables) -> Changed {
    let owner = |table: &ForeignTable| table.grants.as_ref().map_or("", |grants| &grants.owner).to_string();
    let grants: Vec<_> = create.tables.iter().map(|table| access::owned_by(tenant, &owner(table))).collect();
    for (place, table) in create.tables.iter().enumerate() {
        let server = tenant.servers.get(&table.server.to_lowercase());
        if server.is_none_or(|server| server.created_revision != create.server_revision) {
            return Err(Refusal::NoServer(table.server.clone()));
        }
        let schema = tenant.schemas.get_mut(&table.schema.to_lowercase());
        let schema = schema.ok_or_else(|| Refusal::NoSchema(table.schema.clone()))?;
        let key = table.name.to_lowercase();
        if definitions::holds(schema, &key) {
            return Err(Refusal::TableExists(table.name.clone()));
        }
        let mut table = table.clone();
        table.schema = schema.name.clone();
        table.grants.clone_from(&grants[place]);
        schema.foreign_tables.insert(key, table);
    }
    Ok(())
}

pub(super) fn drop_table(tenant: &mut Tenant, drop: &DropForeignTable, revision: u64) -> Changed {
    let (schema, name) = (drop.schema.to_lowercase(), drop.name.to_lowercase());
    if !tenant.schemas.get(&schema).is_some_and(|schema| schema.foreign_tables.contains_key(&name)) {
        return Err(Refusal::NoForeignTable(drop.name.clone()));
    }
    let own = Named::relation(&schema, &name);
    if !drop.cascade {
        definitions::check_unused(tenant, &own)?;
    }
    definitions::remove_dependents(tenant, &own, revision);
    comments::forget(tenant, &own);
    if let Some(schema) = tenant.schemas.get_mut(&schema) {
        schema.foreign_tables.remove(&name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::catalog::{CatalogState, Refusal, Reply};
    use flight_proto::catalog::{
        Change, Command, CreateForeignTables, CreateSchema, Dataset, DropForeignTable, DropSchema,
        DropServer, ForeignServer, ForeignTable, SwitchVersion, Version,
    };

    fn apply(state: &mut CatalogState, change: Change) -> Reply {
        state.apply(&Command { at_us: 5, tenant: "default".into(), change: Some(change) })
    }

    fn server(name: &str) -> Change {
        let options = [("host".to_string(), "db".to_string())].into();
        let secrets = [("password".to_string(), "hidden".to_string())].into();
        let wrapper = "postgresql".into();
        Change::CreateServer(ForeignServer {
            name: name.into(),
            wrapper,
            options,
            secrets,
            created_revision: 0,
            grants: None,
        })
    }

    fn tables(state: &CatalogState, server: &str, schema: &str, names: &[&str]) -> Change {
        let revision = state.server("default", server).map_or(0, |server| server.created_revision);
        let table = |name: &&str| ForeignTable {
            schema: schema.into(),
            name: name.to_string(),
            server: server.into(),
            remote_schema: "public".into(),
            remote_name: name.to_string(),
            columns: Vec::new(),
            rows: 0,
            grants: None,
        };
        let tables = names.iter().map(table).collect();
        Change::CreateForeignTables(CreateForeignTables { tables, server_revision: revision })
    }

    fn drop_server(name: &str, cascade: bool) -> Change {
        Change::DropServer(DropServer { name: name.into(), cascade })
    }

    fn refused(refusal: fn(String) -> Refusal, name: &str) -> Reply {
        Reply::Refused(refusal(name.into()))
    }

    #[test]
    fn servers_and_tables_come_and_go() {
        let mut state = CatalogState::default();
        let create = tables(&state, "pg", "main", &["T"]);
        assert_eq!(apply(&mut state, create), refused(Refusal::NoServer, "pg"));
        assert_eq!(apply(&mut state, server("Pg")), Reply::Done);
        assert_eq!(apply(&mut state, server("PG")), refused(Refusal::ServerExists, "PG"));
        let create = tables(&state, "pg", "main", &["T", "u"]);
        assert_eq!(apply(&mut state, create.clone()), Reply::Done);
        assert_eq!(apply(&mut state, create), refused(Refusal::TableExists, "T"));
        assert_eq!(state.foreign_table("default", "MAIN", "t").unwrap().name, "T");
        assert!(state.foreign_table("other", "main", "t").is_none());
        assert!(state.server("other", "pg").is_none());

        let restored = CatalogState::from_bytes(&state.to_bytes()).unwrap();
        assert_eq!(restored, state, "snapshots have them");

        assert_eq!(apply(&mut state, drop_server("pg", false)), refused(Refusal::ServerInUse, "pg"));
        let drop = |name: &str| {
            Change::DropForeignTable(DropForeignTable {
                schema: "main".into(),
                name: name.into(),
                cascade: false,
            })
        };
        assert_eq!(apply(&mut state, drop("t")), Reply::Done);
        assert_eq!(apply(&mut state, drop("t")), refused(Refusal::NoForeignTable, "t"));
        assert_eq!(apply(&mut state, drop_server("PG", true)), Reply::Done);
        assert_eq!(state.foreign_tables("default").count(), 0);
        assert_eq!(apply(&mut state, drop_server("pg", true)), refused(Refusal::NoServer, "pg"));
    }

    #[test]
    fn several_tables_are_created_or_none() {
        let mut state = CatalogState::default();
        apply(&mut state, server("pg"));
        let create = tables(&state, "pg", "main", &["a", "b", "A"]);
        assert_eq!(apply(&mut state, create), refused(Refusal::TableExists, "A"));
        assert_eq!(state.foreign_tables("default").count(), 0);
        let create = tables(&state, "pg", "none", &["a"]);
        assert_eq!(apply(&mut state, create), refused(Refusal::NoSchema, "none"));
    }

    #[test]
    fn a_server_that_has_the_name_by_now_is_another() {
        let mut state = CatalogState::default();
        apply(&mut state, server("pg"));
        let late = tables(&state, "pg", "main", &["t"]);
        apply(&mut state, drop_server("pg", false));
        apply(&mut state, server("pg"));
        assert_eq!(apply(&mut state, late), refused(Refusal::NoServer, "pg"));
    }

    #[test]
    fn names_are_shared_with_other_tables() {
        let mut state = CatalogState::default();
        apply(&mut state, server("pg"));
        apply(&mut state, Change::CreateSchema(CreateSchema { name: "s".into(), owner: String::new() }));
        let create = tables(&state, "pg", "s", &["t"]);
        apply(&mut state, create);
        let version = Some(Version { number: 1, ..Version::default() });
        let dataset = |schema: &str, name: &str| Dataset {
            id: 7,
            schema: schema.into(),
            name: name.into(),
            version,
            ..Dataset::default()
        };
        let switch = |schema: &str, name: &str| {
            Change::SwitchVersion(SwitchVersion { dataset: Some(dataset(schema, name)) })
        };
        assert_eq!(apply(&mut state, switch("s", "T")), refused(Refusal::TableExists, "T"));
        let drop = Change::DropSchema(DropSchema { name: "s".into() });
        assert_eq!(apply(&mut state, drop), refused(Refusal::SchemaNotEmpty, "s"));
        assert_eq!(apply(&mut state, switch("main", "x")), Reply::Done);
        let create = tables(&state, "pg", "main", &["X"]);
        assert_eq!(apply(&mut state, create), refused(Refusal::TableExists, "X"));
    }
}

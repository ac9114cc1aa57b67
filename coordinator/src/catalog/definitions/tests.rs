//! Views and macros come and go, and what they use stays.

use crate::catalog::{CatalogState, Refusal, Reply};
use flight_proto::access::Grants;
use flight_proto::catalog::{
    AllocateDataset, Change, Command, CreateForeignTables, CreateSchema, Dataset, DropDataset,
    DropForeignTable, DropSchema, DropServer, ForeignServer, ForeignTable, SwitchVersion, Version,
};
use flight_proto::definition::{
    Comment, Define, Definition, DefinitionKind, SetComment, Undefine, Use, UseKind,
};
use flight_proto::schema::{Column, ColumnType, TypeKind};

fn apply(state: &mut CatalogState, change: Change) -> Reply {
    let before = state.clone();
    let reply = state.apply(&Command { at_us: 5, tenant: "default".into(), change: Some(change) });
    if matches!(reply, Reply::Refused(_)) {
        assert_eq!(state.stored().tenants, before.stored().tenants, "what is refused changes nothing");
    }
    check(state);
    reply
}

/// What a definition uses is there, none uses itself, and no two relations share a name.
fn check(state: &CatalogState) {
    for tenant in state.stored().tenants.values() {
        for schema in tenant.schemas.values() {
            let names = schema.tables.keys().chain(schema.foreign_tables.keys()).chain(schema.views.keys());
            let mut names: Vec<_> = names.collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
        for definition in super::all(tenant) {
            for used in &definition.uses {
                let schema = &tenant.schemas[&used.schema.to_lowercase()];
                let name = used.name.to_lowercase();
                assert!(match used.kind() {
                    UseKind::Relation => super::holds(schema, &name),
                    UseKind::Type => schema.types.contains_key(&name),
                    _ => schema.macros.contains_key(&name),
                });
            }
            let own = super::Named::of(definition);
            assert!(!super::dependents(tenant, &own).contains(&own));
        }
    }
}

fn table(id: u64, schema: &str, name: &str) -> Change {
    let version = Some(Version { number: 1, ..Version::default() });
    let (schema, name) = (schema.into(), name.into());
    Change::SwitchVersion(SwitchVersion {
        dataset: Some(Dataset { id, schema, name, version, ..Dataset::default() }),
    })
}

fn drop_table(dataset: u64) -> Change {
    Change::DropDataset(DropDataset { dataset, version: 2 })
}

fn used(kind: UseKind, name: &str) -> Use {
    Use { kind: kind.into(), schema: "main".into(), name: name.into() }
}

fn column(name: &str, kind: TypeKind) -> Column {
    let kind = ColumnType { kind: kind.into(), ..ColumnType::default() };
    Column { name: name.into(), data_type: Some(kind), nullable: true }
}

fn view_of(name: &str, uses: &[&str]) -> Definition {
    Definition {
        name: name.into(),
        schema: "main".into(),
        kind: DefinitionKind::View.into(),
        sql: "SELECT 1".into(),
        columns: vec![column("a", TypeKind::Int32)],
        uses: uses.iter().map(|name| used(UseKind::Relation, name)).collect(),
        ..Definition::default()
    }
}

fn macro_of(name: &str, uses: Vec<Use>) -> Definition {
    Definition { kind: DefinitionKind::ScalarMacro.into(), uses, ..view_of(name, &[]) }
}

fn define(definition: Definition) -> Change {
    Change::Define(Define { definition: Some(definition), replaces: 0, above: 0 })
}

fn replace(state: &CatalogState, definition: Definition) -> Change {
    let name = &definition.name;
    let known = match definition.kind() {
        DefinitionKind::View => state.view("default", "main", name),
        _ => state.macro_named("default", "main", name),
    };
    let replaces = known.map_or(99, |known| known.revision);
    Change::Define(Define { definition: Some(definition), replaces, above: 0 })
}

fn undefine(state: &CatalogState, kind: UseKind, name: &str, cascade: bool) -> Change {
    let known = match kind {
        UseKind::Macro => state.macro_named("default", "main", name),
        UseKind::Type => state.type_named("default", "main", name),
        _ => state.view("default", "main", name),
    };
    let revision = known.map_or(0, |known| known.revision);
    Change::Undefine(Undefine {
        schema: "MAIN".into(),
        kind: kind.into(),
        name: name.into(),
        cascade,
        revision,
    })
}

fn refused(refusal: fn(String) -> Refusal, name: &str) -> Reply {
    Reply::Refused(refusal(name.into()))
}

fn names(state: &CatalogState) -> Vec<&str> {
    state.definitions("default").map(|definition| definition.name.as_str()).collect()
}

#[test]
fn views_share_names_with_tables_and_need_what_they_use() {
    let mut state = CatalogState::default();
    assert_eq!(apply(&mut state, table(1, "main", "t")), Reply::Done);
    assert_eq!(apply(&mut state, define(view_of("v", &["none"]))), refused(Refusal::NoTable, "none"));
    assert_eq!(apply(&mut state, define(view_of("T", &[]))), refused(Refusal::TableExists, "T"));
    assert_eq!(state.definitions_revision("default"), 0);
    assert_eq!(apply(&mut state, define(view_of("V", &["T"]))), Reply::Done);
    assert_eq!(state.definitions_revision("default"), state.revision());
    assert_eq!(apply(&mut state, define(view_of("v", &[]))), refused(Refusal::TableExists, "v"));
    assert_eq!(state.view("default", "MAIN", "v").unwrap().name, "V");
    assert!(state.view("other", "main", "v").is_none());
    let allocate = AllocateDataset { schema: "main".into(), name: "v".into(), ..AllocateDataset::default() };
    let exists = refused(Refusal::TableExists, "v");
    assert_eq!(apply(&mut state, Change::AllocateDataset(allocate)), exists);
    assert_eq!(apply(&mut state, table(9, "main", "v")), exists);
    let restored = CatalogState::from_bytes(&state.to_bytes()).unwrap();
    assert_eq!(restored, state, "snapshots have them");
    let elsewhere = Definition { schema: "none".into(), ..view_of("w", &[]) };
    assert_eq!(apply(&mut state, define(elsewhere)), refused(Refusal::NoSchema, "none"));
    let unknown = Definition { kind: 77, ..view_of("w", &[]) };
    assert_eq!(apply(&mut state, define(unknown)), Reply::Refused(Refusal::UnknownCommand));
}

#[test]
fn a_table_that_was_to_be_created_before_a_view_of_its_name_comes_too_late() {
    let mut state = CatalogState::default();
    let allocate = |name: &str| {
        let (schema, name) = ("main".into(), name.into());
        Change::AllocateDataset(AllocateDataset { schema, name, ..AllocateDataset::default() })
    };
    assert_eq!(apply(&mut state, allocate("v")), Reply::Dataset(1));
    assert_eq!(apply(&mut state, define(view_of("v", &[]))), Reply::Done);
    assert!(state.is_past("default", 1, "main", "v"));
    let drop = undefine(&state, UseKind::Relation, "v", false);
    assert_eq!(apply(&mut state, drop), Reply::Done);
    assert_eq!(apply(&mut state, table(1, "main", "v")), refused(Refusal::Overtaken, "v"));
    assert_eq!(apply(&mut state, allocate("v")), Reply::Dataset(3));
    assert_eq!(apply(&mut state, table(3, "main", "v")), Reply::Done);
}

#[test]
fn what_is_used_goes_with_its_users_or_not_at_all() {
    let mut state = CatalogState::default();
    apply(&mut state, table(1, "main", "t"));
    for (name, uses) in [("a", &["t"][..]), ("b", &["a"]), ("c", &["b", "t"]), ("d", &[])] {
        assert_eq!(apply(&mut state, define(view_of(name, uses))), Reply::Done);
    }
    let keep = undefine(&state, UseKind::Relation, "a", false);
    assert_eq!(apply(&mut state, keep), refused(Refusal::InUse, "main.b"));
    let cascade = undefine(&state, UseKind::Relation, "b", true);
    assert_eq!(apply(&mut state, cascade.clone()), Reply::Done);
    assert_eq!(names(&state), ["a", "d"]);
    assert_eq!(apply(&mut state, cascade), refused(Refusal::NoDefinition, "b"));
    apply(&mut state, define(view_of("b", &["a"])));
    // Its data are gone by then.
    assert_eq!(apply(&mut state, drop_table(1)), Reply::Done);
    assert_eq!(names(&state), ["d"]);
    assert_eq!(state.definitions_revision("default"), state.revision());
}

#[test]
fn foreign_tables_are_used_as_others() {
    let mut state = CatalogState::default();
    let server = ForeignServer { name: "pg".into(), wrapper: "postgresql".into(), ..Default::default() };
    apply(&mut state, Change::CreateServer(server));
    let server_revision = state.server("default", "pg").unwrap().created_revision;
    let create = |name: &str| {
        let table = ForeignTable {
            schema: "main".into(),
            name: name.into(),
            server: "pg".into(),
            ..ForeignTable::default()
        };
        Change::CreateForeignTables(CreateForeignTables { tables: vec![table], server_revision })
    };
    let drop = |name: &str, cascade| {
        let (schema, name) = ("main".into(), name.into());
        Change::DropForeignTable(DropForeignTable { schema, name, cascade })
    };
    for name in ["x", "y"] {
        assert_eq!(apply(&mut state, create(name)), Reply::Done);
    }
    apply(&mut state, define(view_of("of_x", &["x"])));
    apply(&mut state, define(view_of("of_y", &["y"])));
    assert_eq!(apply(&mut state, create("OF_X")), refused(Refusal::TableExists, "OF_X"));
    assert_eq!(apply(&mut state, drop("x", false)), refused(Refusal::InUse, "main.of_x"));
    assert_eq!(apply(&mut state, drop("X", true)), Reply::Done);
    assert_eq!(names(&state), ["of_y"]);
    let drop = DropServer { name: "pg".into(), cascade: true };
    assert_eq!(apply(&mut state, Change::DropServer(drop)), Reply::Done);
    assert!(names(&state).is_empty());
}

#[test]
fn a_replaced_view_keeps_what_others_need_of_it() {
    let mut state = CatalogState::default();
    let owner = Some(Grants { owner: "ann".into(), ..Grants::default() });
    apply(&mut state, define(Definition { grants: owner, ..view_of("V", &[]) }));
    apply(&mut state, define(view_of("w", &["v"])));
    let with = |columns: Vec<Column>, uses: &[&str]| Definition { columns, ..view_of("v", uses) };
    let wider = vec![column("b", TypeKind::Date), column("A", TypeKind::Int32)];
    let change = replace(&state, with(wider, &[]));
    assert_eq!(apply(&mut state, change.clone()), Reply::Done);
    assert_eq!(state.view("default", "main", "v").unwrap().name, "V");
    assert_eq!(apply(&mut state, change), refused(Refusal::DefinitionChanged, "v"));
    let other_type = vec![column("b", TypeKind::Date), column("a", TypeKind::Int64)];
    for columns in [other_type, vec![column("a", TypeKind::Int32)]] {
        let change = replace(&state, with(columns, &[]));
        assert_eq!(apply(&mut state, change), refused(Refusal::ColumnsInUse, "main.w"));
    }
    for uses in [["w"], ["v"]] {
        let change = replace(&state, with(vec![], &uses));
        assert_eq!(apply(&mut state, change), refused(Refusal::CircularDefinition, "v"));
    }
    let absent = replace(&state, view_of("none", &[]));
    assert_eq!(apply(&mut state, absent), refused(Refusal::DefinitionChanged, "none"));
}

#[test]
fn macros_have_names_of_their_own() {
    let mut state = CatalogState::default();
    apply(&mut state, define(view_of("f", &[])));
    let over_view = vec![used(UseKind::Relation, "f")];
    assert_eq!(apply(&mut state, define(macro_of("f", over_view))), Reply::Done);
    let again = define(macro_of("F", vec![]));
    assert_eq!(apply(&mut state, again), refused(Refusal::MacroExists, "F"));
    let over_macro = vec![used(UseKind::Macro, "f")];
    assert_eq!(apply(&mut state, define(macro_of("g", over_macro.clone()))), Reply::Done);
    let missing = vec![used(UseKind::Macro, "none")];
    assert_eq!(apply(&mut state, define(macro_of("h", missing))), refused(Refusal::NoTable, "none"));
    let circle = replace(&state, macro_of("f", vec![used(UseKind::Macro, "g")]));
    assert_eq!(apply(&mut state, circle), refused(Refusal::CircularDefinition, "f"));
    let in_use = undefine(&state, UseKind::Macro, "f", false);
    assert_eq!(apply(&mut state, in_use), refused(Refusal::InUse, "main.g"));
    let view = Definition { uses: over_macro, ..view_of("of_f", &[]) };
    assert_eq!(apply(&mut state, define(view)), Reply::Done);
    let cascade = undefine(&state, UseKind::Relation, "f", true);
    assert_eq!(apply(&mut state, cascade), Reply::Done);
    assert!(names(&state).is_empty(), "{:?}", names(&state));
}

#[test]
fn types_have_names_of_their_own_and_stay_while_views_use_them() {
    let mut state = CatalogState::default();
    let type_of = |name: &str| Definition { kind: DefinitionKind::Type.into(), ..view_of(name, &[]) };
    assert_eq!(apply(&mut state, define(macro_of("f", vec![]))), Reply::Done);
    assert_eq!(apply(&mut state, define(view_of("f", &[]))), Reply::Done);
    assert_eq!(apply(&mut state, define(type_of("f"))), Reply::Done);
    assert_eq!(apply(&mut state, define(type_of("F"))), refused(Refusal::DefinitionChanged, "F"));
    let view = Definition { uses: vec![used(UseKind::Type, "f")], ..view_of("v", &[]) };
    assert_eq!(apply(&mut state, define(view)), Reply::Done);
    let missing = Definition { uses: vec![used(UseKind::Type, "g")], ..view_of("w", &[]) };
    assert_eq!(apply(&mut state, define(missing)), refused(Refusal::NoTable, "g"));
    let in_use = undefine(&state, UseKind::Type, "f", false);
    assert_eq!(apply(&mut state, in_use), refused(Refusal::InUse, "main.v"));
    let cascade = undefine(&state, UseKind::Type, "f", true);
    assert_eq!(apply(&mut state, cascade), Reply::Done);
    assert_eq!(names(&state), ["f", "f"]);
}

#[test]
fn a_schema_with_a_view_is_not_empty() {
    let mut state = CatalogState::default();
    apply(&mut state, Change::CreateSchema(CreateSchema { name: "s".into(), owner: String::new() }));
    let inside = Definition { schema: "S".into(), ..view_of("v", &[]) };
    assert_eq!(apply(&mut state, define(inside)), Reply::Done);
    let drop = Change::DropSchema(DropSchema { name: "s".into() });
    assert_eq!(apply(&mut state, drop), refused(Refusal::SchemaNotEmpty, "s"));
}

/// The copy of a catalog may be behind the tables of the store.
#[test]
fn a_restored_view_gives_way_to_a_later_table() {
    let mut state = CatalogState::default();
    apply(&mut state, table(1, "main", "t"));
    apply(&mut state, define(view_of("v", &[])));
    apply(&mut state, define(view_of("w", &["v"])));
    let number = state.last_dataset();
    let mut restored = CatalogState::default();
    assert_eq!(apply(&mut restored, Change::Restore(state.stored().clone())), Reply::Done);
    assert_eq!(apply(&mut restored, define(view_of("x", &[]))), Reply::Refused(Refusal::Restoring));
    apply(&mut restored, drop_table(1));
    let overtaken = apply(&mut restored, table(1, "main", "v"));
    assert_eq!(overtaken, Reply::Refused(Refusal::NoDataset));
    assert_eq!(names(&restored), ["v", "w"]);
    assert_eq!(apply(&mut restored, table(number + 1, "main", "v")), Reply::Done);
    assert!(names(&restored).is_empty());
}

#[test]
fn what_is_noted_goes_with_what_it_is_of() {
    let mut state = CatalogState::default();
    apply(&mut state, table(1, "main", "t"));
    let columns = vec![column("A", TypeKind::Int32), column("b", TypeKind::Int32)];
    apply(&mut state, define(Definition { columns, ..view_of("v", &["t"]) }));
    apply(&mut state, define(macro_of("v", vec![])));
    let note = |kind: UseKind, name: &str, column: &str, text: &str| {
        let (name, column, text) = (name.into(), column.into(), text.into());
        let comment = Some(Comment { kind: kind.into(), name, column, text });
        Change::SetComment(SetComment { schema: "MAIN".into(), comment })
    };
    let noted = |state: &CatalogState| -> Vec<String> {
        state.comments("default").map(|(_, comment)| comment.text.clone()).collect()
    };
    for (kind, name, column, text) in [
        (UseKind::Unknown, "", "", "a schema"),
        (UseKind::Relation, "t", "", "a table"),
        (UseKind::Relation, "v", "", "a view"),
        (UseKind::Relation, "v", "a", "a column"),
        (UseKind::Relation, "v", "b", "another"),
        (UseKind::Macro, "v", "", "a macro"),
    ] {
        assert_eq!(apply(&mut state, note(kind, name, column, text)), Reply::Done);
    }
    assert_eq!(apply(&mut state, note(UseKind::Relation, "v", "b", "the other")), Reply::Done);
    let all = ["a schema", "a table", "a view", "a column", "the other", "a macro"];
    assert_eq!(noted(&state), all);
    for (change, why) in [
        (note(UseKind::Relation, "none", "", "x"), refused(Refusal::NoTable, "none")),
        (note(UseKind::Relation, "v", "c", "x"), refused(Refusal::NoColumn, "c")),
        (note(UseKind::Macro, "none", "", "x"), refused(Refusal::NoDefinition, "none")),
        (note(UseKind::Macro, "v", "a", "x"), refused(Refusal::NoDefinition, "v")),
        (note(UseKind::Unknown, "t", "", "x"), refused(Refusal::NoDefinition, "t")),
    ] {
        assert_eq!(apply(&mut state, change), why);
    }
    let change = replace(&state, view_of("v", &["t"]));
    apply(&mut state, change);
    assert_eq!(noted(&state), ["a schema", "a table", "a view", "a column", "a macro"]);
    apply(&mut state, note(UseKind::Relation, "v", "a", ""));
    assert_eq!(noted(&state), ["a schema", "a table", "a view", "a macro"]);
    apply(&mut state, drop_table(1));
    assert_eq!(noted(&state), ["a schema", "a macro"]);
}

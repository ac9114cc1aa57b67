//! Views, macros and types.

use crate::Samples;
use flight_proto::access::Grants;
use flight_proto::catalog::{Change, Command, DropForeignTable, Schema, Tenant};
use flight_proto::definition::{
    Comment, Define, Definition, DefinitionKind, Parameter, SetComment, Undefine, Use, UseKind,
};
use flight_proto::schema::{Column, ColumnType, TypeKind};

fn view() -> Definition {
    let kind = ColumnType { kind: TypeKind::Int64.into(), ..ColumnType::default() };
    let relation = Use { kind: UseKind::Relation.into(), schema: "main".into(), name: "Orders".into() };
    Definition {
        name: "Late".into(),
        schema: "main".into(),
        kind: DefinitionKind::View.into(),
        sql: "SELECT id FROM orders".into(),
        columns: vec![Column { name: "key".into(), data_type: Some(kind), nullable: true }],
        uses: vec![relation],
        grants: Some(Grants { owner: "ann".into(), ..Grants::default() }),
        revision: 300,
        invoker: true,
        column_names: vec!["key".into()],
        ..Definition::default()
    }
}

fn of_macro(kind: DefinitionKind) -> Definition {
    let used = |kind: UseKind| Use { kind: kind.into(), schema: "main".into(), name: "g".into() };
    let parameter = |default: Option<&str>| Parameter { name: "x".into(), default: default.map(Into::into) };
    Definition {
        name: "F".into(),
        kind: kind.into(),
        sql: "g(x)".into(),
        parameters: vec![parameter(None), parameter(Some("1 + 1"))],
        uses: vec![used(UseKind::Macro), used(UseKind::Unknown)],
        ..Definition::default()
    }
}

fn of_type() -> Definition {
    let kind = ColumnType { kind: TypeKind::Enum.into(), description: vec![34, 0], ..ColumnType::default() };
    Definition {
        name: "Mood".into(),
        schema: "main".into(),
        kind: DefinitionKind::Type.into(),
        columns: vec![Column { name: "Mood".into(), data_type: Some(kind), nullable: true }],
        uses: vec![Use { kind: UseKind::Type.into(), ..Use::default() }],
        ..Definition::default()
    }
}

/// Types that are no lists, structs or maps.
fn types(samples: &mut Samples) {
    use TypeKind::{Int128, TimeZoned, UInt8, UInt16, UInt32, UInt64, Uuid};
    for kind in [UInt8, UInt16, UInt32, UInt64, Int128, Uuid, TimeZoned] {
        samples.check(
            &format!("ColumnType {kind:?}"),
            ColumnType { kind: kind.into(), ..ColumnType::default() },
        );
    }
    samples.check("Definition of a type", of_type());
    let types = [("mood".into(), of_type())].into();
    samples.check("Schema with types", Schema { types, ..Schema::default() });
}

pub(super) fn samples(samples: &mut Samples) {
    samples.check("Definition of a view", view());
    for kind in [DefinitionKind::ScalarMacro, DefinitionKind::TableMacro, DefinitionKind::Unknown] {
        samples.check(&format!("Definition {kind:?}"), of_macro(kind));
    }
    let views = [("late".into(), view())].into();
    let macros = [("f".into(), of_macro(DefinitionKind::ScalarMacro))].into();
    samples.check("Schema with definitions", Schema { views, macros, ..Schema::default() });
    let comment = Comment {
        kind: UseKind::Relation.into(),
        name: "late".into(),
        column: "key".into(),
        text: "Late ones".into(),
    };
    let comments = vec![comment.clone()];
    samples.check("Schema with comments", Schema { comments, ..Schema::default() });
    types(samples);
    let tenant = Tenant { definitions_revision: 300, ..Tenant::default() };
    samples.check("Tenant with definitions", tenant);
    let drop = DropForeignTable { schema: "main".into(), name: "orders".into(), cascade: true };
    samples.check("DropForeignTable with views", drop);
    let undefine = Undefine {
        schema: "main".into(),
        kind: UseKind::Relation.into(),
        name: "late".into(),
        cascade: true,
        revision: 300,
    };
    let changes = [
        Change::Define(Define { definition: Some(view()), replaces: 300, above: 7 }),
        Change::Undefine(undefine),
        Change::SetComment(SetComment { schema: "main".into(), comment: Some(comment) }),
    ];
    for change in changes {
        let name = format!("Command {change:?}");
        let command =
            Command { at_us: 1_700_000_000_000_000, tenant: "default".into(), change: Some(change) };
        samples.check(name.split('(').next().unwrap(), command);
    }
}

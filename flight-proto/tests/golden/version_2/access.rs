//! Roles and grants.

use crate::Samples;
use flight_proto::access::{
    Access, AccessAction, AccessChange, AlterRole, CreatePolicy, DropPolicy, DropRoles, Grant, Grants, Held,
    HeldColumn, Membership, Object, ObjectKind, Reassign, Role, RowPolicy, SetOwner, SetRowSecurity,
    privilege,
};
use flight_proto::catalog::{
    AllocateDataset, Change, Command, CreateSchema, Dataset, ForeignServer, ForeignTable, Schema, Tenant,
};

fn role() -> Role {
    Role {
        name: "Ann".into(),
        login: true,
        superuser: true,
        verifier: "SCRAM-SHA-256$4096:c2FsdA==$a:b".into(),
        member_of: [("readers".into(), true)].into(),
    }
}

fn grants() -> Grants {
    let of_column = HeldColumn { privileges: privilege::INSERT, grantable: privilege::INSERT };
    let held = Held {
        privileges: privilege::SELECT | privilege::CREATE,
        grantable: privilege::SELECT,
        columns: [("price".into(), of_column)].into(),
    };
    let held = [(String::new(), held)].into();
    let policies = [("own".into(), policy())].into();
    Grants { owner: "ann".into(), held, policies, row_security: true }
}

fn policy() -> RowPolicy {
    RowPolicy {
        name: "Own".into(),
        roles: vec!["readers".into()],
        condition: "name = current_user".into(),
        restrictive: true,
    }
}

pub(super) fn samples(samples: &mut Samples) {
    let roles = [("ann".into(), role())].into();
    let access =
        Access { roles, database: Some(grants()), owners: [(7, "ann".into())].into(), revision: 300 };
    samples.check("Tenant with roles", Tenant { access: Some(access), ..Tenant::default() });
    let grants = || Some(grants());
    samples.check("Schema with grants", Schema { grants: grants(), ..Schema::default() });
    samples.check("Dataset with grants", Dataset { grants: grants(), ..Dataset::default() });
    samples
        .check("ForeignServer with grants", ForeignServer { grants: grants(), ..ForeignServer::default() });
    samples.check("ForeignTable with grants", ForeignTable { grants: grants(), ..ForeignTable::default() });
    samples.check("CreateSchema with an owner", CreateSchema { name: "s".into(), owner: "ann".into() });
    let allocate = AllocateDataset { owner: "ann".into(), ..AllocateDataset::default() };
    samples.check("AllocateDataset with an owner", allocate);
    let object = |kind: ObjectKind| Object {
        kind: kind.into(),
        schema: "main".into(),
        name: "Hits".into(),
        dataset: 300,
    };
    let kinds = [
        ObjectKind::Unknown,
        ObjectKind::Database,
        ObjectKind::Schema,
        ObjectKind::Table,
        ObjectKind::Server,
    ];
    let alter = AlterRole {
        role: "ann".into(),
        login: Some(false),
        superuser: Some(false),
        verifier: Some(String::new()),
    };
    let grant = Grant {
        objects: kinds.map(object).into(),
        grantees: vec![String::new(), "ann".into()],
        privileges: privilege::SELECT,
        columns: [("price".into(), privilege::INSERT)].into(),
        option: true,
        revoke: true,
    };
    let (roles, members) = (vec!["readers".into()], vec!["ann".into()]);
    let table = Some(object(ObjectKind::Table));
    let actions = [
        ("CreateRole", AccessAction::CreateRole(role())),
        ("AlterRole", AccessAction::AlterRole(alter)),
        ("DropRoles", AccessAction::DropRoles(DropRoles { roles: vec!["ann".into()], if_exists: true })),
        ("Grant", AccessAction::Grant(grant)),
        ("Membership", AccessAction::Membership(Membership { roles, members, option: true, revoke: true })),
        (
            "SetOwner",
            AccessAction::SetOwner(SetOwner { object: Some(object(ObjectKind::Table)), owner: "ann".into() }),
        ),
        (
            "CreatePolicy",
            AccessAction::CreatePolicy(CreatePolicy { table: table.clone(), policy: Some(policy()) }),
        ),
        (
            "DropPolicy",
            AccessAction::DropPolicy(DropPolicy {
                table: table.clone(),
                name: "own".into(),
                if_exists: true,
            }),
        ),
        ("SetRowSecurity", AccessAction::SetRowSecurity(SetRowSecurity { table, enabled: true })),
        ("Reassign", AccessAction::Reassign(Reassign { from: vec!["ann".into()], to: "bob".into() })),
    ];
    for (name, action) in actions {
        let change = Some(Change::Access(AccessChange { action: Some(action), seen: Some(300) }));
        let command = Command { at_us: 1_700_000_000_000_000, tenant: "acme".into(), change };
        samples.check(&format!("Command Access {name}"), command);
    }
}

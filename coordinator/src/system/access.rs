//! Roles and grants: all of them for administrators, for others those that concern them.

use super::{Names, row, yes_or_no};
use crate::view::text;
use columnar::Value;
use planner::catalog::VirtualTable;

impl Names {
    pub(super) fn roles(&self) -> VirtualTable {
        let mut columns = vec![text("role_name")];
        columns.extend(["may_login", "superuser", "has_password"].map(yes_or_no));
        columns.push(text("member_of"));
        let rows = self.rights.roles().into_iter().map(|(role, member_of)| {
            let mut cells = row(std::slice::from_ref(&role.name), &[]);
            cells.extend([role.login, role.superuser, !role.verifier.is_empty()].map(Value::boolean));
            cells.push(Value::varchar(&member_of.join(", ")));
            cells
        });
        VirtualTable { name: "roles".into(), rows: rows.collect(), columns }
    }

    /// Of tables, those of the user's own.
    pub(super) fn policies(&self) -> VirtualTable {
        let mut columns: Vec<_> = ["schema_name", "table_name", "policy"].map(text).into();
        columns.extend(["in_force", "permissive"].map(yes_or_no));
        columns.extend(["roles", "condition"].map(text));
        let rows = self.rights.policies().into_iter().map(|one| {
            let policy = one.policy;
            let mut cells = row(&[one.schema, one.table, &policy.name].map(str::to_string), &[]);
            cells.extend([one.in_force, !policy.restrictive].map(Value::boolean));
            cells.extend(row(&[one.roles.join(", "), policy.condition.clone()], &[]));
            cells
        });
        VirtualTable { name: "policies".into(), rows: rows.collect(), columns }
    }

    /// One row a privilege.
    pub(super) fn grants(&self) -> VirtualTable {
        let names = ["object_type", "schema_name", "object_name", "column_name", "grantee", "privilege"];
        let mut columns: Vec<_> = names.into_iter().map(text).collect();
        columns.push(yes_or_no("grantable"));
        let rows = self.rights.granted().into_iter().map(|one| {
            let (kind, privilege) = (one.kind.to_string(), one.privilege.to_string());
            let mut cells = row(&[kind, one.schema, one.object, one.column, one.grantee, privilege], &[]);
            cells.push(Value::boolean(one.grantable));
            cells
        });
        VirtualTable { name: "grants".into(), rows: rows.collect(), columns }
    }
}

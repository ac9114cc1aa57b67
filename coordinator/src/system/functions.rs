//! `system.functions`: what may be called, one row a signature.

use crate::view::text;
use columnar::Value;
use planner::catalog::VirtualTable;

pub(super) fn table() -> VirtualTable {
    let columns = ["function_name", "category", "signature", "aliases", "description", "example", "result"];
    let mut rows = Vec::new();
    for function in planner::functions() {
        for signature in &function.signatures {
            let aliases = function.aliases.join(", ");
            let category = function.category.to_string();
            let values = [
                function.name,
                &category,
                signature,
                &aliases,
                function.description,
                function.example,
                function.result,
            ];
            rows.push(values.into_iter().map(Value::varchar).collect());
        }
    }
    VirtualTable { name: "functions".into(), columns: columns.into_iter().map(text).collect(), rows }
}

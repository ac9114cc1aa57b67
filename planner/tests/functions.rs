//! `docs/functions.md` is what the engine says of its functions.

mod support;

use planner::{PlannerOptions, Statement};
use std::path::Path;

/// `UPDATE_DOCS=1` writes the page anew.
#[test]
fn the_page_is_what_the_engine_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/functions.md");
    let page = planner::functions_page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("the page is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/functions.md is stale: run this test with UPDATE_DOCS=1");
}

/// Values that are known at planning are computed there, by the functions themselves.
#[test]
fn examples_give_what_they_say() {
    let mut wrong = Vec::new();
    // Nobody asks here.
    for function in planner::functions().into_iter().filter(|function| function.name != "current_user") {
        let sql = format!(
            "select cast({} as varchar) = '{}'",
            function.example,
            function.result.replace('\'', "''")
        );
        let sql = match function.result {
            "NULL" => format!("select cast({} as varchar) is null", function.example),
            _ => sql,
        };
        match planner::plan(&sql, &support::tpch(), &PlannerOptions::default()) {
            Ok(Statement::Query(query)) => {
                let plan = format!("{:?}", query.fragments);
                // What is computed when the query runs is tested there.
                if plan.contains("Boolean(false)") && !plan.contains("Call") && !plan.contains("Cast") {
                    wrong.push(format!(
                        "{}: {} does not give {}",
                        function.name, function.example, function.result
                    ));
                }
            }
            Ok(_) => wrong.push(format!("{}: {} is no query", function.name, function.example)),
            Err(error) if function.category == exec::functions::Category::Aggregate => {
                // Their column is of a table that the example does not name.
                assert!(error.to_string().contains("unknown column"), "{error}");
            }
            Err(error) => wrong.push(format!("{}: {} fails: {error}", function.name, function.example)),
        }
    }
    assert!(wrong.is_empty(), "{} examples:\n{}", wrong.len(), wrong.join("\n"));
}

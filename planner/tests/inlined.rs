//! Views and macros: texts within texts, as deep as they may be, and what is read of them.

mod support;

use columnar::DataType;
use planner::catalog::{Catalog, Table};
use planner::{Macro, MacroParameter, PlannedQuery, PlannerOptions, Result, Statement, View};
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::statistics::ColumnSchema;

#[derive(Default)]
struct Names {
    tables: Vec<Arc<Table>>,
    views: BTreeMap<String, Arc<View>>,
    macros: BTreeMap<String, Arc<Macro>>,
}

impl Catalog for Names {
    fn table(&self, _: Option<&str>, name: &str) -> Option<Arc<Table>> {
        self.tables.iter().find(|table| table.name == name).cloned()
    }

    fn table_names(&self) -> Vec<String> {
        self.views.keys().cloned().collect()
    }

    fn view(&self, _: Option<&str>, name: &str) -> Option<Arc<View>> {
        self.views.get(name).cloned()
    }

    fn macro_named(&self, _: Option<&str>, name: &str) -> Option<Arc<Macro>> {
        self.macros.get(name).cloned()
    }
}

impl Names {
    fn add_view(&mut self, name: &str, sql: &str, columns: &[(&str, DataType)]) {
        let columns = columns.iter().map(|&(name, data_type)| ColumnSchema {
            name: name.into(),
            data_type,
            nullable: true,
        });
        let table = Arc::new(Table::of_view("default", "main", name, columns.collect()));
        self.views.insert(name.into(), Arc::new(View::new(table, sql.into(), Vec::new())));
    }

    fn add_macro(&mut self, name: &str, parameters: &[&str], sql: &str) {
        let parameters =
            parameters.iter().map(|name| MacroParameter { name: name.to_string(), default: None });
        let new = Macro::new("main".into(), name.into(), parameters.collect(), false, sql.into());
        self.macros.insert(name.into(), Arc::new(new));
    }

    fn plan(&self, sql: &str) -> Result<PlannedQuery> {
        match planner::plan(sql, self, &PlannerOptions::default())? {
            Statement::Query(query) => Ok(query),
            other => panic!("{other:?}"),
        }
    }

    /// The tables and views that a query reads, with their columns.
    fn reads(&self, sql: &str) -> Vec<String> {
        let query = self.plan(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let reads = query.reads.iter().map(|read| {
            let columns = read.columns.iter().map(|&at| read.table.columns[at as usize].name.clone());
            format!("{}({})", read.table.name, columns.collect::<Vec<_>>().join(" "))
        });
        let mut reads: Vec<_> = reads.collect();
        reads.sort();
        reads
    }
}

fn with_tables() -> Names {
    let columns = [
        ("a", DataType::Int32, 100.0, None),
        ("b", DataType::Int32, 100.0, None),
        ("c", DataType::Varchar, 9.0, None),
    ];
    Names { tables: vec![support::table(1, "t", 1_000, &columns, true)], ..Names::default() }
}

#[test]
fn what_an_answer_hangs_on_is_read_of_views_and_tables() {
    let mut names = with_tables();
    let (int, text) = (DataType::Int32, DataType::Varchar);
    names.add_view("v", "SELECT a, b AS x, c FROM t WHERE b > 5", &[("a", int), ("x", int), ("c", text)]);
    names.add_view("w", "SELECT a + 1 AS y, c FROM v", &[("y", int), ("c", text)]);
    for (sql, reads) in [
        ("SELECT a FROM v", vec!["t(a b)", "v(a)"]),
        ("SELECT count(*) FROM v", vec!["t(b)", "v()"]),
        ("SELECT x FROM v WHERE c = 'k'", vec!["t(b c)", "v(x c)"]),
        ("SELECT a FROM (SELECT * FROM v) AS d", vec!["t(a b)", "v(a)"]),
        ("SELECT 1 FROM v ORDER BY c", vec!["t(b c)", "v(c)"]),
        ("SELECT y FROM w", vec!["t(a b)", "v(a)", "w(y)"]),
        ("SELECT p.a FROM v p JOIN v q ON p.x = q.x", vec!["t(a b)", "v(a x)", "v(x)"]),
        ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM v WHERE v.x = t.a)", vec!["t(a b)", "v(x)"]),
        ("SELECT (SELECT max(y) FROM w WHERE w.c = t.c) FROM t", vec!["t(a b c)", "v(a c)", "w(y c)"]),
    ] {
        assert_eq!(names.reads(sql), reads, "{sql}");
    }
}

#[test]
fn a_view_has_the_columns_that_it_was_created_with() {
    let mut names = with_tables();
    let int = DataType::Int32;
    names.add_view("all_of_it", "SELECT * FROM t", &[("b", int), ("A", int)]);
    let columns = names.plan("SELECT * FROM all_of_it").unwrap().columns;
    assert_eq!(columns.iter().map(|column| &*column.name).collect::<Vec<_>>(), ["b", "A"]);
    names.add_view("wider", "SELECT * FROM t", &[("a", DataType::Int64)]);
    assert_eq!(names.plan("SELECT a FROM wider").unwrap().columns[0].data_type, DataType::Int64);
    for (name, column, why) in [
        ("lost", ("d", int), "column \"d\" is gone"),
        ("other", ("c", int), "column \"c\" is VARCHAR and was INTEGER"),
    ] {
        names.add_view(name, "SELECT * FROM t", &[column]);
        let error = names.plan(&format!("SELECT 1 FROM {name}")).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(name), "{error}");
    }
    names.add_view("broken", "SELECT a,\n nothing FROM t", &[("a", int)]);
    let error = names.plan("SELECT a FROM broken").unwrap_err();
    assert!(error.message.starts_with("in view \"broken\" (line 2, column 2): unknown column"), "{error}");
    assert_eq!((error.line, error.column), (1, 15), "the place is the statement's");
    names.add_view("no_query", "DROP TABLE t", &[("a", int)]);
    assert!(names.plan("SELECT a FROM no_query").unwrap_err().message.contains("in view \"no_query\""));
}

#[test]
fn towers_of_texts_end_in_errors() {
    let mut names = with_tables();
    let int = DataType::Int32;
    names.add_view("v0", "SELECT a FROM t", &[("a", int)]);
    for level in 1..=70 {
        let below = level - 1;
        names.add_view(&format!("v{level}"), &format!("SELECT a FROM v{below}"), &[("a", int)]);
    }
    assert!(names.plan("SELECT a FROM v63").is_ok());
    let error = names.plan("SELECT a FROM v64").unwrap_err().to_string();
    assert!(error.contains("more than 64 deep"), "{error}");
    // A view that uses itself is never made; if it were, it would be an error, too.
    names.add_view("circle", "SELECT a FROM circle", &[("a", int)]);
    assert!(names.plan("SELECT a FROM circle").unwrap_err().to_string().contains("more than 64 deep"));
    names.add_macro("around", &["x"], "around(x) + 1");
    assert!(names.plan("SELECT around(1)").unwrap_err().to_string().contains("more than 64 deep"));
    // Each of them is as deep as a text may be.
    let deep = format!("a{}", " + 1".repeat(480));
    names.add_view("d0", &format!("SELECT {deep} AS a FROM t"), &[("a", int)]);
    for level in 1..=9 {
        let below = level - 1;
        names.add_view(&format!("d{level}"), &format!("SELECT {deep} AS a FROM d{below}"), &[("a", int)]);
    }
    assert!(names.plan("SELECT a FROM d7").is_ok());
    let error = names.plan("SELECT a FROM d9").unwrap_err().to_string();
    assert!(error.contains("too many operators together"), "{error}");
    // Twice as many relations with each.
    names.add_view("m0", "SELECT a FROM t", &[("a", int)]);
    for level in 1..=20 {
        let below = level - 1;
        let sql = format!("SELECT x.a FROM m{below} x, m{below} y");
        names.add_view(&format!("m{level}"), &sql, &[("a", int)]);
    }
    assert!(names.plan("SELECT a FROM m20").unwrap_err().to_string().contains("relations"));
}

#[test]
fn arguments_stand_for_parameters_alone() {
    let mut names = with_tables();
    names.add_macro("plus", &["a", "b"], "a + b");
    names.add_macro("own", &["p"], "(SELECT max(t.b) FROM t WHERE t.a = p)");
    names.add_view("v", "SELECT plus(a, b) AS z FROM t", &[("z", DataType::Int32)]);
    for sql in [
        "SELECT plus(b, a) FROM t",
        "SELECT plus(b => 1, a => 2)",
        "SELECT plus(plus(1, 2), plus(3, plus(a, 4))) FROM t",
        "SELECT own(a) FROM t GROUP BY a",
        "SELECT a, sum(plus(b, 1)) FROM t GROUP BY a HAVING plus(a, 1) > 2 ORDER BY plus(a, 2)",
        "SELECT z FROM v WHERE z = plus(z, 0)",
    ] {
        assert!(names.plan(sql).is_ok(), "{sql}: {:?}", names.plan(sql).err());
    }
    for (sql, why) in [
        ("SELECT plus(c, 1) FROM t", "in macro \"plus\""),
        ("SELECT p FROM t", "unknown column \"p\""),
        ("SELECT plus(1, 2, *)", "argument *"),
        ("SELECT main.plus(1)", "needs an argument for \"b\""),
        ("SELECT plus(1, (SELECT 1, 2))", "one column"),
        // A caller's column is not the text's.
        ("SELECT (SELECT plus(1, d) FROM t) FROM t", "unknown column \"d\""),
    ] {
        let error = names.plan(sql).unwrap_err().to_string();
        assert!(error.contains(why), "{sql}: {error}");
    }
    // Sixteen times as much with each, and an error in time.
    names.add_macro("many", &["x"], "x + x + x + x + x + x + x + x + x + x + x + x + x + x + x + x");
    let nested = "many(".repeat(20) + "a" + &")".repeat(20);
    let error = names.plan(&format!("SELECT {nested} FROM t")).unwrap_err().to_string();
    assert!(error.contains("more than 100000 operators"), "{error}");
}

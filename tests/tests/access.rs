//! Users, roles and grants: who may do what, as PostgreSQL has it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use coordinator::config::User;
use tundra_tests::connection::{Connection, Failure};
use tundra_tests::server::{TestServer, Variation};

/// A server whose operator is `root`, with two tables of two schemas.
async fn start() -> TestServer {
    let root = User { name: "root".into(), password: "secret".into() };
    let server = TestServer::start_with(&Variation::shards(2), |config| config.users = vec![root]).await;
    let server = server.unwrap();
    let mut root = login(&server, "root", "secret").await;
    for statement in [
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.orders AS SELECT * FROM (VALUES (1, 10, 'a'), (2, 20, 'b')) AS t (id, price, note)",
        "CREATE TABLE people AS SELECT 'ann' AS name, 5 AS salary",
    ] {
        root.execute(statement).await.unwrap();
    }
    server
}

async fn login(server: &TestServer, user: &str, password: &str) -> Connection {
    server.login(user, password).await.unwrap()
}

async fn run(connection: &mut Connection, statements: &[&str]) {
    for statement in statements {
        let done = connection.execute(statement).await;
        assert!(done.is_ok(), "{statement}: {}", done.err().unwrap());
    }
}

/// Each statement is refused with an error that has the words before it.
async fn refused(connection: &mut Connection, statements: &[(&str, &str)]) {
    for (words, statement) in statements {
        match connection.rows(statement).await {
            Ok(rows) => panic!("{statement}: {rows:?}"),
            Err(Failure(why)) => assert!(why.contains(words), "{statement}: {why}"),
        }
    }
}

async fn texts(connection: &mut Connection, sql: &str) -> Vec<String> {
    let rows = connection.rows(sql).await;
    rows.unwrap_or_else(|why| panic!("{sql}: {why}")).into_iter().map(|row| row.join(" ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_restricted_before_there_are_roles() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    refused(
        &mut root,
        &[
            ("no roles", "GRANT SELECT ON people TO PUBLIC"),
            ("no roles", "REVOKE SELECT ON people FROM PUBLIC"),
            ("no roles", "GRANT a TO b"),
            ("no roles", "DROP ROLE a"),
        ],
    )
    .await;
    run(&mut root, &["DROP ROLE IF EXISTS a"]).await;
    assert_eq!(texts(&mut root, "SELECT count(*) FROM system.roles").await, ["0"]);
    // What was planned while everything was seen is not shown to who sees less.
    let listed = "SELECT table_name FROM information_schema.tables ORDER BY 1";
    assert_eq!(texts(&mut root, listed).await, ["orders", "people"]);
    run(&mut root, &["CREATE USER ann PASSWORD 'pw'"]).await;
    let mut ann = login(&server, "ann", "pw").await;
    assert_eq!(texts(&mut ann, listed).await, [""; 0]);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_have_what_they_were_granted() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(
        &mut root,
        &[
            "CREATE USER ann PASSWORD 'pw'",
            "CREATE ROLE readers",
            "CREATE USER bob WITH PASSWORD 'bw' IN ROLE readers",
        ],
    )
    .await;
    let (mut ann, mut bob) = (login(&server, "ann", "pw").await, login(&server, "bob", "bw").await);
    let denied = "permission denied";
    refused(
        &mut ann,
        &[
            (denied, "SELECT * FROM people"),
            (denied, "SELECT count(*) FROM sales.orders"),
            (denied, "SELECT nothing FROM people"),
            (denied, "SELECT 1 WHERE EXISTS (SELECT 1 FROM people)"),
            (denied, "WITH p AS (SELECT salary FROM people) SELECT count(*) FROM p WHERE false"),
            (denied, "EXPLAIN SELECT * FROM people"),
            (denied, "EXPLAIN COST SELECT * FROM people"),
            (denied, "EXPLAIN ROUTE SELECT * FROM people"),
            (denied, "INSERT INTO people VALUES ('x', 1)"),
            (denied, "TRUNCATE people"),
            (denied, "DELETE FROM people"),
            (denied, "DELETE FROM people WHERE false"),
            (denied, "UPDATE people SET salary = 1"),
            (denied, "UPDATE people SET nothing = 1"),
            (denied, "EXPLAIN UPDATE people SET salary = 1"),
            (denied, "CREATE TABLE mine (i INT)"),
            (denied, "CREATE TABLE mine AS SELECT 1 AS i"),
            (denied, "CREATE SCHEMA s"),
            (denied, "CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION '/tmp/x.parquet'"),
            (denied, "CREATE SERVER s FOREIGN DATA WRAPPER postgresql"),
            (denied, "DROP TABLE people"),
            (denied, "DROP SCHEMA sales CASCADE"),
            (denied, "DESCRIBE people"),
            (denied, "REFRESH TABLE people"),
            (denied, "CREATE USER eve"),
            (denied, "ALTER USER ann SUPERUSER"),
            (denied, "ALTER USER bob PASSWORD 'x'"),
            (denied, "DROP USER bob"),
            (denied, "GRANT SELECT ON people TO ann"),
            (denied, "GRANT SELECT ON SCHEMA main TO ann"),
            ("there is no schema 'sales'", "GRANT SELECT ON SCHEMA sales TO ann"),
            ("there is no schema 'sales'", "GRANT SELECT ON ALL TABLES IN SCHEMA sales TO ann"),
            (denied, "GRANT readers TO ann"),
            (denied, "ALTER TABLE people OWNER TO ann"),
            ("there is no schema 'sales'", "ALTER SCHEMA sales OWNER TO ann"),
            (denied, "REASSIGN OWNED BY bob TO ann"),
        ],
    )
    .await;
    // Nor are they named to it, not even by mistakes.
    assert_eq!(texts(&mut ann, "SHOW TABLES").await, [""; 0]);
    assert_eq!(texts(&mut ann, "SELECT table_name FROM information_schema.tables").await, [""; 0]);
    assert_eq!(texts(&mut ann, "SELECT table_name FROM information_schema.columns").await, [""; 0]);
    assert_eq!(texts(&mut ann, "SELECT table_name FROM system.datasets").await, [""; 0]);
    assert_eq!(
        texts(&mut ann, "SELECT schema_name FROM information_schema.schemata ORDER BY 1").await,
        ["information_schema", "main"]
    );
    let Err(Failure(why)) = ann.rows("SELECT * FROM peopl").await else { panic!() };
    assert!(!why.contains("people"), "{why}");

    run(&mut root, &["GRANT SELECT ON people TO ann", "GRANT SELECT ON SCHEMA sales TO readers"]).await;
    assert_eq!(texts(&mut ann, "SELECT name, salary FROM people").await, ["ann 5"]);
    assert_eq!(texts(&mut bob, "SELECT sum(price) FROM sales.orders").await, ["30"]);
    refused(&mut bob, &[(denied, "SELECT * FROM people"), (denied, "SELECT * FROM sales.orders, people")])
        .await;
    // Tables that come later are of the schema, too.
    run(&mut root, &["CREATE TABLE sales.later AS SELECT 7 AS i"]).await;
    assert_eq!(texts(&mut bob, "SELECT i FROM sales.later").await, ["7"]);
    assert_eq!(texts(&mut bob, "SHOW TABLES").await, ["sales later", "sales orders"]);

    // A plan that is kept is not everybody's, and what is revoked is gone at once.
    run(&mut root, &["REVOKE SELECT ON people FROM ann"]).await;
    assert_eq!(texts(&mut root, "SELECT name, salary FROM people").await, ["ann 5"]);
    refused(&mut ann, &[(denied, "SELECT name, salary FROM people")]).await;
    run(&mut root, &["REVOKE readers FROM bob"]).await;
    refused(&mut bob, &[(denied, "SELECT sum(price) FROM sales.orders")]).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_granted_one_by_one() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(
        &mut root,
        &[
            "CREATE USER ann PASSWORD 'pw'",
            "GRANT USAGE ON SCHEMA sales TO ann",
            "GRANT SELECT (id, note), INSERT (id) ON sales.orders TO ann",
        ],
    )
    .await;
    let mut ann = login(&server, "ann", "pw").await;
    assert_eq!(texts(&mut ann, "SELECT id FROM sales.orders WHERE note = 'b'").await, ["2"]);
    assert_eq!(texts(&mut ann, "SELECT count(*) FROM sales.orders").await, ["2"]);
    assert_eq!(texts(&mut ann, "DESCRIBE sales.orders").await.len(), 2);
    let listed = "SELECT column_name FROM information_schema.columns ORDER BY 1";
    assert_eq!(texts(&mut ann, listed).await, ["id", "note"]);
    // What nothing hangs on is not read.
    assert_eq!(texts(&mut ann, "SELECT id FROM (SELECT * FROM sales.orders) AS o WHERE id = 1").await, ["1"]);
    let column = "table sales.orders: 'ann' has no SELECT on all columns that it takes, but on some only";
    refused(
        &mut ann,
        &[
            (column, "SELECT * FROM sales.orders"),
            (column, "SELECT id FROM sales.orders WHERE price > 10"),
            (column, "SELECT id FROM sales.orders ORDER BY price"),
            (column, "SELECT count(price) FROM sales.orders"),
            (column, "SELECT max(price) FROM sales.orders"),
            (column, "SELECT count(*) FROM sales.orders GROUP BY price"),
            (column, "SELECT a.id FROM sales.orders AS a JOIN sales.orders AS b USING (price)"),
            (column, "SELECT id FROM sales.orders AS o WHERE EXISTS (SELECT 1 FROM sales.orders WHERE price > o.id)"),
            (column, "SELECT id FROM sales.orders UNION ALL SELECT price FROM sales.orders"),
            ("no INSERT on all columns", "INSERT INTO sales.orders (id, price) VALUES (3, 4)"),
            ("permission denied", "INSERT INTO sales.orders VALUES (3, 4, 'c')"),
        ],
    )
    .await;
    run(&mut ann, &["INSERT INTO sales.orders (id) VALUES (3)"]).await;
    // Nor do hints tell of columns that are hidden.
    for hidden in ["SELECT prise FROM sales.orders", "INSERT INTO sales.orders (prise) VALUES (1)"] {
        let Err(Failure(why)) = ann.rows(hidden).await else { panic!("{hidden}") };
        assert!(why.contains("prise") && !why.contains("price"), "{why}");
    }
    // A privilege that is taken from the table is taken from its columns.
    run(&mut root, &["REVOKE SELECT ON sales.orders FROM ann"]).await;
    refused(&mut ann, &[("permission denied", "SELECT id FROM sales.orders")]).await;
    refused(
        &mut root,
        &[
            ("unknown column", "GRANT SELECT (prise) ON sales.orders TO ann"),
            ("no privilege on columns", "GRANT DELETE (price) ON sales.orders TO ann"),
            ("no privilege on a server", "GRANT SELECT ON FOREIGN SERVER s TO ann"),
            ("no privilege on a table", "GRANT USAGE ON people TO ann"),
            ("there is no privilege READ", "GRANT READ ON people TO ann"),
            ("there is no role 'eve'", "GRANT SELECT ON people TO eve"),
            ("unknown table", "GRANT SELECT ON peopl TO ann"),
            ("no database 'other'", "GRANT CREATE ON DATABASE other TO ann"),
            ("no schema 'none'", "GRANT USAGE ON SCHEMA none TO ann"),
            ("not supported", "REVOKE SELECT ON people FROM ann CASCADE"),
            ("PUBLIC is no role", "GRANT ann TO PUBLIC"),
        ],
    )
    .await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_may_do_everything_with_what_they_made() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(
        &mut root,
        &[
            "CREATE ROLE makers",
            "CREATE USER ann PASSWORD 'pw' IN ROLE makers",
            "CREATE USER bob PASSWORD 'bw'",
            "GRANT CREATE ON DATABASE default TO makers",
        ],
    )
    .await;
    let (mut ann, mut bob) = (login(&server, "ann", "pw").await, login(&server, "bob", "bw").await);
    run(
        &mut ann,
        &[
            "CREATE SCHEMA lab",
            "CREATE TABLE lab.t AS SELECT 1 AS i",
            "INSERT INTO lab.t VALUES (2)",
            "GRANT USAGE ON SCHEMA lab TO bob",
            "GRANT SELECT ON lab.t TO bob WITH GRANT OPTION",
        ],
    )
    .await;
    assert_eq!(texts(&mut bob, "SELECT sum(i) FROM lab.t").await, ["3"]);
    let grants = "SELECT object_type, object_name, grantee, privilege, grantable FROM system.grants ORDER BY 1, 2, 3, 4";
    assert_eq!(
        texts(&mut bob, grants).await,
        ["schema lab bob USAGE false", "schema main PUBLIC USAGE false", "table t bob SELECT true"]
    );
    let denied = "permission denied";
    refused(
        &mut bob,
        &[
            (denied, "DROP TABLE lab.t"),
            (denied, "INSERT INTO lab.t VALUES (3)"),
            (denied, "GRANT INSERT ON lab.t TO bob"),
            (denied, "CREATE TABLE lab.u (i INT)"),
        ],
    )
    .await;
    run(&mut bob, &["GRANT SELECT ON lab.t TO PUBLIC"]).await;
    // Who granted what is not kept: a grant option takes nothing from anybody.
    refused(&mut bob, &[(denied, "REVOKE SELECT ON lab.t FROM PUBLIC")]).await;
    // Whoever owns a schema has no rights to give on tables of others in it.
    refused(
        &mut ann,
        &[(denied, "GRANT SELECT ON SCHEMA lab TO bob"), (denied, "ALTER TABLE lab.t OWNER TO bob")],
    )
    .await;
    refused(&mut root, &[("it owns something", "DROP USER ann")]).await;
    run(&mut root, &["REASSIGN OWNED BY ann TO bob", "DROP USER ann"]).await;
    run(&mut bob, &["INSERT INTO lab.t VALUES (4)", "DROP SCHEMA lab CASCADE"]).await;
    refused(&mut ann, &[("the user name or the password is wrong", "SELECT 1")]).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_with_their_passwords_and_no_others() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(
        &mut root,
        &[
            "CREATE USER ann PASSWORD 'pw'",
            "CREATE USER nopassword",
            "CREATE ROLE \"group\" PASSWORD 'gw'",
            "CREATE USER boss SUPERUSER PASSWORD 'bw'",
        ],
    )
    .await;
    for (user, password) in [
        ("ann", "PW"),
        ("ann", ""),
        ("nopassword", ""),
        ("group", "gw"),
        ("eve", "pw"),
        ("acme/ann", "pw"),
        ("", "pw"),
    ] {
        let mut wrong = login(&server, user, password).await;
        refused(&mut wrong, &[("the user name or the password is wrong", "SELECT 1")]).await;
    }
    let mut ann = login(&server, "ann", "pw").await;
    // Everybody may change its own password, which ends what the old one began.
    run(&mut ann, &["SELECT 1", "ALTER USER ann PASSWORD 'new'"]).await;
    refused(&mut ann, &[("wrong", "SELECT 1")]).await;
    let mut ann = login(&server, "ann", "new").await;
    run(&mut ann, &["ALTER USER CURRENT_USER PASSWORD 'newer'"]).await;
    let mut ann = login(&server, "default/ANN", "newer").await;
    assert_eq!(texts(&mut ann, "SELECT current_user").await, ["ann"]);
    run(&mut ann, &["SELECT 1"]).await;
    run(&mut root, &["ALTER USER ann NOLOGIN"]).await;
    refused(&mut ann, &[("wrong", "SELECT 1")]).await;

    let mut boss = login(&server, "boss", "bw").await;
    run(&mut boss, &["SELECT * FROM people", "CREATE USER carl", "DROP ROLE \"group\", carl"]).await;
    // Passwords are shown nowhere.
    for table in ["system.audit", "system.queries", "system.roles", "system.grants"] {
        let rows = root.rows(&format!("SELECT * FROM {table}")).await.unwrap();
        let shown = format!("{rows:?}");
        assert!(!shown.contains("'newer'") && !shown.contains("SCRAM"), "{table}: {shown}");
    }
    // What others do is not theirs to see.
    let others = "SELECT count(*) FROM system.audit WHERE principal <> 'carla'";
    run(&mut root, &["CREATE USER carla PASSWORD 'cw'"]).await;
    let mut carla = login(&server, "carla", "cw").await;
    assert_eq!(texts(&mut carla, others).await, ["0"]);
    refused(
        &mut root,
        &[
            ("already exists", "CREATE USER CARLA"),
            ("means something else", "CREATE ROLE admin"),
            ("means something else", "CREATE ROLE \"public\""),
            ("1 to 1024 bytes", "CREATE USER dora PASSWORD ''"),
            ("there is no role 'x'", "CREATE USER dora IN ROLE x"),
            ("member of itself", "GRANT carla TO carla"),
            ("not supported", "ALTER USER carla RENAME TO dora"),
            ("not supported", "CREATE USER dora VALID UNTIL '2030-01-01'"),
        ],
    )
    .await;
    run(&mut root, &["CREATE USER IF NOT EXISTS carla"]).await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_say_which_rows_are_read() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(
        &mut root,
        &[
            "CREATE TABLE bonus AS SELECT * FROM (VALUES ('ann', 'EU', '7'), ('bob', 'EU', 'x'), ('carl', 'US', '9')) \
             AS t (name, region, amount)",
            "CREATE ROLE leads",
            "CREATE USER ann PASSWORD 'pw'",
            "CREATE USER bob PASSWORD 'bw' IN ROLE leads",
            "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON bonus TO PUBLIC",
        ],
    )
    .await;
    let (mut ann, mut bob) = (login(&server, "ann", "pw").await, login(&server, "bob", "bw").await);
    let all = "SELECT name FROM bonus ORDER BY name";
    assert_eq!(texts(&mut ann, all).await, ["ann", "bob", "carl"]);
    run(&mut root, &["ALTER TABLE bonus ENABLE ROW LEVEL SECURITY"]).await;
    // Without a policy nobody but the owner and administrators reads a row, also by plans that were kept.
    for connection in [&mut ann, &mut bob] {
        assert_eq!(texts(connection, all).await, [""; 0]);
        assert_eq!(texts(connection, "SELECT count(*), max(amount) FROM bonus").await, ["0 NULL"]);
    }
    assert_eq!(texts(&mut root, all).await, ["ann", "bob", "carl"]);
    run(
        &mut root,
        &[
            "CREATE POLICY own ON bonus FOR SELECT USING (name = current_user)",
            "CREATE POLICY region ON bonus AS PERMISSIVE FOR SELECT TO leads USING (region = 'EU')",
        ],
    )
    .await;
    assert_eq!(texts(&mut ann, all).await, ["ann"]);
    assert_eq!(texts(&mut bob, all).await, ["ann", "bob"]);
    assert_eq!(texts(&mut root, all).await, ["ann", "bob", "carl"]);
    for (query, answer) in [
        ("SELECT current_user, count(*) FROM bonus", "ann 1"),
        ("SELECT max(n) FROM bonus AS b (n, r, a)", "ann"),
        ("SELECT count(*) FROM bonus AS a JOIN bonus AS b ON a.region = b.region", "1"),
        ("SELECT (SELECT count(*) FROM bonus)", "1"),
        // What fails of rows that are hidden does not fail, wherever it stands.
        ("SELECT name FROM bonus WHERE CAST(amount AS INT) > 0", "ann"),
        ("SELECT name FROM bonus WHERE CASE WHEN amount = 'x' THEN 1 / 0 ELSE 1 END = 1", "ann"),
        ("SELECT sum(CAST(amount AS INT)) FROM bonus", "7"),
        (
            "SELECT a.name FROM bonus AS a JOIN bonus AS b ON CAST(a.amount AS INT) = CAST(b.amount AS INT)",
            "ann",
        ),
        ("SELECT name FROM (SELECT name, CAST(amount AS INT) AS i FROM bonus) AS t WHERE i > 0", "ann"),
        ("SELECT count(*) FROM bonus GROUP BY CAST(amount AS INT) HAVING CAST(amount AS INT) > 0", "1"),
    ] {
        assert_eq!(texts(&mut ann, query).await, [answer], "{query}");
    }
    // Estimates are of no values.
    let mut estimates = Vec::new();
    for name in ["bob", "zzz"] {
        let probe = format!(
            "EXPLAIN SELECT name FROM bonus WHERE CASE WHEN name = '{name}' THEN true ELSE false END"
        );
        let plan = texts(&mut ann, &probe).await.join("\n");
        estimates.push(plan.replace(name, ""));
    }
    assert_eq!(estimates[0], estimates[1]);
    refused(
        &mut ann,
        &[
            ("row level security", "INSERT INTO bonus VALUES ('ann', 'US', '1')"),
            ("row level security", "TRUNCATE bonus"),
            ("row level security", "DELETE FROM bonus WHERE name = 'ann'"),
            ("row level security", "UPDATE bonus SET amount = '8'"),
            ("permission denied", "DROP POLICY own ON bonus"),
            ("permission denied", "ALTER TABLE bonus DISABLE ROW LEVEL SECURITY"),
            ("permission denied", "CREATE POLICY mine ON bonus FOR SELECT USING (true)"),
        ],
    )
    .await;
    run(
        &mut root,
        &["CREATE POLICY cheap ON bonus AS RESTRICTIVE FOR SELECT USING (region <> 'EU' OR name = 'bob')"],
    )
    .await;
    assert_eq!(texts(&mut ann, all).await, [""; 0]);
    assert_eq!(texts(&mut bob, all).await, ["bob"]);
    let policies = "SELECT policy, in_force, permissive, roles, condition FROM system.policies ORDER BY 1";
    assert_eq!(texts(&mut root, policies).await[1], "own true true PUBLIC name = current_user");
    assert_eq!(texts(&mut ann, policies).await, [""; 0]);
    refused(
        &mut root,
        &[
            ("already exists", "CREATE POLICY OWN ON bonus FOR SELECT USING (true)"),
            ("no policy 'other'", "DROP POLICY other ON bonus"),
            ("may fail", "CREATE POLICY p ON bonus FOR SELECT USING (CAST(amount AS INT) > 1)"),
            // What is kept as text must be read as it was written.
            ("such quotes", "CREATE POLICY p ON bonus FOR SELECT USING (region = '\\'' OR true --')"),
            (
                "may fail",
                "CREATE POLICY p ON bonus FOR SELECT USING (length(name) * 1000000000000000000 > 1)",
            ),
            ("subquery", "CREATE POLICY p ON bonus FOR SELECT USING (EXISTS (SELECT 1))"),
            ("parameter", "CREATE POLICY p ON bonus FOR SELECT USING (name = $1)"),
            ("unknown column", "CREATE POLICY p ON bonus FOR SELECT USING (nam = 'x')"),
            ("BOOLEAN", "CREATE POLICY p ON bonus FOR SELECT USING (name)"),
            ("not supported", "CREATE POLICY p ON bonus USING (true)"),
            ("not supported", "CREATE POLICY p ON bonus FOR SELECT USING (true) WITH CHECK (true)"),
        ],
    )
    .await;
    refused(&mut root, &[("a policy names it", "DROP ROLE leads")]).await;
    run(&mut root, &["DROP POLICY cheap ON bonus", "DROP POLICY region ON bonus", "DROP ROLE leads"]).await;
    assert_eq!(texts(&mut bob, all).await, ["bob"]);
    run(&mut root, &["ALTER TABLE bonus DISABLE ROW LEVEL SECURITY"]).await;
    assert_eq!(texts(&mut ann, all).await, ["ann", "bob", "carl"]);
    server.stop().await.unwrap();
}

/// Which rights statements need that change rows: the one of their name, and that to read what they look at.
#[tokio::test(flavor = "multi_thread")]
async fn rows_are_changed_by_those_who_may() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(
        &mut root,
        &[
            "CREATE TABLE pay AS SELECT * FROM (VALUES ('ann', 1, 10), ('bob', 2, 20)) AS t (name, grade, salary)",
            "CREATE TABLE raise AS SELECT 1 AS grade, 5 AS more",
            "CREATE USER ann PASSWORD 'pw'",
        ],
    )
    .await;
    let mut ann = login(&server, "ann", "pw").await;
    let denied = "permission denied";
    run(&mut root, &["GRANT UPDATE (grade) ON pay TO ann"]).await;
    // Nothing is read where each row becomes the same; a column that is only copied is not read either.
    run(&mut ann, &["UPDATE pay SET grade = 3"]).await;
    refused(
        &mut ann,
        &[
            (denied, "UPDATE pay SET salary = 1"),
            (denied, "UPDATE pay SET grade = 1, salary = 1"),
            (denied, "UPDATE pay SET grade = grade + 1"),
            (denied, "UPDATE pay SET grade = 1 WHERE salary > 10"),
            (denied, "UPDATE pay SET grade = 1 WHERE (SELECT max(salary) FROM pay) > 10"),
            (denied, "UPDATE pay SET grade = raise.grade FROM raise"),
            (denied, "DELETE FROM pay"),
            (denied, "TRUNCATE pay"),
        ],
    )
    .await;
    run(&mut root, &["GRANT SELECT (grade) ON pay TO ann", "GRANT SELECT ON raise TO ann"]).await;
    run(
        &mut ann,
        &["UPDATE pay SET grade = pay.grade + raise.more FROM raise WHERE pay.grade > raise.grade"],
    )
    .await;
    refused(&mut ann, &[(denied, "UPDATE pay SET grade = 1 WHERE salary > 10")]).await;
    assert_eq!(texts(&mut root, "SELECT * FROM pay ORDER BY name").await, ["ann 8 10", "bob 8 20"]);
    run(&mut root, &["GRANT DELETE ON pay TO ann"]).await;
    refused(
        &mut ann,
        &[
            (denied, "DELETE FROM pay WHERE salary > 10"),
            (denied, "DELETE FROM pay WHERE EXISTS (SELECT 1 FROM people)"),
            (denied, "DELETE FROM pay USING people WHERE people.name = 'x'"),
            (denied, "TRUNCATE pay"),
        ],
    )
    .await;
    run(&mut ann, &["DELETE FROM pay WHERE grade > 100", "DELETE FROM pay WHERE grade = 8"]).await;
    assert_eq!(texts(&mut root, "SELECT count(*) FROM pay").await, ["0"]);
    run(&mut root, &["INSERT INTO pay VALUES ('ann', 1, 10)", "REVOKE DELETE ON pay FROM ann"]).await;
    // Also by a plan that was kept.
    refused(&mut ann, &[(denied, "DELETE FROM pay WHERE grade > 100")]).await;
    let merge = "MERGE INTO pay USING raise ON pay.grade = raise.grade WHEN MATCHED THEN DELETE \
                 WHEN NOT MATCHED THEN INSERT (grade) VALUES (raise.grade)";
    refused(&mut ann, &[(denied, merge)]).await;
    run(&mut root, &["GRANT DELETE ON pay TO ann"]).await;
    refused(&mut ann, &[(denied, merge)]).await;
    run(&mut root, &["GRANT INSERT (grade) ON pay TO ann"]).await;
    run(&mut ann, &[merge]).await;
    assert_eq!(texts(&mut root, "SELECT count(*) FROM pay").await, ["0"]);
    run(&mut root, &["GRANT TRUNCATE ON pay TO ann"]).await;
    refused(&mut ann, &[(denied, "TRUNCATE pay, raise")]).await;
    run(&mut ann, &["TRUNCATE pay"]).await;
    assert_eq!(texts(&mut root, "SELECT count(*) FROM pay").await, ["0"]);
    server.stop().await.unwrap();
}

/// Without operators the Admin API is open, and could undo what SQL restricts.
#[tokio::test(flavor = "multi_thread")]
async fn roles_need_an_operator() {
    let server = TestServer::start(&Variation::shards(1)).await.unwrap();
    let mut anybody = server.connect().await.unwrap();
    for first in ["CREATE USER root SUPERUSER PASSWORD 'pw'", "CREATE ROLE readers"] {
        refused(&mut anybody, &[("start coordinators with --users", first)]).await;
    }
    let mut named = login(&server, "whoever", "x").await;
    assert_eq!(texts(&mut named, "SELECT current_user").await, ["whoever"]);
    server.stop().await.unwrap();
}

/// Roles and grants are in the catalog: they outlive a restart, and come back from the object store with it.
#[tokio::test(flavor = "multi_thread")]
async fn grants_last() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(&mut root, &["CREATE USER ann PASSWORD 'pw'", "GRANT SELECT (name) ON people TO ann"]).await;
    let folder = server.end().await.unwrap();
    let again = |folder| async move {
        let root = User { name: "root".into(), password: "secret".into() };
        let stores = shard::Stores::new();
        TestServer::start_in(folder, stores, &Variation::shards(2), |config| config.users = vec![root])
            .await
            .unwrap()
    };
    let server = again(folder).await;
    let mut ann = login(&server, "ann", "pw").await;
    assert_eq!(texts(&mut ann, "SELECT name FROM people").await, ["ann"]);
    let folder = server.end().await.unwrap();
    std::fs::remove_file(folder.path().join("catalog.redb")).unwrap();
    let server = again(folder).await;
    let mut ann = login(&server, "ann", "pw").await;
    assert_eq!(texts(&mut ann, "SELECT name FROM people").await, ["ann"]);
    refused(&mut ann, &[("permission denied", "SELECT salary FROM people")]).await;
    server.stop().await.unwrap();
}

/// A view reads its tables by the rights of whoever asks, and is an object of its own beside them.
#[tokio::test(flavor = "multi_thread")]
async fn views_go_by_whoever_asks() {
    let server = start().await;
    let mut root = login(&server, "root", "secret").await;
    run(
        &mut root,
        &[
            "CREATE VIEW cheap AS SELECT id, note, price FROM sales.orders WHERE price < 15",
            "CREATE VIEW noted AS SELECT note FROM cheap WHERE id > 0",
            "CREATE MACRO doubled(a) AS a * 2",
            "CREATE USER ann PASSWORD 'pw'",
            "CREATE USER bob PASSWORD 'pw'",
            "GRANT SELECT ON cheap TO ann",
        ],
    )
    .await;
    let (mut ann, mut bob) = (login(&server, "ann", "pw").await, login(&server, "bob", "pw").await);
    let no_table = "permission denied for table sales.orders: 'ann' has no";
    refused(&mut ann, &[(no_table, "SELECT * FROM cheap"), (no_table, "SELECT count(*) FROM cheap")]).await;
    run(&mut root, &["GRANT USAGE ON SCHEMA sales TO ann, bob"]).await;
    run(
        &mut root,
        &["GRANT SELECT (id, price) ON sales.orders TO ann", "GRANT SELECT ON sales.orders TO bob"],
    )
    .await;
    // Of the table what the answer hangs on is needed, and what the view tests.
    assert_eq!(texts(&mut ann, "SELECT id FROM cheap").await, ["1"]);
    assert_eq!(texts(&mut ann, "SELECT count(*) FROM cheap").await, ["1"]);
    let columns = "table sales.orders: 'ann' has no SELECT on all columns";
    refused(&mut ann, &[(columns, "SELECT note FROM cheap"), (columns, "SELECT * FROM cheap")]).await;
    // Who has the table has not the view.
    let no_view = "permission denied for view main.cheap: 'bob' has no";
    assert_eq!(texts(&mut bob, "SELECT count(*) FROM sales.orders").await, ["2"]);
    refused(
        &mut bob,
        &[
            (no_view, "SELECT 1 FROM cheap"),
            (no_view, "DESCRIBE cheap"),
            (no_view, "CREATE VIEW w AS SELECT * FROM cheap"),
        ],
    )
    .await;
    assert_eq!(texts(&mut bob, "SHOW VIEWS").await, [""; 0]);
    assert_eq!(texts(&mut ann, "SHOW VIEWS").await, ["main cheap"]);
    for listed in ["views", "tables WHERE table_type = 'VIEW'"] {
        let listed = format!("SELECT table_name FROM information_schema.{listed}");
        assert_eq!(texts(&mut ann, &listed).await, ["cheap"]);
        assert_eq!(texts(&mut bob, &listed).await, [""; 0]);
    }
    // Of some columns.
    run(&mut root, &["GRANT SELECT (id) ON cheap TO bob"]).await;
    assert_eq!(texts(&mut bob, "SELECT id FROM cheap WHERE id < 5").await, ["1"]);
    assert_eq!(texts(&mut bob, "SELECT count(*) FROM cheap").await, ["1"]);
    assert_eq!(texts(&mut bob, "DESCRIBE cheap").await.len(), 1);
    let some = "view main.cheap: 'bob' has no SELECT on all columns";
    refused(&mut bob, &[(some, "SELECT price FROM cheap"), (some, "SELECT id FROM cheap ORDER BY note")])
        .await;
    // Of a view over a view both are needed.
    run(&mut root, &["GRANT SELECT ON noted TO bob"]).await;
    refused(&mut bob, &[(some, "SELECT note FROM noted")]).await;
    run(&mut root, &["GRANT SELECT ON cheap TO bob"]).await;
    assert_eq!(texts(&mut bob, "SELECT note FROM noted").await, ["a"]);
    let granted = "SELECT privilege FROM system.grants WHERE object_type = 'view' AND object_name = 'noted'";
    assert_eq!(texts(&mut bob, granted).await, ["SELECT"]);
    // What is taken is gone with the next statement, though the plan is kept.
    run(&mut root, &["REVOKE SELECT ON noted FROM bob"]).await;
    refused(&mut bob, &[("permission denied for view main.noted", "SELECT note FROM noted")]).await;
    // Which rows is decided for who asks.
    run(
        &mut root,
        &[
            "ALTER TABLE sales.orders ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY own ON sales.orders FOR SELECT TO bob USING (note = 'b')",
        ],
    )
    .await;
    assert_eq!(texts(&mut bob, "SELECT count(*) FROM cheap").await, ["0"]);
    assert_eq!(texts(&mut root, "SELECT count(*) FROM cheap").await, ["1"]);

    // Who may make, replace and drop them.
    refused(
        &mut ann,
        &[
            ("no CREATE on it", "CREATE VIEW mine AS SELECT 1 AS a"),
            ("no CREATE on it", "CREATE MACRO mine(a) AS a"),
            ("does not own main.cheap", "CREATE OR REPLACE VIEW cheap AS SELECT 1 AS id"),
            ("does not own main.doubled", "CREATE OR REPLACE MACRO doubled(a) AS a"),
            ("does not own view main.cheap", "DROP VIEW cheap"),
            ("does not own macro main.doubled", "DROP MACRO doubled"),
            ("may not grant", "GRANT SELECT ON cheap TO PUBLIC"),
        ],
    )
    .await;
    run(&mut root, &["CREATE POLICY every ON sales.orders FOR SELECT TO ann USING (true)"]).await;
    run(&mut root, &["GRANT CREATE ON SCHEMA main TO ann, bob"]).await;
    run(&mut ann, &["CREATE VIEW mine AS SELECT id FROM cheap", "CREATE MACRO tripled(a) AS a * 3"]).await;
    assert_eq!(texts(&mut ann, "SELECT tripled(id), doubled(id) FROM mine").await, ["3 2"]);
    run(&mut root, &["DROP POLICY every ON sales.orders"]).await;
    refused(
        &mut bob,
        &[
            ("permission denied for view main.mine", "SELECT * FROM mine"),
            ("does not own view main.mine", "DROP VIEW IF EXISTS mine CASCADE"),
            ("does not own main.tripled", "CREATE OR REPLACE MACRO tripled(a) AS a"),
            ("is a view", "CREATE POLICY p ON cheap FOR SELECT USING (true)"),
        ],
    )
    .await;
    run(
        &mut ann,
        &["GRANT SELECT ON mine TO bob WITH GRANT OPTION", "CREATE OR REPLACE VIEW mine AS SELECT 7 AS id"],
    )
    .await;
    assert_eq!(texts(&mut bob, "SELECT * FROM mine").await, ["7"], "what was granted stays");
    // A role that owns a view or a macro stays until they are another's.
    refused(&mut root, &[("owns something", "DROP ROLE ann")]).await;
    run(&mut root, &["ALTER VIEW mine OWNER TO bob"]).await;
    refused(&mut root, &[("owns something", "DROP ROLE ann")]).await;
    run(&mut bob, &["DROP VIEW mine"]).await;
    run(&mut ann, &["DROP MACRO tripled"]).await;
    run(&mut root, &["DROP ROLE ann", "REVOKE USAGE ON SCHEMA main FROM PUBLIC, bob"]).await;
    refused(&mut bob, &[("there is no function", "SELECT doubled(1)")]).await;
    server.stop().await.unwrap();
}

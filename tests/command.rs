//! The `tundra` command as a user runs it.

#![allow(clippy::unwrap_used)]

mod process;

use std::net::TcpListener;
use std::process::{Command, Output};

use process::{Server, TUNDRA, up};

fn run(arguments: &[&str]) -> Output {
    Command::new(TUNDRA).args(arguments).output().unwrap()
}

/// `tundra sql` against a server.
fn sql(server: &Server, arguments: &[&str]) -> Output {
    run(&[&["sql", "--url", &server.url], arguments].concat())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The command failed with this exit code; what it wrote to stderr.
fn failure(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_sample_is_served_again_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--sample", "tpch:0.001", "--shards", "2", "--threads", "2"]);
    let counts = "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM region)";
    assert_eq!(stdout(&sql(&server, &["-c", counts, "--format", "csv"])).lines().nth(1), Some("1500,5"));
    let created = sql(&server, &["-c", "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2)"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    server.stop();

    let server = Server::start(data.path(), &["--shards", "2"]);
    assert_eq!(stdout(&sql(&server, &["-c", counts, "--format", "csv"])).lines().nth(1), Some("1500,5"));
    assert_eq!(
        stdout(&sql(&server, &["-c", "SELECT sum(a) AS s FROM t", "--format", "json"])),
        "{\"s\":3}\n"
    );
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(server.get(path).starts_with("HTTP/1.1 200"), "{path}");
    }
    server.stop();
}

#[test]
fn a_sample_of_another_scale_is_refused() {
    let data = tempfile::tempdir().unwrap();
    Server::start(data.path(), &["--sample", "tpch:0.001"]).stop();
    Server::start(data.path(), &["--sample", "tpch:0.001"]).stop();
    let message = failure(&up(data.path(), &["--sample", "tpch:0.002"]).output().unwrap(), 1);
    for part in ["scale factor 0.002:", "scale factor 0.001;", "--data"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_store_in_memory_has_samples_and_forgets_them() {
    let data = tempfile::tempdir().unwrap();
    let arguments = ["--object-store", "memory:///", "--sample", "tpch:0.001"];
    let counts = ["-c", "SELECT count(*) AS n FROM orders", "--format", "csv"];
    for _ in 0..2 {
        let server = Server::start(data.path(), &arguments);
        assert_eq!(stdout(&sql(&server, &counts)), "n\r\n1500\r\n");
        server.stop();
    }
    let server = Server::start(data.path(), &arguments[..2]);
    let message = failure(&sql(&server, &counts), 1);
    assert!(message.contains("orders") && message.contains("its data"), "{message}");
    server.stop();
}

#[test]
fn a_sample_lies_in_s3() {
    let data = tempfile::tempdir().unwrap();
    let arguments = ["--s3", "--sample", "tpch:0.001"];
    let server = Server::start(data.path(), &arguments);
    let made = sql(&server, &["-c", "CREATE TABLE t AS SELECT count(*) AS n FROM orders"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let location = "SELECT location FROM system.datasets WHERE table_name = 'orders'";
    assert!(stdout(&sql(&server, &["-c", location, "--format", "csv"])).contains("s3://tundra/"));
    let s3 = server.s3.clone().unwrap();
    let refused = process::get(s3.strip_prefix("http://").unwrap(), "/tundra?list-type=2");
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    server.stop();

    let server = Server::start(data.path(), &arguments);
    assert_eq!(stdout(&sql(&server, &["-c", "SELECT n FROM t", "--format", "csv"])), "n\r\n1500\r\n");
    server.stop();

    let both = ["--s3", "--object-store", "memory:///"];
    assert!(failure(&up(data.path(), &both).output().unwrap(), 2).contains("--object-store"));
}

#[test]
fn statements_come_from_options_and_files() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let file = data.path().join("script.sql");
    std::fs::write(&file, "SELECT 'a;b' AS s; -- the end\nSELECT 2 AS two;").unwrap();
    let file = file.to_str().unwrap();
    let printed = stdout(&sql(&server, &["-c", "SELECT 1 AS one", "-f", file, "--format", "csv"]));
    assert_eq!(printed, "one\r\n1\r\ns\r\na;b\r\ntwo\r\n2\r\n");
    let table = stdout(&sql(&server, &["-c", "SELECT 1.50 AS price, NULL AS nothing"]));
    assert!(table.contains("price") && table.contains("1.50") && table.contains("NULL"), "{table}");
    assert!(table.ends_with("1 row\n"), "{table}");
    let timed = sql(&server, &["-c", "SELECT 1", "--timing"]);
    assert!(String::from_utf8_lossy(&timed.stderr).starts_with("Time: "));

    // The first failure ends the run.
    let failed = sql(&server, &["-c", "SELECT nothing FROM nowhere", "-c", "SELECT 1"]);
    assert!(failure(&failed, 1).contains("nowhere"));
    assert!(failure(&sql(&server, &["-f", "/no/such/file.sql"]), 1).contains("/no/such/file.sql"));
    server.stop();
}

#[test]
fn a_wrong_statement_is_shown_with_the_spot() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let created = sql(&server, &["-c", "CREATE TABLE customers (id INTEGER, name VARCHAR)"]);
    assert!(created.status.success());
    let cases = [
        (
            "SELECT id,\n  nmae\nFROM customers",
            "error: unknown column \"nmae\"\nLINE 2:   nmae\n          ^\nHINT: did you mean \"name\"?\n",
        ),
        (
            "SELECT id FROM custmers",
            "error: unknown table \"custmers\"\nLINE 1: SELECT id FROM custmers\n                       ^\n\
             HINT: did you mean \"customers\"?\n",
        ),
        (
            "SELECT 1 +\n  * 2",
            "error: syntax error: expected an expression, found *\nLINE 2:   * 2\n          ^\n",
        ),
        ("SELECT DATE '1995-02-30'", "LINE 1: SELECT DATE '1995-02-30'\n"),
    ];
    for (statement, words) in cases {
        let message = failure(&sql(&server, &["-c", statement]), 1);
        assert!(message.starts_with("error: ") && message.contains(words), "{message}");
    }
    server.stop();
}

#[test]
fn a_value_that_does_not_fit_is_an_error() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let created = sql(&server, &["-c", "CREATE TABLE t AS SELECT a FROM (VALUES (0), (2147483647)) AS v(a)"]);
    assert!(created.status.success());
    let cases: [(&str, &[&str]); 7] = [
        ("SELECT 1 / 0", &["division by zero"]),
        ("SELECT 1 / a FROM t", &["division by zero"]),
        ("SELECT 2147483647 + 1", &["out of range", "INTEGER"]),
        ("SELECT a + 1 FROM t", &["out of range", "INTEGER"]),
        ("SELECT CAST('twelve' AS INTEGER)", &["twelve", "INTEGER"]),
        ("SELECT a FROM t WHERE a > 'many'", &["many", "INTEGER"]),
        ("SELECT DATE '1995-02-30'", &["1995-02-30", "DATE"]),
    ];
    for (statement, words) in cases {
        let message = failure(&sql(&server, &["-c", statement, "--format", "csv"]), 1);
        assert!(words.iter().all(|word| message.contains(word)), "{statement}: {message}");
    }
    server.stop();
}

#[test]
fn a_query_beyond_the_memory_fails_alone() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--sample", "tpch:0.01", "--memory", "64MB"]);
    let large = "SELECT count(*) FROM (SELECT a.o_orderkey + 1, b.c_custkey FROM orders a, customer b GROUP BY 1, 2) c";
    let message = failure(&sql(&server, &["-c", large]), 1);
    assert!(message.contains("out of memory") && message.contains("--memory"), "{message}");
    let counted = sql(&server, &["-c", "SELECT count(*) AS n FROM orders", "--format", "csv"]);
    assert_eq!(stdout(&counted), "n\r\n15000\r\n");
    server.stop();
}

#[test]
fn a_port_in_use_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    for flag in ["--flight", "--http"] {
        let mut command = Command::new(TUNDRA);
        command.arg("up").arg("--data").arg(data.path());
        let other = if flag == "--flight" { "--http" } else { "--flight" };
        let output = command.args([flag, &address, other, "127.0.0.1:0"]).output().unwrap();
        let message = failure(&output, 1);
        assert!(message.contains(&address) && message.contains(flag), "{message}");
    }
}

#[test]
fn a_data_folder_serves_one_process() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let message = failure(&up(data.path(), &[]).output().unwrap(), 1);
    assert!(message.contains(data.path().to_str().unwrap()), "{message}");
    assert_eq!(stdout(&sql(&server, &["-c", "SELECT 1 AS a", "--format", "csv"])), "a\r\n1\r\n");
    server.stop();
}

#[test]
fn bad_flags_are_refused_before_anything_starts() {
    let cases: [(&[&str], &str); 8] = [
        (&["up", "--memory", "lots"], "lots"),
        (&["up", "--sample", "tpcds:1"], "tpch"),
        (&["up", "--sample", "tpch:-1"], "-1"),
        (&["up", "--shards", "0"], "--shards"),
        (&["up", "--threads", "many"], "many"),
        (&["up", "--nonsense"], "--nonsense"),
        (&["sql", "--format", "xml"], "xml"),
        (&["fly"], "fly"),
    ];
    for (arguments, word) in cases {
        let message = failure(&run(arguments), 2);
        assert!(message.contains(word), "{arguments:?}: {message}");
    }
    let data = tempfile::tempdir().unwrap();
    let message = failure(&up(data.path(), &["--object-store", "no url"]).output().unwrap(), 1);
    assert!(message.contains("no url"), "{message}");
    let mut command = Command::new(TUNDRA);
    command.arg("up").arg("--data").arg(data.path()).args(["--flight", "nonsense"]);
    assert!(failure(&command.output().unwrap(), 1).contains("nonsense"));
}

#[test]
fn certificates_are_made_for_each_node() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("certificates");
    let data = data.to_str().unwrap();
    let file = |name: &str| std::fs::read(format!("{data}/{name}")).unwrap();
    let made = stdout(&run(&["cert", "--data", data, "--name", "a", "--name", "b"]));
    assert_eq!(made.lines().count(), 3, "{made}");
    assert_eq!(file("authority.pem"), file("a/authority.pem"));
    let (authority, first, second) = (file("authority.key"), file("a/node.key"), file("b/node.key"));
    // The authority stays; the node that is named gets another certificate.
    let made = stdout(&run(&["cert", "--data", data, "--name", "a"]));
    assert!(made.starts_with("node a in "), "{made}");
    assert_eq!(file("authority.key"), authority);
    assert_ne!(file("a/node.key"), first);
    assert_eq!(file("b/node.key"), second);
    assert!(stdout(&run(&["cert", "--data", data])).contains("already"));

    let message = failure(&run(&["cert", "--data", data, "--name", "c", "--name", "../d"]), 1);
    assert!(message.contains("'../d'"), "{message}");
    assert!(!folder.path().join("certificates/c").exists());
    std::fs::remove_file(format!("{data}/authority.key")).unwrap();
    let message = failure(&run(&["cert", "--data", data, "--name", "c"]), 1);
    assert!(message.contains("authority.key"), "{message}");
    assert!(failure(&run(&["cert", "--name", "a"]), 2).contains("--data"));
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = failure(&run(&["sql", "--url", &format!("grpc://{free}"), "-c", "SELECT 1"]), 1);
    assert!(message.contains("cannot connect") && message.contains(&free.to_string()), "{message}");
    assert!(failure(&run(&["sql", "--url", "ftp://x", "-c", "SELECT 1"]), 1).contains("grpc://"));
}

/// `tundra admin` of a server.
fn admin(server: &Server, arguments: &[&str]) -> Output {
    let url = format!("http://{}", server.http);
    run(&[&["admin", "--url", &url], arguments].concat())
}

#[test]
fn operators_look_from_the_command_line() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--shards", "2"]);
    assert!(
        sql(&server, &["-c", "CREATE TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2)"]).status.success()
    );

    let nodes = stdout(&admin(&server, &["nodes"]));
    let lines: Vec<&str> = nodes.lines().collect();
    let [version, "", lines @ ..] = &lines[..] else { panic!("{nodes}") };
    assert!(version.starts_with("The cluster is at version "), "{nodes}");
    assert!(lines[0].starts_with("COORDINATOR  ADDRESS"), "{nodes}");
    assert!(lines[3].trim_start().starts_with("SHARD  ADDRESS  STATUS  ALIVE"), "{nodes}");
    assert!(lines[5].starts_with("0000000000000001"), "{nodes}");
    assert!(stdout(&admin(&server, &["leader"])).starts_with("coordinator 1 at "));
    let datasets = stdout(&admin(&server, &["datasets"]));
    assert!(datasets.contains("main.t") && datasets.contains("replicated"), "{datasets}");
    let versions = stdout(&admin(&server, &["versions", "t", "--json"]));
    let versions: serde_json::Value = serde_json::from_str(&versions).unwrap();
    assert_eq!(versions[0]["version"], 2);
    assert_eq!(stdout(&admin(&server, &["versions", "t", "--limit", "1"])).lines().count(), 2);
    let placement = stdout(&admin(&server, &["placement", "main.t"]));
    assert!(placement.contains("0000000000000000 0000000000000001"), "{placement}");
    assert_eq!(stdout(&admin(&server, &["queries"])).lines().count(), 1);
    assert!(stdout(&admin(&server, &["snapshot"])).contains("file://"));

    assert!(failure(&admin(&server, &["versions", "none"]), 1).contains("main.none"));
    assert!(failure(&admin(&server, &["cancel", "00ff"]), 1).contains("no query"));
    assert!(failure(&run(&["admin", "nodes", "--url", "ftp://x"]), 1).contains("http://127.0.0.1:8080"));
    let http = server.http.clone();
    server.stop();
    let message = failure(&run(&["admin", "--url", &format!("http://{http}"), "nodes"]), 1);
    assert!(message.contains("cannot reach") && message.contains(&http), "{message}");
}

/// Flags win over the environment, that over the file, that over defaults.
#[test]
fn settings_come_from_where_they_are_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tundra.toml");
    let file = "memory = \"1GB\"\nreplicas = 3\npeers = [\"1=a:1\", \"2=b:2\"]\n[up]\nshards = 4\nflight = \"127.0.0.1:0\"\n";
    std::fs::write(&path, file).unwrap();
    let path = path.to_str().unwrap();
    let config = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(TUNDRA);
        command.arg("config").args(arguments).envs(variables.iter().copied()).output().unwrap()
    };
    let setting = |output: &Output, name: &str| {
        let text = stdout(output);
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let plain = config(&["up"], &[]);
    assert_eq!(setting(&plain, "memory"), "80% default");
    assert_eq!(setting(&plain, "shards"), "1 default");
    let of_file = config(&["--config", path, "up"], &[]);
    assert_eq!(setting(&of_file, "memory"), format!("1GB {path}, line 1"));
    assert_eq!(setting(&of_file, "shards"), format!("4 {path}, line 5"));
    let variables = [("TUNDRA_CONFIG", path), ("TUNDRA_MEMORY", "2GB")];
    let of_environment = config(&["up"], &variables);
    assert_eq!(setting(&of_environment, "memory"), "2GB TUNDRA_MEMORY");
    assert_eq!(setting(&of_environment, "shards"), format!("4 {path}, line 5"));
    let of_flag = config(&["up", "--memory", "3GB", "--config", path], &variables[1..]);
    assert_eq!(setting(&of_flag, "memory"), "3GB flag");
    assert_eq!(setting(&of_flag, "flight"), format!("127.0.0.1:0 {path}, line 6"));
    assert_eq!(
        setting(&config(&["coordinator"], &variables), "peers"),
        format!("1=a:1,2=b:2 {path}, line 3")
    );
    let all = stdout(&config(&[], &[]));
    for command in ["UP ", "COORDINATOR ", "SHARD ", "CLUSTER "] {
        assert!(all.lines().any(|line| line.starts_with(command)), "{all}");
    }
    assert!(failure(&config(&["sql"], &[]), 1).contains("'sql' has no settings"));

    // The server itself is started so: what is in the file must not be given again.
    let data = folder.path().join("data");
    std::fs::write(path, format!("data = {data:?}\nhttp = \"127.0.0.1:0\"\n[up]\nshards = 3\n")).unwrap();
    let server =
        Server::of(Command::new(TUNDRA).args(["up", "--config", path]).env("TUNDRA_FLIGHT", "127.0.0.1:0"));
    assert!(data.is_dir());
    assert_eq!(
        stdout(&admin(&server, &["nodes"])).lines().filter(|line| line.contains(" active ")).count(),
        3
    );
    server.stop();

    std::fs::write(path, "[up]\nthreads = 1\n\nshard = 2\n").unwrap();
    let unknown = failure(&run(&["up", "--config", path]), 1);
    assert!(unknown.contains(path) && unknown.contains("line 4") && unknown.contains("'shard'"), "{unknown}");
    std::fs::write(path, "\nmemory = \"lots\"\n").unwrap();
    let wrong = failure(&run(&["up", "--config", path]), 2);
    assert!(wrong.contains("lots") && wrong.contains(path) && wrong.contains("line 2"), "{wrong}");
    assert!(failure(&run(&["up", "--config", "/no/such/file.toml"]), 1).contains("/no/such/file.toml"));
}

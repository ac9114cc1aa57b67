//! `tundra control` as a process, and the commands that talk to it.

#![allow(clippy::unwrap_used)]

mod process;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use process::TUNDRA;

/// `tundra control` on a free port; killed when dropped.
struct Control {
    process: Child,
    url: String,
}

impl Control {
    fn start(data: &Path, arguments: &[&str]) -> Control {
        let mut command = Command::new(TUNDRA);
        command.arg("control").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("tundra control ready http=").unwrap_or_else(|| panic!("{line}"));
        Control { url: url.into(), process }
    }

    /// A command that talks to it.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(TUNDRA);
        command.args(arguments).env("TUNDRA_CONTROL_URL", &self.url).output().unwrap()
    }

    fn stdout(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn failure(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Ends it as a service manager does.
    fn stop(mut self) {
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn up_runs_it_as_well_and_sql_logs_in_with_a_token() {
    let data = tempfile::tempdir().unwrap();
    let mut command = process::up(data.path(), &["--shards", "1", "--threads", "1"]);
    command.args(["--control", "127.0.0.1:0"]);
    let server = process::Server::of(&mut command);
    let control = server.control.clone().unwrap();
    let run = |arguments: &[&str]| {
        Command::new(TUNDRA).args(arguments).env("TUNDRA_CONTROL_URL", &control).output().unwrap()
    };
    let told = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    told(run(&["tenant", "create", "acme"]));
    let token = told(run(&["tenant", "token", "acme", "--user", "ann"]));
    let key = told(run(&["tenant", "key", "create", "acme", "--user", "etl"]));
    let sql = |shown: &str, text: &str| run(&["sql", "--url", &server.url, "--token", shown, "-c", text]);
    // It is published within a moment.
    let began = Instant::now();
    while !sql(&token, "SELECT 1").status.success() {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", sql(&token, "SELECT 1"));
        std::thread::sleep(Duration::from_millis(100));
    }
    told(sql(&token, "CREATE TABLE t AS SELECT 7 AS a"));
    // Settings are of the session, which ends with the command.
    let settings = "SET batch_rows = 3; SHOW batch_rows; SELECT a FROM t";
    let shown = told(sql(&key, settings));
    assert!(shown.contains('3') && shown.contains('7'), "{shown}");
    let wrong = sql("eyJhbGciOiJub25lIn0.e30.", "SELECT 1");
    assert_eq!(wrong.status.code(), Some(1));
    let nobody = run(&["sql", "--url", &server.url, "-c", "SELECT a FROM t"]);
    assert!(String::from_utf8_lossy(&nobody.stderr).contains('t'), "the tenant default has no such table");
    assert_eq!(nobody.status.code(), Some(1));
    server.stop();
}

#[test]
fn users_with_passwords_are_asked_for_theirs() {
    let data = tempfile::tempdir().unwrap();
    let mut command = process::up(data.path(), &["--threads", "1", "--sample", "tpch:0.001"]);
    command.args(["--control", "127.0.0.1:0"]).env("TUNDRA_USERS", "ann:secret,ben:other");
    let server = process::Server::of(&mut command);
    let control = server.control.clone().unwrap();
    let run = |arguments: &[&str]| {
        Command::new(TUNDRA).args(arguments).env("TUNDRA_CONTROL_URL", &control).output().unwrap()
    };
    let admin = format!("http://{}", server.http);
    let count = ["-c", "SELECT count(*) FROM region", "--format", "csv"];
    let sql = |user: &[&str]| run(&[&["sql", "--url", &server.url], user, &count].concat());
    let nodes = |user: &[&str]| run(&[&["admin", "--url", &admin], user, &["nodes"]].concat());
    for nobody in [&[][..], &["--user", "ann:other"], &["--user", "eve:secret"]] {
        assert_eq!(
            (sql(nobody).status.code(), nodes(nobody).status.code()),
            (Some(1), Some(1)),
            "{nobody:?}"
        );
    }
    for user in ["ann:secret", "ben:other"] {
        assert!(sql(&["--user", user]).stdout.ends_with(b"5\r\n"));
        assert!(nodes(&["--user", user]).status.success());
    }
    // What is published is published by one of them.
    assert!(run(&["tenant", "create", "acme"]).status.success());
    let token = String::from_utf8(run(&["tenant", "token", "acme", "--user", "eve"]).stdout).unwrap();
    let began = Instant::now();
    let one = ["-c", "SELECT 1"];
    while !run(&[&["sql", "--url", &server.url, "--token", &token], &one[..]].concat()).status.success() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(100));
    }
    server.stop();
    for wrong in ["ann", "ann:", "acme/ann:secret"] {
        let output = process::up(data.path(), &["--users", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn who_did_what_is_seen_written_and_verified() {
    let data = tempfile::tempdir().unwrap();
    let mut command = process::up(data.path(), &["--threads", "1", "--audit-export", "1"]);
    command.args(["--control", "127.0.0.1:0", "--users", "root:secret"]);
    let server = process::Server::of(&mut command);
    let control = server.control.clone().unwrap();
    let run = |arguments: &[&str]| {
        Command::new(TUNDRA).args(arguments).env("TUNDRA_CONTROL_URL", &control).output().unwrap()
    };
    let told = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for tenant in ["acme", "zenith"] {
        told(run(&["tenant", "create", tenant]));
    }
    let token = |tenant, user| told(run(&["tenant", "token", tenant, "--user", user]));
    let (ann, zoe) = (token("acme", "ann"), token("zenith", "zoe"));
    let sql = |shown: &[&str], text: &str| {
        run(&[&["sql", "--url", &server.url, "--format", "csv"], shown, &["-c", text]].concat())
    };
    let began = Instant::now();
    while !sql(&["--token", &zoe], "SELECT 1").status.success() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(100));
    }
    told(sql(&["--token", &ann], "CREATE TABLE t AS SELECT 7 AS a"));
    let server_of = "CREATE SERVER w FOREIGN DATA WRAPPER postgresql OPTIONS (host 'h', password 'hidden')";
    assert!(!sql(&["--token", &ann], server_of).status.success());
    assert!(!sql(&["--token", &ann], "SELECT b FROM t").status.success());
    assert!(!sql(&["--user", "root:wrong"], "SELECT 1").status.success());

    // Each tenant sees what was done in its name; what is nobody's, those who operate.
    let seen = "SELECT action, principal, text, detail FROM system.audit";
    let own = told(sql(&["--token", &ann], seen));
    for part in
        ["login,ann,\"\",an access token", "CREATE TABLE t AS SELECT 7 AS a", "statement failed,ann,SELECT b"]
    {
        assert!(own.contains(part), "{part}: {own}");
    }
    assert!(!own.contains("zoe") && !own.contains("hidden") && !own.contains("PUT"), "{own}");
    assert!(!told(sql(&["--token", &zoe], seen)).contains("ann"));
    let all = told(sql(&["--user", "root:secret"], seen));
    assert!(all.contains("login failed,root") && all.contains("PUT /api/v1/policy"), "{all}");
    server.stop();

    let folder = data.path().join("objects/system/audit");
    let verified = told(run(&["audit", "files", folder.to_str().unwrap()]));
    for tenant in ["acme", "system", "zenith"] {
        let row =
            verified.lines().find(|line| line.starts_with(tenant)).unwrap_or_else(|| panic!("{verified}"));
        assert!(row.contains("as it was written"), "{row}");
    }
    let acme = std::fs::read_dir(folder.join("acme")).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<_> = std::fs::read_dir(acme).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    std::fs::remove_file(&files[0]).unwrap();
    let rest = run(&["audit", "files", folder.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&rest.stdout).into_owned();
    assert!(!text.lines().any(|line| line.starts_with("acme") && line.contains(" 0 to ")), "{text}");
    assert!(run(&["audit", "files", data.path().join("objects").to_str().unwrap()]).status.code() == Some(1));
}

#[test]
fn tenants_keys_tokens_and_the_audit() {
    let data = tempfile::tempdir().unwrap();
    let control = Control::start(data.path(), &[]);
    let created =
        ["tenant", "create", "acme", "--tier", "gold", "--resident", "2GB", "--spend-per-month", "9.5"];
    let shown = control.stdout(&created);
    for part in ["active", "gold", "2000000000", "9.500000"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(control.failure(&created).contains("there is a tenant 'acme' already"));
    let set = control.stdout(&["tenant", "set", "acme", "--concurrency", "8"]);
    assert!(
        set.contains("gold")
            && set.lines().any(|line| line.starts_with("concurrency") && line.ends_with('8'))
    );
    assert!(control.failure(&["tenant", "set", "none", "--share", "2"]).contains("no tenant 'none'"));

    let key = control.stdout(&["tenant", "key", "create", "acme", "--user", "etl", "--lifetime", "90d"]);
    assert!(key.starts_with("tundra_"), "{key}");
    let id = key.split('_').nth(1).unwrap();
    let listed = control.stdout(&["tenant", "key", "list", "acme"]);
    assert!(listed.contains(id) && listed.contains("etl") && !listed.contains(key.trim()), "{listed}");
    assert!(control.stdout(&["tenant", "key", "revoke", "acme", id]).contains("revoked"));
    let token = control.stdout(&["tenant", "token", "acme", "--user", "ann", "--role", "reader"]);
    assert_eq!(token.trim().split('.').count(), 3);

    assert!(control.stdout(&["tenant", "suspend", "acme"]).contains("suspended"));
    control.stop();
    let control = Control::start(data.path(), &[]);
    assert!(control.failure(&["tenant", "token", "acme", "--user", "ann"]).contains("resume"));
    assert!(control.stdout(&["tenant", "resume", "acme"]).contains("active"));
    let json = control.stdout(&["tenant", "list", "--json"]);
    assert!(json.contains("\"concurrency\": 8"), "{json}");
    assert!(control.stdout(&["tenant", "delete", "acme"]).contains("deleted"));
    let audit = control.stdout(&["audit", "list"]);
    assert!(audit.contains("create token") && audit.lines().count() == 12, "{audit}");
    assert!(control.stdout(&["audit", "verify"]).contains("all 11 entries"));
    control.stop();
}

#[test]
fn routes_from_files() {
    let data = tempfile::tempdir().unwrap();
    let control = Control::start(data.path(), &[]);
    let (toml, json) = (data.path().join("rules.toml"), data.path().join("rules.json"));
    let (toml, json) = (toml.to_str().unwrap(), json.to_str().unwrap());
    let rule =
        "[[rules]]\nname = \"keys\"\nengine = \"pg\"\nwhen.shape = [\"lookup\"]\nwhen.resident.below = 0.5\n";
    std::fs::write(toml, format!("otherwise = \"fastest\"\n{rule}")).unwrap();
    assert!(control.stdout(&["route", "check", "--file", toml]).contains("0 twins and 1 rules"));
    let set = control.stdout(&["route", "set", "default", "--file", toml]);
    assert!(set.contains("tenant default, version ") && set.contains("\"below\": 0.5"), "{set}");
    let shown = control.stdout(&["route", "show", "default"]);
    assert_eq!(shown, set);
    std::fs::write(json, &shown[shown.find('{').unwrap()..]).unwrap();
    assert_eq!(control.stdout(&["route", "set", "default", "--file", json]), set, "what is shown can be set");
    for (file, text, told) in [
        (
            toml,
            format!("{rule}\n[[rules]]\nname = \"x\"\nengine = \"pg\"\nwhen.shap = []\n"),
            "line 10, column 6",
        ),
        (toml, format!("{rule}\nsample = 3\n"), "line 7, column 1"),
        (json, "{\n \"otherwise\": 3 }".into(), "line 2 column 15"),
        (json, "{ \"otherwise\": \"auto\" }".into(), "otherwise is 'auto'"),
    ] {
        std::fs::write(file, &text).unwrap();
        for command in [&["route", "check"][..], &["route", "set", "default"]] {
            let why = control.failure(&[command, &["--file", file]].concat());
            assert!(why.contains(told) && why.contains(file), "{text}: {why}");
        }
    }
    assert_eq!(control.stdout(&["route", "show", "default"]), set);
    assert!(control.stdout(&["route", "delete", "default"]).contains("no routes any more"));
    assert!(control.failure(&["route", "show", "default"]).contains("has no routes"));
    control.stop();
}

#[test]
fn operators_log_in_and_their_passwords_are_not_shown() {
    let data = tempfile::tempdir().unwrap();
    let control = Control::start(data.path(), &["--operator", "ann:s3cret"]);
    assert!(control.failure(&["tenant", "list"]).contains("operator"));
    assert!(control.stdout(&["tenant", "list", "--operator", "ann:s3cret"]).contains("default"));
    let settings = control.stdout(&["config", "control", "--operator", "ann:s3cret"]);
    assert!(settings.contains("operator") && !settings.contains("s3cret"), "{settings}");
    let file = data.path().join("tundra.toml");
    std::fs::write(&file, "[control]\noperator = \"ann:s3cret\"\ndatabase = \"postgresql://u:s3cret@h/d\"\n")
        .unwrap();
    let help = control.stdout(&["control", "--config", file.to_str().unwrap(), "--help"]);
    assert!(help.contains("--operator") && !help.contains("s3cret"), "{help}");
    let wrong = control.failure(&["control", "--operator", "s3cret"]);
    assert!(wrong.contains("NAME:PASSWORD") && !wrong.contains("s3cret"), "{wrong}");
    control.stop();
    let alone = Command::new(TUNDRA).args(["tenant", "list", "--control-url", "http://127.0.0.1:1"]).output();
    let why = String::from_utf8(alone.unwrap().stderr).unwrap();
    assert!(why.contains("--listen address of a control plane"), "{why}");
}

//! Tenants with access keys of their own, on a cluster of real processes and an S3 server whose keys reach some prefixes
//! alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use process::{Server, TUNDRA};
use s3::{Credentials, Folder, Keys};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(60);
/// Nowhere but in the files and variables that commands get them from.
const SECRETS: [&str; 5] = [
    "acme-half-Xq7vT2mWd9LrK4zB",
    "acme-half-Jp3nY8cHs6FgR1uE",
    "zeta-half-Vw5kM0bQa7DtN2xC",
    "zeta-half-wrong-Zh4jS9eUo6PiG3",
    "zeta-token-Lf8yB1rXc5OvT7wA",
];
/// 32 bytes of `k` and of `K` in base64.
const KEYS: [&str; 2] =
    ["a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=", "S0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0tLS0s="];

fn key(id: &str, secret: &str) -> Credentials {
    Credentials { access_key: id.into(), secret_key: secret.into() }
}

/// The S3 server, a folder for all else, and which keys there are.
struct World {
    folder: TempDir,
    keys: Keys,
    settings: Vec<(String, String)>,
    // Ends before the runtime.
    _s3: s3::Server,
    _runtime: Runtime,
}

impl World {
    fn new() -> World {
        let (folder, runtime, keys) =
            (tempfile::tempdir().unwrap(), Runtime::new().unwrap(), Keys::default());
        let node = key("node", "node-half");
        let own = ["catalog/", "default/", "system/"].map(|name| format!("bucket/tundra/{name}"));
        keys.grant(&node, &own.each_ref().map(String::as_str));
        keys.grant(&key("acme-1", SECRETS[0]), &["bucket/tundra/acme/", "bucket/lake/acme/"]);
        keys.grant(&key("zeta-1", SECRETS[2]), &["bucket/tundra/zeta/"]);
        let served = Folder::with_keys(&folder.path().join("s3"), "bucket", keys.clone()).unwrap();
        let s3 = runtime.block_on(s3::Server::start("127.0.0.1:0", served)).unwrap();
        let settings = node.settings(&s3.url());
        fs::write(folder.path().join("secret.key"), format!("{}\n", KEYS[0])).unwrap();
        World { folder, keys, settings, _s3: s3, _runtime: runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A coordinator, two shards and a control plane, whose log lines are added to a file.
    fn start(&self) -> Cluster<'_> {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(TUNDRA);
        command.arg("cluster").arg("--data").arg(self.path("data")).args([
            "--coordinators",
            "1",
            "--shards",
            "2",
        ]);
        command.args(["--threads", "1", "--memory", "1GB", "--replicated-rows", "10", "--bucket-rows", "10"]);
        command.args([
            "--object-store",
            "s3://bucket/tundra",
            "--control",
            "127.0.0.1:0",
            "--audit-export",
            "1",
        ]);
        command.arg("--secret-key").arg(self.path("secret.key")).envs(self.settings.iter().cloned());
        command.env("TUNDRA_LOG", "debug,h2=info,hyper=info,sqlx=info").stderr(log);
        let server = Server::of(&mut command);
        let control = server.control.clone().unwrap();
        Cluster { world: self, server, control }
    }

    /// Files below a folder that have a text, as it is, in hexadecimal or in base64.
    fn found(&self, folder: &str, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        visit(&self.path(folder), &mut |path| {
            if has(&fs::read(path).unwrap_or_default(), text) {
                found.push(path.to_path_buf());
            }
        });
        found
    }
}

fn visit(path: &Path, each: &mut impl FnMut(&Path)) {
    // What is gone by now had nothing to show.
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| visit(&entry.path(), each)),
        Err(_) => each(path),
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    let hexadecimal: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Of the middle, wherever it begins among three.
    let base64 = ["", "x", "xx"].map(|before| {
        let encoded = base64_of(&[before.as_bytes(), text.as_bytes()].concat());
        encoded[4..encoded.len() - 4].to_string()
    });
    let forms = [text.to_string(), hexadecimal].into_iter().chain(base64);
    forms
        .into_iter()
        .filter(|form| form.len() >= 6)
        .any(|form| bytes.windows(form.len()).any(|window| window == form.as_bytes()))
}

fn base64_of(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).flat_map(|three| {
        let number = three.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte))
            << (8 * (3 - three.len()));
        (0..=three.len()).map(move |at| char::from(LETTERS[(number >> (18 - 6 * at) & 63) as usize]))
    });
    groups.collect()
}

struct Cluster<'a> {
    world: &'a World,
    server: Server,
    control: String,
}

impl Cluster<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(TUNDRA);
        command.args(arguments).env("TUNDRA_CONTROL_URL", &self.control);
        command.env("TUNDRA_ADMIN_URL", format!("http://{}", self.server.http));
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        told(self.command(arguments).output().unwrap()).unwrap_or_else(|why| panic!("{arguments:?}: {why}"))
    }

    /// A tenant with a token of a user.
    fn tenant(&self, name: &str) -> Sql {
        let location = Some(["--location", "s3://bucket/lake/acme"]);
        self.run(
            &[&["tenant", "create", name][..], location.as_ref().map_or(&[][..], |words| &words[..])]
                .concat(),
        );
        self.sql(name)
    }

    fn sql(&self, name: &str) -> Sql {
        let token = self.run(&["tenant", "token", name, "--user", "ann"]);
        let sql = Sql { url: self.server.url.clone(), token: token.trim().into() };
        sql.until(&format!("{name} is published"), "SELECT 1", Result::is_ok).unwrap();
        sql
    }

    /// Sets credentials whose secret comes from standard input.
    fn set(&self, name: &str, id: &str, secret: &str, further: &[&str]) -> Output {
        let arguments = [
            &["tenant", "credentials", "set", name, "--access-key-id", id, "--secret-file", "-"][..],
            further,
        ];
        let mut command = self.command(&arguments.concat());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), format!("{secret}\n").as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    }

    /// Until the cluster has all that was decided.
    fn published(&self) {
        let began = Instant::now();
        loop {
            let status = process::get(self.control.strip_prefix("http://").unwrap(), "/api/v1/status");
            let status: Value = serde_json::from_str(status.split_once("\r\n\r\n").unwrap().1).unwrap();
            if status["behind"] == 0 {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A single node whose keys for tenants were refused while it started has their tables once there are right ones.
#[test]
fn a_refused_key_keeps_a_single_node_from_nothing_but_that_tenant() {
    let world = World::new();
    let up = || {
        let mut command = process::up(&world.path("single"), &["--threads", "1", "--control", "127.0.0.1:0"]);
        command.args(["--object-store", "s3://bucket/tundra"]);
        command.arg("--secret-key").arg(world.path("secret.key")).envs(world.settings.iter().cloned());
        let server = Server::of(&mut command);
        let control = server.control.clone().unwrap();
        Cluster { world: &world, server, control }
    };
    let node = up();
    let (acme, zeta) = (node.tenant("acme"), node.tenant("zeta"));
    told(node.set("acme", "acme-1", SECRETS[0], &[])).unwrap();
    told(node.set("zeta", "zeta-1", SECRETS[2], &[])).unwrap();
    node.published();
    for tenant in [&acme, &zeta] {
        tenant.until("it has its key", "CREATE TABLE t AS SELECT 1 AS a", Result::is_ok).unwrap();
    }
    node.server.stop();
    world.keys.revoke("zeta-1");

    let node = up();
    let (acme, zeta) = (node.sql("acme"), node.sql("zeta"));
    assert_eq!(acme.count("t"), 1);
    let error = zeta.run("SELECT count(*) FROM t").unwrap_err().replace('\n', " ");
    assert!(error.contains("tenant 'zeta'") && error.contains("zeta-1"), "{error}");
    world.keys.grant(&key("zeta-2", SECRETS[2]), &["bucket/tundra/zeta/"]);
    told(node.set("zeta", "zeta-2", SECRETS[2], &[])).unwrap();
    node.published();
    zeta.until("it is back", "SELECT count(*) FROM t", Result::is_ok).unwrap();
    assert_eq!(zeta.count("t"), 1);
    node.server.stop();
}

fn told(output: Output) -> Result<String, String> {
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A user of a tenant.
#[derive(Clone)]
struct Sql {
    url: String,
    token: String,
}

impl Sql {
    fn run(&self, text: &str) -> Result<String, String> {
        let words = ["sql", "--url", &self.url, "--format", "csv", "-c", text];
        told(Command::new(TUNDRA).args(words).env("TUNDRA_TOKEN", &self.token).output().unwrap())
    }

    fn ok(&self, text: &str) -> String {
        self.run(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn count(&self, table: &str) -> usize {
        let rows = self.ok(&format!("SELECT count(*) FROM {table}"));
        rows.lines().nth(1).unwrap().trim().parse().unwrap()
    }

    /// Asks until the answer is as it should be.
    fn until(
        &self,
        what: &str,
        text: &str,
        wanted: impl Fn(&Result<String, String>) -> bool,
    ) -> Result<String, String> {
        let began = Instant::now();
        loop {
            let answer = self.run(text);
            if wanted(&answer) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: {answer:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn tenants_reach_their_objects_by_their_own_keys_and_secrets_lie_nowhere() {
    let world = World::new();
    let cluster = world.start();
    let nobody = Sql { url: cluster.server.url.clone(), token: String::new() };
    let default = |text: &str| {
        told(Command::new(TUNDRA).args(["sql", "--url", &nobody.url, "-c", text]).output().unwrap())
    };
    default("CREATE TABLE mine AS SELECT 1 AS a").unwrap();
    let (acme, zeta) = (cluster.tenant("acme"), cluster.tenant("zeta"));

    // The node's own key does not reach them.
    assert!(
        acme.run("CREATE TABLE t AS SELECT 0 AS a").unwrap_err().contains("lacked the necessary privileges")
    );
    let shown = told(cluster.command(&["tenant", "credentials", "show", "acme"]).output().unwrap());
    assert!(shown.unwrap_err().contains("`tundra tenant credentials set` gives it some"));

    told(cluster.set("acme", "acme-1", SECRETS[0], &[])).unwrap();
    told(cluster.set("zeta", "zeta-1", SECRETS[2], &[])).unwrap();
    cluster.published();
    let rows: Vec<String> = (0..1000).map(|row| format!("({row}, {})", row % 7)).collect();
    let rows = format!("SELECT a, b FROM (VALUES {}) AS v (a, b)", rows.join(", "));
    acme.until("acme has its key", &format!("CREATE TABLE t AS {rows}"), Result::is_ok).unwrap();
    zeta.until("zeta has its key", &format!("CREATE TABLE t AS {rows}"), Result::is_ok).unwrap();
    zeta.ok("INSERT INTO t VALUES (0, 0)");
    assert_eq!((acme.count("t"), zeta.count("t")), (1000, 1001));
    let shown = cluster.run(&["tenant", "credentials", "show", "acme"]);
    assert!(shown.contains("acme-1") && !shown.contains(SECRETS[0]), "{shown}");

    // A place that it was given, which no other key reaches.
    let mut data = Vec::new();
    visit(&world.path("s3/bucket/tundra/acme"), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "parquet") {
            data.push(path.to_path_buf());
        }
    });
    fs::create_dir_all(world.path("s3/bucket/lake/acme")).unwrap();
    fs::copy(&data[0], world.path("s3/bucket/lake/acme/x.parquet")).unwrap();
    let external = "CREATE EXTERNAL TABLE e STORED AS PARQUET LOCATION 's3://bucket/lake/acme/x.parquet'";
    acme.ok(external);
    assert!(acme.count("e") > 0);
    // It may name the place, too, but its key does not reach that.
    let error = zeta.run(external).unwrap_err().replace('\n', " ");
    assert!(error.contains("refuses the credentials of the tenant 'zeta'"), "{error}");

    // Wrong credentials hurt nobody else, and are told.
    told(cluster.set("zeta", "zeta-1", SECRETS[3], &[])).unwrap();
    cluster.published();
    let refused = |answer: &Result<String, String>| {
        let parts = [
            "tenant 'zeta'",
            "zeta-1",
            "write s3://bucket/tundra/zeta/",
            "tundra tenant credentials set zeta",
        ];
        answer.as_ref().is_err_and(|why| parts.iter().all(|part| why.replace('\n', " ").contains(part)))
    };
    zeta.until("a wrong secret is refused", "INSERT INTO t VALUES (0, 0)", refused).unwrap_err();
    acme.ok("INSERT INTO t VALUES (0, 0)");
    assert!(zeta.count("t") >= 1001, "what is held is read");
    let token = world.path("token");
    fs::write(&token, SECRETS[4]).unwrap();
    let further = ["--session-token-file", token.to_str().unwrap(), "--region", "us-east-1"];
    told(cluster.set("zeta", "zeta-1", SECRETS[2], &further)).unwrap();
    cluster.published();
    zeta.until("the right secret does", "INSERT INTO t VALUES (0, 0)", Result::is_ok).unwrap();
    fs::remove_file(&token).unwrap();

    // Nor does an endpoint that nobody answers at; it is not taken by mistake.
    let nowhere = ["--endpoint", "http://127.0.0.1:9"];
    told(cluster.set("zeta", "zeta-1", SECRETS[2], &nowhere)).unwrap_err();
    let forced = [&nowhere[..], &["--force"]].concat();
    told(cluster.set("zeta", "zeta-1", SECRETS[2], &forced)).unwrap();
    cluster.published();
    let unreachable = |answer: &Result<String, String>| {
        answer.as_ref().is_err_and(|why| {
            let why = why.replace('\n', " ");
            ["tenant 'zeta'", "zeta-1", "http://127.0.0.1:9"].iter().all(|part| why.contains(part))
        })
    };
    zeta.until("an endpoint is not reached", "INSERT INTO t VALUES (0, 0)", unreachable).unwrap_err();
    acme.ok("INSERT INTO t VALUES (0, 0)");
    // Away with it: without `remove` it would stay.
    cluster.run(&["tenant", "credentials", "remove", "zeta"]);
    told(cluster.set("zeta", "zeta-1", SECRETS[2], &further[2..])).unwrap();
    cluster.published();
    zeta.until("the right endpoint does", "INSERT INTO t VALUES (0, 0)", Result::is_ok).unwrap();
    fs::write(&token, SECRETS[4]).unwrap();
    told(cluster.set("zeta", "zeta-1", SECRETS[2], &further[..2])).unwrap();
    let shown = cluster.run(&["tenant", "credentials", "show", "zeta"]);
    assert!(shown.contains("us-east-1"), "the region stays: {shown}");
    fs::remove_file(&token).unwrap();
    cluster.published();

    rotate(&cluster, &acme);
    let counts = (acme.count("t"), zeta.count("t"));
    cluster.run(&["admin", "snapshot"]);

    let told_by_api = [
        cluster.run(&["admin", "policy", "--json"]),
        cluster.run(&["tenant", "credentials", "show", "zeta", "--json"]),
        cluster.run(&["audit", "list", "--json"]),
        acme.ok("SELECT * FROM system.audit"),
    ];
    let shown: Value = serde_json::from_str(&told_by_api[1]).unwrap();
    assert_eq!(shown["has_session_token"], true, "{shown}");
    assert!(told_by_api[2].contains("set credentials") && told_by_api[2].contains("acme-2"));
    cluster.server.stop();
    for secret in SECRETS {
        assert!(told_by_api.iter().all(|told| !has(told.as_bytes(), secret)));
        for folder in ["data", "s3", "log"] {
            assert_eq!(world.found(folder, secret), Vec::<PathBuf>::new(), "{secret}");
        }
    }
    // What is looked through has what is no secret.
    for folder in ["data/coordinator-1", "data/control", "s3/bucket/tundra/catalog"] {
        assert!(!world.found(folder, "acme-2").is_empty(), "{folder}");
    }
    assert!(fs::metadata(world.path("log")).unwrap().len() > 10_000);

    // Of the nodes nothing is left: the copy of the catalog has the credentials that the rest is read by.
    for node in ["coordinator-1", "shard-1", "shard-2"] {
        fs::remove_dir_all(world.path("data").join(node)).unwrap();
    }
    // The first key encrypts from now on, the other still decrypts.
    fs::write(world.path("secret.key"), format!("{}\n{}\n", KEYS[1], KEYS[0])).unwrap();
    let cluster = world.start();
    let (acme, zeta) = (cluster.sql("acme"), cluster.sql("zeta"));
    acme.until("acme is back", "SELECT count(*) FROM t", Result::is_ok).unwrap();
    zeta.until("zeta is back", "SELECT count(*) FROM t", Result::is_ok).unwrap();
    assert_eq!((acme.count("t"), zeta.count("t")), counts);
    let before = cluster.run(&["tenant", "credentials", "show", "acme", "--json"]);
    told(cluster.set("acme", "acme-2", SECRETS[1], &[])).unwrap();
    let after = cluster.run(&["tenant", "credentials", "show", "acme", "--json"]);
    let key_of = |text: &str| serde_json::from_str::<Value>(text).unwrap()["secret_key"].to_string();
    assert_ne!(key_of(&before), key_of(&after));
    cluster.published();
    acme.ok("INSERT INTO t VALUES (0, 0)");

    // Taken back, it is as if there had been none.
    cluster.run(&["tenant", "credentials", "remove", "acme"]);
    cluster.published();
    let error = acme.until("the node's own key is refused", "INSERT INTO t VALUES (0, 0)", Result::is_err);
    let error = error.unwrap_err();
    assert!(!error.contains("acme-2") && !error.contains("refuses the credentials of"), "{error}");
    zeta.ok("INSERT INTO t VALUES (0, 0)");
    cluster.server.stop();
    assert_eq!(world.found("log", SECRETS[1]), Vec::<PathBuf>::new());
}

/// Gives acme another key while it writes and reads, and takes the former one from it.
fn rotate(cluster: &Cluster<'_>, acme: &Sql) {
    let (stop, before) = (AtomicBool::new(false), acme.count("t"));
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                acme.ok("INSERT INTO t VALUES (0, 0)");
                written += 1;
                assert!(acme.count("t") >= before + written);
            }
            written
        });
        std::thread::sleep(Duration::from_secs(2));
        cluster.world.keys.grant(&key("acme-2", SECRETS[1]), &["bucket/tundra/acme/", "bucket/lake/acme/"]);
        told(cluster.set("acme", "acme-2", SECRETS[1], &[])).unwrap();
        cluster.published();
        // Statements that had begun may end with the old one.
        std::thread::sleep(Duration::from_secs(2));
        cluster.world.keys.revoke("acme-1");
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(written > 3, "{written} were written");
    assert_eq!(acme.count("t"), before + written);
}

#[test]
fn without_a_key_no_secret_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let mut command = process::up(data.path(), &["--threads", "1", "--control", "127.0.0.1:0"]);
    let server = Server::of(&mut command);
    let control = server.control.clone().unwrap();
    let run = |arguments: &[&str], secret: &str| {
        let mut command = Command::new(TUNDRA);
        command.args(arguments).env("TUNDRA_CONTROL_URL", &control);
        told(command.env("TUNDRA_TENANT_SECRET_ACCESS_KEY", secret).output().unwrap())
    };
    run(&["tenant", "create", "acme"], "").unwrap();
    let set = ["tenant", "credentials", "set", "acme", "--access-key-id", "AKIA1"];
    let error = run(&set, "half").unwrap_err();
    assert!(
        error.contains("tenant 'acme'") && error.contains("--secret-key") && error.contains("openssl rand"),
        "{error}"
    );
    assert!(run(&set, "").unwrap_err().contains("--secret-file"));
    let error = run(&set, "two words").unwrap_err();
    assert!(
        error.contains("a secret access key is 1 to 1024 visible") && !error.contains("two words"),
        "{error}"
    );
    let error =
        run(&["tenant", "credentials", "set", "none", "--access-key-id", "AKIA1"], "half").unwrap_err();
    assert!(error.contains("there is no tenant 'none'"), "{error}");
    server.stop();

    let wrong = data.path().join("wrong.key");
    fs::write(&wrong, "geheim\n").unwrap();
    let mut command = process::up(data.path(), &["--secret-key", wrong.to_str().unwrap()]);
    let error = told(command.output().unwrap()).unwrap_err();
    assert!(error.contains("line 1 is no key") && !error.contains("geheim"), "{error}");
}

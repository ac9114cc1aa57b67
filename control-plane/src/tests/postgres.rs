//! A private PostgreSQL of Debian's package: in a temporary folder, on a free loopback port, of a user without rights. It is
//! shared by the tests that run at a time, and ends with the last of them.

use std::io::Result;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};
use tempfile::TempDir;

static RUNNING: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

pub(super) struct Postgres {
    server: Child,
    port: u16,
    binaries: PathBuf,
    user: Option<u32>,
    folder: TempDir,
}

impl Postgres {
    /// One that runs; `None`, and a word on stderr, where the package is not installed.
    #[allow(clippy::print_stderr)]
    pub(super) fn shared() -> Option<Arc<Postgres>> {
        let mut running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(running) = running.upgrade() {
            return Some(running);
        }
        let Some(binaries) = binaries() else {
            let required = std::env::var("TUNDRA_TEST_POSTGRES").is_ok_and(|value| value == "1");
            assert!(!required, "TUNDRA_TEST_POSTGRES=1, but there is no /usr/lib/postgresql");
            eprintln!("skipped: PostgreSQL is not installed (apt-get install postgresql)");
            return None;
        };
        let started = Arc::new(Postgres::start(binaries).unwrap());
        *running = Arc::downgrade(&started);
        Some(started)
    }

    fn start(binaries: PathBuf) -> Result<Postgres> {
        let folder = tempfile::Builder::new().prefix("tundra-pg.").tempdir()?;
        // It refuses to run as root.
        // SAFETY: the call has no preconditions.
        let root = unsafe { libc::geteuid() } == 0;
        let user = if root { Some(id_of("postgres")?) } else { None };
        chown(folder.path(), user, None)?;
        let data = folder.path().join("data");
        let mut initdb = command(&binaries, "initdb", folder.path(), user);
        initdb.arg("-D").arg(&data).args(["-U", "tundra", "-A", "trust", "--no-sync", "--no-locale"]);
        let made = initdb.args(["-E", "UTF8"]).output()?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Another process may take the port before it does.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut server = command(&binaries, "postgres", folder.path(), user);
            server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"]);
            server.arg(folder.path());
            for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
                server.args(["-c", setting]);
            }
            let mut server = server.stderr(Stdio::null()).stdout(Stdio::null()).spawn()?;
            if is_up(&mut server, &binaries, port) {
                return Ok(Postgres { server, port, binaries, user, folder });
            }
        }
        panic!("PostgreSQL does not start");
    }

    /// A new database in it.
    pub(super) fn database(&self, name: &str) -> String {
        let port = self.port.to_string();
        let mut createdb = command(&self.binaries, "createdb", self.folder.path(), self.user);
        let made = createdb.args(["-h", "127.0.0.1", "-p", &port, "-U", "tundra", name]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        format!("postgresql://tundra@127.0.0.1:{port}/{name}")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SAFETY: the process is a child that was not waited for, so that its number is its own.
        unsafe { libc::kill(self.server.id().cast_signed(), libc::SIGQUIT) };
        let _ = self.server.wait();
    }
}

/// Of the latest version.
fn binaries() -> Option<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|folder| folder.join("initdb").exists()).max()
}

fn command(binaries: &Path, name: &str, folder: &Path, user: Option<u32>) -> Command {
    let mut command = Command::new(binaries.join(name));
    command.current_dir(folder).env_remove("HOME");
    if let Some(user) = user {
        command.uid(user);
    }
    command
}

fn is_up(server: &mut Child, binaries: &Path, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline && server.try_wait().is_ok_and(|ended| ended.is_none()) {
        let mut ready = Command::new(binaries.join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-U", "tundra", "-p", &port.to_string()]);
        if ready.status().is_ok_and(|status| status.success()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = server.kill();
    let _ = server.wait();
    false
}

fn id_of(user: &str) -> Result<u32> {
    let told = Command::new("id").args(["-u", user]).output()?.stdout;
    let id = String::from_utf8_lossy(&told).trim().parse();
    id.map_err(|_| std::io::Error::other(format!("there is no user {user}")))
}

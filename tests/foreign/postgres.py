"""A PostgreSQL of a test's own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PASSWORD = "o'pen \"sesame\" & \\ %"


class Postgres:
    """A private instance on a free port, which asks for passwords."""

    def __init__(self):
        self.bin = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.folder = tempfile.mkdtemp(prefix="tundra-postgres.")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.prefix = []
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
        word = Path(self.folder, "word")
        word.write_text(PASSWORD)
        word.chmod(0o644)
        data = f"{self.folder}/data"
        # A locale in which letters are not ordered by their bytes.
        made = [self.bin / "initdb", "-D", data, "-U", "tundra", "-A", "scram-sha-256", f"--pwfile={word}",
                "--no-sync", "-E", "UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]
        subprocess.run([*self.prefix, *made], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        self.process = None
        self.start()

    def start(self):
        command = [self.bin / "postgres", "-D", f"{self.folder}/data", "-p", str(self.port), "-h", "127.0.0.1",
                   "-k", self.folder, "-c", "fsync=off", "-c", "max_connections=40"]
        log = open(f"{self.folder}/log", "a")
        self.process = subprocess.Popen([*self.prefix, *command], stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + 30
        while subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(Path(self.folder, "log").read_text())
            time.sleep(0.05)

    def psql(self, sql, stdin=None):
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        command = [self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
                   "-U", "tundra", "-d", "postgres", "-c", sql]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=stdin)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def halt(self):
        self.process.send_signal(2)
        self.process.wait(timeout=30)

    def stop(self):
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

"""`tundra control` as a process on SQLite, an OpenID provider beside it, and copies of the database."""

import base64
import http.server
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "cluster"))
from objects import die_with_parent  # noqa: E402

# Seconds that a decision, or what a start finds out, may take.
PATIENCE = 30


def until(what, holds):
    """What `holds` gives, once that is something."""
    last = time.monotonic() + PATIENCE
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > last:
            raise SystemExit(f"not within {PATIENCE} s: {what}")
        time.sleep(0.1)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class Plane:
    """Ends with `stop` or `kill`, or with this process."""

    def __init__(self, binary, data, coordinators, log):
        self.binary, self.data = binary, Path(data)
        command = [binary, "control", "--data", str(data), "--listen", "127.0.0.1:0", "--coordinators", ",".join(coordinators)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=die_with_parent)
        line = self.process.stdout.readline()
        if "ready http=" not in line:
            raise SystemExit(f"the control plane did not start: {line!r}, exit code {self.process.wait()}")
        self.url = line.split("http=")[1].strip()

    def run(self, *words):
        """What a command prints that talks to it."""
        environment = {**os.environ, "TUNDRA_CONTROL_URL": self.url}
        done = subprocess.run([self.binary, *words], capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}")
        return done.stdout.strip()

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", method=method)
        if body is not None:
            request.add_header("content-type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def published(self):
        """Waits until the cluster has everything that was decided; the status then."""
        def done():
            status = self.call("GET", "status")
            report = status["published"]
            if status["leads"] and status["behind"] == 0 and report and report["version"] >= status["version"] and not report["failure"]:
                return status
        return until("everything is published", done)

    def kill(self):
        """Ends it as the end of its machine would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(timeout=30) != 0:
            raise SystemExit("the control plane ended with an error")


def copy(data, to):
    """Copies the database of a control plane that may run, as a backup does."""
    Path(to).mkdir(mode=0o700)
    source, target = sqlite3.connect(Path(data) / "control.sqlite"), sqlite3.connect(Path(to) / "control.sqlite")
    with target:
        source.backup(target)
    source.close()
    target.close()


def put_back(data, backup):
    """Has a copy be the database of a control plane that does not run."""
    shutil.rmtree(data)
    shutil.copytree(backup, data)


def text_of(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """Makes access tokens with a key of its own, which it shows at `jwks_url`. `openssl` signs."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.key = self.folder / "provider.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key], check=True)
        der = subprocess.run(["openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
        key = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "provider-1", "x": text_of(der[-32:])}
        answer = json.dumps({"keys": [key]}).encode()

        class Keys(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.jwks_url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def token(self, issuer, user, seconds):
        now = int(time.time())
        header = {"alg": "EdDSA", "typ": "JWT", "kid": "provider-1"}
        claims = {"iss": issuer, "aud": "tundra-test", "sub": user, "iat": now, "exp": now + seconds}
        signed = ".".join(text_of(json.dumps(part).encode()) for part in (header, claims))
        with tempfile.NamedTemporaryFile(dir=self.folder) as message:
            message.write(signed.encode())
            message.flush()
            command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.key, "-in", message.name]
            return f"{signed}.{text_of(subprocess.run(command, check=True, capture_output=True).stdout)}"

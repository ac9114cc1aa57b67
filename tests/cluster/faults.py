#!/usr/bin/env python3
"""Takes from a cluster, under load, what it stands on, one thing after the other, and says what clients see.

    faults.py --binary target/release/tundra --s3 target/debug/tundra-s3-server

Three coordinators and three shards with two copies of every bucket run in network namespaces of their own. The leader,
a coordinator that follows, and a shard are cut off from all others; two coordinators are, which leaves no
majority; the disk under a coordinator's log is full; the object store is away; an object is damaged. All the while
rows are inserted and read on any coordinator: whatever was acknowledged before a read began must be in its answer,
and once a fault is over all must be well again. Needs root, for the namespaces.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight
from adbc_driver_flightsql import DatabaseOptions
from objects import S3

HUB = "10.99.0.254"
INSIDE = "TUNDRA_FAULTS_INSIDE"
# Seconds.
PATIENCE = 60
OUTAGE = 8
# The numbers below 100,000.
NUMBERS = """WITH d (i) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9))
    SELECT a.i + 10 * b.i + 100 * c.i + 1000 * e.i + 10000 * f.i AS v FROM d a, d b, d c, d e, d f"""
SUM = 4999950000
SEVENTHS = 299995


def shell(command):
    subprocess.run(command.split(), check=True)


class Node:
    """A process in a namespace that a link joins to the others."""

    def __init__(self, number, name, arguments, environment, log):
        self.name, self.arguments, self.environment, self.log = name, arguments, environment, log
        self.ip, self.space, self.link = f"10.99.0.{number}", f"n{number}", f"v{number}"
        self.process = None
        shell(f"ip netns add {self.space}")
        shell(f"ip link add {self.link} type veth peer name e0 netns {self.space}")
        shell(f"ip link set {self.link} master hub up")
        shell(f"ip -n {self.space} addr add {self.ip}/24 dev e0")
        shell(f"ip -n {self.space} link set e0 up")
        shell(f"ip -n {self.space} link set lo up")

    def run(self, command):
        return ["ip", "netns", "exec", self.space, *command]

    def start(self):
        self.process = subprocess.Popen(self.run(self.arguments), stdout=self.log, stderr=self.log, env=self.environment)

    def ended(self):
        return self.process.poll() is not None

    @contextlib.contextmanager
    def cut_off(self):
        shell(f"ip link set {self.link} down")
        try:
            yield
        finally:
            shell(f"ip link set {self.link} up")


class Client:
    """Asks one coordinator after the other until one answers."""

    def __init__(self, urls):
        self.urls, self.turn, self.connections = urls, 0, {}
        # Statements that failed: coordinator, seconds, error; and the coordinator that is not asked for a while.
        self.failed, self.avoided = [], {}

    def ask_at(self, url, sql, seconds=3):
        try:
            if url not in self.connections:
                limits = {option.value: str(seconds) for option in
                          (DatabaseOptions.TIMEOUT_FETCH, DatabaseOptions.TIMEOUT_QUERY, DatabaseOptions.TIMEOUT_UPDATE)}
                self.connections[url] = flight.connect(url, autocommit=True, db_kwargs=limits)
            with self.connections[url].cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        except Exception:
            connection = self.connections.pop(url, None)
            with contextlib.suppress(Exception):
                connection.close()
            raise

    def ask(self, sql, patience=PATIENCE):
        last = time.monotonic() + patience
        while True:
            self.turn += 1
            url, begun = self.urls[self.turn % len(self.urls)], time.monotonic()
            if self.avoided.get(url, 0) > begun:
                continue
            try:
                return self.ask_at(url, sql)
            except Exception as error:
                self.failed.append(f"{url} after {time.monotonic() - begun:.1f} s: {str(error)[:110]!r}")
                if time.monotonic() > last:
                    raise SystemExit(f"no coordinator answers {sql!r}: {error}")
                self.avoided = {url: time.monotonic() + OUTAGE}
                time.sleep(0.05)


class Load:
    """Rows that are written and read all the while."""

    def __init__(self, urls):
        self.urls, self.stop = urls, False
        self.acknowledged = 0
        self.read = self.wrote = time.monotonic()
        self.wrong, self.clients = [], []
        self.threads = [threading.Thread(target=self.write, daemon=True)]
        self.threads += [threading.Thread(target=self.look, daemon=True) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def write(self):
        client, number = self.client(), 0
        while not self.stop:
            number += 1
            # It may be written twice: by a statement whose answer was lost, and by the next.
            client.ask(f"INSERT INTO serial VALUES ({number})", 4 * PATIENCE)
            self.acknowledged, self.wrote = number, time.monotonic()
            time.sleep(0.1)

    def look(self):
        client = self.client()
        while not self.stop:
            before = self.acknowledged
            found = client.ask("SELECT count(DISTINCT n), (SELECT sum(v) FROM fixed) FROM serial", 4 * PATIENCE)[0]
            self.read = time.monotonic()
            if int(found[0]) < before or int(found[1]) != SUM:
                self.wrong.append(f"{found}, and {before} rows were acknowledged before")
            time.sleep(0.02)

    def client(self):
        client = Client(self.urls)
        self.clients.append(client)
        return client

    def failed(self):
        """What statements failed with since this was asked last."""
        return [line for client in self.clients for line in [client.failed.pop(0) for _ in range(len(client.failed))]]

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join(2 * PATIENCE)


class Faults:
    def __init__(self, arguments, folder):
        self.folder, self.binary = folder, arguments.binary
        # Seen by this process and its children only.
        Path("/run/netns").mkdir(exist_ok=True)
        shell("mount -t tmpfs tmpfs /run/netns")
        shell("ip link set lo up")
        shell("ip link add hub type bridge")
        shell(f"ip addr add {HUB}/24 dev hub")
        shell("ip link set hub up")
        self.s3 = S3(arguments.s3, folder / "s3", listen=f"{HUB}:0")
        self.log = open(folder / "log", "w")
        names = [*(f"c{n}" for n in (1, 2, 3)), *(f"s{n}" for n in (1, 2, 3))]
        certificates = folder / "certificates"
        shell(f"{self.binary} cert --data {certificates} " + " ".join(f"--name {name}" for name in names))
        peers = ",".join(f"{n}=10.99.0.{n}:7000" for n in (1, 2, 3))
        self.nodes = {}
        for number, name in enumerate(names, 1):
            data, ip = folder / name, f"10.99.0.{number}"
            common = ["--data", data, "--certificates", certificates / name, "--listen", f"{ip}:7000"]
            if name.startswith("c"):
                # A disk of its own, which can be full.
                data.mkdir()
                shell(f"mount -t tmpfs -o size=256m tmpfs {data}")
                command = ["coordinator", "--id", number, "--peers", peers, "--flight", f"{ip}:31337", "--http", f"{ip}:8080",
                           "--object-store", self.s3.location("tundra"), "--replicated-rows", 100, "--bucket-rows", 1000]
            else:
                coordinators = ",".join(f"10.99.0.{n}:7000" for n in (1, 2, 3))
                command = ["shard", "--coordinators", coordinators, "--memory", "1GB", "--threads", 1]
            command = [str(word) for word in [self.binary, *command, *common]]
            self.nodes[name] = Node(number, name, command, self.s3.environment(), self.log)
        self.urls = {f"c{n}": f"grpc://10.99.0.{n}:31337" for n in (1, 2, 3)}
        self.client = Client(list(self.urls.values()))

    def begin(self):
        for node in self.nodes.values():
            node.start()
        self.client.ask("CREATE TABLE serial (n BIGINT)")
        self.client.ask("CREATE TABLE probe (n BIGINT)")
        self.client.ask(f"CREATE TABLE fixed AS {NUMBERS}")
        self.load = Load(list(self.urls.values()))

    def end(self):
        """Ends what stands in the way of removing the folder."""
        for node in self.nodes.values():
            if node.process:
                node.process.kill()
                node.process.wait()
        self.s3.stop()
        for name in self.urls:
            shell(f"umount -l {self.folder / name}")

    def coordinator(self, role):
        """The name of the leader, or of a follower."""
        rows = self.client.ask(f"SELECT coordinator FROM system.coordinators WHERE role = '{role}'")
        return f"c{rows[0][0]}"

    def told(self, name, sql):
        """What a client beside a coordinator is told by it, and after how many seconds."""
        begun = time.monotonic()
        command = [self.binary, "sql", "--url", self.urls[name], "-c", sql]
        done = subprocess.run(self.nodes[name].run(command), capture_output=True, text=True, timeout=PATIENCE)
        text = (done.stdout + done.stderr).strip().replace("\n", " ")
        return done.returncode, f"{text[:400]!r} after {time.monotonic() - begun:.1f} s"

    def next(self, attribute):
        """Seconds until the load is served again."""
        begun = time.monotonic()
        while getattr(self.load, attribute) < begun:
            if time.monotonic() - begun > PATIENCE:
                raise SystemExit(f"nothing is {attribute} again")
            time.sleep(0.01)
        return time.monotonic() - begun

    def well(self, fault):
        """Waits until every node does its part again, and speaks."""
        begun = time.monotonic()
        while True:
            shards = self.client.ask("SELECT count(*) FROM system.shards WHERE alive")[0][0]
            with contextlib.suppress(Exception):
                if int(shards) == 3 and all(self.client.ask_at(url, "SELECT count(*) FROM serial") for url in self.urls.values()):
                    break
            if time.monotonic() - begun > PATIENCE:
                raise SystemExit(f"{fault}: not well after {PATIENCE} s; {shards} shards are up")
            time.sleep(0.1)
        self.next("wrote"), self.next("read")
        if self.load.wrong:
            raise SystemExit(f"{fault}: wrong answers: {self.load.wrong[:3]}")
        print(f"{fault}: all is well {time.monotonic() - begun:.1f} s after", flush=True)
        for line in self.load.failed():
            print(f"    {line}")

    def cut_off(self, name, what):
        with self.nodes[name].cut_off():
            # Clients of the others; those of a coordinator that is cut off wait as long as their own patience lasts.
            client, begun = Client([url for other, url in self.urls.items() if other != name]), time.monotonic()
            client.ask("SELECT count(*) FROM serial")
            read = time.monotonic() - begun
            client.ask("INSERT INTO probe VALUES (1)")
            print(f"{what} ({name}) is cut off: others read again after {read:.1f} s, "
                  f"write after {time.monotonic() - begun:.1f} s", flush=True)
            if name.startswith("c"):
                code, told = self.told(name, "SELECT count(*) FROM serial")
                if code == 0:
                    raise SystemExit(f"a coordinator that is cut off answers: {told}")
                print(f"  a client beside it is told {told}")
            time.sleep(OUTAGE)
        self.well(what)

    def no_majority(self):
        one, other = self.coordinator("follower"), self.coordinator("leader")
        left = next(name for name in self.urls if name not in (one, other))
        with self.nodes[one].cut_off(), self.nodes[other].cut_off():
            for sql in ("SELECT count(*) FROM serial", "INSERT INTO fixed VALUES (0)"):
                code, told = self.told(left, sql)
                if code == 0:
                    raise SystemExit(f"without a majority {sql!r} is answered: {told}")
                print(f"no majority: {sql!r} gets {told}", flush=True)
        self.well("no majority")

    def disk_full(self):
        name = self.coordinator("leader")
        node, filler = self.nodes[name], self.folder / name / "filler"
        # Unbuffered: a buffer would be written once more as the file is closed.
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        print(f"disk of the leader ({name}) full: rows are written again after {self.next('wrote'):.1f} s, "
              f"read after {self.next('read'):.1f} s", flush=True)
        # Until its log has used up the room that it had set aside.
        columns, tables = ", ".join(f"column_{n} BIGINT" for n in range(1000)), 0
        while not node.ended():
            if tables == 40:
                raise SystemExit("a coordinator without room for its log goes on")
            self.client.ask(f"CREATE TABLE IF NOT EXISTS wide_{tables} ({columns})")
            tables += 1
        print(f"  it ended itself while {tables} tables of 1000 columns were created, all of which are there")
        filler.unlink()
        node.start()
        for number in range(tables):
            self.client.ask(f"SELECT count(*) FROM wide_{number}")
            self.client.ask(f"DROP TABLE IF EXISTS wide_{number}")
        self.well("disk of the leader full")

    def no_object_store(self, seconds):
        self.s3.faults("down=true")
        begun, reads = time.monotonic(), 0
        code, told = self.told("c1", "CREATE TABLE other (n BIGINT)")
        if code == 0:
            raise SystemExit("a table is created without an object store")
        print(f"object store away: CREATE TABLE gets {told}", flush=True)
        while time.monotonic() - begun < seconds:
            reads += 1
            if self.next("read") > 3:
                raise SystemExit("rows are not read without an object store")
            time.sleep(0.2)
        self.s3.faults("")
        self.well(f"object store away for {seconds} s")

    def damaged_object(self):
        self.client.ask(f"CREATE TABLE damaged AS {NUMBERS}")
        files = sorted(self.s3.root.glob("bucket/tundra/default/*/data/*.parquet"), key=lambda path: path.stat().st_mtime)
        wanted = [path for path in files if path.stat().st_size > 50_000]
        path = wanted[-1]
        bytes_ = bytearray(path.read_bytes())
        for at in range(4, min(len(bytes_) // 2, 20_000)):
            bytes_[at] ^= 0x5A
        path.write_bytes(bytes_)
        answer = self.client.ask("SELECT sum(v % 7) FROM damaged")[0][0]
        if int(answer) != SEVENTHS:
            raise SystemExit(f"a resident table answers {answer}")
        # All that was brought in is lost: the object must be read again.
        for node in [node for name, node in self.nodes.items() if name.startswith("s")]:
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
            shell(f"rm -rf {self.folder / node.name / 'segments'}")
            node.start()
        last = time.monotonic() + PATIENCE
        while True:
            code, told = self.told("c1", "SELECT sum(v % 7) FROM damaged")
            if path.name in told or time.monotonic() > last:
                break
            time.sleep(1)
        print(f"damaged object: a query of its table gets {told}", flush=True)
        if code == 0 or path.name not in told:
            raise SystemExit("the damaged object is not named")
        self.client.ask("DROP TABLE damaged")
        self.well("damaged object")


def run(arguments):
    with tempfile.TemporaryDirectory(prefix="tundra-faults.") as folder:
        faults = Faults(arguments, Path(folder))
        try:
            faults.begin()
            faults.well("start")
            faults.cut_off(faults.coordinator("leader"), "the leader")
            faults.cut_off(faults.coordinator("follower"), "a coordinator that follows")
            faults.cut_off("s2", "a shard")
            faults.no_majority()
            faults.disk_full()
            faults.no_object_store(arguments.store_outage)
            faults.damaged_object()
            faults.load.end()
            print(f"{faults.load.acknowledged} rows were acknowledged, none was missed")
        except BaseException:
            print(Path(folder, "log").read_text()[-6000:], file=sys.stderr)
            raise
        finally:
            faults.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--s3", required=True, metavar="BINARY")
    parser.add_argument("--store-outage", type=int, default=60, help="seconds without an object store")
    arguments = parser.parse_args()
    arguments.binary = os.path.abspath(arguments.binary)
    # The driver complains where a statement outlives its connection.
    sys.unraisablehook = lambda _: None
    if INSIDE not in os.environ:
        # Networks, mounts and processes of its own: all of it ends with it.
        spaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        sys.exit(subprocess.run([*spaces, sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"}).returncode)
    run(arguments)


main()

#!/usr/bin/env python3
"""Takes the control plane away from a cluster under load, and puts an older copy of its database back.

    away.py --binary target/release/tundra --s3 target/debug/tundra-s3-server --minutes 60

Three coordinators and three shards on an S3 server serve two tenants, whose clients show API keys, access tokens of
the control plane and tokens of an OpenID provider. The control plane is killed right after decisions; for the time
given its clients go on, open new sessions, and show new tokens of the provider, while nodes are killed in turn: no
statement may fail. What was decided last is in force all the while. Meanwhile a second control plane on a copy of the
database decides something. The first one is started again, then once more on an older backup: it is to take over what
the cluster has, to tell of each thing, and never to publish anything that is older than what coordinators have.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from plane import Plane, Provider, copy, get, put_back, until
from load import Load, Versions, ask_once
from objects import S3
from processes import Cluster

ISSUER = "https://id.example"
ROWS = 1024
# Seconds between two nodes that are killed, and that a node may take to be back.
BETWEEN = (8, 30)
BACK = 60


class Surprises:
    """What was not as it is to be."""

    def __init__(self):
        self.found, self.checks = [], 0

    def check(self, what, holds, detail=""):
        self.checks += 1
        if not holds:
            self.found.append(f"{what}: {detail}"[:600])
            print(f"SURPRISE {self.found[-1]}", file=sys.stderr, flush=True)


def key_id(key):
    return key.split("_")[1]


def answer(url, shown, sql="SELECT min(owner) FROM item"):
    """The first value, or the error."""
    try:
        return str(ask_once(url, shown, sql)[0][0])
    except Exception as error:
        return f"error: {error}"


def everywhere(cluster, surprises, what, shown, expected):
    """Every coordinator that runs answers as is to be."""
    for url in cluster.addresses:
        # One that was just killed is back soon.
        said = answer(url, shown)
        last = time.monotonic() + BACK
        while any(word in said for word in ("transport", "connection", "refused", "EOF")) and time.monotonic() < last:
            time.sleep(0.3)
            said = answer(url, shown)
        surprises.check(f"{what}, at {url}", expected in said, said)


def kill_node(cluster, names, killed):
    """Ends a node, which is started again."""
    for process, name in cluster.nodes().items():
        if name == names[len(killed) % len(names)]:
            os.kill(process, signal.SIGKILL)
            killed.append(name)
            return


def all_back(cluster):
    return len(cluster.nodes()) == cluster.nodes_at_start


def names_of(losses):
    return sorted(loss["name"] for loss in losses)


def policy(cluster):
    documents = get(f"{cluster.http[0]}/api/v1/policy")["documents"]
    return {document["name"]: document["version"] for document in documents}


class Run:
    def __init__(self, arguments, folder, log):
        self.arguments, self.folder, self.log = arguments, folder, log
        self.seconds = arguments.minutes * 60
        self.surprises, self.killed, self.figures = Surprises(), [], {}
        self.s3 = S3(arguments.s3, folder / "s3")
        options = ["--object-store", self.s3.location("tundra"), "--memory", "2GB", "--replicated-rows", "10",
                   "--bucket-rows", "100", "--buckets", "8", "--threads", "1"]
        self.cluster = Cluster(arguments.binary, folder / "nodes", 3, 3, options, self.s3.environment())
        self.data = folder / "control"
        self.plane = self.start(self.data)
        self.provider = Provider(folder)
        self.shown = {}

    def start(self, data):
        return Plane(self.arguments.binary, data, self.cluster.http, self.log)

    def say(self, what):
        print(f"{time.strftime('%X')} {what}", flush=True)

    def everywhere(self, what, shown, expected):
        everywhere(self.cluster, self.surprises, what, shown, expected)

    def set_up(self):
        """Two tenants with the same names, each with rows that say whose they are."""
        plane = self.plane
        for tenant in ("acme", "rival", "shut", "ended"):
            plane.run("tenant", "create", tenant, "--concurrency", "4")
            self.shown[tenant] = plane.run("tenant", "key", "create", tenant, "--user", "etl")
        for tenant in ("acme", "rival"):
            body = {"issuer": f"{ISSUER}/{tenant}", "audience": "tundra-test", "jwks_url": self.provider.jwks_url, "tenant": tenant}
            plane.call("PUT", "issuers", body)
        self.shown["early"] = plane.run("tenant", "key", "create", "acme", "--user", "early")
        plane.published()
        for tenant in ("acme", "rival", "shut"):
            url, key = self.cluster.addresses[0], self.shown[tenant]
            until(f"{tenant} is served", lambda: answer(url, key, "SELECT 1") == "1")
            ask_once(url, key, f"CREATE TABLE item AS SELECT CAST(1 AS BIGINT) AS i, '{tenant}' AS owner")
            for step in range(10):
                ask_once(url, key, f"INSERT INTO item SELECT i + {1 << step}, owner FROM item")
            ask_once(url, key, "CREATE TABLE serial (n BIGINT)")

    def token_of(self, tenant):
        """A new token of the provider, at each session."""
        return lambda: self.provider.token(f"{ISSUER}/{tenant}", f"{tenant}-user", 120)

    def decide_last(self):
        """What the backup does not know, decided just before the control plane is killed."""
        plane, shown = self.plane, self.shown
        copy(self.data, self.folder / "backup")
        self.before_rotation = [key["id"] for key in plane.call("GET", "issuers")[0]["keys"]]
        # They are to outlast what comes; tokens live for a day at most.
        lifetime = f"{int(self.seconds + 1800)}s"
        for tenant in ("acme", "rival"):
            shown[f"token of {tenant}"] = plane.run("tenant", "token", tenant, "--user", "ann", "--lifetime", lifetime)
        self.short_s = max(10, int(self.seconds / 2))
        self.short_until = time.time() + self.short_s
        shown["short token"] = plane.run("tenant", "token", "acme", "--user", "bob", "--lifetime", f"{self.short_s}s")
        shown["short key"] = plane.run("tenant", "key", "create", "acme", "--user", "bob", "--lifetime", f"{self.short_s}s")
        rotated = plane.call("POST", "signing-keys/rotate")
        self.new_signing = [key["id"] for key in rotated["keys"] if key["id"] not in self.before_rotation]
        plane.run("tenant", "delete", "ended")
        plane.run("tenant", "set", "rival", "--concurrency", "6")
        shown["late"] = plane.run("tenant", "key", "create", "rival", "--user", "late")
        plane.run("tenant", "suspend", "shut")
        plane.run("tenant", "key", "revoke", "acme", key_id(shown["early"]))
        status = plane.published()
        plane.kill()
        self.killed_at = time.time()
        self.say(f"the control plane is killed at version {status['version']}")

    def in_force(self):
        """What was decided last, with every coordinator."""
        shown = self.shown
        for who, expected in [
            ("acme", "acme"), ("rival", "rival"), ("late", "rival"), ("token of acme", "acme"), ("token of rival", "rival"),
            ("early", "the API key is not known"), ("shut", "is not served"), ("ended", "the API key is not known"),
        ]:
            self.everywhere(who, shown[who], expected)
        for who, over in (("short token", "it has expired"), ("short key", "has expired")):
            left = self.short_until - time.time()
            if abs(left) > 5:
                self.everywhere(who, shown[who], "acme" if left > 0 else over)
        self.everywhere("a new token of the provider", self.token_of("acme")(), "acme")

    def away(self):
        """The time without a control plane."""
        cluster, end = self.cluster, time.time() + self.seconds
        names = ["coordinator-1", "shard-1", "coordinator-2", "shard-2", "coordinator-3", "shard-3"]
        between, forked = min(BETWEEN[1], max(BETWEEN[0], self.seconds / 6)), False
        self.in_force()
        rounds = 0
        while time.time() < end:
            until("all nodes are back", lambda: all_back(cluster))
            kill_node(cluster, names, self.killed)
            rounds += 1
            next_kill = min(end, time.time() + between)
            if not forked and time.time() > end - self.seconds * 2 / 3:
                forked = True
                self.fork()
            if rounds % 2 == 0:
                self.in_force()
            time.sleep(max(0, next_kill - time.time()))
        until("all nodes are back", lambda: all_back(cluster))
        self.in_force()
        if not forked:
            self.fork()
        self.figures["rounds_of_checks"] = rounds // 2 + 2

    def fork(self):
        """Another control plane on a copy of the database decides something, and is gone again."""
        copy(self.data, self.folder / "forked")
        other = self.start(self.folder / "forked")
        self.shown["forked"] = other.run("tenant", "key", "create", "acme", "--user", "forked")
        other.run("tenant", "set", "rival", "--concurrency", "5")
        status = other.published()
        other.kill()
        self.forked_version = status["version"]
        self.say(f"a second control plane has decided up to version {status['version']}")

    def again(self):
        """It is started again, and takes over what the second one has decided, no more and no less."""
        before = policy(self.cluster)
        self.plane = plane = self.start(self.data)
        begun = time.monotonic()
        losses = until("it tells what it lost", lambda: plane.call("GET", "losses"))
        status = plane.published()
        self.figures["reconciled_seconds"] = round(time.monotonic() - begun, 1)
        check = self.surprises.check
        losses = plane.call("GET", "losses")
        check("losses after a second control plane", names_of(losses) == ["keys/acme", "tenant/rival"], losses)
        check("it counts on from there", status["version"] >= self.forked_version, status)
        after = policy(self.cluster)
        # Its own retired signing keys are forgotten by the clock, which is the only thing that it may have to say.
        changed = {name for name in after if after[name] != before.get(name)}
        check("nothing is published that nobody decided", changed <= {"issuers"}, (before, after))
        told = json.loads(plane.run("audit", "list", "--json", "--limit", "1000"))
        check("the audit tells of losses", sum(entry["after"] is not None and "told" in entry["after"] for entry in told) == 2, told[-3:])
        check("the audit is whole", "are as they were written" in plane.run("audit", "verify"))
        self.everywhere("a key of the second control plane", self.shown["forked"], "acme")
        self.in_force()
        shown = self.shown["new"] = plane.run("tenant", "key", "create", "acme", "--user", "new")
        plane.published()
        self.everywhere("a key of after the outage", shown, "acme")

    def restored(self):
        """Its database is replaced by the backup."""
        self.plane.stop()
        before = policy(self.cluster)
        put_back(self.data, self.folder / "backup")
        self.plane = plane = self.start(self.data)
        begun = time.monotonic()
        until("it tells what it lost", lambda: plane.call("GET", "losses"))
        status = plane.published()
        self.figures["restored_seconds"] = round(time.monotonic() - begun, 1)
        losses = plane.call("GET", "losses")
        check = self.surprises.check
        expected = ["issuers", "keys/acme", "keys/ended", "keys/rival", "tenant/ended", "tenant/rival", "tenant/shut"]
        check("what the backup had lost is told, each thing", names_of(losses) == expected, names_of(losses))
        issuers = next((loss["told"] for loss in losses if loss["name"] == "issuers"), "")
        lines = plane.run("audit", "losses").splitlines()
        check("the command tells each, too", len(lines) == len(losses) and all("was taken over" in line for line in lines), lines)
        check("that a secret half is lost is told", f"signing key {self.new_signing[0]} is lost" in issuers, issuers)
        check("versions go on", status["version"] > max(before.values()), (status["version"], before))
        after = policy(self.cluster)
        changed = {name for name in after if after[name] != before.get(name)}
        check("nothing else is published than a new signing key", changed == {"issuers"} and before.keys() == after.keys(), (before, after))
        listed = json.loads(plane.run("tenant", "list", "--json"))
        check("it has the tenants of the cluster", {t["name"]: t["status"] for t in listed} ==
              {"acme": "active", "default": "active", "rival": "active", "shut": "suspended"}, listed)
        check("settings are those that were decided last",
              [t["settings"]["workload"]["concurrency"] for t in listed if t["name"] == "rival"] == [5], listed)
        check("the audit is whole", "are as they were written" in plane.run("audit", "verify"))
        # Revoked keys stay revoked, and what it can do again is in force.
        self.in_force()
        for who in ("forked", "new"):
            self.everywhere(who, self.shown[who], "acme")
        plane.run("tenant", "key", "revoke", "rival", key_id(self.shown["late"]))
        token = plane.run("tenant", "token", "acme", "--user", "ann")
        plane.run("tenant", "resume", "shut")
        plane.published()
        self.everywhere("a key that is revoked after all", self.shown["late"], "the API key is not known")
        self.everywhere("a token of the new signing key", token, "acme")
        self.everywhere("a tenant that is resumed", self.shown["shut"], "shut")

    def rows_are_there(self, load):
        for tenant, acknowledged in load.acknowledged.items():
            rows = ask_once(self.cluster.addresses[0], self.shown[tenant], "SELECT n FROM serial")
            missing = acknowledged - {int(row[0]) for row in rows}
            self.surprises.check(f"acknowledged rows of {tenant}", not missing, sorted(missing)[:5])

    def run(self):
        self.set_up()
        self.decide_last()
        callers = [(f"{tenant} by {kind}", tenant, shown) for tenant in ("acme", "rival") for kind, shown in (
            ("key", lambda tenant=tenant: self.shown[tenant]),
            ("token", lambda tenant=tenant: self.shown[f"token of {tenant}"]),
            ("provider's token", self.token_of(tenant)))]
        versions = Versions(self.cluster.http)
        load = Load(self.cluster.addresses, callers, ROWS, self.arguments.pause, self.arguments.seed)
        self.away()
        self.figures["away_seconds"] = round(time.time() - self.killed_at)
        self.say("the control plane comes back")
        self.again()
        self.say("its database is an older backup")
        self.restored()
        load.stop()
        self.rows_are_there(load)
        self.surprises.check("no statement fails", not load.failures, load.failures[:5])
        self.surprises.check("versions never go back", not versions.back, versions.back[:5])
        code = self.cluster.stop()
        self.plane.stop()
        self.s3.stop()
        self.surprises.check("the cluster ends well", code == 0, code)
        kinds = [name.split("-")[0] for name in self.killed]
        return {**load.figures(), "failed_statements": len(load.failures), "looks_at_versions": versions.looks,
                "coordinators_killed": kinds.count("coordinator"), "shards_killed": kinds.count("shard"), **self.figures,
                "checks": self.surprises.checks, "surprises": self.surprises.found}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--s3", required=True, metavar="BINARY")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long the control plane is away")
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between two statements of a client")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--output", help="a file for the figures, as JSON")
    parser.add_argument("--log", help="a file for what control planes log")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    # The driver complains where a statement outlives its connection.
    sys.unraisablehook = lambda _: None
    with tempfile.TemporaryDirectory(prefix="tundra-away.") as folder, open(arguments.log or os.devnull, "w") as log:
        figures = {"seed": arguments.seed, "minutes": arguments.minutes, **Run(arguments, Path(folder), log).run()}
    print(json.dumps(figures, indent=2))
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(1 if figures["surprises"] else 0)


main()

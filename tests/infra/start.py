#!/usr/bin/env python3
"""Starts the clusters of infra/ for real: what the units run (with two shards), and what the compose file runs.

    start.py --binary target/release/tundra

The commands and variables are those of the files; only addresses become free ones of this machine, folders those of a
temporary folder, and the object store a folder, too. A cluster must become ready, keep a table and end when asked to.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from commands import INFRA, compose_services, environment_file, unit, unit_words

HEALTH = INFRA / "container/tundra-health"
START_SECONDS = 60


class Addresses:
    """Free addresses of this machine in the place of a cluster's."""

    def __init__(self):
        self.taken = {}

    def of(self, host, port):
        """What stands for HOST:PORT: the same every time."""
        if (host, port) not in self.taken:
            # All stay bound until the nodes start, so that none is given twice.
            stream, datagrams = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
            stream.bind(("127.0.0.1", 0))
            datagrams.bind(stream.getsockname())
            self.taken[host, port] = (stream, datagrams)
        return "127.0.0.1:%d" % self.taken[host, port][0].getsockname()[1]

    def in_text(self, text, own):
        """A text with all addresses replaced; those of all interfaces are `own`."""
        def replace(match):
            return self.of(own if match[1] == "0.0.0.0" else match[1], match[2])
        return re.sub(r"([\w.-]+):(7000|31337|8080)\b", replace, text)

    def port(self, host, port):
        return self.of(host, port).split(":")[1]

    def release(self):
        for sockets in self.taken.values():
            for each in sockets:
                each.close()


class Node:
    """A node as a file of infra/ has it: its name, where others find it, and the seconds it has to end."""

    def __init__(self, host, words, environment, stop_seconds):
        self.host, self.words, self.environment, self.stop_seconds = host, words, environment, stop_seconds
        self.role = words[0]


def of_units():
    nodes = []
    for number, role in enumerate(["coordinator"] * 3 + ["shard"] * 2, 1):
        host = f"10.0.0.{number}"
        environment = environment_file(role)
        for name in ["TUNDRA_LISTEN", "TUNDRA_FLIGHT", "TUNDRA_HTTP"]:
            if name in environment:
                environment[name] = re.sub(r"10\.0\.0\.\d+", host, environment[name])
        if role == "coordinator":
            environment["TUNDRA_ID"] = str(number)
        stop_seconds = int(unit(role)["TimeoutStopSec"][0])
        nodes.append(Node(host, unit_words(role, environment), environment, stop_seconds))
    return nodes


def of_compose():
    services = compose_services()
    services.pop("certificates")
    return [Node(name, service["command"], service["environment"], int(service["stop_grace_period"].rstrip("s")))
            for name, service in services.items()]


def query(binary, address, sql):
    command = [binary, "sql", "--url", f"grpc://{address}", "--format", "csv", "-c", sql]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
    return done.stdout.split() if done.returncode == 0 else done.stderr


def wait_for(what, holds, processes):
    """Waits until `holds` gives True; its last answer is told if it does not."""
    until = time.monotonic() + START_SECONDS
    while (answer := holds()) is not True:
        ended = [name for name, process in processes.items() if process.poll() is not None]
        if ended or time.monotonic() > until:
            raise SystemExit(f"infra: {what}: {', '.join(ended)} ended" if ended else f"infra: {what}: {answer}")
        time.sleep(0.2)


def healthy(*words):
    done = subprocess.run([HEALTH, *words], stderr=subprocess.DEVNULL)
    return done.returncode == 0 or "is not healthy"


def start(binary, nodes, folder):
    addresses = Addresses()
    objects = folder / "objects"
    objects.mkdir(parents=True)
    names = [word for node in nodes for word in ["--name", node.host]]
    subprocess.run([binary, "cert", "--data", folder / "certificates", *names], check=True, stdout=subprocess.DEVNULL)
    commands = []
    for node in nodes:
        words = [addresses.in_text(word, node.host) for word in node.words]
        environment = {**os.environ, **node.environment, "TUNDRA_DATA": str(folder / node.host),
                       "TUNDRA_CERTIFICATES": str(folder / "certificates" / node.host)}
        if "TUNDRA_OBJECT_STORE" in node.environment:
            environment["TUNDRA_OBJECT_STORE"] = f"file://{objects}"
        commands.append(([binary, *words], environment))
    coordinators = [node.host for node in nodes if node.role == "coordinator"]
    flights = [addresses.of(host, "31337") for host in coordinators]
    checks = {host: ("http", addresses.port(host, "8080")) for host in coordinators}
    checks |= {node.host: ("node", addresses.port(node.host, "7000")) for node in nodes if node.role == "shard"}
    addresses.release()
    processes = {}
    try:
        for node, (words, environment) in zip(nodes, commands):
            processes[node.host] = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
        for host, words in checks.items():
            wait_for(host, lambda: healthy(*words), processes)
        shards = str(len(nodes) - len(coordinators))
        count = "SELECT count(*) AS n FROM system.shards"
        wait_for("shards", lambda: (got := query(binary, flights[0], count)) == ["n", shards] or got, processes)
        made = query(binary, flights[0], "CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2)")
        got = query(binary, flights[-1], "SELECT sum(a) AS n FROM t")
        if got != ["n", "3"]:
            raise SystemExit(f"infra: a table of 1 and 2 was made ({made}), and their sum is {got}")
        for node in nodes:
            processes[node.host].send_signal(signal.SIGTERM)
        for node in nodes:
            if status := processes[node.host].wait(timeout=node.stop_seconds):
                raise SystemExit(f"infra: {node.host} ended with {status}")
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="a built tundra")
    binary = parser.parse_args().binary.resolve()
    with tempfile.TemporaryDirectory() as folder:
        for name, nodes in [("units", of_units()), ("compose", of_compose())]:
            begun = time.monotonic()
            start(binary, nodes, Path(folder) / name)
            print(f"infra: {len(nodes)} nodes of {name} came up, kept a table and ended"
                  f" in {time.monotonic() - begun:.1f} s")


if __name__ == "__main__":
    main()

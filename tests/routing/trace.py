#!/usr/bin/env python3
"""Replays a mixed trace of queries with all of them on Tundra, all on PostgreSQL, each where it was quickest, and by rules.

    trace.py --binary target/release/tundra --record tests/routing/trace.json
    trace.py --binary target/release/tundra --quick

A PostgreSQL of its own and a Tundra have the same tables: those of TPC-H, and `events`, which is large and has a random text as
its key. PostgreSQL has indexes on the keys that look-ups use.
The trace is drawn by a seed: look-ups by key, small ranges, and analytical queries, by several clients. Each query is first
asked alone on both engines; what was quickest there is the best choice in hindsight. Answers of both are compared.

The policies are run in turns, `--turns` times; a figure is the sum of the latencies of all queries, the median of the turns.
With `--quick` the trace is short, and only answers and that queries go where they should are looked at: times of a busy
machine say nothing.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import adbc_driver_postgresql

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tpch"), str(HERE.parent / "foreign")]
specification = importlib.util.spec_from_file_location("foreign_check", HERE.parent / "foreign" / "check.py")
foreign = importlib.util.module_from_spec(specification)
specification.loader.exec_module(foreign)
from check import difference  # noqa: E402
from parameters import drawn  # noqa: E402

# What an operator would write: PostgreSQL finds rows by its indexes where Tundra would have to look at a large table, and
# Tundra computes.
RULES = [
    {"name": "look-ups that Tundra scans for", "engine": "pg",
     "when": {"shape": ["lookup"], "pushed": ["whole"], "predicted_ms": {"at_least": 3}}},
    {"name": "what is in memory", "engine": "tundra", "when": {"resident": {"at_least": 0.5}}},
    {"name": "the rest", "engine": "fastest"},
]
# Queries by their part of the trace, in thousandths.
MIX = {"event": 480, "order": 160, "lines": 140, "customer": 80, "range": 80, "analysis": 60}
ANALYSES = [1, 3, 5, 6, 10, 12, 14, 19]


class Data:
    """Both engines with the same rows."""

    def __init__(self, folder, arguments):
        self.arguments, self.folder = arguments, folder
        self.control = self.front = None
        foreign.ARGUMENTS = arguments
        self.postgres = foreign.Postgres()
        try:
            self.fill()
        except BaseException:
            self.stop()
            raise

    def fill(self):
        arguments, folder = self.arguments, self.folder
        self.front = foreign.Front(folder, [
            "--sample", f"tpch:{arguments.scale}", "--memory", arguments.memory, "--foreign-drivers",
            f"postgresql={adbc_driver_postgresql._driver_path()}", "--allow-foreign", "127.0.0.1"])
        client = self.client()
        foreign.load(self.postgres, client, f"{folder}/front")
        self.postgres.psql(
            "CREATE TABLE events (event varchar(32) NOT NULL, account bigint NOT NULL, day date NOT NULL, "
            "kind varchar(10) NOT NULL, payload varchar(200) NOT NULL); INSERT INTO events SELECT md5(i::text), i * 7919 % 100003, "
            "DATE '2020-01-01' + (i % 1500)::integer, 'kind ' || i % 13, repeat(md5((i * 3)::text), 3) "
            f"FROM generate_series(1, {arguments.events}::bigint) i; CREATE INDEX ON events (event); ANALYZE events")
        word = foreign.PASSWORD.replace("'", "''")
        client.rows(f"CREATE SERVER pg FOREIGN DATA WRAPPER postgresql OPTIONS (host '127.0.0.1', "
                    f"port '{self.postgres.port}', user 'tundra', password '{word}', dbname 'postgres')")
        client.rows("CREATE SCHEMA pg")
        client.rows("IMPORT FOREIGN SCHEMA public FROM SERVER pg INTO pg")
        client.rows("CREATE TABLE events AS SELECT * FROM pg.events")
        command = [arguments.binary, "control", "--data", f"{folder}/control", "--listen", "127.0.0.1:0",
                   "--coordinators", self.front.http]
        self.control = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.control_url = re.search(r"http://[^\s]+", self.control.stdout.readline())[0]

    def client(self):
        return foreign.Client(self.front.url)

    def route(self, rules, otherwise="tundra", explore_every=0):
        """Publishes rules, and waits until they count."""
        file = Path(self.folder, "routes.json")
        routes = {"twins": [{"table": "main.*", "foreign": "pg.*"}], "rules": rules, "otherwise": otherwise,
                  "may_force": {"users": ["anonymous"]}, "explore_every": explore_every}
        file.write_text(json.dumps(routes))
        told = subprocess.run([self.arguments.binary, "route", "set", "default", "--file", file, "--control-url", self.control_url,
                               "--json"], check=True, capture_output=True, text=True).stdout
        version, deadline = json.loads(told)["version"], time.monotonic() + 30
        while True:
            shown = subprocess.run([self.arguments.binary, "admin", "--url", self.front.http, "policy", "--json"], check=True,
                                   capture_output=True, text=True).stdout
            if any(one["name"] == "routes/default" and one["version"] >= version for one in json.loads(shown)["documents"]):
                return
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)

    def stop(self):
        if self.control:
            self.control.terminate()
            self.control.wait(timeout=20)
        if self.front:
            self.front.stop()
        self.postgres.stop()


def trace(arguments):
    """Queries, each with its kind."""
    chance = random.Random(arguments.seed)
    orders = int(float(arguments.scale) * 1_500_000)
    key = lambda: (lambda number: number // 8 * 32 + number % 8)(chance.randint(1, orders))
    kinds = chance.choices(list(MIX), MIX.values(), k=arguments.queries)
    queries = []
    for place, kind in enumerate(kinds):
        if kind == "event":
            event = hashlib.md5(str(chance.randint(1, arguments.events)).encode()).hexdigest()
            sql = f"SELECT event, account, day, kind, payload FROM events WHERE event = '{event}'"
        elif kind == "order":
            sql = f"SELECT o_orderkey, o_custkey, o_orderstatus, o_totalprice, o_orderdate FROM orders WHERE o_orderkey = {key()}"
        elif kind == "lines":
            sql = ("SELECT l_linenumber, l_partkey, l_quantity, l_extendedprice, l_shipdate FROM lineitem "
                   f"WHERE l_orderkey = {key()} ORDER BY l_linenumber")
        elif kind == "customer":
            customer = chance.randint(1, orders // 10)
            sql = f"SELECT o_orderkey, o_orderdate, o_totalprice FROM orders WHERE o_custkey = {customer} ORDER BY o_orderkey"
        elif kind == "range":
            first = key()
            sql = ("SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) FROM lineitem "
                   f"WHERE l_orderkey BETWEEN {first} AND {first + 400} GROUP BY l_orderkey ORDER BY l_orderkey")
        else:
            sql = drawn(chance.choice(ANALYSES), f"{arguments.seed} {place}", float(arguments.scale))
        queries.append((kind, sql))
    return queries


def alone(client, queries, failures):
    """What each query takes alone on each engine, and what it gives."""
    took = {}
    for engine in ["tundra", "pg"]:
        client.rows(f"SET engine = '{engine}'")
        answers = []
        for kind, sql in queries:
            least = float("inf")
            for _ in range(2):
                begun = time.perf_counter()
                rows = client.rows(sql)
                least = min(least, time.perf_counter() - begun)
            took.setdefault((kind, sql), {})[engine] = least
            answers.append(rows)
        if engine == "tundra":
            expected = answers
    for (kind, sql), actual, wanted in zip(queries, answers, expected):
        problem = difference(actual, wanted)
        if problem:
            failures.append(f"{kind}: {problem}: {sql}")
    return took, dict(zip(queries, expected))


def replay(data, queries, choose, expected, failures):
    """The latency of each query, asked by several clients in turn; `choose` says which engine a query is forced to."""
    latencies, lock, left = [0.0] * len(queries), threading.Lock(), iter(range(len(queries)))
    answers = [None] * len(queries)
    errors = []

    def ask():
        # A session for each engine: what is measured are queries alone.
        clients = {}
        while True:
            with lock:
                place = next(left, None)
            if place is None:
                return
            query = queries[place]
            try:
                wanted = choose(query)
                if wanted not in clients:
                    clients[wanted] = data.client()
                    clients[wanted].rows(f"SET engine = '{wanted}'")
                begun = time.perf_counter()
                answers[place] = clients[wanted].rows(query[1])
                latencies[place] = time.perf_counter() - begun
            except Exception as error:
                errors.append(f"{query}: {error}")
                return

    threads = [threading.Thread(target=ask) for _ in range(data.arguments.clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(errors[0])
    wall = time.perf_counter() - begun
    for query, rows in zip(queries, answers):
        problem = difference(rows, expected[query])
        if problem:
            failures.append(f"replayed {query[0]}: {problem}: {query[1]}")
    return latencies, wall


def by_kind(queries, latencies):
    kinds = {}
    for (kind, _), latency in zip(queries, latencies):
        kinds.setdefault(kind, []).append(latency)
    return {kind: {"queries": len(all), "median_ms": round(statistics.median(all) * 1e3, 2), "total_s": round(sum(all), 3)}
            for kind, all in sorted(kinds.items())}


def routed(client, sql):
    return next(line for (line,) in client.rows(f"EXPLAIN ROUTE {sql}") if line.startswith("engine: "))[8:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--scale", default="0.1")
    parser.add_argument("--events", type=int, default=1_500_000)
    parser.add_argument("--memory", default="400MB")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--lookup-ms", type=float, default=3, help="look-ups that Tundra is expected to take as long for go to PostgreSQL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", help="write the figures here")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.scale, arguments.events, arguments.queries, arguments.turns = "0.01", 50_000, 80, 1
        arguments.lookup_ms = 1.1
    RULES[0]["when"]["predicted_ms"] = {"at_least": arguments.lookup_ms}
    failures = []
    with tempfile.TemporaryDirectory(prefix="tundra-routing.") as folder:
        data = Data(folder, arguments)
        try:
            client, queries = data.client(), trace(arguments)
            data.route(RULES)
            took, expected = alone(client, queries, failures)
            client.rows("SET engine = 'auto'")
            best = {query: min(engines, key=engines.get) for query, engines in took.items()}
            policies = {
                "all Tundra": (lambda query: "tundra", RULES, "tundra", 0),
                "all PostgreSQL": (lambda query: "pg", RULES, "tundra", 0),
                "hindsight": (lambda query: best[query], RULES, "tundra", 0),
                "rules": (lambda query: "auto", RULES, "tundra", 0),
                "fastest alone": (lambda query: "auto", [], "fastest", 20),
            }
            totals = {name: [] for name in policies}
            walls = {name: [] for name in policies}
            kinds = {}
            for turn in range(arguments.turns):
                for name, (choose, rules, otherwise, explore_every) in policies.items():
                    data.route(rules, otherwise, explore_every)
                    latencies, wall = replay(data, queries, choose, expected, failures)
                    totals[name].append(sum(latencies))
                    walls[name].append(wall)
                    kinds[name] = by_kind(queries, latencies)
                    print(f"turn {turn + 1}, {name:15}: {sum(latencies):8.2f} s of latency, {wall:7.2f} s on the clock", flush=True)
            data.route(RULES)
            decided = Counter((kind, routed(client, sql)) for kind, sql in queries)
            chosen = Counter((kind, best[(kind, sql)]) for kind, sql in queries)
            for (kind, engine), count in sorted(decided.items()):
                print(f"rules: {kind:10} {engine:7} {count:4}, in hindsight {chosen[(kind, engine)]:4}")
            event = next(sql for kind, sql in queries if kind == "event")
            analysis = next(sql for kind, sql in queries if kind == "analysis")
            for sql, engine in [(event, "pg"), (analysis, "tundra")]:
                if routed(client, sql) != engine:
                    failures.append(f"not on {engine}: " + "\n".join(line for (line,) in client.rows(f"EXPLAIN ROUTE {sql}")))
            lines = lambda sql: [line for (line,) in client.rows(f"EXPLAIN ROUTE {sql}")]
            decisions = [int(line.split()[2]) for _, sql in queries[:200] for line in lines(sql) if line.startswith("decided in ")]
            shapes = client.rows("SELECT count(*) FROM system.routes WHERE samples > 0")[0][0]
            if shapes == 0:
                failures.append("nothing was measured")
            # A server that is away: Tundra answers, and says so.
            data.postgres.halt()
            fallen = client.rows(event)
            failed = client.rows("SELECT sum(failures) FROM system.routes")[0][0]
            data.postgres.start()
            problem = difference(fallen, expected[("event", event)])
            if problem or len(fallen) != 1 or not failed:
                failures.append(f"not answered while the server was away: {problem}: {fallen}, {failed} failures recorded")
        finally:
            data.stop()
    medians = {name: statistics.median(all) for name, all in totals.items()}
    hindsight = medians["hindsight"]
    summary = {
        "scale": float(arguments.scale), "events": arguments.events, "memory": arguments.memory, "queries": arguments.queries,
        "clients": arguments.clients, "turns": arguments.turns, "seed": arguments.seed, "answers_equal": not failures,
        "policies": {name: {
            "latency_s": round(medians[name], 3), "against_hindsight": round(medians[name] / hindsight, 3),
            "turns_s": [round(one, 3) for one in totals[name]], "clock_s": round(statistics.median(walls[name]), 3),
            "kinds": kinds[name]} for name in policies},
        "decision_us": {"median": statistics.median(decisions), "most": max(decisions)},
        "decided": {f"{kind} on {engine}": count for (kind, engine), count in sorted(decided.items())},
        "hindsight": {f"{kind} on {engine}": count for (kind, engine), count in sorted(chosen.items())},
    }
    for name, median in medians.items():
        print(f"{name:15}: {median:8.2f} s, {median / hindsight:5.2f} of hindsight")
    if arguments.record:
        Path(arguments.record).write_text(json.dumps(summary, indent=1) + "\n")
    print("\n".join(failures) or "routing: everything passed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

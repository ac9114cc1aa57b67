#!/usr/bin/env python3
"""Kills nodes of a cluster while clients ask it the 22 TPC-H queries, and says what the clients saw.

    kills.py --binary target/release/tundra --kills 200

`tundra cluster` runs on this machine with two copies of every bucket and starts nodes again that end. One node at a
time, drawn by the seed, is ended by SIGKILL while queries run. Every answer is compared with the one that the
undisturbed cluster gave. A client whose coordinator is gone asks another. Meanwhile a table gets rows: those
that were acknowledged must all be there at the end. With `--freeze 0.5`, half of the nodes are held up for a few
seconds instead, longer than their connections last.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight

from processes import Cluster

sys.path.insert(0, str(Path(__file__).parent.parent / "tpch"))
from parameters import validation  # noqa: E402

# Seconds that a node is held up.
FROZEN = 4
# Seconds after which a query is spoken of.
SLOW = 10


class Watch:
    """What all clients saw."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = []  # (began, ended, outcome)
        self.wrong = []
        self.errors = []
        self.stop = False

    def note(self, began, outcome, detail=""):
        with self.lock:
            self.asked.append((began, time.monotonic(), outcome))
            if outcome == "wrong":
                self.wrong.append(detail)
            elif outcome == "error":
                self.errors.append(detail)


class Client:
    """A client that goes to another coordinator where its own is gone."""

    def __init__(self, cluster, chance):
        self.cluster, self.chance = cluster, chance
        self.connection = self.url = None

    def ask(self, sql, deadline):
        """The rows, and how often it moved. Errors of the server are raised."""
        moved = 0
        while True:
            try:
                if self.connection is None:
                    self.url = self.chance.choice(self.cluster.addresses)
                    self.connection = flight.connect(self.url, autocommit=True)
                with self.connection.cursor() as cursor:
                    cursor.execute(sql)
                    return [tuple(map(str, row)) for row in cursor.fetchall()], moved
            except Exception as error:
                self.drop()
                text = str(error)
                gone = any(word in text for word in ("transport", "connection", "EOF", "refused", "Unavailable: error reading"))
                if not gone or time.monotonic() > deadline:
                    raise
                moved += 1
                time.sleep(0.02)

    def drop(self):
        try:
            if self.connection is not None:
                self.connection.close()
        except Exception:
            pass
        self.connection = None


def load(cluster, watch, queries, answers, seed, limit):
    chance = random.Random(seed)
    client = Client(cluster, chance)
    while not watch.stop:
        number = chance.choice(list(queries))
        began = time.monotonic()
        try:
            rows, moved = client.ask(queries[number], began + limit)
        except Exception as error:
            watch.note(began, "error", f"Q{number}: {error}")
            continue
        if time.monotonic() - began > SLOW:
            print(f"Q{number} took {time.monotonic() - began:.1f} s at {client.url}, until {time.ctime()}", file=sys.stderr)
        if time.monotonic() - began > limit:
            watch.note(began, "late")
        elif sorted(rows) != answers[number]:
            watch.note(began, "wrong", f"Q{number}: {rows[:2]} and not {answers[number][:2]}")
        else:
            watch.note(began, "moved" if moved else "right")
    client.drop()


def write(cluster, watch, acknowledged, seed):
    client = Client(cluster, random.Random(seed))
    number = 0
    while not watch.stop:
        number += 1
        try:
            client.ask(f"INSERT INTO serial VALUES ({number})", time.monotonic() + 60)
            acknowledged.append(number)
        except Exception:
            client.drop()
        # Now and then nobody changes anything for a while: what is noticed by changes alone must not go unnoticed.
        quiet = time.monotonic() + (15 if number % 5 == 0 else 1)
        while time.monotonic() < quiet and not watch.stop:
            time.sleep(0.2)
    client.drop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--coordinators", type=int, default=3)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--scale", default="0.1")
    parser.add_argument("--pause", type=float, default=6.0, help="seconds between kills")
    parser.add_argument("--freeze", type=float, default=0.0, help="the share of nodes that are held up instead")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that a query may take")
    parser.add_argument("--output", help="a file for the figures, as JSON")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    # The driver complains where a statement outlives its connection.
    sys.unraisablehook = lambda _: None
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="tundra-kills.") as folder:
        options = ["--sample", f"tpch:{arguments.scale}", "--replicated-rows", "1000", "--bucket-rows", "4096",
                   "--threads", "1", "--memory", "8GB"]
        cluster = Cluster(arguments.binary, folder, arguments.coordinators, arguments.shards, options)
        client = Client(cluster, random.Random(0))
        soon = time.monotonic() + 120
        queries = {number: validation(number) for number in range(1, 23)}
        answers = {number: sorted(client.ask(sql, soon)[0]) for number, sql in queries.items()}
        client.ask("CREATE TABLE serial (n BIGINT)", soon)
        watch, acknowledged, kills = Watch(), [], []
        threads = [threading.Thread(target=load, args=(cluster, watch, queries, answers, arguments.seed + 1 + n, arguments.limit),
                                    daemon=True) for n in range(arguments.clients)]
        threads.append(threading.Thread(target=write, args=(cluster, watch, acknowledged, arguments.seed), daemon=True))
        for thread in threads:
            thread.start()
        time.sleep(3)
        for _ in range(arguments.kills):
            waited = time.monotonic()
            while len(cluster.nodes()) < cluster.nodes_at_start and time.monotonic() - waited < 30:
                time.sleep(0.1)
            process, name = chance.choice(sorted(cluster.nodes().items(), key=lambda node: node[1]))
            if chance.random() < arguments.freeze:
                os.kill(process, signal.SIGSTOP)
                time.sleep(FROZEN)
                os.kill(process, signal.SIGCONT)
            else:
                os.kill(process, signal.SIGKILL)
                kills.append((time.monotonic(), name))
            time.sleep(arguments.pause * chance.uniform(0.7, 1.3))
        time.sleep(3)
        watch.stop = True
        last = time.monotonic() + arguments.limit + 10
        for thread in threads:
            thread.join(max(0, last - time.monotonic()))
        hung = sum(thread.is_alive() for thread in threads)
        last = time.monotonic() + 60
        found = [int(row[0]) for row in client.ask("SELECT n FROM serial", last)[0]]
        lost = sorted(set(acknowledged) - set(found))
        # A row whose statement was lost on its way may have been written twice, by its client's second try.
        doubled = len(found) - len(set(found))
        client.drop()
        code = cluster.stop()

    good = ("right", "moved")
    to_success = []
    for at, _ in kills:
        after = [ended - at for began, ended, outcome in watch.asked if began >= at and outcome in good]
        to_success.append(min(after, default=float("inf")))
    count = lambda outcome: sum(1 for asked in watch.asked if asked[2] == outcome)
    ranked = sorted(to_success) or [0]
    figures = {
        "seed": arguments.seed, "kills": len(kills), "freezes": arguments.kills - len(kills), "coordinators_killed": sum(n.startswith("coord") for _, n in kills),
        "queries": len(watch.asked), "right": count("right"), "moved_to_another_coordinator": count("moved"),
        "errors": count("error"), "late": count("late"), "hung": hung, "wrong": count("wrong"),
        "error_share": count("error") / max(1, len(watch.asked)),
        "acknowledged_rows": len(acknowledged), "lost_rows": len(lost), "rows_written_again": doubled,
        "seconds_to_success": {"median": statistics.median(ranked), "p99": ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))],
                               "most": ranked[-1]},
        "slowest_query_seconds": max((ended - began for began, ended, _ in watch.asked), default=0),
        "exit_code": code,
    }
    print(json.dumps(figures, indent=2))
    for text in (watch.wrong + watch.errors)[:10]:
        print(text[:300], file=sys.stderr)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(figures, indent=2) + "\n")
    failed = figures["wrong"] or figures["late"] or hung or lost or code != 0 or figures["error_share"] >= 0.01
    sys.exit(1 if failed else 0)


main()

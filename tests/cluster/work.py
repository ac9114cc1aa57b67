#!/usr/bin/env python3
"""How much work the 22 TPC-H queries are with 1, 2, 4 and 8 shards, and what the shards send each other.

    work.py --binary target/release/tundra --scale 10

One coordinator and so many shards, each a process with one worker thread, hold every bucket once. Of each query the
processor time of all processes is taken, as the mean of several runs, and the bytes of rows that went from shard to
shard. Work that falls as 1/N has the same total for every N. With `--in-process` the shards are parts of one process, which
tells what the way between processes costs.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight
from processes import Cluster

sys.path.insert(0, str(Path(__file__).parent.parent / "tpch"))
from parameters import validation  # noqa: E402


def exchanged_bytes(cluster):
    with urllib.request.urlopen(f"{cluster.http[0]}/metrics", timeout=10) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("tundra_exchanged_bytes_total"):
                return int(float(line.split()[-1]))
    return 0


def wait_for_tables(cursor):
    """A sample that was there already is brought onto the shards after the cluster is ready."""
    patience = time.monotonic() + 300
    for table in ["lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region"]:
        while True:
            try:
                cursor.execute(f"SELECT count(*) FROM {table}")
                cursor.fetchall()
                break
            except flight.OperationalError:
                if time.monotonic() > patience:
                    raise


def measure(arguments, shards, objects):
    with tempfile.TemporaryDirectory(prefix="tundra-work.") as folder:
        options = ["--sample", f"tpch:{arguments.scale}", "--memory", arguments.memory, "--object-store", f"file://{objects}"]
        options += ["--threads", str(shards)] if arguments.in_process else ["--threads", "1", "--replicas", "1"]
        cluster = Cluster(arguments.binary, folder, 0 if arguments.in_process else 1, shards, options + arguments.options)
        queries = {}
        with flight.connect(cluster.addresses[0], autocommit=True) as connection, connection.cursor() as cursor:
            wait_for_tables(cursor)
            for number in range(1, 23):
                # The first run plans.
                cursor.execute(validation(number))
                cursor.fetchall()
                sent, cpu, times = exchanged_bytes(cluster), cluster.cpu_seconds(), []
                for _ in range(arguments.runs):
                    begun = time.monotonic()
                    cursor.execute(validation(number))
                    cursor.fetchall()
                    times.append(time.monotonic() - begun)
                sent, cpu = exchanged_bytes(cluster) - sent, cluster.cpu_seconds() - cpu
                queries[number] = {"cpu_ms": cpu * 1e3 / arguments.runs, "ms": min(times) * 1e3,
                                   "exchanged_bytes": sent // arguments.runs}
            begun, cpu = time.monotonic(), cluster.cpu_seconds()
            time.sleep(3)
            idle = (cluster.cpu_seconds() - cpu) / (time.monotonic() - begun)
        cluster.stop()
    total = sum(query["cpu_ms"] for query in queries.values())
    print(f"{shards} shards: {total:.0f} ms of processor time, {sum(query['ms'] for query in queries.values()):.0f} ms, "
          f"{sum(query['exchanged_bytes'] for query in queries.values()) / 1e6:.2f} MB exchanged; idle {idle * 100:.1f} %", flush=True)
    return {"shards": shards, "cpu_ms": total, "idle_share": idle, "queries": queries}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--scale", default="1")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", default="60%")
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--objects", help="a folder that keeps the sample")
    parser.add_argument("--output", help="a file for the figures, as JSON")
    parser.add_argument("options", nargs="*", help="further options of `tundra cluster`, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tundra-work.") as folder:
        objects = arguments.objects or folder
        Path(objects).mkdir(exist_ok=True)
        all_runs = [measure(arguments, shards, objects) for shards in arguments.shards]
    print("\nquery  " + "".join(f"{run['shards']:>9} cpu ms {'sent KB':>9}" for run in all_runs))
    for number in range(1, 23):
        cells = (run["queries"][number] for run in all_runs)
        print(f"Q{number:<5}" + "".join(f"{cell['cpu_ms']:>16.1f} {cell['exchanged_bytes'] / 1e3:>9.1f}" for cell in cells))
    if arguments.output:
        Path(arguments.output).write_text(json.dumps({"scale": arguments.scale, "runs": all_runs}, indent=1) + "\n")


main()

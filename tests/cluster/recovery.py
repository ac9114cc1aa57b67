#!/usr/bin/env python3
"""How fast a cluster comes back from the object store alone.

    recovery.py --binary target/release/tundra --s3 target/debug/tundra-s3-server --scale 1

Three coordinators and four shards hold TPC-H, each bucket once, and a table of many small versions. All processes are
killed and all their disks wiped; then the cluster is started again on the same bucket. Every table must be there with
the rows of its last acknowledged version. The rate is given in MB of Parquet a second, beside what the cores need to
decode the same files (pyarrow, all cores): no hydration can be faster than that. The S3 server takes its part of the
same cores, so that the processor time of the nodes is given, too.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight
import pyarrow.parquet
from objects import S3
from processes import Cluster

TABLES = ["lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region"]
VERSIONS = 50


def answers(cluster):
    """Rows and a sum of every table."""
    with flight.connect(cluster.addresses[0], autocommit=True) as connection, connection.cursor() as cursor:
        found = {}
        for table in [*TABLES, "serial"]:
            cursor.execute(f"SELECT count(*) FROM {table}")
            found[table] = cursor.fetchall()
        cursor.execute("SELECT sum(n) FROM serial")
        found["sum"] = cursor.fetchall()
        cursor.execute("SELECT sum(l_extendedprice), sum(l_orderkey), max(l_comment) FROM lineitem")
        found["lineitem sums"] = cursor.fetchall()
        return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--s3", required=True, metavar="BINARY")
    parser.add_argument("--scale", default="1")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--output", help="a file for the figures, as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tundra-recovery.") as folder:
        folder = Path(folder)
        s3 = S3(arguments.s3, folder / "s3")
        options = ["--object-store", s3.location("tundra"), "--replicas", "1", "--memory", "70%"]
        sample = ["--sample", f"tpch:{arguments.scale}"]
        cluster = Cluster(arguments.binary, folder / "nodes", 3, arguments.shards, options + sample, s3.environment())
        with flight.connect(cluster.addresses[1], autocommit=True) as connection, connection.cursor() as cursor:
            for sql in ["CREATE TABLE serial (n BIGINT)", *(f"INSERT INTO serial VALUES ({n})" for n in range(VERSIONS))]:
                cursor.execute(sql)
                cursor.fetchall()
        before = answers(cluster)
        cluster.crash()
        shutil.rmtree(folder / "nodes")

        files = list(s3.root.glob("bucket/tundra/samples/**/*.parquet"))
        megabytes = sum(path.stat().st_size for path in files) / 1e6
        begun = time.monotonic()
        for path in files:
            pyarrow.parquet.read_table(path)
        decoding = time.monotonic() - begun

        begun = time.monotonic()
        cluster = Cluster(arguments.binary, folder / "nodes", 3, arguments.shards, options, s3.environment())
        ready = time.monotonic() - begun
        after = answers(cluster)
        whole = time.monotonic() - begun
        busy = cluster.cpu_seconds()
        code = cluster.stop()
        s3.stop()
    figures = {
        "scale": arguments.scale, "shards": arguments.shards, "parquet_mb": megabytes, "seconds_to_ready": ready,
        "seconds_to_right_answers": whole, "mb_per_second": megabytes / whole, "processor_seconds_of_nodes": busy,
        "decoding_mb_per_second": megabytes / decoding, "same": before == after, "exit_code": code,
    }
    print(json.dumps(figures, indent=2))
    if not figures["same"]:
        print(f"{before}\n{after}", file=sys.stderr)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(0 if figures["same"] and code == 0 else 1)


main()

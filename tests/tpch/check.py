#!/usr/bin/env python3
"""Compares TPC-H answers of `tundra up` with DuckDB's on the same Parquet files, over Flight SQL: by the ADBC driver
and by `tundra sql`.

    check.py --binary target/release/tundra --scale 0.01 --scale 1

Every query runs with the validation parameters and with further sets drawn by seed. Rows are compared as sets
where the order leaves ties; the columns that order a result must come in DuckDB's order. Decimals of the same
scale are equal exactly, floats to 1e-9 relative. The server is started a second time on its data and asked again.
With `--s3 target/debug/tundra-s3-server` its objects lie on an S3 server instead of a folder.
"""

import argparse
import csv
import decimal
import io
import math
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi
import duckdb

sys.path.insert(0, str(Path(__file__).parent.parent / "cluster"))
from objects import S3  # noqa: E402
from parameters import ORDER, drawn, validation, without_limit  # noqa: E402

TABLES = ["lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region"]


class Server:
    """`tundra up` on free ports, or `tundra cluster` with so many coordinators."""

    def __init__(self, binary, data, arguments, coordinators=0, s3=None):
        one = ["up", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        command = one if coordinators == 0 else ["cluster", "--coordinators", str(coordinators)]
        command = [binary, *command, "--data", data, *arguments]
        if s3:
            command += ["--object-store", s3.location("tundra")]
        started = time.monotonic()
        environment = s3.environment() if s3 else None
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        self.seconds = time.monotonic() - started
        found = re.match(r"tundra ready flight=(grpc://[^,\s]+)\S* http=http://\S+", line)
        if not found:
            raise SystemExit(f"the server did not start: {line!r}, exit code {self.process.wait()}")
        self.url = found[1]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        if code != 0:
            raise SystemExit(f"the server ended with exit code {code}")


class Checker:
    """`command` is the start of a `tundra sql` command that every query is asked by as well; empty: none."""

    def __init__(self, tundra, duck, command=()):
        self.tundra, self.duck, self.command = tundra, duck, list(command)
        self.failures = 0
        self.seconds = {"tundra": 0.0, "duckdb": 0.0}

    def rows(self, cursor, name, sql):
        started = time.perf_counter()
        cursor.execute(sql)
        rows = [tuple(row) for row in cursor.fetchall()]
        self.seconds[name] += time.perf_counter() - started
        return rows

    def check(self, number, label, sql):
        try:
            problem = self.compare(number, sql)
        except Exception as error:  # a failed query is a failed check, the others go on
            problem = str(error)
        if problem:
            self.failures += 1
            print(f"Q{number} ({label}): {problem}\n{sql}\n", file=sys.stderr)

    def compare(self, number, sql):
        expected = self.rows(self.duck, "duckdb", sql)
        actual = self.rows(self.tundra, "tundra", sql)
        if len(actual) != len(expected):
            return f"{len(actual)} rows, not {len(expected)}"
        key = lambda row: [row[column] for column in ORDER[number]]
        for position, (one, other) in enumerate(zip(actual, expected)):
            if not same(key(one), key(other)):
                return f"row {position} is {one} and not {other}"
        problem = difference(actual, expected)
        if problem and without_limit(sql) != sql:
            # Ties at the limit may be cut in either way: then all rows must agree, and these be among them.
            everything = self.rows(self.duck, "duckdb", without_limit(sql))
            problem = difference(self.rows(self.tundra, "tundra", without_limit(sql)), everything)
            whole = {canonical(row) for row in everything}
            problem = problem or next((f"{row} is no answer" for row in actual if canonical(row) not in whole), None)
        return problem or (self.command and self.compare_printed(sql, actual))

    def compare_printed(self, sql, rows):
        """`tundra sql` prints what the driver gives."""
        printed = subprocess.run([*self.command, "-c", sql, "--format", "csv"], capture_output=True, text=True)
        if printed.returncode != 0:
            return f"tundra sql: {printed.stderr}"
        # An empty line is a null in the only column.
        lines = [line or [""] for line in csv.reader(io.StringIO(printed.stdout))][1:]
        if len(lines) != len(rows):
            return f"tundra sql prints {len(lines)} rows, not {len(rows)}"
        read = [tuple(value_of(*cell) for cell in zip(line, row)) for line, row in zip(lines, rows)]
        problem = difference(read, rows)
        if problem and without_limit(sql) != sql:
            return None  # the limit may cut ties in either way
        return problem and f"tundra sql prints {problem}"


def value_of(text, like):
    """A printed value as a value of the type that the driver gave."""
    if text == "" and like is None:
        return None
    if isinstance(like, (int, float, decimal.Decimal)) and not isinstance(like, bool):
        return type(like)(text)
    return text if isinstance(like, str) else (like if str(like) == text else text)


def canonical(row):
    """Something to sort and look up by, blind to what may differ."""
    return tuple((f"{value:.6g}" if isinstance(value, (float, decimal.Decimal)) else str(value)) for value in row)


def difference(actual, expected):
    for one, other in zip(sorted(actual, key=canonical), sorted(expected, key=canonical)):
        if not same(one, other):
            return f"{one} and not {other}"
    return None if len(actual) == len(expected) else f"{len(actual)} rows, not {len(expected)}"


def same(left, right):
    return len(left) == len(right) and all(map(same_value, left, right))


def same_value(one, other):
    if isinstance(one, decimal.Decimal) and isinstance(other, decimal.Decimal):
        if one.as_tuple().exponent == other.as_tuple().exponent:
            return one == other
    if isinstance(one, (float, decimal.Decimal)) or isinstance(other, (float, decimal.Decimal)):
        if one is None or other is None:
            return one is other
        return math.isclose(float(one), float(other), rel_tol=1e-9)
    return one == other


def run(binary, scale, sets, shards, threads, data, coordinators, s3):
    arguments = ["--shards", str(shards)] + (["--threads", str(threads)] if threads else [])
    s3 = S3(s3, f"{data}/s3") if s3 else None
    server = Server(binary, data, ["--sample", f"tpch:{scale}", *arguments], coordinators, s3)
    objects = f"{data}/s3/bucket/tundra" if s3 else f"{data}/objects"
    duck = duckdb.connect()
    for table in TABLES:
        files = f"{objects}/samples/tpch/sf{scale}/{table}/*.parquet"
        duck.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{files}')")
    with adbc_driver_flightsql.dbapi.connect(server.url, autocommit=True) as connection:
        checker = Checker(connection.cursor(), duck, [binary, "sql", "--url", server.url])
        for number in range(1, 23):
            checker.check(number, "validation parameters", validation(number))
        standard = dict(checker.seconds)
        for seed in range(1, sets):
            for number in range(1, 23):
                checker.check(number, f"seed {seed}", drawn(number, seed, float(scale)))
    failures = checker.failures
    server.stop()
    again = Server(binary, data, arguments, coordinators, s3)
    with adbc_driver_flightsql.dbapi.connect(again.url, autocommit=True) as connection:
        checker = Checker(connection.cursor(), duck)
        for number in (1, 6, 18):
            checker.check(number, "after a restart", validation(number))
    failures += checker.failures
    again.stop()
    if s3:
        s3.stop()
    cluster = (f", {coordinators} coordinators" if coordinators else "") + (", on S3" if s3 else "")
    print(f"TPC-H scale factor {scale}, {shards} shard(s){cluster}: {sets} x 22 queries, {failures} failures; validation set "
          f"{standard['tundra']:.2f} s (DuckDB {standard['duckdb']:.2f} s); ready after {server.seconds:.1f} s, "
          f"again after {again.seconds:.2f} s", flush=True)
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--scale", action="append", required=True)
    parser.add_argument("--sets", type=int, default=4, help="parameter sets, the first is the validation set")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--coordinators", type=int, default=0, help="of a cluster of processes; 0: one process")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--s3", metavar="BINARY", help="an S3 server to keep the objects on")
    parser.add_argument("--data", help="a data folder to use and keep")
    arguments = parser.parse_args()
    failures = 0
    for scale in arguments.scale:
        with tempfile.TemporaryDirectory(prefix="tundra-tpch.") as folder:
            failures += run(arguments.binary, scale, arguments.sets, arguments.shards, arguments.threads,
                            arguments.data or folder, arguments.coordinators, arguments.s3)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

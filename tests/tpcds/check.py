#!/usr/bin/env python3
"""Compares answers to the 99 TPC-DS queries of Tundra with DuckDB's, on the same Parquet files, over Flight SQL.

    check.py --binary target/release/tundra --scale 1 --output tpcds.json
    check.py --binary target/debug/tundra --scale 0.01 --runs 1 --allow-refused

Data and queries come from DuckDB's TPC-DS extension, in a Python environment of its own that is made at the first run.
Rows come in the order that ORDER BY asks for, those alike in it in any; where LIMIT cuts such rows, all rows are compared.
Decimals of the same scale are equal exactly, floats and decimals beside them to 1e-9 relative. DuckDB divides integers
to integers and sorts nulls as docs/dialect.md says. Of each query the result is one of

equal, different, refused (not built; the first line of the error), failed (any other error), too slow (--limit)

and the shortest time of --runs. With --data the Parquet files are kept, and used again. Ends with a line that sums up,
and with 1 unless every query that was asked is equal (with --allow-refused: equal or refused).
"""

import sys
from pathlib import Path

import environment

if __name__ == "__main__":
    environment.enter()

import argparse  # noqa: E402
import collections  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

import duckdb  # noqa: E402

for beside in ("corpora", "tpch"):
    sys.path.insert(0, str(Path(__file__).parent.parent / beside))
import classes  # noqa: E402
from answers import unmatched_rows  # noqa: E402
from check import same, same_value  # noqa: E402
from sql_text import ordered_columns, without_limit  # noqa: E402
from tundra import Crashed, Failed, TimedOut, Tundra  # noqa: E402

SETTINGS = ["SET integer_division = true", "SET default_null_order = 'nulls_last_on_asc_first_on_desc'", "SET TimeZone = 'UTC'"]


class Reference:
    """DuckDB with the tables in memory, and as Parquet files in a folder."""

    def __init__(self, folder, scale, threads):
        self.connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
        self.connection.execute(f"LOAD '{environment.extension()}'")
        for setting in SETTINGS + ([f"SET threads = {threads}"] if threads else []):
            self.connection.execute(setting)
        self.queries = dict(self.connection.execute("SELECT query_nr, query FROM tpcds_queries()").fetchall())
        self.files = Path(folder, f"tpcds-sf{scale}")
        done = self.files / "done"
        if done.exists():
            for path in sorted(self.files.glob("*.parquet")):
                self.connection.execute(f"CREATE TABLE {path.stem} AS FROM read_parquet('{path}')")
        else:
            self.files.mkdir(parents=True, exist_ok=True)
            self.connection.execute(f"CALL dsdgen(sf = {scale})")
            for table in self.tables():
                self.connection.execute(f"COPY {table} TO '{self.files}/{table}.parquet' (FORMAT parquet, COMPRESSION zstd)")
            done.touch()

    def tables(self):
        return [name for (name,) in self.connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]

    def ask(self, sql):
        """(names, rows, seconds)."""
        begun = time.perf_counter()
        table = self.connection.execute(sql).to_arrow_table()
        return list(table.column_names), rows_of(table), time.perf_counter() - begun


class Server:
    """A Tundra that has the files as external tables."""

    def __init__(self, arguments, reference):
        self.reference = reference
        options = ["--allow-location", f"file://{reference.files}/"]
        options += ["--memory", arguments.memory] if arguments.memory else []
        options += ["--threads", str(arguments.threads)] if arguments.threads else []
        self.tundra = Tundra(arguments.binary, arguments.limit, options, arguments.coordinators, arguments.shards)
        self.fill()

    def fill(self):
        begun, self.tundra.limit = time.perf_counter(), 600
        for table in self.reference.tables():
            self.tundra.run(f"CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION 'file://{self.reference.files}/{table}.parquet'")
        self.tundra.disconnect()
        self.seconds = time.perf_counter() - begun

    def ask(self, sql):
        """(rows, seconds)."""
        begun = time.perf_counter()
        rows = rows_of(self.tundra.run(sql))
        return rows, time.perf_counter() - begun

    def again(self):
        self.tundra.again()
        self.fill()


def rows_of(table):
    return list(zip(*[column.to_pylist() for column in table.columns])) if table.num_rows else []


class Check:
    def __init__(self, reference, server, runs):
        self.reference, self.server, self.runs = reference, server, runs

    def check(self, number):
        """What came of a query, as the report has it."""
        sql = self.reference.queries[number]
        names, expected, duckdb_seconds = self.reference.ask(sql)
        for _ in range(1, self.runs):
            duckdb_seconds = min(duckdb_seconds, self.reference.ask(sql)[2])
        entry = {"query": number, "result": "equal", "rows": len(expected), "duckdb_seconds": round(duckdb_seconds, 4)}
        try:
            actual, seconds = self.server.ask(sql)
            for _ in range(1, self.runs):
                seconds = min(seconds, self.server.ask(sql)[1])
            entry["seconds"] = round(seconds, 4)
            problem = self.compare(sql, names, actual, expected)
            if problem:
                entry.update(result="different", message=problem)
        except Failed as error:
            reason = classes.reason_of(error, sql)
            result = {"refused": "refused", "syntax": "refused", "timeout": "too slow"}.get(reason.kind, "failed")
            entry.update(result=result, reason=f"{reason.kind}: {reason.form}", message=reason.message)
            if isinstance(error, Crashed):
                self.server.again()
            elif isinstance(error, TimedOut):
                self.server.tundra.disconnect()
        return entry

    def compare(self, sql, names, actual, expected):
        """What is wrong with the answer, or None."""
        if len(actual) != len(expected):
            return f"{len(actual)} rows, not {len(expected)}"
        for position, (one, other) in enumerate(zip(actual, expected)):
            if len(one) != len(other):
                return f"{len(one)} columns, not {len(other)}"
            for column in ordered_columns(sql, names) or []:
                if not same_value(one[column], other[column]):
                    return f"row {position} is {one} and not {other}: column {names[column]} orders the rows"
        missing, foreign = unmatched_rows(actual, expected, same)
        if foreign and without_limit(sql) != sql:
            # Rows that are alike in the order may be cut in either way: then all must agree, and these be among them.
            everything = self.reference.ask(without_limit(sql))[1]
            found = self.server.ask(without_limit(sql))[0]
            if len(found) != len(everything):
                return f"without LIMIT {len(found)} rows, not {len(everything)}"
            missing, foreign = unmatched_rows(found, everything, same)
            foreign = foreign or unmatched_rows(actual, everything, same)[1]
        return f"{foreign[0]} is no row of the answer, {missing[0] if missing else 'none'} is missing" if foreign else None


def line_of(entry):
    times = f"{entry.get('seconds', 0):8.3f} s {entry['duckdb_seconds']:8.3f} s" if "seconds" in entry else f"{'':10} {entry['duckdb_seconds']:8.3f} s"
    message = entry.get("message", "").split("\n")[0]
    return f"Q{entry['query']:<3} {entry['result']:9} {times} {entry['rows']:>6} rows  {message[:200]}".rstrip()


def grouped(entries):
    """The reasons of what is not equal, with the queries of each, the most frequent first."""
    groups = collections.defaultdict(list)
    for entry in entries:
        if entry["result"] != "equal":
            groups[entry.get("reason", entry["result"])].append(entry["query"])
    return [{"reason": reason, "queries": queries} for reason, queries in sorted(groups.items(), key=lambda one: -len(one[1]))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--scale", default="1")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--coordinators", type=int, default=0, help="of a cluster of processes; 0: one process")
    parser.add_argument("--query", type=int, action="append", metavar="K", help="only this one (may be repeated)")
    parser.add_argument("--runs", type=int, default=3, help="of each query; the shortest time counts")
    parser.add_argument("--limit", type=int, default=120, help="seconds for a query")
    parser.add_argument("--threads", type=int, help="of both engines")
    parser.add_argument("--memory", help="of Tundra")
    parser.add_argument("--data", metavar="DIR", help="a folder to keep the Parquet files in, and to find them in")
    parser.add_argument("--output", metavar="FILE", help="the report as JSON")
    parser.add_argument("--allow-refused", action="store_true", help="a query that is refused is no failure")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tundra-tpcds.") as folder:
        reference = Reference(Path(arguments.data or folder).resolve(), arguments.scale, arguments.threads)
        server = Server(arguments, reference)
        check, entries = Check(reference, server, arguments.runs), []
        for number in arguments.query or sorted(reference.queries):
            entries.append(check.check(number))
            print(line_of(entries[-1]), flush=True)
        server.tundra.stop()
    results = collections.Counter(entry["result"] for entry in entries)
    groups = grouped(entries)
    for group in groups:
        print(f"{len(group['queries']):>3} queries: {group['reason']}: {', '.join(map(str, group['queries']))}")
    both = [entry for entry in entries if "seconds" in entry]
    seconds, duckdb_seconds = (round(sum(entry[name] for entry in both), 3) for name in ("seconds", "duckdb_seconds"))
    if arguments.output:
        report = {"scale": arguments.scale, "shards": arguments.shards, "coordinators": arguments.coordinators, "runs": arguments.runs,
                  "results": results, "seconds": seconds, "duckdb_seconds": duckdb_seconds, "reasons": groups, "queries": entries}
        Path(arguments.output).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    cluster = f", {arguments.coordinators} coordinators" if arguments.coordinators else ""
    listed = ", ".join(f"{results[name]} {name}" for name in ("equal", "different", "refused", "failed", "too slow"))
    print(f"TPC-DS scale factor {arguments.scale}, {arguments.shards} shard(s){cluster}: of {len(entries)} queries {listed}; {len(both)} answered in "
          f"{seconds:.2f} s (DuckDB {duckdb_seconds:.2f} s); tables read in {server.seconds:.1f} s")
    passed = results["equal"] + (results["refused"] if arguments.allow_refused else 0)
    sys.exit(0 if entries and passed == len(entries) else 1)


if __name__ == "__main__":
    main()

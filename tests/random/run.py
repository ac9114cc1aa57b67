#!/usr/bin/env python3
"""Random queries over random tables, answered by Tundra and by DuckDB, and checked against themselves.

    run.py --binary target/debug/tundra --queries 2000
    run.py --binary target/release/tundra --queries 100000 --matrix --output random.json

A seed gives tables and the queries over them: most are compared with DuckDB's answer, some with another form of
themselves that Tundra has to answer alike (TLP and NoREC). Each seed runs with settings of its own: 1, 2 or 5 shards,
batches of 3 rows, one thread, without the optimiser or with joins in any order, without SIMD. What differs is printed with all that it takes to
see it again. `--seed N --seeds 1` repeats one. Ends with one line that sums up, and exit code 1 if anything differed.
"""

import argparse
import json
import math
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight

sys.path.insert(0, str(Path(__file__).parent.parent / "cluster"))
sys.path.insert(0, str(Path(__file__).parent.parent / "oracle"))
from engines import Duck, Refused, text  # noqa: E402
from grammar import FEATURES, Grammar  # noqa: E402
from processes import Cluster  # noqa: E402
from schema import tables  # noqa: E402

LIMIT = "120s"
# What a value may make of a calculation: it hangs on which rows an engine evaluates it for.
OF_VALUES = ["overflow", "out of range", "division by zero", "does not fit", "more than", "could not convert", "conversion"]


class Layout:
    """A server with so many shards and a SIMD level, started when it is first needed."""

    def __init__(self, binary, shards, simd, options):
        self.binary, self.shards, self.simd, self.options = binary, shards, simd, options
        self.cluster = self.folder = self.connection = None

    def __str__(self):
        return f"{self.shards} shard{'s' * (self.shards > 1)}, SIMD {self.simd}"

    def cursor(self):
        if self.cluster is None:
            self.folder = tempfile.TemporaryDirectory(prefix="tundra-random.")
            environment = {**os.environ, "TUNDRA_SIMD": self.simd, "TUNDRA_LOG": "error"}
            arguments = ["--memory", "2GB", "--object-store", "memory:///", *self.options]
            self.cluster = Cluster(self.binary, self.folder.name, 0, self.shards, arguments, environment)
            self.connection = flight.connect(self.cluster.addresses[0], autocommit=True)
        return self.connection.cursor()

    def is_alive(self):
        return self.cluster.process.poll() is None

    def forget(self):
        """After a crash: the next query starts another."""
        if self.cluster is not None:
            self.cluster.process.kill()
            self.cluster.process.wait()
            self.folder.cleanup()
            self.cluster = None

    def stop(self):
        if self.cluster is not None:
            self.connection.close()
            if (code := self.cluster.stop()) != 0:
                raise SystemExit(f"the server of {self} ended with exit code {code}")
            self.folder.cleanup()


def ask(cursor, sql):
    """Rows as text, or the error."""
    try:
        cursor.execute(sql)
        return [[text(value) for value in row] for row in cursor.fetchall()], None
    except (flight.Error, OSError) as error:
        return None, str(error)


def ask_duck(duck, sql):
    try:
        return duck.run(sql)[1], None
    except Refused as error:
        return None, str(error)


def number(cell):
    try:
        return float(cell)
    except ValueError:
        return None


def alike(one, other):
    """Whether two cells are the same value: numbers whatever their type, floats within 1e-9."""
    if one == other:
        return True
    left, right = number(one), number(other)
    return left is not None and right is not None and (
        math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9) or left != left and right != right)


def sortable(row):
    return [f"{value:.6g}" if (value := number(cell)) is not None else cell for cell in row]


def difference(expected, found, ordered):
    """What is different between two answers; None: nothing."""
    if len(expected) != len(found):
        return f"{len(found)} rows instead of {len(expected)}"
    if not ordered:
        expected, found = sorted(expected, key=sortable), sorted(found, key=sortable)
    for place, (row, got) in enumerate(zip(expected, found)):
        if len(row) != len(got) or not all(alike(*cells) for cells in zip(row, got)):
            return f"row {place}: {got} instead of {row}"
    return None


def is_of_values(error):
    return any(words in error.lower() for words in OF_VALUES)


class Judge:
    def __init__(self, arguments):
        self.arguments = arguments
        levels = ["avx512", "base"]
        self.layouts = [Layout(arguments.binary, shards, level, arguments.options) for shards in (1, 2, 5) for level in levels]
        self.counts, self.found = Counter(), []
        self.refusals = Counter()

    def settings(self, seed):
        chance = random.Random(f"settings {seed}")
        layout = self.layouts[seed % len(self.layouts)] if self.arguments.matrix else chance.choice(self.layouts)
        chosen = {"batch_rows": chance.choice([3, 3, 64, 2048]), "parallelism": chance.choice([1, 4]),
                  "optimizer": chance.choice(["on", "on", "off", f"random {seed}"])}
        return layout, chosen

    def report(self, kind, seed, layout, chosen, sql, what):
        self.counts[kind] += 1
        self.found.append({"kind": kind, "seed": seed, "layout": str(layout), "settings": chosen, "sql": sql, "what": what[:2000]})
        print(f"{kind}: seed {seed}, {layout}, {chosen}\n  {sql}\n  {what[:600]}", flush=True)

    def seed(self, seed):
        layout, chosen = self.settings(seed)
        made, duck = tables(seed), Duck()
        cursor = layout.cursor()
        for name, value in {**chosen, "query_timeout": LIMIT}.items():
            cursor.execute(f"SET {name} = '{value}'")
        for table in made:
            cursor.execute(f"DROP TABLE IF EXISTS {table.name}")
            for statement in table.statements:
                cursor.execute(statement)
                duck.connection.execute(statement)
        grammar = Grammar(seed, made, self.arguments.features)
        for _ in range(self.arguments.each):
            form = grammar.chance.random()
            if form < 0.8:
                sql, ordered = grammar.query()
                expected, refused = ask_duck(duck, sql)
                kind = "duckdb"
            else:
                kind, (other, sql) = ("tlp", grammar.partitioned()) if form < 0.9 else ("norec", grammar.counted())
                ordered = False
                expected, refused = ask(cursor, other)
            begun = time.monotonic()
            found, error = ask(cursor, sql)
            self.counts["queries"] += 1
            self.counts[f"asked as {kind}"] += 1
            told = (seed, layout, chosen, sql)
            if not layout.is_alive():
                self.report("crash", *told, error or "")
                layout.forget()
                return
            if error and ("deadline" in error or time.monotonic() - begun > 150):
                self.report("hang", *told, error)
            elif error and "internal error" in error.lower():
                self.report("internal error", *told, error)
            elif error and refused:
                self.counts["refused by both"] += 1
            elif (error or refused) and is_of_values(error or refused):
                # Which rows an expression is evaluated for is the optimiser's affair.
                self.counts["an error of values by one"] += 1
            elif error:
                self.refusals[error.split("\n")[0][:100]] += 1
                self.report("error", *told, error)
            elif refused:
                self.counts["refused by the other alone"] += 1
            elif what := difference(expected, found, ordered):
                self.report("difference", *told, what)
            else:
                self.counts["equal"] += 1
                self.counts["rows"] += len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--queries", type=int, default=2000, help="stops after the seed that reaches so many")
    parser.add_argument("--minutes", type=float, help="stops after so long")
    parser.add_argument("--seed", type=int, help="the first seed [default: drawn and printed]")
    parser.add_argument("--seeds", type=int, help="stops after so many seeds")
    parser.add_argument("--each", type=int, default=100, help="queries of a seed")
    parser.add_argument("--matrix", action="store_true", help="takes shards and SIMD levels in turn rather than at random")
    parser.add_argument("--features", nargs="*", default=FEATURES, choices=FEATURES, help="what queries may have")
    parser.add_argument("--output", help="a file for the figures and all that was found, as JSON")
    parser.add_argument("options", nargs="*", help="further options of `tundra up`, after --")
    arguments = parser.parse_args()
    first = arguments.seed if arguments.seed is not None else random.randrange(1 << 30)
    print(f"the first seed is {first}", flush=True)
    judge, begun, seed = Judge(arguments), time.monotonic(), first
    while True:
        judge.seed(seed)
        seed += 1
        done = judge.counts["queries"]
        minutes = (time.monotonic() - begun) / 60
        if seed % 20 == 0:
            print(f"{done} queries, {len(judge.found)} findings, {minutes:.1f} min", flush=True)
        if done >= arguments.queries or arguments.seeds and seed - first >= arguments.seeds or arguments.minutes and minutes >= arguments.minutes:
            break
    for layout in judge.layouts:
        layout.stop()
    figures = {"first_seed": first, "seeds": seed - first, "minutes": round(minutes, 1), "features": arguments.features,
               **judge.counts, "findings": judge.found}
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(figures, indent=1) + "\n")
    told = ", ".join(f"{count} {name}" for name, count in sorted(judge.counts.items()))
    print(f"seeds {first} to {seed - 1}: {told}; {len(judge.found)} findings in {minutes:.1f} min")
    sys.exit(1 if judge.found else 0)


if __name__ == "__main__":
    main()

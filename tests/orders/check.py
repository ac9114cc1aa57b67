#!/usr/bin/env python3
"""What the order of joins that the planner chooses is worth against orders drawn at random, and whether the answers agree.

    check.py --binary target/release/tundra --suite films --scale 20
    check.py --binary target/release/tundra --suite tpch --scale 1 --output orders.json

Every query is asked with the order that the planner chooses and with twenty drawn ones (`SET optimizer = 'random N'`), each
as the least time of several runs. A drawn order is ended once it takes longer than the chosen one: that it is slower is
all that is asked. `films` is a made-up copy of what the Join Order Benchmark has, of so many thousand films, and is
compared with DuckDB's answers, too. Ends with one line that sums up; exit code 1 where an answer is wrong or a drawn
order is more than twice as fast.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight
import duckdb
from films import Queries, make

for folder in ("cluster", "tpch"):
    sys.path.insert(0, str(Path(__file__).parent.parent / folder))
from parameters import validation  # noqa: E402
from processes import Cluster  # noqa: E402

# Times that are nearer to each other are the same, in seconds.
NOISE = 0.004


def films(arguments, cursor, folder):
    """Makes and registers the tables; queries by name, and the connection that knows the answers."""
    duck = duckdb.connect()
    for name in make(duck, int(arguments.scale * 1000), arguments.seed):
        path = Path(folder) / "films" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        duck.execute(f"COPY {name} TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 60000)")
        cursor.execute(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION 'file://{path}'")
    drawn = Queries(arguments.seed)
    return {f"films {number}": drawn.query() for number in range(1, arguments.queries + 1)}, duck


def seconds(cursor, sql, runs):
    """The least time of several runs, and the rows."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        cursor.execute(sql)
        rows = cursor.fetchall()
        times.append(time.perf_counter() - begun)
    return min(times), rows


def drawn_orders(cursor, sql, arguments, chosen, rows):
    """The times of drawn orders that are not slower than the chosen one, and whether all answers agree."""
    times, agree = [], True
    for seed in range(arguments.orders):
        cursor.execute(f"SET optimizer = 'random {seed}'")
        cursor.execute(f"SET query_timeout = '{max(int(chosen * 1000), 20)}ms'")
        try:
            found, same = seconds(cursor, sql, arguments.runs)
            agree &= sorted(map(str, same)) == rows
            times.append(found)
        except flight.Error as error:
            if "deadline" not in str(error):
                raise
    cursor.execute("SET optimizer = 'on'")
    cursor.execute("SET query_timeout = '0'")
    return times, agree


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--suite", choices=["films", "tpch"], default="films")
    parser.add_argument("--scale", type=float, default=10, help="thousands of films, or TPC-H's scale factor")
    parser.add_argument("--queries", type=int, default=60, help="of films")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--factor", type=float, default=2.0, help="how many times the best order a chosen one may take")
    parser.add_argument("--seed", type=int, default=1, help="of films and their queries")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--output", help="a file for the figures, as JSON")
    arguments = parser.parse_args()
    worst, wrong, figures = 0.0, [], {}
    with tempfile.TemporaryDirectory(prefix="tundra-orders.") as folder:
        options = ["--sample", f"tpch:{arguments.scale:g}"] if arguments.suite == "tpch" else ["--allow-location", f"file://{folder}/films"]
        (Path(folder) / "films").mkdir()
        cluster = Cluster(arguments.binary, f"{folder}/data", 0, arguments.shards, options)
        with flight.connect(cluster.addresses[0], autocommit=True) as connection, connection.cursor() as cursor:
            if arguments.suite == "films":
                queries, duck = films(arguments, cursor, folder)
            else:
                queries, duck = {f"Q{number}": validation(number) for number in range(1, 23)}, None
            for name, sql in queries.items():
                chosen, rows = seconds(cursor, sql, arguments.runs + 1)
                rows = sorted(map(str, rows))
                times, agree = drawn_orders(cursor, sql, arguments, chosen, rows)
                if duck is not None:
                    agree &= sorted(map(str, duck.execute(sql).fetchall())) == rows
                best = min([*times, chosen])
                ratio = 1.0 if chosen - best < NOISE else chosen / best
                worst = max(worst, ratio)
                wrong += [] if agree else [name]
                figures[name] = {"chosen_ms": round(chosen * 1000, 1), "best_ms": round(best * 1000, 1), "not_slower": len(times)}
                told = f"{name:<10} {chosen * 1000:8.1f} ms, the best of {arguments.orders} orders {best * 1000:8.1f} ms, {ratio:.2f}"
                print(told + ("" if agree else "  ANSWERS DIFFER\n" + sql) + (f"\n{sql}" if ratio > arguments.factor else ""), flush=True)
        if cluster.stop() != 0:
            raise SystemExit("the server did not end well")
    if arguments.output:
        Path(arguments.output).write_text(json.dumps({"suite": arguments.suite, "scale": arguments.scale, "queries": figures}, indent=1) + "\n")
    slow = sum(figure["chosen_ms"] > arguments.factor * figure["best_ms"] and figure["chosen_ms"] - figure["best_ms"] > NOISE * 1000 for figure in figures.values())
    print(f"{len(figures)} queries: {slow} take more than {arguments.factor:g} times the best order, the worst {worst:.2f} times; {len(wrong)} with wrong answers {wrong or ''}")
    sys.exit(1 if slow or wrong else 0)


if __name__ == "__main__":
    main()

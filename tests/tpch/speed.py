#!/usr/bin/env python3
"""Times the 22 TPC-H queries on a running `tundra up --sample tpch:SF` and on DuckDB, in one run.

    speed.py --url grpc://127.0.0.1:31337 --data tundra-data --threads 2

DuckDB loads the sample's Parquet files into its own tables first. Both engines are asked in turn; a query's time is
the least of its hot runs, to the last row as an Arrow table. Tundra's includes Flight SQL over loopback.
"""

import argparse
import math
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi
import duckdb

TABLES = ["lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region"]


def seconds(run):
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="grpc://127.0.0.1:31337", help="where Tundra listens")
    parser.add_argument("--data", default="tundra-data", help="Tundra's data folder, for the Parquet files")
    parser.add_argument("--threads", type=int, default=2, help="DuckDB's threads; start Tundra with as many")
    parser.add_argument("--runs", type=int, default=5, help="hot runs of each query")
    options = parser.parse_args()

    duck = duckdb.connect(config={"threads": options.threads})

    def load():
        for table in TABLES:
            files = [str(path) for path in Path(options.data).glob(f"objects/**/{table}/*.parquet")]
            duck.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet({files!r})")

    print(f"DuckDB {duckdb.__version__} loaded in {seconds(load):.1f} s")
    tundra = adbc_driver_flightsql.dbapi.connect(options.url, autocommit=True).cursor()
    total, logarithms = [0.0, 0.0], [0.0, 0.0]
    print("query  DuckDB ms  Tundra ms  ratio")
    for number in range(1, 23):
        text = Path(__file__).with_name(f"q{number:02}.sql").read_text().strip().rstrip(";")

        def ask_tundra():
            tundra.execute(text)
            tundra.fetch_arrow_table()

        engines = [lambda: duck.sql(text).to_arrow_table(), ask_tundra]
        best = [math.inf, math.inf]
        for run in range(options.runs + 1):
            for engine, ask in enumerate(engines):
                took = seconds(ask)
                if run > 0:
                    best[engine] = min(best[engine], took)
        print(f"Q{number:<4}  {best[0] * 1e3:9.0f}  {best[1] * 1e3:9.0f}  {best[1] / best[0]:5.2f}", flush=True)
        for engine in range(2):
            total[engine] += best[engine]
            logarithms[engine] += math.log(best[engine]) / 22
    means = [math.exp(logarithm) for logarithm in logarithms]
    print(f"total  {total[0] * 1e3:9.0f}  {total[1] * 1e3:9.0f}  {total[1] / total[0]:5.2f}")
    print(f"mean   {means[0] * 1e3:9.1f}  {means[1] * 1e3:9.1f}  {means[1] / means[0]:5.2f}  (geometric)")


main()

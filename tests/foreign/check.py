#!/usr/bin/env python3
"""Asks the 22 TPC-H queries of foreign tables, and does what ought to do no harm.

    check.py --binary target/release/tundra --scale 0.01 --record tests/foreign/tpch.json

A PostgreSQL of its own and a Tundra are filled with the same rows; a second Tundra has the tables of both as foreign
ones, and those of the Tundra once more as of any server of Flight SQL. Every answer is compared with that of the resident tables. Printed for each: whether the server computed the
whole query, all but its last steps, or gave its tables, and how many rows came. Then NULLs, collations, numbers, names
and literals with quotes, statements that are cancelled or run out of time, servers that are down, and other tenants.
"""

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_postgresql
import duckdb

sys.path.insert(0, str(Path(__file__).parent.parent / "tpch"))
from check import TABLES, Server, difference  # noqa: E402
from parameters import validation, without_limit  # noqa: E402
from postgres import PASSWORD, Postgres  # noqa: E402

TYPES = {"VARCHAR": "varchar(200)", "BIGINT": "bigint", "INTEGER": "integer", "DATE": "date", "DOUBLE": "double precision"}
# Padded by the server: values must come without.
PADDED = {"l_returnflag": 1, "l_shipmode": 10, "n_name": 25, "c_mktsegment": 10, "p_brand": 10, "o_orderpriority": 15}


class Front:
    """A Tundra that may reach the others."""

    def __init__(self, folder, arguments):
        command = [ARGUMENTS.binary, "up", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", f"{folder}/front"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        found = re.match(r"tundra ready flight=(grpc://[^,\s]+)\S* http=(http://\S+)", line)
        if not found:
            raise SystemExit(f"the server did not start: {line!r}, exit code {self.process.wait()}")
        self.url, self.http = found[1], found[2]

    stop = Server.stop


class Client:
    def __init__(self, url, **options):
        self.url, self.options = url, options
        self.connection = adbc_driver_flightsql.dbapi.connect(url, autocommit=True, **options)

    def rows(self, sql):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()]

    def error(self, sql):
        """The error that the statement must end with."""
        try:
            rows = self.rows(sql)
        except Exception as error:
            return str(error)
        raise AssertionError(f"no error, but {rows[:3]}: {sql}")


def load(postgres, resident, data):
    """The rows of the resident tables, in PostgreSQL."""
    duck = duckdb.connect()
    for table in TABLES:
        columns = resident.rows(f"DESCRIBE {table}")
        kind = lambda name, of: f"character({PADDED[name]})" if name in PADDED else TYPES.get(of, of.replace("DECIMAL", "numeric"))
        definitions = ", ".join(f"{name} {kind(name, of)} NOT NULL" for name, of, _ in columns)
        postgres.psql(f"CREATE TABLE {table} ({definitions})")
        file = Path(data, f"{table}.csv")
        folder = next(path for path in Path(data).rglob(table) if path.is_dir())
        duck.execute(f"COPY (SELECT * FROM read_parquet('{folder}/**/*.parquet')) TO '{file}' (HEADER false)")
        with open(file) as rows:
            postgres.psql(f"COPY {table} FROM STDIN (FORMAT csv)", stdin=rows)
        file.unlink()
    for key in ["lineitem (l_orderkey)", "orders (o_orderkey)", "orders (o_custkey)", "customer (c_custkey)",
                "part (p_partkey)", "supplier (s_suppkey)", "partsupp (ps_partkey, ps_suppkey)", "lineitem (l_partkey)"]:
        postgres.psql(f"CREATE INDEX ON {key}")
    postgres.psql("ANALYZE")


def how(lines):
    """Whether the server computes it all, and what came, of an EXPLAIN ANALYZE."""
    operators = [line.strip() for line in lines if re.search(r"\[~", line)]
    leaves = [line for line in operators if line.startswith("Foreign ")]
    moved = [re.match(r"from server (\S+): (\d+) rows", line) for line in lines]
    rows = sum(int(found[2]) for found in moved if found)
    if len(operators) == 1 and leaves:
        return "whole", rows
    steps = [line for line in operators if not line.startswith("Foreign ")]
    if len(leaves) == 1 and all(re.match(r"(Project|Sort|TopN|Limit|Filter)\b", step) for step in steps):
        return "all but the last steps", rows
    return "tables", rows


def ask_all(client, resident, server, failures):
    asked = []
    for number in range(1, 23):
        sql = validation(number)
        entry, seconds = {"query": number, "server": server}, 0.0
        try:
            begun = time.perf_counter()
            actual = client.rows(sql)
            seconds = time.perf_counter() - begun
            expected = resident.rows(sql)
            entry["computed"], entry["rows_moved"] = how([line for (line,) in client.rows(f"EXPLAIN ANALYZE {sql}")])
            problem = difference(actual, expected)
            if problem and without_limit(sql) != sql:
                problem = difference(client.rows(without_limit(sql)), resident.rows(without_limit(sql)))
            entry["rows"], entry["equal"] = len(actual), problem is None
        except Exception as error:
            problem, entry["equal"] = str(error), False
        if problem:
            failures.append(f"Q{number} of {server}: {problem}")
        print(f"Q{number:<2} {server:8} {entry.get('computed', 'failed'):24} {entry.get('rows_moved', 0):>8} rows moved, "
              f"{seconds:7.3f} s, {'equal' if entry['equal'] else 'DIFFERENT: ' + str(problem)[:300]}")
        asked.append(entry)
    return asked


class Hostile:
    """What ought to do no harm; every method beginning with `check_` is a case."""

    def __init__(self, client, resident, postgres, create):
        self.client, self.resident, self.postgres, self.create = client, resident, postgres, create

    def gives(self, sql, rows):
        """That this is the answer."""
        actual = self.client.rows(sql)
        assert actual == rows, f"{actual} and not {rows}: {sql}"

    def plan(self, sql):
        return "\n".join(line for (line,) in self.client.rows(f"EXPLAIN {sql}"))

    def check_nulls_and_collation(self):
        self.postgres.psql("CREATE TABLE words (w text, n integer); INSERT INTO words VALUES "
                           "('a', 1), ('B', 2), ('b', 3), ('A', 4), (NULL, 5), ('ä', NULL), ('Z', 7), ('', 8)")
        self.client.rows("CREATE FOREIGN TABLE words SERVER pg")
        order = ["", "A", "B", "Z", "a", "b", "ä", None]
        self.gives("SELECT w FROM words ORDER BY w", [(word,) for word in order])
        self.gives("SELECT w FROM words ORDER BY w DESC LIMIT 3", [(word,) for word in order[::-1][:3]])
        self.gives("SELECT w FROM words WHERE w < 'a' ORDER BY w", [("",), ("A",), ("B",), ("Z",)])
        self.gives("SELECT min(w), max(w), count(w), count(*) FROM words", [("", "ä", 7, 8)])
        self.gives("SELECT n FROM words WHERE w NOT IN (SELECT w FROM words WHERE n > 4) ORDER BY n", [])
        self.gives("SELECT n FROM words ORDER BY n NULLS FIRST LIMIT 2", [(None,), (1,)])
        self.gives("SELECT count(*) FROM words WHERE n IS DISTINCT FROM 1", [(7,)])
        self.gives("SELECT w, n / 2 FROM words WHERE n = 7", [("Z", 3)])
        assert "COLLATE" in self.plan("SELECT w FROM words ORDER BY w")

    def check_joins_of_several_kinds(self):
        rows = {"l": "(1, 'x'), (2, NULL), (NULL, 'y'), (4, 'z')", "r": "(1, 'p'), (1, 'q'), (3, 'r'), (NULL, 's')"}
        self.client.rows(self.create["other"])
        for table, values in rows.items():
            text = "t" if table == "l" else "u"
            self.postgres.psql(f"CREATE TABLE {table} (a integer, {text} text); INSERT INTO {table} VALUES {values}")
            for client, name in [(self.resident, table), (self.client, f"own_{table}")]:
                client.rows(f"CREATE TABLE {name} (a INTEGER, {text} VARCHAR)")
                client.rows(f"INSERT INTO {name} VALUES {values}")
        for server, schema in [("pg", "public"), ("other", "main")]:
            self.client.rows(f"IMPORT FOREIGN SCHEMA {schema} LIMIT TO (l, r) FROM SERVER {server} INTO main")
            self.joins()
            self.client.rows("DROP FOREIGN TABLE l, r")
        self.client.rows("DROP SERVER other")
        self.client.rows("DROP TABLE own_l, own_r")
        self.resident.rows("DROP TABLE l, r")

    def joins(self):
        cases = [
            "SELECT l.a, t, u FROM {l} l LEFT JOIN {r} r ON l.a = r.a",
            "SELECT l.a, t, r.a, u FROM {l} l FULL JOIN {r} r ON l.a = r.a",
            "SELECT l.a, t, r.a, u FROM {l} l FULL JOIN {r} r ON l.a < r.a",
            "SELECT l.a, t, r.a, u FROM {l} l FULL JOIN {r} r ON l.a = r.a AND t < u",
            "SELECT t, x FROM {l} l LEFT JOIN (SELECT a, coalesce(u, 'none') AS x, 7 AS k FROM {r} r) r ON l.a = r.a",
            "SELECT l.t, s.n FROM {l} l LEFT JOIN (SELECT a, count(*) AS n FROM {r} r GROUP BY a) s ON l.a = s.a AND s.n > 1",
            "SELECT t FROM {l} l WHERE a IN (SELECT a FROM {r} r)",
            "SELECT t FROM {l} l WHERE a NOT IN (SELECT a FROM {r} r WHERE a IS NOT NULL)",
            "SELECT t, a NOT IN (SELECT a FROM {r} r), a IN (SELECT a FROM {r} r WHERE a > 0) FROM {l} l",
            "SELECT t, EXISTS (SELECT 1 FROM {r} r WHERE r.a = l.a) FROM {l} l",
            "SELECT t FROM {l} l WHERE NOT EXISTS (SELECT 1 FROM {r} r WHERE r.a = l.a) OR t = 'x'",
            "SELECT t, (SELECT max(u) FROM {r} r WHERE r.a = l.a), (SELECT count(*) FROM {r} r WHERE r.a = l.a) FROM {l} l",
            "SELECT a FROM {l} l UNION SELECT a FROM {r} r", "SELECT a FROM {l} l INTERSECT SELECT a FROM {r} r", "SELECT a FROM {l} l EXCEPT SELECT a FROM {r} r",
            "SELECT a, t FROM {l} l UNION ALL SELECT a, u FROM {r} r",
            "SELECT l.a, count(*) FROM {l} l, {r} r WHERE l.a < r.a OR r.a IS NULL GROUP BY l.a HAVING count(*) > 1",
            "SELECT count(DISTINCT a), sum(a) FILTER (WHERE a > 1), min(t), max(t), bool_and(a > 0) FROM {l} l",
            "SELECT t FROM (SELECT t, a FROM {l} l ORDER BY a DESC LIMIT 2) x WHERE t IS NOT NULL",
            "SELECT x.t FROM (SELECT t FROM {l} l ORDER BY t LIMIT 1) x, {r} r", "SELECT DISTINCT u IS NULL, a FROM {r} r",
            "SELECT a.t FROM {l} a LEFT JOIN ({l} b LEFT JOIN {r} r ON b.a = r.a) ON a.a = b.a WHERE r.a IS NULL OR r.u = 'p'",
            "SELECT CASE WHEN a = 1 THEN 'one' WHEN a IS NULL THEN NULL ELSE t || '!' END FROM {l} l",
            "SELECT a FROM {l} l WHERE (a, t) IN (SELECT a, u FROM {r} r)", "SELECT 1, 'x' FROM {l} l LIMIT 2",
            "SELECT l.a FROM {l} l JOIN (VALUES (1, 'p'), (4, 'w')) v(a, w) ON l.a = v.a",
        ]
        for case in cases:
            sql, own = case.format(l="l", r="r"), case.format(l="own_l", r="own_r")
            problem = difference(self.client.rows(sql), self.client.rows(own))
            assert problem is None, f"{problem}: {sql}\n{self.plan(sql)}"

    def check_division_stays_here(self):
        self.gives("SELECT sum(n) / count(n), avg(n) FROM words", [(4, 30 / 7)])
        assert "division by zero" in self.client.error("SELECT n / (n - 1) FROM words WHERE n IS NOT NULL")
        self.gives("SELECT n / (n - 1) FROM words WHERE n = 2", [(2,)])
        plan = self.plan("SELECT n / (n - 1) FROM words")
        assert plan.startswith("Project"), plan

    def check_numbers(self):
        self.postgres.psql("CREATE TABLE numbers (wide numeric(38,4), narrow numeric(5,2), any_scale numeric, f float8, "
                           "r real, i smallint, d date, t timestamp, b bytea); INSERT INTO numbers VALUES "
                           "(1234567890123456789012345678901234.5678, 1.50, 1.005, 'NaN', 1.5, -3, '1969-12-31', '1969-12-31 23:59:59.999999', '\\x00ff'), "
                           "(-0.0001, -999.99, 2, -0.0, 2.5, 7, '2024-02-29', '2024-02-29 00:00:00', ''), "
                           "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
        refused = self.client.error("CREATE FOREIGN TABLE numbers SERVER pg")
        assert "any_scale" in refused, refused
        columns = "wide DECIMAL(38,4), narrow DECIMAL(5,2), f DOUBLE, r REAL, i SMALLINT, d DATE, t TIMESTAMP, b BLOB"
        self.client.rows(f"CREATE FOREIGN TABLE numbers ({columns}) SERVER pg")
        for wrong in ["narrow DECIMAL(4,2)", "narrow DECIMAL(5,1)", "i INTEGER", "any_scale DECIMAL(38,2)", "nothing TEXT", "i SMALLINT NOT NULL"]:
            self.client.error(f"CREATE FOREIGN TABLE wrong ({wrong}) SERVER pg OPTIONS (table 'numbers')")
        wide, narrow = self.client.rows("SELECT wide, narrow FROM numbers WHERE i = -3")[0]
        assert (str(wide), str(narrow)) == ("1234567890123456789012345678901234.5678", "1.50"), (wide, narrow)
        self.gives("SELECT CAST(avg(narrow) AS DECIMAL(10,4)) = CAST(-499.245 AS DECIMAL(10,4)), count(*) FROM numbers", [(True, 3)])
        self.gives("SELECT i FROM numbers WHERE f > 1e300", [(-3,)])
        self.gives("SELECT i FROM numbers WHERE f = 0", [(7,)])
        self.gives("SELECT i FROM numbers WHERE narrow * 2 = 3", [(-3,)])
        self.gives("SELECT i FROM numbers WHERE t < TIMESTAMP '1970-01-01 00:00:00'", [(-3,)])
        self.gives("SELECT CAST(d + INTERVAL '1 year' AS VARCHAR) FROM numbers WHERE i = 7", [("2025-02-28 00:00:00",)])
        self.gives("SELECT year(d), month(d), day(d) FROM numbers WHERE i = -3", [(1969, 12, 31)])
        self.postgres.psql("INSERT INTO numbers (i, narrow, d) VALUES (9, 'NaN', 'infinity')")
        assert "rounding" in self.client.error("SELECT narrow FROM numbers WHERE i = 9")
        assert "infinite" in self.client.error("SELECT d FROM numbers WHERE i = 9")
        self.postgres.psql("DELETE FROM numbers WHERE i = 9")

    def check_names_and_literals(self):
        self.postgres.psql("""CREATE SCHEMA "o'dd ""schema"; CREATE TABLE "o'dd ""schema"."t""; DROP TABLE words; --" """
                           """("c""o'l" text, "select" integer); """
                           """INSERT INTO "o'dd ""schema"."t""; DROP TABLE words; --" VALUES ('it''s \\ "x"', 1), ('%_', 2)""")
        self.client.rows("CREATE SCHEMA odd")
        self.client.rows("""IMPORT FOREIGN SCHEMA "o'dd ""schema" FROM SERVER pg INTO odd""")
        table = 'odd."t""; DROP TABLE words; --"'
        self.gives(f"""SELECT "select" FROM {table} WHERE "c""o'l" = 'it''s \\ "x"'""", [(1,)])
        self.gives(f"""SELECT "select" FROM {table} WHERE "c""o'l" LIKE '\\%\\_'""", [(2,)])
        self.gives(f"""SELECT "select" FROM {table} WHERE "c""o'l" LIKE 'x%_' ESCAPE 'x'""", [(2,)])
        self.gives(f"""SELECT "select" FROM {table} WHERE "c""o'l" = '''; DROP TABLE words; --'""", [])
        self.gives(f"""SELECT count(*) FROM {table} WHERE "c""o'l" <> 'a' AND "select" IN (1, 2, 3)""", [(2,)])
        self.gives("SELECT count(*) FROM words", [(8,)])
        self.client.rows("DROP SCHEMA odd CASCADE")

    def check_writes_are_refused(self):
        for sql in ["INSERT INTO words VALUES ('x', 1)", "REFRESH TABLE words", "DROP TABLE words",
                    "ALTER TABLE words SET (refresh_every = '1 hour')", "CREATE TABLE words (a INTEGER)"]:
            self.client.error(sql)
        self.client.rows("CREATE TABLE own (w VARCHAR)")
        assert "not supported yet" in self.client.error("SELECT * FROM own JOIN words ON own.w = words.w")
        self.client.rows("CREATE TABLE copy AS SELECT * FROM words")
        assert self.client.rows("SELECT count(*) FROM copy JOIN own ON own.w = copy.w") == [(0,)]
        assert self.client.rows("INSERT INTO copy SELECT * FROM words WHERE n < 3") is not None
        assert self.client.rows("SELECT count(*) FROM copy") == [(10,)]
        self.client.rows("DROP TABLE copy")
        self.client.rows("DROP TABLE own")

    def check_changed_tables(self):
        self.postgres.psql("CREATE TABLE changing (n integer); INSERT INTO changing VALUES (1)")
        self.client.rows("CREATE FOREIGN TABLE changing SERVER pg")
        self.gives("SELECT n FROM changing", [(1,)])
        self.postgres.psql("ALTER TABLE changing ALTER n TYPE numeric(10,2)")
        assert "does not fit" in self.client.error("SELECT n FROM changing WHERE n = 1")
        self.postgres.psql("DROP TABLE changing")
        assert "any more" in self.client.error("SELECT n FROM changing")
        self.client.rows("DROP FOREIGN TABLE changing")

    LONG = ("SELECT count(*) FROM lineitem a, lineitem b, lineitem c WHERE a.l_comment < b.l_comment "
            "AND b.l_comment < c.l_comment AND a.l_quantity + b.l_quantity > c.l_quantity")

    def active(self):
        return int(self.postgres.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tundra' AND state = 'active'"))

    def gone(self, within):
        begun = time.monotonic()
        while self.active():
            assert time.monotonic() - begun < within, self.postgres.psql("SELECT query FROM pg_stat_activity WHERE state = 'active'")
            time.sleep(0.01)
        return time.monotonic() - begun

    def until_active(self):
        deadline = time.monotonic() + 20
        while not self.active():
            assert time.monotonic() < deadline, "the query did not start at the server"
            time.sleep(0.01)

    def check_timeout(self):
        self.client.rows("SET query_timeout = '2 s'")
        begun = time.monotonic()
        error = self.client.error(self.LONG)
        took = time.monotonic() - begun
        self.client.rows("RESET query_timeout")
        assert "deadline" in error.lower() or "timeout" in error.lower(), error
        assert took < 4, took
        print(f"   timeout of 2 s: an error after {took:.2f} s, gone from the server {self.gone(2):.3f} s later")

    def check_cancel(self):
        failed = []
        other = Client(self.client.url, **self.client.options)
        thread = threading.Thread(target=lambda: failed.append(other.error(self.LONG)))
        thread.start()
        self.until_active()
        running = self.client.rows("SELECT query, sql FROM system.queries WHERE sql LIKE '%a.l_quantity + b%' AND sql NOT LIKE '%system.queries%'")
        begun = time.monotonic()
        subprocess.run([ARGUMENTS.binary, "admin", "--url", self.http, "cancel", running[0][0]], check=True, capture_output=True)
        thread.join(timeout=10)
        assert not thread.is_alive() and "cancel" in failed[0].lower(), failed
        print(f"   cancelled: an error after {time.monotonic() - begun:.3f} s, gone from the server {self.gone(1):.3f} s later")

    def check_client_that_goes_away(self):
        command = [sys.executable, "-c", "import sys, adbc_driver_flightsql.dbapi as d; c = d.connect(sys.argv[1]); "
                   "k = c.cursor(); k.execute(sys.argv[2]); k.fetchall()", self.client.url, self.LONG]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.until_active()
        process.kill()
        process.wait()
        print(f"   client gone: gone from the server {self.gone(3):.3f} s later")

    def check_limits_of_rows(self):
        assert len(self.client.rows("SELECT l_comment || 'x' FROM lineitem LIMIT 5")) == 5
        assert len(self.client.rows("SELECT upper(l_comment) FROM lineitem LIMIT 5")) == 5
        plan = self.plan("SELECT upper(l_comment) FROM lineitem LIMIT 5")
        assert "LIMIT 5" in plan and plan.startswith("Limit"), plan
        plan = self.plan("SELECT l_orderkey FROM lineitem WHERE upper(l_comment) = 'X' AND l_quantity < 3")
        assert "upper" in plan and '"l_quantity" < 3' in plan, plan

    def check_order_of_many_rows(self):
        rows = self.client.rows("SELECT l_orderkey, l_linenumber FROM lineitem ORDER BY l_orderkey, l_linenumber")
        assert len(rows) > 10_000 and rows == sorted(rows), "rows are not in their order"
        # The last step is done here.
        some = self.client.rows("SELECT upper(o_clerk), o_orderkey FROM orders ORDER BY o_orderkey LIMIT 5000 OFFSET 3000")
        all_keys = sorted(key for (key,) in self.client.rows("SELECT o_orderkey FROM orders"))
        assert [key for _, key in some] == all_keys[3000:8000]

    def check_constants(self):
        inner = "(SELECT n, 1 AS k, 'w' AS t, 7 AS s FROM words WHERE n IS NOT NULL) x"
        self.gives(f"SELECT n, k FROM {inner} ORDER BY k DESC, t, s, n LIMIT 3", [(1, 1), (2, 1), (3, 1)])
        self.gives("SELECT n, NULL FROM words WHERE n = 1", [(1, None)])

    def check_secrets(self):
        shown = str(self.client.rows("SELECT * FROM system.foreign_servers"))
        shown += str(self.client.rows("SELECT * FROM system.foreign_tables"))
        shown += self.plan("SELECT count(*) FROM lineitem")
        shown += self.client.error(f"CREATE SERVER pg FOREIGN DATA WRAPPER postgresql OPTIONS (host '127.0.0.1', user 'x', password 'hidden-word', port 'x')")
        shown += self.client.error(f"CREATE SERVER bad FOREIGN DATA WRAPPER postgresql OPTIONS (host '127.0.0.1', password 'hidden-word' x)")
        for secret in [PASSWORD, "sesame", "hidden-word"]:
            assert secret not in shown, shown
        assert "FOREIGN" in str(self.client.rows("SELECT table_type FROM information_schema.tables WHERE table_name = 'lineitem'"))

    def check_what_may_be_reached(self):
        for options in ["host 'example.org', user 'a', password 'b'", "host '/tmp', user 'a', password 'b'",
                        "host '127.0.0.1,10.0.0.1', user 'a', password 'b'", "host '127.0.0.1', hostaddr '10.0.0.1', user 'a', password 'b'",
                        "host '127.0.0.1', user 'a', password 'b', service 'x'", "host '127.0.0.1', user 'a', password 'b', sslkey '/etc/passwd'",
                        "uri 'postgresql://a:b@127.0.0.1/x?host=/tmp'", "host '127.0.0.1', user 'a'", "host 'localhost', user 'a', password 'b'"]:
            self.client.error(f"CREATE SERVER forbidden FOREIGN DATA WRAPPER postgresql OPTIONS ({options})")
        denied = self.client.error("CREATE SERVER forbidden FOREIGN DATA WRAPPER postgresql OPTIONS (host 'example.org', user 'a', password 'b')")
        assert "--allow-foreign" in denied, denied

    def check_another_tenant(self):
        with tempfile.TemporaryDirectory(prefix="tundra-control.") as folder:
            command = [ARGUMENTS.binary, "control", "--data", folder, "--listen", "127.0.0.1:0", "--coordinators", self.http]
            control = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                url = re.search(r"http://[^\s]+", control.stdout.readline())[0]
                tell = lambda *words: subprocess.run([ARGUMENTS.binary, "tenant", *words, "--control-url", url], check=True,
                                                     capture_output=True, text=True).stdout.strip()
                tell("create", "acme")
                key = tell("key", "create", "acme", "--user", "etl").split()[-1]
                deadline = time.monotonic() + 20
                while True:
                    try:
                        acme = Client(self.client.url, db_kwargs={"username": "etl", "password": key})
                        break
                    except Exception:
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.2)
                assert acme.rows("SELECT * FROM system.foreign_servers") == []
                assert acme.rows("SELECT * FROM system.foreign_tables") == []
                assert acme.rows("SELECT table_name FROM information_schema.tables WHERE table_type = 'FOREIGN'") == []
                assert "unknown table" in acme.error("SELECT * FROM words")
                for sql in ["DROP SERVER pg CASCADE", "DROP FOREIGN TABLE words", "CREATE FOREIGN TABLE words SERVER pg",
                            "IMPORT FOREIGN SCHEMA public FROM SERVER pg INTO main"]:
                    assert "there is no" in acme.error(sql), sql
                acme.rows("CREATE SERVER pg FOREIGN DATA WRAPPER tundra OPTIONS (host '127.0.0.1')")
                assert acme.rows("SELECT wrapper FROM system.foreign_servers") == [("tundra",)]
                assert self.client.rows("SELECT wrapper FROM system.foreign_servers") == [("postgresql",)]
                acme.rows("DROP SERVER pg")
                self.gives("SELECT count(*) FROM words", [(8,)])
            finally:
                control.terminate()
                control.wait(timeout=20)

    def check_server_that_hangs(self):
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen(64)
            options = f"host '127.0.0.1', port '{deaf.getsockname()[1]}', user 'a', password 'b'"
            self.client.rows(f"CREATE SERVER deaf FOREIGN DATA WRAPPER postgresql OPTIONS ({options})")
            other = Client(self.client.url, **self.client.options)
            other.rows("SET query_timeout = '1 s'")
            for _ in range(3):
                begun = time.monotonic()
                other.error("CREATE FOREIGN TABLE d SERVER deaf")
                assert time.monotonic() - begun < 3, "the deadline passed"
                self.gives("SELECT count(*) FROM words", [(8,)])
            self.client.rows("DROP SERVER deaf")

    def check_wrong_password(self):
        options = f"host '127.0.0.1', port '{self.postgres.port}', user 'tundra', password 'hidden-word'"
        self.client.rows(f"CREATE SERVER wrong FOREIGN DATA WRAPPER postgresql OPTIONS ({options})")
        error = self.client.error("CREATE FOREIGN TABLE w2 SERVER wrong OPTIONS (table 'words')")
        assert "password authentication failed" in error and "hidden-word" not in error, error
        self.client.rows("DROP SERVER wrong")

    def check_server_down(self):
        self.postgres.halt()
        begun = time.monotonic()
        error = self.client.error("SELECT count(*) FROM words")
        assert "server pg" in error and time.monotonic() - begun < 11, error
        assert self.client.rows("SELECT 1") == [(1,)]
        self.postgres.start()
        self.gives("SELECT count(*) FROM words", [(8,)])

    def check_dropping(self):
        assert "foreign tables use it" in self.client.error("DROP SERVER pg")
        self.client.rows("DROP SERVER pg CASCADE")
        assert self.client.rows("SELECT count(*) FROM system.foreign_tables") == [(0,)]
        self.client.rows("DROP SERVER IF EXISTS pg")
        assert "no server" in self.client.error("DROP SERVER pg")


def main():
    global ARGUMENTS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--scale", default="0.01")
    parser.add_argument("--record", help="write what was asked here")
    ARGUMENTS = parser.parse_args()
    drivers = [f"postgresql={adbc_driver_postgresql._driver_path()}", f"flightsql={adbc_driver_flightsql._driver_path()}"]
    failures, asked = [], []
    postgres = Postgres()
    with tempfile.TemporaryDirectory(prefix="tundra-foreign.") as folder:
        sample = Server(ARGUMENTS.binary, f"{folder}/resident", ["--sample", f"tpch:{ARGUMENTS.scale}"])
        allowed = ["--foreign-drivers", ",".join(drivers), "--allow-foreign", "127.0.0.1"]
        front = Front(folder, allowed)
        try:
            resident, client = Client(sample.url), Client(front.url)
            load(postgres, resident, f"{folder}/resident")
            word = PASSWORD.replace("'", "''")
            port = sample.url.rsplit(":", 1)[1]
            options = f"host '127.0.0.1', port '{postgres.port}', user 'tundra', password '{word}', dbname 'postgres'"
            create = {"pg": f"CREATE SERVER pg FOREIGN DATA WRAPPER postgresql OPTIONS ({options})",
                      "other": f"CREATE SERVER other FOREIGN DATA WRAPPER tundra OPTIONS (uri 'grpc://127.0.0.1:{port}')"}
            schemas = {"pg": "public", "other": "main"}
            # Of this one columns alone are asked: joins and aggregates are computed here.
            create["plain"] = create["other"].replace("SERVER other FOREIGN DATA WRAPPER tundra", "SERVER plain FOREIGN DATA WRAPPER flightsql")
            for server in ["plain", "other", "pg"]:
                client.rows(create[server])
                if server == "plain":
                    for table in TABLES:
                        columns = ", ".join(f"{name} {of}" for name, of, _ in resident.rows(f"DESCRIBE {table}"))
                        client.rows(f"CREATE FOREIGN TABLE {table} ({columns}) SERVER plain OPTIONS (schema 'main')")
                else:
                    client.rows(f"IMPORT FOREIGN SCHEMA {schemas[server]} FROM SERVER {server} INTO main")
                asked += ask_all(client, resident, server, failures)
                if server != "pg":
                    client.rows(f"DROP SERVER {server} CASCADE")
            # What is known of servers outlives the process.
            front.stop()
            front = Front(folder, allowed)
            client = Client(front.url)
            hostile = Hostile(client, resident, postgres, create)
            hostile.http = front.http
            for name, case in vars(Hostile).items():
                if not name.startswith("check_"):
                    continue
                begun = time.monotonic()
                try:
                    case(hostile)
                    print(f"{name[6:].replace('_', ' ')}: passed in {time.monotonic() - begun:.1f} s")
                except Exception as error:
                    failures.append(f"{name}: {type(error).__name__} {error}")
                    print(f"{name[6:].replace('_', ' ')}: FAILED: {str(error)[:1500]}")
        finally:
            front.stop()
            sample.stop()
            postgres.stop()
    if ARGUMENTS.record:
        summary = {"scale": float(ARGUMENTS.scale), "equal": sum(entry["equal"] for entry in asked), "asked": len(asked), "queries": asked}
        Path(ARGUMENTS.record).write_text(json.dumps(summary, indent=1) + "\n")
    print("\n".join(failures) or "foreign servers: everything passed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

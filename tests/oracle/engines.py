"""The trusted engines: DuckDB in process and a private PostgreSQL. Both give rows as canonical text.

The text of a value is the contract with `tests/src/text.rs`:
NULL; true/false; integers; decimals with their scale; floats as %.12g; dates and timestamps in ISO form;
an interval as `1mon 2d 3.5s`; blobs as hex after \\x; text with `(empty)` for '' and quotes around text
that starts or ends with a blank, with \\n, \\t and \\\\ escaped.
Type letters: I integer (decimals of scale 0 too), N decimal, R float, T text, B boolean, D date, M time,
S timestamp, V interval, X blob, L list, struct or map (cast to VARCHAR to compare it), ? any.
"""

import datetime
import decimal
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from pathlib import Path


class Refused(Exception):
    """The engine refused the statement."""


def text(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "%.12g" % (value + 0.0 if value != 0 else 0.0)
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        clock = clock_text(value.time())
        return f"{value:%Y-%m-%d} {clock}".rjust(len(clock) + 11, "0")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return clock_text(value)
    if isinstance(value, (bytes, memoryview)):
        return "\\x" + bytes(value).hex()
    if hasattr(value, "months"):
        seconds = decimal.Decimal(value.nanoseconds) / 1_000_000_000
        return f"{value.months}mon {value.days}d {seconds.normalize():f}s"
    if isinstance(value, str):
        if value == "":
            return "(empty)"
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
        return f"'{escaped}'" if value != value.strip(" ") else escaped
    return str(value)


def clock_text(value):
    base = f"{value:%H:%M:%S}"
    return base + (f".{value.microsecond:06}".rstrip("0") if value.microsecond else "")


class Duck:
    name = "duckdb"

    def __init__(self):
        import duckdb

        warnings.filterwarnings("ignore", module=__name__)
        self.duckdb = duckdb
        self.connection = duckdb.connect()
        for setting in (
            "integer_division = true",
            "default_null_order = 'nulls_last_on_asc_first_on_desc'",
            "ieee_floating_point_ops = false",
            "TimeZone = 'UTC'",
            "threads = 1",
        ):
            self.connection.execute(f"SET {setting}")

    def run(self, sql):
        """(letters, rows of text) of a query; None for a statement without a result."""
        try:
            cursor = self.connection.execute(sql)
            if cursor.description is None:
                return None
            types = [str(column[1]) for column in cursor.description]
            nested = [kind.endswith("]") or kind.startswith(("STRUCT", "MAP")) for kind in types]
            if any(nested):
                # As DuckDB writes them itself.
                names = [f"c{place}" for place in range(len(types))]
                items = [f"CAST({n} AS VARCHAR)" if is_nested else n for n, is_nested in zip(names, nested)]
                query = f"FROM ({sql.strip().rstrip(';')}) AS q({', '.join(names)})"
                cursor = self.connection.execute(f"SELECT {', '.join(items)} {query}")
            if any(kind == "INTERVAL" for kind in types):
                table = cursor.to_arrow_table()
                rows = list(zip(*[[cell.as_py() for cell in column] for column in table.columns]))
            else:
                rows = cursor.fetchall()
        except self.duckdb.Error as error:
            raise Refused(str(error)) from error
        return "".join(self.letter(kind) for kind in types), [[text(value) for value in row] for row in rows]

    @staticmethod
    def letter(kind):
        if re.fullmatch(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(\d+,0\)", kind):
            return "I"
        if kind.startswith("DECIMAL"):
            return "N"
        if kind.startswith("TIMESTAMP"):
            return "S"
        known = {"FLOAT": "R", "DOUBLE": "R", "VARCHAR": "T", "BOOLEAN": "B", "DATE": "D", "TIME": "M",
                 "INTERVAL": "V", "BLOB": "X", "JSON": "T", "BIT": "T", "UUID": "T"}
        return "T" if kind.startswith("ENUM(") else known.get(kind, "?")


class PostgresServer:
    """A private server in a temporary folder on a free loopback port."""

    def __init__(self):
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not binaries:
            raise SystemExit("PostgreSQL is missing: apt-get install postgresql")
        self.folder = tempfile.mkdtemp(prefix="tundra-pg.")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        as_user = []
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
        data = f"{self.folder}/data"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.folder}
        initdb = [f"{binaries[-1]}/initdb", "-D", data, "-U", "tundra", "-A", "trust", "--no-sync", "--no-locale",
                  "-E", "UTF8"]
        subprocess.run(as_user + initdb, check=True, **quiet)
        server = [f"{binaries[-1]}/postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k",
                  self.folder, "-c", "fsync=off", "-c", "timezone=UTC"]
        self.process = subprocess.Popen(as_user + server, **quiet)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class Postgres:
    name = "postgres"

    def __init__(self, server):
        import psycopg

        self.psycopg = psycopg
        for _ in range(200):
            try:
                self.connection = psycopg.connect(
                    host="127.0.0.1", port=server.port, user="tundra", dbname="postgres", autocommit=True)
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        # As the server writes them.
        for kind in ("json", "jsonb"):
            self.connection.adapters.register_loader(kind, psycopg.types.string.TextLoader)
        self.connection.execute("DROP SCHEMA IF EXISTS public CASCADE")
        self.connection.execute("CREATE SCHEMA public")

    def run(self, sql):
        sql = re.sub(r"\bDOUBLE\b(?! PRECISION)", "DOUBLE PRECISION", sql, flags=re.I)
        sql = re.sub(r"\bTINYINT\b", "SMALLINT", sql, flags=re.I)
        sql = re.sub(r"\bBLOB\b", "BYTEA", sql, flags=re.I)
        try:
            cursor = self.connection.execute(sql)
        except self.psycopg.Error as error:
            raise Refused(str(error)) from error
        if cursor.description is None:
            return None
        types = [column.type_display for column in cursor.description]
        if "interval" in types:
            raise Refused("the oracle reads no intervals from PostgreSQL")
        rows = cursor.fetchall()
        letters = ""
        for position, kind in enumerate(types):
            if kind.startswith("numeric"):
                whole = all(row[position] is None or "." not in text(row[position]) for row in rows)
                letters += "I" if whole else "N"
            else:
                letters += self.letter(kind)
        return letters, [[text(value) for value in row] for row in rows]

    @staticmethod
    def letter(kind):
        kind = re.sub(r"\(.*\)", "", kind)
        known = {"int2": "I", "int4": "I", "int8": "I", "float4": "R", "float8": "R", "text": "T", "varchar": "T",
                 "bpchar": "T", "bool": "B", "date": "D", "time": "M", "timestamp": "S", "timestamptz": "S",
                 "bytea": "X", "json": "T", "jsonb": "T", "bit": "T", "varbit": "T", "uuid": "T"}
        return known.get(kind, "?")

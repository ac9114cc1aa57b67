"""The engines that the corpora were written for, asked the same in the same run: DuckDB and SQLite in this process.

A reference says what it answers. Whether that is what the script expects is judged by the caller. RisingWave's scripts
have no engine here: what they expect is the reference.
"""

import gzip
import shutil
import sqlite3
import threading
import warnings
from pathlib import Path

import duckdb

from answers import Answer, sqlite_rows
from sql_text import is_query

# Under which settings DuckDB does as Tundra does by `docs/dialect.md`, one after the other.
DIALECT = [
    ("integers are divided to integers", {"integer_division": "true"}),
    ("nulls sort last ascending and first descending", {"default_null_order": "'nulls_last_on_asc_first_on_desc'"}),
    ("division by zero and values out of range are errors, for floats too", {"ieee_floating_point_ops": "false"}),
    ("integers are divided to integers, nulls sort last ascending and first descending",
     {"integer_division": "true", "default_null_order": "'nulls_last_on_asc_first_on_desc'"}),
]
ALWAYS_THERE = {"notmusl", "notmingw", "notwindows", "longdouble", "64bit", "noforcestorage", "no_force_storage", "nothreadsan",
                "strinline", "skip_reload", "no_alternative_verify", "no_latest_storage", "no_vector_verification",
                "no_extension_autoloading", "ram", "disk_space"}


class Refused(Exception):
    """The reference gave an error."""


class Skip(Exception):
    """The reference cannot run this script."""


class DuckDB:
    """One database in process, with the connections that a script names."""

    name = "duckdb"
    limit = 20

    def __init__(self, folder, printer):
        warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
        self.folder, self.printer, self.path = folder, printer, ":memory:"
        self.open()

    def open(self):
        self.close()
        # The results of scripts name the first connection's temporary folder and settings as these are by default.
        self.database = duckdb.connect(self.path, config={"threads": "1", "memory_limit": "1500MB"})
        self.connections = {"": self.configured(self.database)}

    def close(self):
        for connection in getattr(self, "connections", {}).values():
            connection.close()

    def configured(self, connection):
        connection.execute("SET arrow_lossless_conversion = true")
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def load(self, words):
        path = words[0] if words and words[0] != ":memory:" else ":memory:"
        if len(words) > 1 and words[1] == "readonly":
            raise Skip("a database of before")
        self.path = path
        self.open()

    def reconnect(self):
        self.connections[""] = self.configured(self.database.cursor())

    def unzip(self, words):
        source = Path(words[0])
        if not source.exists():
            raise Skip(f"{source} is not there")
        target = Path(words[1]) if len(words) > 1 else Path(self.folder, source.stem)
        with gzip.open(source) as packed, open(target, "wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)

    def require(self, words):
        """Raises `Skip` where something that the script requires is not here."""
        what = words[0].lower()
        if what in ALWAYS_THERE or what == "vector_size" and int(words[1]) <= 2048:
            return
        try:
            self.connections[""].execute(f"LOAD {what}")
        except duckdb.Error:
            raise Skip(f"it requires {' '.join(words[:2])}") from None

    def connection(self, name):
        if name not in self.connections:
            self.connections[name] = self.configured(self.database.cursor())
        return self.connections[name]

    def run(self, sql, name="", letters=""):
        connection = self.connection(name)
        watch = threading.Timer(self.limit, connection.interrupt)
        watch.start()
        try:
            connection.execute(sql)
            if connection.description is None:
                return Answer([], [], [], [])
            return self.printer.duckdb(connection.to_arrow_table(), self.zone(connection))
        except Exception as error:  # DuckDB's, or Arrow's of what it has no form for
            refused = isinstance(error, (duckdb.Error, RuntimeError, ValueError, MemoryError)) and "Arrow" not in str(error)
            answer = None if refused else self.run_as_text(sql, name)
            if answer is None:
                raise Refused(str(error)) from error
            return answer
        finally:
            watch.cancel()

    def run_as_text(self, sql, name=""):
        """As `run`, with values that DuckDB casts itself: not all of them come through Arrow as they are. None: this cannot
        be asked so."""
        if not is_query(sql):
            return None
        try:
            inner = sql.strip().rstrip(";")
            table = self.connection(name).execute(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({inner}\n)").to_arrow_table()
            return self.printer.duckdb(table)
        except Exception:  # DuckDB's errors and Arrow's
            return None

    def zone(self, connection):
        try:
            return connection.execute("SELECT current_setting('TimeZone')").fetchone()[0]
        except duckdb.Error:
            return "UTC"

    def under_dialect(self, sql, name):
        """(reason, answer or None for an error) under each of the settings by which Tundra's dialect differs."""
        if not is_query(sql):
            return
        connection = self.connection(name)
        for reason, settings in DIALECT:
            before = {}
            try:
                for setting, value in settings.items():
                    before[setting] = connection.execute("SELECT current_setting(?)::VARCHAR", [setting]).fetchone()[0]
                    connection.execute(f"SET {setting} = {value}")
                try:
                    yield reason, self.run(sql, name)
                except Refused:
                    yield reason, None
            except duckdb.Error:
                return
            finally:
                for setting, value in before.items():
                    try:
                        connection.execute(f"SET {setting} = '{value}'")
                    except duckdb.Error:
                        pass


class SQLite:
    name = "sqlite"
    limit = 20

    def __init__(self, folder, printer):
        self.connection = sqlite3.connect(":memory:", isolation_level=None)

    def close(self):
        self.connection.close()

    def run(self, sql, name="", letters=""):
        watch = threading.Timer(self.limit, self.connection.interrupt)
        watch.start()
        try:
            cursor = self.connection.execute(sql)
            names = [column[0] for column in cursor.description or []]
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise Refused(str(error)) from error
        finally:
            watch.cancel()
        return Answer(names, sqlite_rows(rows, letters) if letters else rows, [letter in "IR" for letter in letters])

    def under_dialect(self, sql, name):
        return ()


class Written:
    """What a script expects is all there is."""

    name = "risingwave"

    def __init__(self, folder, printer):
        pass

    def close(self):
        pass

    def run(self, sql, name="", letters=""):
        return None

    def under_dialect(self, sql, name):
        return ()

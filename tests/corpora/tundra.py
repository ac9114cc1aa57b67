"""One Tundra that scripts are run on: asked over Flight SQL, emptied between scripts, started again when it ends."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pyarrow

sys.path.insert(0, str(Path(__file__).parent.parent / "cluster"))
from processes import Cluster  # noqa: E402
from sql_text import statements  # noqa: E402

STATUS = adbc_driver_manager.AdbcStatusCode
TIMEOUTS = [adbc_driver_flightsql.ConnectionOptions.TIMEOUT_QUERY, adbc_driver_flightsql.ConnectionOptions.TIMEOUT_FETCH,
            adbc_driver_flightsql.ConnectionOptions.TIMEOUT_UPDATE]

# Makes what lasts and is in no list of tables.
HIDDEN = re.compile(
    r"\s*(CREATE\s+(OR\s+REPLACE\s+)?(TEMP\w*\s+|AGGREGATE\s+|PERSISTENT\s+)*(TYPE|DOMAIN|MACRO|FUNCTION|SEQUENCE|DATABASE|USER|ROLE)"
    r"|ATTACH|ALTER\s+(SYSTEM|DATABASE)|SET\s+(GLOBAL|PERSIST))\b", re.I)


class Failed(Exception):
    """What the server said; `refused` where it says that this is not built."""

    def __init__(self, message, refused=False):
        super().__init__(message)
        self.refused = refused


class TimedOut(Failed):
    """No answer within the limit; the server still answers others."""


class Crashed(Failed):
    """The server is gone, or answers nobody."""


class Tundra:
    """`limit` is in seconds for each statement. Without coordinators it is one process."""

    def __init__(self, binary, limit, arguments=(), coordinators=0, shards=1):
        self.binary, self.limit, self.arguments = binary, limit, list(arguments)
        self.coordinators, self.shards = coordinators, shards
        self.folder = self.cluster = None
        self.connections = {}
        self.start()

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="tundra-corpora.")
        self.cluster = Cluster(self.binary, f"{self.folder}/data", self.coordinators, self.shards, self.arguments)
        # Whether nothing was asked yet, and whether something was made that no list of tables has.
        self.fresh, self.hidden = True, False

    def stop(self):
        self.disconnect()
        if self.cluster.process.poll() is None:
            try:
                self.cluster.stop()
            except subprocess.TimeoutExpired:
                self.cluster.crash()
        shutil.rmtree(self.folder, ignore_errors=True)

    def again(self):
        """A new server without anything."""
        self.disconnect()
        if self.cluster.process.poll() is None:
            self.cluster.crash()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.start()

    def disconnect(self):
        for connection in self.connections.values():
            try:
                connection.close()
            except adbc_driver_manager.Error:
                pass
        self.connections = {}

    def connect(self):
        url = self.cluster.addresses[0]
        options = {option.value: str(self.limit) for option in TIMEOUTS}
        return adbc_driver_flightsql.dbapi.connect(url, autocommit=True, conn_kwargs=options)

    def run(self, sql, name=""):
        """The last statement's answer as an Arrow table, asked on the connection of that name."""
        answer = None
        for statement in statements(sql) or [sql]:
            answer = self.ask(statement, name)
        return answer

    def ask(self, statement, name):
        self.fresh = False
        self.hidden |= bool(HIDDEN.match(statement))
        try:
            if name not in self.connections:
                self.connections[name] = self.connect()
            with self.connections[name].cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetch_arrow_table()
        except adbc_driver_manager.Error as error:
            raise self.failure(error) from error
        except (pyarrow.ArrowException, OSError) as error:
            raise Failed(f"an answer that the driver does not read: {error}") from error

    def failure(self, error):
        message = plain(str(error))
        if error.status_code in (STATUS.TIMEOUT, STATUS.IO, STATUS.CANCELLED, STATUS.UNKNOWN) and not self.answers():
            return Crashed(message)
        if error.status_code == STATUS.TIMEOUT:
            return TimedOut(f"no answer within {self.limit} s")
        return Failed(message, error.status_code == STATUS.NOT_IMPLEMENTED)

    def answers(self):
        """Whether it serves anybody."""
        if self.cluster.process.poll() is not None:
            return False
        try:
            with self.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                return cursor.fetchall() == [(1,)]
        except adbc_driver_manager.Error:
            return False

    def clear(self):
        """Nothing is left of what was made: dropped where that works, else by a new server."""
        self.disconnect()
        if self.fresh:
            return
        if self.hidden:
            return self.again()
        try:
            for schema, name, kind in sorted(self.made(), key=lambda row: "VIEW" not in row[2].upper()):
                what = "VIEW" if "VIEW" in kind.upper() else "TABLE"
                self.ask(f'DROP {what} IF EXISTS "{schema}"."{name}"' + (" CASCADE" if what == "VIEW" else ""), "")
            names = self.ask("SELECT schema_name FROM information_schema.schemata", "").column(0).to_pylist()
            for schema in names:
                if schema not in ("main", "system", "information_schema", "pg_catalog"):
                    self.ask(f'DROP SCHEMA "{schema}" CASCADE', "")
            if self.made():
                raise Failed("something is left")
        except Failed:
            self.again()
        self.disconnect()

    def made(self):
        """(schema, name, kind) of every table and view."""
        answer = self.ask("SELECT table_schema, table_name, table_type FROM information_schema.tables", "")
        rows = zip(*[column.to_pylist() for column in answer.columns])
        return [row for row in rows if row[0] not in ("system", "information_schema", "pg_catalog")]


def plain(message):
    """An error without what the driver adds."""
    message = re.sub(r"^[A-Z_]+: (\[FlightSQL\] )?", "", message)
    message = re.split(r"\. Vendor code: |\. SQLSTATE: ", message)[0]
    return re.sub(r"\s*\(\w+; [^()]*\)\s*$", "", message).strip()

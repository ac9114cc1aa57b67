"""DuckDB: tables in memory, or in a checkpointed database file, which is compressed."""

import os

import duckdb

from quoting import name, text


class InMemory:
    version = duckdb.__version__
    form = "tables in memory"

    def open(self, request):
        self.place = self.database(request["folder"])
        self.config = {
            "threads": request["threads"],
            "memory_limit": f"{request['memory_bytes']}B",
            "temp_directory": os.path.join(request["folder"], "spill"),
        }
        self.connection = duckdb.connect(self.place, config=self.config)

    def database(self, folder):
        return ":memory:"

    def load(self, table):
        files = ", ".join(map(text, table["files"]))
        self.connection.execute(f"CREATE TABLE {name(table['name'])} AS SELECT * FROM read_parquet([{files}])")

    def finish(self):
        pass

    def store_bytes(self):
        return None

    def run(self, sql):
        return self.connection.sql(sql).to_arrow_table()


class Compressed(InMemory):
    form = "database file, checkpointed and opened again"

    def database(self, folder):
        return os.path.join(folder, "tables.duckdb")

    def finish(self):
        self.connection.execute("CHECKPOINT")
        self.connection.close()
        self.connection = duckdb.connect(self.place, config=self.config)

    def store_bytes(self):
        return os.path.getsize(self.place)

"""Polars: SQL over frames in memory. Its threads are set by POLARS_MAX_THREADS before the start."""

import polars


class Polars:
    version = polars.__version__
    form = "frames in memory"

    def open(self, request):
        self.context = polars.SQLContext()

    def load(self, table):
        self.context.register(table["name"], polars.read_parquet(table["files"]))

    def finish(self):
        pass

    def store_bytes(self):
        return None

    def run(self, sql):
        return self.context.execute(sql, eager=False).collect().to_arrow()

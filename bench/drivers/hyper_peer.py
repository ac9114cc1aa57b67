"""Tableau Hyper: a .hyper file. Answers come as an Arrow stream in a file of shared memory."""

import os

import pyarrow.ipc
import tableauhyperapi
from tableauhyperapi import Connection, CreateMode, HyperProcess, Telemetry

from quoting import name, text


class Hyper:
    version = tableauhyperapi.__version__
    form = ".hyper file"

    def open(self, request):
        limits = ["soft_concurrent_query_thread_limit", "hard_concurrent_query_thread_limit"]
        parameters = {limit: str(request["threads"]) for limit in limits} | {"log_config": ""}
        self.place = os.path.join(request["folder"], "tables.hyper")
        self.answer = f"/dev/shm/tundra-bench-{os.getpid()}.arrow"
        self.process = HyperProcess(Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=parameters)
        self.connection = Connection(self.process.endpoint, self.place, CreateMode.CREATE_AND_REPLACE)

    def load(self, table):
        files = ", ".join(map(text, table["files"]))
        source = f"external(ARRAY[{files}], FORMAT => 'parquet')"
        self.connection.execute_command(f"CREATE TABLE {name(table['name'])} AS (SELECT * FROM {source})")

    def finish(self):
        pass

    def store_bytes(self):
        return os.path.getsize(self.place)

    def run(self, sql):
        try:
            self.connection.execute_command(f"COPY ({sql}) TO {text(self.answer)} WITH (FORMAT arrowstream)")
            with open(self.answer, "rb") as file:
                return pyarrow.ipc.open_stream(file).read_all()
        finally:
            if os.path.exists(self.answer):
                os.remove(self.answer)

"""Runs one engine for the harness: a request is a line of JSON on stdin, its reply a line on stdout.

    driver.py ENGINE

{"load": {"tables": [{"name", "files", "key"}], "folder", "threads", "memory_bytes", "in_memory"}}
    -> {"seconds", "version", "form", "store_bytes"}
{"run": SQL, "answer": PATH or null}
    -> {"seconds", "rows"}; the rows are written to PATH as an Arrow stream, after the clock has stopped

Any failure is answered with {"error": MESSAGE}. `folder` is empty and belongs to the engine. A time is that from the
call to the last row in an Arrow table.
"""

import importlib
import json
import os
import sys
import time

import pyarrow
import pyarrow.compute
import pyarrow.ipc

PEERS = {
    "duckdb": ("duckdb_peer", "InMemory"),
    "duckdb-compressed": ("duckdb_peer", "Compressed"),
    "chdb": ("chdb_peer", "ClickHouse"),
    "datafusion": ("datafusion_peer", "DataFusion"),
    "polars": ("polars_peer", "Polars"),
    "hyper": ("hyper_peer", "Hyper"),
}


def load(peer, request):
    pyarrow.set_cpu_count(request["threads"])
    peer.open(request)
    started = time.perf_counter()
    for table in request["tables"]:
        peer.load(table)
    peer.finish()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "version": peer.version, "form": peer.form, "store_bytes": peer.store_bytes()}


def run(peer, sql, answer):
    started = time.perf_counter()
    rows = peer.run(sql)
    seconds = time.perf_counter() - started
    if answer:
        rows = plain(rows)
        with pyarrow.ipc.new_stream(answer, rows.schema) as stream:
            stream.write_table(rows)
    return {"seconds": seconds, "rows": rows.num_rows}


def plain(rows):
    """Without dictionaries, so that every reader understands the stream."""
    for position, field in enumerate(rows.schema):
        if pyarrow.types.is_dictionary(field.type):
            values = pyarrow.compute.cast(rows.column(position), field.type.value_type)
            rows = rows.set_column(position, field.name, values)
    return rows


def main():
    # What an engine prints must not get among the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module, name = PEERS[sys.argv[1]]
    peer = getattr(importlib.import_module(module), name)()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "load" in request:
                reply = load(peer, request["load"])
            else:
                reply = run(peer, request["run"], request["answer"])
        except BaseException as error:  # some engines raise what is no Exception, such as a panic
            reply = {"error": str(error) or type(error).__name__}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()

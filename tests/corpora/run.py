#!/usr/bin/env python3
"""Runs public corpora of SQL logic tests on Tundra, beside the engine that each was written for.

    run.py --binary target/release/tundra --corpus all --jobs 2 --output corpora.json
    run.py --binary target/release/tundra --corpus duckdb --from ~/duckdb --file 'test/sql/types/interval/*'

sqlite      test/select1 to select3 of SQLite's own tests. The reference is Python's sqlite3.
duckdb      test/sql/{types,function,cast} of DuckDB's repository. The reference is the `duckdb` package of this Python.
risingwave  e2e_test/batch of RisingWave's repository. The reference is what the files expect.

Files that DuckDB calls slow, and SQLite's others, are run by `--file`.

`--from` is a checkout of the corpus's repository, or for `all` a folder with one named after each corpus; without it they
are cloned from GitHub. Nothing of them is kept here. Each script is run in order on a Tundra that has nothing of others.
Counted are queries whose answer in the script is what the reference gives, too; verified are those that Tundra
answers alike: in the order that ORDER BY asks for, values as the corpus prints them, numbers to 1e-6 relative. All others
fall into classes, by cause: what fails since a statement before it failed counts for that one's class. Kinds of classes:

refused   Tundra says that it is not built       dialect    otherwise on purpose (docs/dialect.md)
syntax    it is not read                         different  a wrong answer
error     any other error                        timeout, crash, internal  what they say

It needs duckdb, pyarrow and adbc-driver-flightsql. Ends with one line for each corpus.
"""

import argparse
import fnmatch
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

from report import Report

REPOSITORIES = {
    "sqlite": ("https://github.com/gregrahn/sqllogictest", ["test"]),
    "duckdb": ("https://github.com/duckdb/duckdb", ["test/sql/types", "test/sql/function", "test/sql/cast", "test/sql/tpch", "data"]),
    "risingwave": ("https://github.com/risingwavelabs/risingwave", ["e2e_test/batch", "e2e_test/tpch", "e2e_test/over_window"]),
}
# What is run where no --file says otherwise.
FILES = {
    "sqlite": ["test/select[123].test"],
    "duckdb": ["test/sql/types/*.test", "test/sql/function/*.test", "test/sql/cast/*.test"],
    "risingwave": ["e2e_test/batch/*.slt", "e2e_test/batch/*.slt.part"],
}
# With --quick: what takes a few seconds.
QUICK = {
    "sqlite": ["test/select1.test"],
    "duckdb": ["test/sql/types/decimal/*.test", "test/sql/types/interval/*.test", "test/sql/cast/*.test"],
    "risingwave": ["e2e_test/batch/basic/*.slt.part"],
}
FILE_SECONDS = 900


def cloned(corpus, folder):
    """A shallow clone with the folders of the tests alone."""
    url, folders = REPOSITORIES[corpus]
    target = Path(folder, corpus)
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--filter=blob:none", "--sparse", url, str(target)], check=True)
    subprocess.run(["git", "-C", str(target), "sparse-checkout", "set", *folders], check=True)
    return target


def scripts(corpus, root, patterns):
    """The files to run, as paths below the root. A file that others include by its name is run as part of them; one
    that they include by a pattern stands for itself."""
    everything = sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file())
    found = [path for path in everything if any(fnmatch.fnmatch(path, pattern) for pattern in patterns)]
    if corpus != "risingwave":
        return found
    parts, wrappers = set(), set()
    for path in everything:
        if not path.endswith((".slt", ".slt.part")):
            continue
        lines = Path(root, path).read_text(errors="replace").splitlines()
        patterns = [line.split()[1] for line in lines if line.startswith("include ")]
        if any("*" in pattern for pattern in patterns):
            wrappers.add(path)
        else:
            files = [Path(root, path).parent.joinpath(pattern).resolve() for pattern in patterns]
            parts |= {str(file.relative_to(Path(root).resolve())) for file in files}
    return [path for path in found if path not in parts | wrappers]


class Worker:
    """A process that runs scripts one after the other; another takes its place when it dies or is stuck."""

    def __init__(self, options):
        self.options, self.process = options, None

    def start(self):
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=serve, args=(other, self.options))
        self.process.start()
        other.close()

    def run(self, path, shown):
        """The result, or why there is none."""
        if self.process is None:
            self.start()
        try:
            self.pipe.send((path, shown))
            if self.pipe.poll(FILE_SECONDS):
                return self.pipe.recv()
            why = f"more than {FILE_SECONDS} s"
        except (EOFError, OSError):
            why = "the reference or the runner ended"
        self.kill()
        return why

    def stop(self):
        if self.process:
            self.pipe.close()
            self.process.join(90)
            if self.process.is_alive():
                self.kill()

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.join()
        self.process = None


def serve(pipe, options):
    """The work of a worker's process: it and its server are a group of their own."""
    os.setsid()
    from answers import Printer
    from scripts import Script
    from tundra import Tundra

    arguments = ["--memory", options["memory"], "--threads", str(options["threads"])]
    tundra = Tundra(options["binary"], options["limit"], arguments, shards=options["shards"])
    script = Script(options["corpus"], tundra, Printer())
    os.chdir(options["root"])
    while True:
        try:
            path, shown = pipe.recv()
        except (EOFError, OSError):
            break
        try:
            result = script.run(path, shown)
        except Exception:  # a defect of ours in one script, which is told
            result = script.result
            result.skipped = f"the runner failed: {traceback.format_exc(limit=-2)}"
        try:
            pipe.send(result)
        except OSError:  # whoever asked is gone
            break
    tundra.stop()


def run(corpus, root, arguments):
    from scripts import Result

    patterns = arguments.file or (QUICK if arguments.quick else FILES)[corpus]
    files = scripts(corpus, root, patterns)
    options = {"binary": str(Path(arguments.binary).resolve()), "limit": arguments.limit, "corpus": corpus, "root": str(root),
               "memory": arguments.memory, "threads": arguments.threads, "shards": arguments.shards}
    waiting, results, lock = in_turn(list(enumerate(files))), {}, threading.Lock()
    end = time.monotonic() + 60 * arguments.minutes if arguments.minutes else float("inf")

    def work():
        worker = Worker(options)
        while True:
            with lock:
                if not waiting or time.monotonic() > end:
                    break
                number, shown = waiting.pop(0)
            result = worker.run(str(Path(root, shown)), shown)
            results[number] = result if isinstance(result, Result) else Result(shown, skipped=result)
            if arguments.verbose:
                done = results[number]
                good = sum(bool(one.how) for one in done.outcomes)
                print(f"{done.seconds:7.1f} s  {good:>5} of {sum(one.counted for one in done.outcomes):>5}  {shown}  {done.skipped}", flush=True)
        worker.stop()

    threads = [threading.Thread(target=work) for _ in range(max(1, min(arguments.jobs, len(files))))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waited = [Result(shown, skipped="not run in the time given") for _, shown in waiting]
    return Report(corpus, [results[number] for number in sorted(results)] + waited)


def in_turn(files):
    """Every eighth, then their neighbours, and so on: what is run in a limited time is a fair part of all."""
    return [file for first in range(8) for file in files[first::8]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--corpus", choices=[*REPOSITORIES, "all"], required=True)
    parser.add_argument("--from", dest="root", metavar="DIR", help="a checkout; for all: a folder with one for each corpus")
    parser.add_argument("--file", action="append", metavar="GLOB", help="only these, by their path in the repository (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="a few folders of each corpus")
    parser.add_argument("--output", metavar="FILE", help="the report as JSON")
    parser.add_argument("--jobs", type=int, default=1, help="scripts at a time, each with a Tundra of its own")
    parser.add_argument("--limit", type=int, default=10, help="seconds for each statement")
    parser.add_argument("--minutes", type=float, metavar="M", help="no further file is begun after so long")
    parser.add_argument("--memory", default="1GB", help="of each Tundra")
    parser.add_argument("--threads", type=int, default=1, help="of each Tundra")
    parser.add_argument("--shards", type=int, default=1, help="of each Tundra")
    parser.add_argument("--least", type=float, default=0.0, metavar="PERCENT", help="fails where fewer queries are verified")
    parser.add_argument("--classes", type=int, default=60, help="how many classes are printed of each corpus")
    parser.add_argument("--verbose", action="store_true", help="a line for each file")
    arguments = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    corpora = list(REPOSITORIES) if arguments.corpus == "all" else [arguments.corpus]
    reports, begun = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tundra-clones.") as folder:
        for corpus in corpora:
            if arguments.root:
                root = Path(arguments.root, corpus) if arguments.corpus == "all" else Path(arguments.root)
            else:
                root = cloned(corpus, folder)
            reports.append(run(corpus, root.resolve(), arguments))
            print(reports[-1].text(arguments.classes), "\n", flush=True)
    if arguments.output:
        written = {"seconds": round(time.monotonic() - begun, 1), "corpora": [report.as_json() for report in reports]}
        Path(arguments.output).write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    for report in reports:
        print(report.summary())
    low = [report for report in reports if 100 * len(report.verified) < arguments.least * len(report.counted) or not report.counted]
    sys.exit(1 if low else 0)


if __name__ == "__main__":
    main()

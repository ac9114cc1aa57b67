#!/usr/bin/env python3
"""Executes the page docs/walkthrough.md as its reader would, and compares what is printed with what it says.

    run.py --binary target/release/tundra

The page's blocks of `sh` are run one after the other in one shell, in a folder of its own; the block of `text` after one is
what it is to print, where `…` stands for anything within a line, and a line of `…` alone for any lines. PostgreSQL is an instance of
its own. `--keep` leaves the folder there; `--until WORD` ends before the first block that has the word.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import adbc_driver_postgresql

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "foreign"))
from postgres import PASSWORD, Postgres  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "walkthrough.md"
# What the cluster logs meanwhile is not what a block prints.
LOGGED = re.compile(r"\d{4}-\d\d-\d\dT\S+Z +(WARN|ERROR) ")
# No block takes that long, in seconds.
PATIENCE = 180


def blocks(page):
    """Of each block of `sh` its line, its text, and what it is to print."""
    found, kind, begun, lines = [], None, 0, []
    for number, line in enumerate(page.splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif kind is None:
            kind, begun, lines = line[3:].strip(), number + 1, []
        else:
            text = "\n".join(lines)
            if kind == "sh":
                found.append((begun, text, None))
            elif kind == "text":
                line_of, command, printed = found.pop()
                if printed is not None:
                    raise SystemExit(f"{PAGE}:{begun}: two blocks of output in a row")
                found.append((line_of, command, text))
            kind = None
    return found


def pattern(expected):
    """What matches a block of output; blanks at the ends of lines do not count."""
    said = ""
    for line in expected.splitlines():
        words = ".*".join(re.escape(part) for part in line.rstrip().split("…"))
        said += "(?:.*\n)*" if line.strip() == "…" else words + "[ \t]*\n"
    return re.compile(said)


class Shell:
    """One shell for all blocks, which ends at the first command that fails."""

    def __init__(self, folder, environment):
        self.process = subprocess.Popen(["bash", "--noprofile", "--norc"], cwd=folder, env=environment, text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.say("set -euo pipefail")

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def run(self, text):
        """What the block prints, and whether it got to its end."""
        mark = f"end of block {time.monotonic_ns()}"
        timer = threading.Timer(PATIENCE, self.stop)
        timer.start()
        printed = []
        try:
            # Read as a whole first, as by somebody who pastes it; nothing in it reads the rest of the page.
            self.say("eval \"$(cat <<'END OF BLOCK'\n" + text + "\nEND OF BLOCK\n)\" < /dev/null")
            self.say(f"echo '{mark}'")
            for line in self.process.stdout:
                if line.rstrip("\n") == mark:
                    return "".join(printed), True
                if not LOGGED.match(line):
                    printed.append(line)
        except BrokenPipeError:
            pass
        finally:
            timer.cancel()
        return "".join(printed), False

    def stop(self):
        """Ends the shell and all that it has started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                # A cluster ends its nodes before itself.
                deadline = time.monotonic() + 30
                while time.monotonic() < deadline:
                    self.process.poll()
                    os.killpg(self.process.pid, 0)
                    time.sleep(0.1)
            except ProcessLookupError:
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--until", default=None)
    parser.add_argument("--verbose", action="store_true", help="print what each block prints")
    options = parser.parse_args()
    warehouse = Postgres()
    folder = tempfile.mkdtemp(prefix="tundra-walkthrough.")
    os.mkdir(f"{folder}/bin")
    os.symlink(options.binary.resolve(), f"{folder}/bin/tundra")
    password = urllib.parse.quote(PASSWORD, safe="")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("TUNDRA_", "PG"))},
        "PATH": f"{folder}/bin:{warehouse.bin}:{os.environ['PATH']}",
        "WAREHOUSE": f"postgresql://tundra:{password}@127.0.0.1:{warehouse.port}/postgres",
        "DRIVERS": str(Path(adbc_driver_postgresql.__file__).parent),
    }
    shell = Shell(folder, environment)
    failed = False
    try:
        begun = time.monotonic()
        for line, text, expected in blocks(PAGE.read_text()):
            if options.until and options.until in text:
                break
            started = time.monotonic()
            printed, ended = shell.run(text)
            took = time.monotonic() - started
            fits = expected is None or pattern(expected).fullmatch(printed + ("" if printed.endswith("\n") or not printed else "\n"))
            print(f"{PAGE.name}:{line}: {'ok' if ended and fits else 'FAILED'} in {took:.1f} s", flush=True)
            if options.verbose or not (ended and fits):
                print(printed, end="")
            if not ended or not fits:
                print(f"-- it was to print\n{expected}" if ended else f"-- it ended, or ran for longer than {PATIENCE} s", flush=True)
                failed = True
                break
        if not failed:
            print(f"the page works as it is written, in {time.monotonic() - begun:.0f} s")
    finally:
        shell.stop()
        warehouse.stop()
        if options.keep:
            print(f"its folder: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Fills the expected results of .slt files from DuckDB or PostgreSQL, never from Tundra.

    fill.py FILE.slt…            rewrite the expectations in place
    fill.py --check FILE.slt…    fail where an expectation differs from the engine's answer
    fill.py --import FILE.sql…   make FILE.slt in --into from statements that end in ';' at a line's end
    fill.py --cross …            also report where the other engine answers differently

A file's oracle stands in its second line (`# oracle: duckdb`), a record's in a comment before it:
    # oracle: postgres           this record's engine
    # oracle: hand               leave the record as it is
    # types: IR                  the types by the dialect, where the engine has others
    # oracle-sql: SELECT …       what the engine is asked instead (one line)
In a .sql file these comments start with `--` and `-- sort` asks for row sorting. `-- error: REGEX` says that the
statement fails with such a message; the engine must refuse it too, unless it is `-- hand-error: REGEX`.
"""

import argparse
import math
import re
import sys
from pathlib import Path

from engines import Duck, Postgres, PostgresServer, Refused

ERRORS = [
    ("division by zero", r"(?i)division by zero"),
    (r"out of range|overflow|does not fit|Out of Range", r"(?i)out of range|overflow|too large|does not fit|precision"),
    (r"invalid input|Could not convert|cannot cast|invalid value|could not be cast|Could not cast|bad|field value",
     r"(?i)cannot|invalid|expected|convert|not a "),
    ("logarithm|square root", r"(?i)logarithm|square root|out of range|negative|domain"),
    (r"More than one row|more than one row", r"(?i)more than one row|one row"),
]


class Record:
    """A block of an .slt file."""

    def __init__(self, comments, head="", sql="", rows=None):
        self.comments, self.head, self.sql, self.rows = comments, head, sql, rows

    def note(self, name):
        for comment in self.comments:
            if comment.startswith(f"# {name}: "):
                return comment[len(name) + 4:].strip()
        return None

    def lines(self):
        if not self.head:
            return self.comments
        lines = self.comments + [self.head] + self.sql.split("\n")
        return lines + ["----"] + self.rows if self.head.startswith("query") and self.rows is not None else lines


def read_slt(path):
    for block in re.split(r"\n\n+", path.read_text().strip("\n")):
        lines = block.split("\n")
        comments = []
        while lines and lines[0].startswith("#"):
            comments.append(lines.pop(0))
        if not lines:
            yield Record(comments)
            continue
        head, body, rows = lines[0], lines[1:], None
        if "----" in body:
            cut = body.index("----")
            body, rows = body[:cut], body[cut + 1:]
        elif head.startswith("query") and not head.startswith("query error"):
            rows = []
        yield Record(comments, head, "\n".join(body), rows)


def read_sql(path):
    """Records without expectations."""
    comments, body, modifier, head = [], [], "", None
    for line in path.read_text().split("\n"):
        if not body:
            if not line.strip():
                if comments:
                    yield Record(comments)
                    comments = []
                continue
            directive = re.match(r"-- (sort$|error: |hand-error: |pg$)(.*)", line)
            if directive:
                kind, rest = directive[1], directive[2]
                if kind == "sort":
                    modifier = " rowsort"
                elif kind == "pg":
                    comments.append("# oracle: postgres")
                else:
                    head = f"statement error {rest}"
                    if kind.startswith("hand"):
                        comments.append("# oracle: hand")
                continue
            if line.startswith("--"):
                comments.append("#" + line[2:])
                continue
        body.append(line)
        if line.rstrip().endswith(";"):
            sql = "\n".join(body).rstrip().rstrip(";")
            is_query = re.match(r"(?is)\s*\(*\s*(select|with|values|from|show|describe|explain)\b", sql)
            yield Record(comments, head or (f"query ?{modifier}" if is_query else "statement ok"), sql, [])
            comments, body, modifier, head = [], [], "", None
    if body:
        raise SystemExit(f"{path}: the last statement has no ';' at a line's end")


def class_of(message):
    for pattern, regex in ERRORS:
        if re.search(pattern, message):
            return regex
    return None


def same(left, right):
    """Whether two answers agree, numbers by value."""
    if len(left) != len(right):
        return False
    for one, other in zip(sorted(left), sorted(right)):
        for a, b in zip(one, other):
            if a != b:
                try:
                    if not math.isclose(float(a), float(b), rel_tol=1e-9):
                        return False
                except ValueError:
                    return False
    return True


class Filler:
    def __init__(self, cross):
        self.cross, self.server = cross, None
        self.problems = 0

    def complain(self, path, record, message):
        self.problems += 1
        print(f"{path.name}: {message}\n    {record.sql}", file=sys.stderr)

    def postgres(self):
        self.server = self.server or PostgresServer()
        return Postgres(self.server)

    def fill(self, path, records):
        """Runs the file's records in order and sets what they expect."""
        default = next((note for note in (record.note("oracle") for record in records if not record.head) if note),
                       "duckdb")
        notes = {record.note("oracle") for record in records} | {default}
        engines = {"duckdb": Duck()}
        if self.cross or any(note and note.startswith("postgres") for note in notes):
            engines["postgres"] = self.postgres()
        for record in records:
            if not record.head or not record.head.startswith(("query", "statement")):
                continue
            name = (record.note("oracle") or default).split()[0]
            sql = record.note("oracle-sql") or record.sql
            if name == "hand":
                continue
            if record.head == "statement ok":
                for engine in engines.values():
                    try:
                        engine.run(sql)
                    except Refused as refusal:
                        if engine.name == name or engine.name == default.split()[0]:
                            self.complain(path, record, f"{engine.name} refuses: {refusal}")
                continue
            self.expect(path, record, engines[name], sql)
            if self.cross:
                other = engines["postgres" if name == "duckdb" else "duckdb"]
                self.compare(record, other, sql)

    def expect(self, path, record, engine, sql):
        given = re.match(r"(?:statement|query) error (.+)", record.head)
        try:
            answer = engine.run(sql)
        except Refused as refusal:
            regex = given[1] if given else class_of(str(refusal))
            if regex is None:
                self.complain(path, record, f"{engine.name} refuses: {refusal}")
                return
            record.head, record.rows = f"statement error {regex}", None
            return
        if given and given[1] not in [regex for _, regex in ERRORS]:
            self.complain(path, record, f"{engine.name} accepts this")
            return
        if answer is None:
            return
        letters, rows = answer
        letters = record.note("types") or letters
        sort = " rowsort" if record.head.endswith("rowsort") else ""
        if sort:
            rows.sort()
        record.head, record.rows = f"query {letters}{sort}", ["\t".join(row) for row in rows]

    def compare(self, record, other, sql):
        try:
            answer = other.run(sql)
        except Refused as refusal:
            if not record.head.startswith("statement error"):
                print(f"-- {other.name} refuses ({str(refusal).splitlines()[0]}):\n   {sql}")
            return
        if record.head.startswith("statement error"):
            print(f"-- {other.name} accepts, giving {answer}:\n   {sql}")
        elif answer and not same([row.split("\t") for row in record.rows], answer[1]):
            print(f"-- {other.name} gives {answer[1]} and not {record.rows}:\n   {sql}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--import", dest="sql", action="store_true")
    parser.add_argument("--into", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--cross", action="store_true")
    arguments = parser.parse_args()
    filler = Filler(arguments.cross)
    count = 0
    for path in arguments.files:
        records = list(read_sql(path) if arguments.sql else read_slt(path))
        filler.fill(path, records)
        written = "\n\n".join("\n".join(record.lines()) for record in records) + "\n"
        count += sum(1 for record in records if record.head)
        if arguments.check:
            if written != path.read_text():
                filler.problems += 1
                print(f"{path}: the engine answers differently", file=sys.stderr)
        else:
            target = (arguments.into or path.parent) / f"{path.stem}.slt" if arguments.sql else path
            target.write_text(written)
    if filler.server:
        filler.server.close()
    print(f"{count} records, {filler.problems} problems")
    sys.exit(1 if filler.problems else 0)


main()

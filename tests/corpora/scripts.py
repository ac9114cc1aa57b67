"""Runs one script on a reference and on Tundra, and says of every query what came of it."""

import dataclasses
import os
import re
import shutil
import tempfile
import time

import answers
import classes
import records
import references
from tundra import Crashed, Failed

# What a script is skipped by, or not, as an engine: the reference is itself, Tundra speaks PostgreSQL's dialect.
TUNDRA = {"postgresql", "postgres", "tundra"}
REFERENCE = {"sqlite": references.SQLite, "duckdb": references.DuckDB, "risingwave": references.Written}
# Settings that change answers: where one is refused, later wrong answers follow from that.
TELLING_SETTINGS = r"\s*(?:SET|RESET)\s+(?:SESSION\s+|GLOBAL\s+|LOCAL\s+)?(timezone|time\s+zone|calendar|\w*null_order|default_order|integer_division|ieee_\w+|bytea_output|datestyle|intervalstyle)\b"
LONGEST_SLEEP = 1.0


@dataclasses.dataclass
class Outcome:
    """`counted` where the reference accepts the query; `how` it was verified, or `kind` and `form` of the reason why
    not, with `follows` where an earlier statement is to blame."""

    file: str
    line: int
    sql: str
    counted: bool = True
    how: str = ""
    kind: str = ""
    form: str = ""
    message: str = ""
    follows: bool = False
    # Why it is not counted.
    left_out: str = ""


@dataclasses.dataclass
class Result:
    file: str
    outcomes: list = dataclasses.field(default_factory=list)
    # What became of statements: a name and how many.
    statements: dict = dataclasses.field(default_factory=dict)
    # Why nothing, or not everything, of the file was run.
    skipped: str = ""
    seconds: float = 0.0

    def count(self, what):
        self.statements[what] = self.statements.get(what, 0) + 1


class Halt(Exception):
    """The script says that it ends here."""


class Script:
    def __init__(self, corpus, tundra, printer):
        self.corpus, self.tundra, self.printer = corpus, tundra, printer

    def run(self, path, shown):
        self.result = Result(shown)
        self.broken, self.labels, self.skipping, self.setting = classes.Broken(), {}, 0, None
        self.variables, self.crashed, self.loaded = [], None, None
        self.folder = tempfile.mkdtemp(prefix="tundra-script.")
        begun = time.perf_counter()
        self.reference = REFERENCE[self.corpus](self.folder, self.printer)
        try:
            self.tundra.clear()
            self.block(records.nested(records.read(path, self.corpus, shown)), [])
        except Halt:
            pass
        except references.Skip as reason:
            self.result.skipped = str(reason)
        except records.Unreadable as reason:
            self.result.skipped = f"not read: {reason}"
        finally:
            self.reference.close()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.result.seconds = time.perf_counter() - begun
        return self.result

    def block(self, block, bindings):
        for item in block:
            if isinstance(item, records.Loop):
                if not self.skipping:
                    for turn in records.turns_of(item, self.variables + bindings):
                        self.block(item.body, bindings + turn)
                continue
            known = self.variables + bindings
            if item.kind == "mode" and item.words:
                self.skipping += {"skip": 1, "unskip": -1}.get(item.words[0], 0)
            elif not self.skipping:
                self.record(self.keywords(item.replaced(known)), known)

    def keywords(self, record):
        """A script's names of folders."""
        names = {"{TEST_DIR}": self.folder, "__TEST_DIR__": self.folder, "{TEMP_DIR}": self.folder, "{DATA_DIR}": "data",
                 "{WORKING_DIRECTORY}": os.getcwd(), "__WORKING_DIRECTORY__": os.getcwd()}
        change = lambda text: re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], text)
        expected = record.expected and [change(line) for line in record.expected]
        return dataclasses.replace(record, words=list(map(change, record.words)), sql=change(record.sql), expected=expected)

    def record(self, record, bindings):
        runs = {"reference": True, "tundra": True}
        for word, condition in record.conditions:
            holds = records.holds(condition, bindings) if self.corpus == "duckdb" else None
            if holds is not None:
                runs = {who: may and holds == (word == "onlyif") for who, may in runs.items()}
                continue
            name = condition[0].lower()
            runs["reference"] &= (name == self.reference.name) == (word == "onlyif")
            runs["tundra"] &= (name in TUNDRA) == (word == "onlyif")
        act = getattr(self, f"do_{record.kind.replace('-', '_')}", None)
        if act is None:
            raise records.Unreadable(f"{record.file}:{record.line}: {record.kind}")
        act(record, runs)

    # Statements

    def do_statement(self, record, runs):
        wanted = record.words[0] if record.words else "ok"
        name = self.connection_name(record, 1)
        refused = self.on_reference(record, runs, name)
        if not runs["tundra"]:
            return
        failure = self.on_tundra(record.sql, name)
        if isinstance(failure, Crashed):
            return
        if wanted == "error":
            if failure is None:
                self.broken.failed(record.sql, classes.Reason("accepted", "a statement that must be an error", record.sql))
            self.result.count("errors that are errors" if failure else "errors that are accepted")
        elif wanted in ("ok", "count", "maybe"):
            if failure is None:
                self.broken.worked(record.sql)
            elif refused is None:
                reason = classes.reason_of(failure, record.sql)
                self.broken.failed(record.sql, reason)
                setting = re.match(TELLING_SETTINGS, record.sql, re.I)
                if setting:
                    self.setting = classes.Reason("refused", f"SET {setting[1].lower()}", str(failure))
            if refused is None:
                self.result.count("statements that work" if failure is None else "statements that fail")

    def connection_name(self, record, place):
        if self.corpus == "risingwave":
            return record.connection
        return record.words[place] if self.corpus == "duckdb" and len(record.words) > place else ""

    def on_reference(self, record, runs, name):
        """The reference's error, if it gives one."""
        if not runs["reference"]:
            return None
        try:
            self.reference.run(record.sql, name)
        except references.Refused as error:
            return error
        return None

    def on_tundra(self, sql, name):
        """Tundra's error, if it gives one."""
        if self.crashed:
            return Crashed("after the server ended")
        try:
            self.tundra.run(sql, name)
        except Crashed as error:
            self.crash(error, sql)
            return error
        except Failed as error:
            return error
        return None

    def crash(self, error, sql):
        self.crashed = classes.Reason("crash", "the server ended or hung", f"{error} of {sql[:300]}")
        self.result.skipped = f"the server ended or hung: {sql[:200]}"
        self.tundra.again()

    # Queries

    def do_query(self, record, runs):
        letters = record.words[0] if record.words else ""
        if letters in ("error", "ok"):
            record.words = [letters] + record.words[1:]
            return self.do_statement(record, runs)
        if not runs["tundra"]:
            return
        rest = record.words[1:]
        sort = next((word for word in rest[:1] if word in records.SORTS), "nosort")
        name = record.connection if rest[:1] in ([], [sort]) else self.connection_name(record, 1)
        outcome = Outcome(record.file, record.line, record.sql)
        self.result.outcomes.append(outcome)
        reference = None
        if runs["reference"]:
            try:
                reference = self.reference.run(record.sql, name, letters)
            except references.Refused as error:
                outcome.counted, outcome.left_out = False, "the reference refuses it"
                outcome.message = str(error)
        expected = self.expected(record, reference, sort, outcome, rest, name)
        if outcome.counted:
            self.judge(record, outcome, reference, expected, sort, name, letters)
        else:
            # What it does is done here, too.
            self.on_tundra(record.sql, name)

    def expected(self, record, reference, sort, outcome, rest, name):
        """Rows to compare with: those of the script where it has them, else the reference's."""
        lines = record.expected
        if not outcome.counted:
            return None
        if self.corpus == "risingwave":
            if lines is None:
                outcome.counted, outcome.left_out = False, "the script expects nothing"
            return lines
        if reference is None:
            found = lines is not None and not (lines and answers.HASH.fullmatch(lines[0]))
            if not found:
                outcome.counted, outcome.left_out = False, "no reference"
            return lines
        if lines and lines[0].startswith("<FILE>:"):
            lines = None
        if lines and answers.HASH.fullmatch(lines[0]):
            right = answers.digest(answers.sorted_rows(reference.rows, sort)) == lines[0]
            rows = reference.rows
        elif lines is None or self.corpus == "duckdb" and not lines and len(rest) > 1 and reference.rows:
            right, rows = True, reference.rows
        else:
            rows = answers.expected_rows(lines, reference.width(), len(reference.rows))
            if rows is not None and sort == "valuesort":
                rows = [(value,) for row in rows for value in row]
            right = rows is not None and answers.judge(record.sql, reference, rows, sort) is not None
        if not right and self.corpus == "duckdb" and lines and not answers.HASH.fullmatch(lines[0]):
            text = self.reference.run_as_text(record.sql, name)
            rows = text and answers.expected_rows(lines, text.width(), len(text.rows))
            if rows and len(text.names) == len(reference.numeric):
                text.numeric, text.booleans = reference.numeric, reference.booleans
                right = answers.judge(record.sql, text, rows, sort) is not None
                reference.rows = text.rows
        if not right:
            outcome.counted, outcome.left_out = False, "the reference answers otherwise"
            outcome.message = f"{reference.rows[:3]} and not {(lines or [])[:3]}"
        return rows

    def judge(self, record, outcome, reference, expected, sort, name, letters):
        sql = record.sql
        if self.crashed:
            return self.blame(outcome, self.crashed, True)
        try:
            table = self.tundra.run(sql, name)
        except Crashed as error:
            self.crash(error, sql)
            return self.blame(outcome, self.crashed, False)
        except Failed as error:
            return self.failed(record, outcome, error, name)
        try:
            answer = self.printed(table, letters)
            how = self.compare(sql, answer, reference, expected, sort)
        except Exception as error:  # an answer that cannot be read is a wrong one
            return self.blame(outcome, classes.Reason("different", f"an answer that is not read: {type(error).__name__}", str(error)), False)
        if how:
            outcome.how = how
            self.broken.worked(sql)
            return
        shown = f"{answer.rows[:3]} and not {expected[:3]}"
        reason = self.broken.cause(sql) or self.setting
        if reason:
            return self.blame(outcome, reason, True)
        difference = self.dialect(sql, answer, expected, sort, name)
        kind = "dialect" if difference else "different"
        form = difference or self.difference(answer, expected, sort)
        self.blame(outcome, classes.Reason(kind, form, shown), False)

    def failed(self, record, outcome, error, name):
        cause = self.broken.cause(record.sql)
        if cause is None:
            cause = classes.reason_of(error, record.sql)
            if cause.kind == "error":
                for reason, answer in self.reference.under_dialect(record.sql, name):
                    if answer is None:
                        cause = classes.Reason("dialect", reason, str(error))
                        break
            self.broken.failed(record.sql, cause)
            return self.blame(outcome, cause, False)
        self.blame(outcome, cause, True)

    def blame(self, outcome, reason, follows):
        outcome.kind, outcome.form, outcome.message, outcome.follows = reason.kind, reason.form, reason.message, follows

    def printed(self, table, letters):
        if self.corpus == "duckdb":
            return self.printer.duckdb(table, self.reference.zone(self.reference.connection("")))
        if self.corpus == "risingwave":
            return self.printer.postgres(table)
        rows = list(zip(*[column.to_pylist() for column in table.columns]))
        if table.num_columns != len(letters):
            raise ValueError(f"{table.num_columns} columns, not {len(letters)}")
        return answers.Answer(list(table.column_names), answers.sqlite_rows(rows, letters), [letter in "IR" for letter in letters])

    def compare(self, sql, answer, reference, expected, sort):
        if self.corpus == "risingwave":
            return answers.judge_lines(sql, answer, expected, sort)
        if self.corpus == "sqlite" and reference is None:
            expected = answers.expected_rows(expected, answer.width(), len(answer.rows))
            return expected is not None and answers.judge(sql, answer, expected, sort)
        how = answers.judge(sql, answer, expected, sort)
        if how is None and reference is not None and reference.rows is not expected:
            how = answers.judge(sql, answer, reference.rows, sort)
        return how

    def dialect(self, sql, answer, expected, sort, name):
        """Why this answer is right in Tundra's dialect, if it is."""
        for reason, other in self.reference.under_dialect(sql, name):
            if other is not None and answers.judge(sql, answer, other.rows, sort):
                return reason
        if self.corpus == "duckdb" and answers.any_rows(sql, answer, expected):
            return "a LIMIT without an order takes any rows"
        return classes.known_difference(sql)

    def difference(self, answer, expected, sort):
        """What is wrong, in a few words."""
        if len(answer.rows) != len(expected) and self.corpus != "sqlite":
            return "another number of rows"
        if self.corpus == "risingwave":
            actual = sorted(" ".join(answers.words(" ".join(row))) for row in answer.rows)
            return "another order" if actual == sorted(" ".join(answers.words(line)) for line in expected) else "other values"
        if expected and len(expected[0]) != answer.width() and sort != "valuesort":
            return "another number of columns"
        return "another order" if sorted(answer.rows) == sorted(expected) else "other values"

    # Everything else

    def do_require(self, record, runs):
        self.reference.require(record.words)

    def do_require_env(self, record, runs):
        raise references.Skip(f"it requires {' '.join(record.words)} in the environment")

    def do_test_env(self, record, runs):
        self.variables.append((record.words[0], record.words[1]))

    def do_set(self, record, runs):
        if record.words[:1] == ["variable"]:
            self.variables.append((record.words[1], record.words[2]))

    def do_load(self, record, runs):
        self.reference.load(record.words)
        place = record.words[:1]
        if place != self.loaded or not place:
            self.tundra.clear()
            self.broken = classes.Broken()
        self.tundra.disconnect()
        self.loaded = place

    def do_restart(self, record, runs):
        self.reference.open()
        if self.loaded is None:
            self.tundra.clear()
        self.tundra.disconnect()

    def do_reconnect(self, record, runs):
        self.reference.reconnect()
        self.tundra.disconnect()

    def do_unzip(self, record, runs):
        self.reference.unzip(record.words)

    def do_sleep(self, record, runs):
        found = re.fullmatch(r"(\d+)\s*([a-z]*)", " ".join(record.words))
        unit = {"s": 1.0, "second": 1.0, "seconds": 1.0}.get(found[2], 0.001) if found else 0.0
        time.sleep(min(LONGEST_SLEEP, unit * int(found[1]) if found else 0.0))

    def do_halt(self, record, runs):
        # SQLite's scripts end here for one engine: `onlyif sqlite` and the like.
        if runs["tundra"]:
            raise Halt

    def do_continue(self, record, runs):
        raise records.Unreadable("continue within a loop")

    def nothing(self, record, runs):
        """Of no meaning here."""

    do_hash_threshold = do_tags = do_reset = do_control = do_subtest = do_system = do_template = nothing

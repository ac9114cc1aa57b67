"""Answers as rows of text, by the rules of each corpus, and whether two of them are the same."""

import collections
import decimal
import hashlib
import math
import re

import duckdb
import pyarrow

from sql_text import has_limit, ordered_columns

HASH = re.compile(r"(\d+) values hashing to ([0-9a-f]{32})")


class Answer:
    """Rows of text. `numeric` and `booleans` say what a column holds."""

    def __init__(self, names, rows, numeric, booleans=()):
        self.names, self.rows, self.numeric, self.booleans = names, rows, numeric, booleans

    def width(self):
        return len(self.names)


class Printer:
    """Values of Arrow as text. DuckDB casts them, so that its rules are not written down a second time."""

    def __init__(self):
        self.connection = duckdb.connect()
        self.connection.execute("SET threads = 1")
        self.connection.execute("SET TimeZone = 'UTC'")

    def cast(self, table):
        """A list of texts and None for each column."""
        if not table.num_columns:
            return []
        renamed = table.rename_columns([f"c{place}" for place in range(table.num_columns)])
        self.connection.register("answer", renamed)
        try:
            casts = ", ".join(f"CAST({name} AS VARCHAR)" for name in renamed.column_names)
            rows = self.connection.execute(f"SELECT {casts} FROM answer").fetchall()
        finally:
            self.connection.unregister("answer")
        return [list(column) for column in zip(*rows)] or [[] for _ in renamed.column_names]

    def duckdb(self, table, zone="UTC"):
        """As DuckDB's runner of tests prints."""
        if zone != "UTC" and any(pyarrow.types.is_timestamp(kind) and kind.tz for kind in table.schema.types):
            self.connection.execute("SET TimeZone = ?", [zone])
        columns = self.cast(table)
        if zone != "UTC":
            self.connection.execute("SET TimeZone = 'UTC'")
        rows = [tuple(map(duckdb_text, row)) for row in zip(*columns)]
        return answer_of(table, rows)

    def postgres(self, table):
        """As PostgreSQL's simple protocol prints, and RisingWave's."""
        columns = []
        for place, kind in enumerate(table.schema.types):
            if pyarrow.types.is_nested(kind) or pyarrow.types.is_boolean(kind) or binary(kind):
                columns.append([postgres_text(value) for value in table.column(place).to_pylist()])
                continue
            texts = self.cast(table.select([place]))[0]
            if pyarrow.types.is_interval(kind):
                texts = [text and text.replace("month", "mon") for text in texts]
            texts = [text and re.sub(r"^(\d+-\d\d-\d\d) \(BC\)(.*)$", r"\1\2 BC", text) for text in texts]
            columns.append(texts)
        rows = [tuple("NULL" if text is None else text or "(empty)" for text in row) for row in zip(*columns)]
        return answer_of(table, rows)


def answer_of(table, rows):
    kinds = table.schema.types
    numeric = [pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind)
               or "hugeint" in str(kind) for kind in kinds]
    return Answer(list(table.column_names), rows, numeric, [pyarrow.types.is_boolean(kind) or "bool8" in str(kind) for kind in kinds])


def duckdb_text(text):
    return "NULL" if text is None else text.replace("\0", "\\0") or "(empty)"


def binary(kind):
    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind) or pyarrow.types.is_fixed_size_binary(
        kind) or str(kind) == "binary_view"


def postgres_text(value):
    """A value of Python's as PostgreSQL writes it, None for null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, list) and value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return "{" + ",".join(f"{quoted(key)}:{quoted(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "{" + ",".join(postgres_text(item) if isinstance(item, list) else quoted(item) for item in value) + "}"
    if isinstance(value, dict):
        return "(" + ",".join("" if item is None else quoted(item, '(),"\\ ') for item in value.values()) + ")"
    if isinstance(value, float):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN" if value != value else repr(value).removesuffix(".0"))
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def quoted(value, special='{},"\\ '):
    text = postgres_text(value)
    if text is None:
        return "NULL"
    if text == "" or text.upper() == "NULL" or any(letter in special for letter in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def sqlite_rows(rows, letters):
    """By the letter of each column: integers cut down, reals with three digits, anything else as text."""
    return [tuple(sqlite_text(value, letter) for value, letter in zip(row, letters)) for row in rows]


def sqlite_text(value, letter):
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if letter == "I":
        found = re.match(r"\s*[+-]?\d+", value) if isinstance(value, str) else None
        return found[0].strip() if found else "0" if isinstance(value, str) else str(int(value))
    if letter == "R":
        try:
            return "%.3f" % float(value)
        except ValueError:
            return "0.000"
    if isinstance(value, bool):
        value = int(value)
    text = "%.15g" % value if isinstance(value, float) else str(value)
    return "".join(sign if " " <= sign <= "~" else "@" for sign in text) or "(empty)"


def sorted_rows(rows, sort):
    if sort == "rowsort":
        return sorted(rows)
    if sort == "valuesort":
        return [(value,) for value in sorted(value for row in rows for value in row)]
    return list(rows)


def digest(rows):
    """As scripts write a long answer."""
    hashed = hashlib.md5()
    for row in rows:
        for value in row:
            hashed.update(value.encode("utf-8", "replace") + b"\n")
    return f"{sum(map(len, rows))} values hashing to {hashed.hexdigest()}"


def expected_rows(lines, width, count):
    """The rows that a script writes down: a line for each row with tabs, or for each value. None: they do not fit."""
    if width == 0:
        return None
    by_row = width > 1 and len(lines) == count or bool(lines) and width > 1 and all("\t" in line for line in lines)
    if by_row:
        # Tabs in a row part no values.
        rows = [tuple(filter(None, line.split("\t"))) for line in lines]
        return rows if all(len(row) == width for row in rows) else None
    if len(lines) % width:
        return None
    return [tuple(lines[place:place + width]) for place in range(0, len(lines), width)]


def same_value(actual, expected, numeric, boolean):
    if actual == expected:
        return True
    if expected.startswith(("<REGEX>:", "<!REGEX>:")):
        wanted, pattern = expected.startswith("<R"), expected.split(">:", 1)[1]
        try:
            return bool(re.fullmatch(pattern, actual, re.S)) == wanted
        except re.error:
            return False
    if boolean:
        return {"true": "1", "false": "0", "t": "1", "f": "0"}.get(actual.lower(), actual) == {
            "true": "1", "false": "0", "t": "1", "f": "0"}.get(expected.lower(), expected)
    return numeric and same_number(actual, expected)


def same_number(actual, expected):
    """To 1e-9 relative (1e-6 where single precision may be), or as far as at least four written digits go."""
    try:
        one, other = decimal.Decimal(actual), decimal.Decimal(expected)
    except decimal.InvalidOperation:
        return False
    if not (one.is_finite() and other.is_finite()):
        return one.is_nan() and other.is_nan() or one == other
    if one == other:
        return True
    if "." not in actual + expected and "e" not in (actual + expected).lower():
        return False
    digits = other.as_tuple()
    room = decimal.Decimal((0, (5,), digits.exponent - 1)) if len(digits.digits) >= 4 else decimal.Decimal(0)
    return abs(one - other) <= max(abs(other) * decimal.Decimal("1e-6"), room)


def same_rows(answer, actual, expected):
    """Whether rows that stand in order are alike; of values sorted on their own any may be a number."""
    if len(actual) != len(expected):
        return False
    single = answer.width() != 1 and all(len(row) == 1 for row in actual)
    for row, wanted in zip(actual, expected):
        if len(row) != len(wanted):
            return False
        for place, (one, other) in enumerate(zip(row, wanted)):
            numeric = any(answer.numeric) if single else answer.numeric[place]
            if not same_value(one, other, numeric, not single and bool(answer.booleans) and answer.booleans[place]):
                return False
    return True


def judge(sql, answer, expected, sort):
    """How the answer is what was expected, or None: "equal"; "any order", where nothing orders the rows; "ties", where
    rows differ in their order only among those that ORDER BY leaves alike."""
    actual, wanted = sorted_rows(answer.rows, sort), sorted_rows(expected, sort)
    if same_rows(answer, actual, wanted):
        return "equal"
    if sort != "nosort" or not same_rows(answer, sorted(answer.rows), sorted(expected)):
        return None
    columns = ordered_columns(sql, answer.names)
    if columns is None:
        return "any order"
    key = lambda row: [row[column] for column in columns]
    alike = all(same_value(one, other, True, False) for row, wanted in zip(answer.rows, expected)
                for one, other in zip(key(row), key(wanted)))
    return "ties" if columns and alike else None


def unmatched_rows(actual, expected, same):
    """(rows that are expected and not there, rows that are there and not expected), each row as often as it is."""
    exact = collections.Counter(actual)
    exact.subtract(collections.Counter(expected))
    foreign = [row for row, count in exact.items() for _ in range(max(count, 0))]
    missing = [row for row, count in exact.items() for _ in range(max(-count, 0))]
    # What is left differs by a little, or is wrong: sorted by what does not differ, mates are close to each other.
    coarse = lambda row: tuple(f"{value:.5g}" if isinstance(value, (float, decimal.Decimal)) else str(value) for value in row)
    missing.sort(key=coarse)
    left = []
    for row in sorted(foreign, key=coarse):
        mate = next((place for place, other in enumerate(missing) if same(row, other)), None)
        if mate is None:
            left.append(row)
        else:
            del missing[mate]
    return missing, left


def any_rows(sql, answer, expected):
    """Whether a LIMIT without an order took other rows than the reference did, as it may."""
    return has_limit(sql) and ordered_columns(sql, answer.names) is None and len(answer.rows) == len(expected)


def words(text):
    """What blanks part, clock times without zeros at their ends and offsets of whole hours without minutes: RisingWave
    writes three, six or nine digits and `+00:00`."""
    text = re.sub(r"(:\d\d\.\d*?)0+(?!\d)", r"\1", text)
    text = re.sub(r"(:\d\d)\.(?!\d)", r"\1", text)
    return re.sub(r"(:\d\d(?:\.\d+)?[+-]\d\d):00(?!\d)", r"\1", text).split()


def judge_lines(sql, answer, lines, sort):
    """As `judge`, of an answer that is written down as a line for each row with blanks (sqllogictest-rs)."""
    actual = [tuple(words(" ".join(row))) for row in answer.rows]
    wanted = [tuple(words(line)) for line in lines]
    inexact = any(answer.numeric)
    if sort == "valuesort":
        actual = sorted((value,) for row in actual for value in row)
        wanted = sorted((value,) for row in wanted for value in row)
    elif sort == "rowsort":
        actual, wanted = sorted(actual), sorted(wanted)

    def alike(rows, others):
        return len(rows) == len(others) and all(
            len(row) == len(other) and all(one == two or inexact and same_number(one, two) for one, two in zip(row, other))
            for row, other in zip(rows, others))

    if alike(actual, wanted):
        return "equal"
    if sort != "nosort" or not alike(sorted(actual), sorted(wanted)):
        return None
    columns = ordered_columns(sql, answer.names)
    if columns is None:
        return "any order"
    # Rows are words here; keys are told only where every value is one.
    if not columns or any(len(row) != answer.width() for row in wanted):
        return None
    return "ties" if all(row[column] == other[column] for row, other in zip(actual, wanted) for column in columns) else None

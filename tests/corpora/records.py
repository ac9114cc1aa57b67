"""The records of a script of SQL logic tests: SQLite's, DuckDB's and sqllogictest-rs' (RisingWave's) way of writing.

A record is a header line, the SQL below it and, after `----`, what is expected. Loops hold records. Nothing is run here.
"""

import dataclasses
import operator
import re
from pathlib import Path

# What `foreach` has names for (DuckDB).
SIGNED = ["tinyint", "smallint", "integer", "bigint", "hugeint"]
UNSIGNED = ["utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"]
INTEGRAL = SIGNED + UNSIGNED
NUMERIC = INTEGRAL + ["float", "double"]
COLLECTIONS = {
    "<signed>": SIGNED,
    "<unsigned>": UNSIGNED,
    "<integral>": INTEGRAL,
    "<numeric>": NUMERIC,
    "<alltypes>": NUMERIC + ["bool", "interval", "varchar"],
    "<compression>": ["none", "uncompressed", "rle", "bitpacking", "dictionary", "fsst", "dict_fsst", "alp", "alprd"],
}
COMPARISONS = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
HEADERS = ("statement", "query", "system")
SORTS = ("nosort", "rowsort", "valuesort")


class Unreadable(Exception):
    """A script that is written in a way that is not known here."""


@dataclasses.dataclass
class Record:
    file: str
    line: int
    kind: str
    words: list
    sql: str = ""
    # Lines after `----`; None: there is no such line.
    expected: list | None = None
    # (skipif or onlyif, words) in front of it.
    conditions: list = dataclasses.field(default_factory=list)
    # Of sqllogictest-rs: the connection that `connection` named.
    connection: str = ""

    def replaced(self, bindings):
        """The record with the variables of the loops around it."""
        if not bindings:
            return self
        change = lambda text: replaced(text, bindings)
        expected = self.expected and [change(line) for line in self.expected]
        return dataclasses.replace(self, words=list(map(change, self.words)), sql=change(self.sql), expected=expected)


@dataclasses.dataclass
class Loop:
    record: Record
    # Names of variables, and for each turn their values.
    variables: list
    turns: list
    body: list


def replaced(text, bindings):
    for name, value in bindings:
        text = text.replace("${" + name + "}", value).replace("{" + name + "}", value)
    return text


def read(path, dialect, shown=None):
    """The records of a file, those of included files in their places."""
    path = Path(path)
    shown = shown or str(path)
    lines = path.read_text(encoding="utf-8", errors="replace").replace("\r", "").split("\n")
    return list(records(lines, path, dialect, shown))


def records(lines, path, dialect, shown):
    place, conditions, connection = 0, [], ""
    while place < len(lines):
        line = lines[place]
        if not line.strip() or line.startswith("#"):
            place += 1
            continue
        first = place + 1
        words = line.split()
        if dialect == "sqlite" and "#" in words:
            words = words[:words.index("#")]
        kind, words = words[0], words[1:]
        place += 1
        if kind in ("skipif", "onlyif"):
            conditions.append((kind, words))
            continue
        record = Record(shown, first, kind, words, conditions=conditions, connection=connection)
        conditions = []
        if kind == "connection":
            connection = words[0] if words and words[0] != "default" else ""
            continue
        if kind in HEADERS:
            begun = place
            # sqllogictest-rs takes the first line as it is.
            while place < len(lines) and (lines[place].strip() or dialect == "risingwave" and place == begun) and lines[place] != "----":
                if dialect == "duckdb" and lines[place].startswith("#"):
                    break
                place += 1
            record.sql = "\n".join(lines[begun:place])
            if place < len(lines) and lines[place] == "----":
                begun = place = place + 1
                # Messages of sqllogictest-rs end at two blank lines.
                message = dialect == "risingwave" and (kind == "system" or words[:1] == ["error"])
                while place < len(lines) and (lines[place].strip("" if dialect == "duckdb" else None) or message and place + 1 < len(
                        lines) and lines[place + 1].strip()):
                    place += 1
                record.expected = lines[begun:place]
            connection = ""
        elif kind == "include":
            for pattern in words:
                yield from included(path, pattern, dialect, shown)
            continue
        yield record


def included(path, pattern, dialect, shown):
    """DuckDB names a file from the root of its repository, sqllogictest-rs files beside the including one."""
    if dialect == "duckdb":
        root = next((folder for folder in path.parents if (folder / pattern).exists()), None)
        files = [root / pattern] if root else []
    else:
        files = sorted(path.parent.glob(pattern))
    if not files:
        raise Unreadable(f"{shown} includes {pattern}, which is not there")
    root = Path(str(path)[:len(str(path)) - len(shown)] or ".")
    for file in files:
        file = file.resolve()
        yield from read(file, dialect, str(file.relative_to(root.resolve())))


def nested(flat):
    """The records with loops as trees."""
    stack = [[]]
    heads = []
    for record in flat:
        if record.kind in ("loop", "foreach", "concurrentloop", "concurrentforeach"):
            heads.append(record)
            stack.append([])
        elif record.kind == "endloop":
            if not heads:
                raise Unreadable(f"{record.file}:{record.line}: endloop without a loop")
            body = stack.pop()
            stack[-1].append(loop(heads.pop(), body))
        else:
            stack[-1].append(record)
    if heads:
        raise Unreadable(f"{heads[-1].file}:{heads[-1].line}: a loop without an end")
    return stack[0]


def loop(head, body):
    name, rest = head.words[0], head.words[1:]
    variables = name.split(",")
    if head.kind in ("loop", "concurrentloop"):
        # The bounds may name variables of a loop around it, which are known later: `turns_of` counts.
        return Loop(head, variables, rest, body)
    values = []
    for word in rest:
        if word.lower() in COLLECTIONS:
            values += COLLECTIONS[word.lower()]
        elif word.startswith("!") and word[1:] in values:
            values.remove(word[1:])
        elif re.fullmatch(r"<(variable:|all_types_columns).*", word):
            raise Unreadable(f"{head.file}:{head.line}: a loop over {word}")
        else:
            values.append(word)
    return Loop(head, variables, values, body)


def turns_of(loop, bindings):
    """For each turn the bindings of its variables."""
    values = [replaced(value, bindings) for value in loop.turns]
    if loop.record.kind in ("loop", "concurrentloop"):
        values = [str(number) for number in range(int(values[0]), int(values[1]))]
    for value in values:
        parts = value.split(",") if len(loop.variables) > 1 else [value]
        if len(parts) != len(loop.variables):
            raise Unreadable(f"{loop.record.file}:{loop.record.line}: {value} is not one value for each variable")
        yield list(zip(loop.variables, parts))


def holds(condition, bindings):
    """Whether a condition of DuckDB's on variables of loops holds, such as `type=struct`; None: it is about an engine."""
    text = " ".join(condition)
    if not re.search(r"[=<>]", text):
        return None
    known = dict(bindings)
    for part in text.split("&&"):
        found = re.fullmatch(r"\s*(\w+)\s*(<>|>=|<=|=|<|>)\s*(.*?)\s*", part)
        if not found or found[1] not in known:
            raise Unreadable(f"the condition {text}")
        left, sign, right = known[found[1]], found[2], found[3]
        if sign not in ("=", "<>"):
            left, right = int(left), int(right)
        if not COMPARISONS[sign](left, right):
            return False
    return True

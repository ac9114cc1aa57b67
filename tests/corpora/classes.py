"""Why a query is not verified: classes by the normal form of an error, and what follows from an earlier statement."""

import re

from sql_text import defined, first_word, names
from tundra import Crashed, TimedOut

# Where Tundra answers otherwise on purpose (docs/dialect.md), told by the query. Settings of DuckDB's that make it do
# the same are in `references.DIALECT`.
KNOWN = [
    ("names of types", r"\b(pg_)?typeof\s*\(|^\s*(DESCRIBE|SHOW)\b"),
    ("plans as text", r"^\s*EXPLAIN\b"),
    ("a DECIMAL without arguments has three digits after the point", r"(::|\bAS)\s*(DECIMAL|NUMERIC)\b(?!\s*\()"),
]
# Words of an error after which a quoted name says what is missing, and so is part of the class.
TELLING = r"(function|setting|type|operator|aggregate|keyword|option|field)\s+$"


class Reason:
    """Why something failed: a kind, and a form that other failures share."""

    def __init__(self, kind, form, message):
        self.kind, self.form, self.message = kind, form, message


def normal_form(message, sql=""):
    """The error without names and numbers of the statement."""
    line = next((line.strip() for line in message.split("\n") if line.strip()), "no message")
    line = re.sub(r"^(internal error|error): ", r"\1: ", line)
    parts = re.split(r"""("(?:""|[^"])*"|'(?:''|[^'])*'|`[^`]*`)""", line)
    for place in range(1, len(parts), 2):
        if not re.search(TELLING, parts[place - 1]):
            parts[place] = "…"
    line = "".join(parts)
    line = re.sub(r"(?<![\w.])-?\d[\d.,:-]*(?:e[+-]?\d+)?\b", "N", line)
    line = re.sub(r"\b(unknown (?:table|column|schema|relation|view)) \S+", r"\1 …", line)
    line = re.sub(r"\b(STRUCT|MAP|UNION|ENUM|ROW)\s*\(.*\)", r"\1(…)", line, flags=re.I)
    line = re.sub(r"\bthe expression \(?(?:ARRAY)?\[.*", "the expression ARRAY[…]", line)
    line = re.sub(r"\b(the (?:expression|argument|literal|parameter) (?!ARRAY).{24}).+?(?= is not supported|$)", r"\1…", line)
    line = re.sub(r"(, found )(?!the end)[a-z_]\w*", r"\1a name", line)
    if line.startswith("syntax error"):
        line += f" ({first_word(sql) or 'nothing'} …)"
    return line[:160]


def reason_of(failure, sql):
    """Of an error of Tundra's: whether it refused what is not built, and in which form."""
    message = str(failure)
    form = normal_form(message, sql)
    if isinstance(failure, Crashed):
        return Reason("crash", "the server ended or hung", message)
    if isinstance(failure, TimedOut):
        return Reason("timeout", "no answer within the limit", message)
    if message.startswith("internal error"):
        return Reason("internal", form, message)
    missing = r"there is no (function|setting|type|operator)|no function|unknown (type|function)|not supported"
    if failure.refused or re.search(missing, message):
        return Reason("refused", form, message)
    if message.startswith("syntax error"):
        return Reason("syntax", form, message)
    return Reason("error", form, message)


def known_difference(sql):
    return next((reason for reason, pattern in KNOWN if re.search(pattern, sql, re.I)), None)


class Broken:
    """Names that are not what the script thinks, since a statement that makes or changes them failed."""

    def __init__(self):
        self.reasons = {}

    def cause(self, sql):
        """Why this cannot work, if an earlier failure is why."""
        return next((self.reasons[name] for name in names(sql) if name in self.reasons), None) if self.reasons else None

    def failed(self, sql, reason):
        name = defined(sql)
        cause = self.cause(sql) or reason
        if name and (name not in self.reasons):
            self.reasons[name] = cause

    def worked(self, sql):
        """What is made anew is whole."""
        if re.match(r"\s*(CREATE|DROP|PREPARE)\b", sql, re.I):
            self.reasons.pop(defined(sql), None)

"""SQL as text, so far as it must be read to judge an answer: single statements, and what orders the rows."""

import re

TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<text>\$(?P<tag>[A-Za-z_]*)\$.*?\$(?P=tag)\$ | [eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*')
      | (?P<name>"(?:""|[^"])*")
      | (?P<word>[^\W\d]\w*)
      | (?P<number>\d[\w.]*)
      | (?P<sign>.)""",
    re.S | re.X,
)


def tokens(sql):
    """(kind, text, start, depth of parentheses) of each token that is no blank."""
    depth = 0
    for found in TOKEN.finditer(sql):
        kind, text = found.lastgroup, found[0]
        if kind == "tag":
            kind = "text"
        if kind == "blank":
            continue
        if text in ")]}":
            depth -= 1
        yield kind, text, found.start(), depth
        if text in "([{":
            depth += 1


def statements(sql):
    """The statements of a text with semicolons between them, without those."""
    start, found, anything = 0, [], False
    for kind, text, place, depth in tokens(sql):
        if kind == "sign" and text == ";" and depth == 0:
            if anything:
                found.append(sql[start:place])
            start, anything = place + 1, False
        else:
            anything = True
    return found + [sql[start:]] if anything else found


def first_word(sql):
    return next((text.upper() for kind, text, _, _ in tokens(sql) if kind == "word"), "")


def is_query(sql):
    """Whether asking again changes nothing."""
    return first_word(sql) in ("SELECT", "FROM", "WITH", "VALUES", "TABLE") and not re.search(
        r"\b(nextval|setval|random|setseed|gen_random_uuid|uuid)\b", sql, re.I)


def clause(sql, words):
    """Where the last such clause of the outermost query begins and ends, or None: `clause(sql, ["ORDER", "BY"])`."""
    listed = [token for token in tokens(sql) if token[3] <= 0]
    for place in range(len(listed) - len(words), -1, -1):
        if [token[1].upper() for token in listed[place:place + len(words)]] == words:
            return listed[place][2], listed[place + len(words) - 1][2] + len(words[-1])
    return None


def order_by(sql):
    """The keys of the outermost ORDER BY as text, without directions; none: an empty list."""
    begun = clause(sql, ["ORDER", "BY"])
    if begun is None:
        return []
    keys, current = [], []
    for kind, text, _, depth in tokens(sql[begun[1]:]):
        if depth < 0 or (depth == 0 and (text == ";" or text.upper() in ("LIMIT", "OFFSET", "FETCH", "FOR", "UNION"))):
            break
        if depth == 0 and text == ",":
            keys.append(current)
            current = []
        else:
            current.append(text)
    keys.append(current)
    for key in keys:
        for words in (["NULLS", "FIRST"], ["NULLS", "LAST"], ["ASC"], ["DESC"]):
            if len(key) > len(words) and [word.upper() for word in key[-len(words):]] == words:
                del key[-len(words):]
    return ["".join(key) for key in keys]


def ordered_columns(sql, names):
    """The positions of the columns that order the rows, as many of the first keys as are plainly columns of the
    answer; None where nothing orders them."""
    keys = order_by(sql)
    if not keys:
        return None
    lower = [name.lower() for name in names]
    if len(keys) == 1 and keys[0].upper() == "ALL":
        return list(range(len(names)))
    found = []
    for key in keys:
        name = key.replace('"', "").lower()
        if re.fullmatch(r"\d+", name) and 1 <= int(name) <= len(names):
            found.append(int(name) - 1)
            continue
        name = name.rsplit(".", 1)[-1] if re.fullmatch(r"[\w.]+", name) else name
        if lower.count(name) != 1:
            break
        found.append(lower.index(name))
    return found


def has_limit(sql):
    return any(clause(sql, [word]) for word in ("LIMIT", "OFFSET", "FETCH"))


def without_limit(sql):
    """The query with every row, where LIMIT comes last."""
    begun = clause(sql, ["LIMIT"])
    return sql[:begun[0]] if begun and len(list(tokens(sql[begun[0]:].rstrip().rstrip(";")))) == 2 else sql


DEFINES = re.compile(
    r"""\b(?:(?:CREATE|ALTER|DROP)\b[^(;]*?\b(?:TABLE|VIEW|TYPE|DOMAIN|MACRO|FUNCTION|SCHEMA|DATABASE|SEQUENCE|SOURCE|SUBSCRIPTION)
           | INSERT\s+(?:OR\s+\w+\s+)?INTO | UPDATE | DELETE\s+FROM | MERGE\s+INTO | TRUNCATE(?:\s+TABLE)? | COPY | PREPARE | ATTACH | DECLARE
           | SET\s+VARIABLE)
        \s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?
        ((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))*)""",
    re.I | re.X,
)


def defined(sql):
    """The name of what a statement makes or changes, in small letters; None: nothing that has one."""
    if first_word(sql) in ("SELECT", "FROM", "WITH", "VALUES"):
        return None
    found = DEFINES.search(sql)
    return re.findall(r'"[^"]+"|\w+', found[1])[-1].strip('"').lower() if found else None


def names(sql):
    """Every word and quoted name, in small letters."""
    return {text.strip('"').lower() for kind, text, _, _ in tokens(sql) if kind in ("word", "name")}

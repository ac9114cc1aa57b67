"""Random tables: few values, so that keys repeat, meet and are null often."""

import random
from dataclasses import dataclass

# What expressions are typed by; each has the column types that it stands for.
KINDS = {
    "integer": ["TINYINT", "SMALLINT", "INTEGER", "INTEGER", "BIGINT"],
    "decimal": ["DECIMAL(8,2)", "DECIMAL(18,3)", "DECIMAL(30,2)"],
    "float": ["DOUBLE"],
    "text": ["VARCHAR"],
    "date": ["DATE"],
    "moment": ["TIMESTAMP"],
    "truth": ["BOOLEAN"],
}
TEXTS = ["ash", "birch", "cedar", "", "Ash", "a longer text of many bytes", "çedille", "a%b_c", " x ", "10"]


@dataclass
class Column:
    name: str
    kind: str
    data_type: str


@dataclass
class Table:
    name: str
    columns: list
    rows: int
    statements: list


def literal(chance, kind):
    """A value of the kind, as SQL."""
    if kind == "integer":
        return str(chance.choice([0, 1, 2, 3, 5, 7, -1, -4, 10, 20]))
    if kind == "decimal":
        return f"{chance.choice([0, 25, 100, 150, 999, -50, -325]) / 100:.2f}"
    if kind == "float":
        # Sums and products of eighths are exact in any order.
        return f"CAST({chance.choice([0, 1, 4, 12, 20, -3, -8, 100]) / 8} AS DOUBLE)"
    if kind == "text":
        return f"'{chance.choice(TEXTS)}'"
    day = f"{chance.choice([1995, 1996, 2024])}-{chance.choice([1, 2, 12]):02}-{chance.choice([1, 15, 29, 28]):02}"
    day = day.replace("1995-02-29", "1995-02-28")
    if kind == "date":
        return f"DATE '{day}'"
    if kind == "moment":
        return f"TIMESTAMP '{day} {chance.choice(['00:00:00', '12:30:00', '23:59:59.5'])}'"
    return chance.choice(["TRUE", "FALSE"])


def value(chance, kind, nulls):
    return "NULL" if chance.random() < nulls else literal(chance, kind)


def table(chance, name, big):
    """A table and the statements that make it, the same for both engines. `big`: several batches, else up to 40 rows."""
    kinds = ["integer", "integer", "text"] + [chance.choice(list(KINDS)) for _ in range(chance.randint(1, 5))]
    columns = [Column(f"c{place}", kind, chance.choice(KINDS[kind])) for place, kind in enumerate(kinds)]
    nulls = chance.choice([0, 0.1, 0.4])
    count = chance.choice([0, 1, 5, 12, 12, 25, 25, 40, 40]) if not big else 40
    rows = [[value(chance, column.kind, nulls) for column in columns] for _ in range(count)]
    declared = ", ".join(f"{column.name} {column.data_type}" for column in columns)
    statements = [f"CREATE TABLE {name} ({declared})"]
    if rows:
        values = ", ".join("(" + ", ".join(row) + ")" for row in rows)
        statements.append(f"INSERT INTO {name} VALUES {values}")
    if big:
        # Every pair of rows gives one that has columns of both.
        mixed = ", ".join(f"{chance.choice('xy')}.{column.name}" for column in columns)
        statements.append(f"INSERT INTO {name} SELECT {mixed} FROM {name} x, {name} y")
        statements.append(f"INSERT INTO {name} SELECT {', '.join(column.name for column in columns)} FROM {name}")
    return Table(name, columns, count if not big else 2 * count * (count + 1), statements)


def tables(seed):
    """Three or four tables; one schema in four has a table of some 3,000 rows."""
    chance = random.Random(f"schema {seed}")
    count = chance.choice([3, 3, 4])
    big = chance.randrange(count) if chance.random() < 0.25 else None
    return [table(chance, f"t{place}", place == big) for place in range(count)]

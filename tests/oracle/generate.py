#!/usr/bin/env python3
"""Writes random queries over small tables as an .sql file for `fill.py --import`.

    generate.py SEED COUNT > random_1.sql

The queries keep to what DuckDB and PostgreSQL answer alike: fill them with `--cross` and look at what differs.
Values are few, so that keys repeat, meet and are null often.
"""

import random
import sys

INTEGERS = {"a": ["k", "g", "n"], "b": ["k", "g", "n"], "c": ["k", "g", "n"]}
COLUMNS = {"k": "integer", "g": "integer", "n": "integer", "p": "decimal", "s": "text", "d": "date"}
TEXTS = ["ash", "birch", "cedar", "a longer word of twenty", ""]
ROWS = {"a": 24, "b": 15, "c": 9}


class Generator:
    def __init__(self, seed):
        self.chance = random.Random(seed)

    def pick(self, *choices):
        return self.chance.choice(choices)

    def maybe(self, probability):
        return self.chance.random() < probability

    # --- values -------------------------------------------------------------------------------------------------

    def literal(self, kind):
        if kind == "integer":
            return str(self.chance.randint(-3, 9))
        if kind == "decimal":
            return f"{self.chance.randint(-300, 900) / 100:.2f}"
        if kind == "text":
            return f"'{self.chance.choice(TEXTS)}'"
        return f"DATE '{self.day()}'"

    def day(self):
        return f"{self.chance.randint(1994, 1996)}-{self.chance.choice([1, 2, 6]):02}-{self.chance.choice([1, 15, 28]):02}"

    def value(self, kind):
        return "NULL" if self.maybe(0.2) else self.literal(kind)

    def table(self, name):
        columns = ", ".join(f"{column} {kind}" for column, kind in
                            (("k", "INTEGER"), ("g", "INTEGER"), ("n", "INTEGER"), ("p", "DECIMAL(8,2)"),
                             ("s", "VARCHAR"), ("d", "DATE")))
        rows = []
        for number in range(ROWS[name]):
            key = str(number) if self.maybe(0.8) else self.value("integer")
            rows.append("(" + ", ".join([key] + [self.value(kind) for kind in list(COLUMNS.values())[1:]]) + ")")
        return f"CREATE TABLE {name} ({columns});\n\nINSERT INTO {name} VALUES\n  " + ",\n  ".join(rows) + ";\n"

    # --- expressions over the tables in scope -------------------------------------------------------------------

    def column(self, scope, kind):
        names = [name for name, of in COLUMNS.items() if of == kind]
        return f"{self.chance.choice(scope)}.{self.chance.choice(names)}"

    def expression(self, scope, kind, depth=2):
        if depth == 0 or self.maybe(0.45):
            return self.column(scope, kind) if self.maybe(0.75) else self.literal(kind)
        inner = lambda of=kind: self.expression(scope, of, depth - 1)
        if self.maybe(0.2):
            return f"CASE WHEN {self.predicate(scope, depth - 1)} THEN {inner()} ELSE {inner()} END"
        if self.maybe(0.15):
            return f"coalesce({inner()}, {self.column(scope, kind)})"
        if kind == "integer":
            return self.pick(f"({inner()} {self.pick('+', '-', '*')} {inner()})", f"length({inner('text')})",
                             f"abs({inner()})", f"CAST(extract({self.pick('year', 'month')} FROM {inner('date')}) AS INTEGER)")
        if kind == "decimal":
            return self.pick(f"({inner()} {self.pick('+', '-')} {inner()})", f"({inner()} + {self.column(scope, 'integer')})",
                             f"abs({inner()})")
        if kind == "text":
            return self.pick(f"upper({inner()})", f"substring({inner()} FROM {self.chance.randint(1, 3)} FOR 3)",
                             f"({inner()} || {inner()})")
        return f"({inner()} + {self.chance.randint(0, 40)})"

    def predicate(self, scope, depth=2):
        if depth > 0 and self.maybe(0.4):
            one, other = self.predicate(scope, depth - 1), self.predicate(scope, depth - 1)
            return self.pick(f"({one} AND {other})", f"({one} OR {other})", f"NOT ({one})")
        kind = self.pick("integer", "integer", "decimal", "text", "date")
        inner = lambda: self.expression(scope, kind, min(depth, 1))
        form = self.chance.randint(0, 7)
        if form <= 2:
            return f"{inner()} {self.pick('=', '<>', '<', '<=', '>', '>=')} {inner()}"
        if form == 3:
            return f"{self.column(scope, kind)} IS {self.pick('', 'NOT ')}NULL"
        if form == 4:
            return f"{inner()} {self.pick('', 'NOT ')}BETWEEN {self.literal(kind)} AND {self.literal(kind)}"
        if form == 5:
            values = ", ".join(self.literal(kind) for _ in range(self.chance.randint(1, 4)))
            return f"{inner()} {self.pick('', 'NOT ')}IN ({values})"
        if form == 6:
            pattern = self.pick("a%", "%r%", "%ch", "_s_", "%e%a%", "%")
            return f"{self.column(scope, 'text')} {self.pick('', 'NOT ')}LIKE '{pattern}'"
        return f"{self.column(scope, kind)} IS {self.pick('', 'NOT ')}DISTINCT FROM {self.literal(kind)}"

    # --- queries ------------------------------------------------------------------------------------------------

    def from_clause(self):
        names = self.chance.sample(["a", "b", "c"], self.pick(1, 1, 2, 2, 3))
        scope = ["x", "y", "z"][:len(names)]
        clause = f"{names[0]} {scope[0]}"
        for position in range(1, len(names)):
            join = self.pick("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
            column = self.pick("k", "g", "g", "s", "d")
            condition = f"{self.chance.choice(scope[:position])}.{column} = {scope[position]}.{column}"
            if join != "FULL JOIN" and self.maybe(0.3):
                condition += f" AND {self.predicate(scope[:position + 1], 1)}"
            clause += f" {join} {names[position]} {scope[position]} ON {condition}"
        return clause, scope

    def subquery_predicate(self, scope):
        table, outer = self.pick("a", "b", "c"), self.chance.choice(scope)
        column = self.pick("k", "g", "n")
        correlation = f"u.{column} = {outer}.{column}" if self.maybe(0.7) else self.predicate(["u"], 1)
        if self.maybe(0.3):
            correlation += f" AND {self.predicate(['u'], 1)}"
        form = self.chance.randint(0, 3)
        if form == 0:
            return f"{self.pick('', 'NOT ')}EXISTS (SELECT 1 FROM {table} u WHERE {correlation})"
        if form == 1:
            return (f"{outer}.{self.pick('k', 'g', 'n')} {self.pick('', 'NOT ')}IN "
                    f"(SELECT u.{self.pick('k', 'g', 'n')} FROM {table} u WHERE {correlation})")
        aggregate = self.pick("max(u.n)", "min(u.n)", "count(*)", "sum(u.n)", "count(u.p)")
        return (f"{self.column([outer], 'integer')} {self.pick('=', '<', '>=', '<>')} "
                f"(SELECT {aggregate} FROM {table} u WHERE {correlation})")

    def where(self, scope):
        parts = []
        if self.maybe(0.6):
            parts.append(self.predicate(scope))
        if self.maybe(0.35):
            parts.append(self.subquery_predicate(scope))
        return f" WHERE {self.pick(' AND ', ' AND ', ' OR ').join(f'({part})' for part in parts)}" if parts else ""

    def plain(self):
        clause, scope = self.from_clause()
        kinds = [self.pick("integer", "decimal", "text", "date") for _ in range(self.chance.randint(1, 3))]
        columns = ", ".join(f"{self.expression(scope, kind)} AS c{position}" for position, kind in enumerate(kinds))
        distinct = "DISTINCT " if self.maybe(0.2) else ""
        return f"SELECT {distinct}{columns} FROM {clause}{self.where(scope)}"

    def aggregate(self):
        clause, scope = self.from_clause()
        kinds = ["integer", "integer", "text", "date", "decimal"]
        keys = [self.column(scope, self.pick(*kinds)) for _ in range(self.pick(0, 1, 1, 1, 2))]
        if keys and self.maybe(0.25):
            keys[0] = self.expression(scope, "integer", 1)
            keys[0] = keys[0] if not keys[0].lstrip("-").isdigit() else self.column(scope, "integer")
        aggregates = []
        for _ in range(self.chance.randint(1, 3)):
            kind = self.pick("integer", "integer", "decimal", "text", "date")
            argument = self.expression(scope, kind, 1)
            functions = ["count", "min", "max"] + (["sum", "sum"] if kind in ("integer", "decimal") else [])
            function = self.pick(*functions)
            distinct = "DISTINCT " if function in ("count", "sum") and self.maybe(0.25) else ""
            call = "count(*)" if self.maybe(0.2) else f"{function}({distinct}{argument})"
            aggregates.append(call + (f" FILTER (WHERE {self.predicate(scope, 1)})" if self.maybe(0.15) else ""))
        columns = [f"{key} AS k{position}" for position, key in enumerate(keys)]
        columns += [f"{call} AS v{position}" for position, call in enumerate(aggregates)]
        sql = f"SELECT {', '.join(columns)} FROM {clause}{self.where(scope)}"
        if keys:
            sql += f" GROUP BY {', '.join(keys)}"
            if self.maybe(0.25):
                sql += f" HAVING {self.pick('count(*) > 1', 'count(*) <= 2', 'max(' + self.column(scope, 'integer') + ') > 2')}"
        return sql

    def set_operation(self):
        kinds = [self.pick("integer", "text", "date") for _ in range(self.chance.randint(1, 2))]
        operation = self.pick("UNION", "UNION ALL", "INTERSECT", "EXCEPT")
        sides = []
        for _ in range(2):
            name = self.pick("a", "b", "c")
            columns = ", ".join(f"{self.column(['x'], kind)} AS c{position}" for position, kind in enumerate(kinds))
            sides.append(f"SELECT {columns} FROM {name} x{self.where(['x'])}")
        return f"{sides[0]} {operation} {sides[1]}"

    def top(self):
        name = self.pick("a", "b", "c")
        key = f"x.{self.pick('n', 'p', 's', 'd', 'g')}"
        order = f"{key} {self.pick('', 'DESC', 'NULLS FIRST', 'DESC NULLS LAST')}".strip()
        limit = f"LIMIT {self.chance.randint(0, 8)}" + (f" OFFSET {self.chance.randint(1, 5)}" if self.maybe(0.4) else "")
        # The whole row breaks ties; rows that tie even so are equal.
        return (f"SELECT {key} AS c0, x.k AS c1 FROM {name} x{self.where(['x'])} "
                f"ORDER BY {order}, x.k, x.g, x.n, x.p, x.s, x.d {limit}")

    def query(self):
        form = self.chance.random()
        if form < 0.35:
            return "-- sort\n" + self.plain()
        if form < 0.75:
            return "-- sort\n" + self.aggregate()
        if form < 0.87:
            return "-- sort\n" + self.set_operation()
        return self.top()


def main():
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    generator = Generator(seed)
    print(f"-- Random queries of generate.py with seed {seed}.\n-- oracle: duckdb\n")
    for name in ROWS:
        print(generator.table(name))
    for _ in range(count):
        print(generator.query() + ";\n")
    for name in ROWS:
        print(f"DROP TABLE {name};\n")


main()

"""Random queries whose answer is one: what SQL leaves open (which rows a LIMIT takes, the order of equal rows) is not asked."""

import random

from schema import Column, KINDS, literal

ORDERED = ["integer", "decimal", "text", "date", "moment", "float"]
NUMBERS = ["integer", "decimal", "float"]
# Rows that the product of a query's tables may have.
PRODUCT = 15_000
FEATURES = ["aggregates", "windows", "grouping", "subqueries", "sets", "derived", "qualify"]


class Grammar:
    """Queries over tables; `features` are those of FEATURES that may occur."""

    def __init__(self, seed, tables, features=FEATURES):
        self.chance = random.Random(f"queries {seed}")
        self.tables = tables
        self.features = set(features)
        self.names = 0
        self.product = 1

    # --- chance -------------------------------------------------------------------------------------------------

    def pick(self, *choices):
        return self.chance.choice(choices)

    def maybe(self, probability):
        return self.chance.random() < probability

    def has(self, feature, probability=1.0):
        return feature in self.features and self.maybe(probability)

    def alias(self):
        self.names += 1
        return f"r{self.names}"

    # --- expressions: a scope is a list of (alias, columns) ---------------------------------------------------------

    def columns(self, scope, kind):
        return [f"{alias}.{column.name}" for alias, columns in scope for column in columns if column.kind == kind]

    def column(self, scope, kind):
        """A column of the kind, or a constant where there is none."""
        found = self.columns(scope, kind)
        return self.chance.choice(found) if found else literal(self.chance, kind)

    def number(self, scope):
        """An integer in the width in which sums of it do not overflow."""
        found = self.columns(scope, "integer")
        return f"CAST({self.chance.choice(found)} AS BIGINT)" if found else f"CAST({literal(self.chance, 'integer')} AS BIGINT)"

    def expression(self, scope, kind, depth=2):
        if depth == 0 or self.maybe(0.4):
            return self.column(scope, kind) if self.maybe(0.8) else literal(self.chance, kind)

        def inner(of=kind):
            return self.expression(scope, of, depth - 1)

        general = self.chance.random()
        if general < 0.12:
            return f"CASE WHEN {self.predicate(scope, depth - 1)} THEN {inner()} ELSE {inner()} END"
        if general < 0.18:
            return f"coalesce({inner()}, {self.column(scope, kind)})"
        if general < 0.22:
            return f"nullif({inner()}, {literal(self.chance, kind)})"
        if general < 0.25 and kind in ORDERED:
            return f"{self.pick('greatest', 'least')}({inner()}, {inner()})"
        if kind == "integer":
            return self.pick(
                f"({self.number(scope)} {self.pick('+', '-', '*')} {self.number(scope)})",
                f"({self.number(scope)} {self.pick('/', '%')} nullif({self.number(scope)}, 0))",
                f"length({inner('text')})",
                f"abs({self.number(scope)})",
                f"-({self.number(scope)})",
                f"CAST(extract({self.pick('year', 'month', 'day', 'dow', 'doy')} FROM {inner('date')}) AS INTEGER)",
                f"CAST({self.column(scope, 'truth')} AS INTEGER)",
                f"({self.column(scope, 'date')} - {self.column(scope, 'date')})",
                f"position({self.column(scope, 'text')} IN {inner('text')})",
            )
        if kind == "decimal":
            return self.pick(
                f"({self.column(scope, 'decimal')} {self.pick('+', '-')} {self.column(scope, 'decimal')})",
                f"abs({self.column(scope, 'decimal')})",
                f"CAST(round({self.column(scope, 'decimal')}, 1) AS DECIMAL(30,2))",
                f"CAST({self.column(scope, 'integer')} AS DECIMAL(18,2))",
            )
        if kind == "float":
            return self.pick(
                f"({inner()} {self.pick('+', '-', '*')} {self.column(scope, 'float')})",
                f"abs({inner()})",
                f"floor({inner()})",
                f"CAST({self.column(scope, 'integer')} AS DOUBLE)",
                f"sqrt(abs({inner()}))",
            )
        if kind == "text":
            return self.pick(
                f"upper({inner()})",
                f"lower({inner()})",
                f"substring({inner()} FROM {self.chance.randint(1, 4)} FOR {self.chance.randint(0, 5)})",
                f"({inner()} || {inner()})",
                f"replace({inner()}, 'a', {literal(self.chance, 'text')})",
                f"trim({inner()})",
                f"left({inner()}, {self.chance.randint(0, 6)})",
                f"CAST({self.pick(self.column(scope, 'integer'), self.column(scope, 'date'), self.column(scope, 'truth'))} AS VARCHAR)",
            )
        if kind == "date":
            return self.pick(
                f"({inner()} {self.pick('+', '-')} {self.chance.randint(0, 400)})",
                f"CAST({self.column(scope, 'moment')} AS DATE)",
                f"CAST(date_trunc('{self.pick('month', 'year', 'week')}', {inner()}) AS DATE)",
            )
        if kind == "moment":
            interval = f"INTERVAL '{self.chance.randint(0, 40)}' {self.pick('DAY', 'MONTH', 'HOUR', 'YEAR')}"
            return self.pick(
                f"({inner()} {self.pick('+', '-')} {interval})",
                f"CAST({self.column(scope, 'date')} AS TIMESTAMP)",
                f"date_trunc('{self.pick('month', 'day', 'hour', 'quarter')}', {inner()})",
            )
        return f"({self.predicate(scope, depth - 1)})"

    def predicate(self, scope, depth=2):
        if depth > 0 and self.maybe(0.4):
            one, other = self.predicate(scope, depth - 1), self.predicate(scope, depth - 1)
            return self.pick(f"({one} AND {other})", f"({one} OR {other})", f"NOT ({one})")
        kind = self.pick("integer", "integer", *ORDERED)

        def inner():
            return self.expression(scope, kind, min(depth, 1))

        form = self.chance.randint(0, 9)
        if form <= 3:
            return f"{inner()} {self.pick('=', '=', '<>', '<', '<=', '>', '>=')} {inner()}"
        if form == 4:
            return f"{self.column(scope, kind)} IS {self.pick('', 'NOT ')}NULL"
        if form == 5:
            return f"{inner()} {self.pick('', 'NOT ')}BETWEEN {literal(self.chance, kind)} AND {literal(self.chance, kind)}"
        if form == 6:
            values = [literal(self.chance, kind) for _ in range(self.chance.randint(1, 4))]
            values += ["NULL"] if self.maybe(0.1) else []
            return f"{inner()} {self.pick('', 'NOT ')}IN ({', '.join(values)})"
        if form == 7:
            pattern = self.pick("a%", "%r%", "%ch", "_s_", "%e%a%", "%", "", "a\\%b%", "%ç%")
            escape = " ESCAPE '\\'" if "\\" in pattern else ""
            return f"{self.column(scope, 'text')} {self.pick('', 'NOT ')}{self.pick('LIKE', 'LIKE', 'ILIKE')} '{pattern}'{escape}"
        if form == 8:
            return f"{inner()} IS {self.pick('', 'NOT ')}DISTINCT FROM {inner()}"
        return self.column(scope, "truth")

    # --- where rows come from -----------------------------------------------------------------------------------------

    def relation(self, depth):
        """Text and scope of one relation."""
        alias = self.alias()
        if depth > 0 and self.has("derived", 0.2):
            sql, columns = self.select(depth - 1)
            return f"({sql}) {alias}", [(alias, columns)]
        if self.has("derived", 0.04):
            kinds = [self.pick(*KINDS) for _ in range(2)]
            rows = [", ".join(f"CAST({literal(self.chance, kind)} AS {KINDS[kind][-1]})" for kind in kinds)
                    for _ in range(self.chance.randint(1, 4))]
            columns = [Column(f"v{place}", kind, KINDS[kind][-1]) for place, kind in enumerate(kinds)]
            names = ", ".join(column.name for column in columns)
            return f"(VALUES {', '.join(f'({row})' for row in rows)}) {alias} ({names})", [(alias, columns)]
        fitting = [table for table in self.tables if self.product * table.rows <= PRODUCT]
        table = self.chance.choice(fitting or [min(self.tables, key=lambda table: table.rows)])
        self.product *= max(table.rows, 1)
        return f"{table.name} {alias}", [(alias, table.columns)]

    def equality(self, scope, other):
        """That a column of each side is the same, of a kind that both have."""
        shared = [kind for kind in ["integer", "integer", "text", "date", "decimal", "moment"]
                  if self.columns(scope, kind) and self.columns(other, kind)]
        if not shared:
            return "TRUE"
        kind = self.chance.choice(shared)
        left, right = self.column(scope, kind), self.column(other, kind)
        # A key is a column most of the time.
        if self.maybe(0.15):
            left = self.expression(scope, kind, 1)
        return f"{left} {'IS NOT DISTINCT FROM' if self.maybe(0.05) else '='} {right}"

    def source(self, depth):
        clause, scope = self.relation(depth)
        for _ in range(self.pick(0, 0, 0, 1, 1, 1, 2, 3)):
            text, other = self.relation(depth)
            join = self.pick("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN")
            if join == "CROSS JOIN":
                clause, scope = f"{clause} CROSS JOIN {text}", scope + other
                continue
            condition = self.equality(scope, other)
            if condition == "TRUE":
                join = "JOIN"
            if join != "FULL JOIN" and self.maybe(0.3):
                condition += f" AND {self.predicate(scope + other, 1)}"
            clause, scope = f"{clause} {join} {text} ON {condition}", scope + other
        return clause, scope

    def subquery(self, scope, depth):
        """A condition with a subquery, correlated most of the time."""
        text, inner = self.relation(0)
        parts = []
        if self.maybe(0.7):
            parts.append(self.equality(scope, inner))
        if self.maybe(0.4):
            parts.append(self.predicate(inner + (scope if self.maybe(0.3) else []), 1))
        if depth > 0 and self.maybe(0.15):
            parts.append(self.subquery(inner + scope, depth - 1))
        where = f" WHERE {' AND '.join(parts)}" if parts else ""
        form = self.chance.randint(0, 4)
        if form == 0:
            return f"{self.pick('', 'NOT ')}EXISTS (SELECT 1 FROM {text}{where})"
        kind = self.pick("integer", "text", "date", "decimal")
        if form <= 2:
            return f"{self.expression(scope, kind, 1)} {self.pick('', 'NOT ')}IN (SELECT {self.column(inner, kind)} FROM {text}{where})"
        if form == 3:
            return (f"{self.column(scope, kind)} {self.pick('=', '<', '>=', '<>')} {self.pick('ANY', 'ALL')} "
                    f"(SELECT {self.column(inner, kind)} FROM {text}{where})")
        call, of = self.call(inner, simple=True)
        return f"{self.expression(scope, of, 1)} {self.pick('=', '<', '>=', '<>')} (SELECT {call} FROM {text}{where})"

    def where(self, scope, depth):
        parts = []
        if self.maybe(0.45):
            parts.append(self.predicate(scope))
        if self.has("subqueries", 0.25):
            parts.append(self.subquery(scope, depth))
        return f" WHERE {self.pick(' AND ', ' AND ', ' OR ').join(f'({part})' for part in parts)}" if parts else ""

    # --- aggregates and windows -----------------------------------------------------------------------------------------

    def call(self, scope, simple=False):
        """An aggregate that does not depend on the order of its rows, and the kind of its result."""
        if self.maybe(0.15):
            return "count(*)", "integer"
        kind = self.pick("integer", "integer", *KINDS)
        argument = self.expression(scope, kind, 1)
        choices = [("count", "integer")]
        if kind in ORDERED:
            choices += [("min", kind), ("max", kind)]
        if kind in NUMBERS:
            choices += [("sum", kind), ("sum", kind), ("avg", "float")]
        if kind == "truth":
            choices += [("bool_and", kind), ("bool_or", kind)]
        if not simple and "aggregates" in self.features:
            if kind in NUMBERS:
                choices += [(f"{name}", "float") for name in ("stddev_samp", "var_pop", "stddev_pop", "var_samp")]
                choices += [("median", "float")] if kind == "float" else []
            if kind == "integer":
                choices += [(name, kind) for name in ("bit_and", "bit_or", "bit_xor")]
        function, of = self.chance.choice(choices)
        if function.startswith("bit_"):
            # Sums are decimals here.
            argument = f"CAST({argument} AS BIGINT)"
        distinct = "DISTINCT " if function in ("count", "sum", "avg") and self.maybe(0.2) else ""
        filtered = f" FILTER (WHERE {self.predicate(scope, 1)})" if self.maybe(0.12) else ""
        return f"{function}({distinct}{argument}){filtered}", of

    def every_column(self, scope):
        return [f"{alias}.{column.name}" for alias, columns in scope for column in columns]

    def order(self, scope):
        """An order in which only equal rows tie."""
        first = self.column(scope, self.pick(*ORDERED))
        rest = [name for name in self.every_column(scope) if name != first]
        direction = self.pick("", " DESC", " NULLS FIRST", " DESC NULLS LAST")
        # A constant would be a position.
        keys = [f"{first}{direction}"] if "." in first and "'" not in first and "(" not in first else []
        return ", ".join(keys + rest)

    def window(self, scope, by_rows=True):
        """A window function with one answer, and its kind. Equal rows may change places within an order: of two functions
        over orders of their own, only one may tell them apart (`by_rows`)."""
        partition = [self.column(scope, self.pick("integer", "text", "date", "truth")) for _ in range(self.pick(0, 1, 1, 2))]
        by = f"PARTITION BY {', '.join(partition)} " if partition else ""
        total = f"ORDER BY {self.order(scope)}"
        form = self.chance.randint(0, 5) if by_rows else self.pick(0, 4)
        if form == 0:
            key = self.columns(scope, self.pick("integer", "text", "date"))
            order = f"ORDER BY {self.chance.choice(key)}{self.pick('', ' DESC', ' NULLS FIRST')}" if key else total
            function, kind = self.pick(("rank()", "integer"), ("dense_rank()", "integer"), ("percent_rank()", "float"), ("cume_dist()", "float"))
            return f"{function} OVER ({by}{order})", kind
        if form == 1:
            function = self.pick("row_number()", f"ntile({self.chance.randint(1, 5)})")
            return f"{function} OVER ({by}{total})", "integer"
        kind = self.pick("integer", "text", "date", "decimal")
        value = self.column(scope, kind)
        if form == 2:
            offset = self.pick("", f", {self.chance.randint(0, 3)}")
            if kind != "decimal" and self.maybe(0.3):
                offset = f", {self.chance.randint(1, 3)}, {literal(self.chance, kind)}"
            return f"{self.pick('lag', 'lead')}({value}{offset}) OVER ({by}{total})", kind
        frame = self.frame()
        if form == 3:
            function = self.pick(f"first_value({value})", f"last_value({value})", f"nth_value({value}, {self.chance.randint(1, 4)})")
            return f"{function} OVER ({by}{total} {frame})", kind
        call, of = self.call(scope, simple=True)
        if "DISTINCT" in call:
            call, of = "count(*)", "integer"
        if self.maybe(0.25) or not by_rows:
            return f"{call} OVER ({by.strip()})", of
        if self.maybe(0.3):
            # Peers: the default frame, and RANGE by distance.
            keys = self.columns(scope, "integer")
            if keys:
                key = self.chance.choice(keys)
                frame = self.pick("", "RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING", "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
                                  "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "RANGE BETWEEN 3 PRECEDING AND 1 PRECEDING")
                return f"{call} OVER ({by}ORDER BY {key}{self.pick('', ' DESC')} {frame})", of
        return f"{call} OVER ({by}{total} {frame})", of

    def frame(self):
        ahead = [f"{self.chance.randint(0, 3)} PRECEDING", "CURRENT ROW", f"{self.chance.randint(0, 3)} FOLLOWING"]
        start = self.pick(0, 0, 1, 2)
        low = self.pick("UNBOUNDED PRECEDING", ahead[start])
        high = self.pick("UNBOUNDED FOLLOWING", ahead[self.chance.randint(start, 2)])
        if low.endswith("FOLLOWING") and high.endswith("FOLLOWING") and high[0].isdigit() and high < low:
            low, high = high, low
        if low.endswith("PRECEDING") and low[0].isdigit() and high.endswith("PRECEDING") and high > low:
            low, high = high, low
        exclude = self.pick("", "", "", " EXCLUDE CURRENT ROW", " EXCLUDE TIES", " EXCLUDE GROUP")
        return f"ROWS BETWEEN {low} AND {high}{exclude}"

    # --- queries: text and columns ----------------------------------------------------------------------------------------

    def named(self, items):
        """A SELECT list, and the columns that it gives."""
        columns = [Column(f"c{place}", kind, KINDS[kind][-1]) for place, (_, kind) in enumerate(items)]
        return ", ".join(f"{text} AS {column.name}" for (text, _), column in zip(items, columns)), columns

    def plain(self, depth):
        clause, scope = self.source(depth)
        items = []
        for _ in range(self.chance.randint(1, 4)):
            if self.has("windows", 0.3):
                items.append(self.window(scope, not any(" OVER " in text for text, _ in items)))
            else:
                kind = self.pick(*KINDS)
                items.append((self.expression(scope, kind), kind))
        listed, columns = self.named(items)
        windowed = any(" OVER " in text for text, _ in items)
        distinct = "DISTINCT " if not windowed and self.maybe(0.2) else ""
        qualify = ""
        if windowed and self.has("qualify", 0.2):
            function, kind = self.window(scope, by_rows=False)
            qualify = f" QUALIFY {function} {self.pick('=', '<', '>=')} {literal(self.chance, kind)}"
        return f"SELECT {distinct}{listed} FROM {clause}{self.where(scope, depth)}{qualify}", columns

    def grouped(self, depth):
        clause, scope = self.source(depth)
        kinds = [self.pick("integer", "integer", "text", "date", "decimal", "truth", "moment") for _ in range(self.pick(0, 1, 1, 2, 3))]
        keys = []
        for kind in kinds:
            found = self.columns(scope, kind)
            if found and (key := self.chance.choice(found)) not in [text for text, _ in keys]:
                keys.append((key, kind))
        if keys and self.maybe(0.2):
            kind = keys[0][1]
            keys[0] = (f"coalesce({keys[0][0]}, {literal(self.chance, kind)})", kind)
        calls = [self.call(scope) for _ in range(self.chance.randint(1, 3))]
        grouping, extra = ", ".join(text for text, _ in keys), []
        if len(keys) > 1 and self.has("grouping", 0.4):
            texts = [text for text, _ in keys]
            sets = ", ".join("(" + ", ".join(self.chance.sample(texts, self.chance.randint(0, len(texts)))) + ")"
                             for _ in range(self.chance.randint(1, 3)))
            grouping = self.pick(f"ROLLUP ({grouping})", f"CUBE ({grouping})", f"GROUPING SETS (({grouping}), {sets})")
            extra = [(f"grouping({', '.join(texts)})", "integer")]
        listed, columns = self.named(keys + extra + calls)
        sql = f"SELECT {listed} FROM {clause}{self.where(scope, depth)}"
        if keys:
            sql += f" GROUP BY {grouping}"
        if self.maybe(0.15):
            call, kind = self.call(scope, simple=True)
            sql += f" HAVING {call} {self.pick('=', '<', '>', '>=', '<>')} {literal(self.chance, kind)}"
        return sql, columns

    def combined(self, depth):
        kinds = [self.pick("integer", "text", "date", "decimal", "truth") for _ in range(self.chance.randint(1, 3))]
        sides = []
        for _ in range(self.pick(2, 2, 3)):
            clause, scope = self.source(max(depth - 1, 0))
            # One type on all sides: what integers of several widths become is no question here.
            items = [(f"CAST({self.expression(scope, kind, 1)} AS {KINDS[kind][-1]})", kind) for kind in kinds]
            listed, columns = self.named(items)
            sides.append(f"SELECT {listed} FROM {clause}{self.where(scope, depth)}")
        sql = sides[0]
        for side in sides[1:]:
            operation = self.pick("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL")
            sql = f"({sql}) {operation} ({side})"
        return sql, columns

    def select(self, depth):
        form = self.chance.random()
        if form < 0.45:
            return self.plain(depth)
        if form < 0.85 or "sets" not in self.features:
            return self.grouped(depth)
        return self.combined(depth)

    def query(self):
        """A query, and whether its rows have an order."""
        self.product = 1
        sql, columns = self.select(2)
        if "derived" in self.features and self.product < 200 and self.maybe(0.12):
            name = self.alias()
            other, inner = self.alias(), [(self.alias(), columns)]
            kind = columns[0].kind
            body = f"SELECT {inner[0][0]}.c0 AS c0, {other}.c0 AS c1 FROM {name} {inner[0][0]} JOIN {name} {other} ON {inner[0][0]}.c0 = {other}.c0"
            sql, columns = f"WITH {name} AS ({sql}) {body}", [Column("c0", kind, ""), Column("c1", kind, "")]
        # Floats that differ in their last digits alone have no order to speak of.
        if self.maybe(0.25) and all(column.kind != "float" for column in columns):
            keys = [f"{place + 1}{self.pick('', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST')}" for place in range(len(columns))]
            self.chance.shuffle(keys)
            sql = f"SELECT * FROM ({sql}) {self.alias()} ORDER BY {', '.join(keys)}"
            if self.maybe(0.6):
                sql += f" LIMIT {self.chance.randint(0, 12)}"
                sql += f" OFFSET {self.chance.randint(0, 5)}" if self.maybe(0.4) else ""
            return sql, True
        return sql, False

    # --- questions whose answers must agree with each other ------------------------------------------------------------------

    def partitioned(self):
        """TLP (Rigger and Su, 2020): a query, and the same rows as three queries by what a condition is."""
        self.product = 1
        clause, scope = self.source(1)
        kind = self.pick(*KINDS)
        listed = f"{self.expression(scope, kind)} AS c0, {self.column(scope, self.pick(*KINDS))} AS c1"
        condition = self.subquery(scope, 1) if self.has("subqueries", 0.3) else self.predicate(scope)
        parts = [f"({condition})", f"NOT ({condition})", f"(({condition}) IS NULL)"]
        whole = f"SELECT {listed} FROM {clause}"
        return whole, " UNION ALL ".join(f"SELECT {listed} FROM {clause} WHERE {part}" for part in parts)

    def counted(self):
        """NoREC (Rigger and Su, 2020): how many rows a condition keeps, and how many it is true for."""
        self.product = 1
        clause, scope = self.source(1)
        condition = self.subquery(scope, 1) if self.has("subqueries", 0.3) else self.predicate(scope)
        return (f"SELECT count(*) AS n FROM {clause} WHERE {condition}",
                f"SELECT coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS n FROM {clause}")

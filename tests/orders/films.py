"""Films, who made them and what is said of them: tables as the Join Order Benchmark (Leis et al., 2015) has them, made up.

Many link tables meet at one key, their sizes are far apart, values are skewed and hang together: films of a kind are of
certain years, companies of a country make films with certain keywords, and few films have most of the cast. Estimates
that take columns for independent are wrong by orders of magnitude here. Everything is drawn by a seed.
"""

import itertools
import random

def tables(films, r, few):
    """Of each table the number of rows and what a row is, `i` counting from 0. `r(n)` draws below n; so does `few(n)`,
    with most rows at few values."""
    persons, companies, keywords = films * 16 // 10, films * 6 // 100 + 1, films * 13 // 100 + 1
    return {
        "kind": (7, "i AS id, ['film', 'series', 'episode', 'short', 'video', 'game', 'tv film'][i + 1] AS name"),
        "film": (films, f"i AS id, CASE WHEN i % 10 < 5 THEN 2 WHEN i % 10 < 8 THEN 0 ELSE {r(7)} END AS kind_id, "
                 f"'Title ' || chr(65 + {few(26)}) || ' ' || {r(films)} AS title, "
                 f"CASE WHEN i % 10 < 5 THEN 1990 + {few(35)} WHEN {r(20)} = 0 THEN NULL ELSE 1920 + {r(105)} END AS year"),
        "country": (120, "i AS id, 'C' || i AS code"),
        "company": (companies, f"i AS id, 'Company ' || chr(65 + {r(26)}) || i AS name, {few(120)} AS country_id"),
        "company_role": (4, "i AS id, ['producer', 'distributor', 'effects', 'misc'][i + 1] AS name"),
        "film_company": (films * 26 // 10, f"{few(films)} AS film_id, {few(companies)} AS company_id, {few(4)} AS role_id, "
                         f"CASE {r(4)} WHEN 0 THEN '(worldwide)' WHEN 1 THEN '(' || 1980 + {r(45)} || ') (TV)' WHEN 2 THEN '(VHS)' END AS note"),
        "keyword": (keywords, "i AS id, CASE WHEN i < 40 THEN 'theme-' || i ELSE 'word-' || i END AS word"),
        "film_keyword": (films * 45 // 10, f"{few(films)} AS film_id, {few(keywords)} AS keyword_id"),
        "fact": (110, "i AS id, 'fact ' || i AS name"),
        "film_fact": (films * 15, f"{r(films)} AS film_id, {few(110)} AS fact_id, "
                      f"CASE {r(3)} WHEN 0 THEN 'lang-' || {few(60)} WHEN 1 THEN 'genre-' || {few(25)} ELSE 'text ' || {r(100000)} END AS value"),
        "film_rating": (films * 14 // 10, f"{r(films)} AS film_id, 99 + {r(3)} AS fact_id, "
                        f"CAST(1 + {few(90)} / 10.0 AS DECIMAL(4,1)) AS rating, {few(200000)} AS votes"),
        "person": (persons, f"i AS id, 'Name ' || chr(65 + {few(26)}) || chr(97 + {r(26)}) || {r(persons)} AS name, "
                   f"CASE {r(5)} WHEN 0 THEN NULL WHEN 1 THEN 'f' ELSE 'm' END AS gender"),
        "part": (12, "i AS id, 'part ' || i AS name"),
        "appearance": (films * 14, f"{few(films)} AS film_id, {few(persons)} AS person_id, {few(12)} AS part_id, "
                       f"CASE {r(6)} WHEN 0 THEN '(voice)' WHEN 1 THEN '(uncredited)' WHEN 2 THEN '(producer)' END AS note"),
        "person_alias": (films * 35 // 100, f"{few(persons)} AS person_id, 'Alias ' || chr(97 + {r(26)}) || {r(persons)} AS name"),
        "person_fact": (films * 11 // 10, f"{few(persons)} AS person_id, {few(40)} AS fact_id, 'note ' || {r(50000)} AS value"),
        "film_alias": (films * 14 // 100, f"{few(films)} AS film_id, 'Also ' || {r(films)} AS title"),
        "link": (17, "i AS id, ['follows', 'followed by', 'remake of', 'remade as', 'references'][1 + i % 5] || i AS name"),
        "film_link": (films * 12 // 1000 + 1, f"{few(films)} AS film_id, {r(films)} AS other_id, {few(17)} AS link_id"),
    }


def make(connection, films, seed=1):
    """Makes the tables, of so many films, in a DuckDB connection; gives their names."""
    draws = itertools.count()

    def unit():
        # Of the row and the place in the text: the same whatever the number of threads.
        return f"(hash(i, {next(draws)}, {seed}) % 1000003 / 1000003.0)"

    made = tables(films, lambda most: f"CAST(floor({unit()} * {most}) AS INTEGER)",
                  lambda most: f"CAST(floor(pow({unit()}, 4) * {most}) AS INTEGER)")
    for name, (count, row) in made.items():
        rows = f"(SELECT CAST(range AS INTEGER) AS i FROM range({count}))"
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT {row} FROM {rows}")
    return list(made)


class Queries:
    """Queries of four to some fifteen relations: arms around a film, each with a condition or without."""

    def __init__(self, seed=1):
        self.chance = random.Random(seed)

    def pick(self, *choices):
        return self.chance.choice(choices)

    def maybe(self, probability):
        return self.chance.random() < probability

    def film(self, name, tables, where, wanted):
        """Arms of the film `name`; what is asked of it goes into `wanted`."""
        low = self.chance.randint(1950, 2020)
        if self.maybe(0.6):
            where.append(self.pick(f"{name}.year > {low}", f"{name}.year BETWEEN {low} AND {low + 8}", f"{name}.title LIKE 'Title {self.pick('A', 'B', 'M', 'Z')}%'"))
        if self.maybe(0.3):
            tables.append(f"kind {name}k")
            where += [f"{name}.kind_id = {name}k.id", f"{name}k.name {self.pick('= ', '<> ')}'{self.pick('film', 'series', 'episode', 'short')}'"]
        wanted.append(f"min({name}.title)")

    def arm(self, kind, name, film, tables, where, wanted):
        if kind == "company":
            tables += [f"film_company {name}", f"company {name}c"]
            where += [f"{film}.id = {name}.film_id", f"{name}.company_id = {name}c.id"]
            if self.maybe(0.6):
                tables.append(f"country {name}n")
                where += [f"{name}c.country_id = {name}n.id", f"{name}n.code {self.pick('= ', '= ', '<> ')}'C{self.pick(0, 1, 5, 60)}'"]
            if self.maybe(0.5):
                tables.append(f"company_role {name}r")
                where += [f"{name}.role_id = {name}r.id", f"{name}r.name = '{self.pick('producer', 'distributor', 'effects')}'"]
            if self.maybe(0.4):
                where.append(self.pick(f"{name}.note IS NULL", f"{name}.note LIKE '%(TV)%'", f"{name}.note NOT LIKE '%worldwide%'"))
            wanted.append(f"min({name}c.name)")
        elif kind == "keyword":
            tables += [f"film_keyword {name}", f"keyword {name}k"]
            where += [f"{film}.id = {name}.film_id", f"{name}.keyword_id = {name}k.id"]
            where.append(self.pick(f"{name}k.word = 'theme-{self.pick(0, 3, 20)}'", f"{name}k.word IN ('theme-1', 'theme-7', 'word-90')", f"{name}k.word LIKE 'theme-1%'"))
        elif kind == "fact":
            tables += [f"film_fact {name}", f"fact {name}t"]
            where += [f"{film}.id = {name}.film_id", f"{name}.fact_id = {name}t.id", f"{name}t.name = 'fact {self.pick(0, 1, 2, 30)}'"]
            where.append(self.pick(f"{name}.value IN ('lang-0', 'lang-3', 'genre-1')", f"{name}.value LIKE 'genre-%'", f"{name}.value = 'lang-{self.pick(0, 10, 40)}'"))
        elif kind == "rating":
            tables.append(f"film_rating {name}")
            where += [f"{film}.id = {name}.film_id", f"{name}.fact_id = {self.pick(99, 100, 101)}"]
            where.append(self.pick(f"{name}.rating > {self.pick('2.0', '5.0', '9.0')}", f"{name}.votes < {self.pick(10, 1000)}"))
            wanted.append(f"min({name}.rating)")
        elif kind == "cast":
            tables += [f"appearance {name}", f"person {name}p"]
            where += [f"{film}.id = {name}.film_id", f"{name}.person_id = {name}p.id"]
            if self.maybe(0.5):
                where.append(self.pick(f"{name}.note = '(voice)'", f"{name}.note IN ('(uncredited)', '(producer)')"))
            if self.maybe(0.5):
                where.append(self.pick(f"{name}p.gender = 'f'", f"{name}p.name LIKE 'Name {self.pick('A', 'C', 'X')}%'"))
            if self.maybe(0.4):
                tables.append(f"part {name}r")
                where += [f"{name}.part_id = {name}r.id", f"{name}r.name = 'part {self.pick(0, 1, 7)}'"]
            if self.maybe(0.3):
                tables.append(f"person_alias {name}a")
                where.append(f"{name}a.person_id = {name}p.id")
            if self.maybe(0.25):
                tables.append(f"person_fact {name}f")
                where += [f"{name}f.person_id = {name}p.id", f"{name}f.fact_id < {self.pick(1, 5)}"]
            wanted.append(f"min({name}p.name)")
        else:
            tables.append(f"film_alias {name}")
            where.append(f"{film}.id = {name}.film_id")

    def query(self):
        tables, where, wanted = ["film f"], [], []
        self.film("f", tables, where, wanted)
        kinds = self.chance.sample(["company", "keyword", "fact", "rating", "cast", "alias"], self.pick(2, 2, 3, 3, 4, 5))
        for place, kind in enumerate(kinds):
            self.arm(kind, f"a{place}", "f", tables, where, wanted)
        if self.maybe(0.2):
            tables += ["film_link l", "link lt", "film g"]
            where += ["f.id = l.film_id", "l.other_id = g.id", "l.link_id = lt.id", "lt.name LIKE 'follow%'"]
            self.film("g", tables, where, wanted)
            self.arm(self.pick("keyword", "rating", "company"), "b0", "g", tables, where, wanted)
        self.chance.shuffle(tables)
        return f"SELECT count(*), {', '.join(wanted)} FROM {', '.join(tables)} WHERE {' AND '.join(where)}"

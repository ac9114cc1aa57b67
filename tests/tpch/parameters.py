"""The 22 TPC-H queries with their validation parameters, or with others drawn by the rules of the
specification (clause 2.4) from a seeded generator."""

import random
import re
from pathlib import Path

FOLDER = Path(__file__).parent

NATIONS = {
    "ALGERIA": "AFRICA", "ARGENTINA": "AMERICA", "BRAZIL": "AMERICA", "CANADA": "AMERICA", "EGYPT": "MIDDLE EAST",
    "ETHIOPIA": "AFRICA", "FRANCE": "EUROPE", "GERMANY": "EUROPE", "INDIA": "ASIA", "INDONESIA": "ASIA",
    "IRAN": "MIDDLE EAST", "IRAQ": "MIDDLE EAST", "JAPAN": "ASIA", "JORDAN": "MIDDLE EAST", "KENYA": "AFRICA",
    "MOROCCO": "AFRICA", "MOZAMBIQUE": "AFRICA", "PERU": "AMERICA", "CHINA": "ASIA", "ROMANIA": "EUROPE",
    "SAUDI ARABIA": "MIDDLE EAST", "VIETNAM": "ASIA", "RUSSIA": "EUROPE", "UNITED KINGDOM": "EUROPE",
    "UNITED STATES": "AMERICA",
}
REGIONS = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
SEGMENTS = ["AUTOMOBILE", "BUILDING", "FURNITURE", "MACHINERY", "HOUSEHOLD"]
TYPES = [["STANDARD", "SMALL", "MEDIUM", "LARGE", "ECONOMY", "PROMO"],
         ["ANODIZED", "BURNISHED", "PLATED", "POLISHED", "BRUSHED"],
         ["TIN", "NICKEL", "BRASS", "STEEL", "COPPER"]]
CONTAINERS = [["SM", "LG", "MED", "JUMBO", "WRAP"], ["CASE", "BOX", "BAG", "JAR", "PKG", "PACK", "CAN", "DRUM"]]
MODES = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"]
COLORS = ("almond antique aquamarine azure beige bisque black blanched blue blush brown burlywood burnished chartreuse "
          "chiffon chocolate coral cornflower cornsilk cream cyan dark deep dim dodger drab firebrick floral forest "
          "frosted gainsboro ghost goldenrod green grey honeydew hot indian ivory khaki lace lavender lawn lemon light "
          "lime linen magenta maroon medium metallic midnight mint misty moccasin navajo navy olive orange orchid pale "
          "papaya peach peru pink plum powder puff purple red rose rosy royal saddle salmon sandy seashell sienna sky "
          "slate smoke snow spring steel tan thistle tomato turquoise violet wheat white yellow").split()

# The columns of a result by which it is ordered.
ORDER = {1: [0, 1], 2: [0, 2, 1, 3], 3: [1, 2], 4: [0], 5: [1], 6: [], 7: [0, 1, 2], 8: [0], 9: [0, 1], 10: [2],
         11: [1], 12: [0], 13: [1, 0], 14: [], 15: [0], 16: [3, 0, 1, 2], 17: [], 18: [4, 3], 19: [], 20: [0],
         21: [1, 0], 22: [0]}


def validation(number):
    """The query with the parameters that the specification validates with."""
    lines = (FOLDER / f"q{number:02}.sql").read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("--")).strip().rstrip(";")


def drawn(number, seed, scale):
    """The query with parameters drawn from the seed."""
    chance = random.Random(f"{seed} {number}")
    sql = validation(number)
    replacements = dict(substitutions(number, chance, scale))
    missing = [literal for literal in replacements if literal not in sql]
    if missing:
        raise ValueError(f"q{number:02}.sql no longer holds {missing}")
    # In one pass, so that a new value is not taken for another literal.
    literals = "|".join(map(re.escape, replacements))
    return re.sub(literals, lambda found: replacements[found[0]], sql)


def month(chance, first, last):
    """The first day of a month from `first` to `last`, each (year, month)."""
    start, end = (year * 12 + number - 1 for year, number in (first, last))
    chosen = chance.randint(start, end)
    return f"'{chosen // 12}-{chosen % 12 + 1:02}-01'"


def substitutions(number, chance, scale):
    """Pairs of a literal of the query's text and what takes its place."""
    nation = chance.choice(sorted(NATIONS))
    new_year = f"'{chance.randint(1993, 1997)}-01-01'"
    brand = lambda: f"'Brand#{chance.randint(1, 5)}{chance.randint(1, 5)}'"
    if number == 1:
        return [("'90'", f"'{chance.randint(60, 120)}'")]
    if number == 2:
        return [("p_size = 15", f"p_size = {chance.randint(1, 50)}"), ("%BRASS", f"%{chance.choice(TYPES[2])}"),
                ("EUROPE", chance.choice(REGIONS))]
    if number == 3:
        return [("BUILDING", chance.choice(SEGMENTS)), ("1995-03-15", f"1995-03-{chance.randint(1, 31):02}")]
    if number == 4:
        return [("'1993-07-01'", month(chance, (1993, 1), (1997, 10)))]
    if number == 5:
        return [("ASIA", chance.choice(REGIONS)), ("'1994-01-01'", new_year)]
    if number == 6:
        return [("'1994-01-01'", new_year), ("0.06", f"0.0{chance.randint(2, 9)}"),
                ("l_quantity < 24", f"l_quantity < {chance.randint(24, 25)}")]
    if number == 7:
        one, other = chance.sample(sorted(NATIONS), 2)
        return [("FRANCE", one), ("GERMANY", other)]
    if number == 8:
        kind = " ".join(chance.choice(part) for part in TYPES)
        return [("'BRAZIL'", f"'{nation}'"), ("'AMERICA'", f"'{NATIONS[nation]}'"), ("ECONOMY ANODIZED STEEL", kind)]
    if number == 9:
        return [("green", chance.choice(COLORS))]
    if number == 10:
        return [("'1993-10-01'", month(chance, (1993, 2), (1995, 1)))]
    if number == 11:
        return [("GERMANY", nation), ("0.0001", f"{0.0001 / scale:.10f}")]
    if number == 12:
        one, other = chance.sample(MODES, 2)
        return [("('MAIL', 'SHIP')", f"('{one}', '{other}')"), ("'1994-01-01'", new_year)]
    if number == 13:
        return [("special", chance.choice(["special", "pending", "unusual", "express"])),
                ("%requests", "%" + chance.choice(["packages", "requests", "accounts", "deposits"]))]
    if number == 14:
        return [("'1995-09-01'", month(chance, (1993, 1), (1997, 12)))]
    if number == 15:
        return [("'1996-01-01'", month(chance, (1993, 1), (1997, 10)))]
    if number == 16:
        sizes = ", ".join(map(str, chance.sample(range(1, 51), 8)))
        return [("'Brand#45'", brand()), ("MEDIUM POLISHED", f"{chance.choice(TYPES[0])} {chance.choice(TYPES[1])}"),
                ("49, 14, 23, 45, 19, 3, 36, 9", sizes)]
    if number == 17:
        return [("'Brand#23'", brand()), ("MED BOX", " ".join(chance.choice(part) for part in CONTAINERS))]
    if number == 18:
        return [("> 300", f"> {chance.randint(312, 315)}")]
    if number == 19:
        quantities = [(low, chance.randint(low, low + 10) if low > 1 else chance.randint(1, 10)) for low in (1, 10, 20)]
        brands = [(f"'Brand#{old}'", brand()) for old in (12, 23, 34)]
        return brands + [(f"l_quantity >= {old} and l_quantity <= {old} +",
                          f"l_quantity >= {new} and l_quantity <= {new} +") for old, new in quantities]
    if number == 20:
        return [("forest", chance.choice(COLORS)), ("'1994-01-01'", new_year), ("CANADA", nation)]
    if number == 21:
        return [("SAUDI ARABIA", nation)]
    codes = ", ".join(f"'{code}'" for code in chance.sample(range(10, 35), 7))
    return [("'13', '31', '23', '29', '30', '18', '17'", codes)]


def without_limit(sql):
    return re.sub(r"\s+limit \d+\s*$", "", sql)

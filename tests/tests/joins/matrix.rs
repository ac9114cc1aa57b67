//! Joins of two tables of every kind, under everything that is done with joined rows. Their answers must not depend on
//! where the rows lie, which the tests that run them vary. Knows nothing of who runs them: the planner's tests include
//! this file.

/// Their columns are `id`, which is unique, `k` and `g`, which repeat and may be null, and `v`.
pub(crate) const COLUMNS: [&str; 4] = ["id", "k", "g", "v"];
pub(crate) const TABLES: [(&str, usize); 2] = [("small", SMALL_ROWS), ("large", LARGE_ROWS)];
pub(crate) const SMALL_ROWS: usize = 40;
pub(crate) const LARGE_ROWS: usize = 110;

/// The rows of a table with so many. Keys repeat in both; some of either table have no partner in the other.
pub(crate) fn rows(count: usize) -> Vec<[Option<i64>; 4]> {
    let shift = if count == SMALL_ROWS { 0 } else { 5 };
    (0..count as i64)
        .map(|id| {
            let key = id * 7 % 25 + shift;
            let k = (id % 9 != 4).then_some(key);
            let g = (id % 7 != 3).then_some((key + id / 25 % 2) % 5 + shift / 4);
            [Some(id), k, g, Some(id * 37 % 101)]
        })
        .collect()
}

/// What the joins give as `k`, `g` and `n`; the tables are `{a}` and `{b}`, and `{on}` is what joins `x` with `y`.
const KINDS: [&str; 25] = [
    "SELECT x.k, x.g, y.v AS n FROM {a} x JOIN {b} y ON {on}",
    "SELECT y.k, x.g, x.v AS n FROM {a} x JOIN {b} y ON {on} AND y.v > x.v",
    "SELECT x.k, x.g, y.v AS n FROM {a} x LEFT JOIN {b} y ON {on}",
    "SELECT x.k, y.g, y.v AS n FROM {a} x LEFT JOIN {b} y ON {on} AND y.v > 30 AND x.v > 20",
    "SELECT y.k, x.g, y.v AS n FROM {a} x RIGHT JOIN {b} y ON {on}",
    "SELECT x.k, y.g, y.v AS n FROM {a} x FULL JOIN {b} y ON {on}",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE EXISTS (SELECT 1 FROM {b} y WHERE {on})",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE EXISTS (SELECT 1 FROM {b} y WHERE {on} AND y.v > x.v)",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE x.v < 20 OR EXISTS (SELECT 1 FROM {b} y WHERE {on})",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE NOT EXISTS (SELECT 1 FROM {b} y WHERE {on})",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE NOT EXISTS (SELECT 1 FROM {b} y WHERE {on} AND y.v > x.v)",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE x.k IN (SELECT y.k FROM {b} y WHERE y.v > 40)",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE x.k NOT IN (SELECT y.k FROM {b} y WHERE y.v > 80)",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE x.k NOT IN (SELECT y.k FROM {b} y WHERE y.k IS NOT NULL)",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE x.k NOT IN (SELECT y.k FROM {b} y WHERE y.g = x.g AND y.v < 50)",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE (x.k IN (SELECT y.k FROM {b} y WHERE y.v > 40)) IS NULL",
    "SELECT x.k, x.g, (SELECT sum(y.v) FROM {b} y WHERE {on}) AS n FROM {a} x",
    "SELECT x.k, x.g, (SELECT y.v FROM {b} y WHERE y.id = x.k) AS n FROM {a} x",
    "SELECT x.k, x.g, x.v + (SELECT max(y.k) FROM {b} y) AS n FROM {a} x",
    "SELECT x.k, x.g, x.v AS n FROM {a} x WHERE 1 < (SELECT count(*) FROM {b} y WHERE {on})",
    "SELECT x.k, x.g, y.n FROM {a} x JOIN (SELECT k, count(*) AS n FROM {b} GROUP BY k) y ON x.k = y.k",
    "SELECT x.k, x.g, y.n FROM {a} x LEFT JOIN (SELECT k, sum(v) AS n FROM {b} GROUP BY k) y ON x.k = y.k",
    "SELECT x.k, x.g, x.v AS n FROM {a} x JOIN (SELECT DISTINCT k FROM {b} WHERE v > 30) y ON x.k = y.k",
    "SELECT x.k, x.g, x.v AS n FROM {a} x JOIN {b} y ON x.k = y.id",
    "SELECT x.k, y.g, x.v AS n FROM {a} x JOIN {b} y ON x.v < y.v AND y.id < 9",
];

const PAIRS: [(&str, &str); 3] = [("small", "large"), ("large", "small"), ("large", "large")];

const CONDITIONS: [&str; 3] = ["x.k = y.k", "x.g = y.g", "x.k = y.k AND x.g = y.g"];

/// What is done with the rows of a join, which are `{join}`.
const USES: [&str; 21] = [
    "SELECT k, g, n FROM ({join}) j",
    "SELECT count(*), count(k), sum(n), min(g), max(n) FROM ({join}) j",
    "SELECT k, count(*), sum(n) FROM ({join}) j GROUP BY k",
    "SELECT k, count(n), max(n) FROM ({join}) j GROUP BY k",
    "SELECT g, count(*), sum(n) FROM ({join}) j GROUP BY g",
    "SELECT n % 7, k, count(*), min(n) FROM ({join}) j GROUP BY n % 7, k",
    "SELECT c, count(*) FROM (SELECT k, count(n) AS c FROM ({join}) j GROUP BY k) t GROUP BY c",
    "SELECT count(DISTINCT k), sum(DISTINCT g), count(*) FROM ({join}) j",
    "SELECT g, count(DISTINCT k) FROM ({join}) j GROUP BY g",
    "SELECT DISTINCT k FROM ({join}) j",
    "SELECT DISTINCT g, n % 5 FROM ({join}) j",
    "SELECT k, g, n FROM ({join}) j UNION ALL SELECT k, g, v FROM {b}",
    "SELECT g, count(*), sum(n) FROM (SELECT k, g, n FROM ({join}) j UNION ALL SELECT k, g, v FROM {a}) u GROUP BY g",
    "SELECT k FROM ({join}) j INTERSECT SELECT k FROM {b}",
    "SELECT k, g, n FROM ({join}) j ORDER BY n, k, g LIMIT 7 OFFSET 2",
    "SELECT count(*) FROM (SELECT k FROM ({join}) j LIMIT 5) t",
    "SELECT j.k, count(*), sum(j.n) FROM ({join}) j JOIN {b} z ON j.k = z.k GROUP BY j.k",
    "SELECT z.g, count(*), sum(j.n) FROM {a} z LEFT JOIN ({join}) j ON j.g = z.g GROUP BY z.g",
    "SELECT count(*), sum(z.v) FROM {a} z WHERE z.k IN (SELECT k FROM ({join}) j)",
    "SELECT z.k, z.v FROM {b} z WHERE NOT EXISTS (SELECT 1 FROM ({join}) j WHERE j.k = z.k)",
    "SELECT count(*), sum(j.n) FROM ({join}) j WHERE j.n > (SELECT avg(n) FROM ({join}) i)",
];

/// Every use of every kind of join, of the smaller table with the larger, the other way round, and of the larger with
/// itself. The conditions take turns.
pub(crate) fn queries() -> Vec<String> {
    let mut queries = Vec::new();
    for (kind, join) in KINDS.iter().enumerate() {
        for (used, shape) in USES.iter().enumerate() {
            for (pair, (a, b)) in PAIRS.iter().enumerate() {
                let on = CONDITIONS[(kind + used + pair) % CONDITIONS.len()];
                let sql = shape.replace("{join}", join).replace("{on}", on);
                queries.push(sql.replace("{a}", a).replace("{b}", b));
            }
        }
    }
    queries
}

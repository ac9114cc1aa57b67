//! Which function somebody may have meant by a name that there is not.

use super::REGISTRY;

/// Names that other dialects have for what is here.
const ELSEWHERE: [(&str, &str); 44] = [
    ("char", "chr"),
    ("charindex", "strpos"),
    ("locate", "strpos"),
    ("find_in_set", "strpos"),
    ("mid", "substring"),
    ("stuff", "overlay"),
    ("space", "repeat"),
    ("replicate", "repeat"),
    ("str", "format"),
    ("startswith", "starts_with"),
    ("endswith", "ends_with"),
    ("includes", "contains"),
    ("uppercase", "upper"),
    ("lowercase", "lower"),
    ("regexp", "regexp_matches"),
    ("rlike", "regexp_matches"),
    ("regex_replace", "regexp_replace"),
    ("isnull", "coalesce"),
    ("zeroifnull", "coalesce"),
    ("nullifzero", "nullif"),
    ("choose", "if"),
    ("getdate", "now"),
    ("sysdate", "now"),
    ("curdate", "current_date"),
    ("curtime", "current_time"),
    ("dateadd", "date_add"),
    ("adddate", "date_add"),
    ("subdate", "date_sub"),
    ("timestampdiff", "date_diff"),
    ("months_between", "date_diff"),
    ("day_of_week", "dow"),
    ("day_of_year", "doy"),
    ("date_format", "strftime"),
    ("time_format", "strftime"),
    ("str_to_date", "strptime"),
    ("parse_timestamp", "strptime"),
    ("unix_timestamp", "epoch"),
    ("from_unixtime", "to_timestamp"),
    ("date_from_parts", "make_date"),
    ("eomonth", "last_day"),
    ("convert_tz", "timezone"),
    ("stdev", "stddev"),
    ("group_concat", "string_agg"),
    ("listagg", "string_agg"),
];

/// The function that `name` (any case) may have been meant for, among those of the registry and `others`.
pub fn similar<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = name.to_lowercase();
    let others: Vec<&str> = others.collect();
    let exists = |known: &str| REGISTRY.by_name.contains_key(known) || others.contains(&known);
    if let Some((_, meant)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name)
        && exists(meant)
    {
        return Some((*meant).to_owned());
    }
    // A name without its underlines, as `datetrunc` for `date_trunc`, is as near as can be.
    let plain = |name: &str| name.replace('_', "");
    REGISTRY
        .by_name
        .keys()
        .copied()
        .chain(others.iter().copied())
        .filter(|known| known.starts_with(|c: char| c.is_alphabetic()) && name.chars().count() < 100)
        .map(|known| {
            let distance = if plain(known) == plain(&name) { 0 } else { edit_distance(known, &name) };
            (distance, known)
        })
        .filter(|&(distance, known)| distance <= 1 + known.len() / 4 && distance < known.len())
        .min()
        .map(|(_, known)| known.to_owned())
}

/// Insertions, deletions and replacements between two words, and neighbours that changed places (Damerau 1964, each
/// place touched once).
pub fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = [vec![0; b.len() + 1], vec![0; b.len() + 1], (0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        rows.rotate_left(1);
        rows[2][0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = rows[1][j] + usize::from(x != y);
            let mut least = replaced.min(rows[1][j + 1] + 1).min(rows[2][j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(rows[0][j - 1] + 1);
            }
            rows[2][j + 1] = least;
        }
    }
    rows[2][b.len()]
}

//! Queries from a folder of `.sql` files, and the text that an engine gets.
//!
//! A file in a subfolder named after an engine (`chdb/q15.sql`) stands in for the file of the same name. A first
//! line such as `-- compare: count` says how answers are compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Failure;
use crate::engine::Kind;

#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// The file's name without its ending, such as `q01`.
    pub(crate) name: String,
    text: String,
    of_engine: BTreeMap<&'static str, String>,
    pub(crate) compare: Compare,
}

/// What of two answers must agree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Compare {
    /// All values of all rows, in any order.
    Rows,
    /// The number of rows.
    Count,
    /// These columns of all rows, by their numbers from 1.
    Columns(Vec<usize>),
}

impl FromStr for Compare {
    type Err = String;

    fn from_str(text: &str) -> Result<Compare, String> {
        let columns: Option<Option<Vec<usize>>> = text.trim().strip_prefix("columns ").map(|list| {
            list.split(',').map(|number| number.trim().parse().ok().filter(|number| *number > 0)).collect()
        });
        match (text.trim(), columns) {
            (_, Some(Some(columns))) => Ok(Compare::Columns(columns)),
            ("rows", _) => Ok(Compare::Rows),
            ("count", _) => Ok(Compare::Count),
            _ => Err(format!(
                "expected 'rows', 'count' or 'columns 1, 2' after '-- compare:', got '{}'",
                text.trim()
            )),
        }
    }
}

impl Query {
    pub(crate) fn new(name: &str, text: &str) -> Result<Query, Failure> {
        let mut compare = Compare::Rows;
        let comments =
            text.lines().map(str::trim).take_while(|line| line.starts_with("--") || line.is_empty());
        for line in comments {
            if let Some(how) = line.trim_start_matches('-').trim_start().strip_prefix("compare:") {
                compare = how.parse().map_err(|error| format!("query {name}: {error}"))?;
            }
        }
        Ok(Query { name: name.to_string(), text: statement(text), of_engine: BTreeMap::new(), compare })
    }

    /// The text for an engine.
    pub(crate) fn text(&self, kind: Kind) -> &str {
        self.of_engine.get(kind.name()).unwrap_or(&self.text)
    }

    /// The number that the name ends in.
    pub(crate) fn number(&self) -> Option<u32> {
        let digits = self.name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        digits.parse().ok()
    }
}

/// The statement of a file, without what follows it.
fn statement(text: &str) -> String {
    text.trim().trim_end_matches(';').trim_end().to_string()
}

/// The queries of a folder, in the order of their names; texts of engines also from `overrides/ENGINE/`.
pub(crate) fn read(folder: &Path, overrides: &Path) -> Result<Vec<Query>, Failure> {
    let mut files = sql_files(folder)?;
    files.sort();
    let mut queries = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut query = Query::new(&name, &fs::read_to_string(&file)?)?;
        for kind in Kind::ALL {
            let other = overrides.join(kind.name()).join(format!("{name}.sql"));
            if other.exists() {
                query.of_engine.insert(kind.name(), statement(&fs::read_to_string(other)?));
            }
        }
        queries.push(query);
    }
    if queries.is_empty() {
        return Err(format!("there is no .sql file in {}", folder.display()).into());
    }
    Ok(queries)
}

fn sql_files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries =
        fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Some of the queries, as `--queries 1,6,13-15` names them: by number or by name.
#[derive(Clone, Debug)]
pub(crate) struct Selection(Vec<Chosen>);

#[derive(Clone, Debug, PartialEq)]
enum Chosen {
    Numbers(u32, u32),
    Name(String),
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Selection, String> {
        let wrong =
            |part: &str| format!("expected numbers such as 1,6,13-15 or names of queries, got '{part}'");
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let chosen = text.split(',').map(|part| match (number(part), part.split_once('-')) {
            (Some(only), _) => Ok(Chosen::Numbers(only, only)),
            (None, Some((from, to))) => match (number(from), number(to)) {
                (Some(from), Some(to)) if from <= to => Ok(Chosen::Numbers(from, to)),
                (None, None) => Ok(Chosen::Name(part.trim().to_string())),
                _ => Err(wrong(part)),
            },
            _ if part.trim().is_empty() => Err(wrong(part)),
            _ => Ok(Chosen::Name(part.trim().to_string())),
        });
        Ok(Selection(chosen.collect::<Result<_, _>>()?))
    }
}

impl Selection {
    /// Keeps what was chosen; a choice that is no query is an error.
    pub(crate) fn of(&self, queries: Vec<Query>) -> Result<Vec<Query>, Failure> {
        let chooses = |chosen: &Chosen, query: &Query| match chosen {
            Chosen::Numbers(from, to) => query.number().is_some_and(|number| (*from..=*to).contains(&number)),
            Chosen::Name(name) => query.name.eq_ignore_ascii_case(name),
        };
        for chosen in &self.0 {
            if !queries.iter().any(|query| chooses(chosen, query)) {
                let names: Vec<_> = queries.iter().map(|query| query.name.as_str()).collect();
                let missing = match chosen {
                    Chosen::Numbers(from, to) if from == to => from.to_string(),
                    Chosen::Numbers(from, to) => format!("{from}-{to}"),
                    Chosen::Name(name) => name.clone(),
                };
                return Err(format!("there is no query {missing}; there are {}", names.join(", ")).into());
            }
        }
        Ok(queries.into_iter().filter(|query| self.0.iter().any(|chosen| chooses(chosen, query))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries() -> Vec<Query> {
        (1..=22).map(|number| Query::new(&format!("q{number:02}"), "select 1;\n").unwrap()).collect()
    }

    fn chosen(text: &str) -> Vec<u32> {
        let selection: Selection = text.parse().unwrap();
        selection.of(queries()).unwrap().iter().filter_map(Query::number).collect()
    }

    #[test]
    fn queries_are_chosen_by_number_and_name() {
        assert_eq!(chosen("1,6,13-15"), [1, 6, 13, 14, 15]);
        assert_eq!(chosen("15, q02"), [2, 15], "in the order of the folder");
        for wrong in ["", "1,,2", "5-3", "3-x"] {
            assert!(wrong.parse::<Selection>().is_err(), "{wrong}");
        }
        let failure = "23".parse::<Selection>().unwrap().of(queries()).unwrap_err().to_string();
        assert!(failure.starts_with("there is no query 23; there are q01, q02"), "{failure}");
    }

    #[test]
    fn the_header_says_how_to_compare() {
        let compare =
            |text: &str| Query::new("q", text).map(|query| query.compare).map_err(|error| error.to_string());
        assert_eq!(compare("select 1"), Ok(Compare::Rows));
        assert_eq!(compare("-- Ties.\n-- compare: count\nselect 1"), Ok(Compare::Count));
        assert_eq!(compare("-- compare: columns 1, 3\nselect 1"), Ok(Compare::Columns(vec![1, 3])));
        assert_eq!(compare("select 1\n-- compare: count"), Ok(Compare::Rows), "only above the statement");
        assert!(compare("-- compare: columns 0\nselect 1").unwrap_err().contains("query q: expected 'rows'"));
    }

    #[test]
    fn an_engine_may_have_a_text_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("chdb")).unwrap();
        for (file, text) in
            [("q2.sql", "select 2;\n"), ("q1.sql", "select 1;"), ("chdb/q2.sql", "select 22;")]
        {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let queries = read(folder.path(), folder.path()).unwrap();
        assert_eq!(queries.iter().map(|query| query.name.as_str()).collect::<Vec<_>>(), ["q1", "q2"]);
        assert_eq!(queries[1].text(Kind::Duckdb), "select 2");
        assert_eq!(queries[1].text(Kind::Chdb), "select 22");
        assert!(read(&folder.path().join("chdb"), folder.path()).is_ok());
        assert!(read(&folder.path().join("absent"), folder.path()).is_err());
    }
}

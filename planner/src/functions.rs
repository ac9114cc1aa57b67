//! All functions that SQL may call, for those who list them: the engine's, those that the binder writes as other
//! expressions, and aggregates; and the page `docs/functions.md`.

mod aggregates;

use exec::functions::{Category, Description, example_and_result};
use std::fmt::Write;

/// A function that is none of the engine's, as it is listed.
struct Own {
    name: &'static str,
    aliases: &'static [&'static str],
    category: Category,
    signatures: &'static [&'static str],
    description: &'static str,
    /// With its result: `if(true, 1, 2) → 1`.
    example: &'static str,
}

const OWN: &[Own] = &[
    Own {
        name: "coalesce",
        aliases: &["ifnull", "nvl"],
        category: Category::Conditional,
        signatures: &["coalesce(any, …)"],
        description: "The first argument that is not null; later ones are computed only where they are needed.",
        example: "coalesce(NULL, 2, 3) → 2",
    },
    Own {
        name: "nullif",
        aliases: &[],
        category: Category::Conditional,
        signatures: &["nullif(any, any)"],
        description: "Null where both arguments are equal, else the first.",
        example: "nullif(2, 2) → NULL",
    },
    Own {
        name: "if",
        aliases: &["iff"],
        category: Category::Conditional,
        signatures: &["if(BOOLEAN, any, any)"],
        description: "The second argument where the first is true, else the third.",
        example: "if(1 < 2, 'less', 'more') → less",
    },
    Own {
        name: "nvl2",
        aliases: &[],
        category: Category::Conditional,
        signatures: &["nvl2(any, any, any)"],
        description: "The second argument where the first is not null, else the third.",
        example: "nvl2(NULL, 1, 2) → 2",
    },
    Own {
        name: "add",
        aliases: &[],
        category: Category::Number,
        signatures: &["add(any, any)"],
        description: "What + gives.",
        example: "add(2, 3) → 5",
    },
    Own {
        name: "subtract",
        aliases: &[],
        category: Category::Number,
        signatures: &["subtract(any, any)"],
        description: "What - gives.",
        example: "subtract(2, 3) → -1",
    },
    Own {
        name: "multiply",
        aliases: &[],
        category: Category::Number,
        signatures: &["multiply(any, any)"],
        description: "What * gives.",
        example: "multiply(2, 3) → 6",
    },
    Own {
        name: "date_add",
        aliases: &[],
        category: Category::Time,
        signatures: &[
            "date_add(DATE, INTERVAL)",
            "date_add(TIMESTAMP, INTERVAL)",
            "date_add(TIMESTAMP WITH TIME ZONE, INTERVAL, VARCHAR)",
        ],
        description: "What + gives, of an instant also by the days of a time zone.",
        example: "date_add(DATE '1992-09-15', INTERVAL 2 MONTH) → 1992-11-15 00:00:00",
    },
    Own {
        name: "date_subtract",
        aliases: &[],
        category: Category::Time,
        signatures: &[
            "date_subtract(DATE, INTERVAL)",
            "date_subtract(TIMESTAMP, INTERVAL)",
            "date_subtract(TIMESTAMP WITH TIME ZONE, INTERVAL, VARCHAR)",
        ],
        description: "What - gives, of an instant also by the days of a time zone.",
        example: "date_subtract(DATE '1992-09-15', INTERVAL 2 MONTH) → 1992-07-15 00:00:00",
    },
    Own {
        name: "now",
        aliases: &[
            "current_timestamp",
            "get_current_timestamp",
            "statement_timestamp",
            "transaction_timestamp",
        ],
        category: Category::Time,
        signatures: &["now()", "current_timestamp", "current_timestamp(digits)"],
        description: "The moment of the statement, the same wherever it is asked for.",
        example: "now() = current_timestamp → true",
    },
    Own {
        name: "localtimestamp",
        aliases: &["current_localtimestamp"],
        category: Category::Time,
        signatures: &["localtimestamp", "localtimestamp(digits)"],
        description: "As now, as the clocks of the session's time zone show it.",
        example: "localtimestamp = now() AT TIME ZONE 'UTC' → true",
    },
    Own {
        name: "current_date",
        aliases: &["today"],
        category: Category::Time,
        signatures: &["current_date", "today()"],
        description: "The day of the statement in the session's time zone.",
        example: "current_date = localtimestamp::DATE → true",
    },
    Own {
        name: "current_time",
        aliases: &["localtime", "get_current_time", "current_localtime"],
        category: Category::Time,
        signatures: &["current_time", "current_time(digits)"],
        description: "The time of day of the statement in the session's time zone.",
        example: "current_time = localtimestamp::TIME → true",
    },
    Own {
        name: "typeof",
        aliases: &[],
        category: Category::Session,
        signatures: &["typeof(any)"],
        description: "The name of the argument's type.",
        example: "typeof(1.50) → DECIMAL(3,2)",
    },
    Own {
        name: "pg_typeof",
        aliases: &[],
        category: Category::Session,
        signatures: &["pg_typeof(any)"],
        description: "What PostgreSQL calls the argument's type.",
        example: "pg_typeof(1.50) → numeric",
    },
    Own {
        name: "version",
        aliases: &[],
        category: Category::Session,
        signatures: &["version()"],
        description: "The name and version of the engine.",
        example: "left(version(), 6) → Tundra",
    },
    Own {
        name: "current_schema",
        aliases: &[],
        category: Category::Session,
        signatures: &["current_schema", "current_schema()"],
        description: "The schema of names without one.",
        example: "current_schema() → main",
    },
    Own {
        name: "current_database",
        aliases: &["current_catalog"],
        category: Category::Session,
        signatures: &["current_database()", "current_catalog"],
        description: "The tenant whose tables there are.",
        example: "current_database() IS NOT NULL → true",
    },
    Own {
        name: "current_user",
        aliases: &["session_user", "current_role"],
        category: Category::Session,
        signatures: &["current_user", "current_user()"],
        description: "Who asks.",
        example: "current_user IS NOT NULL → true",
    },
    Own {
        name: "list_transform",
        aliases: &["array_transform", "list_apply", "array_apply", "apply"],
        category: Category::Nested,
        signatures: &["list_transform(list, lambda)"],
        description: "A list of what a lambda gives for each element.",
        example: "list_transform([1, 2], lambda x: x + 1) → [2, 3]",
    },
    Own {
        name: "list_filter",
        aliases: &["array_filter", "filter"],
        category: Category::Nested,
        signatures: &["list_filter(list, lambda)"],
        description: "The elements for which a lambda is true.",
        example: "list_filter([1, 2, 3], lambda x: x > 1) → [2, 3]",
    },
    Own {
        name: "list_reduce",
        aliases: &["array_reduce", "reduce"],
        category: Category::Nested,
        signatures: &["list_reduce(list, lambda)", "list_reduce(list, lambda, any)"],
        description: "What a lambda makes of the value so far and each element; without a first value, of the first element on.",
        example: "list_reduce([1, 2, 3], lambda a, x: a + x) → 6",
    },
    Own {
        name: "list_any",
        aliases: &["any_match"],
        category: Category::Nested,
        signatures: &["list_any(list, lambda)"],
        description: "Whether a lambda is true for some element.",
        example: "list_any([1, 2], lambda x: x > 1) → true",
    },
    Own {
        name: "list_all",
        aliases: &["all_match"],
        category: Category::Nested,
        signatures: &["list_all(list, lambda)"],
        description: "Whether a lambda is true for all elements.",
        example: "list_all([1, 2], lambda x: x > 1) → false",
    },
];

fn own() -> impl Iterator<Item = &'static Own> {
    OWN.iter().chain(aggregates::AGGREGATES).chain(aggregates::WINDOWS)
}

/// Names that the engine's registry does not have.
pub(crate) fn own_names() -> impl Iterator<Item = &'static str> {
    own().flat_map(|own| own.aliases.iter().copied().chain([own.name]))
}

/// All functions, by category and name. Examples of aggregates are of a column `a` with the values 1, 2, 2 and null.
pub fn functions() -> Vec<Description> {
    let own = own().map(|own| Description {
        name: own.name,
        aliases: own.aliases,
        category: own.category,
        signatures: own.signatures.iter().map(|signature| (*signature).to_owned()).collect(),
        description: own.description,
        example: example_and_result(own.example).0,
        result: example_and_result(own.example).1,
    });
    let mut all: Vec<Description> = exec::functions::list().into_iter().chain(own).collect();
    all.sort_by_key(|function| (function.category, function.name));
    all
}

/// `docs/functions.md`.
pub fn functions_page() -> String {
    let mut page = String::from(
        "# Functions\n\n\
         Made of what the engine knows of itself; a test keeps it so and runs every example. `SHOW FUNCTIONS` and\n\
         `system.functions` tell the same. Null arguments give null unless said. Examples of aggregates are of a column\n\
         `a` with the values 1, 2, 2 and null.\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    // A code span has its own backticks and keeps blanks.
    let code = |text: &str| format!("`{}`", cell(text));
    let mut category = None;
    for function in functions() {
        if category != Some(function.category) {
            category = Some(function.category);
            let title = function.category.to_string();
            let (first, rest) = title.split_at(1);
            let _ = write!(page, "\n## {}{rest}\n\n", first.to_uppercase());
            page.push_str("| function | | example | gives |\n|---|---|---|---|\n");
        }
        let signatures: Vec<String> = function.signatures.iter().map(|signature| code(signature)).collect();
        let mut description = cell(function.description);
        if !function.aliases.is_empty() {
            let aliases: Vec<String> = function.aliases.iter().map(|alias| code(alias)).collect();
            let _ = write!(description, " Also {}.", aliases.join(", "));
        }
        let result = if function.result.is_empty() { String::new() } else { code(function.result) };
        let _ = writeln!(
            page,
            "| {} | {description} | {} | {result} |",
            signatures.join("<br>"),
            code(function.example)
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binder::aggregate::AGGREGATES;

    #[test]
    fn every_aggregate_is_listed() {
        for name in AGGREGATES {
            assert!(own_names().any(|own| own == *name), "{name}");
        }
    }

    #[test]
    fn no_name_is_listed_twice() {
        let all = functions();
        let mut names: Vec<&str> =
            all.iter().flat_map(|f| f.aliases.iter().copied().chain([f.name])).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert_eq!(twice, None);
    }
}

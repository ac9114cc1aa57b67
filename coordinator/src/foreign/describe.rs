//! What tables a foreign server has, and of what types.

use super::options::Wrapper;
use crate::error::{Error, Result};
use columnar::DataType;
use planner::catalog::Table;
use storage::ColumnSchema;

/// Which tables are asked for.
#[derive(Clone)]
pub(super) enum Which {
    /// All of a schema.
    Schema(String),
    /// Schema and name of each.
    Tables(Vec<(String, String)>),
}

/// A table as its server describes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RemoteTable {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) columns: Vec<RemoteColumn>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RemoteColumn {
    pub(crate) name: String,
    /// As the server calls it.
    pub(crate) type_name: String,
    /// `None`: Tundra has no such type.
    pub(crate) data_type: Option<DataType>,
    pub(crate) nullable: bool,
    /// Of text: two texts are equal where their bytes are.
    is_bytewise: bool,
}

fn text(value: &str) -> Result<String> {
    if value.contains('\0') {
        return Err(Error::Statement("a name has a zero byte".into()));
    }
    Ok(format!("'{}'", value.replace('\'', "''")))
}

/// What describes them: schema, table, rows, column, type, whether it takes nulls, whether it compares by bytes.
pub(super) fn question(wrapper: Wrapper, which: &Which) -> Result<String> {
    let condition = |schema: &str, table: &str| -> Result<String> {
        Ok(match which {
            Which::Schema(name) => format!("{schema} = {}", text(name)?),
            Which::Tables(names) => {
                let one = |(of, name): &(String, String)| -> Result<String> {
                    Ok(format!("({schema} = {} AND {table} = {})", text(of)?, text(name)?))
                };
                format!("({})", names.iter().map(one).collect::<Result<Vec<_>>>()?.join(" OR "))
            }
        })
    };
    match wrapper {
        Wrapper::PostgreSql => Ok(format!(
            "SELECT CAST(n.nspname AS text), CAST(c.relname AS text), CAST(CAST(c.reltuples AS bigint) AS text), \
             CAST(a.attname AS text), pg_catalog.format_type(a.atttypid, a.atttypmod), \
             CASE WHEN a.attnotnull AND c.relkind <> 'f' THEN 'NO' ELSE 'YES' END, \
             CASE WHEN coalesce(k.collisdeterministic, true) THEN 'YES' ELSE 'NO' END \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
             LEFT JOIN pg_catalog.pg_collation k ON k.oid = a.attcollation \
             WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {} \
             ORDER BY c.oid, a.attnum",
            condition("n.nspname", "c.relname")?
        )),
        Wrapper::Tundra => Ok(format!(
            "SELECT c.table_schema, c.table_name, CAST(coalesce(d.rows, 0) AS text) AS rows, c.column_name, \
             c.data_type, c.is_nullable, 'YES' AS bytewise \
             FROM information_schema.columns c LEFT JOIN system.datasets d \
             ON d.schema_name = c.table_schema AND d.table_name = c.table_name \
             WHERE {} ORDER BY c.table_schema, c.table_name, c.ordinal_position",
            condition("c.table_schema", "c.table_name")?
        )),
        Wrapper::FlightSql => Err(Error::Refused(
            "tables of a server of the kind flightsql are not described yet: name the columns in CREATE FOREIGN TABLE"
                .into(),
        )),
    }
}

/// The tables, of the rows that [`question`] gives.
pub(super) fn tables(wrapper: Wrapper, rows: Vec<Vec<Option<String>>>) -> Result<Vec<RemoteTable>> {
    let mut tables: Vec<RemoteTable> = Vec::new();
    for row in rows {
        let row: Option<Vec<String>> = row.into_iter().collect();
        let Some(Ok([schema, name, count, column, type_name, nullable, bytewise])) =
            row.map(<[String; 7]>::try_from)
        else {
            return Err(Error::Environment("a foreign server describes its tables in other words".into()));
        };
        let column = RemoteColumn {
            name: column,
            data_type: match wrapper {
                Wrapper::PostgreSql => of_postgresql(&type_name),
                _ => of_tundra(&type_name),
            },
            type_name,
            nullable: nullable != "NO",
            is_bytewise: bytewise != "NO",
        };
        match tables.last_mut().filter(|table| table.schema == schema && table.name == name) {
            Some(table) => table.columns.push(column),
            None => {
                let rows = count.parse().unwrap_or(0);
                tables.push(RemoteTable { schema, name, rows, columns: vec![column] });
            }
        }
    }
    Ok(tables)
}

fn of_postgresql(name: &str) -> Option<DataType> {
    let (base, arguments) = match name.split_once('(') {
        Some((base, rest)) => {
            let (arguments, rest) = rest.split_once(')')?;
            (format!("{}{rest}", base.trim_end()), Some(arguments))
        }
        None => (name.to_string(), None),
    };
    Some(match base.as_str() {
        "boolean" => DataType::Boolean,
        "smallint" => DataType::Int16,
        "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "numeric" => decimal(arguments?)?,
        "real" => DataType::Float32,
        "double precision" => DataType::Float64,
        "date" => DataType::Date,
        "time without time zone" => DataType::Time,
        "timestamp without time zone" => DataType::TIMESTAMP,
        "timestamp with time zone" => {
            DataType::Timestamp { unit: columnar::TimeUnit::Microsecond, zone: true }
        }
        "text" | "character varying" | "character" => DataType::Varchar,
        "bytea" => DataType::Binary,
        _ => return None,
    })
}

fn decimal(arguments: &str) -> Option<DataType> {
    let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
    let (precision, scale): (u8, u8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=columnar::types::DECIMAL_MAX_PRECISION).contains(&precision) && scale <= precision)
        .then_some(DataType::decimal(precision, scale))
}

fn of_tundra(name: &str) -> Option<DataType> {
    if let Some(arguments) = name.strip_prefix("DECIMAL(").and_then(|rest| rest.strip_suffix(')')) {
        return decimal(arguments);
    }
    use columnar::TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let stamps = [Second, Millisecond, Microsecond, Nanosecond]
        .into_iter()
        .flat_map(|unit| [false, true].map(|zone| DataType::Timestamp { unit, zone }));
    let plain = [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::Date,
        DataType::Time,
        DataType::Varchar,
        DataType::Binary,
    ];
    plain.into_iter().chain(stamps).find(|data_type| data_type.to_string() == name)
}

impl RemoteTable {
    /// All its columns; an error names one whose type Tundra has not.
    pub(crate) fn schema(&self) -> Result<Vec<ColumnSchema>> {
        self.columns.iter().map(|column| self.column(column)).collect()
    }

    fn column(&self, column: &RemoteColumn) -> Result<ColumnSchema> {
        let data_type = column.data_type.filter(|_| column.is_bytewise);
        let data_type = data_type.ok_or_else(|| {
            Error::Refused(format!(
                "column \"{}\" of {}.{} is {}, which is not supported{}; name the columns that are wanted in CREATE \
                 FOREIGN TABLE, or leave the table out",
                column.name,
                self.schema,
                self.name,
                column.type_name,
                if column.is_bytewise { "" } else { " with a collation that is not deterministic" }
            ))
        })?;
        Ok(ColumnSchema { name: column.name.clone(), data_type, nullable: column.nullable })
    }

    /// The columns that a table was declared with, by the names that the server has for them.
    pub(crate) fn declared(&self, declared: &[ColumnSchema]) -> Result<Vec<ColumnSchema>> {
        let named = |wanted: &ColumnSchema| {
            let exact = self.columns.iter().find(|column| column.name == wanted.name);
            let lower = wanted.name.to_lowercase();
            let mut similar = self.columns.iter().filter(|column| column.name.to_lowercase() == lower);
            let found = exact.or_else(|| similar.next().filter(|_| similar.next().is_none()));
            let found = found.ok_or_else(|| {
                Error::NotFound(format!("{}.{} has no column \"{}\"", self.schema, self.name, wanted.name))
            })?;
            Ok(ColumnSchema { name: found.name.clone(), ..wanted.clone() })
        };
        let columns = declared.iter().map(named).collect::<Result<Vec<_>>>()?;
        self.check(&columns)?;
        Ok(columns)
    }

    /// That the columns are what they are taken for: values of one type are compared, rounded and added up in another
    /// way than those of another.
    fn check(&self, columns: &[ColumnSchema]) -> Result<()> {
        for column in columns {
            let known = self.columns.iter().find(|known| known.name == column.name);
            let known = known.ok_or_else(|| {
                Error::NotFound(format!("{}.{} has no column \"{}\"", self.schema, self.name, column.name))
            })?;
            let has = self.column(known)?;
            let fits = match (has.data_type, column.data_type) {
                (
                    DataType::Decimal { precision: has, scale: a },
                    DataType::Decimal { precision: wanted, scale: b },
                ) => a == b && has <= wanted,
                (has, wanted) => has == wanted,
            };
            if !fits {
                return Err(Error::Statement(format!(
                    "column \"{}\" of {}.{} is {} ({}) and is declared {}",
                    column.name, self.schema, self.name, known.type_name, has.data_type, column.data_type
                )));
            }
            if known.nullable && !column.nullable {
                return Err(Error::Statement(format!(
                    "column \"{}\" of {}.{} may be null and is declared NOT NULL",
                    column.name, self.schema, self.name
                )));
            }
        }
        Ok(())
    }
}

/// That tables still are what a query was planned for.
pub(super) fn check(tables: &[RemoteTable], wanted: &Table) -> Result<()> {
    let Some(foreign) = &wanted.foreign else { return Ok(()) };
    let same =
        |table: &&RemoteTable| table.schema == foreign.remote_schema && table.name == foreign.remote_name;
    let table = tables.iter().find(same).ok_or_else(|| {
        let (schema, name) = (&foreign.remote_schema, &foreign.remote_name);
        Error::NotFound(format!("server {} has no table {schema}.{name} any more", foreign.server))
    })?;
    table.check(&wanted.columns).map_err(|error| {
        Error::Environment(format!(
            "foreign table \"{}\" does not fit its server any more: {error}; DROP FOREIGN TABLE and create it anew",
            wanted.name
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_postgresql() {
        let stamp = DataType::Timestamp { unit: columnar::TimeUnit::Microsecond, zone: true };
        for (name, expected) in [
            ("numeric(15,2)", Some(DataType::decimal(15, 2))),
            ("numeric(15,0)", Some(DataType::decimal(15, 0))),
            ("numeric(40,2)", None),
            ("numeric(3,-2)", None),
            ("numeric(2,5)", None),
            ("numeric", None),
            ("character varying(25)", Some(DataType::Varchar)),
            ("character(1)", Some(DataType::Varchar)),
            ("timestamp(3) with time zone", Some(stamp)),
            ("timestamp without time zone", Some(DataType::TIMESTAMP)),
            ("integer[]", None),
            ("uuid", None),
            ("\"char\"", None),
        ] {
            assert_eq!(of_postgresql(name), expected, "{name}");
        }
    }

    #[test]
    fn types_of_tundra() {
        for data_type in [DataType::Int8, DataType::decimal(38, 6), DataType::Varchar, DataType::TIMESTAMP] {
            assert_eq!(of_tundra(&data_type.to_string()), Some(data_type));
        }
        assert_eq!(of_tundra("LIST"), None);
    }

    fn remote() -> RemoteTable {
        let row = |column: &str, type_name: &str, nullable: &str, bytewise: &str| {
            ["public", "t", "7", column, type_name, nullable, bytewise].map(|text| Some(text.into())).to_vec()
        };
        let rows = vec![
            row("Id", "bigint", "NO", "YES"),
            row("price", "numeric(10,2)", "YES", "YES"),
            row("blind", "text", "YES", "NO"),
            row("odd", "uuid", "YES", "YES"),
        ];
        tables(Wrapper::PostgreSql, rows).unwrap().remove(0)
    }

    #[test]
    fn declared_columns_are_those_that_are_there() {
        let column =
            |name: &str, data_type, nullable| ColumnSchema { name: name.into(), data_type, nullable };
        let declared = |column: ColumnSchema| remote().declared(&[column]);
        assert_eq!(declared(column("ID", DataType::Int64, false)).unwrap()[0].name, "Id");
        assert!(declared(column("price", DataType::decimal(12, 2), true)).is_ok());
        for wrong in [
            column("ID", DataType::Int32, true),
            column("price", DataType::decimal(9, 2), true),
            column("price", DataType::decimal(12, 1), true),
            column("price", DataType::decimal(12, 3), true),
            column("price", DataType::decimal(10, 2), false),
            column("blind", DataType::Varchar, true),
            column("odd", DataType::Varchar, true),
            column("none", DataType::Varchar, true),
        ] {
            assert!(declared(wrong.clone()).is_err(), "{wrong:?}");
        }
        assert!(remote().schema().unwrap_err().to_string().contains("blind"));
    }

    #[test]
    fn names_stay_names() {
        let which = Which::Tables(vec![("a'b".into(), "c' OR '1'='1".into())]);
        let question = question(Wrapper::PostgreSql, &which).unwrap();
        assert!(question.contains("n.nspname = 'a''b' AND c.relname = 'c'' OR ''1''=''1'"), "{question}");
    }
}

//! One connection to a foreign server, through an ADBC driver. Everything here blocks: it runs on threads of its own.

use super::options::{Wrapper, address_of};
use super::watch::Watch;
use crate::error::{Error, Result};
use adbc_core::options::{OptionDatabase, OptionStatement, OptionValue};
use adbc_core::{Connection, Database, Driver, Optionable, Statement};
use adbc_driver_manager::{ManagedConnection, ManagedDriver, ManagedStatement};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatchReader};
use arrow::datatypes::DataType as ArrowType;
use flight_proto::catalog::ForeignServer;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::Duration;

/// How long a server may take to accept a connection.
const CONNECT_SECONDS: u64 = 10;
/// What a driver gathers before it hands rows on.
pub(super) const BATCH_BYTES: u64 = 1 << 20;
/// The most rows of what describes a server: columns of tables.
const MOST_ROWS: usize = 200_000;
/// And the most bytes.
const MOST_BYTES: usize = 64 << 20;

/// A connection. Dropping it closes it, which may block.
pub(super) struct Remote {
    connection: ManagedConnection,
    wrapper: Wrapper,
    server: ForeignServer,
}

/// A statement that gives rows.
pub(super) struct Asked {
    // Read to its end before the statement goes.
    pub(super) rows: Box<dyn RecordBatchReader + Send>,
    _statement: ManagedStatement,
}

impl Remote {
    /// Connects, and has the server mean by what it is asked what is meant.
    pub(super) fn open(driver: &mut ManagedDriver, server: &ForeignServer, watch: &Watch) -> Result<Remote> {
        let wrapper = Wrapper::of(server)?;
        let options = match wrapper {
            Wrapper::PostgreSql => postgresql(server)?,
            Wrapper::Tundra | Wrapper::FlightSql => flight_sql(server)?,
        };
        // One database each: the manager lets connections of one database begin one after the other.
        let database = driver.new_database_with_opts(options).map_err(|error| failed(server, &error))?;
        let connection = database.new_connection().map_err(|error| failed(server, &error))?;
        let mut remote = Remote { connection, wrapper, server: server.clone() };
        if wrapper == Wrapper::PostgreSql {
            remote.settle(watch)?;
        }
        Ok(remote)
    }

    /// Settings on which the meaning of queries hangs, and a server that has the same meanings.
    fn settle(&mut self, watch: &Watch) -> Result<()> {
        let settings = [
            ("search_path", "pg_catalog"),
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO, YMD"),
            ("IntervalStyle", "postgres"),
            ("standard_conforming_strings", "on"),
            ("default_transaction_read_only", "on"),
            ("bytea_output", "hex"),
        ];
        let set = |(name, value): &(&str, &str)| format!("pg_catalog.set_config('{name}', '{value}', false)");
        let set: Vec<String> = settings.iter().map(set).collect();
        self.texts(&format!("SELECT {}", set.join(", ")), watch)?;
        let asked = "SELECT pg_catalog.version(), pg_catalog.current_setting('server_encoding')";
        let rows = self.texts(asked, watch)?;
        let text = |place: usize| rows.first().and_then(|row| row.get(place)?.clone()).unwrap_or_default();
        let (version, encoding) = (text(0), text(1));
        let name = &self.server.name;
        if !version.starts_with("PostgreSQL ") || version.contains("Redshift") {
            return Err(Error::Refused(format!(
                "server {name} is no PostgreSQL, but '{}': servers that speak its protocol are not supported yet",
                version.chars().take(60).collect::<String>()
            )));
        }
        if encoding != "UTF8" {
            return Err(Error::Refused(format!(
                "the database of server {name} has the encoding {encoding}: only UTF8 is supported"
            )));
        }
        Ok(())
    }

    /// The server ends statements by itself that run for longer than this.
    pub(super) fn limit(&mut self, left: Option<Duration>, watch: &Watch) -> Result<()> {
        if self.wrapper != Wrapper::PostgreSql {
            return Ok(());
        }
        // A little later than here, where the right error is told.
        let most = left.map_or(0, |left| left.as_millis() + 500).min(i32::MAX as u128);
        self.texts(&format!("SELECT pg_catalog.set_config('statement_timeout', '{most}', false)"), watch)?;
        Ok(())
    }

    /// Asks for rows.
    pub(super) fn ask(&mut self, sql: &str, watch: &Watch) -> Result<Asked> {
        let failed = |error: adbc_core::error::Error| failed(&self.server, &error);
        let mut statement = self.connection.new_statement().map_err(failed)?;
        if self.wrapper == Wrapper::PostgreSql {
            let hint = OptionStatement::Other("adbc.postgresql.batch_size_hint_bytes".into());
            statement.set_option(hint, OptionValue::Int(BATCH_BYTES as i64)).map_err(failed)?;
        }
        statement.set_sql_query(sql).map_err(failed)?;
        watch.begins(statement.get_cancel_handle().into())?;
        let rows = statement.execute().map_err(failed)?;
        Ok(Asked { rows, _statement: statement })
    }

    /// Asks for a few rows of text.
    pub(super) fn texts(&mut self, sql: &str, watch: &Watch) -> Result<Vec<Vec<Option<String>>>> {
        let asked = self.ask(sql, watch)?;
        let mut rows: Vec<Vec<Option<String>>> = Vec::new();
        let mut bytes = 0;
        for batch in asked.rows {
            let batch = batch.map_err(|error| self.arrow_failed(&error))?;
            bytes += batch.get_array_memory_size();
            if bytes > MOST_BYTES {
                let name = &self.server.name;
                return Err(Error::Overloaded(format!(
                    "server {name} describes itself in more than {MOST_BYTES} bytes"
                )));
            }
            let columns: Vec<Vec<Option<String>>> =
                batch.columns().iter().map(|column| self.text_column(column)).collect::<Result<_>>()?;
            rows.extend((0..batch.num_rows()).map(|row| {
                columns.iter().map(|column| column.get(row).cloned().flatten()).collect::<Vec<_>>()
            }));
            if rows.len() > MOST_ROWS {
                return Err(Error::Overloaded(format!(
                    "server {} has more than {MOST_ROWS} columns of tables there; name the tables with LIMIT TO",
                    self.server.name
                )));
            }
        }
        watch.ends();
        Ok(rows)
    }

    fn text_column(&self, column: &ArrayRef) -> Result<Vec<Option<String>>> {
        column.to_data().validate_full().map_err(|error| self.arrow_failed(&error))?;
        let owned = |text: Option<&str>| text.map(str::to_string);
        Ok(match column.data_type() {
            ArrowType::Utf8 => column.as_string::<i32>().iter().map(owned).collect(),
            ArrowType::LargeUtf8 => column.as_string::<i64>().iter().map(owned).collect(),
            ArrowType::Utf8View => column.as_string_view().iter().map(owned).collect(),
            other => {
                return Err(Error::Environment(format!(
                    "server {} gives {other} where text is expected",
                    self.server.name
                )));
            }
        })
    }

    pub(super) fn arrow_failed(&self, error: &arrow::error::ArrowError) -> Error {
        let message = match error {
            arrow::error::ArrowError::CDataInterface(message) => message.clone(),
            other => other.to_string(),
        };
        // PostgreSQL's word for what ends a statement, and not the connection; its code does not come with rows.
        match message.contains("ERROR:") {
            true => Error::Statement(told(&self.server, &message)),
            false => Error::Environment(told(&self.server, &message)),
        }
    }

    pub(super) fn server(&self) -> &ForeignServer {
        &self.server
    }
}

/// What a driver says, as users may see it.
pub(super) fn failed(server: &ForeignServer, error: &adbc_core::error::Error) -> Error {
    let message = told(server, &error.message);
    match blames_statement(&error.sqlstate.map(|byte| byte as u8)) {
        true => Error::Statement(message),
        false => Error::Environment(message),
    }
}

/// Whether a server that is well answers so: faults of values (22), of rows that are one too many (21), of constraints
/// (23), of names and rights (42), and a statement that was ended.
fn blames_statement(sqlstate: &[u8; 5]) -> bool {
    matches!(&sqlstate[..2], b"21" | b"22" | b"23" | b"42") || sqlstate == b"57014"
}

fn told(server: &ForeignServer, message: &str) -> String {
    let mut message = message.trim().to_string();
    for secret in server.secrets.values().filter(|secret| !secret.is_empty()) {
        message = message.replace(secret.as_str(), "…");
        message = message.replace(&encoded(secret), "…");
    }
    if message.len() > 1500 {
        message.truncate(message.floor_char_boundary(1500));
        message.push('…');
    }
    format!("server {}: {message}", server.name)
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

type Options = Vec<(OptionDatabase, OptionValue)>;

/// Every parameter that PostgreSQL's client would look for elsewhere is named: files of the coordinator's user, which
/// hold passwords and keys of others, are not read. (Its environment is looked at when the coordinator starts.)
fn postgresql(server: &ForeignServer) -> Result<Options> {
    let address = address_of(server)?;
    let option = |name: &str| server.options.get(name).map(String::as_str).unwrap_or_default();
    let password = server.secrets.get("password").map(String::as_str).unwrap_or_default();
    // No file can lie there.
    let nothing = "/dev/null/none";
    let port = address.port.to_string();
    let seconds = CONNECT_SECONDS.to_string();
    let parameters = [
        ("host", address.host.as_str()),
        ("port", &port),
        ("dbname", option("dbname")),
        ("user", option("user")),
        ("password", password),
        ("passfile", nothing),
        ("sslmode", option("sslmode")),
        ("sslcert", nothing),
        ("sslkey", nothing),
        ("sslrootcert", nothing),
        ("sslcrl", nothing),
        ("gssencmode", "disable"),
        ("application_name", "tundra"),
        ("client_encoding", "UTF8"),
        ("connect_timeout", &seconds),
        ("target_session_attrs", "any"),
        ("keepalives", "1"),
        ("keepalives_idle", "30"),
        ("tcp_user_timeout", "30000"),
        ("options", "-c statement_timeout=30000"),
    ];
    let parameters = parameters.map(|(name, value)| format!("{name}={}", encoded(value)));
    let uri = format!("postgresql://?{}", parameters.join("&"));
    Ok(vec![(OptionDatabase::Uri, OptionValue::String(uri))])
}

fn flight_sql(server: &ForeignServer) -> Result<Options> {
    let address = address_of(server)?;
    let tls = server.options.get("tls").is_some_and(|tls| tls == "true");
    let scheme = if tls { "grpc+tls" } else { "grpc+tcp" };
    let mut options: Options =
        vec![(OptionDatabase::Uri, OptionValue::String(format!("{scheme}://{address}")))];
    let connect = OptionDatabase::Other("adbc.flight.sql.rpc.timeout_seconds.connect".into());
    options.push((connect, OptionValue::String(CONNECT_SECONDS.to_string())));
    if let (Some(user), Some(password)) = (server.options.get("user"), server.secrets.get("password")) {
        options.push((OptionDatabase::Username, OptionValue::String(user.clone())));
        options.push((OptionDatabase::Password, OptionValue::String(password.clone())));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ForeignServer {
        let options =
            [("host", "db"), ("port", "1"), ("dbname", "d b"), ("user", "a'b"), ("sslmode", "disable")];
        ForeignServer {
            name: "s".into(),
            wrapper: "postgresql".into(),
            options: options.map(|(name, value)| (name.to_string(), value.to_string())).into(),
            secrets: [("password".to_string(), "p&x=y@h".to_string())].into(),
            created_revision: 0,
            grants: None,
        }
    }

    #[test]
    fn values_of_a_uri_stay_values() {
        let options = postgresql(&server()).unwrap();
        let (_, OptionValue::String(uri)) = &options[0] else { panic!() };
        assert!(
            uri.starts_with("postgresql://?host=db&port=1&dbname=d%20b&user=a%27b&password=p%26x%3Dy%40h&"),
            "{uri}"
        );
    }

    #[test]
    fn secrets_are_not_told() {
        let message = "invalid: p&x=y@h and p%26x%3Dy%40h";
        assert_eq!(told(&server(), message), "server s: invalid: … and …");
    }

    #[test]
    fn a_server_is_not_to_blame_for_values() {
        let mut error =
            adbc_core::error::Error::with_message_and_status("m", adbc_core::error::Status::Internal);
        for (sqlstate, is_statements) in
            [(b"22003", true), (b"21000", true), (b"42501", true), (b"57014", true), (b"57P01", false)]
        {
            error.sqlstate = sqlstate.map(|byte| byte as std::ffi::c_char);
            let failed = failed(&server(), &error);
            assert_eq!(matches!(failed, Error::Statement(_)), is_statements, "{failed:?}");
            assert_eq!(failed.to_string(), "server s: m");
        }
        error.sqlstate = [0; 5];
        assert!(matches!(failed(&server(), &error), Error::Environment(_)));
    }
}

//! The options of a foreign server: a short list, out of which the words for its driver are built anew. A text of the
//! user's never reaches a driver as it is, since drivers understand far more than should be said: files to read,
//! further hosts, services.

use crate::error::{Error, Result};
use flight_proto::catalog::ForeignServer;
use percent_encoding::percent_decode_str;
use planner::CreateServer;
use planner::catalog::Engine;
use std::collections::BTreeMap;

/// What a server is spoken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapper {
    PostgreSql,
    /// Another Tundra, over Flight SQL.
    Tundra,
    /// Any server of Flight SQL.
    FlightSql,
}

impl Wrapper {
    pub(super) fn named(name: &str) -> Result<Wrapper> {
        match name {
            "postgresql" | "postgres" | "postgres_fdw" => Ok(Wrapper::PostgreSql),
            "tundra" => Ok(Wrapper::Tundra),
            "flightsql" | "flight_sql" => Ok(Wrapper::FlightSql),
            "redshift" | "snowflake" | "bigquery" => {
                Err(Error::Refused(format!("servers of the kind {name} are not supported yet")))
            }
            other => Err(Error::Statement(format!(
                "there is no foreign data wrapper {other}: there are postgresql, tundra and flightsql"
            ))),
        }
    }

    pub(super) fn of(server: &ForeignServer) -> Result<Wrapper> {
        Wrapper::named(&server.wrapper)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Wrapper::PostgreSql => "postgresql",
            Wrapper::Tundra => "tundra",
            Wrapper::FlightSql => "flightsql",
        }
    }

    /// The driver that speaks with it.
    pub(super) fn driver(self) -> &'static str {
        match self {
            Wrapper::PostgreSql => "postgresql",
            Wrapper::Tundra | Wrapper::FlightSql => "flightsql",
        }
    }

    pub(super) fn engine(self) -> Engine {
        match self {
            Wrapper::PostgreSql => Engine::PostgreSql,
            Wrapper::Tundra => Engine::Tundra,
            Wrapper::FlightSql => Engine::Plain,
        }
    }

    /// The schema of tables of which none is named.
    pub(super) fn default_schema(self) -> &'static str {
        match self {
            Wrapper::PostgreSql => "public",
            Wrapper::Tundra => "main",
            Wrapper::FlightSql => "",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Wrapper::PostgreSql => 5432,
            Wrapper::Tundra | Wrapper::FlightSql => 31337,
        }
    }

    /// The options that there are, without `uri`, which is several of them.
    fn options(self) -> &'static [&'static str] {
        match self {
            Wrapper::PostgreSql => &["host", "port", "dbname", "user", "password", "sslmode"],
            Wrapper::Tundra | Wrapper::FlightSql => &["host", "port", "user", "password", "tls"],
        }
    }
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name or an address; that of version 6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The server as the catalog keeps it: its options checked, those of a URI apart.
pub(super) fn server_of(create: &CreateServer) -> Result<ForeignServer> {
    let wrapper = Wrapper::named(&create.wrapper)?;
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &create.options {
        if name == "uri" {
            for (name, value) in parts_of(value, wrapper)? {
                add(&mut given, &name, value)?;
            }
        } else if wrapper.options().contains(&name.as_str()) {
            add(&mut given, name, value.clone())?;
        } else {
            let known = wrapper.options().join(", ");
            return Err(Error::Statement(format!(
                "a server of the kind {} has no option {name}: there are uri, {known}",
                wrapper.name()
            )));
        }
    }
    for name in ["host", "user", "password"] {
        let optional = name != "host" && wrapper != Wrapper::PostgreSql;
        if !optional && given.get(name).is_none_or(|value| value.is_empty()) {
            return Err(Error::Statement(format!(
                "the server needs the option {name}: nothing is taken from the environment of the coordinator"
            )));
        }
    }
    if given.contains_key("user") != given.contains_key("password") {
        return Err(Error::Statement("user and password are given together".into()));
    }
    given.entry("port".into()).or_insert_with(|| wrapper.default_port().to_string());
    match wrapper {
        Wrapper::PostgreSql => {
            given.entry("dbname".into()).or_insert_with(|| "postgres".into());
            given.entry("sslmode".into()).or_insert_with(|| "prefer".into());
        }
        _ => {
            given.entry("tls".into()).or_insert_with(|| "false".into());
        }
    }
    let password = given.remove("password");
    let server = ForeignServer {
        name: create.name.clone(),
        wrapper: wrapper.name().into(),
        options: given,
        secrets: password.map(|password| ("password".to_string(), password)).into_iter().collect(),
        created_revision: 0,
        grants: None,
    };
    check(&server, wrapper)?;
    Ok(server)
}

fn add(given: &mut BTreeMap<String, String>, name: &str, value: String) -> Result<()> {
    match given.insert(name.into(), value) {
        None => Ok(()),
        Some(_) => Err(Error::Statement(format!("the option {name} is given twice"))),
    }
}

/// That values are what they should be, also of a server that another version of Tundra has stored.
fn check(server: &ForeignServer, wrapper: Wrapper) -> Result<()> {
    address_of(server)?;
    let value = |name: &str| server.options.get(name).map(String::as_str).unwrap_or_default();
    let mut all = server.options.iter().chain(&server.secrets);
    if let Some((name, _)) = all.find(|(_, value)| value.contains('\0') || value.len() > 1024) {
        return Err(Error::Statement(format!("the option {name} has a zero byte, or more than 1,024 bytes")));
    }
    match (wrapper, value("sslmode"), value("tls")) {
        (Wrapper::PostgreSql, "disable" | "prefer" | "require", _) => Ok(()),
        (Wrapper::PostgreSql, "verify-ca" | "verify-full", _) => {
            Err(Error::Refused("sslmode verify-ca and verify-full are not supported yet".into()))
        }
        (Wrapper::PostgreSql, ..) => Err(Error::Statement("sslmode is disable, prefer or require".into())),
        (_, _, "true" | "false") => Ok(()),
        _ => Err(Error::Statement("tls is true or false".into())),
    }
}

/// Where the server is.
pub(super) fn address_of(server: &ForeignServer) -> Result<Address> {
    let host = server.options.get("host").map(String::as_str).unwrap_or_default();
    // One host, and no path of a socket: what drivers read as several hosts or as a file has other letters.
    let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > 255 || !host.chars().all(letters) || host.starts_with('-') {
        return Err(Error::Statement(
            "the option host is one name or address of a host; sockets of the file system and lists of hosts are \
             not taken"
                .into(),
        ));
    }
    let port = server.options.get("port").and_then(|port| port.parse().ok()).filter(|&port| port > 0);
    let port = port.ok_or_else(|| Error::Statement("the option port is a number from 1 to 65535".into()))?;
    Ok(Address { host: host.to_ascii_lowercase(), port })
}

/// The options that a URI says: `scheme://[user[:password]@]host[:port][/database][?name=value]`.
fn parts_of(uri: &str, wrapper: Wrapper) -> Result<Vec<(String, String)>> {
    let bad = |what: &str| Error::Statement(format!("the option uri {what}"));
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| bad("has no scheme, such as postgresql://"))?;
    let mut parts = Vec::new();
    let mut put = |name: &str, text: &str| {
        let decoded = percent_decode_str(text).decode_utf8().map_err(|_| bad("is no UTF-8"))?;
        parts.push((name.to_string(), decoded.into_owned()));
        Ok::<(), Error>(())
    };
    match (wrapper, scheme) {
        (Wrapper::PostgreSql, "postgresql" | "postgres") => {}
        (Wrapper::Tundra | Wrapper::FlightSql, "grpc" | "grpc+tcp") => put("tls", "false")?,
        (Wrapper::Tundra | Wrapper::FlightSql, "grpc+tls") => put("tls", "true")?,
        (Wrapper::PostgreSql, _) => return Err(bad("begins with postgresql://")),
        _ => return Err(bad("begins with grpc:// or grpc+tls://")),
    }
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let (login, place) =
        authority.rsplit_once('@').map_or((None, authority), |(login, place)| (Some(login), place));
    if let Some(login) = login {
        let (user, password) = login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word)));
        put("user", user)?;
        password.map_or(Ok(()), |password| put("password", password))?;
    }
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(|| bad("has an address without its end"))?;
            (host, rest.strip_prefix(':'))
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if !host.is_empty() {
        put("host", host)?;
    }
    port.map_or(Ok(()), |port| put("port", port))?;
    if !path.is_empty() {
        if wrapper != Wrapper::PostgreSql || path.contains('/') {
            return Err(bad("has a path that says nothing"));
        }
        put("dbname", path)?;
    }
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) if wrapper == Wrapper::PostgreSql => put("sslmode", value)?,
            _ => return Err(bad("has a parameter that is not taken: sslmode alone is")),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(wrapper: &str, options: &[(&str, &str)]) -> Result<ForeignServer> {
        let options = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let (name, wrapper) = ("s".into(), wrapper.into());
        server_of(&CreateServer { name, if_not_exists: false, wrapper, options })
    }

    fn uri(uri: &str) -> Result<ForeignServer> {
        server("postgresql", &[("uri", uri), ("user", "ann"), ("password", "x")])
    }

    #[test]
    fn a_uri_is_taken_apart() {
        let server = server(
            "postgresql",
            &[("uri", "postgresql://an%20n:p%40ss%3A@[::1]:15432/my%2Fdb?sslmode=disable")],
        );
        let server = server.unwrap();
        let options: Vec<_> =
            server.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("dbname", "my/db"),
            ("host", "::1"),
            ("port", "15432"),
            ("sslmode", "disable"),
            ("user", "an n"),
        ];
        assert_eq!(options, expected);
        assert_eq!(server.secrets["password"], "p@ss:");
        assert_eq!(address_of(&server).unwrap().to_string(), "[::1]:15432");
        assert!(!format!("{server:?}").contains("p@ss"));
    }

    #[test]
    fn nothing_else_reaches_a_driver() {
        for text in [
            "postgresql://a,b/db",
            "postgresql://%2Ftmp/db",
            "postgresql:///db?host=/tmp",
            "postgresql://h/db?hostaddr=10.0.0.1",
            "postgresql://h/db?service=x",
            "postgresql://h/db?passfile=/etc/passwd",
            "postgresql://h/db?sslkey=/etc/passwd",
            "postgresql://h/db?sslmode=verify-full",
            "postgresql://h:1,h:2/db",
            "postgresql://h:0/db",
            "postgresql://h:70000/db",
            "postgresql://h/db/more",
            "host=h dbname=db",
            "mysql://h/db",
            "postgresql://u@h@i,j/db",
            "postgresql://@/db",
            "postgresql://h%00/db",
            "postgresql://[::1/db",
        ] {
            assert!(uri(text).is_err(), "{text}");
        }
        assert!(uri("postgresql://h/db").is_ok());
        for (name, value) in
            [("hostaddr", "10.0.0.1"), ("service", "x"), ("driver", "/tmp/x.so"), ("options", "-c a=b")]
        {
            let error =
                server("postgresql", &[("host", "h"), ("user", "a"), ("password", "b"), (name, value)]);
            assert!(error.unwrap_err().to_string().contains(name), "{name}");
        }
        let twice = server(
            "postgresql",
            &[("uri", "postgresql://h/db"), ("host", "i"), ("user", "a"), ("password", "b")],
        );
        assert!(twice.is_err());
        assert!(server("postgresql", &[("host", "h"), ("user", "a")]).is_err());
        assert!(server("tundra", &[("host", "h")]).is_ok());
        assert!(server("tundra", &[("uri", "grpc+tls://h:1")]).unwrap().options["tls"] == "true");
        assert!(server("oracle", &[("host", "h")]).is_err());
    }
}

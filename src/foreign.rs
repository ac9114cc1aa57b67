//! Settings of those that serve clients: which engines beside Tundra may be reached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::coordinator::{AllowedHost, ForeignAccess};
use clap::Args;

/// The drivers that there can be, with the libraries that their packages have.
const DRIVERS: [(&str, &str); 2] =
    [("postgresql", "libadbc_driver_postgresql.so"), ("flightsql", "libadbc_driver_flightsql.so")];

#[derive(Args)]
pub(crate) struct ForeignOptions {
    /// ADBC drivers for foreign servers: a folder with their libraries, or NAME=PATH for postgresql and flightsql
    #[arg(long, value_name = "DIR|NAME=PATH", value_delimiter = ',', value_parser = drivers)]
    foreign_drivers: Vec<Drivers>,
    /// Hosts that foreign servers may be on
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',', value_parser = allowed)]
    allow_foreign: Vec<Allowed>,
}

/// Drivers as one value of the setting names them.
#[derive(Clone)]
struct Drivers {
    text: String,
    found: Vec<(String, PathBuf)>,
}

#[derive(Clone)]
struct Allowed {
    text: String,
    host: AllowedHost,
}

impl ForeignOptions {
    pub(crate) fn access(&self) -> ForeignAccess {
        let drivers: BTreeMap<String, PathBuf> =
            self.foreign_drivers.iter().flat_map(|drivers| drivers.found.iter().cloned()).collect();
        let hosts = self.allow_foreign.iter().map(|allowed| allowed.host.clone()).collect();
        ForeignAccess { drivers, hosts }
    }

    /// The same as arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let drivers = self.foreign_drivers.iter().map(|drivers| ("--foreign-drivers", &drivers.text));
        let hosts = self.allow_foreign.iter().map(|allowed| ("--allow-foreign", &allowed.text));
        drivers.chain(hosts).flat_map(|(flag, text)| [flag.to_string(), text.clone()]).collect()
    }
}

fn allowed(text: &str) -> Result<Allowed, String> {
    Ok(Allowed { text: text.into(), host: text.parse()? })
}

fn drivers(text: &str) -> Result<Drivers, String> {
    // A driver's name is no path: the loader would look for libraries elsewhere.
    let library = |path: &Path| {
        let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
        if path.is_file() { Ok(path) } else { Err(format!("{} is not a library", path.display())) }
    };
    let found = match text.split_once('=') {
        Some((name, path)) if DRIVERS.iter().any(|(known, _)| *known == name) => {
            vec![(name.to_string(), library(Path::new(path))?)]
        }
        Some((name, _)) => {
            return Err(format!("there are the drivers postgresql and flightsql, not '{name}'"));
        }
        None => {
            let inside = DRIVERS.iter().map(|(name, file)| (*name, Path::new(text).join(file)));
            let there = inside.filter(|(_, path)| path.is_file());
            there
                .map(|(name, path)| Ok((name.to_string(), library(&path)?)))
                .collect::<Result<_, String>>()?
        }
    };
    if found.is_empty() {
        let files = DRIVERS.map(|(_, file)| file).join(" or ");
        return Err(format!("the folder '{text}' has no {files}"));
    }
    Ok(Drivers { text: text.into(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_files_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert!(drivers(path).is_err(), "it is empty");
        let file = folder.path().join("libadbc_driver_postgresql.so");
        std::fs::write(&file, "").unwrap();
        let found = drivers(path).unwrap().found;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "postgresql");
        assert!(drivers(&format!("flightsql={}", file.display())).is_ok());
        assert!(drivers(&format!("oracle={}", file.display())).is_err());
        assert!(drivers(&format!("flightsql={path}")).is_err());
        assert!(drivers("postgresql=none.so").is_err());
    }
}

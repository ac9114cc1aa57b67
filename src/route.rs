//! `tundra route`: which engines answer a tenant's queries, from the command line.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use control_plane::json::{Routes, TenantRoutes};
use reqwest::Method;

use crate::Failure;
use crate::admin::client::Client;
use crate::admin::{Printer, time};
use crate::control::Caller;

/// Say which engines answer a tenant's queries; the control plane publishes it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tundra route check --file rules.toml\n  tundra route set acme --file rules.toml\n  \
                        tundra route show acme --json | jq .routes > rules.json\n  tundra route delete acme"
)]
pub(crate) struct Options {
    #[command(flatten)]
    caller: Caller,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set a tenant's twins and rules, all of them
    Set {
        tenant: String,
        /// TOML, or JSON where the name ends in .json
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Only where the routes have this version still; 0: only where there are none
        #[arg(long, value_name = "N")]
        version: Option<u64>,
    },
    /// Show a tenant's twins and rules
    Show { tenant: String },
    /// Look whether a file could be set; asks nobody
    Check {
        /// TOML, or JSON where the name ends in .json
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Take a tenant's routes back: its queries run as they are written
    Delete { tenant: String },
}

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let Options { caller, command } = options;
    match command {
        Command::Check { file } => caller.printer().print(&read(&file)?, |routes| {
            format!("{} twins and {} rules, which can be set\n", routes.twins.len(), routes.rules.len())
        }),
        command => caller.run(|client, printer| ask(client, printer, command)),
    }
}

async fn ask(client: Client, printer: Printer, command: Command) -> Result<(), Failure> {
    let routes: TenantRoutes = match command {
        Command::Check { file } => return printer.print(&read(&file)?, |_| String::new()),
        Command::Show { tenant } => client.get(&["tenants", &tenant, "routes"], &[]).await?,
        Command::Set { tenant, file, version } => {
            let version: Vec<_> =
                version.map(|version| ("version", version.to_string())).into_iter().collect();
            client.send(Method::PUT, &["tenants", &tenant, "routes"], &version, &read(&file)?).await?
        }
        Command::Delete { tenant } => {
            let deleted: TenantRoutes = client.delete(&["tenants", &tenant, "routes"], &[]).await?;
            return printer
                .print(&deleted, |routes| format!("tenant {} has no routes any more\n", routes.tenant));
        }
    };
    let json = serde_json::to_string_pretty(&routes.routes)?;
    printer.print(&routes, |routes| {
        format!(
            "tenant {}, version {}, set {}\n{json}\n",
            routes.tenant,
            routes.version,
            time(routes.decided_at_us)
        )
    })
}

/// The routes of a file; errors say where in it.
fn read(path: &Path) -> Result<Routes, Failure> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let routes: Routes = match is_json {
        true => serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?,
        false => toml::from_str(&text).map_err(|error| wrong(error.to_string()))?,
    };
    routes.check().map_err(|error| wrong(error.to_string()))?;
    Ok(routes)
}

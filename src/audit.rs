//! `tundra audit`: who changed what in the control plane, and whether that is as it was written.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use control_plane::json::{AuditEntry, AuditVerified, Loss};

use crate::Failure;
use crate::admin::client::Client;
use crate::admin::{Printer, time};
use crate::control::Caller;
use crate::table::aligned;

/// See who changed what in the control plane, and whether trails are as they were written.
#[derive(Args)]
#[command(after_help = "Examples:\n  tundra audit list --after 100\n  \
                        tundra audit list --json | jq -r '.[] | select(.who == \"ann\")'\n  \
                        tundra audit losses\n  tundra audit verify\n  tundra audit files tundra-data/objects/system/audit")]
pub(crate) struct Options {
    #[command(flatten)]
    caller: Caller,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List changes, the first first
    List {
        /// Those of a higher number alone
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: i64,
        /// The most changes to list, up to 1000
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: i64,
    },
    /// List what the database had lost and took over from the cluster, such as after an older copy of it was put back
    Losses {
        /// Those of a higher number alone
        #[arg(long, value_name = "N", default_value_t = 0)]
        after: i64,
    },
    /// Look whether every change is listed as it was written; fails where one is not
    Verify,
    /// Look whether the trail of coordinators, as --audit-export writes it, is as it was written; fails where it is not. Needs no
    /// control plane
    Files {
        /// Parquet files, or folders of them, such as system/audit of the object store
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
}

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let Options { caller, command } = options;
    match command {
        Command::Files { paths } => verify_files(&paths),
        command => caller.run(|client, printer| ask(client, printer, command)),
    }
}

async fn ask(client: Client, printer: Printer, command: Command) -> Result<(), Failure> {
    match command {
        Command::List { after, limit } => {
            let part = [("after", after.to_string()), ("limit", limit.to_string())];
            let entries: Vec<AuditEntry> = client.get(&["audit"], &part).await?;
            printer.print(&entries, |entries| list(entries))
        }
        Command::Losses { after } => {
            let part = [("after", after.to_string()), ("limit", "1000".into())];
            let losses: Vec<Loss> = client.get(&["losses"], &part).await?;
            printer.print(&losses, |losses| told(losses))
        }
        Command::Files { paths } => verify_files(&paths),
        Command::Verify => {
            let verified: AuditVerified = client.get(&["audit", "verify"], &[]).await?;
            printer.print(&verified, |verified| match &verified.broken {
                None => format!(
                    "all {} entries are as they were written; hash {}\n",
                    verified.entries, verified.hash
                ),
                Some(_) => String::new(),
            })?;
            match verified.broken {
                None => Ok(()),
                Some(broken) => {
                    Err(format!("entry {} is not as it was written: {}", broken.number, broken.why).into())
                }
            }
        }
    }
}

fn told(losses: &[Loss]) -> String {
    losses.iter().map(|loss| format!("{} {}: {}\n", loss.number, time(loss.at_us), loss.told)).collect()
}

#[allow(clippy::print_stdout)]
fn verify_files(paths: &[PathBuf]) -> Result<(), Failure> {
    let mut files = Vec::new();
    paths.iter().try_for_each(|path| find(path, &mut files))?;
    if files.is_empty() {
        return Err("there is no Parquet file".into());
    }
    let chains = coordinator::verify_trail(&files)?;
    let rows = chains.iter().map(|chain| {
        let (rows, numbers) = (chain.rows.to_string(), format!("{} to {}", chain.first, chain.last));
        let state = chain.broken.clone().unwrap_or_else(|| "as it was written".into());
        [chain.tenant.clone(), chain.chain.clone(), rows, numbers, state, chain.hash.clone()]
    });
    print!("{}", aligned(["TENANT", "CHAIN", "ROWS", "NUMBERS", "STATE", "HASH"], rows));
    match chains.iter().filter(|chain| chain.broken.is_some()).count() {
        0 => Ok(()),
        broken => Err(format!("{broken} of {} chains are not as they were written", chains.len()).into()),
    }
}

/// The Parquet files of a path.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    if !path.metadata().map_err(wrong)?.is_dir() {
        files.push(path.into());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "parquet") {
            find(&path, files)?;
        }
    }
    Ok(())
}

fn list(entries: &[AuditEntry]) -> String {
    let rows = entries.iter().map(|entry| {
        let (who, action, subject) = (entry.who.clone(), entry.action.clone(), entry.subject.clone());
        [entry.number.to_string(), time(entry.at_us), who, action, subject]
    });
    aligned(["NUMBER", "AT", "WHO", "ACTION", "SUBJECT"], rows)
}

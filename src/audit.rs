//! `tundra audit`: who changed what in the control plane, and whether that is as it was written.

use clap::{Args, Subcommand};
use control_plane::json::{AuditEntry, AuditVerified, Loss};

use crate::Failure;
use crate::admin::client::Client;
use crate::admin::{Printer, time};
use crate::control::Caller;
use crate::table::aligned;

/// See who changed what in the control plane.
#[derive(Args)]
#[command(after_help = "Examples:\n  tundra audit list --after 100\n  \
                        tundra audit list --json | jq -r '.[] | select(.who == \"ann\")'\n  \
                        tundra audit losses\n  tundra audit verify")]
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
}

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    options.caller.run(|client, printer| ask(client, printer, options.command))
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

fn list(entries: &[AuditEntry]) -> String {
    let rows = entries.iter().map(|entry| {
        let (who, action, subject) = (entry.who.clone(), entry.action.clone(), entry.subject.clone());
        [entry.number.to_string(), time(entry.at_us), who, action, subject]
    });
    aligned(["NUMBER", "AT", "WHO", "ACTION", "SUBJECT"], rows)
}

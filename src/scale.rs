//! `tundra scale`: how many nodes a pool has, from the command line.

mod settings;
mod text;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use control_plane::json::{AuditEntry, PoolPolicy, PoolStatus};
use control_plane::scaling::ScalePolicy;
use control_plane::scaling::replay::{self, Scenario};
use flight_proto::pool::DEFAULT_POOL;
use reqwest::Method;

use crate::Failure;
use crate::admin::Printer;
use crate::admin::client::Client;
use crate::control::Caller;
use crate::shard::pool;
use settings::Settings;

/// Say how many nodes a pool has, and see what becomes of it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tundra scale policy set --minimum 2 --maximum 8 --processor 60 --window 'mon-fri 08:00-18:00=4'\n  \
                        tundra scale policy set --minimum 0 --idle-after 15m\n  \
                        tundra scale policy set --pool acme --minimum 1 --maximum 4\n  \
                        tundra scale policy show --json\n  tundra scale status\n  tundra scale history --limit 20\n  \
                        tundra scale replay --seeds 5 --output replay.json"
)]
pub(crate) struct Options {
    #[command(flatten)]
    caller: Caller,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What pools are to have
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Show what was decided last, why, and how nodes are
    Status {
        /// Of this pool alone
        #[arg(long, value_name = "POOL", value_parser = pool)]
        pool: Option<String>,
    },
    /// List what was decided and done, the latest first
    History {
        /// The most entries to list, up to 1000
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: i64,
    },
    /// Replay a day's demand in simulation: what a policy costs and how often it is late, against thresholds and fixed pools.
    /// Needs no control plane
    Replay(Replay),
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Set a pool's policy; what is not given stays, or is as by default
    Set {
        #[command(flatten)]
        pool: Pool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show a pool's policy
    Show {
        #[command(flatten)]
        pool: Pool,
    },
    /// List the policies of all pools
    List,
    /// Take a pool's policy back: it stays as it is
    Delete {
        #[command(flatten)]
        pool: Pool,
    },
}

#[derive(Args)]
struct Pool {
    /// The pool [default: `default`]
    #[arg(value_name = "POOL", value_parser = pool)]
    place: Option<String>,
    /// The pool, as well
    #[arg(long = "pool", value_name = "POOL", conflicts_with = "place", value_parser = pool)]
    flag: Option<String>,
}

impl Pool {
    fn name(&self) -> &str {
        self.place.as_deref().or(self.flag.as_deref()).unwrap_or(DEFAULT_POOL)
    }
}

#[derive(Args)]
struct Replay {
    /// The first seed; the same seed gives the same demand and figures
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Days from a Monday on, of which the last is reported
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=28))]
    days: u32,
    /// Write all figures there, as JSON
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let Options { caller, command } = options;
    match command {
        Command::Replay(replay) => run_replay(replay, &caller.printer()),
        command => caller.run(|client, printer| ask(client, printer, command)),
    }
}

async fn ask(client: Client, printer: Printer, command: Command) -> Result<(), Failure> {
    match command {
        Command::Policy { command } => ask_of_policies(&client, &printer, command).await,
        Command::Status { pool } => {
            let mut pools: Vec<PoolStatus> = client.get(&["scaling", "status"], &[]).await?;
            if let Some(pool) = pool {
                pools.retain(|one| one.pool == pool);
                if pools.is_empty() {
                    return Err(format!(
                        "pool '{pool}' has no policy; `tundra scale policy set` gives it one"
                    )
                    .into());
                }
            }
            printer.print(&pools, |pools| text::status(pools))
        }
        Command::History { limit } => {
            let limit = [("limit", limit.to_string())];
            let entries: Vec<AuditEntry> = client.get(&["scaling", "history"], &limit).await?;
            printer.print(&entries, |entries| text::history(entries))
        }
        Command::Replay(replay) => run_replay(replay, &printer),
    }
}

async fn ask_of_policies(client: &Client, printer: &Printer, command: PolicyCommand) -> Result<(), Failure> {
    let policy: PoolPolicy = match command {
        PolicyCommand::List => {
            let policies: Vec<PoolPolicy> = client.get(&["scaling", "policies"], &[]).await?;
            return printer.print(&policies, |policies| text::policies(policies));
        }
        PolicyCommand::Show { pool } => client.get(&["scaling", "policies", pool.name()], &[]).await?,
        PolicyCommand::Set { pool, settings } => {
            let policies: Vec<PoolPolicy> = client.get(&["scaling", "policies"], &[]).await?;
            let before = policies.into_iter().find(|one| one.pool == pool.name());
            let version = before.as_ref().map_or(0, |before| before.version);
            let policy = settings.over(before.map_or_else(ScalePolicy::default, |before| before.policy));
            let path = ["scaling", "policies", pool.name()];
            client.send(Method::PUT, &path, &[("version", version.to_string())], &policy).await?
        }
        PolicyCommand::Delete { pool } => {
            let deleted: PoolPolicy = client.delete(&["scaling", "policies", pool.name()], &[]).await?;
            return printer.print(&deleted, |one| {
                format!("pool {} has no policy any more, and stays as it is\n", one.pool)
            });
        }
    };
    printer.print(&policy, text::policy)
}

fn run_replay(options: Replay, printer: &Printer) -> Result<(), Failure> {
    let scenario = Scenario { days: options.days, ..Scenario::default() };
    let policy = options.settings.over(replay::default_policy());
    let last =
        options.seed.checked_add(options.seeds - 1).ok_or("the seeds go beyond what a number holds")?;
    let seeds: Vec<u64> = (options.seed..=last).collect();
    let report = replay::replay(&scenario, &policy, &seeds)?;
    if let Some(path) = &options.output {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    printer.print(&report, text::replay)
}

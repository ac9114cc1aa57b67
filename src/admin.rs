//! `tundra admin`: what a coordinator's Admin API tells and does, from the command line.

pub(crate) mod client;
mod text;

use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};
use flight_proto::admin::{
    CoordinatorAddress, Dataset, Hydration, LeaderChange, Nodes, Placement, PolicyKey, QuarantinedStatement,
    Query, Shard, Snapshot, Version,
};
use serde::Serialize;

use crate::Failure;
use client::{Client, Server};
pub(crate) use text::time;

/// Look at a running server or cluster, and change it; any coordinator answers.
#[derive(Args)]
#[command(after_help = "Examples:\n  tundra admin nodes\n  tundra admin placement main.lineitem\n  \
                        tundra admin drain 5f0c2a9be1d34c77 --wait\n  \
                        tundra admin add-coordinator 4 10.0.0.9:7000 --url http://10.0.0.1:8080\n  \
                        tundra admin queries --json | jq -r '.queries[].query'")]
pub(crate) struct Options {
    /// The address of a coordinator's --http
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "TUNDRA_ADMIN_URL"
    )]
    url: String,
    /// Who asks, where users are configured
    #[arg(
        long,
        global = true,
        value_name = "NAME:PASSWORD",
        env = "TUNDRA_ADMIN_USER",
        hide_env_values = true
    )]
    user: Option<String>,
    /// Print answers as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List coordinators and shards
    Nodes,
    /// Show the coordinator that leads
    Leader,
    /// Have another coordinator lead
    HandOver { coordinator: u64 },
    /// Add a coordinator that was started with --peers that leave it out
    AddCoordinator {
        coordinator: u64,
        /// Where other nodes reach it: its --listen
        #[arg(value_name = "HOST:PORT")]
        address: String,
    },
    /// Leave a coordinator out; then stop it
    RemoveCoordinator { coordinator: u64 },
    /// Move a shard's buckets to the others while queries go on; then stop it
    Drain {
        shard: String,
        /// Return once it holds nothing any more
        #[arg(long)]
        wait: bool,
    },
    /// Have a shard take buckets again
    Undrain { shard: String },
    /// Forget a shard that was stopped
    RemoveShard {
        shard: String,
        /// Also if no other shard holds some of its buckets: they are read from the object store, and queries wait
        #[arg(long)]
        force: bool,
    },
    /// Raise the cluster's version, after every node was started with a new release
    Upgrade,
    /// List the datasets that queries see
    Datasets,
    /// List the versions of a dataset
    Versions {
        /// Its number, schema.table or tenant/schema.table
        dataset: String,
        /// The most versions to list
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Show which shards hold which buckets
    Placement {
        /// Of this dataset alone: its number, schema.table or tenant/schema.table
        dataset: Option<String>,
    },
    /// List what is being brought onto the shards, and what was brought last of each dataset
    Hydrations,
    /// List the queries that run or wait
    Queries,
    /// Show a query with its plan
    Query { query: String },
    /// End a query
    Cancel { query: String },
    /// List the statements that are refused since shards were lost while they ran
    Quarantine,
    /// Have such a statement run again
    Release { statement: String },
    /// Show the policy documents that the cluster has taken from a control plane
    Policy,
    /// Take policy documents that are signed with another key from now on, as of a control plane that lost its own
    PolicyKey {
        /// The Ed25519 public key, in hexadecimal
        key: String,
    },
    /// Copy the catalog to the object store now
    Snapshot,
}

/// Between two looks at a shard that drains.
const LOOK: Duration = Duration::from_millis(500);

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(Server::Coordinator, &options.url, options.user.as_deref())?;
    let printer = Printer { json: options.json };
    runtime.block_on(ask(&client, &printer, options.command))
}

async fn ask(client: &Client, printer: &Printer, command: Command) -> Result<(), Failure> {
    match command {
        Command::Nodes => printer.print(&client.get(&["nodes"], &[]).await?, text::nodes),
        Command::Leader => printer.print(&client.get(&["leader"], &[]).await?, text::leader),
        Command::HandOver { coordinator } => {
            let leader = client.put(&["leader"], Some(&LeaderChange { coordinator })).await?;
            printer.print(&leader, text::leader)
        }
        Command::AddCoordinator { coordinator, address } => {
            let path = ["coordinators", &coordinator.to_string()];
            printer.print(&client.put(&path, Some(&CoordinatorAddress { address })).await?, text::nodes)
        }
        Command::RemoveCoordinator { coordinator } => {
            let path = ["coordinators", &coordinator.to_string()];
            printer.print(&client.delete(&path, &[]).await?, text::nodes)
        }
        Command::Drain { shard, wait } => {
            let mut state: Shard = client.put(&["shards", &shard, "drain"], None::<&()>).await?;
            while wait && (state.status == "draining" || state.buckets > 0) {
                tokio::time::sleep(LOOK).await;
                let nodes: Nodes = client.get(&["nodes"], &[]).await?;
                let found = nodes.shards.into_iter().find(|node| node.id == state.id);
                state = found.ok_or_else(|| format!("shard {shard} was removed meanwhile"))?;
            }
            printer.print(&state, |state| text::shards(std::slice::from_ref(state)))
        }
        Command::Undrain { shard } => {
            let state: Shard = client.delete(&["shards", &shard, "drain"], &[]).await?;
            printer.print(&state, |state| text::shards(std::slice::from_ref(state)))
        }
        Command::RemoveShard { shard, force } => {
            let force = [("force", force.to_string())];
            printer.print(&client.delete(&["shards", &shard], &force).await?, text::nodes)
        }
        Command::Upgrade => printer.print(&client.post(&["upgrade"]).await?, text::upgrade),
        Command::Datasets => {
            let datasets: Vec<Dataset> = client.get(&["datasets"], &[]).await?;
            printer.print(&datasets, |datasets| text::datasets(datasets))
        }
        Command::Versions { dataset, limit } => {
            let limit = [("limit", limit.to_string())];
            let versions: Vec<Version> = client.get(&["datasets", &dataset, "versions"], &limit).await?;
            printer.print(&versions, |versions| text::versions(versions))
        }
        Command::Placement { dataset } => {
            let of: Vec<_> = dataset.map(|dataset| ("dataset", dataset)).into_iter().collect();
            let placement: Vec<Placement> = client.get(&["placement"], &of).await?;
            printer.print(&placement, |placement| text::placement(placement))
        }
        Command::Hydrations => {
            let hydrations: Vec<Hydration> = client.get(&["hydrations"], &[]).await?;
            printer.print(&hydrations, |hydrations| text::hydrations(hydrations))
        }
        Command::Queries => printer.print(&client.get(&["queries"], &[]).await?, text::queries),
        Command::Query { query } => printer.print(&client.get(&["queries", &query], &[]).await?, text::query),
        Command::Cancel { query } => {
            let ended: Query = client.delete(&["queries", &query], &[]).await?;
            printer.print(&ended, |query| format!("query {} is ended\n", query.query))
        }
        Command::Quarantine => printer.print(&client.get(&["quarantine"], &[]).await?, text::quarantine),
        Command::Release { statement } => {
            let released: QuarantinedStatement = client.delete(&["quarantine", &statement], &[]).await?;
            printer.print(&released, |one| format!("statement {} is not refused any more\n", one.statement))
        }
        Command::Policy => printer.print(&client.get(&["policy"], &[]).await?, text::policy),
        Command::PolicyKey { key } => {
            let policy = client.put(&["policy", "key"], Some(&PolicyKey { key })).await?;
            printer.print(&policy, text::policy)
        }
        Command::Snapshot => {
            let copy: Snapshot = client.post(&["snapshot"]).await?;
            printer.print(&copy, |copy| format!("revision {} is at {}\n", copy.revision, copy.url))
        }
    }
}

/// Prints answers as they are wanted.
pub(crate) struct Printer {
    pub(crate) json: bool,
}

impl Printer {
    pub(crate) fn print<T: Serialize>(
        &self,
        answer: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = match self.json {
            true => serde_json::to_string_pretty(answer)? + "\n",
            false => text(answer),
        };
        self.write(text.as_bytes())
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        match std::io::stdout().lock().write_all(bytes) {
            // Nobody reads any more, as in `tundra admin … | head`.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }
}

//! `tundra coordinator`: one coordinator of a cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ::coordinator::{Cluster, Config, Environment, NodeNetwork};
use clap::Args;

use crate::Failure;
use crate::foreign::ForeignOptions;
use crate::limits::LimitOptions;
use crate::machine;
use crate::node::NodeOptions;
use crate::process::{self, Stop};
use crate::secrets::SecretOptions;
use crate::size::Size;
use crate::telemetry::TelemetryOptions;
use crate::trail::TrailOptions;
use crate::up::{announce, check_store};
use crate::users::UserOptions;

/// Start one coordinator of a cluster: it keeps the catalog with the others, plans queries and serves clients.
#[derive(Args)]
#[command(after_help = "Example:\n  tundra coordinator --id 1 --data c1 --listen 10.0.0.1:7000 \\\n    \
                  --peers 1=10.0.0.1:7000,2=10.0.0.2:7000,3=10.0.0.3:7000 \\\n    \
                  --object-store s3://bucket/tundra --certificates certificates/node-1 --flight 10.0.0.1:31337")]
pub(crate) struct Options {
    /// This coordinator's number among --peers
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    id: u64,
    /// Folder for the catalog's log
    #[arg(long, value_name = "DIR", env = "TUNDRA_DATA")]
    data: PathBuf,
    /// All coordinators, this one included, with the addresses where other nodes reach them
    #[arg(long, value_name = "N=HOST:PORT", value_delimiter = ',', required = true, value_parser = peer)]
    peers: Vec<(u64, String)>,
    /// Where datasets live: s3://bucket/prefix, or file:///folder where all nodes see it
    #[arg(long, value_name = "URL", env = "TUNDRA_OBJECT_STORE")]
    object_store: String,
    /// A further URL prefix that tables may be read from
    #[arg(long, value_name = "URL")]
    allow_location: Vec<String>,
    #[command(flatten)]
    users: UserOptions,
    #[command(flatten)]
    secrets: SecretOptions,
    #[command(flatten)]
    trail: TrailOptions,
    #[command(flatten)]
    foreign: ForeignOptions,
    #[command(flatten)]
    node: NodeOptions,
    #[command(flatten)]
    placement: PlacementOptions,
    #[command(flatten)]
    quarantine: QuarantineOptions,
    #[command(flatten)]
    limits: LimitOptions,
    /// Memory for results on their way to clients
    #[arg(long, value_name = "SIZE", default_value = "10%")]
    memory: Size,
    /// Queries that run at once; others wait [default: 4 a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
    /// Address of Flight SQL; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:31337")]
    flight: String,
    /// Address of the Admin API, /healthz, /readyz and /metrics; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    http: String,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// How datasets lie on the shards; the same on all coordinators.
#[derive(Args)]
pub(crate) struct PlacementOptions {
    /// Shards that hold each part of a dataset
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    replicas: u8,
    /// Datasets of at most so many rows lie on every shard
    #[arg(long, value_name = "ROWS", default_value_t = 200_000)]
    replicated_rows: u64,
    /// Parts that a dataset is cut into at least, as far as each has --bucket-rows
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    buckets: u16,
    /// Rows below which a dataset is not cut further
    #[arg(long, value_name = "ROWS", default_value_t = 131_072)]
    bucket_rows: u64,
    /// Seconds of silence after which a shard's parts are brought onto others
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(2..))]
    down_after: u64,
}

/// What becomes of statements that shards are lost by; of coordinators, and of those that `tundra cluster` starts.
#[derive(Args)]
pub(crate) struct QuarantineOptions {
    /// Seconds for which a statement is refused that lost a shard in each of two attempts; 0: none is
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    quarantine: u32,
}

impl QuarantineOptions {
    /// The same as arguments of another process.
    pub(crate) fn arguments(&self) -> [String; 2] {
        ["--quarantine".into(), self.quarantine.to_string()]
    }
}

/// Slices that rows are dealt by where a key places them.
const SLICES: usize = 64;
/// How long a shard may be silent before queries go to others.
const SILENCE: Duration = Duration::from_millis(1_000);

impl PlacementOptions {
    fn options(&self) -> ::coordinator::NodeOptions {
        ::coordinator::NodeOptions {
            replicas: self.replicas.into(),
            silence: SILENCE,
            down_after: Duration::from_secs(self.down_after),
            hydration: ::shard::hydrate::Options {
                replicated_rows: self.replicated_rows,
                buckets: self.buckets.into(),
                bucket_rows: self.bucket_rows,
                slices: SLICES,
                ..::shard::hydrate::Options::default()
            },
        }
    }

    /// The same as arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let value = |name: &str, value: u64| [name.to_string(), value.to_string()];
        [
            value("--replicas", self.replicas.into()),
            value("--replicated-rows", self.replicated_rows),
            value("--buckets", self.buckets.into()),
            value("--bucket-rows", self.bucket_rows),
            value("--down-after", self.down_after),
        ]
        .concat()
    }
}

fn peer(text: &str) -> Result<(u64, String), String> {
    let wrong = || format!("expected N=HOST:PORT, such as 1=10.0.0.1:7000, got '{text}'");
    let (id, address) = text.split_once('=').ok_or_else(wrong)?;
    let id = id.parse().ok().filter(|&id| id > 0).ok_or_else(wrong)?;
    address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).ok_or_else(wrong)?;
    Ok((id, address.into()))
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let telemetry = options.telemetry.clone();
    process::run("tundra-coordinator", &telemetry, |stop| serve(options, stop))
}

async fn serve(options: Options, mut stop: Stop) -> Result<(), Failure> {
    check_store(&options.object_store)?;
    let secret_keys = options.secrets.keys()?;
    let count = options.peers.len();
    let members: BTreeMap<u64, String> = options.peers.iter().cloned().collect();
    if members.len() < count {
        return Err("--peers names a number twice".into());
    }
    let (listener, peers) = options.node.network(&mut stop).await?;
    let environment = Environment::listen(&options.flight, Some(&options.http)).await?;
    let environment = Environment { network: Some(NodeNetwork { listener, peers }), ..environment };
    let defaults = Config::new(options.data);
    let config = Config {
        object_store: Some(options.object_store),
        allow_locations: options.allow_location,
        foreign: options.foreign.access(),
        users: options.users.users(),
        audit_export: options.trail.interval(),
        secret_keys,
        memory_bytes: options.memory.bytes(machine::memory_bytes()),
        concurrency: options.concurrency.map_or(defaults.concurrency, usize::from),
        quarantine: Duration::from_secs(options.quarantine.quarantine.into()),
        query_timeout: options.limits.query_timeout(),
        cluster: Some(Cluster {
            id: options.id,
            members,
            nodes: options.placement.options(),
            reconcile: Cluster::RECONCILE,
        }),
        ..defaults
    };
    let handle = tokio::select! {
        handle = ::coordinator::start(config, environment) => handle?,
        () = stop.requested() => return Ok(()),
    };
    announce(&handle, None, None);
    stop.requested().await;
    handle.shutdown().await?;
    Ok(())
}

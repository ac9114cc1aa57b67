//! `tundra shard`: one shard of a cluster.

use std::fs;
use std::path::{Path, PathBuf};

use ::coordinator::FolderLock;
use ::shard::service::{NodeConfig, serve as serve_node};
use ::shard::{Config, Environment, Shard, Stores};
use clap::Args;
use exec::memory::MemoryPool;
use exec::runtime::Workers;
use flight_proto::pool::{DEFAULT_POOL, check_pool_name};

use crate::Failure;
use crate::durable;
use crate::machine;
use crate::node::NodeOptions;
use crate::process::{self, Stop};
use crate::size::Size;
use crate::telemetry::TelemetryOptions;
use crate::telemetry::metrics::Page;

/// Start one shard of a cluster: it holds parts of the datasets in memory and runs queries on them.
#[derive(Args)]
#[command(after_help = "Example:\n  tundra shard --data s1 --listen 10.0.0.4:7000 --memory 200GB \\\n    \
                  --coordinators 10.0.0.1:7000,10.0.0.2:7000,10.0.0.3:7000 --certificates certificates/node-4\n  \
                  tundra shard --data s2 --listen 10.0.0.5:7000 --pool acme \\\n    \
                  --coordinators 10.0.0.1:7000 --certificates certificates/node-5")]
pub(crate) struct Options {
    /// Folder of its segments, and of its identity; no other process may use it
    #[arg(long, value_name = "DIR", env = "TUNDRA_DATA")]
    data: PathBuf,
    /// Where the coordinators are reached by nodes
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', required = true)]
    coordinators: Vec<String>,
    #[command(flatten)]
    node: NodeOptions,
    /// Memory for resident data and queries: bytes, 2GB, 512MiB or a share of the machine's
    #[arg(long, value_name = "SIZE", default_value = "80%")]
    memory: Size,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Address by which other nodes reach it, if it is not that of --listen
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<String>,
    /// Address of /healthz, /readyz and /metrics; port 0 takes a free one [default: they are not served]
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    /// The pool that it is of: it has the data of the tenants that name that pool, and runs their queries alone
    #[arg(long, value_name = "NAME", default_value = DEFAULT_POOL, value_parser = pool, env = "TUNDRA_POOL")]
    pool: String,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// The name of a pool.
pub(crate) fn pool(text: &str) -> Result<String, String> {
    check_pool_name(text).map(|()| text.into()).map_err(|error| error.to_string())
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let telemetry = options.telemetry.clone();
    process::run("tundra-shard", &telemetry, |stop| serve(options, stop))
}

async fn serve(options: Options, mut stop: Stop) -> Result<(), Failure> {
    let page = match &options.http {
        Some(address) => Some(Page::listen(address).await?),
        None => None,
    };
    let (listener, peers) = options.node.network(&mut stop).await?;
    let _folder = FolderLock::take(&options.data)?;
    let id = identity(&options.data)?;
    let memory_bytes = options.memory.bytes(machine::memory_bytes());
    let threads = options.threads.map_or_else(machine::cores, usize::from);
    let environment = Environment::new(Workers::new(threads)?, MemoryPool::new(memory_bytes), Stores::new());
    let shard = Shard::start(Config { data: options.data.join("segments"), id }, environment)?;
    let hydration = ::shard::hydrate::Options {
        threads,
        memory_bytes: (memory_bytes / 8).clamp(64 << 20, 4 << 30),
        ..::shard::hydrate::Options::default()
    };
    let config = NodeConfig {
        coordinators: options.coordinators,
        advertise: options.advertise,
        // What it can hold, in units of 256 MiB.
        weight: u32::try_from(memory_bytes >> 28).unwrap_or(u32::MAX).max(1),
        pool: options.pool,
        incarnation: random()?,
        hydration,
    };
    let mut handle = serve_node(shard, listener, peers, config);
    announce(id, handle.address(), page.as_ref());
    let page = page.map(|page| {
        handle.gather_metrics();
        page.serve(handle.is_heard())
    });
    let ended = tokio::select! {
        () = stop.requested() => Ok(()),
        why = handle.outdated() => Err(why.into()),
    };
    if let Some(page) = page {
        page.abort();
    }
    ended
}

/// The shard's number: drawn at its first start, and kept in its folder.
fn identity(data: &Path) -> Result<u64, Failure> {
    let wrong = |error: std::io::Error| format!("{}: {error}", data.display());
    fs::create_dir_all(data).map_err(wrong)?;
    let path = data.join("shard-id");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let id = u64::from_str_radix(text.trim(), 16).ok().filter(|&id| id > 0);
            id.ok_or_else(|| format!("{} holds no identity of a shard", path.display()).into())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = random()?;
            durable::write(&path, &format!("{id:016x}\n")).map_err(wrong)?;
            Ok(id)
        }
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}

/// A number above 0 that was not drawn before.
fn random() -> Result<u64, Failure> {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers")?;
    // The sign bit stays clear, for those who print it signed.
    Ok((u64::from_le_bytes(bytes) >> 1).max(1))
}

/// The line that says where nodes find the shard, and those who watch it.
#[allow(clippy::print_stdout)]
fn announce(id: u64, address: &str, page: Option<&Page>) {
    let http = page.map_or(String::new(), |page| format!(" http=http://{}", page.address()));
    println!("tundra ready shard={id:016x} node={address}{http}");
}

//! `tundra up`: every role in one process.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use coordinator::{Config, Environment, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;
use crate::machine;
use crate::sample::Sample;
use crate::size::Size;
use crate::store;

/// Start the engine in this process and serve it.
#[derive(Args)]
#[command(after_help = "Example:\n  tundra up --sample tpch:1 --memory 16GB --flight 127.0.0.1:0")]
pub(crate) struct Options {
    /// Folder for the catalog, the segments and, without --object-store, the object store
    #[arg(long, value_name = "DIR", default_value = "tundra-data", env = "TUNDRA_DATA")]
    data: PathBuf,
    /// Where datasets live: file:///folder, s3://bucket/prefix or memory:/// [default: DIR/objects]
    #[arg(long, value_name = "URL", env = "TUNDRA_OBJECT_STORE")]
    object_store: Option<String>,
    /// Generate and register a sample dataset once, such as tpch:1
    #[arg(long, value_name = "NAME:SCALE")]
    sample: Option<Sample>,
    /// Shards in this process
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: u16,
    /// Worker threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory for resident data and queries: bytes, 2GB, 512MiB or a share of the machine's
    #[arg(long, value_name = "SIZE", default_value = "80%")]
    memory: Size,
    /// Address of Flight SQL; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:31337")]
    flight: String,
    /// Address of /healthz, /readyz and /metrics; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    http: String,
    /// A further URL prefix that tables may be read from
    #[arg(long, value_name = "URL")]
    allow_location: Vec<String>,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let log = tracing_subscriber::EnvFilter::try_from_env("TUNDRA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(log).with_writer(std::io::stderr).with_ansi(colours).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(options));
    // Work that ignores its cancellation does not keep the process from ending.
    runtime.shutdown_timeout(Duration::from_secs(5));
    served
}

async fn serve(options: Options) -> Result<(), Failure> {
    // The handlers come first: a signal during the start is kept until the loop below.
    let mut stop = Stop::listen()?;
    let environment = Environment::listen(&options.flight, Some(&options.http)).await?;
    let sample = options.sample;
    let config = options.config();
    let threads = config.threads;
    let root = store::root(&config.data, config.object_store.as_deref())?;
    let starting = async {
        let handle = coordinator::start(config, environment).await?;
        if let Some(sample) = sample {
            sample.ensure(root.store.clone(), threads).await?;
            register(&sample, &root, &handle).await?;
        }
        Ok::<Handle, Failure>(handle)
    };
    let handle = tokio::select! {
        handle = starting => handle?,
        () = stop.requested() => return Ok(()),
    };
    announce(&handle);
    stop.requested().await;
    handle.shutdown().await?;
    Ok(())
}

impl Options {
    fn config(self) -> Config {
        Config {
            object_store: self.object_store,
            allow_locations: self.allow_location,
            shards: usize::from(self.shards),
            threads: self.threads.map_or_else(machine::cores, usize::from),
            memory_bytes: self.memory.bytes(machine::memory_bytes()),
            ..Config::new(self.data)
        }
    }
}

/// Makes the tables of a sample known, unless tables of these names exist.
async fn register(sample: &Sample, root: &store::Root, handle: &Handle) -> Result<(), Failure> {
    let session = handle.session("tundra");
    for table in sample.tables() {
        let location = root.url_of(&table.folder).replace('\'', "''");
        let sql = format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS {} STORED AS PARQUET LOCATION '{location}/'",
            table.name
        );
        let registered = session.execute(&sql).await;
        registered.map_err(|error| format!("cannot register {} of {sample}: {error}", table.name))?;
    }
    Ok(())
}

/// The line that says where clients find the server.
#[allow(clippy::print_stdout)]
fn announce(handle: &Handle) {
    let mut line = String::from("tundra ready");
    if let Some(address) = handle.flight_address() {
        line += &format!(" flight=grpc://{address}");
    }
    if let Some(address) = handle.http_address() {
        line += &format!(" http=http://{address}");
    }
    println!("{line}");
}

/// SIGINT and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Stop> {
        Ok(Stop { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for either.
    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

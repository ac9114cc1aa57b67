//! `tundra up`: every role in one process.

use std::path::PathBuf;
use std::sync::Arc;

use ::coordinator::{Config, Environment, Handle};
use ::shard::Stores;
use clap::Args;
use control_plane::scaling::NoTargets;
use object_store::prefix::PrefixStore;

use crate::Failure;
use crate::control::EmbeddedOptions;
use crate::foreign::ForeignOptions;
use crate::limits::LimitOptions;
use crate::machine;
use crate::process::{self, Stop};
use crate::s3::LocalS3;
use crate::sample::Sample;
use crate::secrets::SecretOptions;
use crate::size::Size;
use crate::telemetry::TelemetryOptions;
use crate::trail::TrailOptions;
use crate::users::UserOptions;

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
    /// Keep the objects in DIR/s3 behind an S3 server of this process, as in a cloud; every s3:// URL leads there. Its
    /// keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where both are set
    #[arg(long, conflicts_with = "object_store")]
    s3: bool,
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
    /// Address of the Admin API, /healthz, /readyz and /metrics; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    http: String,
    /// A further URL prefix that tables may be read from
    #[arg(long, value_name = "URL")]
    allow_location: Vec<String>,
    #[command(flatten)]
    users: UserOptions,
    #[command(flatten)]
    trail: TrailOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    foreign: ForeignOptions,
    #[command(flatten)]
    secrets: SecretOptions,
    #[command(flatten)]
    control: EmbeddedOptions,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let telemetry = options.telemetry.clone();
    process::run("tundra", &telemetry, |stop| serve(options, stop))
}

async fn serve(options: Options, mut stop: Stop) -> Result<(), Failure> {
    let mut environment = Environment::listen(&options.flight, Some(&options.http)).await?;
    let control = options.control.listen().await?;
    let (sample, folder, user) = (options.sample, options.data.clone(), options.users.first());
    let s3 = LocalS3::start_if(options.s3, &options.data, options.object_store.as_deref()).await?;
    let secret_keys = options.secrets.keys()?;
    let mut config = Config { secret_keys: secret_keys.clone(), ..options.config() };
    if let Some(s3) = &s3 {
        environment.stores = Stores::with_settings(s3.settings());
        config.object_store = Some(s3.object_store());
    }
    let threads = config.threads;
    config.object_store.as_deref().map_or(Ok(()), check_store)?;
    let starting = async {
        let handle = ::coordinator::start(config, environment).await?;
        if let Some(sample) = sample {
            bring_in(&sample, &handle, threads).await?;
        }
        let control = match (control, handle.http_address()) {
            (Some(control), Some(http)) => Some(
                control
                    .start(&folder, &[format!("http://{http}")], user, Arc::new(NoTargets), secret_keys)
                    .await?,
            ),
            _ => None,
        };
        Ok::<_, Failure>((handle, control))
    };
    let (handle, control) = tokio::select! {
        started = starting => started?,
        () = stop.requested() => return Ok(()),
    };
    announce(&handle, s3.as_ref(), control.as_ref());
    stop.requested().await;
    if let Some(control) = control {
        control.shutdown().await?;
    }
    handle.shutdown().await?;
    Ok(())
}

impl Options {
    fn config(self) -> Config {
        Config {
            object_store: self.object_store,
            foreign: self.foreign.access(),
            users: self.users.users(),
            audit_export: self.trail.interval(),
            allow_locations: self.allow_location,
            query_timeout: self.limits.query_timeout(),
            shards: usize::from(self.shards),
            threads: self.threads.map_or_else(machine::cores, usize::from),
            memory_bytes: self.memory.bytes(machine::memory_bytes()),
            ..Config::new(self.data)
        }
    }
}

/// Writes a sample where it is missing, and makes its tables known.
async fn bring_in(sample: &Sample, handle: &Handle, threads: usize) -> Result<(), Failure> {
    let objects = handle.objects();
    let tables: Vec<_> = handle.tables().into_iter().filter(|table| table.schema == "main").collect();
    let mut missing = Vec::new();
    for wanted in sample.tables() {
        let place = objects.join(wanted.folder.as_ref());
        match tables.iter().find(|table| table.name.eq_ignore_ascii_case(wanted.name)) {
            Some(table) if !sample.lies_at(&table.location, wanted.name) => {
                return Err(Failure::from(sample.refused(&table.name, &table.location)));
            }
            Some(table) => missing.extend(table.absent.then_some((wanted, place, true))),
            None => missing.push((wanted, place, false)),
        }
    }
    let store = PrefixStore::new(objects.store.clone(), objects.path.clone());
    sample.ensure(Arc::new(store), threads).await?;
    let session = handle.session("tundra");
    for (table, place, lost) in missing {
        let name = table.name;
        // Its data went with the process that wrote it (`memory:`), or was deleted; now it is there again.
        if lost {
            session.execute(&format!("DROP TABLE {name}")).await?;
        }
        let registered = session.execute(&table.create(&place.url())).await;
        registered.map_err(|error| format!("cannot register {name} of {sample}: {error}"))?;
    }
    Ok(())
}

/// Refuses what is no URL of an object store.
pub(crate) fn check_store(url: &str) -> Result<(), Failure> {
    if url.contains(':') {
        return Ok(());
    }
    Err(format!("expected the URL of an object store such as s3://bucket/prefix, got '{url}'").into())
}

/// The line that says where clients find the server.
#[allow(clippy::print_stdout)]
pub(crate) fn announce(handle: &Handle, s3: Option<&LocalS3>, control: Option<&control_plane::Handle>) {
    let mut line = String::from("tundra ready");
    if let Some(address) = handle.flight_address() {
        line += &format!(" flight=grpc://{address}");
    }
    if let Some(address) = handle.http_address() {
        line += &format!(" http=http://{address}");
    }
    if let Some(s3) = s3 {
        line += &format!(" s3={}", s3.url());
    }
    if let Some(control) = control {
        line += &format!(" control=http://{}", control.http_address());
    }
    println!("{line}");
}

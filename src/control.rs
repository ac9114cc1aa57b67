//! `tundra control`: the control plane, beside a cluster.

mod caller;
mod embedded;
mod scale;

pub(crate) use caller::Caller;
pub(crate) use embedded::EmbeddedOptions;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use control_plane::{Cluster, Config, Environment, HttpCluster, Login};

use crate::Failure;
use crate::process::{self, Stop};
use crate::secrets::SecretOptions;
use crate::telemetry::{TelemetryOptions, metrics};
use embedded::OperatorOptions;
use scale::ScaleOptions;

/// Start the control plane: it decides who may use a cluster and how much, and publishes that to the coordinators.
///
/// Coordinators act on what was published last, also while it is away. Several may run on one PostgreSQL database: all answer,
/// one publishes.
#[derive(Args)]
#[command(after_help = "Examples:\n  tundra control --coordinators http://127.0.0.1:8080\n  \
                  tundra control --coordinators http://127.0.0.1:8080 --scale-local nodes \\\n    \
                  --scale-shard --coordinators=127.0.0.1:7000 --scale-shard --certificates=certificates/node-9\n  \
                  tundra control --database postgresql://tundra@db/tundra --listen 10.0.0.5:8090 \\\n    \
                  --coordinators http://10.0.0.1:8080,http://10.0.0.2:8080 --operator ann:secret")]
pub(crate) struct Options {
    /// Folder for the database, unless --database names one
    #[arg(long, value_name = "DIR", default_value = "tundra-control", env = "TUNDRA_CONTROL_DATA")]
    data: PathBuf,
    /// A PostgreSQL database: postgresql://user:password@host/name [default: SQLite in DIR]
    #[arg(
        long,
        value_name = "URL",
        env = "TUNDRA_CONTROL_DATABASE",
        hide_env_values = true,
        hide_default_value = true
    )]
    database: Option<String>,
    /// Address of the API; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8090", env = "TUNDRA_CONTROL_LISTEN")]
    listen: String,
    /// The --http addresses of coordinators, which are tried in turn
    #[arg(long, value_name = "URL", value_delimiter = ',', env = "TUNDRA_CONTROL_COORDINATORS")]
    coordinators: Vec<String>,
    /// Who publishes, where the coordinators have users
    #[arg(long, value_name = "NAME:PASSWORD", hide_env_values = true, hide_default_value = true)]
    coordinator_user: Option<String>,
    #[command(flatten)]
    operators: OperatorOptions,
    #[command(flatten)]
    secrets: SecretOptions,
    #[command(flatten)]
    scale: ScaleOptions,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let telemetry = options.telemetry.clone();
    process::run("tundra-control", &telemetry, |stop| serve(options, stop))
}

async fn serve(options: Options, mut stop: Stop) -> Result<(), Failure> {
    let operators = options.operators.logins()?;
    let user = options.coordinator_user.as_deref().map(|text| text.parse::<Login>()).transpose();
    let user = user.map_err(|why| format!("--coordinator-user: {why}"))?;
    let http = match options.coordinators.is_empty() {
        true => None,
        false => Some(Arc::new(HttpCluster::new(&options.coordinators, user)?)),
    };
    let scaling = options.scale.scaling(http.clone())?;
    let cluster = http.map(|http| http as Arc<dyn Cluster>);
    let metrics: Option<control_plane::Metrics> = Some(Arc::new(metrics::gather()));
    let environment =
        Environment { scaling, metrics, ..Environment::listen(&options.listen, cluster).await? };
    let secret_keys = options.secrets.keys()?;
    let config = Config { database: options.database, operators, secret_keys, ..Config::new(options.data) };
    let handle = tokio::select! {
        handle = control_plane::start(config, environment) => handle?,
        () = stop.requested() => return Ok(()),
    };
    announce(handle.http_address());
    stop.requested().await;
    Ok(handle.shutdown().await?)
}

/// The line that says where operators find it.
#[allow(clippy::print_stdout)]
fn announce(address: SocketAddr) {
    println!("tundra control ready http=http://{address}");
}

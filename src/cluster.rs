//! `tundra cluster`: a whole cluster on one machine, each node a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ::shard::Stores;
use clap::Args;
use control_plane::scaling::{LocalOptions, LocalPools, NoTargets, ScaleTargets};
use flight_proto::pool::DEFAULT_POOL;
use network::{Authority, free_address};
use object_store::prefix::PrefixStore;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::Failure;
use crate::control::EmbeddedOptions;
use crate::coordinator::{PlacementOptions, QuarantineOptions};
use crate::durable;
use crate::foreign::ForeignOptions;
use crate::limits::LimitOptions;
use crate::machine;
use crate::node::TransportOptions;
use crate::process::{self, Stop};
use crate::s3::LocalS3;
use crate::sample::Sample;
use crate::secrets::SecretOptions;
use crate::shard::pool;
use crate::size::Size;
use crate::sql::client::{Client, Login};
use crate::telemetry::TelemetryOptions;
use crate::trail::TrailOptions;
use crate::up::check_store;
use crate::users::UserOptions;

/// Start a cluster on this machine: coordinators and shards as processes, started again when they end.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tundra cluster --coordinators 3 --shards 4 --sample tpch:1 --control\n  \
                  tundra cluster --pools default=2,acme=1 --control\n  \
                  tundra cluster --sample tpch:0.1 --otlp-endpoint http://127.0.0.1:4317 --trace-sample 1 --log-format json"
)]
pub(crate) struct Options {
    /// Folder for the nodes' folders, their certificates and, without --object-store, the object store
    #[arg(long, value_name = "DIR", default_value = "tundra-cluster", env = "TUNDRA_DATA")]
    data: PathBuf,
    /// Coordinators; an odd number
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    coordinators: u16,
    /// Shards
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: u16,
    /// Shards of each pool, such as default=2,acme=1, in place of --shards
    #[arg(long, value_name = "POOL=N", value_delimiter = ',', conflicts_with = "shards", value_parser = pool_of_shards)]
    pools: Vec<(String, u16)>,
    /// Where datasets live: s3://bucket/prefix or file:///folder [default: DIR/objects]
    #[arg(long, value_name = "URL", env = "TUNDRA_OBJECT_STORE")]
    object_store: Option<String>,
    /// Keep the objects in DIR/s3 behind an S3 server of this process, as in a cloud; every s3:// URL leads there. Its
    /// keys are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where both are set
    #[arg(long, conflicts_with = "object_store")]
    s3: bool,
    /// Generate and register a sample dataset once, such as tpch:1
    #[arg(long, value_name = "NAME:SCALE")]
    sample: Option<Sample>,
    /// Worker threads of each shard [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Memory of all shards together: bytes, 2GB, 512MiB or a share of the machine's
    #[arg(long, value_name = "SIZE", default_value = "80%")]
    memory: Size,
    /// A further URL prefix that tables may be read from
    #[arg(long, value_name = "URL")]
    allow_location: Vec<String>,
    #[command(flatten)]
    placement: PlacementOptions,
    #[command(flatten)]
    quarantine: QuarantineOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    users: UserOptions,
    #[command(flatten)]
    trail: TrailOptions,
    #[command(flatten)]
    foreign: ForeignOptions,
    #[command(flatten)]
    transport: TransportOptions,
    #[command(flatten)]
    secrets: SecretOptions,
    #[command(flatten)]
    control: EmbeddedOptions,
    #[command(flatten)]
    telemetry: TelemetryOptions,
}

/// A pool, and how many shards it has.
fn pool_of_shards(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("expected a pool and its shards such as acme=2, got '{text}'");
    let (name, count) = text.split_once('=').ok_or_else(wrong)?;
    let count = count.parse().ok().filter(|count| (1..=SHARDS_MOST).contains(count)).ok_or_else(wrong)?;
    Ok((pool(name)?, count))
}

impl Options {
    /// The pool of each shard.
    fn pools(&self) -> Result<Vec<String>, Failure> {
        if self.pools.is_empty() {
            return Ok(vec![DEFAULT_POOL.into(); usize::from(self.shards)]);
        }
        let mut pools: Vec<String> = Vec::new();
        for (name, count) in &self.pools {
            if pools.contains(name) {
                return Err(format!("--pools names '{name}' twice").into());
            }
            pools.extend(vec![name.clone(); usize::from(*count)]);
        }
        match pools.len() {
            count if count > usize::from(SHARDS_MOST) => {
                Err(format!("--pools asks for {count} shards; there may be {SHARDS_MOST}").into())
            }
            _ => Ok(pools),
        }
    }
}

const SHARDS_MOST: u16 = 64;
/// Before a node that has ended is started again.
const RESTART: Duration = Duration::from_millis(500);
/// How long nodes may take to end.
const END: Duration = Duration::from_secs(15);

/// Runs until SIGINT or SIGTERM.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let telemetry = options.telemetry.clone();
    process::run("tundra-cluster", &telemetry, |stop| serve(options, stop))
}

/// A node as it is started.
#[derive(Clone)]
struct Node {
    name: String,
    arguments: Vec<String>,
    /// How it reaches S3, added to its environment.
    settings: Vec<(String, String)>,
    /// What others on this machine are not to see among its arguments, added to its environment.
    secrets: Vec<(String, String)>,
}

/// Where the objects are, and how S3 is reached.
struct Objects {
    url: String,
    settings: Vec<(String, String)>,
}

async fn serve(options: Options, mut stop: Stop) -> Result<(), Failure> {
    let control = options.control.listen().await?;
    let secret_keys = options.secrets.keys()?;
    let s3 = LocalS3::start_if(options.s3, &options.data, options.object_store.as_deref()).await?;
    let objects = objects(&options, s3.as_ref())?;
    let Cluster { nodes, further } = plan(&options, &objects)?;
    // Shards beside those of the command, for as long as it runs.
    let further = control.is_some().then(|| LocalPools::new(further)).transpose()?.map(Arc::new);
    let (ready, mut lines) = mpsc::unbounded_channel();
    let (end, ended) = tokio::sync::watch::channel(false);
    let keepers: Vec<_> =
        nodes.iter().map(|node| tokio::spawn(keep(node.clone(), ready.clone(), ended.clone()))).collect();
    let starting = async {
        let mut announced: Vec<Option<String>> = vec![None; nodes.len()];
        while announced.iter().any(Option::is_none) {
            let (name, line) = lines.recv().await.ok_or("the nodes ended")?;
            if let Some(place) = nodes.iter().position(|node| node.name == name) {
                announced[place] = Some(line);
            }
        }
        // Coordinators alone have clients.
        let words = |key: &str, of_clients: bool| -> Vec<String> {
            let lines = announced.iter().flatten();
            let lines = lines.filter(|line| line.contains("flight=") == of_clients);
            let found =
                lines.filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix(key)));
            found.map(str::to_string).collect()
        };
        let (flight, http, shards) = (words("flight=", true), words("http=", true), words("http=", false));
        if let Some(sample) = options.sample {
            bring_in(&sample, &objects, flight.first().map_or("", String::as_str), &options.users).await?;
        }
        let control = match control {
            Some(control) => {
                let targets = further.clone().map(|further| further as Arc<dyn ScaleTargets>);
                let targets = targets.unwrap_or_else(|| Arc::new(NoTargets));
                Some(control.start(&options.data, &http, options.users.first(), targets, secret_keys).await?)
            }
            None => None,
        };
        announce(&flight, &http, &shards, s3.as_ref(), control.as_ref());
        Ok::<_, Failure>(control)
    };
    let started = tokio::select! {
        started = starting => started.map(Some),
        () = stop.requested() => Ok(None),
    };
    let done = match started {
        Ok(Some(control)) => {
            stop.requested().await;
            match control {
                Some(control) => control.shutdown().await.map_err(Failure::from),
                None => Ok(()),
            }
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    let stopped = match further {
        Some(further) => further.stop().await.map_err(Failure::from),
        None => Ok(()),
    };
    end.send_replace(true);
    for keeper in keepers {
        let _ = keeper.await;
    }
    done.and(stopped)
}

/// What a cluster is made of.
struct Cluster {
    nodes: Vec<Node>,
    /// How the control plane starts further shards.
    further: LocalOptions,
}

/// The nodes, with certificates and free ports.
fn plan(options: &Options, objects: &Objects) -> Result<Cluster, Failure> {
    check_store(&objects.url)?;
    let certificates = options.data.join("certificates");
    let authority = match Authority::load(&certificates)? {
        Some(authority) => authority,
        None => {
            let authority = Authority::create()?;
            authority.store(&certificates)?;
            authority
        }
    };
    let coordinators = coordinators(options)?;
    let peers: Vec<String> = coordinators.iter().map(|(id, address)| format!("{id}={address}")).collect();
    let addresses: Vec<&str> = coordinators.iter().map(|(_, address)| address.as_str()).collect();
    let folder = |name: &str| options.data.join(name).display().to_string();
    let mut nodes = Vec::new();
    let users: Vec<_> = options.users.settings().into_iter().collect();
    let mut add =
        |name: String, mut arguments: Vec<String>, secrets: &[(String, String)]| -> Result<(), Failure> {
            let own = certificates.join(&name);
            authority.issue(&name)?.store(&own)?;
            arguments.extend([
                "--data".into(),
                folder(&name),
                "--certificates".into(),
                own.display().to_string(),
                "--with-parent".into(),
            ]);
            arguments.extend(options.transport.arguments());
            arguments.extend(options.telemetry.arguments());
            let (settings, secrets) = (objects.settings.clone(), secrets.to_vec());
            nodes.push(Node { name, arguments, settings, secrets });
            Ok(())
        };
    let texts = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    for (id, address) in &coordinators {
        let mut arguments = texts(&[
            "coordinator",
            "--id",
            &id.to_string(),
            "--listen",
            address,
            "--peers",
            &peers.join(","),
        ]);
        arguments.extend(texts(&["--object-store", &objects.url]));
        // Clients find a coordinator that was started again where it was.
        arguments.extend(texts(&["--flight", &free_address()?, "--http", &free_address()?]));
        arguments.extend(options.placement.arguments());
        arguments.extend(options.quarantine.arguments());
        arguments.extend(options.limits.arguments());
        arguments.extend(options.foreign.arguments());
        arguments.extend(options.trail.arguments());
        arguments.extend(options.secrets.arguments()?);
        for url in &options.allow_location {
            arguments.extend(texts(&["--allow-location", url]));
        }
        add(format!("coordinator-{id}"), arguments, &users)?;
    }
    let pools = options.pools()?;
    let memory = options.memory.bytes(machine::memory_bytes()) / pools.len().max(1) as u64;
    let mut shard = texts(&["--coordinators", &addresses.join(","), "--memory", &memory.to_string()]);
    if let Some(threads) = options.threads {
        shard.extend(texts(&["--threads", &threads.to_string()]));
    }
    // A folder is of a pool, so that other numbers of shards do not give one to another pool.
    let mut numbers: BTreeMap<&str, u16> = BTreeMap::new();
    for pool in &pools {
        let id = numbers.entry(pool).or_default();
        *id += 1;
        let name = match pool.as_str() {
            DEFAULT_POOL => format!("shard-{id}"),
            pool => format!("shard-{pool}-{id}"),
        };
        // Prometheus finds a shard that was started again where it was.
        let arguments =
            [texts(&["shard", "--pool", pool, "--http", &free_address()?]), shard.clone()].concat();
        add(name, arguments, &[])?;
    }
    // One certificate is enough for them: it tells that they are of this cluster.
    let own = std::path::absolute(certificates.join("shard-further"))?;
    authority.issue("shard-further")?.store(&own)?;
    shard.extend(texts(&["--certificates", &own.display().to_string()]));
    shard.extend(options.transport.arguments());
    shard.extend(options.telemetry.arguments());
    let further = LocalOptions {
        folder: options.data.join("nodes"),
        program: std::env::current_exe()?,
        arguments: shard,
        settings: objects.settings.clone(),
    };
    Ok(Cluster { nodes, further })
}

/// Numbers and addresses of the coordinators, which know each other by these: drawn once, and kept in the folder.
fn coordinators(options: &Options) -> Result<Vec<(u16, String)>, Failure> {
    let path = options.data.join("coordinators");
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Ok(text) = fs::read_to_string(&path) {
        let known: Vec<String> = text.lines().map(str::to_string).collect();
        if known.len() != usize::from(options.coordinators) {
            let count = known.len();
            return Err(format!(
                "{} has {count} coordinators; start it with as many",
                options.data.display()
            )
            .into());
        }
        return Ok((1..=options.coordinators).zip(known).collect());
    }
    let drawn = (0..options.coordinators).map(|_| free_address()).collect::<std::io::Result<Vec<_>>>()?;
    durable::write(&path, &drawn.join("\n")).map_err(wrong)?;
    Ok((1..=options.coordinators).zip(drawn).collect())
}

fn objects(options: &Options, s3: Option<&LocalS3>) -> Result<Objects, Failure> {
    if let Some(s3) = s3 {
        return Ok(Objects { url: s3.object_store(), settings: s3.settings() });
    }
    let url = match &options.object_store {
        Some(url) => url.clone(),
        None => {
            let folder = std::path::absolute(options.data.join("objects"))?;
            fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            format!("file://{}", folder.display())
        }
    };
    Ok(Objects { url, settings: Vec::new() })
}

/// Runs a node, and runs it again whenever it ends, until all are to end.
async fn keep(
    node: Node,
    ready: mpsc::UnboundedSender<(String, String)>,
    mut ended: tokio::sync::watch::Receiver<bool>,
) {
    loop {
        match start(&node) {
            Ok(mut child) => {
                // The node ends when this end is gone, however this process ends.
                let with_parent = child.stdin.take();
                if let Some(output) = child.stdout.take() {
                    let (name, ready) = (node.name.clone(), ready.clone());
                    tokio::spawn(async move {
                        let mut lines = BufReader::new(output).lines();
                        while let Ok(Some(line)) = lines.next_line().await {
                            // Nobody waits any more once all are up.
                            let _ = ready.send((name.clone(), line));
                        }
                    });
                }
                tokio::select! {
                    status = child.wait() => match status {
                        Ok(status) => tracing::warn!("{} ended with {status}; it is started again", node.name),
                        Err(error) => tracing::warn!("{}: {error}", node.name),
                    },
                    () = end(&mut ended) => {
                        drop(with_parent);
                        return finish(child).await;
                    }
                }
            }
            Err(error) => tracing::error!("{} cannot be started: {error}", node.name),
        }
        tokio::select! {
            () = tokio::time::sleep(RESTART) => {}
            () = end(&mut ended) => return,
        }
    }
}

/// Ready once all are to end.
async fn end(ended: &mut tokio::sync::watch::Receiver<bool>) {
    // Who sends it is gone only at the end.
    let _ = ended.wait_for(|ended| *ended).await;
}

fn start(node: &Node) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    // Its settings are those of this process, all in its arguments; and of S3 it has those of `--s3` alone.
    let of_other = |name: &str| {
        name.starts_with("TUNDRA_") && name != "TUNDRA_LOG"
            || name.starts_with("AWS_") && !node.settings.is_empty()
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_other) {
            command.env_remove(name);
        }
    }
    command.envs(node.settings.iter().chain(&node.secrets).map(|(name, value)| (name, value)));
    command.args(&node.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn()
}

/// Waits for a node that was asked to end, and makes it.
async fn finish(mut child: Child) {
    if tokio::time::timeout(END, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Writes a sample where it is missing, and makes its tables known.
async fn bring_in(sample: &Sample, objects: &Objects, url: &str, users: &UserOptions) -> Result<(), Failure> {
    let root = Stores::with_settings(objects.settings.clone()).open(&objects.url)?;
    let store = PrefixStore::new(root.store.clone(), root.path.clone());
    sample.ensure(Arc::new(store), machine::cores()).await?;
    let login =
        users.first().map_or(Login::Nobody, |one| Login::Password { user: one.name, password: one.password });
    let mut client = Client::connect(url, &login).await?;
    for table in sample.tables() {
        let location = root.join(table.folder.as_ref()).url();
        let made = client.execute(&table.create(&location)).await.map(drop);
        made.map_err(|error| format!("cannot register {} of {sample}: {error}", table.name))?;
    }
    Ok(())
}

/// The line that says where clients find the cluster.
#[allow(clippy::print_stdout)]
fn announce(
    flight: &[String],
    http: &[String],
    shards: &[String],
    s3: Option<&LocalS3>,
    control: Option<&control_plane::Handle>,
) {
    let s3 = s3.map_or(String::new(), |s3| format!(" s3={}", s3.url()));
    let control = control.map_or(String::new(), |one| format!(" control=http://{}", one.http_address()));
    let (flight, http, shards) = (flight.join(","), http.join(","), shards.join(","));
    println!("tundra ready flight={flight} http={http} shards={shards}{s3}{control}");
}

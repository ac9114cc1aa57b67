//! What nodes of a cluster are started with, whatever they do: certificates, and the network made of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use network::{Credentials, Listener, Network, Peers, Quic, QuicOptions, Spoken, Tcp, TcpOptions, Versions};

use crate::Failure;
use crate::process::Stop;

/// How often a silent connection is tried, and how long one may be silent: a node that was killed and is back answers
/// on new connections only.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(2);
/// How long a node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

/// What nodes talk over.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Transport {
    /// QUIC over UDP
    Quic,
    /// TLS over TCP
    Tcp,
}

/// Of every node, and of those that `tundra cluster` starts.
#[derive(Args)]
pub(crate) struct TransportOptions {
    /// What nodes talk over; the same on all nodes
    #[arg(long, value_name = "TRANSPORT", default_value = "quic")]
    transport: Transport,
}

impl TransportOptions {
    /// These options, for a node.
    pub(crate) fn arguments(&self) -> [String; 2] {
        let name = match self.transport {
            Transport::Quic => "quic",
            Transport::Tcp => "tcp",
        };
        ["--transport".into(), name.into()]
    }
}

#[derive(Args)]
pub(crate) struct NodeOptions {
    /// Address for the other nodes; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// Folder of this node's certificates, as `tundra cert` makes them
    #[arg(long, value_name = "DIR", env = "TUNDRA_CERTIFICATES")]
    certificates: PathBuf,
    #[command(flatten)]
    transport: TransportOptions,
    /// Speak no later version than this one, as a node of the release that had it
    #[arg(long, hide = true, value_name = "VERSION", value_parser = speaks)]
    speaks: Option<u16>,
    /// Ends with the process that started it and holds its stdin
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl NodeOptions {
    /// Listens, and knows how to reach others.
    pub(crate) async fn network(&self, stop: &mut Stop) -> Result<(Box<dyn Listener>, Arc<Peers>), Failure> {
        if self.with_parent {
            stop.with_parent();
        }
        let credentials = Credentials::load(&self.certificates)?;
        let network: Arc<dyn Network> = match self.transport.transport {
            Transport::Quic => {
                let options =
                    QuicOptions { keep_alive: KEEP_ALIVE, idle_timeout: IDLE, ..QuicOptions::default() };
                Arc::new(Quic::new(&credentials, &options)?)
            }
            Transport::Tcp => {
                let options = TcpOptions { keep_alive: KEEP_ALIVE, idle_timeout: IDLE };
                Arc::new(Tcp::new(&credentials, &options)?)
            }
        };
        let listener = network.listen(&self.listen).await?;
        let most = self.speaks.unwrap_or(Versions::OWN.most);
        let spoken = Spoken::new(Versions { most, ..Versions::OWN });
        Ok((listener, Arc::new(Peers::speaking(network, CONNECT, spoken))))
    }
}

fn speaks(text: &str) -> Result<u16, String> {
    let version = text.parse().ok().filter(|&version| Versions::OWN.contains(version));
    version.ok_or_else(|| format!("this release speaks {}, got '{text}'", Versions::OWN))
}

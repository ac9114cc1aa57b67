//! `tundra cert`: the certificates by which the nodes of a cluster know each other.

use std::path::PathBuf;

use clap::Args;
use network::{AUTHORITY_DAYS, Authority, NODE_DAYS};

use crate::Failure;

/// Make the certificates that the nodes of a cluster show each other.
///
/// The first run makes the cluster's authority: DIR/authority.pem and DIR/authority.key. Each NAME gets a folder
/// below DIR with what that node needs: authority.pem, node.pem and node.key. Copy it to the node's machine; keep
/// authority.key away from the nodes, since whoever has it can add one. A name that has a folder already gets a new
/// certificate and key.
#[derive(Args)]
#[command(
    after_help = "Example:\n  tundra cert --data certificates --name node-1 --name node-2 --name node-3"
)]
pub(crate) struct Options {
    /// Folder of the authority and of the nodes' folders
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// A node that gets a certificate
    #[arg(long = "name", value_name = "NODE")]
    names: Vec<String>,
}

/// Makes what is missing, and says what it made.
#[allow(clippy::print_stdout)]
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let Options { data, names } = options;
    let stored = Authority::load(&data)?;
    let new = stored.is_none();
    let authority = stored.map_or_else(Authority::create, Ok)?;
    // All names are known to be good before anything is written.
    let nodes: Vec<_> = names.iter().map(|name| authority.issue(name)).collect::<Result<_, _>>()?;
    if new {
        authority.store(&data)?;
        println!("authority in {}, valid for {AUTHORITY_DAYS} days", data.display());
    } else if names.is_empty() {
        println!("authority in {} is there already", data.display());
    }
    for (name, credentials) in names.iter().zip(nodes) {
        let folder = data.join(name);
        credentials.store(&folder)?;
        println!("node {name} in {}, valid for {NODE_DAYS} days", folder.display());
    }
    Ok(())
}

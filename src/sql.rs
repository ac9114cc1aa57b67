//! `tundra sql`: runs statements against a server, from the command line, from files or interactively.

use clap::Args;

use crate::Failure;

/// Run SQL against a server; without -c or -f, an interactive shell.
#[derive(Args)]
pub(crate) struct Options {
    #[arg(long)]
    url: Option<String>,
}

pub(crate) fn run(options: Options) -> Result<(), Failure> {
    let _ = options.url;
    Err("not yet".into())
}

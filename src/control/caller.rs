//! Which control plane commands talk to, in whose name, and how they print what it answers.

use clap::Args;

use crate::Failure;
use crate::admin::Printer;
use crate::admin::client::{Client, Server};

#[derive(Args)]
pub(crate) struct Caller {
    /// The address of a control plane's --listen
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8090",
        env = "TUNDRA_CONTROL_URL"
    )]
    control_url: String,
    /// Who asks, where operators are configured
    #[arg(
        long,
        global = true,
        value_name = "NAME:PASSWORD",
        env = "TUNDRA_CONTROL_OPERATOR",
        hide_env_values = true
    )]
    operator: Option<String>,
    /// Print answers as JSON
    #[arg(long, global = true)]
    json: bool,
}

impl Caller {
    /// How answers are printed.
    pub(crate) fn printer(&self) -> Printer {
        Printer { json: self.json }
    }

    /// Has a command talk to it.
    pub(crate) fn run<F: Future<Output = Result<(), Failure>>>(
        self,
        ask: impl FnOnce(Client, Printer) -> F,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = Client::new(Server::Control, &self.control_url, self.operator.as_deref())?;
        runtime.block_on(ask(client, Printer { json: self.json }))
    }
}

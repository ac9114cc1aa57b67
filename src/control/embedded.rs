//! The control plane within a command that serves: `--control`.

use std::path::Path;
use std::sync::Arc;

use ::coordinator::User;
use clap::Args;
use control_plane::scaling::ScaleTargets;
use control_plane::{Cluster, Config, Environment, Handle, HttpCluster, Login, Scaling};
use flight_proto::sealed::SecretKeys;

use super::scale::LOOK;
use crate::Failure;
use crate::telemetry::metrics;

#[derive(Args)]
pub(crate) struct EmbeddedOptions {
    /// Run the control plane as well, at this address [without one: 127.0.0.1:8090]; its database is in DIR/control
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:8090")]
    control: Option<String>,
    #[command(flatten)]
    operators: OperatorOptions,
}

#[derive(Args)]
pub(super) struct OperatorOptions {
    /// Who may call the control plane [default: everybody who reaches the address, which is then to be this machine's alone]
    #[arg(
        long,
        value_name = "NAME:PASSWORD",
        env = "TUNDRA_CONTROL_OPERATOR",
        hide_env_values = true,
        hide_default_value = true
    )]
    operator: Vec<String>,
}

impl OperatorOptions {
    pub(super) fn logins(&self) -> Result<Vec<Login>, Failure> {
        let login = |text: &String| text.parse().map_err(|why| format!("--operator: {why}").into());
        self.operator.iter().map(login).collect()
    }
}

/// A control plane that is about to start: its port is taken.
pub(crate) struct Embedded {
    environment: Environment,
    operators: Vec<Login>,
}

impl EmbeddedOptions {
    /// Takes the port, where a control plane is wanted.
    pub(crate) async fn listen(&self) -> Result<Option<Embedded>, Failure> {
        let Some(address) = &self.control else { return Ok(None) };
        let operators = self.operators.logins()?;
        let environment = Environment::listen(address, None).await?;
        Ok(Some(Embedded { environment, operators }))
    }
}

impl Embedded {
    /// Starts it for the coordinators at these addresses of their `--http`, where it publishes as this user.
    pub(crate) async fn start(
        self,
        folder: &Path,
        coordinators: &[String],
        user: Option<User>,
        targets: Arc<dyn ScaleTargets>,
        secret_keys: SecretKeys,
    ) -> Result<Handle, Failure> {
        let user = user.map(|user| Login { name: user.name, password: user.password });
        let http = Arc::new(HttpCluster::new(coordinators, user)?);
        let environment = Environment {
            cluster: Some(http.clone() as Arc<dyn Cluster>),
            metrics: Some(Arc::new(metrics::gather())),
            scaling: Some(Scaling { view: http, targets, look: LOOK }),
            ..self.environment
        };
        let config = Config { operators: self.operators, secret_keys, ..Config::new(folder.join("control")) };
        Ok(control_plane::start(config, environment).await?)
    }
}

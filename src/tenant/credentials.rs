//! `tundra tenant credentials`: by which access key a tenant's objects are read and written.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use control_plane::json::{Credentials, NewCredentials};
use reqwest::Method;

use crate::Failure;
use crate::admin::client::Client;
use crate::admin::{Printer, time};
use crate::table::aligned;

/// Arguments are seen by everybody on a machine.
const SECRET: &str = "TUNDRA_TENANT_SECRET_ACCESS_KEY";
const TOKEN: &str = "TUNDRA_TENANT_SESSION_TOKEN";
/// No secret is longer.
const SECRET_BYTES_MOST: u64 = 64 << 10;

#[derive(Subcommand)]
pub(super) enum CredentialsCommand {
    /// Give a tenant an access key of its own for the object store; stores other than s3:// do not use it
    ///
    /// The secret comes from --secret-file, or from TUNDRA_TENANT_SECRET_ACCESS_KEY. Control plane and coordinators
    /// need --secret-key, which it is encrypted with.
    #[command(
        after_help = "Examples:\n  tundra tenant credentials set acme --access-key-id AKIAIOSFODNN7EXAMPLE --secret-file acme.secret\n  \
                            vault read -field=secret aws/acme | tundra tenant credentials set acme --access-key-id AKIA… --secret-file -"
    )]
    Set(New),
    /// Show which access key a tenant has, never its secret
    Show { name: String },
    /// Have a tenant's objects read and written by the nodes' own credentials
    Remove { name: String },
}

#[derive(Args)]
pub(super) struct New {
    name: String,
    #[arg(long, value_name = "ID")]
    access_key_id: String,
    /// A file with the secret access key; -: standard input [default: TUNDRA_TENANT_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// A file with the session token, of a key that is lent for a while [default: TUNDRA_TENANT_SESSION_TOKEN, or none]
    #[arg(long, value_name = "FILE")]
    session_token_file: Option<PathBuf>,
    /// The region of the tenant's buckets [default: that which is set, or else that of the nodes]
    #[arg(long, value_name = "REGION", default_value = "", hide_default_value = true)]
    region: String,
    /// The URL of the store [default: that which is set, or else that of the nodes]; plain HTTP only where the nodes have AWS_ALLOW_HTTP
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    endpoint: String,
    /// Take another endpoint than is set: it has to reach the same objects
    #[arg(long)]
    force: bool,
}

/// Asks, and prints the answer.
pub(super) async fn ask(
    client: &Client,
    printer: &Printer,
    command: CredentialsCommand,
) -> Result<(), Failure> {
    match command {
        CredentialsCommand::Set(new) => {
            let name = new.name.clone();
            let wanted = new.read()?;
            let set: Credentials =
                client.send(Method::PUT, &["tenants", &name, "credentials"], &[], &wanted).await?;
            printer.print(&set, text)
        }
        CredentialsCommand::Show { name } => {
            let known: Credentials = client.get(&["tenants", &name, "credentials"], &[]).await?;
            printer.print(&known, text)
        }
        CredentialsCommand::Remove { name } => {
            let removed: Credentials = client.delete(&["tenants", &name, "credentials"], &[]).await?;
            printer.print(&removed, |removed| {
                format!("tenant {} has no credentials of its own any more\n", removed.tenant)
            })
        }
    }
}

impl New {
    fn read(self) -> Result<NewCredentials, Failure> {
        let secret = secret(self.secret_file.as_deref(), SECRET)?;
        let secret = secret.ok_or_else(|| {
            format!("the secret access key is missing: name a file with --secret-file (-: standard input), or set {SECRET}")
        })?;
        Ok(NewCredentials {
            access_key_id: self.access_key_id,
            secret_access_key: secret,
            session_token: secret_of_token(self.session_token_file.as_deref())?,
            region: self.region,
            endpoint: self.endpoint,
            force: self.force,
        })
    }
}

fn secret_of_token(file: Option<&Path>) -> Result<String, Failure> {
    Ok(secret(file, TOKEN)?.unwrap_or_default())
}

/// What a file has, or else a variable.
fn secret(file: Option<&Path>, variable: &str) -> Result<Option<String>, Failure> {
    let Some(path) = file else { return Ok(std::env::var(variable).ok().filter(|text| !text.is_empty())) };
    let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut text = String::new();
    match path.as_os_str() == "-" {
        true => std::io::stdin().take(SECRET_BYTES_MOST).read_to_string(&mut text).map_err(wrong)?,
        false => {
            let file = std::fs::File::open(path).map_err(wrong)?;
            file.take(SECRET_BYTES_MOST).read_to_string(&mut text).map_err(wrong)?
        }
    };
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_string()))
}

fn text(credentials: &Credentials) -> String {
    let or_nodes = |text: &str| if text.is_empty() { "the nodes' own".into() } else { text.to_string() };
    let rows = [
        ("tenant", credentials.tenant.clone()),
        ("access key id", credentials.access_key_id.clone()),
        ("session token", if credentials.has_session_token { "yes".into() } else { "none".into() }),
        ("region", or_nodes(&credentials.region)),
        ("endpoint", or_nodes(&credentials.endpoint)),
        ("encrypted with", credentials.secret_key.clone()),
        ("version", credentials.version.to_string()),
        ("set", time(credentials.decided_at_us)),
    ];
    aligned(["CREDENTIALS", "VALUE"], rows.into_iter().map(|(name, value)| [name.to_string(), value]))
}

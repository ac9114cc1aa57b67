//! `tundra tenant`: tenants, their API keys and access tokens, from the command line.

mod credentials;
mod settings;
mod text;

use clap::{Args, Subcommand};
use control_plane::json::{ApiKey, CreatedKey, NewKey, NewToken, Tenant, TenantSettings, Token};
use reqwest::Method;

use crate::Failure;
use crate::admin::Printer;
use crate::admin::client::Client;
use crate::control::Caller;
use credentials::CredentialsCommand;
pub(crate) use settings::micros;
use settings::{Settings, lifetime};

/// Look at tenants and change them; the control plane publishes it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tundra tenant create acme --tier gold --concurrency 8 --resident 200GB\n  \
                        tundra tenant set acme --scanned-per-day 5TB\n  tundra tenant set acme --pool acme\n  \
                        tundra tenant key create acme --user etl --role writer --lifetime 90d\n  \
                        tundra tenant token acme --user ann --lifetime 8h\n  \
                        tundra tenant credentials set acme --access-key-id AKIA… --secret-file acme.secret\n  \
                        tundra tenant list --json | jq -r '.[].name'"
)]
pub(crate) struct Options {
    #[command(flatten)]
    caller: Caller,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List tenants
    List,
    /// Show a tenant
    Show { name: String },
    /// Create a tenant
    Create {
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change what a tenant may use; what is not given stays
    Set {
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Let nobody of a tenant in any more; its data stay
    Suspend { name: String },
    /// Let the users of a tenant in again
    Resume { name: String },
    /// Delete a tenant with its keys; its data in the object store stay, and its name is free after a day
    Delete { name: String },
    /// API keys, which programs show instead of a password
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Credentials of its own for the object store
    Credentials {
        #[command(subcommand)]
        command: CredentialsCommand,
    },
    /// Make an access token for a user
    Token {
        name: String,
        #[command(flatten)]
        stands_for: StandsFor,
        /// How long it is good for, such as 30m or 8h; at most a day
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
        lifetime: u64,
    },
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a key; it is shown this once
    Create {
        name: String,
        #[command(flatten)]
        stands_for: StandsFor,
        /// How long it is good for, such as 90d [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        lifetime: Option<u64>,
    },
    /// List the keys of a tenant, without their secrets
    List { name: String },
    /// Have a key be good for nothing
    Revoke {
        name: String,
        /// As `key list` shows it
        id: String,
    },
}

#[derive(Args)]
struct StandsFor {
    /// Whom it stands for
    #[arg(long, value_name = "NAME")]
    user: String,
    /// A role beside the user's own
    #[arg(long, value_name = "NAME")]
    role: Vec<String>,
}

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    options.caller.run(|client, printer| ask(client, printer, options.command))
}

async fn ask(client: Client, printer: Printer, command: Command) -> Result<(), Failure> {
    let tenant = match command {
        Command::List => {
            let tenants: Vec<Tenant> = client.get(&["tenants"], &[]).await?;
            return printer.print(&tenants, |tenants| text::tenants(tenants));
        }
        Command::Key { command } => return ask_of_keys(&client, &printer, command).await,
        Command::Credentials { command } => return credentials::ask(&client, &printer, command).await,
        Command::Token { name, stands_for: StandsFor { user, role }, lifetime } => {
            let wanted = NewToken { tenant: name, user, roles: role, lifetime_s: Some(lifetime) };
            let token: Token = client.send(Method::POST, &["tokens"], &[], &wanted).await?;
            return printer.print(&token, |token| format!("{}\n", token.token));
        }
        Command::Show { name } => client.get(&["tenants", &name], &[]).await?,
        Command::Create { name, settings } => {
            put(&client, &name, settings.over(TenantSettings::default()), 0).await?
        }
        Command::Set { name, settings } => {
            let Tenant { settings: before, version, .. } = client.get(&["tenants", &name], &[]).await?;
            put(&client, &name, settings.over(before), version).await?
        }
        Command::Suspend { name } => client.post(&["tenants", &name, "suspend"]).await?,
        Command::Resume { name } => client.post(&["tenants", &name, "resume"]).await?,
        Command::Delete { name } => {
            let deleted: Tenant = client.delete(&["tenants", &name], &[]).await?;
            return printer.print(&deleted, |tenant| format!("tenant {} is deleted\n", tenant.name));
        }
    };
    printer.print(&tenant, text::tenant)
}

/// Puts settings where a tenant has this version still.
async fn put(client: &Client, name: &str, settings: TenantSettings, version: u64) -> Result<Tenant, Failure> {
    client.send(Method::PUT, &["tenants", name], &[("version", version.to_string())], &settings).await
}

async fn ask_of_keys(client: &Client, printer: &Printer, command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Create { name, stands_for: StandsFor { user, role }, lifetime } => {
            let wanted = NewKey { user, roles: role, lifetime_s: lifetime };
            let key: CreatedKey =
                client.send(Method::POST, &["tenants", &name, "keys"], &[], &wanted).await?;
            printer.print(&key, |key| format!("{}\n", key.key))
        }
        KeyCommand::List { name } => {
            let keys: Vec<ApiKey> = client.get(&["tenants", &name, "keys"], &[]).await?;
            printer.print(&keys, |keys| text::keys(keys))
        }
        KeyCommand::Revoke { name, id } => {
            let revoked: ApiKey = client.delete(&["tenants", &name, "keys", &id], &[]).await?;
            printer.print(&revoked, |key| format!("key {} of {} is revoked\n", key.id, key.user))
        }
    }
}

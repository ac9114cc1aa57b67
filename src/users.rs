//! Settings of those that serve clients: who may log in with a password.

use ::coordinator::User;
use clap::Args;

#[derive(Args)]
pub(crate) struct UserOptions {
    /// Who may log in with a password, to the tenant `default` and as operators of the Admin API [default: everybody, without]
    #[arg(
        long,
        value_name = "NAME:PASSWORD",
        value_delimiter = ',',
        value_parser = named,
        hide_env_values = true,
        hide_default_value = true
    )]
    users: Vec<Named>,
}

/// A user as the setting names it.
#[derive(Clone)]
struct Named {
    name: String,
    password: String,
}

impl UserOptions {
    pub(crate) fn users(&self) -> Vec<User> {
        let user = |one: &Named| User { name: one.name.clone(), password: one.password.clone() };
        self.users.iter().map(user).collect()
    }

    /// One of them, for what a command asks of its own nodes.
    pub(crate) fn first(&self) -> Option<User> {
        self.users().into_iter().next()
    }

    /// The same for the environment of another process: arguments are seen by everybody on the machine.
    pub(crate) fn settings(&self) -> Option<(String, String)> {
        let words: Vec<String> =
            self.users.iter().map(|one| format!("{}:{}", one.name, one.password)).collect();
        (!words.is_empty()).then(|| ("TUNDRA_USERS".into(), words.join(",")))
    }
}

fn named(text: &str) -> Result<Named, String> {
    let parts = text.split_once(':').filter(|(name, password)| !name.is_empty() && !password.is_empty());
    let (name, password) = parts.ok_or("expected NAME:PASSWORD, of which neither has a comma")?;
    if name.contains('/') {
        return Err(format!("a name such as '{name}' would mean a user of a tenant: leave out the '/'"));
    }
    Ok(Named { name: name.into(), password: password.into() })
}

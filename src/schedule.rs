//! `tundra schedule`: when tables of tenants are refreshed, from the command line.

mod text;

use clap::{Args, Subcommand, ValueEnum};
use control_plane::json::{Schedule, ScheduleMode, ScheduleSettings};
use flight_proto::admin::PastRefresh;
use reqwest::Method;

use crate::Failure;
use crate::admin::Printer;
use crate::admin::client::Client;
use crate::control::Caller;

/// Say when tables are refreshed, and see what came of it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  tundra schedule set acme sales --cron '0 3 * * mon-fri' --name nightly --mode full --zone Europe/Berlin --retries 3\n  \
                        tundra schedule set acme web.clicks --cron @hourly\n  tundra schedule show acme sales --name nightly\n  \
                        tundra schedule run acme sales --name nightly\n  tundra schedule history acme --limit 20"
)]
pub(crate) struct Options {
    #[command(flatten)]
    caller: Caller,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set a schedule of a table; what is not given stays, or is as by default
    Set {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        settings: Settings,
    },
    /// List the schedules of a tenant
    List { tenant: String },
    /// Show a schedule with its next five moments
    Show(Which),
    /// Remove a schedule
    Remove(Which),
    /// Have a schedule not come until it is resumed
    Pause(Which),
    /// Have a schedule come again
    Resume(Which),
    /// Have a schedule run now, whether it is paused or not
    Run(Which),
    /// List what has been refreshed of a tenant's tables, the latest first
    History {
        tenant: String,
        /// The most runs to list, up to 1000
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
}

#[derive(Args)]
struct Which {
    tenant: String,
    /// TABLE of the schema main, or SCHEMA.TABLE
    table: String,
    /// Which of the table's schedules
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: String,
}

impl Which {
    /// The schedule's place in the API.
    fn path(&self) -> [&str; 5] {
        let (schema, table) = self.table.split_once('.').unwrap_or(("main", &self.table));
        ["schedules", &self.tenant, schema, table, &self.name]
    }
}

#[derive(Args)]
struct Settings {
    /// Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly
    #[arg(long, value_name = "FIELDS")]
    cron: Option<String>,
    /// A zone of the IANA database such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// What is read: files that have changed, or all of them [default: incremental]
    #[arg(long)]
    mode: Option<Mode>,
    /// How often a run that has failed is tried again [default: 0]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// How long after a failure, in seconds [default: 60]
    #[arg(long, value_name = "SECONDS")]
    retry_pause: Option<u32>,
    /// How long files are listed and read before a run is given up, in seconds; 0: as long as it takes
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Incremental,
    Full,
}

impl Settings {
    /// These over what there was.
    fn over(self, before: Option<ScheduleSettings>) -> Result<ScheduleSettings, Failure> {
        let mut settings = match (before, &self.cron) {
            (Some(before), _) => before,
            (None, None) => return Err("a new schedule needs --cron such as '0 3 * * mon-fri'".into()),
            (None, Some(cron)) => ScheduleSettings {
                cron: cron.clone(),
                zone: String::new(),
                mode: ScheduleMode::default(),
                paused: false,
                retries: 0,
                retry_pause_s: 0,
                limit_s: 0,
            },
        };
        settings.cron = self.cron.unwrap_or(settings.cron);
        settings.zone = self.zone.unwrap_or(settings.zone);
        settings.mode = match self.mode {
            None => settings.mode,
            Some(Mode::Incremental) => ScheduleMode::Incremental,
            Some(Mode::Full) => ScheduleMode::Full,
        };
        settings.retries = self.retries.unwrap_or(settings.retries);
        settings.retry_pause_s = self.retry_pause.unwrap_or(settings.retry_pause_s);
        settings.limit_s = self.limit.unwrap_or(settings.limit_s);
        Ok(settings)
    }
}

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    options.caller.run(|client, printer| ask(client, printer, options.command))
}

async fn ask(client: Client, printer: Printer, command: Command) -> Result<(), Failure> {
    let schedule: Schedule = match command {
        Command::List { tenant } => {
            let schedules: Vec<Schedule> = client.get(&["schedules", &tenant], &[]).await?;
            return printer.print(&schedules, |schedules| text::schedules(schedules));
        }
        Command::History { tenant, limit } => {
            let limit = [("limit", limit.to_string())];
            let past: Vec<PastRefresh> = client.get(&["schedules", &tenant, "history"], &limit).await?;
            return printer.print(&past, |past| text::history(past));
        }
        Command::Set { which, settings } => {
            let path = which.path();
            let known: Vec<Schedule> = client.get(&["schedules", &which.tenant], &[]).await?;
            let before = known.into_iter().find(|one| {
                one.name == path[4]
                    && one.schema.eq_ignore_ascii_case(path[2])
                    && one.table.eq_ignore_ascii_case(path[3])
            });
            let settings = settings.over(before.map(|before| before.settings))?;
            client.send(Method::PUT, &path, &[], &settings).await?
        }
        Command::Show(which) => client.get(&which.path(), &[]).await?,
        Command::Remove(which) => {
            let removed: Schedule = client.delete(&which.path(), &[]).await?;
            return printer.print(&removed, |one| text::done(one, "is removed"));
        }
        Command::Pause(which) => client.post(&[&which.path()[..], &["pause"]].concat()).await?,
        Command::Resume(which) => client.post(&[&which.path()[..], &["resume"]].concat()).await?,
        Command::Run(which) => {
            let runs: Schedule = client.post(&[&which.path()[..], &["run"]].concat()).await?;
            return printer.print(&runs, |one| {
                text::done(one, "runs; `tundra schedule history` shows what comes of it")
            });
        }
    };
    printer.print(&schedule, text::schedule)
}

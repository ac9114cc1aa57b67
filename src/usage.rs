//! `tundra usage`: what was used and what it costs, prices and budgets, from the command line.

mod report;
mod settings;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use control_plane::json::{Budget, BudgetOf, OnLimit, Period, Price, Report};
use reqwest::Method;

use crate::Failure;
use crate::admin::Printer;
use crate::admin::client::Client;
use crate::control::Caller;
use crate::table::aligned;
use settings::{BudgetSettings, PriceSettings, amount, month};

/// See what was used and what it costs, and limit what is spent.
#[derive(Args)]
#[command(after_help = "Examples:\n  tundra usage report --month 2026-11 --by tenant\n  \
                        tundra usage report --tenant acme --by user,label --format csv --output acme.csv\n  \
                        tundra usage prices set --from 2026-12-01 --processor-hour 0.06\n  \
                        tundra usage budget set acme analysts --user ann --period day --limit 20 --on-limit stop")]
pub(crate) struct Options {
    #[command(flatten)]
    caller: Caller,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sum up what was used, and what it costs
    Report(ReportOptions),
    /// What is paid for what
    Prices {
        #[command(subcommand)]
        command: PriceCommand,
    },
    /// What tenants, their users and their labels may spend
    Budget {
        #[command(subcommand)]
        command: BudgetCommand,
    },
}

#[derive(Args)]
struct ReportOptions {
    /// Of a month (UTC), such as 2026-11 [default: this one, until now]
    #[arg(long, value_name = "YYYY-MM", conflicts_with_all = ["from", "to"], value_parser = month)]
    month: Option<(String, String)>,
    /// The first day (UTC), such as 2026-11-05
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The day after the last
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// Of this tenant alone
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// What sums are told apart by: some of tenant,user,label,day,month
    #[arg(long, value_name = "LIST", default_value = "tenant")]
    by: String,
    /// How it is written; parquet needs --output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The file to write [default: to standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns, of the measures that are not all 0
    Table,
    Json,
    /// RFC 4180 with a header row, all measures
    Csv,
    /// All measures; costs as DECIMAL(20,6)
    Parquet,
}

#[derive(Subcommand)]
enum PriceCommand {
    /// Show all prices, also those that begin later
    Show,
    /// Set prices from a day on; what is not given stays
    Set(PriceSettings),
}

#[derive(Subcommand)]
enum BudgetCommand {
    /// Set a budget, or another in the place of the one of that name
    Set {
        tenant: String,
        name: String,
        #[command(flatten)]
        settings: BudgetSettings,
    },
    /// List budgets, of one tenant or of all
    List { tenant: Option<String> },
    /// Remove a budget
    Remove { tenant: String, name: String },
}

/// Asks, and prints the answer.
pub(crate) fn run(options: Options) -> Result<(), Failure> {
    options.caller.run(|client, printer| ask(client, printer, options.command))
}

async fn ask(client: Client, printer: Printer, command: Command) -> Result<(), Failure> {
    match command {
        Command::Report(options) => ask_report(&client, &printer, options).await,
        Command::Prices { command } => {
            let prices: Vec<Price> = match command {
                PriceCommand::Show => client.get(&["usage", "prices"], &[]).await?,
                PriceCommand::Set(settings) => {
                    client.send(Method::PUT, &["usage", "prices"], &[], &settings.price()).await?
                }
            };
            printer.print(&prices, |prices| list_prices(prices))
        }
        Command::Budget { command: BudgetCommand::Set { tenant, name, settings } } => {
            let path = ["usage", "budgets", &tenant, &name];
            let set: BudgetOf = client.send(Method::PUT, &path, &[], &settings.budget()).await?;
            printer.print(&set, |set| list_budgets(std::slice::from_ref(set)))
        }
        Command::Budget { command: BudgetCommand::List { tenant } } => {
            let of: Vec<_> = tenant.into_iter().map(|tenant| ("tenant", tenant)).collect();
            let budgets: Vec<BudgetOf> = client.get(&["usage", "budgets"], &of).await?;
            printer.print(&budgets, |budgets| list_budgets(budgets))
        }
        Command::Budget { command: BudgetCommand::Remove { tenant, name } } => {
            let removed: BudgetOf = client.delete(&["usage", "budgets", &tenant, &name], &[]).await?;
            printer.print(&removed, |one| format!("the budget '{}' of {} is removed\n", one.name, one.tenant))
        }
    }
}

async fn ask_report(client: &Client, printer: &Printer, options: ReportOptions) -> Result<(), Failure> {
    let (from, to) = match options.month {
        Some((from, to)) => (Some(from), Some(to)),
        None => (options.from, options.to),
    };
    let format = if printer.json { Format::Json } else { options.format };
    if format == Format::Parquet && options.output.is_none() {
        return Err("a Parquet file is written with --output FILE".into());
    }
    let mut asked = vec![("by", options.by.clone())];
    asked.extend(from.map(|from| ("from", from)));
    asked.extend(to.map(|to| ("to", to)));
    asked.extend(options.tenant.map(|tenant| ("tenant", tenant)));
    let told: Report = client.get(&["usage", "report"], &asked).await?;
    let written = match format {
        Format::Table => report::table(&told).into_bytes(),
        Format::Json => (serde_json::to_string_pretty(&told)? + "\n").into_bytes(),
        Format::Csv => report::csv(&told, &options.by).into_bytes(),
        Format::Parquet => report::parquet(&told, &options.by)?,
    };
    match options.output {
        Some(path) => {
            std::fs::write(&path, written).map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(())
        }
        None => printer.write(&written),
    }
}

fn list_prices(prices: &[Price]) -> String {
    let rows = prices.iter().map(|price| {
        let from = if price.from_us == 0 { "always".into() } else { crate::admin::time(price.from_us) };
        [
            from,
            amount(price.processor_hour_micros),
            amount(price.resident_gib_hour_micros),
            amount(price.scanned_gib_micros),
            amount(price.exchanged_gib_micros),
            amount(price.returned_gib_micros),
            amount(price.thousand_requests_micros),
            amount(price.foreign_second_micros),
        ]
    });
    let names = [
        "FROM",
        "PROCESSOR-HOUR",
        "RESIDENT-GIB-HOUR",
        "READ-GIB",
        "EXCHANGED-GIB",
        "RETURNED-GIB",
        "1000-REQUESTS",
        "FOREIGN-SECOND",
    ];
    aligned(names, rows)
}

fn list_budgets(budgets: &[BudgetOf]) -> String {
    let rows = budgets.iter().map(|BudgetOf { tenant, name, budget }| {
        let Budget { user, label, period, limit_micros, warn_percent, on_limit } = budget;
        let period = match period {
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
        };
        let on_limit = match on_limit {
            OnLimit::Warn => "warn",
            OnLimit::Throttle => "throttle",
            OnLimit::Stop => "stop",
        };
        let all = |text: &str| if text.is_empty() { "all".to_string() } else { text.to_string() };
        let warn = format!("{warn_percent}%");
        [
            tenant.clone(),
            name.clone(),
            all(user),
            all(label),
            period.into(),
            amount(*limit_micros),
            warn,
            on_limit.into(),
        ]
    });
    aligned(["TENANT", "BUDGET", "USER", "LABEL", "PERIOD", "LIMIT", "WARN", "AT-LIMIT"], rows)
}

//! Usage from end to end, with real processes: two users of a tenant, one of whom runs away and is stopped by a budget; a
//! control plane that is killed meanwhile; and the month's chargeback, which is what the coordinator has told.

#![allow(clippy::unwrap_used)]

mod process;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, UInt64Type};
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use process::{Server, TUNDRA};
use tonic::transport::{Channel, Endpoint};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of which the planner does not know the answer.
const COUNT: &str = "SELECT count(*) FROM n WHERE i % 2 = 0";
const NUMBERS: &str = "CREATE TABLE n AS SELECT a.i * 10 + b.i AS i FROM \
                       (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) a (i), \
                       (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) b (i)";
const ENDLESS: &str = "SELECT count(*) FROM n a, n b, n c, n d, n e WHERE (a.i + b.i * 3 + c.i * 5 + d.i * 7 + e.i * 11) % 13 = 5";
const SUMS: &str = "SELECT user_name, label, sum(statements), sum(processor_us), sum(scanned_bytes), \
                    sum(returned_rows), sum(returned_bytes), sum(store_requests), sum(store_bytes) \
                    FROM system.usage GROUP BY user_name, label ORDER BY user_name, label";

/// `tundra control`; killed when dropped.
struct Control {
    process: Child,
    url: String,
}

impl Control {
    fn start(data: &Path, coordinator: &str) -> Control {
        let mut command = Command::new(TUNDRA);
        command.arg("control").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
        command.arg("--coordinators").arg(format!("http://{coordinator}"));
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("tundra control ready http=").unwrap_or_else(|| panic!("{line}"));
        Control { url: url.into(), process }
    }

    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(TUNDRA);
        let output = command.args(arguments).env("TUNDRA_CONTROL_URL", &self.url).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn told(&self, arguments: &[&str]) -> String {
        self.run(arguments).unwrap_or_else(|why| panic!("{arguments:?}: {why}"))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct User(FlightSqlServiceClient<Channel>);

impl User {
    async fn log_in(server: &Server, token: &str) -> User {
        let url = server.url.replace("grpc://", "http://");
        let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_token(token.trim().into());
        User(client)
    }

    async fn ask(&mut self, sql: &str) -> Result<Vec<RecordBatch>, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let info = self.0.execute(sql.into(), None).await.map_err(|error| told(&error))?;
        let mut batches = Vec::new();
        for endpoint in info.endpoint {
            let rows = self.0.do_get(endpoint.ticket.unwrap()).await.map_err(|error| told(&error))?;
            let more: Vec<RecordBatch> = rows.try_collect().await.map_err(|error| told(&error))?;
            batches.extend(more);
        }
        Ok(batches)
    }

    /// Cells as text, row by row.
    async fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let batches = self.ask(sql).await.unwrap_or_else(|why| panic!("{sql}: {why}"));
        let text = |batch: &RecordBatch, row: usize| {
            let cell = |column: &ArrayRef| arrow::util::display::array_value_to_string(column, row).unwrap();
            batch.columns().iter().map(cell).collect::<Vec<String>>()
        };
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| text(batch, row))).collect()
    }
}

/// Of a CSV report by user and label: the cells that [`SUMS`] gives, of statements.
fn of_statements(csv: &str) -> Vec<Vec<String>> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let wanted = [
        "user",
        "label",
        "statements",
        "processor_us",
        "scanned_bytes",
        "returned_rows",
        "returned_bytes",
        "store_requests",
        "store_bytes",
    ];
    let places = wanted.map(|name| names.iter().position(|known| *known == name).unwrap());
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
        places.map(|place| cells[place].to_string()).to_vec()
    });
    // What shards ask and hold is of no user.
    rows.filter(|row| !row[0].is_empty()).collect()
}

/// Waits for tomorrow where a day's budget would begin anew while it is looked at.
async fn well_before_midnight() {
    const DAY: u64 = 86_400;
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % DAY;
    if second > DAY - 120 {
        tokio::time::sleep(Duration::from_secs(DAY - second)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_stops_a_runaway_and_the_months_chargeback_adds_up() {
    well_before_midnight().await;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("up"), &["--shards", "2"]);
    let data = folder.path().join("control");
    let control = Control::start(&data, &server.http);
    control.told(&["tenant", "create", "acme"]);
    let token = |user: &str| control.told(&["tenant", "token", "acme", "--user", user]);
    let (ann, bob) = (token("ann"), token("bob"));
    // A second of a processor costs 1.
    control.told(&["usage", "prices", "set", "--processor-hour", "3600", "--read-gib", "0"]);
    let set = ["usage", "budget", "set", "acme", "bobs", "--user", "bob", "--period", "day", "--limit", "3"];
    assert!(control.told(&set).contains("3.000000"));
    assert!(
        control
            .run(&["usage", "budget", "set", "nobody", "b", "--limit", "1"])
            .unwrap_err()
            .contains("no tenant")
    );
    tokio::time::sleep(Duration::from_secs(3)).await;

    let (mut ann, mut runaway) = (User::log_in(&server, &ann).await, User::log_in(&server, &bob).await);
    ann.ask(NUMBERS).await.unwrap();
    ann.ask("SET query_label = 'reports'").await.unwrap();
    let cost = ann.rows("EXPLAIN COST SELECT sum(i) FROM n").await;
    assert_eq!(
        cost.iter().map(|row| &*row[0]).collect::<Vec<_>>(),
        ["processor", "read", "exchanged", "returned", "price"]
    );
    let begun = Instant::now();
    let running = tokio::spawn(async move { runaway.ask(ENDLESS).await });
    // The control plane dies; whoever spends too much is stopped all the same.
    drop(control);
    while !running.is_finished() {
        assert_eq!(ann.rows(COUNT).await, [["50"]]);
        assert!(begun.elapsed() < PATIENCE, "it runs on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let why = running.await.unwrap().unwrap_err();
    assert!(
        why.contains("the budget 'bobs' of the user 'bob' is spent") && why.contains("of 3.000000"),
        "{why}"
    );
    let mut bob = User::log_in(&server, &bob).await;
    assert!(bob.ask(COUNT).await.unwrap_err().contains("bobs"));
    assert_eq!(bob.rows("SELECT budget, state FROM system.budgets").await, [["bobs", "stopped"]]);
    let touched = bob.rows("EXPLAIN COST SELECT sum(i) FROM n").await;
    assert!(touched.iter().any(|row| row[0] == "budget" && row[3].contains("stop")), "{touched:?}");

    // Another control plane takes in what was used meanwhile, and tells of the budget once.
    let control = Control::start(&data, &server.http);
    let report = ["usage", "report", "--tenant", "acme", "--by", "user,label", "--format", "csv"];
    // What asks is counted, too: the sums are those of a moment without statements.
    let sums = ann.rows(SUMS).await;
    let with_this = |row: &[String]| row[0] == "ann" && row[1] == "reports";
    let begun = Instant::now();
    let told = loop {
        let told = of_statements(&control.told(&report));
        let same = |own: &Vec<String>| {
            told.iter().any(|row| row == own || with_this(own) && with_this(row) && row[2] > own[2])
        };
        if !told.is_empty() && sums.iter().all(same) {
            break told;
        }
        assert!(begun.elapsed() < PATIENCE, "{told:?} is not {sums:?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert_eq!(told.len(), sums.len(), "{told:?} {sums:?}");
    let audit = control.told(&["audit", "list"]);
    assert_eq!(audit.lines().filter(|line| line.contains("budget spent")).count(), 1, "{audit}");
    // Restarts lose and double nothing.
    let whole = control.told(&report);
    drop(control);
    let control = Control::start(&data, &server.http);
    tokio::time::sleep(Duration::from_secs(11)).await;
    let after = of_statements(&control.told(&report));
    assert_eq!(after, of_statements(&whole));

    // The month as a table, and as a Parquet file that is read back.
    let month = control.told(&["usage", "report"]);
    assert!(month.contains("acme") && month.contains("PROCESSOR-S") && month.contains("TOTAL"), "{month}");
    let file = folder.path().join("acme.parquet");
    let path = file.to_str().unwrap();
    assert!(control.run(&["usage", "report", "--format", "parquet"]).unwrap_err().contains("--output"));
    control.told(&[
        "usage", "report", "--tenant", "acme", "--by", "user", "--format", "parquet", "--output", path,
    ]);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let of = |name: &str| batch.column_by_name(name).unwrap().clone();
    let users: Vec<_> = of("user").as_string::<i32>().iter().flatten().map(str::to_string).collect();
    let place = users.iter().position(|user| user == "bob").unwrap();
    let processor_us = of("processor_us").as_primitive::<UInt64Type>().value(place);
    let cost = of("cost").as_primitive::<Decimal128Type>().value(place);
    assert!((2_900_000..8_000_000).contains(&processor_us), "{processor_us}");
    // Beside its processor time, hardly anything.
    assert!(cost.abs_diff(i128::from(processor_us)) < 1_000, "{cost} {processor_us}");
    assert!(control.told(&["usage", "budget", "list"]).contains("bobs"));
    assert!(control.told(&["usage", "budget", "remove", "acme", "bobs"]).contains("removed"));
    let begun = Instant::now();
    while bob.ask(COUNT).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "bob stays stopped");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(control);
    server.stop();
}

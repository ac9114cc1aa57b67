//! What users, files and neighbours get wrong: each is a clear error, and the server goes on.
//! Names, literals and syntax are covered in `slt/names.slt` and `slt/literals.slt` as well.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType as ArrowType, Field};
use coordinator::{Config, Environment, Handle};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;
use tundra_tests::connection::Connection;
use tundra_tests::server::{TestServer, Variation};

/// A server, a connection to it, and a folder that its tables may be read from.
struct Stand {
    server: TestServer,
    connection: Connection,
    folder: TempDir,
}

impl Stand {
    async fn new() -> Stand {
        Stand::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Stand {
        let folder = tempfile::tempdir().unwrap();
        let allowed = url(folder.path());
        let variation = Variation::shards(1);
        let server = TestServer::start_with(&variation, |config| {
            config.allow_locations = vec![allowed];
            change(config);
        });
        let server = server.await.unwrap();
        let connection = server.connect().await.unwrap();
        Stand { server, connection, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Registers what lies at a path in the folder as the table `t`.
    async fn register(&mut self, name: &str) -> Result<(), String> {
        let location = url(&self.path(name));
        let sql = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{location}'");
        self.connection.execute(&sql).await.map(drop).map_err(|failure| failure.0)
    }

    /// The statement fails with a message that holds all of `words`, and another one still runs.
    async fn refuses(&mut self, sql: &str, words: &[&str]) {
        let message = match self.connection.execute(sql).await {
            Ok(_) => panic!("{sql} was accepted"),
            Err(failure) => failure.0,
        };
        assert_holds(&message, words);
        self.is_alive().await;
    }

    async fn is_alive(&mut self) {
        assert_eq!(self.connection.rows("SELECT 1 + 1").await.unwrap(), [["2"]]);
    }

    async fn stop(self) {
        drop(self.connection);
        self.server.stop().await.unwrap();
    }
}

fn assert_holds(message: &str, words: &[&str]) {
    let lower = message.to_lowercase();
    for word in words {
        assert!(lower.contains(&word.to_lowercase()), "'{word}' is not in: {message}");
    }
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Writes a Parquet file with these columns.
fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn integers(count: i32) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(0..count))
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_get_a_suggestion() {
    let mut stand = Stand::new().await;
    stand.connection.execute("CREATE TABLE customers (id INTEGER, name VARCHAR)").await.unwrap();
    stand.refuses("SELECT * FROM custmers", &["custmers", "customers"]).await;
    stand.refuses("SELECT nmae FROM customers", &["nmae", "name"]).await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn syntax_errors_show_where() {
    let mut stand = Stand::new().await;
    stand.refuses("SELECT 1,\n  2 +\nFROM", &["line 3", "^"]).await;
    stand.refuses("SELEC 1", &["line 1", "^"]).await;
    stand.refuses("", &[""]).await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_of_operators_does_not_end_the_process() {
    let mut stand = Stand::new().await;
    stand.connection.execute("CREATE TABLE t AS SELECT a FROM (VALUES (1)) AS v(a)").await.unwrap();
    let sum = format!("SELECT {} FROM t", ["a"; 490].join(" + "));
    assert_eq!(stand.connection.rows(&sum).await.unwrap(), [["490"]]);
    let comparisons = format!("SELECT {} FROM t", ["(a = 0)"; 490].join(" > "));
    assert_eq!(stand.connection.rows(&comparisons).await.unwrap(), [["false"]]);
    let beyond = format!("SELECT {} FROM t", ["a"; 600].join(" + "));
    stand.refuses(&beyond, &["nested more than 500 deep"]).await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_do_not_fit_are_errors() {
    let mut stand = Stand::new().await;
    stand.refuses("SELECT a / b FROM (VALUES (1, 0)) AS t(a, b)", &["division by zero"]).await;
    stand.refuses("SELECT a + 1 FROM (VALUES (2147483647)) AS t(a)", &["out of range"]).await;
    stand.refuses("SELECT DATE '1995-02-30'", &["1995-02-30"]).await;
    stand.refuses("SELECT CAST('twelve' AS INTEGER)", &["twelve"]).await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_empty_location_is_an_error() {
    let mut stand = Stand::new().await;
    assert_holds(&stand.register("nowhere/").await.unwrap_err(), &["nowhere"]);
    fs::create_dir(stand.path("empty")).unwrap();
    assert_holds(&stand.register("empty/").await.unwrap_err(), &["empty"]);
    assert_holds(&stand.register("none*.parquet").await.unwrap_err(), &["none"]);
    stand.is_alive().await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_and_leaves_no_table() {
    let mut stand = Stand::new().await;
    let path = stand.path("data/part-1.parquet");
    write_parquet(&stand.path("data/part-0.parquet"), vec![("a", integers(1000))]);
    write_parquet(&path, vec![("a", integers(1000))]);
    let whole = fs::read(&path).unwrap();

    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let cut = format!("ends after {} bytes", whole.len() / 2);
    assert_holds(&stand.register("data/").await.unwrap_err(), &["part-1.parquet", "cut short", &cut]);
    fs::write(&path, b"not Parquet at all").unwrap();
    assert_holds(&stand.register("data/").await.unwrap_err(), &["part-1.parquet", "not a Parquet file"]);
    fs::write(&path, b"").unwrap();
    assert_holds(&stand.register("data/").await.unwrap_err(), &["part-1.parquet", "0 bytes"]);
    // The middle is missing: the footer points past the end.
    let mut short = whole.clone();
    short.drain(4..whole.len() / 2);
    fs::write(&path, &short).unwrap();
    let beyond = format!("of {}", short.len());
    assert_holds(&stand.register("data/").await.unwrap_err(), &["part-1.parquet", "points at", &beyond]);
    // The footer is whole, the pages are not.
    let mut damaged = whole.clone();
    damaged[4..60].fill(0xFF);
    fs::write(&path, &damaged).unwrap();
    assert_holds(&stand.register("data/").await.unwrap_err(), &["part-1.parquet", "row group 0"]);
    stand.refuses("SELECT * FROM t", &["t"]).await;

    fs::write(&path, &whole).unwrap();
    stand.register("data/").await.unwrap();
    assert_eq!(stand.connection.rows("SELECT count(*) FROM t").await.unwrap(), [["2000"]]);
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_table_must_agree_in_their_columns() {
    let mut stand = Stand::new().await;
    write_parquet(&stand.path("mixed/one.parquet"), vec![("a", integers(3))]);
    let words: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    write_parquet(&stand.path("mixed/two.parquet"), vec![("a", words)]);
    let words = ["one.parquet", "two.parquet", "the column \"a\" is VARCHAR, but INTEGER"];
    assert_holds(&stand.register("mixed/").await.unwrap_err(), &words);
    write_parquet(&stand.path("mixed/two.parquet"), vec![("b", integers(3))]);
    let words = ["one.parquet", "two.parquet", "the column \"a\" is missing"];
    assert_holds(&stand.register("mixed/").await.unwrap_err(), &words);
    stand.is_alive().await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_columns_that_cannot_be_are_refused_by_name() {
    let mut stand = Stand::new().await;
    let nothing = Arc::new(NullArray::new(1)) as ArrayRef;
    let element = Arc::new(Field::new("element", ArrowType::Null, true));
    let lists = ListArray::new(element, OffsetBuffer::from_lengths([1]), nothing, None);
    write_parquet(&stand.path("nested.parquet"), vec![("plain", integers(1)), ("basket", Arc::new(lists))]);
    assert_holds(&stand.register("nested.parquet").await.unwrap_err(), &["basket", "NULL"]);
    stand.is_alive().await;
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_outside_of_what_is_allowed_is_refused() {
    let mut stand = Stand::new().await;
    let other = tempfile::tempdir().unwrap();
    write_parquet(&other.path().join("secret.parquet"), vec![("a", integers(1))]);
    let secret = url(&other.path().join("secret.parquet"));
    let create = |location: &str| format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{location}'");
    stand.refuses(&create(&secret), &["--allow-location"]).await;
    let up = format!("{}/../{}/secret.parquet", url(stand.folder.path()), name_of(other.path()));
    stand.refuses(&create(&up), &[""]).await;
    // A neighbour whose name starts alike is not inside.
    let alike = PathBuf::from(format!("{}-more", stand.folder.path().display()));
    write_parquet(&alike.join("a.parquet"), vec![("a", integers(1))]);
    stand.refuses(&create(&url(&alike.join("a.parquet"))), &["--allow-location"]).await;
    fs::remove_dir_all(&alike).unwrap();
    stand.stop().await;
}

/// A link inside of what is allowed does not lead out of it; one that stays inside is as good as the file.
#[tokio::test(flavor = "multi_thread")]
async fn symbolic_links_do_not_lead_out_of_what_is_allowed() {
    let mut stand = Stand::new().await;
    let other = tempfile::tempdir().unwrap();
    write_parquet(&other.path().join("secret.parquet"), vec![("a", integers(1))]);
    write_parquet(&stand.path("data/own.parquet"), vec![("a", integers(5))]);
    let link = |from: PathBuf, name: &str| std::os::unix::fs::symlink(from, stand.path(name)).unwrap();
    fs::create_dir(stand.path("mixed")).unwrap();
    link(other.path().join("secret.parquet"), "file.parquet");
    link(other.path().join("secret.parquet"), "mixed/file.parquet");
    link(other.path().to_path_buf(), "folder");
    link(stand.path("data/own.parquet"), "inside.parquet");
    for name in ["file.parquet", "folder/", "folder/secret.parquet", "mixed/", "mixed/*.parquet"] {
        assert_holds(&stand.register(name).await.unwrap_err(), &["--allow-location"]);
    }
    stand.register("inside.parquet").await.unwrap();
    assert_eq!(stand.connection.rows("SELECT count(*) FROM t").await.unwrap(), [["5"]]);
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_are_kept_out_of_columns_that_take_none() {
    let mut stand = Stand::new().await;
    stand.connection.execute("CREATE TABLE n (id INTEGER NOT NULL, word VARCHAR)").await.unwrap();
    stand.refuses("INSERT INTO n VALUES (1, 'a'), (NULL, 'b')", &["\"id\"", "NOT NULL"]).await;
    stand.connection.execute("INSERT INTO n VALUES (1, NULL)").await.unwrap();
    assert_eq!(stand.connection.rows("SELECT * FROM n").await.unwrap(), [["1", "NULL"]]);
    stand.stop().await;
}

/// Whole blocks of nulls in a column that is held by codes into a dictionary.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_nulls_stay_nulls() {
    let mut stand = Stand::new().await;
    let rows = 196_609;
    let null = |row: i32| (65_536..131_072).contains(&row) || row == 196_608;
    let words: ArrayRef =
        Arc::new(StringArray::from_iter((0..rows).map(|row| (!null(row)).then(|| format!("s{}", row % 10)))));
    write_parquet(&stand.path("words.parquet"), vec![("a", integers(rows)), ("b", words)]);
    stand.register("words.parquet").await.unwrap();
    for table in ["t", "u"] {
        let counts = format!(
            "SELECT count(b), count(*) FROM {table} UNION ALL SELECT count(*), min(a) FROM {table} WHERE b IS NULL"
        );
        let mut found = stand.connection.rows(&counts).await.unwrap();
        found.sort_unstable();
        assert_eq!(found, [["131072", "196609"], ["65537", "65536"]], "{table}");
        let groups = format!("SELECT count(*) FROM {table} GROUP BY b ORDER BY 1 DESC LIMIT 2");
        assert_eq!(stand.connection.rows(&groups).await.unwrap(), [["65537"], ["13108"]], "{table}");
        if table == "t" {
            stand.connection.execute("CREATE TABLE u AS SELECT * FROM t").await.unwrap();
        }
    }
    stand.stop().await;
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beyond_the_memory_fails_alone() {
    let mut stand = Stand::with(|config| config.memory_bytes = 64 << 20).await;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..300_000));
    write_parquet(&stand.path("numbers.parquet"), vec![("a", numbers)]);
    stand.register("numbers.parquet").await.unwrap();
    let sql = "SELECT count(*) FROM (SELECT x.a + 1, y.a, count(*) FROM t x JOIN t y ON x.a % 500 = y.a % 500 \
               GROUP BY x.a + 1, y.a) u";
    stand.refuses(sql, &["memory"]).await;
    assert_eq!(stand.connection.rows("SELECT count(*) FROM t").await.unwrap(), [["300000"]]);
    stand.stop().await;
}

/// Starts in a folder where a coordinator may just have been shut down.
async fn start(data: &Path, allowed: Option<&Path>) -> Handle {
    let mut config = Config::new(data);
    config.threads = 2;
    config.allow_locations = allowed.map(url).into_iter().collect();
    // The last task of a coordinator that was shut down lets go of the catalog a little later.
    for _ in 0..100 {
        match coordinator::start(config.clone(), Environment::embedded()).await {
            Err(error) if error.to_string().to_lowercase().contains("already open") => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            started => return started.unwrap(),
        }
    }
    panic!("the catalog stayed open");
}

/// Runs one statement in a session of its own.
async fn run(handle: &Handle, sql: &str) -> Result<Vec<Vec<String>>, String> {
    Connection::Session(handle.session("test")).rows(sql).await.map_err(|failure| failure.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_is_named_until_it_is_taken_in() {
    let (data, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().join("t/a.parquet");
    write_parquet(&path, vec![("a", integers(1000))]);
    let handle = start(data.path(), Some(folder.path())).await;
    let location = url(&folder.path().join("t"));
    let create = format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{location}/'");
    run(&handle, &create).await.unwrap();
    let sum = "SELECT count(*), sum(a) FROM t";

    // Of the same size, so that only its ETag tells.
    let size = fs::metadata(&path).unwrap().len();
    tokio::time::sleep(Duration::from_millis(20)).await;
    write_parquet(&path, vec![("a", Arc::new(Int32Array::from_iter_values((0..1000).rev())))]);
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    // What is resident is of one version.
    assert_eq!(run(&handle, sum).await.unwrap(), [["1000", "499500"]]);
    handle.shutdown().await.unwrap();

    // The data has to be brought in again, and is gone.
    fs::remove_dir_all(data.path().join("segments")).unwrap();
    let handle = start(data.path(), Some(folder.path())).await;
    assert_holds(&run(&handle, sum).await.unwrap_err(), &["a.parquet", "changed", "REFRESH TABLE"]);
    assert_eq!(run(&handle, "SELECT 1 + 1").await.unwrap(), [["2"]]);
    run(&handle, "REFRESH TABLE t").await.unwrap();
    assert_eq!(run(&handle, "SELECT a FROM t LIMIT 1").await.unwrap(), [["999"]]);

    // So it is where it is gone altogether, and comes back.
    fs::remove_file(&path).unwrap();
    assert_holds(&run(&handle, "REFRESH TABLE t").await.unwrap_err(), &[&location[7..]]);
    assert_eq!(run(&handle, sum).await.unwrap(), [["1000", "499500"]]);
    write_parquet(&path, vec![("a", integers(5))]);
    run(&handle, "REFRESH TABLE t").await.unwrap();
    assert_eq!(run(&handle, sum).await.unwrap(), [["5", "10"]]);
    handle.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_file_cut_short_is_made_again() {
    let data = tempfile::tempdir().unwrap();
    let handle = start(data.path(), None).await;
    // Few rows would stay in memory alone.
    let digits = "d(n) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)), \
                  h AS (SELECT 100 * a.n + 10 * b.n + c.n AS n FROM d a, d b, d c)";
    let sql = format!("CREATE TABLE t AS WITH {digits} SELECT 1000 * x.n + y.n AS a FROM h x, h y");
    run(&handle, &sql).await.unwrap();
    handle.shutdown().await.unwrap();

    let segments = files_under(&data.path().join("segments"));
    assert!(!segments.is_empty());
    for path in segments {
        let length = fs::metadata(&path).unwrap().len();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    }
    let handle = start(data.path(), None).await;
    assert_eq!(run(&handle, "SELECT sum(a) FROM t").await.unwrap(), [["499999500000"]]);
    handle.shutdown().await.unwrap();
}

/// Segments are mapped: what is cut off while it is in use would end the process.
#[tokio::test(flavor = "multi_thread")]
async fn a_segment_file_cut_short_while_in_use_fails_the_query_alone() {
    let mut stand = Stand::new().await;
    let rows = 500_000;
    let spread = |row: i64| row.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()) >> 2;
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows).map(spread)));
    let words: ArrayRef =
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{:x}", spread(row)))));
    write_parquet(&stand.path("numbers.parquet"), vec![("a", numbers), ("b", words)]);
    stand.register("numbers.parquet").await.unwrap();
    let cut = |stand: &Stand| {
        let segments = files_under(&stand.server.folder().join("segments"));
        assert!(!segments.is_empty());
        for path in segments {
            let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 8).unwrap();
        }
    };
    for sql in
        ["SELECT sum(a % 1000), max(b) FROM t", "SELECT a, b FROM t", "CREATE TABLE u AS SELECT * FROM t"]
    {
        let mut expected = stand.connection.rows(sql).await.unwrap();
        expected.sort_unstable();
        stand.connection.execute("DROP TABLE IF EXISTS u").await.unwrap();
        cut(&stand);
        stand.refuses(sql, &["t'", ".segment", "try again"]).await;
        // It is made again from Parquet meanwhile.
        let mut again = Err(String::new());
        for _ in 0..200 {
            again = stand.connection.rows(sql).await.map_err(|failure| failure.0);
            if again.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let mut again = again.unwrap();
        again.sort_unstable();
        assert!(again == expected, "{sql} gives other rows");
        stand.connection.execute("DROP TABLE IF EXISTS u").await.unwrap();
    }
    // What was made again is on disk, whole, under its name.
    cut(&stand);
    stand.connection.execute("REFRESH TABLE t").await.unwrap();
    assert_eq!(stand.connection.rows("SELECT count(b) FROM t").await.unwrap(), [["500000"]]);
    assert!(!files_under(&stand.server.folder().join("segments")).is_empty());
    stand.stop().await;
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}

use super::plan::Plan;
use super::{Error, write};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::cell::Cell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn bytes(rows: u64, seed: u64) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), rows, seed, &|_| {}).unwrap();
    files(folder.path()).iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn table(rows: u64, seed: u64) -> RecordBatch {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), rows, seed, &|_| {}).unwrap();
    let batches: Vec<RecordBatch> = files(folder.path())
        .iter()
        .flat_map(|path| {
            let file = std::fs::File::open(path).unwrap();
            ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap()
        })
        .collect::<Result<_, _>>()
        .unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn texts<'a>(table: &'a RecordBatch, name: &str) -> impl Iterator<Item = &'a str> {
    table.column_by_name(name).unwrap().as_string::<i32>().iter().map(|text| text.unwrap())
}

fn longs<'a>(table: &'a RecordBatch, name: &str) -> &'a [i64] {
    table.column_by_name(name).unwrap().as_primitive::<Int64Type>().values()
}

fn ints<'a>(table: &'a RecordBatch, name: &str) -> &'a [i32] {
    table.column_by_name(name).unwrap().as_primitive::<Int32Type>().values()
}

/// How many values differ, out of a thousand rows.
fn per_thousand<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> usize {
    let (mut rows, mut different) = (0, HashSet::new());
    for value in values {
        rows += 1;
        different.insert(value);
    }
    different.len() * 1_000 / rows
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_one_others() {
    let first = bytes(20_000, 5);
    assert_eq!(first, bytes(20_000, 5));
    assert_ne!(first, bytes(20_000, 6));
}

#[test]
fn rows_do_not_depend_on_the_files_they_are_in() {
    let plan = Plan::new(30_000, 9);
    let rows = |range: std::ops::Range<u64>| {
        let mut watches = Vec::new();
        for cell in plan.cells(range.clone()) {
            let mut first = cell.rows.start;
            for visit in plan.visits(&cell) {
                super::hit::visit_hits(&plan, &cell, visit, first, &range, |hit| {
                    watches.push((hit.watch, hit.time, hit.user.id, hit.url, hit.referer, hit.phrase));
                });
                first += u64::from(visit.hits);
            }
            assert_eq!(first, cell.rows.end);
        }
        watches
    };
    let whole = rows(0..30_000);
    assert_eq!(whole.len(), 30_000);
    assert_eq!(whole, [rows(0..7_777), rows(7_777..7_780), rows(7_780..30_000)].concat());
}

#[test]
fn two_files_hold_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let last = Cell::new(0);
    write(folder.path(), 500_001, 1, &|rows| last.set(rows)).unwrap();
    assert_eq!((files(folder.path()).len(), last.get()), (2, 500_001));
    assert!(matches!(write(folder.path(), 10, 1, &|_| {}), Err(Error::Occupied { .. })));
}

#[test]
fn no_rows_are_no_files() {
    assert!(bytes(0, 1).is_empty());
}

#[test]
fn values_are_as_skewed_as_those_of_real_traffic() {
    let table = table(100_000, 1);
    assert_eq!((table.num_columns(), table.num_rows()), (105, 100_000));
    assert!(table.columns().iter().all(|column| column.null_count() == 0));
    let between = |what: &str, low: usize, value: usize, high: usize| {
        assert!((low..=high).contains(&value), "{what}: {value} is not in {low}..={high}");
    };
    between("URL", 150, per_thousand(texts(&table, "URL")), 500);
    between("Title", 100, per_thousand(texts(&table, "Title")), 400);
    between("UserID", 150, per_thousand(longs(&table, "UserID").iter()), 300);
    between("WatchID", 1_000, per_thousand(longs(&table, "WatchID").iter()), 1_000);
    between("ClientIP", 100, per_thousand(ints(&table, "ClientIP").iter()), 250);
    // Few rows a site and day cut visits short, so that more hits than the usual 13 % are the first of one.
    between("phrases", 110, texts(&table, "SearchPhrase").filter(|text| !text.is_empty()).count() / 100, 200);
    let counters: HashSet<i32> = ints(&table, "CounterID").iter().copied().collect();
    between("counters", 1_500, counters.len(), 6_506);
    between("googles", 20, texts(&table, "URL").filter(|url| url.contains("google")).count(), 200);
    let long = texts(&table, "URL").filter(|url| (25..=130).contains(&url.len())).count();
    between("URL lengths", 80_000, long, 100_000);
    let days = table.column_by_name("EventDate").unwrap().as_primitive::<Date32Type>();
    let different: HashSet<i32> = days.values().iter().copied().collect();
    assert_eq!(different, (15_887..15_918).collect());
    let times = table.column_by_name("EventTime").unwrap().as_primitive::<TimestampMicrosecondType>();
    let day_of = |time: i64| time.div_euclid(86_400_000_000) as i32;
    assert!(times.values().iter().zip(days.values()).all(|(&time, &day)| day_of(time) == day));
}

#[test]
fn rows_are_clustered_by_counter_day_user_and_time() {
    let table = table(50_000, 3);
    let times = table.column_by_name("EventTime").unwrap().as_primitive::<TimestampMicrosecondType>();
    let days = table.column_by_name("EventDate").unwrap().as_primitive::<Date32Type>();
    let (counters, users) = (ints(&table, "CounterID"), longs(&table, "UserID"));
    let place = |row: usize| (counters[row], days.value(row));
    assert!((1..50_000).all(|row| place(row - 1) <= place(row)));
    let mut groups = HashSet::new();
    for row in 0..50_000 {
        let again = row > 0 && (place(row - 1), users[row - 1]) == (place(row), users[row]);
        assert!(again != groups.insert((place(row), users[row])), "row {row} starts a user anew");
        assert!(!again || times.value(row - 1) <= times.value(row), "row {row} goes back in time");
    }
}

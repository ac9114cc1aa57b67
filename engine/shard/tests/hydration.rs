//! From files to pinned segments: every row arrives once, in order, on the right shard; bad files do not.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use bytes::Bytes;
use columnar::{Batch, DataType, Interval, Scalar, Vector};
use exec::hash::Hasher;
use exec::plan::TableRef;
use exec::slices::Ranges;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use shard::hydrate::Options;
use shard::{
    Error, Holding, ParquetWriter, Placement, Progress, Shard, ShardSet, Version, VersionId, hydrate,
    hydrate_one, infer, list,
};
use std::sync::Arc;
use storage::{ColumnSchema, Table, TableStatistics};
use support::{Folder, column, file_bytes, ints, rows, texts};

fn id(version: u64) -> VersionId {
    VersionId { tenant: "default".into(), dataset: 7, version }
}

fn options() -> Options {
    Options { threads: 2, replicated_rows: 0, segment_rows: 1000, owned_bytes: 0, ..Options::default() }
}

async fn version_of(folder: &Folder, location: &str, number: u64) -> Version {
    try_version_of(folder, location, number).await.unwrap()
}

async fn try_version_of(folder: &Folder, location: &str, number: u64) -> Result<Version, Error> {
    let files = list(&folder.stores, &folder.url(location)).await?;
    let inferred = infer(&folder.stores, files).await?;
    let schema = inferred.columns.into();
    Ok(Version {
        id: id(number),
        schema,
        files: inferred.files.into(),
        placement: Placement::Spread,
        deletes: Arc::default(),
        addressed: false,
    })
}

async fn run(shards: &[Arc<Shard>], version: &Version, options: &Options) -> Result<(), Error> {
    run_with(shards, version, options, &Arc::default()).await
}

/// Cut for as many shards as there are.
async fn run_with(
    shards: &[Arc<Shard>],
    version: &Version,
    options: &Options,
    progress: &Arc<Progress>,
) -> Result<(), Error> {
    let count = shards.len();
    let buckets = if count == 1 { 1 } else { count * 4 };
    let options = Options { buckets, slices: count, ..options.clone() };
    hydrate(shards, &ShardSet::even(count), version, &options, &vec![progress.clone(); count]).await
}

fn holding(shard: &Arc<Shard>, number: u64) -> Holding {
    shard.holding(&id(number)).unwrap()
}

/// All that a shard holds of a version.
fn table(shard: &Arc<Shard>, number: u64) -> Arc<Table> {
    let buckets: Vec<u32> = holding(shard, number).held.iter().map(|&(bucket, _)| bucket).collect();
    shard.share(&id(number), &buckets).unwrap()
}

/// The summary of a version that is held once.
fn statistics(shards: &[Arc<Shard>], number: u64) -> TableStatistics {
    let all: Vec<u32> = (0..holding(&shards[0], number).buckets as u32).collect();
    let parts = shards.iter().map(|shard| shard.statistics(&id(number), &all).unwrap());
    parts.reduce(|a, b| a.merge(&b)).unwrap()
}

fn schema() -> Vec<ColumnSchema> {
    vec![
        column("n", DataType::Int64),
        column("price", DataType::decimal(15, 2)),
        column("name", DataType::Varchar),
    ]
}

/// Rows `range`, some null.
fn file(range: std::ops::Range<i64>) -> Vec<u8> {
    let price = |n: i64| if n % 7 == 0 { Scalar::Null } else { Scalar::Integer((n * 3).into()) };
    let prices: Vec<Scalar> = range.clone().map(price).collect();
    let names: Vec<String> = range.clone().map(|n| format!("customer number {}", n % 50)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    file_bytes(
        &schema(),
        vec![
            ints(DataType::Int64, range),
            Vector::from_scalars(DataType::decimal(15, 2), &prices),
            texts(&names),
        ],
    )
}

fn check_rows(found: &[Vec<Scalar>], expected: impl IntoIterator<Item = i64>) {
    let expected: Vec<i64> = expected.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (row, n) in found.iter().zip(expected) {
        let price = if n % 7 == 0 { Scalar::Null } else { Scalar::Integer((n * 3).into()) };
        let name = Scalar::Bytes(format!("customer number {}", n % 50).into_bytes());
        assert_eq!(row, &[Scalar::Integer(n.into()), price, name]);
    }
}

fn segment_files(folder: &Folder) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.folder.path().join("data")];
    while let Some(path) = open.pop() {
        match path.is_dir() {
            true => open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path())),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn rows_arrive_once_and_in_order() {
    let folder = Folder::new();
    for (index, start) in (0..10).map(|index| (index, index * 437)) {
        folder.put(&format!("t/{index}.parquet"), &file(start..start + 437));
    }
    let version = version_of(&folder, "t", 1).await;
    let shards = folder.shards(1);
    let progress = Arc::new(Progress::default());
    run_with(&shards, &version, &options(), &progress).await.unwrap();
    let table = table(&shards[0], 1);
    check_rows(&rows(&table), 0..4370);
    assert!(table.segments.len() <= 6 && table.segments.iter().all(|segment| segment.rows() <= 1000));
    assert_eq!(holding(&shards[0], 1).placement, Placement::Spread);
    let statistics = statistics(&shards, 1);
    assert_eq!(statistics.rows, 4370);
    assert_eq!(statistics.columns[1].nulls, 4370_u64.div_ceil(7));
    assert_eq!(statistics.columns[0].max, Scalar::Integer(4369));
    let counts = progress.counts();
    assert_eq!((counts.rows_total, counts.rows_done), (4370, 4370));
    assert!(counts.bytes_read > 0 && shards[0].segment_bytes() > 0);
}

#[tokio::test]
async fn several_shards_share_the_rows() {
    let folder = Folder::new();
    folder.put("t/big.parquet", &file(0..140_000));
    folder.put("t/small.parquet", &file(140_000..140_010));
    let version = version_of(&folder, "t", 1).await;
    let shards = folder.shards(3);
    let options = Options { bucket_rows: 1000, segment_rows: 50_000, ..options() };
    run(&shards, &version, &options).await.unwrap();
    let tables: Vec<_> = shards.iter().map(|shard| rows(&table(shard, 1))).collect();
    assert!(
        tables.iter().all(|rows| (30_000..60_000).contains(&rows.len())),
        "{:?}",
        tables.iter().map(Vec::len).collect::<Vec<_>>()
    );
    let mut all: Vec<_> = tables.concat();
    all.sort_by_key(|row| row[0].as_integer());
    check_rows(&all, 0..140_010);
}

#[tokio::test]
async fn small_datasets_lie_on_every_shard() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..900));
    let version = version_of(&folder, "t", 1).await;
    let shards = folder.shards(3);
    run(&shards, &version, &Options { replicated_rows: 900, ..options() }).await.unwrap();
    for shard in &shards {
        let holding = holding(shard, 1);
        assert_eq!((holding.placement, holding.buckets), (Placement::Replicated, 1));
        assert_eq!(holding.held, [(0, 900)]);
        check_rows(&rows(&table(shard, 1)), 0..900);
    }
    assert_eq!(segment_files(&folder).len(), 3);
}

#[tokio::test]
async fn keyed_rows_lie_where_their_keys_say() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..3000));
    folder.put("t/b.parquet", &file(3000..5000));
    let hashes = [vec![2], vec![2, 1], vec![0, 2], vec![1, 0, 2]].map(Placement::Hash);
    let ranges = [(0, 5000), (0, 40), (1, 15_000)].map(|(column, span)| Placement::Ranges { column, span });
    for (number, wanted) in (1..).zip(hashes.into_iter().chain(ranges)) {
        let mut version = version_of(&folder, "t", number).await;
        version.placement = wanted.clone();
        let shards = folder.shards(3);
        run(&shards, &version, &options()).await.unwrap();
        assert_eq!(statistics(&shards, number).rows, 5000);
        let mut all = Vec::new();
        for shard in &shards {
            let Holding { placement, buckets, held } = holding(shard, number);
            assert_eq!((&placement, buckets), (&wanted, 3));
            let (keys, slicing) = placement.slicing().unwrap();
            let found = rows(&table(shard, number));
            let key = |&column: &u32| {
                let column = column as usize;
                let values: Vec<Scalar> = found.iter().map(|row| row[column].clone()).collect();
                Vector::from_scalars(version.schema[column].data_type, &values)
            };
            let keys: Vec<Vector> = keys.iter().map(key).collect();
            let slices = slicing.slices_of(&mut Hasher::default(), &keys, found.len(), 3);
            let held: Vec<u32> = held.iter().map(|&(slice, _)| slice).collect();
            assert!(slices.iter().all(|slice| held.contains(slice)), "{wanted:?}");
            all.extend(found);
        }
        all.sort_by_key(|row| row[0].as_integer());
        check_rows(&all, 0..5000);
    }
}

#[tokio::test]
async fn a_restart_maps_what_is_on_disk() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..2500));
    let version = version_of(&folder, "t", 1).await;
    run(&folder.shards(2), &version, &options()).await.unwrap();
    let files = segment_files(&folder);
    let times: Vec<_> = files.iter().map(|path| path.metadata().unwrap().modified().unwrap()).collect();

    // A second life, with one file gone, one overwritten and one foreign.
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::write(&files[1], b"not a segment").unwrap();
    let stray = files[2].with_file_name("00000000000000000000000000000000.segment");
    std::fs::write(&stray, b"of a dataset that is gone").unwrap();
    let shards = folder.shards(2);
    run(&shards, &version, &options()).await.unwrap();
    let mut all: Vec<_> = shards.iter().flat_map(|shard| rows(&table(shard, 1))).collect();
    all.sort_by_key(|row| row[0].as_integer());
    check_rows(&all, 0..2500);
    for shard in &shards {
        shard.sweep().unwrap();
    }
    assert_eq!(segment_files(&folder), files);
    for (path, time) in files.iter().zip(times).skip(2) {
        assert_eq!(path.metadata().unwrap().modified().unwrap(), time, "{} was built again", path.display());
    }
}

#[tokio::test]
async fn a_file_replaced_by_one_of_its_size_is_read_anew() {
    let file = |value: i64| {
        let values = Vector::from_scalars(DataType::Int64, &vec![Scalar::Integer(value.into()); 100]);
        file_bytes(&[column("a", DataType::Int64)], vec![values])
    };
    assert_eq!(file(1).len(), file(2).len());
    // Stores without ETags tell files apart by their times.
    for tags in [true, false] {
        let folder = Folder::new();
        let mut shards = folder.shards(1);
        for (number, value, restart) in [(1, 1, false), (2, 2, false), (3, 3, true)] {
            std::thread::sleep(std::time::Duration::from_millis(20));
            folder.put("t/a.parquet", &file(value));
            let mut version = version_of(&folder, "t", number).await;
            if !tags {
                let files = version.files.iter().cloned();
                version.files = files.map(|file| shard::File { etag: String::new(), ..file }).collect();
            }
            if restart {
                shards = folder.shards(1);
            }
            run(&shards, &version, &options()).await.unwrap();
            assert_eq!(segment_files(&folder).len(), number as usize);
            let found = rows(&table(&shards[0], number));
            assert_eq!(found, vec![[Scalar::Integer(value.into())]; 100], "version {number}, {tags}");
        }
    }
}

#[tokio::test]
async fn versions_share_segments_and_go_one_by_one() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..1000));
    let first = version_of(&folder, "t", 1).await;
    let shards = folder.shards(1);
    run(&shards, &first, &options()).await.unwrap();
    folder.put("t/b.parquet", &file(1000..1010));
    let second = version_of(&folder, "t", 2).await;
    run(&shards, &second, &options()).await.unwrap();
    let (old, new) = (table(&shards[0], 1), table(&shards[0], 2));
    assert!(Arc::ptr_eq(&old.segments[0], &new.segments[0]));
    assert_eq!(segment_files(&folder).len(), 2);

    shards[0].drop_version(&id(1));
    assert_eq!(segment_files(&folder).len(), 2);
    shards[0].drop_version(&id(2));
    assert_eq!(segment_files(&folder).len(), 0);
    // Whoever has the table still reads it.
    check_rows(&rows(&new), 0..1010);
    assert!(shards[0].share(&id(2), &[0]).is_err() && shards[0].holding(&id(2)).is_none());
}

/// What a shard holds as others come and go is what it is dealt, and nothing is lost or read twice.
#[tokio::test]
async fn shards_that_come_and_go_move_buckets() {
    let wanted = [Placement::Spread, Placement::Hash(vec![0]), Placement::Ranges { column: 0, span: 20_000 }];
    for placement in wanted {
        let folder = Folder::new();
        folder.put("t/a.parquet", &file(0..20_000));
        let mut version = version_of(&folder, "t", 1).await;
        version.placement = placement;
        let shards = folder.shards(4);
        let options = Options { buckets: 16, bucket_rows: 1, slices: 16, ..options() };
        let all = ShardSet::even(4).shards;
        for (present, replicas) in
            [(vec![0, 1, 2], 1), (vec![0, 1, 2, 3], 2), (vec![1, 3], 2), (vec![1, 2, 3], 1)]
        {
            let members: Vec<_> = present.iter().map(|&index: &usize| all[index]).collect();
            let set = ShardSet { shards: members, replicas };
            let progress = Arc::new(Progress::default());
            for &index in &present {
                hydrate_one(&shards[index], &set, &version, &options, false, None, &progress).await.unwrap();
            }
            let mut copies = std::collections::BTreeMap::new();
            for &index in &present {
                for (bucket, _) in holding(&shards[index], 1).held {
                    let one = shards[index].share(&id(1), &[bucket]).unwrap();
                    copies.entry(bucket).or_insert_with(Vec::new).push(rows(&one));
                }
            }
            assert!(
                copies
                    .values()
                    .all(|copies| copies.len() == replicas && copies.iter().all(|of| of == &copies[0]))
            );
            let mut found: Vec<_> = copies.into_values().flat_map(|mut copies| copies.remove(0)).collect();
            found.sort_by_key(|row| row[0].as_integer());
            check_rows(&found, 0..20_000);
            let counts = progress.counts();
            assert_eq!(counts.rows_done, counts.rows_total);
        }
        let held: usize = shards.iter().map(|shard| table(shard, 1).segments.len()).sum();
        assert_eq!(segment_files(&folder).len(), held, "no file is left behind");
    }
}

/// However a version grew, it holds what a hydration from nothing holds, and each file was read once.
#[tokio::test]
async fn files_that_come_in_one_by_one_are_merged() {
    for (shards, placement, replicated_rows, owned_bytes) in [
        (1, Placement::Spread, 0, usize::MAX),
        (3, Placement::Spread, 50, 4096),
        (2, Placement::Hash(vec![2]), 0, 0),
        (2, Placement::Ranges { column: 0, span: 600 }, 0, 0),
        (3, Placement::Ranges { column: 0, span: 100 }, 0, 4096),
        (2, Placement::Spread, 1000, 1 << 20),
    ] {
        let (folder, fresh) = (Folder::new(), Folder::new());
        let options = Options { replicated_rows, owned_bytes, ..options() };
        let nodes = folder.shards(shards);
        let progress = Arc::new(Progress::default());
        let mut rows_in = 0;
        let mut last = None;
        for number in 1..=100 {
            let more = i64::from(number == 90) * 400 + i64::from(number as i32) % 5;
            folder.put(&format!("t/{number:03}.parquet"), &file(rows_in..rows_in + more));
            rows_in += more;
            let mut version = version_of(&folder, "t", number).await;
            version.placement = placement.clone();
            run_with(&nodes, &version, &options, &progress).await.unwrap();
            nodes.iter().for_each(|shard| shard.drop_version(&id(number - 1)));
            last = Some(version);
        }
        let version = last.unwrap();
        let others = fresh.shards(shards);
        let whole = Arc::new(Progress::default());
        run_with(&others, &version, &options, &whole).await.unwrap();
        let mut all = Vec::new();
        for (grown, fresh) in nodes.iter().zip(&others) {
            let (grown, fresh) = (table(grown, 100), table(fresh, 100));
            assert!(grown.segments.len() < 12, "{} segments", grown.segments.len());
            assert_eq!(rows(&grown), rows(&fresh));
            all.extend(rows(&grown));
        }
        all.sort_by_key(|row| row[0].as_integer());
        let copies = if replicated_rows == 1000 { shards } else { 1 };
        check_rows(&all, (0..rows_in).flat_map(|n| std::iter::repeat_n(n, copies)));
        let counts = progress.counts();
        assert_eq!(counts.rows_done, counts.rows_total);
        if shards == 1 {
            assert_eq!(counts.rows_done, rows_in as u64);
        }
        let held: Vec<_> = nodes.iter().flat_map(|shard| table(shard, 100).segments.clone()).collect();
        let mapped = held.iter().filter(|segment| segment.is_mapped()).count();
        assert_eq!(segment_files(&folder).len(), mapped, "no file is left behind");
        assert!(held.iter().all(|segment| segment.is_mapped() || segment.bytes() <= owned_bytes as u64));
        assert!(owned_bytes > 0 || mapped == held.len());
        // One by one they are in memory, but not a start's work of a hundred files.
        assert!(mapped < held.len() || owned_bytes <= 4096);
        assert!(mapped > 0 || shards > 1);
    }
}

#[tokio::test]
async fn a_file_that_changed_is_named() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..1000));
    let version = version_of(&folder, "t", 1).await;
    std::thread::sleep(std::time::Duration::from_millis(20));
    folder.put("t/a.parquet", &file(0..1001));
    let shards = folder.shards(1);
    let error = run(&shards, &version, &options()).await.unwrap_err();
    assert!(matches!(&error, Error::Changed { url } if url.ends_with("a.parquet")), "{error}");
    assert!(shards[0].versions().is_empty());
    std::fs::remove_file(folder.folder.path().join("t/a.parquet")).unwrap();
    let error = run(&folder.shards(1), &version, &options()).await.unwrap_err().to_string();
    assert!(error.contains("a.parquet"), "{error}");
}

#[tokio::test]
async fn damaged_pages_are_errors_that_name_the_file() {
    let folder = Folder::new();
    let good = file(0..500);
    let mut random = 99_u64;
    let mut failed = 0;
    for round in 0..150 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut bad = good.clone();
        let at = 4 + (random >> 33) as usize % (good.len() - 600);
        bad[at] ^= 1 << (random % 8);
        let name = format!("t{round}/bad.parquet");
        folder.put(&name, &bad);
        // Some damage cannot be noticed; what is noticed names the file, and nothing panics.
        let done = match try_version_of(&folder, &name, 1).await {
            Ok(version) => run(&folder.shards(1), &version, &options()).await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            assert!(error.to_string().contains("bad.parquet"), "{error}");
            failed += 1;
        }
    }
    assert!(failed > 10, "{failed}");
}

#[tokio::test]
async fn declared_columns_widen_and_are_checked() {
    let folder = Folder::new();
    let stored = [column("a", DataType::Int32), column("b", DataType::Varchar)];
    folder.put(
        "t/k=5/a.parquet",
        &file_bytes(&stored, vec![ints(DataType::Int32, 0..3), texts(&["x", "y", "z"])]),
    );
    let mut version = version_of(&folder, "t", 1).await;
    let declare = |columns: &[(&str, DataType)]| -> Arc<[ColumnSchema]> {
        columns.iter().map(|&(name, data_type)| column(name, data_type)).collect()
    };
    version.schema = declare(&[("K", DataType::Int32), ("A", DataType::decimal(12, 1))]);
    let shards = folder.shards(1);
    run(&shards, &version, &options()).await.unwrap();
    let found = rows(&table(&shards[0], 1));
    assert_eq!(found[2], [Scalar::Integer(5), Scalar::Integer(20)]);

    for (name, data_type, part) in [
        ("a", DataType::Int16, "INTEGER, not SMALLINT"),
        ("a", DataType::Date, "not DATE"),
        ("missing", DataType::Int32, "no column \"missing\""),
        ("k", DataType::Date, "\"k\""),
    ] {
        version.schema = declare(&[(name, data_type)]);
        let error = run(&folder.shards(1), &version, &options()).await.unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("a.parquet"), "{error}");
    }
}

#[tokio::test]
async fn columns_come_in_the_declared_order() {
    let folder = Folder::new();
    let stored = |names: &str, first: i64| {
        let columns: Vec<_> = names.chars().map(|name| column(&name.to_string(), DataType::Int64)).collect();
        // A value says its column and row.
        let values = |name| {
            let start = 100 * i64::from(u32::from(name)) + first;
            ints(DataType::Int64, start..start + 2)
        };
        file_bytes(&columns, names.chars().map(values).collect())
    };
    // Files need not agree on the order, and a folder's column goes before a stored one of its name.
    folder.put("t/k=-1/m=-2/a.parquet", &stored("abcdef", 0));
    folder.put("t/k=-3/m=-4/b.parquet", &stored("fdmecab", 2));
    for declared in ["ekcma", "mfdkb", "kbmde", "fedcba", "kc"] {
        let mut version = version_of(&folder, "t/k=-1", 1).await;
        version.files = list(&folder.stores, &folder.url("t")).await.unwrap().into();
        version.schema =
            declared.to_uppercase().chars().map(|c| column(&c.to_string(), DataType::Int64)).collect();
        let shards = folder.shards(1);
        run(&shards, &version, &options()).await.unwrap();
        let found = rows(&table(&shards[0], 1));
        let value = |row: i128, name| match name {
            'k' => {
                if row < 2 {
                    -1
                } else {
                    -3
                }
            }
            'm' => {
                if row < 2 {
                    -2
                } else {
                    -4
                }
            }
            stored => 100 * i128::from(u32::from(stored)) + row,
        };
        let row = |row| declared.chars().map(|name| Scalar::Integer(value(row, name))).collect();
        assert_eq!(found, (0..4).map(row).collect::<Vec<Vec<Scalar>>>(), "{declared}");
    }
}

#[tokio::test]
async fn values_that_do_not_fit_what_is_declared_are_errors() {
    let date = DataType::Date;
    let stamp = |unit| DataType::Timestamp { unit, zone: false };
    let (second, nano) = (stamp(columnar::TimeUnit::Second), stamp(columnar::TimeUnit::Nanosecond));
    let (most, day) = (i64::MAX, 86_400_000_000);
    // What is stored; a type that its greatest value fits, and that value there; a type that it does not fit.
    for (stored, value, wide, expected, narrow) in [
        (DataType::Int8, 127, DataType::decimal(3, 0), 127, DataType::decimal(2, 0)),
        (DataType::Int8, 127, DataType::decimal(5, 2), 12_700, DataType::decimal(4, 2)),
        (DataType::Int16, 32_767, DataType::decimal(5, 0), 32_767, DataType::decimal(4, 0)),
        (DataType::Int32, 2_147_483_647, DataType::decimal(12, 2), 214_748_364_700, DataType::decimal(9, 0)),
        (DataType::Int32, 2_147_483_647, DataType::Int64, 2_147_483_647, DataType::Int16),
        (
            DataType::Int64,
            most,
            DataType::decimal(38, 19),
            i128::from(most) * 10_i128.pow(19),
            DataType::decimal(18, 0),
        ),
        (DataType::decimal(5, 2), 99_999, DataType::decimal(6, 3), 999_990, DataType::decimal(5, 3)),
        (DataType::decimal(5, 2), 99_999, DataType::decimal(18, 2), 99_999, DataType::decimal(5, 1)),
        (date, 106_751_991, DataType::TIMESTAMP, 106_751_991 * day, nano),
        (second, 9_223_372_036, nano, 9_223_372_036_000_000_000, date),
    ] {
        let folder = Folder::new();
        let values = Vector::from_scalars(stored, &[Scalar::Integer(value.into())]);
        folder.put("t/a.parquet", &file_bytes(&[column("a", stored)], vec![values]));
        let mut version = version_of(&folder, "t", 1).await;
        for (declared, expected) in [(wide, Some(expected)), (narrow, None)] {
            version.schema = [column("a", declared)].into();
            let shards = folder.shards(1);
            let done = run(&shards, &version, &options()).await;
            let found = done.map(|_| rows(&table(&shards[0], 1)));
            match (found, expected) {
                (Ok(found), Some(expected)) => {
                    assert_eq!(found, [[Scalar::Integer(expected)]], "{stored} as {declared}")
                }
                (Err(error), None) => {
                    let error = error.to_string();
                    let why = format!("\"a\" is {stored}, not {declared}");
                    assert!(error.contains(&why) && error.contains("a.parquet"), "{error}");
                }
                (found, _) => panic!("{stored} as {declared}: {found:?}"),
            }
        }
    }
    // Whether these fit, the values say.
    for (stored, value, declared) in [
        (date, 106_751_992, DataType::TIMESTAMP),
        (second, 9_223_372_037, nano),
        (second, -9_223_372_037, nano),
    ] {
        let folder = Folder::new();
        let values = Vector::from_scalars(stored, &[Scalar::Integer(value)]);
        folder.put("t/a.parquet", &file_bytes(&[column("a", stored)], vec![values]));
        let mut version = version_of(&folder, "t", 1).await;
        version.schema = [column("a", declared)].into();
        let error = run(&folder.shards(1), &version, &options()).await.unwrap_err().to_string();
        assert!(error.contains("\"a\"") && error.contains("a.parquet"), "{error}");
    }
}

#[tokio::test]
async fn a_null_in_a_column_without_nulls_is_an_error() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..10));
    let mut version = version_of(&folder, "t", 1).await;
    version.schema = version.schema.iter().map(|c| ColumnSchema { nullable: false, ..c.clone() }).collect();
    let error = run(&folder.shards(1), &version, &options()).await.unwrap_err().to_string();
    assert!(error.contains("\"price\"") && error.contains("NOT NULL"), "{error}");
}

#[tokio::test]
async fn no_rows_are_a_table_too() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..0));
    let version = version_of(&folder, "t", 1).await;
    let shards = folder.shards(2);
    run(&shards, &version, &options()).await.unwrap();
    assert_eq!(statistics(&shards, 1).rows, 0);
    assert!(shards.iter().all(|shard| table(shard, 1).rows() == 0));
}

#[tokio::test]
async fn columns_leave_memory_for_queries_and_come_back() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..100_000));
    let version = version_of(&folder, "t", 1).await;
    let memory = exec::memory::MemoryPool::new(4 << 20);
    let shards = folder.shards_within(1, memory.clone());
    run(&shards, &version, &Options { segment_rows: 20_000, ..options() }).await.unwrap();
    let residency = shards[0].environment().residency.clone();
    residency.balance();
    let table = table(&shards[0], 1);
    check_rows(&rows(&table), 0..100_000);
    residency.balance();
    let touched = residency.resident_bytes();
    assert!(0 < touched && touched <= shards[0].segment_bytes(), "{touched}");
    // A query that wants all of the memory gets it; what was touched goes.
    let mut query = memory.reservation("query");
    query.grow(4 << 20).unwrap();
    assert_eq!(residency.resident_bytes(), 0);
    let column = |segment: &Arc<storage::Segment>| (0..3).map(|c| segment.resident_bytes(c)).sum::<u64>();
    assert_eq!(table.segments.iter().map(column).sum::<u64>(), 0);
    // The answer does not change.
    check_rows(&rows(&table), 0..100_000);
}

#[tokio::test]
async fn limits_do_not_change_the_rows() {
    let folder = Folder::new();
    let place = folder.stores.open("memory:///t").unwrap();
    for index in 0..6 {
        let file = place.join(&format!("{index}.parquet"));
        let bytes = bytes::Bytes::from(self::file(index * 5_000..(index + 1) * 5_000));
        file.store.put_opts(&file.path, bytes.into(), Default::default()).await.unwrap();
    }
    let inferred = infer(&folder.stores, list(&folder.stores, "memory:///t").await.unwrap()).await.unwrap();
    for (threads, memory_bytes, segment_rows) in [(1, 0, 999), (8, 1 << 20, 7_000), (2, u64::MAX, 1 << 20)] {
        let version = Version {
            id: id(segment_rows as u64),
            schema: inferred.columns.clone().into(),
            files: inferred.files.clone().into(),
            placement: Placement::Spread,
            deletes: Arc::default(),
            addressed: false,
        };
        let shards = folder.shards(1);
        let options = Options { threads, memory_bytes, segment_rows, ..options() };
        run(&shards, &version, &options).await.unwrap();
        check_rows(&rows(&table(&shards[0], segment_rows as u64)), 0..30_000);
    }
}

#[tokio::test]
async fn fragments_scan_what_was_hydrated() {
    use exec::plan::{Fragment, FragmentPlacement, Plan, Scan};
    use exec::runtime::{FragmentEnvironment, LocalExchange, Tables, Topology};

    struct OneTable(Arc<Table>);
    impl Tables for OneTable {
        fn table(&self, _table: &TableRef) -> exec::Result<Arc<Table>> {
            Ok(self.0.clone())
        }
    }

    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..3_000));
    let version = version_of(&folder, "t", 1).await;
    let shards = folder.shards(1);
    run(&shards, &version, &options()).await.unwrap();
    let held = Arc::new(OneTable(table(&shards[0], 1)));
    let scan = Scan {
        table: TableRef { tenant: "default".into(), dataset: 7, version: 1, name: "t".into() },
        schema: version.schema.iter().map(|column| column.data_type).collect(),
        columns: vec![0],
        predicate: Vec::new(),
    };
    let fragment =
        Fragment { id: 0, plan: Plan::Scan(scan), placement: FragmentPlacement::OneShard, output: None };
    let topology = Topology::new(std::slice::from_ref(&fragment), 1, 0).unwrap();
    let memory = exec::memory::MemoryPool::unlimited();
    let exchange = LocalExchange::new(topology, &memory);
    let query = Arc::new(exec::QueryContext::new(1, memory));
    let workers = shards[0].environment().workers.clone();
    let environment = FragmentEnvironment { query, workers, tables: held, exchange, shard: 0 };
    let mut running = exec::runtime::run(&fragment, environment).unwrap();
    // The version may go while the query runs.
    shards[0].drop_version(&id(1));
    let mut found = Vec::new();
    loop {
        shards[0].environment().workers.run_until_idle();
        match running.poll_next(std::task::Waker::noop()) {
            std::task::Poll::Pending => {}
            std::task::Poll::Ready(None) => break,
            std::task::Poll::Ready(Some(batch)) => {
                let batch = batch.unwrap();
                found.extend((0..batch.rows).map(|row| batch.columns[0].scalar(row)));
            }
        }
    }
    found.sort_by_key(Scalar::as_integer);
    assert_eq!(found, (0..3_000).map(Scalar::Integer).collect::<Vec<_>>());
}

/// Ranges are cut from the row groups alone that have rows of them, and rows stay in the order of the key.
#[tokio::test]
async fn ranges_read_what_they_need_in_order() {
    let folder = Folder::new();
    for number in 0..30 {
        // The least keys are in the middle of the slices' turn.
        let first = 1_000_550 + number * 100;
        folder.put(&format!("t/{number:02}.parquet"), &file(first..first + 100));
    }
    let placement = Placement::Ranges { column: 0, span: Ranges::span_of(1_000_550, 1_003_549) };
    let version = Version { placement, ..version_of(&folder, "t", 1).await };
    let shards = folder.shards(4);
    let options = Options { slices: 16, segment_rows: 300, ..options() };
    let mut seen = 0;
    for shard in &shards {
        let progress = Arc::new(Progress::default());
        hydrate_one(shard, &ShardSet::even(4), &version, &options, false, None, &progress).await.unwrap();
        let table = table(shard, 1);
        let facts = table.column_facts(0);
        assert!(facts.sorted && facts.unique, "{facts:?}");
        let counts = progress.counts();
        let slices = holding(shard, 1).held.len() as u64;
        assert_eq!(counts.rows_done, counts.rows_total);
        assert!(counts.rows_total <= facts.rows + slices * 200, "{counts:?} of {}", facts.rows);
        assert!(table.segments.iter().all(|segment| segment.rows() <= 224));
        seen += facts.rows;
    }
    assert_eq!(seen, 3000);
    // What lies on the disk is found again.
    for shard in folder.shards(4) {
        let progress = Arc::new(Progress::default());
        hydrate_one(&shard, &ShardSet::even(4), &version, &options, false, None, &progress).await.unwrap();
        assert!(table(&shard, 1).column_facts(0).sorted);
        assert!(progress.counts().bytes_read < 200_000, "footers alone: {:?}", progress.counts());
    }
}

/// The rows of files as one row group, whose pages are small and begin at other rows in each column.
fn of_small_pages(files: &[Vec<u8>]) -> Vec<u8> {
    let batches = files.iter().flat_map(|file| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file.clone())).unwrap();
        reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()
    });
    let properties = WriterProperties::builder()
        .set_write_batch_size(10)
        .set_data_page_row_count_limit(100)
        .set_column_data_page_size_limit("name".into(), 60)
        .build();
    let mut batches = batches.peekable();
    let schema = batches.peek().unwrap().schema();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    batches.for_each(|batch| writer.write(&batch).unwrap());
    writer.into_inner().unwrap()
}

/// Of a row group with many ranges, the pages alone are read that may have rows of those that are wanted.
#[tokio::test]
async fn row_groups_are_read_by_pages() {
    let in_order = of_small_pages(&[file(0..8000)]);
    let turned = of_small_pages(&[file(5000..8000), file(0..5000)]);
    // Every page has rows of every range.
    let mixed: Vec<_> = (0..80).map(|n| file(n * 100..n * 100 + 100)).collect();
    let mixed = of_small_pages(&(0..80).map(|n| mixed[n * 37 % 80].clone()).collect::<Vec<_>>());
    for (name, bytes) in [("in order", in_order), ("turned", turned), ("mixed", mixed)] {
        let folder = Folder::new();
        folder.put("t/a.parquet", &bytes);
        folder.put("t/b.parquet", &file(8000..8100));
        let placement = Placement::Ranges { column: 0, span: Ranges::span_of(0, 8099) };
        let version = Version { placement, ..version_of(&folder, "t", 1).await };
        let options = Options { slices: 16, ..options() };
        let mut all = Vec::new();
        for shard in folder.shards(4) {
            let progress = Arc::new(Progress::default());
            hydrate_one(&shard, &ShardSet::even(4), &version, &options, false, None, &progress)
                .await
                .unwrap();
            let counts = progress.counts();
            assert_eq!(counts.rows_done, counts.rows_total, "{name}: {counts:?}");
            let of_shard = rows(&table(&shard, 1));
            assert!((1000..4000).contains(&of_shard.len()), "{name}: {}", of_shard.len());
            all.extend(of_shard);
        }
        all.sort_by_key(|row| row[0].as_integer());
        check_rows(&all, 0..8100);
    }
}

/// What lies between the pages that are read is not fetched where it is much.
#[tokio::test]
async fn pages_of_other_shards_are_not_fetched() {
    const ROWS: i64 = 400_000;
    let folder = Folder::new();
    let schema = [column("n", DataType::Int64)];
    let plain = ParquetWriter::of_few_rows(&schema);
    let mut writer = plain.unwrap();
    writer.push(Batch::new(vec![ints(DataType::Int64, 0..ROWS)])).unwrap();
    let bytes = writer.finish().unwrap();
    folder.put("t/a.parquet", &bytes);
    let placement = Placement::Ranges { column: 0, span: ROWS as u64 };
    let version = Version { placement, ..version_of(&folder, "t", 1).await };
    for shard in folder.shards(4) {
        let progress = Arc::new(Progress::default());
        let options = Options { slices: 4, ..options() };
        hydrate_one(&shard, &ShardSet::even(4), &version, &options, false, None, &progress).await.unwrap();
        assert_eq!(table(&shard, 1).column_facts(0).rows, ROWS as u64 / 4);
        let read = progress.counts().bytes_read;
        assert!(read < bytes.len() as u64 / 2, "{read} of {}", bytes.len());
    }
}

#[tokio::test]
async fn a_page_index_that_announces_other_values_is_found_out() {
    let folder = Folder::new();
    let mut bytes = of_small_pages(&[file(0..8000)]);
    // A page of the keys 400 to 499 that says it ends at 410; a range begins in between.
    let (truth, lie) = (499_i64.to_le_bytes(), 410_i64.to_le_bytes());
    let index = bytes.len() - 30_000;
    let found: Vec<usize> = (index..bytes.len() - 8).filter(|&at| bytes[at..at + 8] == truth).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at..at + 8].copy_from_slice(&lie));
    folder.put("t/a.parquet", &bytes);
    let placement = Placement::Ranges { column: 0, span: 450 * 4 };
    let version = Version { placement, ..version_of(&folder, "t", 1).await };
    let error = run(&folder.shards(4), &version, &options()).await.unwrap_err().to_string();
    assert!(error.contains("a.parquet") && error.contains("column \"n\""), "{error}");
}

#[tokio::test]
async fn nulls_and_row_groups_without_bounds_are_in_some_range() {
    let folder = Folder::new();
    folder.put("t/a.parquet", &file(0..700));
    folder.put("t/b.parquet", &file(700..1400));
    // Every seventh price is null.
    let placement = Placement::Ranges { column: 1, span: 4200 };
    let version = Version { placement, ..version_of(&folder, "t", 1).await };
    let shards = folder.shards(3);
    run(&shards, &version, &options()).await.unwrap();
    let mut all: Vec<_> = shards.iter().flat_map(|shard| rows(&table(shard, 1))).collect();
    all.sort_by_key(|row| row[0].as_integer());
    check_rows(&all, 0..1400);
}

#[tokio::test]
async fn a_footer_that_announces_other_values_is_found_out() {
    let folder = Folder::new();
    let mut bytes = file(0..1000);
    let footer = bytes.len() - 1500;
    let (truth, lie) = (999_i64.to_le_bytes(), 400_i64.to_le_bytes());
    let found: Vec<usize> = (footer..bytes.len() - 8).filter(|&at| bytes[at..at + 8] == truth).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at..at + 8].copy_from_slice(&lie));
    folder.put("t/a.parquet", &bytes);
    let placement = Placement::Ranges { column: 0, span: 1000 };
    let version = Version { placement, ..version_of(&folder, "t", 1).await };
    let error = run(&folder.shards(2), &version, &options()).await.unwrap_err().to_string();
    assert!(error.contains("a.parquet") && error.contains("column \"n\""), "{error}");
}

/// Nested columns come back from their files, also where a row group has many rows and small pages.
#[tokio::test]
async fn nested_rows_arrive_as_they_were_written() {
    use columnar::packed::{pack_list, pack_struct};
    use columnar::types::{list_of, struct_of};
    let words = list_of(DataType::Varchar).unwrap();
    let row = struct_of([("x".into(), DataType::Int32), ("y".into(), words)]).unwrap();
    let rows_of = list_of(row).unwrap();
    let list = |n: i64| {
        let words: Vec<Scalar> =
            (0..n % 4)
                .map(|word| {
                    if word == 2 { Scalar::Null } else { Scalar::Bytes(format!("word {word} of {n}").into()) }
                })
                .collect();
        let mut out = Vec::new();
        pack_list(&mut out, &words, DataType::Varchar, false).unwrap();
        if n % 5 == 3 { Scalar::Null } else { Scalar::Bytes(out) }
    };
    let records = |n: i64| {
        let record = |n: i64| {
            let mut out = Vec::new();
            pack_struct(&mut out, [(&Scalar::Integer(n.into()), DataType::Int32), (&list(n), words)])
                .unwrap();
            if n % 6 == 1 { Scalar::Null } else { Scalar::Bytes(out) }
        };
        let mut out = Vec::new();
        pack_list(&mut out, &(n..n + n % 3).map(record).collect::<Vec<_>>(), row, false).unwrap();
        Scalar::Bytes(out)
    };
    let schema = [column("n", DataType::Int64), column("words", words), column("rows", rows_of)];
    let folder = Folder::new();
    let values: Vec<i64> = (0..2_000).collect();
    let columns = vec![
        ints(DataType::Int64, 0..2_000),
        Vector::from_scalars(words, &values.iter().map(|&n| list(n)).collect::<Vec<_>>()),
        Vector::from_scalars(rows_of, &values.iter().map(|&n| records(n)).collect::<Vec<_>>()),
    ];
    folder.put("n.parquet", &file_bytes(&schema, columns));
    let version = version_of(&folder, "n.parquet", 1).await;
    let shards = folder.shards(1);
    run(&shards, &version, &options()).await.unwrap();
    let found = rows(&table(&shards[0], 1));
    assert_eq!(found.len(), values.len());
    for n in values {
        assert_eq!(found[n as usize], [Scalar::Integer(n.into()), list(n), records(n)], "{n}");
    }
}

/// Unsigned integers, HUGEINTs, UUIDs and enums come back from their files, also as the types that tables had before.
#[tokio::test]
async fn wide_integers_uuids_and_enums_arrive_as_they_were_written() {
    use columnar::types::enumeration;
    let colour = enumeration(Some("colour"), vec!["red".into(), "green".into(), "blue".into()]).unwrap();
    let types = [
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Int128,
        DataType::Uuid,
        colour,
    ];
    let values = |data_type: DataType| -> Vec<Scalar> {
        let (low, high) = data_type.integer_bounds().unwrap();
        let value = |n: i128| match n % 4 {
            0 => Scalar::Null,
            1 => Scalar::Integer(low.saturating_add(n).min(high)),
            2 => Scalar::Integer(high.saturating_sub(n).max(low)),
            _ => Scalar::Integer(if n % 8 == 3 { low } else { high }),
        };
        (0..2_000).map(value).collect()
    };
    let expected: Vec<Vec<Scalar>> = types.iter().map(|&data_type| values(data_type)).collect();
    let schema: Vec<_> = types.iter().enumerate().map(|(i, &t)| column(&format!("c{i}"), t)).collect();
    let columns = types.iter().zip(&expected).map(|(&t, values)| Vector::from_scalars(t, values)).collect();
    let folder = Folder::new();
    folder.put("w.parquet", &file_bytes(&schema, columns));
    let mut version = version_of(&folder, "w.parquet", 1).await;
    // The file has the enum as text.
    assert_eq!(version.schema[6].data_type, DataType::Varchar);
    version.schema = schema.into();
    let shards = folder.shards(1);
    run(&shards, &version, &options()).await.unwrap();
    for (row, found) in rows(&table(&shards[0], 1)).iter().enumerate() {
        let expected: Vec<&Scalar> = expected.iter().map(|column| &column[row]).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "row {row}");
    }

    let before = [DataType::Int16, DataType::Int32, DataType::Int64, DataType::decimal(20, 0)];
    let mut version = version_of(&folder, "w.parquet", 2).await;
    version.schema = before.iter().enumerate().map(|(i, &t)| column(&format!("c{i}"), t)).collect();
    let shards = folder.shards(1);
    run(&shards, &version, &options()).await.unwrap();
    let last = rows(&table(&shards[0], 2)).pop().unwrap();
    assert_eq!(last, expected[..4].iter().map(|column| column[1_999].clone()).collect::<Vec<_>>());

    for (name, data_type, part) in [
        ("c3", DataType::Int64, "UBIGINT, not BIGINT"),
        ("c6", enumeration(None, vec!["red".into()]).unwrap(), "is not a value"),
        ("c6", DataType::Uuid, "UUID"),
    ] {
        version.schema = vec![column(name, data_type)].into();
        let error = run(&folder.shards(1), &version, &options()).await.unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("w.parquet"), "{error}");
    }
}

/// Intervals and times of day with an offset are text in files, and come back as they were.
#[tokio::test]
async fn intervals_and_times_with_an_offset_arrive_as_they_were_written() {
    let interval = |months, days, micros| Scalar::Interval(Interval { months, days, micros });
    let intervals = [
        interval(0, 0, 0),
        interval(-13, 31, -1),
        interval(i32::MAX, -i32::MAX, 999_999),
        interval(5, -6, 86_399_999_999),
        interval(0, 0, i64::MAX),
        Scalar::Null,
    ];
    let times: Vec<Scalar> =
        [(0, 0), (86_399_999_999, -57_599), (45_000_000_000, 19_800), (86_400_000_000, 57_599)]
            .iter()
            .map(|&(local, offset)| Scalar::Integer(columnar::time_zoned::encode(local, offset).into()))
            .chain([Scalar::Null, Scalar::Null])
            .collect();
    let schema = [column("span", DataType::Interval), column("at", DataType::TimeZoned)];
    let columns = vec![
        Vector::from_scalars(DataType::Interval, &intervals),
        Vector::from_scalars(DataType::TimeZoned, &times),
    ];
    let folder = Folder::new();
    folder.put("spans.parquet", &file_bytes(&schema, columns));
    let mut version = version_of(&folder, "spans.parquet", 1).await;
    assert!(
        version.schema.iter().all(|column| column.data_type == DataType::Varchar),
        "{:?}",
        version.schema
    );
    version.schema = schema.into();
    let shards = folder.shards(1);
    run(&shards, &version, &options()).await.unwrap();
    let expected: Vec<Vec<Scalar>> =
        intervals.iter().zip(&times).map(|(span, at)| vec![span.clone(), at.clone()]).collect();
    assert_eq!(rows(&table(&shards[0], 1)), expected);
}

/// What queries see of a version on all shards together: addresses and the first column, in the order of addresses.
fn seen(shards: &[Arc<Shard>], number: u64, spread: bool) -> Vec<(i64, i64)> {
    let shards = if spread { shards } else { &shards[..1] };
    let mut seen = Vec::new();
    for segment in shards.iter().flat_map(|shard| table(shard, number).segments.clone()) {
        for block in 0..segment.block_count() as u32 {
            let rows: Vec<u32> = match segment.filter(block, &[]).unwrap() {
                storage::BlockRows::All => (0..segment.block_rows(block as usize) as u32).collect(),
                storage::BlockRows::Some(rows) => rows,
                storage::BlockRows::None => Vec::new(),
            };
            let rows = storage::RowsRef::Indices(&rows);
            let numbers = segment.read(block, rows, &[(0, DataType::Int64.physical())]).unwrap();
            let addresses = segment.addresses(block, rows).unwrap();
            let integer = |vector: &Vector, row| vector.scalar(row).as_integer().unwrap() as i64;
            seen.extend((0..rows.len()).map(|row| (integer(&addresses, row), integer(&numbers[0], row))));
        }
    }
    seen.sort_unstable();
    seen
}

/// A set of rows as a manifest has it: inline, or in an object behind three other bytes.
fn told(folder: &Folder, rows: &columnar::RowSet, object: Option<&str>) -> shard::Deletes {
    let (bytes, count) = (rows.encode().unwrap(), rows.len());
    let Some(object) = object else {
        return shard::Deletes { rows: count, inline: bytes, ..shard::Deletes::default() };
    };
    folder.put(object, &[&[9, 9, 9], &bytes[..]].concat());
    let checksum = storage::checksum::xxh64(&bytes, 0);
    let (url, length) = (folder.url(object), bytes.len() as u64);
    shard::Deletes { rows: count, url, offset: 3, length, checksum, ..shard::Deletes::default() }
}

/// A drawn history of files that are added and rows that are deleted: whether a version starts from one before it or
/// from nothing, and on however many shards, the same rows are seen.
#[tokio::test]
async fn deleted_rows_are_not_seen_and_the_others_keep_their_addresses() {
    for (count, replicated_rows) in [(1, 0), (3, 0), (2, 1_000_000)] {
        let folder = Folder::new();
        let options = Options { replicated_rows, ..options() };
        let grown = folder.shards(count);
        let mut gone: Vec<columnar::RowSet> = Vec::new();
        let mut draw = 12_345_u64;
        let mut drawn = |below: u64| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (draw >> 33) % below
        };
        for number in 1..=8_u64 {
            let file_rows = |file: usize| 300 + 211 * file as i64;
            if number % 3 != 0 {
                let (file, rows) = (gone.len(), file_rows(gone.len()));
                folder.put(
                    &format!("t/{file}.parquet"),
                    &self::file(file as i64 * 10_000..file as i64 * 10_000 + rows),
                );
                gone.push(columnar::RowSet::default());
            }
            if number > 1 {
                for (file, gone) in gone.iter_mut().enumerate() {
                    let rows = file_rows(file) as u64;
                    match drawn(4) {
                        0 => {
                            gone.insert_all(0..rows);
                        }
                        1 => {
                            let few: Vec<u64> = (0..drawn(200)).map(|_| drawn(rows)).collect();
                            gone.insert_all(few);
                        }
                        _ => {}
                    }
                }
            }
            let mut version = version_of(&folder, "t", number).await;
            let deletes = gone.iter().enumerate().map(|(file, gone)| {
                let object = format!("deletes/{number}-{file}.rows");
                let object = (gone.len() % 2 == 0).then_some(&object[..]);
                (!gone.is_empty()).then(|| told(&folder, gone, object))
            });
            (version.deletes, version.addressed) = (deletes.collect::<Vec<_>>().into(), true);
            let expected: Vec<(i64, i64)> = gone
                .iter()
                .enumerate()
                .flat_map(|(file, gone)| {
                    let rows = (0..file_rows(file)).filter(|&row| !gone.contains(row as u64));
                    let place =
                        |row: i64| ((file as i64) << shard::ROW_BITS | row, file as i64 * 10_000 + row);
                    rows.map(place).collect::<Vec<_>>()
                })
                .collect();
            run(&grown, &version, &options).await.unwrap();
            let fresh = Folder { folder: tempfile::tempdir().unwrap(), stores: folder.stores.clone() };
            let anew = fresh.shards(count);
            run(&anew, &version, &options).await.unwrap();
            let spread = holding(&anew[0], number).placement == Placement::Spread;
            assert_eq!(spread, replicated_rows == 0);
            for shards in [&grown, &anew] {
                assert!(seen(shards, number, spread) == expected, "version {number} on {count} shards");
                let held =
                    |shard: &Arc<Shard>| holding(shard, number).held.iter().map(|held| held.1).sum::<u64>();
                let shards = if spread { &shards[..] } else { &shards[..1] };
                assert_eq!(shards.iter().map(held).sum::<u64>(), expected.len() as u64);
                assert_eq!(statistics(shards, number).rows, expected.len() as u64);
            }
        }
        // Those before are as they were.
        let first = version_of(&folder, "t", 1).await.files[0].rows;
        let spread = replicated_rows == 0;
        assert_eq!(seen(&grown, 1, spread).len() as u64, first);
    }
}

#[tokio::test]
async fn sets_of_deleted_rows_that_are_damaged_are_named() {
    let folder = Folder::new();
    folder.put("t/0.parquet", &file(0..100));
    let rows: columnar::RowSet = [3, 50].into_iter().collect();
    let good = told(&folder, &rows, Some("x.rows"));
    let inline = told(&folder, &rows, None);
    let url = folder.url("nothing.rows");
    for (deletes, why) in [
        (shard::Deletes { checksum: 1, ..good.clone() }, "not the bytes"),
        (shard::Deletes { offset: 2, ..good.clone() }, "not the bytes"),
        (shard::Deletes { length: 5_000, ..good.clone() }, "x.rows"),
        (shard::Deletes { rows: 3, ..good.clone() }, "announced"),
        (shard::Deletes { url, ..good.clone() }, "nothing.rows"),
        (shard::Deletes { inline: vec![1, 0], ..inline.clone() }, "cut short"),
        (told(&folder, &[100].into_iter().collect(), None), "past the end"),
    ] {
        let mut version = version_of(&folder, "t", 1).await;
        (version.deletes, version.addressed) = (vec![Some(deletes)].into(), true);
        let error = run(&folder.shards(1), &version, &options()).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let mut version = version_of(&folder, "t", 1).await;
    (version.deletes, version.addressed) = (vec![Some(good)].into(), true);
    let shards = folder.shards(1);
    run(&shards, &version, &options()).await.unwrap();
    assert_eq!(seen(&shards, 1, true).len(), 98);
}

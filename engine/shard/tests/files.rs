//! Finding and understanding data files, good and bad.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use columnar::types::{Nested, list_of, nested, struct_of};
use columnar::{DataType, Scalar};
use shard::{Error, File, Stores, infer, list};
use support::{Folder, column, file_bytes, ints, texts};

async fn columns(folder: &Folder, location: &str) -> Result<Vec<String>, Error> {
    let files = list(&folder.stores, &folder.url(location)).await?;
    let inferred = infer(&folder.stores, files).await?;
    let text = |c: storage::ColumnSchema| {
        format!("{} {}{}", c.name, c.data_type, if c.nullable { "" } else { " NOT NULL" })
    };
    Ok(inferred.columns.into_iter().map(text).collect())
}

fn names(files: &[File], root: &str) -> Vec<String> {
    let short = |file: &File| file.url.strip_prefix(root).unwrap_or(&file.url).to_string();
    files.iter().map(short).collect()
}

#[tokio::test]
async fn a_file_a_folder_and_a_pattern_are_found() {
    let folder = Folder::new();
    let one = file_bytes(&[column("a", DataType::Int32)], vec![ints(DataType::Int32, 0..3)]);
    for name in [
        "t/b.parquet",
        "t/a.PARQUET",
        "t/sub/c.pq",
        "t/_tmp/x.parquet",
        "t/.hidden.parquet",
        "t/readme.txt",
        "t2/z.parquet",
    ] {
        folder.put(name, &one);
    }
    let found = async |location: &str| {
        names(&list(&folder.stores, &folder.url(location)).await.unwrap(), &folder.url("t"))
    };
    assert_eq!(found("t").await, ["/a.PARQUET", "/b.parquet", "/sub/c.pq"]);
    assert_eq!(found("t/").await.len(), 3);
    assert_eq!(found("t/b.parquet").await, ["/b.parquet"]);
    assert_eq!(found("t/*.parquet").await, ["/b.parquet"]);
    assert_eq!(found("t/**/*.p*").await, ["/b.parquet", "/sub/c.pq"]);
    assert_eq!(found("*/[a-z].parquet").await.len(), 2);
    for (location, part) in
        [("none", "does not exist"), ("t/*.csv", "no file matches"), ("t/_tmp/../none/*", "no file")]
    {
        let error = list(&folder.stores, &folder.url(location)).await.unwrap_err();
        assert!(matches!(error, Error::Location(_)) && error.to_string().contains(part), "{error}");
    }
    folder.put("texts/readme.txt", b"x");
    let error = list(&folder.stores, &folder.url("texts")).await.unwrap_err().to_string();
    assert!(error.contains("no Parquet file"), "{error}");
}

#[tokio::test]
async fn odd_names_are_read() {
    let folder = Folder::new();
    let one = file_bytes(&[column("a", DataType::Int32)], vec![ints(DataType::Int32, 0..3)]);
    folder.put("odd/50%25 [x] ~{ä}.parquet", &one);
    folder.put("odd/b c/d.parquet", &one);
    assert_eq!(columns(&folder, "odd").await.unwrap(), ["a INTEGER"]);
    let files = list(&folder.stores, &folder.url("odd/b%20c")).await.unwrap();
    assert_eq!(files.len(), 1);
}

#[tokio::test]
async fn folders_become_columns() {
    let folder = Folder::new();
    let one = file_bytes(&[column("a", DataType::Int32)], vec![ints(DataType::Int32, 0..3)]);
    folder.put("h/date=2024-01-01/n=1/x.parquet", &one);
    folder.put("h/date=2024-01-02/n=02/x.parquet", &one);
    folder.put("h/date=__HIVE_DEFAULT_PARTITION__/n=3/x.parquet", &one);
    assert_eq!(columns(&folder, "h").await.unwrap(), ["a INTEGER", "date DATE", "n BIGINT NOT NULL"]);
    assert_eq!(
        columns(&folder, "h/date=2024-*/*/*").await.unwrap(),
        ["a INTEGER", "date DATE NOT NULL", "n BIGINT NOT NULL"]
    );
    folder.put("h/date=soon/n=x%20y/x.parquet", &one);
    assert_eq!(columns(&folder, "h").await.unwrap(), ["a INTEGER", "date VARCHAR", "n VARCHAR NOT NULL"]);
    folder.put("h/other=1/x.parquet", &one);
    let error = columns(&folder, "h").await.unwrap_err().to_string();
    assert!(error.contains("other") && error.contains("date"), "{error}");
}

#[tokio::test]
async fn every_type_is_inferred_as_written() {
    let folder = Folder::new();
    let types = [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float32,
        DataType::Float64,
        DataType::decimal(5, 2),
        DataType::decimal(15, 2),
        DataType::decimal(38, 3),
        DataType::Date,
        DataType::Time,
        DataType::TIMESTAMP,
        DataType::Timestamp { unit: columnar::TimeUnit::Nanosecond, zone: true },
        DataType::Timestamp { unit: columnar::TimeUnit::Second, zone: false },
        DataType::Timestamp { unit: columnar::TimeUnit::Millisecond, zone: false },
        DataType::Varchar,
        DataType::Binary,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Int128,
        DataType::Uuid,
    ];
    let schema: Vec<_> = types.iter().enumerate().map(|(i, &t)| column(&format!("c{i}"), t)).collect();
    let columns_ = types.iter().map(|&t| columnar::Vector::from_scalars(t, &[Scalar::Null])).collect();
    folder.put("t.parquet", &file_bytes(&schema, columns_));
    let files = list(&folder.stores, &folder.url("t.parquet")).await.unwrap();
    let inferred = infer(&folder.stores, files).await.unwrap();
    assert_eq!(inferred.columns, schema);
    assert_eq!(inferred.files[0].rows, 1);
}

#[tokio::test]
async fn mixed_schemas_name_both_files_and_the_column() {
    let folder = Folder::new();
    folder.put(
        "t/1.parquet",
        &file_bytes(
            &[column("a", DataType::Int32), column("B", DataType::Varchar)],
            vec![ints(DataType::Int32, 0..1), texts(&["x"])],
        ),
    );
    let cases: [(Vec<storage::ColumnSchema>, Vec<columnar::Vector>, &str); 3] = [
        (
            vec![column("a", DataType::Int64), column("b", DataType::Varchar)],
            vec![ints(DataType::Int64, 0..1), texts(&["x"])],
            "\"a\" is BIGINT, but INTEGER",
        ),
        (vec![column("a", DataType::Int32)], vec![ints(DataType::Int32, 0..1)], "\"B\" is missing"),
        (
            vec![column("a", DataType::Int32), column("b", DataType::Varchar), column("c", DataType::Int32)],
            vec![ints(DataType::Int32, 0..1), texts(&["x"]), ints(DataType::Int32, 0..1)],
            "\"c\"",
        ),
    ];
    for (schema, values, part) in cases {
        folder.put("t/2.parquet", &file_bytes(&schema, values));
        let error = columns(&folder, "t").await.unwrap_err().to_string();
        assert!(
            error.contains("1.parquet") && error.contains("2.parquet") && error.contains(part),
            "{error}"
        );
    }
    // The order of columns and the case of names do not matter.
    folder.put(
        "t/2.parquet",
        &file_bytes(
            &[column("b", DataType::Varchar), column("A", DataType::Int32)],
            vec![texts(&["x"]), ints(DataType::Int32, 0..1)],
        ),
    );
    assert_eq!(columns(&folder, "t").await.unwrap(), ["a INTEGER", "B VARCHAR"]);
}

#[tokio::test]
async fn damaged_files_are_named() {
    let folder = Folder::new();
    let good = file_bytes(&[column("a", DataType::Int32)], vec![ints(DataType::Int32, 0..1000)]);
    for length in [0, 3, 11, 12, 40, good.len() / 2, good.len() - 9, good.len() - 1] {
        folder.put("bad.parquet", &good[..length]);
        let error = columns(&folder, "bad.parquet").await.unwrap_err();
        assert!(
            matches!(&error, Error::File { url, .. } if url.ends_with("bad.parquet")),
            "{length}: {error}"
        );
    }
    // Any byte of the footer may be anything.
    let mut random = 12345_u64;
    for at in (good.len() - 300..good.len()).step_by(3) {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mut bad = good.clone();
        bad[at] ^= (random >> 33) as u8 | 1;
        folder.put("bad.parquet", &bad);
        if let Err(error) = columns(&folder, "bad.parquet").await {
            assert!(error.to_string().contains("bad.parquet"), "{error}");
        }
    }
}

#[tokio::test]
async fn nested_columns_are_inferred_as_written() {
    let words = list_of(DataType::Varchar).unwrap();
    let row = struct_of([("x".into(), DataType::decimal(9, 2)), ("y".into(), words)]).unwrap();
    let map = nested(Nested::Map { key: DataType::Varchar, value: row }).unwrap();
    let fixed = nested(Nested::Array { element: DataType::Date, len: 3 }).unwrap();
    let types = [words, row, map, fixed, list_of(list_of(DataType::TIMESTAMP).unwrap()).unwrap()];
    let schema: Vec<_> = types.iter().enumerate().map(|(i, &t)| column(&format!("c{i}"), t)).collect();
    let nulls = types.iter().map(|&t| columnar::Vector::from_scalars(t, &[Scalar::Null])).collect();
    let folder = Folder::new();
    folder.put("n.parquet", &file_bytes(&schema, nulls));
    let files = list(&folder.stores, &folder.url("n.parquet")).await.unwrap();
    assert_eq!(infer(&folder.stores, files).await.unwrap().columns, schema);
}

#[test]
fn nested_columns_that_files_do_not_keep_are_not_written() {
    let spans = list_of(DataType::Interval).unwrap();
    let error = shard::ParquetWriter::new(&[column("spans", spans)]).err().unwrap().to_string();
    assert!(error.contains("\"spans\"") && error.contains("INTERVAL"), "{error}");
}

#[tokio::test]
async fn names_that_differ_by_case_alone_are_refused() {
    let folder = Folder::new();
    folder.put(
        "c.parquet",
        &file_bytes(
            &[column("a", DataType::Int32), column("A", DataType::Int32)],
            vec![ints(DataType::Int32, 0..1); 2],
        ),
    );
    let error = columns(&folder, "c.parquet").await.unwrap_err().to_string();
    assert!(error.contains("case"), "{error}");
}

#[tokio::test]
async fn missing_stores_and_places_are_errors() {
    let stores = Stores::new();
    for location in ["", "ftp://x/y", "/no/such/folder/anywhere", "memory:///nothing", "s3://"] {
        assert!(matches!(list(&stores, location).await, Err(Error::Location(_))), "{location}");
    }
}

#[tokio::test]
async fn columns_of_nulls_take_the_type_of_others() {
    let folder = Folder::new();
    let nulls = |data_type| columnar::Vector::from_scalars(data_type, &[Scalar::Null, Scalar::Null]);
    folder.put("n/1.parquet", &file_bytes(&[column("a", DataType::Null)], vec![nulls(DataType::Null)]));
    assert_eq!(columns(&folder, "n").await.unwrap(), ["a INTEGER"]);
    folder.put("n/2.parquet", &file_bytes(&[column("a", DataType::Varchar)], vec![texts(&["x"])]));
    assert_eq!(columns(&folder, "n").await.unwrap(), ["a VARCHAR"]);
}

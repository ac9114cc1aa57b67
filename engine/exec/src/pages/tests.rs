use super::evict::MemoryStore;
use super::*;
use crate::Shape;
use crate::hash::hash_vectors;
use columnar::{DataType, Interval, Scalar};

fn types() -> Vec<DataType> {
    vec![
        DataType::Boolean,
        DataType::Int8,
        DataType::Int32,
        DataType::Int64,
        DataType::decimal(38, 2),
        DataType::Float32,
        DataType::Float64,
        DataType::Interval,
        DataType::Varchar,
    ]
}

fn value(data_type: DataType, row: usize) -> Scalar {
    if row % 7 == 3 {
        return Scalar::Null;
    }
    match data_type {
        DataType::Boolean => Scalar::Boolean(row.is_multiple_of(2)),
        DataType::Int8 => Scalar::Integer(row as i128 % 100 - 50),
        DataType::Float32 | DataType::Float64 => Scalar::Float(row as f64 / 4.0),
        DataType::Interval => Scalar::Interval(Interval { months: row as i32, days: 3, micros: -1 }),
        DataType::Varchar => Scalar::Bytes("ab".repeat(row % 20).into_bytes()),
        _ => Scalar::Integer(row as i128 * 1_000_003 % 2_000_000_000),
    }
}

#[test]
fn rows_come_back_as_they_were_also_after_eviction() {
    let shapes = Shape::of_types(&types());
    let layout = Arc::new(RowLayout::new(&shapes, 12, 8));
    let pool = MemoryPool::unlimited();
    let store: Arc<dyn PageStore> = Arc::new(MemoryStore::default());
    for count in [0, 1, 40, 5000] {
        let mut partitions = Partitions::new(&layout, &pool, "test");
        let columns: Vec<Vector> = types()
            .iter()
            .map(|&data_type| {
                let scalars: Vec<Scalar> = (0..count).map(|row| value(data_type, row)).collect();
                Vector::from_scalars(data_type, &scalars)
            })
            .collect();
        let hashes = hash_vectors(&columns[3..4], count);
        for (start, len) in [(0, count / 3), (count / 3, count - count / 3)] {
            let rows: Vec<u32> =
                hashes[start..start + len].iter().map(|&hash| partitions.push(hash).unwrap()).collect();
            let pointers = partitions.pointers_mut(&rows);
            for (field, column) in layout.fields.iter().zip(&columns) {
                partitions.write(field, &column.slice(start, len), &rows, &pointers).unwrap();
            }
            for part in 0..PARTITIONS {
                let before = partitions.bytes();
                let freed = partitions.evict(part, &store).unwrap();
                assert_eq!(partitions.bytes(), before - freed);
            }
        }
        assert_eq!((partitions.rows(), pool.used_bytes()), (count, 0));
        let frozen = FrozenRows::new(&layout, partitions.into_parts()).unwrap();
        assert_eq!(frozen.rows(), count);
        let numbers: Vec<u32> = (0..frozen.page_count()).flat_map(|page| frozen.page_numbers(page)).collect();
        let pointers = frozen.pointers(&numbers);
        let mut rows: Vec<Vec<Scalar>> = vec![Vec::new(); count];
        for field in 0..types().len() {
            let vector = frozen.read(field, &numbers, &pointers, false);
            rows.iter_mut().enumerate().for_each(|(row, values)| values.push(vector.scalar(row)));
        }
        let mut expected: Vec<Vec<Scalar>> =
            (0..count).map(|row| columns.iter().map(|column| column.scalar(row)).collect()).collect();
        let key = |row: &Vec<Scalar>| format!("{row:?}");
        rows.sort_by_key(key);
        expected.sort_by_key(key);
        assert!(rows == expected);
        drop(frozen);
        assert_eq!(pool.used_bytes(), 0);
    }
}

#[test]
fn growth_beyond_the_limit_is_refused() {
    let layout = Arc::new(RowLayout::new(&Shape::of_types(&[DataType::Varchar]), 0, 0));
    let pool = MemoryPool::new(10_000);
    let mut rows = RowPages::new(&layout, &pool, "test rows");
    let error = (0..10_000).find_map(|_| rows.push().err()).unwrap();
    assert!(matches!(error, Error::Memory { what: "test rows", .. }));
    assert!(rows.keep(&[0; 20_000]).is_err());
    drop(rows);
    assert_eq!(pool.used_bytes(), 0);
}

//! Hive folders: `date=2024-01-01/part.parquet` gives every row of the file a column `date`.

//! Hive folders: `date=2024-01-01/part.parquet` gives every row of the file a column `date`.

use crate::store::unescape;
use crate::{Error, File, FolderValue, Result};
use columnar::{DataType, Value};
use exec::expression::parse::parse;
use storage::ColumnSchema;

/// What Hive writes for null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The value that a folder of this name gives; `None` where it is just a folder.
pub(crate) fn value_of(folder: &str) -> Option<FolderValue> {
    let (column, text) = folder.split_once('=').filter(|(column, _)| !column.is_empty())?;
    let text = (text != NULL).then(|| unescape(text)).flatten();
    Some(FolderValue { column: unescape(column)?, text })
}

/// That all files have the same folder columns.
pub(crate) fn check_alike(files: &[File]) -> Result<()> {
    let names = |file: &File| -> Vec<String> {
        file.folder_values.iter().map(|value| value.column.to_lowercase()).collect()
    };
    let Some(first) = files.first() else { return Ok(()) };
    match files.iter().find(|file| names(file) != names(first)) {
        None => Ok(()),
        Some(other) => Err(Error::file(
            &other.url,
            format!(
                "its folders name the columns ({}), those of {} name ({})",
                names(other).join(", "),
                first.url,
                names(first).join(", ")
            ),
        )),
    }
}

/// The columns that the folders give: `DATE` where every value is one, else `BIGINT` where every value is
/// one, else `VARCHAR`.
pub(crate) fn columns(files: &[File]) -> Vec<ColumnSchema> {
    let Some(first) = files.first() else { return Vec::new() };
    let column = |(index, value): (usize, &FolderValue)| {
        let texts = || files.iter().filter_map(|file| file.folder_values.get(index)?.text.as_deref());
        let data_type = match () {
            () if texts().next().is_none() => DataType::Varchar,
            () if texts().all(is_date) => DataType::Date,
            () if texts().all(|text| text.parse::<i64>().is_ok()) => DataType::Int64,
            () => DataType::Varchar,
        };
        let nullable =
            files.iter().any(|file| file.folder_values.get(index).is_none_or(|v| v.text.is_none()));
        ColumnSchema { name: value.column.clone(), data_type, nullable }
    };
    first.folder_values.iter().enumerate().map(column).collect()
}

/// `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
        && parse(text, DataType::Date).is_ok()
}

/// The value that a file's folders give a column.
pub(crate) fn typed_value(file: &File, value: &FolderValue, data_type: DataType) -> Result<Value> {
    let Some(text) = &value.text else { return Ok(Value::null(data_type)) };
    parse(text, data_type).map_err(|error| {
        Error::file(&file.url, format!("column \"{}\" of its folders: {error}", value.column))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_values() {
        let value = value_of("date=2024-01-01").unwrap();
        assert_eq!((value.column.as_str(), value.text.as_deref()), ("date", Some("2024-01-01")));
        assert_eq!(value_of("x=__HIVE_DEFAULT_PARTITION__").unwrap().text, None);
        assert_eq!(value_of("x=a%2Fb").unwrap().text.as_deref(), Some("a/b"));
        assert_eq!(value_of("x=").unwrap().text.as_deref(), Some(""));
        assert!(value_of("plain").is_none() && value_of("=x").is_none());
    }
}

//! The least and the greatest values of a column, as footers tell them.

use crate::decode::stored_vector;
use crate::footer::{self, Footer, damaged, guarded, same_name};
use crate::pages::{INDEX, Page};
use crate::{File, Progress, Result, Stores};
use arrow::array::{Array, ArrayRef};
use columnar::kernels::cast::integer_at;
use columnar::{DataType, Vector};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use std::sync::Arc;
use storage::ColumnSchema;

/// The bounds of a column that is an integer underneath over all files; `Err` names the first file that does not tell
/// them, `None` where there are no values.
pub async fn of_files(
    stores: &Stores,
    files: &[File],
    column: &ColumnSchema,
) -> Result<std::result::Result<Option<(i128, i128)>, String>> {
    let footers = footer::load_all(stores, files, &Arc::new(Progress::default())).await?;
    let mut bounds: Option<(i128, i128)> = None;
    for (file, footer) in files.iter().zip(&footers) {
        let groups = read(file, footer, column)?;
        for (group, rows) in groups.into_iter().zip(footer.row_groups()) {
            match group.bounds {
                Some((min, max)) => {
                    bounds = Some(bounds.map_or((min, max), |(least, most)| (least.min(min), most.max(max))));
                }
                None if rows == 0 || group.nulls == Some(rows) => {}
                None => return Ok(Err(file.url.clone())),
            }
        }
    }
    Ok(Ok(bounds))
}

/// The bounds of a column in each row group; `None` where they are not told, or where there may be nulls.
pub(crate) fn of_row_groups(
    file: &File,
    footer: &Footer,
    column: &ColumnSchema,
) -> Result<Vec<Option<(i128, i128)>>> {
    let groups = read(file, footer, column)?;
    Ok(groups.into_iter().map(|group| group.bounds.filter(|_| group.nulls == Some(0))).collect())
}

/// Whether the least value of a file is the least here: of enums, intervals and times with an offset a file knows the text.
fn is_ordered_alike(column: &ColumnSchema) -> bool {
    use DataType::{Enum, Interval, TimeZoned, Uuid};
    !matches!(column.data_type, Uuid | Enum(_) | Interval | TimeZoned)
}

struct Group {
    bounds: Option<(i128, i128)>,
    nulls: Option<u64>,
}

fn read(file: &File, footer: &Footer, column: &ColumnSchema) -> Result<Vec<Group>> {
    let count = footer.metadata().num_row_groups();
    let stored = footer.columns.iter().find(|stored| same_name(&stored.name, &column.name));
    let in_folder = file.folder_values.iter().any(|value| same_name(&value.column, &column.name));
    let Some(stored) = stored.filter(|_| !in_folder && count > 0 && is_ordered_alike(column)) else {
        return Ok((0..count).map(|_| Group { bounds: None, nulls: None }).collect());
    };
    let metadata = footer.metadata();
    let wrong = |why: String| damaged(&file.url, "statistics", why);
    let told = || -> parquet::errors::Result<_> {
        let (arrow, parquet) = (footer.reader_metadata.schema(), metadata.file_metadata().schema_descr());
        let converter = StatisticsConverter::try_new(&stored.name, arrow, parquet)?;
        // A count that is not told is no zero.
        let converter = converter.with_missing_null_counts_as_zero(false);
        let groups = || metadata.row_groups().iter();
        let bounds = (converter.row_group_mins(groups())?, converter.row_group_maxes(groups())?);
        Ok((bounds, converter.row_group_null_counts(groups())?))
    };
    let ((mins, maxes), nulls) = guarded(&file.url, "statistics", told)?;
    if [mins.len(), maxes.len(), nulls.len()] != [count; 3] {
        return Err(wrong("they are not of all row groups".into()));
    }
    let groups = bounds(file, column, &mins, &maxes)?.into_iter().zip(&nulls);
    Ok(groups.map(|(bounds, nulls)| Group { bounds, nulls }).collect())
}

/// The pages of a column of the one row group of `metadata`, which has their places, as `held` has their bounds; `None`
/// where the two do not tell.
pub(crate) fn of_pages(
    file: &File,
    footer: &Footer,
    metadata: &ArrowReaderMetadata,
    held: &ParquetMetaData,
    column: &ColumnSchema,
) -> Result<Option<Vec<Page>>> {
    let stored = footer.columns.iter().find(|stored| same_name(&stored.name, &column.name));
    let stored = stored.filter(|_| is_ordered_alike(column));
    let (Some(stored), [group]) = (stored, metadata.metadata().row_groups()) else { return Ok(None) };
    let (Some(places), Some(held)) = (metadata.metadata().page_index(), held.page_index()) else {
        return Ok(None);
    };
    let told = || -> parquet::errors::Result<_> {
        let converter =
            StatisticsConverter::try_new(&stored.name, metadata.schema(), metadata.parquet_schema())?;
        let (places, held, only) = (places.as_ref(), held.as_ref(), &[0]);
        let bounds = (converter.data_page_mins(held, only)?, converter.data_page_maxes(held, only)?);
        let rows = converter.data_page_row_counts(places, metadata.metadata().row_groups(), only)?;
        Ok((bounds, converter.data_page_null_counts(held, only)?, rows))
    };
    let ((mins, maxes), nulls, rows) = guarded(&file.url, INDEX, told)?;
    let Some(rows) = rows else { return Ok(None) };
    if [mins.len(), maxes.len(), nulls.len()] != [rows.len(); 3] || rows.null_count() > 0 {
        return Ok(None);
    }
    let mut pages: Vec<Page> = Vec::new();
    for ((keys, nulls), &rows) in
        bounds(file, column, &mins, &maxes)?.into_iter().zip(&nulls).zip(rows.values())
    {
        let start = pages.last().map_or(0, |page| page.rows.end);
        let end = start.checked_add(rows).filter(|&end| end <= group.num_rows().max(0) as u64);
        let end = end.ok_or_else(|| damaged(&file.url, INDEX, "its pages are not of ascending rows"))?;
        pages.push(Page { rows: start..end, keys: keys.filter(|_| nulls == Some(0)) });
    }
    let whole = pages.last().map_or(0, |page| page.rows.end) == group.num_rows().max(0) as u64;
    Ok(Some(pages).filter(|_| whole))
}

/// Bounds as values of the dataset, whatever the file stores.
fn bounds(
    file: &File,
    column: &ColumnSchema,
    mins: &ArrayRef,
    maxes: &ArrayRef,
) -> Result<Vec<Option<(i128, i128)>>> {
    let column = ColumnSchema { nullable: true, ..column.clone() };
    let values = |array| Result::Ok(integers(&stored_vector(file, &column, array)?));
    let bounds = values(mins)?.into_iter().zip(values(maxes)?);
    Ok(bounds.map(|(min, max)| min.zip(max).filter(|(min, max)| min <= max)).collect())
}

fn integers(vector: &Vector) -> Vec<Option<i128>> {
    let flat = vector.flatten();
    let valid = |row: usize| flat.validity.as_ref().is_none_or(|validity| validity.get(row));
    (0..flat.len()).map(|row| valid(row).then(|| integer_at(&flat.values, row))).collect()
}

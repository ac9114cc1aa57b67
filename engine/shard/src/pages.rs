//! Row groups of which some pages are read alone: those that may have the keys which are wanted, as the file's page
//! index tells. The index is read when it is wanted, and not kept: of a large dataset it is large.

use crate::Result;
use crate::extremes;
use crate::file_reader::FileReader;
use crate::footer::{Footer, damaged, guarded, same_name};
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{
    ColumnChunkMask, PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder,
};
use std::ops::Range;
use std::sync::Arc;
use storage::ColumnSchema;

/// The part of a file that tells of pages, in the words of errors.
pub(crate) const INDEX: &str = "page index";

/// Rows that follow each other in a row group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Positions in the row group.
    pub(crate) rows: Range<u64>,
    /// The least and the greatest value of the column that was asked for; `None`: not told, or there may be nulls.
    pub(crate) keys: Option<(i128, i128)>,
}

/// A row group by pages of one of its columns.
pub(crate) struct Pages {
    /// Those that are read, ascending.
    pub(crate) pages: Vec<Page>,
    /// The row group as the only one of a file, with the places of all its pages.
    pub(crate) metadata: ArrowReaderMetadata,
}

impl Pages {
    /// The pages of a column that is an integer underneath; `None` where the file does not tell them.
    pub(crate) async fn of(
        reader: &FileReader,
        footer: &Footer,
        row_group: usize,
        column: &ColumnSchema,
    ) -> Result<Option<Pages>> {
        let file = reader.file();
        let group = footer.metadata().row_group(row_group);
        let in_folder = file.folder_values.iter().any(|value| same_name(&value.column, &column.name));
        let stored = footer.columns.iter().position(|stored| same_name(&stored.name, &column.name));
        let Some(root) = stored.filter(|_| !in_folder) else { return Ok(None) };
        let schema = footer.metadata().file_metadata().schema_descr();
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == root);
        let told = leaf.map(|leaf| group.column(leaf)).is_some_and(|column| {
            column.column_index_range().is_some() && column.offset_index_range().is_some()
        });
        if !told {
            return Ok(None);
        }
        // Where the pages are, of all columns, and what they hold, of one: the two lie apart in the file.
        let places =
            read(reader, footer, row_group, PageIndexPolicy::Optional, PageIndexPolicy::Skip, None).await?;
        let held =
            read(reader, footer, row_group, PageIndexPolicy::Skip, PageIndexPolicy::Optional, leaf).await?;
        let options = ArrowReaderOptions::new().with_schema(footer.reader_metadata.schema().clone());
        let metadata = guarded(&file.url, INDEX, || ArrowReaderMetadata::try_new(Arc::new(places), options))?;
        let pages = extremes::of_pages(file, footer, &metadata, &held, column)?;
        Ok(pages.map(|pages| Pages { pages, metadata }))
    }
}

/// The metadata of a row group alone, with one kind of page index.
async fn read(
    reader: &FileReader,
    footer: &Footer,
    row_group: usize,
    places: PageIndexPolicy,
    held: PageIndexPolicy,
    leaf: Option<usize>,
) -> Result<ParquetMetaData> {
    let (file, metadata) = (reader.file(), footer.metadata());
    let group = metadata.row_group(row_group).clone();
    let alone = ParquetMetaData::new(metadata.file_metadata().clone(), vec![group]);
    let decoder = ParquetMetaDataPushDecoder::try_new_with_metadata(file.size_bytes, alone);
    let mut decoder = decoder
        .map_err(|error| damaged(&file.url, INDEX, error))?
        .with_offset_index_policy(places)
        .with_column_index_policy(held)
        .with_column_index_mask(ColumnChunkMask::columns(leaf));
    loop {
        match guarded(&file.url, INDEX, || decoder.try_decode())? {
            DecodeResult::NeedsData(ranges) => {
                let bytes = reader.read(&ranges).await?;
                decoder.push_ranges(ranges, bytes).map_err(|error| damaged(&file.url, INDEX, error))?;
            }
            DecodeResult::Data(metadata) => return Ok(metadata),
            DecodeResult::Finished => return Err(damaged(&file.url, INDEX, "it is missing")),
        }
    }
}

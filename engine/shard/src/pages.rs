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
        let Some(root) = footer.columns.iter().position(|stored| same_name(&stored.name, &column.name))
        else {
            // It is in the folder's name.
            return Ok(None);
        };
        let schema = footer.metadata().file_metadata().schema_descr();
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root_idx(leaf) == root);
        let told = leaf.map(|leaf| group.column(leaf)).is_some_and(|column| {
            column.column_index_range().is_some() && column.offset_index_range().is_some()
        });
        if !told {
            return Ok(None);
        }
        let alone = ParquetMetaData::new(footer.metadata().file_metadata().clone(), vec![group.clone()]);
        let decoder = ParquetMetaDataPushDecoder::try_new_with_metadata(file.size_bytes, alone);
        let mut decoder = decoder
            .map_err(|error| damaged(&file.url, INDEX, error))?
            .with_page_index_policy(PageIndexPolicy::Optional)
            .with_column_index_mask(ColumnChunkMask::columns(leaf));
        let metadata = loop {
            match guarded(&file.url, INDEX, || decoder.try_decode())? {
                DecodeResult::NeedsData(ranges) => {
                    let bytes = reader.read(&ranges).await?;
                    decoder.push_ranges(ranges, bytes).map_err(|error| damaged(&file.url, INDEX, error))?;
                }
                DecodeResult::Data(metadata) => break Arc::new(metadata),
                DecodeResult::Finished => return Err(damaged(&file.url, INDEX, "it is missing")),
            }
        };
        let options = ArrowReaderOptions::new().with_schema(footer.reader_metadata.schema().clone());
        let metadata = guarded(&file.url, INDEX, || ArrowReaderMetadata::try_new(metadata, options))?;
        let pages = extremes::of_pages(file, footer, &metadata, column)?;
        Ok(pages.map(|pages| Pages { pages, metadata }))
    }
}

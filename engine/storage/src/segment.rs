//! Segments: the resident, encoded, immutable columns of some rows of a bucket.

use crate::bytes::SegmentBytes;
use crate::encoding::{self, EncodedBlock, Source};
use crate::error::{Error, Result, damaged};
use crate::facts::ColumnFacts;
use crate::format::{self, Footer};
use crate::origins::Origins;
use crate::predicate::ColumnPredicate;
use crate::residency::LastUse;
use crate::rows::{BlockRows, Length, RowsRef};
use crate::sketch::DistinctSketch;
use crate::statistics::{ColumnSchema, ColumnStatistics, SAMPLE_ROWS, TableStatistics};
use crate::zone::Zone;
use columnar::kernels::take::take_bits;
use columnar::{Batch, Bitmap, DataType, Dictionary, Flat, PhysicalType, Scalar, Values, Vector};
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// Rows of a block: the unit of zone maps, pruning and morsels.
pub const BLOCK_ROWS: usize = 65_536;

/// Encoded columns of some rows, in blocks of [`BLOCK_ROWS`] (the last may be shorter).
#[derive(Debug, Clone)]
pub struct Segment {
    pub(crate) content: Arc<Content>,
    /// `None`: no row is deleted.
    pub(crate) visible: Option<Arc<Visible>>,
    /// Where its rows lie in files, if that is known.
    origins: Option<Arc<Origins>>,
}

/// The rows of a segment that are not deleted.
#[derive(Debug)]
pub(crate) struct Visible {
    /// One bit a row.
    pub(crate) rows: Bitmap,
    count: usize,
}

/// What segments under different masks share.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: SegmentBytes,
    pub(crate) schema: Arc<[ColumnSchema]>,
    pub(crate) footer: Footer,
    pub(crate) columns: Vec<Column>,
}

/// A column in memory: what the footer says, and blocks as they were touched.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) zones: Vec<Zone>,
    blocks: Vec<OnceLock<Result<Block>>>,
    dictionary: OnceLock<Result<Arc<Dictionary>>>,
    /// Of all its buffers, in the file.
    pub(crate) bytes: u64,
    pub(crate) last_use: LastUse,
    facts: ColumnFacts,
}

/// A verified block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) values: Box<dyn EncodedBlock>,
    /// `None` where no row is null.
    pub(crate) validity: Option<Bitmap>,
}

impl Block {
    /// The validity of some rows; `None` where none of them is null.
    fn validity_of(&self, rows: RowsRef<'_>) -> Option<Bitmap> {
        let validity = self.validity.as_ref()?;
        let validity = match rows {
            RowsRef::Range(start, len) => validity.slice(start, len),
            RowsRef::Indices(indices) => take_bits(validity, indices),
        };
        (!validity.all()).then_some(validity)
    }
}

impl Segment {
    /// Checks the footer and everything it points at; blocks are checked when first touched.
    pub fn open(bytes: SegmentBytes) -> Result<Segment> {
        bytes.check()?;
        let footer = format::open(bytes.bytes())?;
        let rows = footer.rows;
        let (mut schema, mut columns, mut names) = (Vec::new(), Vec::new(), HashSet::new());
        for column in &footer.columns {
            let data_type =
                column.data_type.as_ref().ok_or_else(|| damaged("a column lacks its type"))?.data_type()?;
            if !names.insert(column.name.to_lowercase()) {
                return Err(damaged(format!("two columns are named {}", column.name)));
            }
            columns.push(Column::open(column, data_type, rows)?);
            schema.push(ColumnSchema { name: column.name.clone(), data_type, nullable: column.nullable });
        }
        if footer.sample_rows > SAMPLE_ROWS as u64
            || footer
                .columns
                .iter()
                .any(|column| column.sample.as_ref().map_or(0, |sample| sample.rows) != footer.sample_rows)
            || (footer.columns.is_empty() && rows > 0)
        {
            return Err(damaged("the footer contradicts itself"));
        }
        let content = Content { bytes, schema: schema.into(), footer, columns };
        Ok(Segment { content: Arc::new(content), visible: None, origins: None })
    }

    /// The same segment under a visibility mask: one bit a row of the segment, clear where it is deleted.
    pub fn with_visibility(self: &Arc<Segment>, visible: Bitmap) -> Result<Arc<Segment>> {
        self.seen_as(Some(visible), None)
    }

    /// The same segment under a mask, as [`Segment::with_visibility`] has it, or none, and with the addresses of its
    /// rows.
    pub fn seen_as(
        self: &Arc<Segment>,
        visible: Option<Bitmap>,
        origins: Option<Arc<Origins>>,
    ) -> Result<Arc<Segment>> {
        let lengths = [
            ("a mask", visible.as_ref().map(Bitmap::len)),
            ("addresses", origins.as_ref().map(|origins| origins.rows())),
        ];
        for (what, found) in lengths.into_iter().filter_map(|(what, found)| Some((what, found?))) {
            let expected = self.rows();
            if found != expected {
                let why = format!("{what} of {found} rows for a segment of {expected}");
                return Err(Error::Internal(why));
            }
        }
        let visible = visible.map(|rows| Visible { count: rows.count_ones(), rows });
        let visible = visible.filter(|visible| visible.count < self.rows()).map(Arc::new);
        Ok(Arc::new(Segment { content: self.content.clone(), visible, origins }))
    }

    /// The addresses of rows of a block, as `BIGINT`.
    pub fn addresses(&self, block: u32, rows: RowsRef<'_>) -> Result<Vector> {
        check_inside(block, rows, self.block_rows(block as usize))?;
        let origins = self.origins.as_ref();
        let origins = origins.ok_or_else(|| {
            Error::Internal(
                "the rows of this segment have no addresses: statements cannot change them".into(),
            )
        })?;
        let addresses = origins.addresses(block as usize * BLOCK_ROWS, rows);
        Ok(Flat::new(DataType::Int64, Values::I64(addresses.into()), None).into())
    }

    /// Whether some of its rows are deleted.
    pub fn is_masked(&self) -> bool {
        self.visible.is_some()
    }

    pub fn schema(&self) -> &Arc<[ColumnSchema]> {
        &self.content.schema
    }

    /// Rows held, deleted ones included.
    pub fn rows(&self) -> usize {
        self.content.footer.rows as usize
    }

    /// Rows that are not deleted.
    pub fn visible_rows(&self) -> usize {
        self.visible.as_ref().map_or(self.rows(), |visible| visible.count)
    }

    pub fn block_count(&self) -> usize {
        self.rows().div_ceil(BLOCK_ROWS)
    }

    /// Rows of a block, deleted ones included; 0 past the last.
    pub fn block_rows(&self, block: usize) -> usize {
        self.rows().saturating_sub(block * BLOCK_ROWS).min(BLOCK_ROWS)
    }

    /// Integers that no value of the column in a block lies outside of; `None` where nothing is known.
    pub fn block_bounds(&self, block: u32, column: u32) -> Option<(i128, i128)> {
        let (min, max, _) = self.block_limits(block, column)?;
        Some((min.as_integer()?, max.as_integer()?))
    }

    /// What no value of the column in a block lies outside of, each null where that is not known, and how many rows
    /// are null.
    pub fn block_limits(&self, block: u32, column: u32) -> Option<(&Scalar, &Scalar, u64)> {
        let zone = self.content.columns.get(column as usize)?.zones.get(block as usize)?;
        Some((&zone.min, &zone.max, zone.nulls))
    }

    /// The blocks that may hold matches, ascending. Proves one way only: a block left out holds none.
    pub fn prune(&self, predicates: &[ColumnPredicate]) -> Vec<u32> {
        let tests = predicates.iter().map(|predicate| (predicate.column as usize, &predicate.test));
        self.prune_by(tests)
    }

    /// The visible rows of a block that match all predicates. Scans call it (or [`SegmentFilter::filter`]) even
    /// without predicates, since rows may be deleted.
    ///
    /// [`SegmentFilter::filter`]: crate::SegmentFilter::filter
    pub fn filter(&self, block: u32, predicates: &[ColumnPredicate]) -> Result<BlockRows> {
        self.filter_by(block as usize, &self.prepare_tests(predicates)?, None)
    }

    /// As [`Segment::filter`], of some rows of the block.
    pub fn filter_rows(
        &self,
        block: u32,
        rows: RowsRef<'_>,
        predicates: &[ColumnPredicate],
    ) -> Result<BlockRows> {
        let held = self.block_rows(block as usize);
        check_inside(block, rows, held)?;
        let mut words = vec![0_u64; held.div_ceil(64)];
        let set = |row: usize| words[row / 64] |= 1 << (row % 64);
        match rows {
            RowsRef::Range(start, len) => (start..start + len).for_each(set),
            RowsRef::Indices(indices) => indices.iter().map(|&row| row as usize).for_each(set),
        }
        let among = Bitmap::from_words(words, held);
        self.filter_by(block as usize, &self.prepare_tests(predicates)?, Some(among))
    }

    /// Rows of a block, one vector a column asked for (by position in the schema), each at the width asked for
    /// or a constant or dictionary vector of that width. The width must hold the column's bounds.
    ///
    /// A range is several times cheaper a row than indices (it may share the segment's memory): where most rows
    /// of a stretch match, read the stretch and put a selection on the batch.
    pub fn read(
        &self,
        block: u32,
        rows: RowsRef<'_>,
        columns: &[(u32, PhysicalType)],
    ) -> Result<Vec<Vector>> {
        check_inside(block, rows, self.block_rows(block as usize))?;
        columns
            .iter()
            .map(|&(column, physical)| self.read_column(block as usize, rows, column as usize, physical))
            .collect()
    }

    /// The lengths of a column of text, 64 bits wide; `None` where reading the text is as good.
    pub fn lengths(
        &self,
        block: u32,
        rows: RowsRef<'_>,
        column: u32,
        length: Length,
    ) -> Result<Option<Vector>> {
        check_inside(block, rows, self.block_rows(block as usize))?;
        let block = self.content.block(column as usize, block as usize)?;
        let Some(lengths) = block.values.lengths(length, rows) else { return Ok(None) };
        let values: Vec<i64> = lengths.into_iter().map(i64::from).collect();
        let validity = block.validity_of(rows);
        Ok(Some(Flat::new(DataType::Int64, Values::I64(values.into()), validity).into()))
    }

    /// Rows of one column, which lie within the block.
    pub(crate) fn read_column(
        &self,
        block: usize,
        rows: RowsRef<'_>,
        column: usize,
        physical: PhysicalType,
    ) -> Result<Vector> {
        let block = self.content.block(column, block)?;
        let mut vector = block.values.read(rows, physical)?;
        if matches!(&vector, Vector::Constant(constant) if constant.value.is_null()) {
            return Ok(vector);
        }
        let Some(validity) = block.validity_of(rows) else { return Ok(vector) };
        if let Vector::Constant(_) = vector {
            vector = Vector::Flat(vector.flatten());
        }
        match &mut vector {
            Vector::Flat(flat) => flat.validity = Some(validity),
            Vector::Dictionary(codes) => codes.validity = Some(validity),
            Vector::Constant(_) => {}
        }
        Ok(vector)
    }

    /// What is proven of a column within this segment.
    pub fn column_facts(&self, column: u32) -> ColumnFacts {
        let Some(column) = self.content.columns.get(column as usize) else { return ColumnFacts::UNKNOWN };
        let mut facts = column.facts;
        if self.visible.is_some() {
            // Deleting rows keeps bounds, order and uniqueness, but not counts or density. How many of the
            // deleted rows are null is not known; all nulls may be left.
            facts.rows = self.visible_rows() as u64;
            facts.nulls = facts.nulls.min(facts.rows);
            facts.exact = false;
            facts.dense = false;
            facts.sum = None;
        }
        facts
    }

    /// The summary of this segment for the planner; merge those of many with [`TableStatistics::merge`].
    pub fn statistics(&self) -> Result<TableStatistics> {
        let footer = &self.content.footer;
        let columns = footer.columns.iter().enumerate().map(|(index, column)| {
            let data_type = self.content.schema[index].data_type;
            // How many of the rows that are left are null or distinct is not known.
            let (nulls, distinct) = match &self.visible {
                None => (column.nulls, column.distinct),
                Some(visible) => {
                    (column.nulls.min(visible.count as u64), column.distinct.min(visible.count as f64))
                }
            };
            Ok(ColumnStatistics {
                nulls,
                min: format::Scalar::value(column.min.as_ref(), data_type)?,
                max: format::Scalar::value(column.max.as_ref(), data_type)?,
                distinct,
                unique: column.unique,
                sorted: column.sorted,
                average_bytes: self.column_bytes(index as u32) as f64 / footer.rows.max(1) as f64,
                sketch: DistinctSketch::from_bytes(&column.sketch),
            })
        });
        Ok(TableStatistics {
            rows: self.visible_rows() as u64,
            columns: columns.collect::<Result<_>>()?,
            sample: self.sample()?,
        })
    }

    fn sample(&self) -> Result<Option<Batch>> {
        let content = &self.content;
        let rows = content.footer.sample_rows as usize;
        let columns = content.footer.columns.iter().enumerate().map(|(index, column)| {
            let data_type = content.schema[index].data_type;
            let block = column.sample.as_ref().map(|sample| content.open_block(sample, data_type, None));
            let Some(block) = block.transpose()? else {
                return Ok(Vector::from_scalars(data_type, &[]));
            };
            let mut flat = block.values.read(RowsRef::Range(0, rows), data_type.physical())?.flatten();
            flat.validity = block.validity.or(flat.validity);
            Ok(Vector::Flat(flat))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok((self.rows() > 0).then(|| Batch::of_rows(columns, rows)))
    }

    /// That its file is whole: to be asked after reading where [`crate::mapping::losses`] has changed.
    pub fn check(&self) -> Result<()> {
        self.content.bytes.check()
    }

    /// Whether its bytes are mapped from a file.
    pub fn is_mapped(&self) -> bool {
        self.content.bytes.is_mapped()
    }

    /// The whole segment as it lies in its file; [`Segment::check`] tells afterwards whether all of it could be read.
    pub fn image(&self) -> &[u8] {
        self.content.bytes.bytes()
    }

    /// Bytes of the whole segment.
    pub fn bytes(&self) -> u64 {
        self.content.bytes.len() as u64
    }
}

/// That all rows are among the `held` of a block.
fn check_inside(block: u32, rows: RowsRef<'_>, held: usize) -> Result<()> {
    let inside = match rows {
        RowsRef::Range(start, len) => start.checked_add(len).is_some_and(|end| end <= held),
        RowsRef::Indices(indices) => indices.iter().max().is_none_or(|&last| (last as usize) < held),
    };
    match inside {
        true => Ok(()),
        false => Err(Error::Internal(format!("rows past the end of block {block}"))),
    }
}

impl Content {
    /// A block of a column, verified and opened at the first touch.
    pub(crate) fn block(&self, column: usize, block: usize) -> Result<&Block> {
        let held = self.columns.get(column);
        let cell = held.and_then(|column| column.blocks.get(block));
        let (Some(held), Some(cell)) = (held, cell) else {
            return Err(Error::Internal(format!("block {block} of column {column} does not exist")));
        };
        if held.last_use.touch() {
            self.bytes.check()?;
        }
        let open = || {
            let message = &self.footer.columns[column];
            let dictionary = message.dictionary.as_ref().map(|_| self.dictionary(column)).transpose()?;
            let named = |error| match error {
                Error::Damaged(what) => damaged(format!("column {}, block {block}: {what}", message.name)),
                other => other,
            };
            self.open_block(&message.blocks[block], self.schema[column].data_type, dictionary).map_err(named)
        };
        cell.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    fn open_block(
        &self,
        block: &format::Block,
        data_type: DataType,
        dictionary: Option<&Arc<Dictionary>>,
    ) -> Result<Block> {
        let bytes = self.bytes.bytes();
        let source = Source { block, bytes, data_type, dictionary };
        Ok(Block { values: encoding::open(&source)?, validity: source.validity()? })
    }

    /// The dictionary of a column that has one.
    fn dictionary(&self, column: usize) -> Result<&Arc<Dictionary>> {
        let open = || {
            let message = &self.footer.columns[column];
            let data_type = self.schema[column].data_type;
            let block =
                message.dictionary.as_ref().ok_or_else(|| damaged("a column lacks its dictionary"))?;
            // Every value takes a byte or more, so that a small file cannot name a huge dictionary.
            if block.nulls > 0 || block.rows > block.bytes() + 1 {
                return Err(damaged("a dictionary that cannot be"));
            }
            let open = self.open_block(block, data_type, None)?;
            let rows = RowsRef::Range(0, block.rows as usize);
            let values = open.values.read(rows, data_type.physical())?.flatten();
            let ascending = (1..values.len())
                .all(|row| values.scalar(row - 1).compare(&values.scalar(row)).is_some_and(|o| o.is_lt()));
            match ascending {
                true => Ok(Arc::new(Dictionary::new(values, true))),
                false => Err(damaged("a dictionary out of order")),
            }
        };
        self.columns[column].dictionary.get_or_init(open).as_ref().map_err(Clone::clone)
    }
}

impl Column {
    fn open(column: &format::Column, data_type: DataType, rows: u64) -> Result<Column> {
        let mut left = rows;
        for block in &column.blocks {
            if block.rows != left.min(BLOCK_ROWS as u64) || block.rows == 0 {
                return Err(damaged("blocks that do not make up their column"));
            }
            left -= block.rows;
        }
        let nulls: u64 = column.blocks.iter().map(|block| block.nulls).sum();
        if left > 0 || nulls != column.nulls {
            return Err(damaged("blocks that do not make up their column"));
        }
        let zones =
            column.blocks.iter().map(|block| Zone::of(block, data_type)).collect::<Result<Vec<_>>>()?;
        let min = format::Scalar::value(column.min.as_ref(), data_type)?;
        let max = format::Scalar::value(column.max.as_ref(), data_type)?;
        let sum = column.sum.as_deref().filter(|_| data_type.is_integral());
        let sum = sum.map(|bytes| bytes.try_into().map(i128::from_le_bytes)).transpose();
        let sum = sum.map_err(|_| damaged("a sum that is no integer"))?;
        let bounds = match (min, max) {
            (Scalar::Integer(min), Scalar::Integer(max)) => Some((min, max)),
            _ => None,
        };
        let dense = column.unique
            && nulls == 0
            && bounds.is_some_and(|(min, max)| {
                max.checked_sub(min).is_some_and(|range| range == i128::from(rows) - 1)
            });
        Ok(Column {
            blocks: column.blocks.iter().map(|_| OnceLock::new()).collect(),
            dictionary: OnceLock::new(),
            bytes: column.blocks.iter().chain(&column.dictionary).map(format::Block::bytes).sum(),
            last_use: LastUse::default(),
            facts: ColumnFacts {
                rows,
                nulls,
                bounds,
                sum,
                exact: true,
                unique: column.unique,
                dense,
                sorted: column.sorted && nulls == 0,
                dictionary: column.dictionary.is_some(),
            },
            zones,
        })
    }
}

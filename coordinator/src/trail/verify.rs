//! Whether files of the trail are as they were written.

use super::entry::{HASH_BYTES, Hashed};
use super::export::{TEXTS, hexadecimal};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The hash before the first row of a chain.
const NOTHING: [u8; HASH_BYTES] = [0; HASH_BYTES];

/// What comes of the rows of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChain {
    /// Whose it is; `system` for what is nobody's.
    pub tenant: String,
    /// The coordinator's number, and which of its starts.
    pub chain: String,
    pub rows: u64,
    /// Numbers of the first row that is there, and of the last one.
    pub first: i64,
    pub last: i64,
    /// The hash of the last row; one that is kept elsewhere tells whether rows were taken from the end.
    pub hash: String,
    /// The first row that is not as it was written, or not there, and why.
    pub broken: Option<String>,
}

/// A row as a file has it.
pub(super) struct Row {
    tenant: String,
    chain: String,
    sequence: i64,
    at_us: i64,
    texts: [String; TEXTS.len()],
}

/// Looks at all rows of these files: those of a chain must follow each other, in whatever files and order they are.
///
/// A chain that begins with a later row than its first is followed from there. A file that cannot be read is an error that
/// names it.
pub fn verify_trail(files: &[PathBuf]) -> Result<Vec<VerifiedChain>, String> {
    let mut chains: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for file in files {
        let wrong = |why: String| format!("{}: {why}", file.display());
        let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        for row in rows(bytes.into()).map_err(wrong)? {
            chains.entry((row.tenant.clone(), row.chain.clone())).or_default().push(row);
        }
    }
    Ok(chains.into_values().filter_map(verify_chain).collect())
}

fn verify_chain(mut rows: Vec<Row>) -> Option<VerifiedChain> {
    rows.sort_by_key(|row| row.sequence);
    let (first, last) = (rows.first()?, rows.last()?);
    let broken = rows.windows(2).find_map(|pair| {
        let [before, row] = pair else { return None };
        match row.sequence - before.sequence {
            0 => Some(format!("row {} is there twice", row.sequence)),
            1 => row.differs(&before.hash()),
            _ => Some(format!("row {} is missing", before.sequence + 1)),
        }
    });
    // What a later first row follows is not known.
    let begins = (first.sequence == 0).then(|| first.differs(&hexadecimal(&NOTHING))).flatten();
    Some(VerifiedChain {
        tenant: first.tenant.clone(),
        chain: first.chain.clone(),
        rows: rows.len() as u64,
        first: first.sequence,
        last: last.sequence,
        hash: last.hash(),
        broken: begins.or(broken),
    })
}

impl Row {
    fn hash(&self) -> String {
        let [.., hash] = &self.texts;
        hash.clone()
    }

    /// Why it is not the row that was written after one of this hash.
    fn differs(&self, previous: &str) -> Option<String> {
        let [principal, action, subject, text, detail, hash] = &self.texts;
        let hashed = Hashed {
            chain: &self.chain,
            tenant: &self.tenant,
            sequence: u64::try_from(self.sequence).unwrap_or_default(),
            at_us: self.at_us,
            principal,
            action,
            subject,
            text,
            detail,
        };
        let is_as_written =
            bytes_of(previous).is_some_and(|previous| hexadecimal(&hashed.after(&previous)) == *hash);
        (!is_as_written).then(|| format!("row {} was changed, or the row before it", self.sequence))
    }
}

fn bytes_of(text: &str) -> Option<[u8; HASH_BYTES]> {
    if text.len() != 2 * HASH_BYTES || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; HASH_BYTES];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The rows of a file.
pub(super) fn rows(file: Bytes) -> Result<Vec<Row>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
    let reader = reader.map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for batch in reader {
        read(&batch.map_err(|error| error.to_string())?, &mut rows)?;
    }
    Ok(rows)
}

fn read(batch: &RecordBatch, rows: &mut Vec<Row>) -> Result<(), String> {
    let missing = |name: &str| format!("it is no file of the trail: it has no column '{name}' of its type");
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
    let text = |name: &str| column(name)?.as_string_opt::<i32>().ok_or_else(|| missing(name));
    let (tenant, chain) = (text("tenant")?, text("chain")?);
    let sequence = column("sequence")?.as_primitive_opt::<Int64Type>().ok_or_else(|| missing("sequence"))?;
    let at = column("at")?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| missing("at"))?;
    let texts = TEXTS.iter().map(|name| text(name)).collect::<Result<Vec<_>, String>>()?;
    if [tenant.nulls(), chain.nulls(), sequence.nulls(), at.nulls()].iter().any(Option::is_some)
        || texts.iter().any(|texts| texts.nulls().is_some())
    {
        return Err("it is no file of the trail: it has nulls".into());
    }
    rows.extend((0..batch.num_rows()).map(|row| Row {
        tenant: tenant.value(row).into(),
        chain: chain.value(row).into(),
        sequence: sequence.value(row),
        at_us: at.value(row),
        texts: std::array::from_fn(|text| texts[text].value(row).into()),
    }));
    Ok(())
}

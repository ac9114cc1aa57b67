//! Encodings of one column: building its segment, reading all rows as flat values, and filtering blocks as they are.
//!
//! Segments that are read or filtered are copies, as many as make 64 MiB, 256 at most. A filter gives row numbers.

use crate::data::{Random, integers, parts, strings};
use crate::report::{Group, Micro, time};
use columnar::{BATCH_ROWS, Batch, Bytes, DataType, Flat, PhysicalType, Scalar, Values};
use std::hint::black_box;
use std::sync::Arc;
use storage::{
    BLOCK_ROWS, ColumnPredicate, ColumnSchema, CompareOp, RowsRef, Segment, SegmentBuilder, SegmentBytes,
    SegmentFilter, SegmentImage, Test, TextAutomaton, TextToken,
};

const ROWS: usize = 4 * BLOCK_ROWS;
const MEMORY_BYTES: usize = 64 << 20;
const MOST_COPIES: usize = 256;

pub(crate) fn run(criterion: &mut Micro) {
    let mut group = criterion.benchmark_group("encodings");
    frames(&mut group);
    dictionaries(&mut group);
    runs(&mut group);
    constants(&mut group);
    texts(&mut group);
    group.finish();
}

/// A column, its values in batches, and the segment of it.
struct Column {
    data_type: DataType,
    /// The width that rows are read at.
    physical: PhysicalType,
    batches: Vec<Batch>,
    /// Of the values before they are encoded.
    plain_bytes: usize,
    image: SegmentImage,
    encoded_bytes: usize,
}

impl Column {
    /// `bits` are the least and the most that a row shall take, so that the encoding is the one that is meant.
    fn new(data_type: DataType, physical: PhysicalType, values: Values, bits: (f64, f64)) -> Column {
        let plain_bytes = match &values {
            Values::View(views) => (0..views.len()).map(|row| 16 + views.get(row).len()).sum(),
            other => other.len() * other.physical().width_bytes(),
        };
        let batch = |values| Batch::new(vec![Flat::new(data_type, values, None).into()]);
        let batches: Vec<Batch> = parts(&values, BATCH_ROWS).into_iter().map(batch).collect();
        let image = build(data_type, &batches);
        let segment = open(&image);
        let encoded_bytes = segment.column_bytes(0) as usize;
        let taken = 8.0 * encoded_bytes as f64 / values.len() as f64;
        assert!(bits.0 <= taken && taken <= bits.1, "{taken} bits a row, not {bits:?}");
        Column { data_type, physical, batches, plain_bytes, image, encoded_bytes }
    }

    fn integers(values: impl Iterator<Item = i64>, physical: PhysicalType, bits: (f64, f64)) -> Column {
        Column::new(DataType::Int64, physical, integers(values, PhysicalType::I64), bits)
    }

    fn strings(texts: &[String], bits: (f64, f64)) -> Column {
        Column::new(DataType::Varchar, PhysicalType::View, strings(texts), bits)
    }

    fn copies(&self) -> usize {
        (MEMORY_BYTES / self.encoded_bytes.max(1)).clamp(1, MOST_COPIES)
    }

    fn segments(&self) -> Vec<Arc<Segment>> {
        (0..self.copies()).map(|_| open(&self.image)).collect()
    }

    fn time_build(&self, group: &mut Group<'_>, name: &str) {
        let run = |_: &()| build(self.data_type, &self.batches);
        time(group, format!("{name}/build"), (ROWS, self.plain_bytes), || (), run);
    }

    /// Rows and bytes of all copies.
    fn size(&self) -> (usize, usize) {
        (self.copies() * ROWS, self.copies() * self.encoded_bytes)
    }

    fn time_decode(&self, group: &mut Group<'_>, name: &str) {
        let make = || self.segments();
        let run = |segments: &Vec<Arc<Segment>>| {
            segments.iter().for_each(|segment| decode(segment, self.physical));
        };
        time(group, format!("{name}/decode"), self.size(), make, run);
    }

    /// `what` says what `test` asks.
    fn time_filter(&self, group: &mut Group<'_>, name: &str, what: &str, test: Test) {
        let predicate = ColumnPredicate { column: 0, test };
        let prepare = |segment: Arc<Segment>| segment.prepare(std::slice::from_ref(&predicate)).unwrap();
        let make = || self.segments().into_iter().map(prepare).collect();
        let run = |filters: &Vec<SegmentFilter>| filters.iter().for_each(filter);
        time(group, format!("{name}/{what}"), self.size(), make, run);
    }
}

fn build(data_type: DataType, batches: &[Batch]) -> SegmentImage {
    let schema = [ColumnSchema { name: "c".into(), data_type, nullable: false }];
    let mut builder = SegmentBuilder::new(schema.into());
    batches.iter().for_each(|batch| builder.push(batch).unwrap());
    builder.finish().unwrap()
}

fn open(image: &SegmentImage) -> Arc<Segment> {
    let bytes = SegmentBytes::owned(Bytes::from(image.as_slice()));
    Arc::new(Segment::open(bytes).unwrap())
}

fn decode(segment: &Arc<Segment>, physical: PhysicalType) {
    for block in 0..segment.block_count() {
        let rows = segment.block_rows(block);
        for start in (0..rows).step_by(BATCH_ROWS) {
            let range = RowsRef::Range(start, BATCH_ROWS.min(rows - start));
            let vectors = segment.read(block as u32, range, &[(0, physical)]).unwrap();
            black_box(vectors[0].flatten());
        }
    }
}

fn filter(filter: &SegmentFilter) {
    for block in 0..filter.segment().block_count() {
        black_box(filter.filter(block as u32).unwrap());
    }
}

fn frames(group: &mut Group<'_>) {
    for (bits, physical) in [(8, PhysicalType::I32), (16, PhysicalType::I32), (32, PhysicalType::I64)] {
        // A base that is taken off, so that reading adds it.
        let base = if bits == 32 { 1 << 40 } else { 1 << 24 };
        let mut random = Random(bits);
        let values = (0..ROWS).map(|_| base + random.below(1 << bits) as i64);
        let column = Column::integers(values, physical, (bits as f64, bits as f64 + 0.1));
        let name = format!("frame of reference, {bits} bits");
        column.time_build(group, &name);
        column.time_decode(group, &name);
        let limit = base + (1 << bits) / 100;
        let test = Test::Compare(CompareOp::Less, Scalar::Integer(limit.into()));
        column.time_filter(group, &name, "filter <, 1 % pass", test);
    }
}

fn dictionaries(group: &mut Group<'_>) {
    for (bits, distinct) in [(8, 100), (16, 5_000)] {
        let mut random = Random(distinct as u64);
        let texts: Vec<String> =
            (0..ROWS).map(|_| format!("Manufacturer#{:05}", random.below(distinct))).collect();
        let column = Column::strings(&texts, (bits as f64, bits as f64 + 4.0));
        let name = format!("dictionary of text, {bits} bits");
        column.time_build(group, &name);
        column.time_decode(group, &name);
        let test = Test::Compare(CompareOp::Equal, Scalar::Bytes("Manufacturer#00042".into()));
        column.time_filter(group, &name, "filter =", test);
    }
}

fn runs(group: &mut Group<'_>) {
    let mut random = Random(11);
    let runs: Vec<i64> = (0..ROWS / 100 + 1).map(|_| random.below(1 << 30) as i64).collect();
    let values = (0..ROWS).map(|row| runs[row / 100]);
    let column = Column::integers(values, PhysicalType::I32, (0.0, 1.0));
    let name = "run length, 100 rows a run";
    column.time_build(group, name);
    column.time_decode(group, name);
    let test = Test::Compare(CompareOp::Less, Scalar::Integer((1 << 30) / 100));
    column.time_filter(group, name, "filter <, 1 % pass", test);
}

fn constants(group: &mut Group<'_>) {
    let column = Column::integers((0..ROWS).map(|_| 7), PhysicalType::I8, (0.0, 0.0));
    column.time_build(group, "constant");
    column.time_decode(group, "constant");
    let test = Test::Compare(CompareOp::Less, Scalar::Integer(3));
    column.time_filter(group, "constant", "filter <", test);
}

fn texts(group: &mut Group<'_>) {
    let words = [
        "furiously",
        "special",
        "requests",
        "sleep",
        "quickly",
        "ideas",
        "packages",
        "theodolites",
        "pinto beans",
        "along the",
        "regular",
        "ironic",
        "final",
        "deposits",
        "accounts",
        "carefully",
        "bold",
        "express",
        "unusual",
        "blithely",
    ];
    let mut random = Random(13);
    let mut text = |row| {
        let drawn: Vec<&str> = (0..4 + random.below(4)).map(|_| words[random.below(words.len())]).collect();
        format!("{} {row}", drawn.join(" "))
    };
    let texts: Vec<String> = (0..ROWS).map(&mut text).collect();
    let column = Column::strings(&texts, (50.0, 250.0));
    let name = "FSST";
    column.time_build(group, name);
    column.time_decode(group, name);
    let test = Test::Compare(CompareOp::Equal, Scalar::Bytes(texts[ROWS / 2].clone().into()));
    column.time_filter(group, name, "filter =", test);
    let middle = "theodolites".bytes().map(TextToken::Byte);
    let tokens = std::iter::once(TextToken::Run).chain(middle).chain([TextToken::Run]).collect();
    let automaton = TextAutomaton::of_sequences(&[tokens], false).unwrap();
    column.time_filter(group, name, "filter LIKE '%theodolites%'", Test::Text(Arc::new(automaton)));
}

//! How fast text is tested by patterns, in ns a row of a block: by its automaton, and by a test that reads the text. One
//! line a pattern. Run with `--release`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for the terminal")]

use columnar::{Batch, Bitmap, DataType, Flat, Values, Vector, Views};
use memchr::memmem::Finder;
use std::hint::black_box;
use std::sync::Arc;
use storage::{
    BLOCK_ROWS, BlockRows, ColumnPredicate, ColumnSchema, Segment, SegmentBuilder, Test, TextAutomaton,
    TextToken, VectorTest,
};

const WORDS: [&str; 72] = [
    "foxes",
    "ideas",
    "theodolites",
    "pinto beans",
    "instructions",
    "dependencies",
    "excuses",
    "platelets",
    "asymptotes",
    "courts",
    "dolphins",
    "multipliers",
    "sauternes",
    "warthogs",
    "frets",
    "dinos",
    "attainments",
    "somas",
    "requests",
    "packages",
    "accounts",
    "deposits",
    "sleep",
    "wake",
    "are",
    "cajole",
    "haggle",
    "nag",
    "use",
    "boost",
    "affix",
    "detect",
    "integrate",
    "maintain",
    "nod",
    "was",
    "lose",
    "sublate",
    "solve",
    "thrash",
    "furious",
    "sly",
    "careful",
    "blithe",
    "quick",
    "fluffy",
    "slow",
    "quiet",
    "ruthless",
    "thin",
    "close",
    "dogged",
    "daring",
    "brave",
    "stealthy",
    "permanent",
    "enticing",
    "idle",
    "busy",
    "regular",
    "final",
    "ironic",
    "even",
    "bold",
    "silent",
    "special",
    "pending",
    "express",
    "unusual",
    "carefully",
    "quickly",
    "furiously",
];

fn main() {
    let mut random = Random(1);
    let mut pool = String::new();
    while pool.len() < 4 << 20 {
        pool.push_str(WORDS[random.below(WORDS.len())]);
        pool.push_str([" ", " ", " ", ". ", ", ", " across the "][random.below(6)]);
    }
    let comment = |random: &mut Random| {
        let start = random.below(pool.len() - 100);
        pool[start..start + 19 + random.below(60)].to_string()
    };
    let comments: Vec<String> = (0..BLOCK_ROWS).map(|_| comment(&mut random)).collect();
    let phones: Vec<String> = (0..BLOCK_ROWS)
        .map(|_| {
            let mut part = |from: usize, to: usize| from + random.below(to - from);
            format!("{}-{}-{}-{}", part(10, 35), part(100, 1000), part(100, 1000), part(1000, 10_000))
        })
        .collect();
    println!("{:<34} {:>9} {:>9} {:>7}", "pattern", "read", "automaton", "pass");
    let segment = segment(&comments);
    for pattern in [
        "%special%requests%",
        "%theodolites%",
        "%e%",
        "%a%e%o%",
        "s%",
        "special%",
        "%s",
        "% _ea_ %",
        "_____________%",
    ] {
        measure("comments", &segment, pattern);
    }
    let segment = self::segment(&phones);
    for pattern in ["13-%", "%-13%", "%99%"] {
        measure("phones", &segment, pattern);
    }
}

/// A linear congruential generator; its high bits.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// What this thread has run, so that other work on the machine counts less.
fn nanoseconds() -> f64 {
    let run = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    run.split(' ').next().and_then(|run| run.parse().ok()).unwrap()
}

fn segment(texts: &[String]) -> Arc<Segment> {
    let schema: Arc<[ColumnSchema]> =
        [ColumnSchema { name: "c".into(), data_type: DataType::Varchar, nullable: false }].into();
    let mut builder = SegmentBuilder::new(schema);
    let views = Views::from_strings(texts.iter().map(|text| text.as_bytes()));
    builder.push(&Batch::new(vec![Flat::new(DataType::Varchar, Values::View(views), None).into()])).unwrap();
    Arc::new(Segment::open(builder.finish().unwrap().into_bytes()).unwrap())
}

/// A test that storage knows nothing about: it looks for the pieces of a pattern, one after the other, before it runs
/// the automaton.
struct Reading(Vec<Finder<'static>>, TextAutomaton);

impl VectorTest for Reading {
    fn test(&self, values: &Vector) -> storage::Result<Bitmap> {
        let Values::View(views) = values.flatten().values else {
            return Ok(Bitmap::filled(false, values.len()));
        };
        let pieces_in = |mut text: &[u8]| {
            self.0.iter().all(|piece| match piece.find(text) {
                Some(at) => {
                    text = &text[at + piece.needle().len()..];
                    true
                }
                None => false,
            })
        };
        Ok(Bitmap::from_fn(views.len(), |row| pieces_in(views.get(row)) && self.1.accepts(views.get(row))))
    }
}

fn measure(name: &str, segment: &Arc<Segment>, pattern: &str) {
    let tokens = pattern.bytes().map(|byte| match byte {
        b'%' => TextToken::Run,
        b'_' => TextToken::Character,
        byte => TextToken::Byte(byte),
    });
    let automaton = TextAutomaton::of_sequences(&[tokens.collect()], false).unwrap();
    let pieces = pattern.split(['%', '_']).filter(|piece| !piece.is_empty());
    let pieces = pieces.map(|piece| Finder::new(piece).into_owned()).collect();
    let tests = [Test::Custom(Arc::new(Reading(pieces, automaton.clone()))), Test::Text(Arc::new(automaton))];
    let mut passing = Vec::new();
    let times = tests.map(|test| {
        let filter = segment.prepare(&[ColumnPredicate { column: 0, test }]).unwrap();
        passing.push(match filter.filter(0).unwrap() {
            BlockRows::All => segment.block_rows(0),
            BlockRows::Some(rows) => rows.len(),
            BlockRows::None => 0,
        });
        let run = || {
            let (start, mut runs) = (nanoseconds(), 0);
            loop {
                (0..8).for_each(|_| drop(black_box(filter.filter(0).unwrap())));
                runs += 8;
                let taken = nanoseconds() - start;
                if taken > 1e8 {
                    return taken / (runs * segment.rows()) as f64;
                }
            }
        };
        (0..3).map(|_| run()).min_by(f64::total_cmp).unwrap_or_default()
    });
    assert_eq!(passing[0], passing[1]);
    let share = 100.0 * passing[0] as f64 / segment.rows() as f64;
    println!("{:<34} {:>9.1} {:>9.1} {share:>6.1}%", format!("{name} like '{pattern}'"), times[0], times[1]);
}

//! How a version's rows are cut into buckets and segments, and which shards get which buckets.
//!
//! The plan is a fold over the files in their order: what it decides for a file depends on the files before
//! it alone. So a version that adds files to another shares nearly all of its segments. It knows nothing of shards;
//! those are dealt the buckets by [`crate::dealing`].

use crate::hydrate::Options;
use exec::Slicing;
use exec::slices::Ranges;
use std::sync::Arc;

/// How a version's rows lie on the shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Each row on some shard. A bucket is a range of the rows and makes one segment.
    #[default]
    Spread,
    /// Rows by the hash of these columns ([`Slicing::Hash`]): a bucket is a slice, and each piece of the rows makes a
    /// segment a slice.
    Hash(Vec<u32>),
    /// Rows by the range of a column's value ([`Slicing::Ranges`]); otherwise as with a hash. A slice is made of the row
    /// groups alone that have rows of it, and rows that lie in the order of the column stay in it.
    Ranges { column: u32, span: u64 },
    /// Every row on every shard: small datasets, which are one bucket.
    Replicated,
}

impl Placement {
    /// The columns by whose values rows are dealt to slices, and how; `None` where buckets are no slices.
    pub fn slicing(&self) -> Option<(&[u32], Slicing)> {
        match self {
            Placement::Hash(columns) => Some((columns, Slicing::Hash)),
            Placement::Ranges { column, span } => {
                Some((std::slice::from_ref(column), Slicing::Ranges { span: *span }))
            }
            Placement::Spread | Placement::Replicated => None,
        }
    }
}

/// A row group as it is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowGroup {
    pub(crate) rows: u64,
    /// The least and the greatest value of the column by whose ranges rows are placed; `None`: not known, or not
    /// wanted.
    pub(crate) keys: Option<(i128, i128)>,
}

/// Rows of one row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) file: usize,
    pub(crate) row_group: usize,
    pub(crate) start: u64,
    pub(crate) rows: u64,
    /// The row of the file with which the row group begins.
    pub(crate) origin: u64,
    /// [`RowGroup::keys`].
    pub(crate) keys: Option<(i128, i128)>,
}

impl Part {
    /// About how much of the part's rows are in a slice; 0: none.
    pub(crate) fn share_of(&self, ranges: &Ranges, slice: u32, slices: usize) -> f64 {
        let Some((min, max)) = self.keys else { return 1.0 / slices as f64 };
        let (first, count) = ranges.overlapped(min, max);
        let inside = (slice as usize + slices - first) % slices < count;
        if inside { 1.0 / count as f64 } else { 0.0 }
    }
}

/// Ranges of row groups whose rows become one segment; where rows are dealt to slices, one a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) parts: Vec<Part>,
}

impl Piece {
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }
}

/// How the rows of a version are cut. It grows by files, so that a version that adds files to another is planned
/// without another look at the files of that.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) placement: Placement,
    /// In the order of the rows.
    pieces: Vec<Arc<Piece>>,
    rows: u64,
    files: usize,
    /// The most rows of a piece.
    piece_rows: u64,
    slices: usize,
}

impl Plan {
    /// The plan of files with these rows in their row groups.
    pub(crate) fn new(files: &[Vec<RowGroup>], wanted: &Placement, options: &Options) -> Plan {
        let rows = rows_of(files);
        let placement = placement_of(rows, wanted, options);
        let piece_rows = piece_rows(rows, &placement, options);
        let slices = options.slices.max(1);
        let mut plan = Plan { placement, pieces: Vec::new(), rows: 0, files: 0, piece_rows, slices };
        files.iter().for_each(|groups| plan.add(groups));
        plan
    }

    /// This plan with further files; `None` where they change how the rows before them are cut.
    pub(crate) fn extended(
        &self,
        files: &[Vec<RowGroup>],
        wanted: &Placement,
        options: &Options,
    ) -> Option<Plan> {
        let rows = self.rows + rows_of(files);
        let same = self.placement == placement_of(rows, wanted, options)
            && self.piece_rows == piece_rows(rows, &self.placement, options)
            && self.slices == options.slices.max(1);
        same.then(|| {
            let mut plan = self.clone();
            files.iter().for_each(|groups| plan.add(groups));
            plan
        })
    }

    /// In the order of the rows.
    pub(crate) fn pieces(&self) -> &[Arc<Piece>] {
        &self.pieces
    }

    /// What tells each bucket from the others of its dataset, or each slice from the others of all datasets, and
    /// what it weighs: its rows, or alike.
    pub(crate) fn buckets(&self) -> Vec<(u64, u64)> {
        match self.placement {
            Placement::Replicated => vec![(0, self.rows)],
            Placement::Hash(_) | Placement::Ranges { .. } => slices(self.slices),
            Placement::Spread => self.pieces.iter().map(|piece| (first_row(piece), piece.rows())).collect(),
        }
    }

    fn add(&mut self, groups: &[RowGroup]) {
        append(&mut self.pieces, parts_of(self.files, groups), self.piece_rows);
        self.files += 1;
        self.rows += groups.iter().map(|group| group.rows).sum::<u64>();
    }
}

/// Slices as buckets.
pub fn slices(count: usize) -> Vec<(u64, u64)> {
    (0..count as u64).map(|slice| (slice, 1)).collect()
}

/// Names a piece by its first row: pieces that are merged keep the name of the first.
fn first_row(piece: &Piece) -> u64 {
    piece.parts.first().map_or(0, |part| {
        exec::hash::combine(
            exec::hash::combine(part.file as u64, part.row_group as u64),
            exec::hash::hash_word(part.start),
        )
    })
}

fn rows_of(files: &[Vec<RowGroup>]) -> u64 {
    files.iter().flatten().map(|group| group.rows).sum()
}

fn placement_of(rows: u64, wanted: &Placement, options: &Options) -> Placement {
    if rows <= options.replicated_rows { Placement::Replicated } else { wanted.clone() }
}

/// The most rows of a piece; it changes with the rows of the dataset in steps of two, so that few versions are cut
/// anew.
fn piece_rows(rows: u64, placement: &Placement, options: &Options) -> u64 {
    let most = options.segment_rows.max(1) as u64;
    match placement {
        Placement::Replicated => most,
        Placement::Hash(_) | Placement::Ranges { .. } => most * options.slices.max(1) as u64,
        Placement::Spread if options.buckets <= 1 => most,
        Placement::Spread => {
            (rows / options.buckets as u64).next_power_of_two().max(options.bucket_rows).min(most)
        }
    }
}

/// The rows of a file, row group by row group.
fn parts_of(file: usize, groups: &[RowGroup]) -> Vec<Part> {
    let mut next = 0;
    let parts = groups.iter().enumerate();
    let parts = parts.map(|(row_group, of)| {
        let origin = next;
        next += of.rows;
        Part { file, row_group, start: 0, rows: of.rows, origin, keys: of.keys }
    });
    parts.filter(|part| part.rows > 0).collect()
}

/// Cuts a file's parts into pieces of at most `limit` rows and puts them behind the others. A piece that is
/// not smaller than the one before it is merged with it where both fit: so small files end up in few pieces,
/// and each row is merged a logarithmic number of times as files come in one by one.
fn append(pieces: &mut Vec<Arc<Piece>>, parts: Vec<Part>, limit: u64) {
    let rows: u64 = parts.iter().map(|part| part.rows).sum();
    if rows == 0 {
        return;
    }
    // Even pieces rather than full ones and a rest.
    let size = rows.div_ceil(rows.div_ceil(limit));
    let mut open = Vec::new();
    let mut held = 0;
    for mut part in parts {
        // A row group is decoded by whoever builds one of its pieces: small ones are not cut.
        if part.rows <= limit / 4 && held + part.rows > limit {
            push_merged(pieces, std::mem::take(&mut open), limit);
            held = 0;
        }
        while part.rows > 0 {
            let room = if part.rows <= limit / 4 { limit - held } else { size - held };
            let taken = part.rows.min(room);
            open.push(Part { rows: taken, ..part });
            part.start += taken;
            part.rows -= taken;
            held += taken;
            if held >= size {
                push_merged(pieces, std::mem::take(&mut open), limit);
                held = 0;
            }
        }
    }
    if !open.is_empty() {
        push_merged(pieces, open, limit);
    }
}

fn push_merged(pieces: &mut Vec<Arc<Piece>>, parts: Vec<Part>, limit: u64) {
    let mut rows = parts.iter().map(|part| part.rows).sum();
    let mut from = pieces.len();
    while let Some(last) = from.checked_sub(1).map(|last| pieces[last].rows())
        && last <= rows
        && last + rows <= limit
    {
        rows += last;
        from -= 1;
    }
    let mut merged: Vec<Part> = pieces.drain(from..).flat_map(|piece| piece.parts.clone()).collect();
    merged.extend(parts);
    pieces.push(Arc::new(Piece { parts: merged }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { replicated_rows: 0, segment_rows: 1 << 20, ..Options::default() }
    }

    fn rows_of(plan: &Plan) -> Vec<u64> {
        plan.pieces().iter().map(|piece| piece.rows()).collect()
    }

    fn groups(files: &[Vec<u64>]) -> Vec<Vec<RowGroup>> {
        let group = |&rows: &u64| RowGroup { rows, keys: None };
        files.iter().map(|file| file.iter().map(group).collect()).collect()
    }

    fn plan_of(files: &[Vec<u64>], options: &Options) -> Plan {
        Plan::new(&groups(files), &Placement::Spread, options)
    }

    /// Every row of every file is in one piece, in order.
    fn check_cover(files: &[Vec<u64>], plan: &Plan) {
        let parts = plan.pieces().iter().flat_map(|piece| &piece.parts);
        let seen: Vec<(usize, usize, u64, u64)> =
            parts.map(|part| (part.file, part.row_group, part.start, part.start + part.rows)).collect();
        assert!(seen.is_sorted(), "{seen:?}");
        for (file, groups) in files.iter().enumerate() {
            for (group, &rows) in groups.iter().enumerate() {
                let mut end = 0;
                for part in seen.iter().filter(|part| (part.0, part.1) == (file, group)) {
                    assert_eq!(part.2, end);
                    end = part.3;
                }
                assert_eq!(end, rows);
            }
        }
    }

    #[test]
    fn every_row_has_one_place() {
        let sets: [Vec<Vec<u64>>; 6] = [
            vec![vec![6_000_000]],
            vec![vec![1_000_000; 6]],
            vec![vec![1, 0, 5], vec![], vec![200_000, 3]],
            vec![vec![100_000]; 50],
            vec![vec![122_880; 49]],
            vec![],
        ];
        for files in &sets {
            for buckets in [1, 3, 32] {
                let plan = plan_of(files, &Options { buckets, ..options() });
                check_cover(files, &plan);
                assert!(rows_of(&plan).iter().all(|&rows| 0 < rows && rows <= 1 << 20), "{plan:?}");
                let total: u64 = files.iter().flatten().sum();
                assert_eq!((plan.rows, plan.buckets().iter().map(|of| of.1).sum()), (total, total));
            }
        }
    }

    #[test]
    fn a_dataset_is_cut_into_as_many_buckets_as_are_to_be_dealt() {
        let options = Options { buckets: 32, bucket_rows: 100_000, ..options() };
        let count = |rows: u64| plan_of(&[vec![rows]], &options).pieces().len();
        assert_eq!(count(6_000_000), 23, "262,144 rows each");
        assert_eq!(count(300_000), 3, "not less than 100,000 rows, in steps of two");
        assert_eq!(count(600_000_000), 573);
    }

    #[test]
    fn small_row_groups_stay_whole() {
        let plan = plan_of(&[vec![122_880; 49]], &options());
        assert!(plan.pieces().iter().flat_map(|piece| &piece.parts).all(|part| part.rows == 122_880));
        assert!(rows_of(&plan)[..5].iter().all(|&rows| rows > 900_000), "{:?}", rows_of(&plan));
    }

    #[test]
    fn small_files_merge_and_keep_what_was() {
        let files: Vec<Vec<u64>> = vec![vec![1]; 1000];
        let plan = plan_of(&files, &options());
        assert_eq!(rows_of(&plan), [512, 256, 128, 64, 32, 8]);
        let fewer = plan_of(&files[..990], &options());
        assert_eq!(fewer.pieces()[..4], plan.pieces()[..4]);
        assert_eq!(fewer.buckets()[..4], plan.buckets()[..4]);
    }

    #[test]
    fn small_datasets_lie_everywhere_and_keyed_ones_by_hash() {
        let options = Options { replicated_rows: 1000, slices: 8, ..options() };
        let plan = Plan::new(&groups(&[vec![1000]]), &Placement::Hash(vec![0]), &options);
        assert_eq!((&plan.placement, plan.buckets().len()), (&Placement::Replicated, 1));
        let plan = Plan::new(&groups(&[vec![1001]]), &Placement::Hash(vec![2]), &options);
        assert_eq!((&plan.placement, plan.buckets().len()), (&Placement::Hash(vec![2]), 8));
    }

    #[test]
    fn an_extended_plan_is_the_plan_of_all_files() {
        let files = vec![vec![500], vec![1; 3], vec![], vec![200_000, 7], vec![1], vec![1], vec![300_000]];
        let files = groups(&files);
        for (wanted, buckets) in [
            (Placement::Spread, 1),
            (Placement::Spread, 3),
            (Placement::Hash(vec![0]), 3),
            (Placement::Ranges { column: 0, span: 9 }, 3),
        ] {
            let options = Options { buckets, bucket_rows: 1000, ..options() };
            let mut grown = Plan::new(&[], &wanted, &options);
            for (index, groups) in files.iter().enumerate() {
                let next = std::slice::from_ref(groups);
                if let Some(extended) = grown.extended(next, &wanted, &options) {
                    grown = extended;
                } else {
                    grown = Plan::new(&files[..=index], &wanted, &options);
                }
            }
            let whole = Plan::new(&files, &wanted, &options);
            assert_eq!((grown.pieces(), grown.rows), (whole.pieces(), whole.rows));
        }
        let few = Options { replicated_rows: 10, ..options() };
        let small = plan_of(&[vec![10]], &few);
        let extended = |rows: u64| small.extended(&groups(&[vec![rows]]), &Placement::Spread, &few);
        assert!(extended(0).is_some());
        assert!(extended(1).is_none(), "it is spread from now on");
    }

    #[test]
    fn parts_know_which_slices_their_keys_are_in() {
        let ranges = Ranges::new(80, 8);
        let part = |keys| Part { file: 0, row_group: 0, start: 0, rows: 100, origin: 0, keys };
        let shares = |keys| (0..8).map(|slice| part(keys).share_of(&ranges, slice, 8)).collect::<Vec<_>>();
        assert_eq!(shares(Some((10, 29))), [0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(shares(Some((75, 80))), [0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5], "the turn");
        assert_eq!(shares(Some((5, 500))), [0.125; 8]);
        assert_eq!(shares(None), [0.125; 8], "unknown");
    }
}

//! Which shard gets which rows of a version, and how they are cut into segments.
//!
//! The plan is a fold over the files in their order: what it decides for a file depends on the files before
//! it alone. So a version that adds files to another shares nearly all of its segments.

use crate::hydrate::Options;
use std::sync::Arc;

/// How a version's rows lie on the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each row on some shard.
    Spread,
    /// Rows on the shard that [`exec::hash::route`] names for the hash of these columns.
    Hash(Vec<u32>),
    /// Every row on every shard: small datasets.
    Replicated,
}

/// Rows of one row group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) file: usize,
    pub(crate) row_group: usize,
    pub(crate) start: u64,
    pub(crate) rows: u64,
}

/// The unit of placement: ranges of row groups whose rows become one segment of a shard. Where a hash places rows,
/// each shard has its slice of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) parts: Vec<Part>,
    pub(crate) target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    One(usize),
    All,
    /// Each row where the hash of its key says.
    ByHash,
}

impl Bucket {
    pub(crate) fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }
}

/// Where the rows of a version lie. It grows by files, so that a version that adds files to another is planned
/// without another look at the files of that.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) placement: Placement,
    /// A list a shard where rows are spread, else one; each in the order of the rows.
    buckets: Vec<Vec<Arc<Bucket>>>,
    /// Rows of each list.
    loads: Vec<u64>,
    files: usize,
    shards: usize,
    segment_rows: u64,
    split_rows: u64,
}

impl Plan {
    /// The plan of files with these rows in their row groups.
    pub(crate) fn new(files: &[Vec<u64>], partition_by: &[u32], shards: usize, options: &Options) -> Plan {
        let placement = placement_of(files.iter().flatten().sum(), partition_by, options);
        let lists = if placement == Placement::Spread { shards } else { 1 };
        let (buckets, loads) = (vec![Vec::new(); lists], vec![0; lists]);
        let segment_rows = options.segment_rows.max(1) as u64;
        let split_rows = options.split_rows;
        let mut plan = Plan { placement, buckets, loads, files: 0, shards, segment_rows, split_rows };
        files.iter().for_each(|groups| plan.add(groups));
        plan
    }

    /// This plan with further files; `None` where they change the place of what it has.
    pub(crate) fn extended(
        &self,
        files: &[Vec<u64>],
        partition_by: &[u32],
        shards: usize,
        options: &Options,
    ) -> Option<Plan> {
        let total = self.rows() + files.iter().flatten().sum::<u64>();
        let same = self.placement == placement_of(total, partition_by, options)
            && self.shards == shards
            && self.segment_rows == options.segment_rows.max(1) as u64
            && self.split_rows == options.split_rows;
        same.then(|| {
            let mut plan = self.clone();
            files.iter().for_each(|groups| plan.add(groups));
            plan
        })
    }

    pub(crate) fn rows(&self) -> u64 {
        self.loads.iter().sum()
    }

    /// Every bucket; those of one shard in the order of the rows.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = &Arc<Bucket>> {
        self.buckets.iter().flatten()
    }

    fn add(&mut self, groups: &[u64]) {
        let file = self.files;
        self.files += 1;
        let rows: u64 = groups.iter().sum();
        let (target, limit) = match &self.placement {
            Placement::Replicated => (Target::All, self.segment_rows),
            // Each of these becomes a segment a shard.
            Placement::Hash(_) => (Target::ByHash, self.segment_rows * self.shards as u64),
            Placement::Spread => return self.spread(file, groups),
        };
        append(&mut self.buckets[0], parts_of(file, groups, 0..rows), target, limit);
        self.loads[0] += rows;
    }

    /// Gives a file to the shard that has least, or a part of it to each.
    fn spread(&mut self, file: usize, groups: &[u64]) {
        let rows: u64 = groups.iter().sum();
        let mut order: Vec<usize> = (0..self.shards).collect();
        order.sort_by_key(|&shard| (self.loads[shard], shard));
        let whole = rows < self.split_rows || self.shards == 1;
        let cuts = if whole { vec![rows] } else { cuts(groups, self.shards) };
        let mut start = 0;
        for (&shard, &end) in order.iter().zip(&cuts) {
            let parts = parts_of(file, groups, start..end);
            append(&mut self.buckets[shard], parts, Target::One(shard), self.segment_rows);
            self.loads[shard] += end - start;
            start = end;
        }
    }
}

fn placement_of(rows: u64, partition_by: &[u32], options: &Options) -> Placement {
    match rows {
        few if few <= options.replicated_rows => Placement::Replicated,
        _ if partition_by.is_empty() => Placement::Spread,
        _ => Placement::Hash(partition_by.to_vec()),
    }
}

/// Where a file's rows are cut for `shards` shards, ascending, the last at its end: between row groups where
/// there are enough of them, else anywhere.
fn cuts(groups: &[u64], shards: usize) -> Vec<u64> {
    let rows: u64 = groups.iter().sum();
    let even = |shard: usize| (u128::from(rows) * (shard as u128 + 1) / shards as u128) as u64;
    if groups.len() < shards {
        return (0..shards).map(even).collect();
    }
    let ends: Vec<u64> = groups
        .iter()
        .scan(0, |end, rows| {
            *end += rows;
            Some(*end)
        })
        .collect();
    let nearest = |shard: usize| {
        let wanted = even(shard);
        ends.iter().copied().min_by_key(|end| end.abs_diff(wanted)).unwrap_or(rows)
    };
    (0..shards).map(|shard| if shard + 1 == shards { rows } else { nearest(shard) }).collect()
}

/// The rows `range` of a file, row group by row group.
fn parts_of(file: usize, groups: &[u64], range: std::ops::Range<u64>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (row_group, &rows) in groups.iter().enumerate() {
        let (from, to) = (range.start.max(begin), range.end.min(begin + rows));
        if from < to {
            parts.push(Part { file, row_group, start: from - begin, rows: to - from });
        }
        begin += rows;
    }
    parts
}

/// Cuts a file's parts into buckets of at most `limit` rows and puts them behind the others. A bucket that is
/// not smaller than the one before it is merged with it where both fit: so small files end up in few buckets,
/// and each row is merged a logarithmic number of times as files come in one by one.
fn append(buckets: &mut Vec<Arc<Bucket>>, parts: Vec<Part>, target: Target, limit: u64) {
    let rows: u64 = parts.iter().map(|part| part.rows).sum();
    if rows == 0 {
        return;
    }
    // Even buckets rather than full ones and a rest.
    let size = rows.div_ceil(rows.div_ceil(limit));
    let mut open = Bucket { parts: Vec::new(), target };
    let mut held = 0;
    for mut part in parts {
        // A row group is decoded by whoever builds one of its buckets: small ones are not cut.
        if part.rows <= limit / 4 && held + part.rows > limit {
            push_merged(buckets, std::mem::replace(&mut open, Bucket { parts: Vec::new(), target }), limit);
            held = 0;
        }
        while part.rows > 0 {
            let room = if part.rows <= limit / 4 { limit - held } else { size - held };
            let taken = part.rows.min(room);
            open.parts.push(Part { rows: taken, ..part });
            part.start += taken;
            part.rows -= taken;
            held += taken;
            if held >= size {
                push_merged(
                    buckets,
                    std::mem::replace(&mut open, Bucket { parts: Vec::new(), target }),
                    limit,
                );
                held = 0;
            }
        }
    }
    if !open.parts.is_empty() {
        push_merged(buckets, open, limit);
    }
}

fn push_merged(buckets: &mut Vec<Arc<Bucket>>, bucket: Bucket, limit: u64) {
    let mut rows = bucket.rows();
    let mut from = buckets.len();
    while let Some(last) = from.checked_sub(1).map(|last| buckets[last].rows())
        && last <= rows
        && last + rows <= limit
    {
        rows += last;
        from -= 1;
    }
    let mut parts: Vec<Part> = buckets.drain(from..).flat_map(|bucket| bucket.parts.clone()).collect();
    parts.extend(bucket.parts);
    buckets.push(Arc::new(Bucket { parts, target: bucket.target }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options { replicated_rows: 0, segment_rows: 1 << 20, ..Options::default() }
    }

    /// The placement and the buckets, in one list.
    fn plan_rows(
        files: &[Vec<u64>],
        partition_by: &[u32],
        shards: usize,
        options: &Options,
    ) -> (Placement, Vec<Bucket>) {
        let plan = Plan::new(files, partition_by, shards, options);
        let buckets: Vec<Bucket> = plan.buckets().map(|bucket| Bucket::clone(bucket)).collect();
        assert_eq!(plan.rows(), buckets.iter().map(Bucket::rows).sum::<u64>());
        (plan.placement, buckets)
    }

    fn rows_of(buckets: &[Bucket]) -> Vec<u64> {
        buckets.iter().map(Bucket::rows).collect()
    }

    /// Every row of every file is in one bucket of its shard, in order.
    fn check_cover(files: &[Vec<u64>], buckets: &[Bucket]) {
        let mut seen: Vec<(usize, usize, u64, u64)> = buckets
            .iter()
            .flat_map(|bucket| &bucket.parts)
            .map(|part| (part.file, part.row_group, part.start, part.start + part.rows))
            .collect();
        for shard in 0..8 {
            let of_shard = buckets.iter().filter(|bucket| bucket.target == Target::One(shard));
            let order: Vec<_> = of_shard
                .flat_map(|bucket| &bucket.parts)
                .map(|part| (part.file, part.row_group, part.start))
                .collect();
            assert!(order.is_sorted(), "{order:?}");
        }
        seen.sort_unstable();
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
            for shards in 1..=5 {
                let (_, buckets) = plan_rows(files, &[], shards, &options());
                check_cover(files, &buckets);
                assert!(rows_of(&buckets).iter().all(|&rows| 0 < rows && rows <= 1 << 20), "{buckets:?}");
            }
        }
    }

    #[test]
    fn large_files_are_shared_evenly() {
        for files in [vec![vec![6_000_000]], vec![vec![122_880; 49]], vec![vec![1_000_000; 6]]] {
            let (placement, buckets) = plan_rows(&files, &[], 3, &options());
            assert_eq!(placement, Placement::Spread);
            for shard in 0..3 {
                let own = buckets.iter().filter(|bucket| bucket.target == Target::One(shard));
                let rows: u64 = own.map(Bucket::rows).sum();
                assert!((1_900_000..2_130_000).contains(&rows), "{rows}");
            }
        }
    }

    #[test]
    fn small_row_groups_stay_whole() {
        let (_, buckets) = plan_rows(&[vec![122_880; 49]], &[], 1, &options());
        assert!(buckets.iter().flat_map(|bucket| &bucket.parts).all(|part| part.rows == 122_880));
        assert!(rows_of(&buckets)[..5].iter().all(|&rows| rows > 900_000), "{:?}", rows_of(&buckets));
    }

    #[test]
    fn small_files_merge_and_keep_what_was() {
        let files: Vec<Vec<u64>> = vec![vec![1]; 1000];
        let (_, buckets) = plan_rows(&files, &[], 1, &options());
        assert_eq!(rows_of(&buckets), [512, 256, 128, 64, 32, 8]);
        let (_, fewer) = plan_rows(&files[..990], &[], 1, &options());
        assert_eq!(fewer[..4], buckets[..4]);
    }

    #[test]
    fn small_datasets_lie_everywhere_and_keyed_ones_by_hash() {
        let files = vec![vec![1000]];
        let options = Options { replicated_rows: 1000, ..options() };
        let (placement, buckets) = plan_rows(&files, &[0], 3, &options);
        assert_eq!((placement, buckets[0].target), (Placement::Replicated, Target::All));
        let (placement, buckets) = plan_rows(&[vec![1001]], &[2], 3, &options);
        assert_eq!((placement, buckets[0].target), (Placement::Hash(vec![2]), Target::ByHash));
    }

    #[test]
    fn an_extended_plan_is_the_plan_of_all_files() {
        let files = vec![vec![500], vec![1; 3], vec![], vec![200_000, 7], vec![1], vec![1], vec![300_000]];
        for (partition_by, shards) in [(&[][..], 1), (&[][..], 3), (&[0][..], 3)] {
            let mut grown = Plan::new(&[], partition_by, shards, &options());
            for (index, groups) in files.iter().enumerate() {
                let next = std::slice::from_ref(groups);
                if let Some(extended) = grown.extended(next, partition_by, shards, &options()) {
                    grown = extended;
                } else {
                    grown = Plan::new(&files[..=index], partition_by, shards, &options());
                }
            }
            let whole = Plan::new(&files, partition_by, shards, &options());
            assert!(grown.buckets().eq(whole.buckets()) && grown.loads == whole.loads);
        }
        let few = Options { replicated_rows: 10, ..options() };
        let small = Plan::new(&[vec![10]], &[], 2, &few);
        assert!(small.extended(&[vec![0]], &[], 2, &few).is_some());
        assert!(small.extended(&[vec![1]], &[], 2, &few).is_none(), "it is spread from now on");
        assert!(small.extended(&[vec![0]], &[], 3, &few).is_none());
    }
}

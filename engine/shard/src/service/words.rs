//! What nodes say to each other in the engine's own terms.

use crate::hydrate::Options;
use crate::{
    Counts, Error, Holding, Hydration, HydrationState, Member, Placement, Result, ShardSet, VersionId,
};
use columnar::frame::{FrameLimits, FrameOptions};
use columnar::{BATCH_ROWS, Batch, Flat, Values, Vector, Views, lz4};
use exec::operators::exchange::SENT_ROWS;
use exec::runtime::wanted::WantedKeys;
use exec::runtime::{NodeProfile, Profile};
use flight_proto::node::{self, Failure, FailureKind, Held, PlacementKind, Speaks, VersionName};
use network::Versions;
use std::time::Duration;

/// How rows travel: not compressed, since networks between nodes are faster than compression.
pub const FRAMES: FrameOptions = FrameOptions { compress: false };

/// What a frame of rows may be.
pub fn frame_limits() -> FrameLimits {
    FrameLimits { rows: SENT_ROWS, ..FrameLimits::default() }
}

/// Values of a batch longer than this, together, are sent in several frames.
const FRAME_BYTES: usize = 16 << 20;

/// The most rows of a frame that all nodes of a cluster at `version` take.
pub(super) fn frame_rows(version: u16) -> usize {
    if version >= 2 { SENT_ROWS } else { BATCH_ROWS }
}

/// The batch in pieces of at most `rows` that fit a message, unless a single row does not.
pub(super) fn pieces(batch: Batch, rows: usize) -> Vec<Batch> {
    if batch.rows <= 1 || batch.rows <= rows && value_bytes(&batch) <= FRAME_BYTES {
        return vec![batch];
    }
    let half = batch.rows / 2;
    let halves = [batch.slice(0, half), batch.slice(half, batch.rows - half)];
    halves.into_iter().flat_map(|half| pieces(half, rows)).collect()
}

/// Bytes of the rows' values, as far as they travel for each row.
fn value_bytes(batch: &Batch) -> usize {
    let of_rows = |views: &Views| (0..views.len()).map(|row| views.get(row).len()).sum::<usize>();
    let columns = batch.columns.iter().map(|column| match column {
        Vector::Flat(Flat { values: Values::View(views), .. }) => of_rows(views),
        Vector::Dictionary(vector) => match &vector.dictionary.values.values {
            Values::View(views) => {
                (0..vector.codes.len()).map(|row| views.get(vector.codes.get(row)).len()).sum()
            }
            _ => 0,
        },
        Vector::Flat(_) => batch.rows * column.physical().width_bytes(),
        Vector::Constant(_) => 0,
    });
    columns.sum()
}

/// Longer ones are not told: they would cost more than the rows that they hold back.
const WANTED_BYTES: usize = 256 << 10;
/// Of words that are compressed.
const WANTED_WORDS: usize = 1 << 19;

/// Which keys are wanted, in words; `None`: it would take too many.
pub(super) fn wanted_of(keys: &WantedKeys) -> Option<node::WantedKeys> {
    let words = u32::try_from(keys.words.len()).ok().filter(|&words| words as usize <= WANTED_WORDS)?;
    let bytes: Vec<u8> = keys.words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let block = lz4::compress(&bytes).unwrap_or(bytes);
    let told = node::WantedKeys { column: keys.column, first: keys.first, words, block: block.into() };
    (told.block.len() <= WANTED_BYTES).then_some(told)
}

/// Not some keys, but all.
pub(super) fn all_wanted() -> node::WantedKeys {
    node::WantedKeys { column: 0, first: 0, words: u32::MAX, block: Default::default() }
}

/// Which keys are wanted; `None`: all, or it is not understood.
pub(super) fn wanted_from(told: node::WantedKeys) -> Option<WantedKeys> {
    let words = usize::try_from(told.words).ok().filter(|&words| words <= WANTED_WORDS)?;
    // All of them are integers of 64 bits.
    told.first.checked_mul(64)?;
    told.first.checked_add(told.words.into())?.checked_mul(64)?;
    let decompressed;
    let bytes = match told.block.len() == words * 8 {
        true => &told.block[..],
        false => {
            decompressed = lz4::decompress(&told.block, words * 8)?;
            &decompressed
        }
    };
    let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    Some(WantedKeys { column: told.column, first: told.first, words })
}

/// What a shard holds, in words.
pub(super) fn held_of(id: &VersionId, holding: &Holding) -> Held {
    let (placement, keys, span) = match &holding.placement {
        Placement::Spread => (PlacementKind::Spread, Vec::new(), 0),
        Placement::Hash(columns) => (PlacementKind::Hash, columns.clone(), 0),
        Placement::Ranges { column, span } => (PlacementKind::Ranges, vec![*column], *span),
        Placement::Replicated => (PlacementKind::Replicated, Vec::new(), 0),
    };
    let (numbers, rows) = holding.held.iter().copied().unzip();
    let mut held = Held {
        version: Some(VersionName::from(id)),
        keys,
        span,
        buckets: u32::try_from(holding.buckets).unwrap_or(u32::MAX),
        numbers,
        rows,
        ..Held::default()
    };
    held.set_placement(placement);
    held
}

/// What a shard said that it holds.
pub fn holding_of(held: Held) -> Result<(VersionId, Holding)> {
    let damaged = || Error::Stored("what a shard says that it holds is not understood".into());
    let placement = match (held.placement(), &held.keys[..]) {
        (PlacementKind::Spread, _) => Placement::Spread,
        (PlacementKind::Hash, keys) => Placement::Hash(keys.to_vec()),
        (PlacementKind::Ranges, &[column]) if held.span > 0 => Placement::Ranges { column, span: held.span },
        (PlacementKind::Unknown | PlacementKind::Ranges, _) => return Err(damaged()),
        (PlacementKind::Replicated, _) => Placement::Replicated,
    };
    let sound = held.numbers.len() == held.rows.len()
        && held.numbers.is_sorted_by(|a, b| a < b)
        && held.numbers.last().is_none_or(|&last| last < held.buckets);
    let id = held.version.filter(|_| sound).ok_or_else(damaged)?;
    let pairs = held.numbers.into_iter().zip(held.rows).collect();
    Ok((id.into(), Holding { placement, buckets: held.buckets as usize, held: pairs }))
}

/// How far a hydration is, in words.
pub(super) fn told_hydration(hydration: Hydration) -> node::Hydration {
    let (ended, failure) = match hydration.state {
        HydrationState::Running => (false, None),
        HydrationState::Done => (true, None),
        HydrationState::Failed(why) => (true, Some(why)),
    };
    node::Hydration {
        version: Some(VersionName::from(&hydration.version)),
        began_us: hydration.began_us,
        elapsed_ms: hydration.elapsed_ms,
        rows_total: hydration.counts.rows_total,
        rows_done: hydration.counts.rows_done,
        bytes_read: hydration.counts.bytes_read,
        ended,
        failure,
    }
}

/// How far a shard said that a hydration is; `None`: it did not say of what.
pub fn hydration_of(told: node::Hydration) -> Option<Hydration> {
    Some(Hydration {
        version: told.version?.into(),
        began_us: told.began_us,
        elapsed_ms: told.elapsed_ms,
        counts: Counts {
            rows_total: told.rows_total,
            rows_done: told.rows_done,
            bytes_read: told.bytes_read,
            requests: 0,
        },
        state: match (told.ended, told.failure) {
            (false, _) => HydrationState::Running,
            (true, None) => HydrationState::Done,
            (true, Some(why)) => HydrationState::Failed(why),
        },
    })
}

/// How buckets are dealt and cut, in words.
pub fn dealing_of(set: &ShardSet, options: &Options) -> node::Dealing {
    node::Dealing {
        shards: set
            .shards
            .iter()
            .map(|member| node::Member { id: member.id, weight: member.weight })
            .collect(),
        replicas: set.replicas as u32,
        replicated_rows: options.replicated_rows,
        buckets: options.buckets as u32,
        bucket_rows: options.bucket_rows,
        slices: options.slices as u32,
    }
}

/// The shards, and `own` with the cuts that all nodes share.
pub(super) fn from_dealing(dealing: &node::Dealing, own: &Options) -> (ShardSet, Options) {
    let members = dealing.shards.iter().map(|member| Member { id: member.id, weight: member.weight });
    let set = ShardSet { shards: members.collect(), replicas: dealing.replicas as usize };
    let options = Options {
        replicated_rows: dealing.replicated_rows,
        buckets: dealing.buckets as usize,
        bucket_rows: dealing.bucket_rows,
        slices: dealing.slices as usize,
        ..own.clone()
    };
    (set, options)
}

/// An error as it is told to the node that asked.
pub(super) fn failure_of(error: &exec::Error) -> Failure {
    let kind = match error {
        exec::Error::Value(_) => FailureKind::Value,
        exec::Error::SubqueryRows => FailureKind::SubqueryRows,
        exec::Error::Memory { .. } | exec::Error::MemoryElsewhere(_) => FailureKind::Memory,
        exec::Error::Cancelled => FailureKind::Cancelled,
        exec::Error::DeadlineExceeded => FailureKind::Deadline,
        exec::Error::Storage(_) => FailureKind::Storage,
        exec::Error::Exchange(_) => FailureKind::Exchange,
        exec::Error::Unsupported(_) => FailureKind::Unsupported,
        exec::Error::Internal(_) => FailureKind::Internal,
    };
    let message = match error {
        exec::Error::Unsupported(what) | exec::Error::Internal(what) => what.clone(),
        other => other.to_string(),
    };
    Failure { kind: kind.into(), message }
}

/// The error that a node told.
pub fn error_of(failure: Failure) -> exec::Error {
    let kind = failure.kind();
    let message = failure.message;
    match kind {
        FailureKind::Value => exec::Error::Value(columnar::Error::Told(message)),
        FailureKind::SubqueryRows => exec::Error::SubqueryRows,
        FailureKind::Memory => exec::Error::MemoryElsewhere(message),
        FailureKind::Cancelled => exec::Error::Cancelled,
        FailureKind::Deadline => exec::Error::DeadlineExceeded,
        FailureKind::Storage => exec::Error::Storage(message),
        FailureKind::Exchange | FailureKind::NotHeld | FailureKind::Fenced | FailureKind::Damaged => {
            exec::Error::Exchange(message)
        }
        FailureKind::Unsupported => exec::Error::Unsupported(message),
        FailureKind::Internal | FailureKind::Unknown => exec::Error::Internal(message),
    }
}

pub(super) fn profile_of(fragment: u32, profile: Profile) -> node::Profile {
    let nodes = profile.nodes.into_iter().map(|node| node::NodeProfile {
        rows: node.rows,
        batches: node.batches,
        nanoseconds: u64::try_from(node.time.as_nanos()).unwrap_or(u64::MAX),
        memory_peak_bytes: node.memory_peak_bytes,
    });
    node::Profile { fragment, nodes: nodes.collect() }
}

/// What a fragment did on another node.
pub fn from_profile(profile: node::Profile) -> (u32, Profile) {
    let nodes = profile.nodes.into_iter().map(|node| NodeProfile {
        rows: node.rows,
        batches: node.batches,
        time: Duration::from_nanos(node.nanoseconds),
        memory_peak_bytes: node.memory_peak_bytes,
    });
    (profile.fragment, Profile { nodes: nodes.collect() })
}

/// What a node of the first version speaks, which did not tell.
pub const FIRST_VERSIONS: Versions = Versions { least: 1, most: 1 };

/// What a node speaks, in words.
pub fn speaks_of(versions: Versions) -> Speaks {
    Speaks { least: versions.least.into(), most: versions.most.into() }
}

/// What a node said that it speaks.
pub fn versions_of(speaks: Option<Speaks>) -> Versions {
    let number = |version: u32| u16::try_from(version).unwrap_or(u16::MAX);
    speaks
        .map_or(FIRST_VERSIONS, |speaks| Versions { least: number(speaks.least), most: number(speaks.most) })
}

/// A query's identity of its 16 bytes.
pub(super) fn query_id(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_keys_are_read_back() {
        let sparse = (0..100_000).map(|word| u64::from(word % 5_000 == 7) << 9).collect();
        for words in [Vec::new(), vec![5], vec![u64::MAX, 0, 1], sparse] {
            let keys = WantedKeys { column: 3, first: -9, words };
            let told = wanted_of(&keys).unwrap();
            assert!(told.block.len() < 8_000);
            assert_eq!(wanted_from(told).as_ref(), Some(&keys));
        }
    }

    #[test]
    fn too_many_wanted_keys_are_not_told() {
        let of = |words: Vec<u64>| wanted_of(&WantedKeys { column: 0, first: 0, words });
        let mixed = |word: u64| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ word << 7;
        assert!(of((0..40_000).map(mixed).collect()).is_none());
        assert!(of(vec![0; WANTED_WORDS + 1]).is_none());
    }

    #[test]
    fn malformed_wanted_keys_are_not_understood() {
        let told = |words: u32, block: &[u8]| node::WantedKeys {
            column: 0,
            first: 0,
            words,
            block: block.to_vec().into(),
        };
        for (words, block) in [(2, &[1; 8][..]), (u32::MAX, &[0; 9]), (1, &[]), (9, &[0xff; 70])] {
            assert_eq!(wanted_from(told(words, block)), None);
        }
        for first in [i64::MIN, i64::MAX, i64::MAX / 64] {
            assert_eq!(wanted_from(node::WantedKeys { first, ..told(1, &[1; 8]) }), None);
        }
    }
}

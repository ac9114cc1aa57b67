//! Segments that are taken from other shards rather than built.

use super::wanted::{Missing, Wanted};
use crate::node::Held;
use crate::others::{Offer, Others};
use futures::{StreamExt, stream};

/// Segments that are under way at once.
const AT_ONCE: usize = 8;

/// Takes what others have of the missing segments, and gives what is still missing.
pub(super) async fn take(
    others: &Others,
    wanted: &Wanted,
    missing: Vec<Missing>,
    segments: &mut [Vec<Held>],
) -> Vec<Missing> {
    let of_missing = |(number, missing): (usize, &Missing)| {
        let keys = missing.buckets.iter().map(|&bucket| (number, bucket, wanted.key(&missing.whole, bucket)));
        keys.collect::<Vec<_>>()
    };
    let asked: Vec<_> = missing.iter().enumerate().flat_map(of_missing).collect();
    let keys: Vec<_> = asked.iter().map(|&(_, _, key)| key).collect();
    let offers = others.offers(&wanted.version.id, &keys).await;
    let mut taking = Vec::new();
    for ((number, bucket, _), offer) in asked.into_iter().zip(offers) {
        taking.extend(offer.map(|offer| take_one(others, wanted, number, bucket, offer)));
    }
    let taken: Vec<_> = stream::iter(taking).buffer_unordered(AT_ONCE).collect().await;
    let mut missing: Vec<Option<Missing>> = missing.into_iter().map(Some).collect();
    for (number, held) in taken.into_iter().flatten() {
        let Some(of) = &mut missing[number] else { continue };
        of.leave_out(held.bucket);
        segments[of.index].push(held);
        if of.buckets.is_empty() {
            wanted.expect_found(&of.whole);
            missing[number] = None;
        }
    }
    missing.into_iter().flatten().collect()
}

async fn take_one(
    others: &Others,
    wanted: &Wanted,
    number: usize,
    bucket: u32,
    offer: Offer,
) -> Option<(usize, Held)> {
    match others.take(&wanted.shard, &wanted.version.id, &offer).await {
        Ok(resident) => {
            wanted.progress.add_bytes(offer.bytes);
            Some((number, Held::whole(bucket, resident)))
        }
        Err(error) => {
            tracing::debug!("a segment is built instead: {error}");
            None
        }
    }
}

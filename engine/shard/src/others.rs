//! Segments that other shards have: they are taken as they are, which is less work than to build them from their files.

use crate::node::Resident;
use crate::segment_files::Key;
use crate::{Error, Result, Shard, VersionId};
use flight_proto::Message;
use flight_proto::node::{AskSegments, HaveSegments, Service, TakeSegment};
use futures::future::join_all;
use network::{Peers, Stream};
use std::sync::Arc;
use std::time::Duration;

/// How long another may take to say what it has.
const ANSWER: Duration = Duration::from_secs(2);
/// How long it may take until the next piece comes.
const PIECE: Duration = Duration::from_secs(10);
/// Bytes of a piece.
const PIECE_BYTES: usize = 1 << 20;

/// Other shards, from which segments are taken.
pub struct Others {
    peers: Arc<Peers>,
    addresses: Vec<String>,
}

/// A segment that another shard has.
pub(crate) struct Offer {
    address: String,
    pub(crate) key: Key,
    pub(crate) bytes: u64,
}

impl Others {
    pub fn new(peers: Arc<Peers>, addresses: Vec<String>) -> Others {
        Others { peers, addresses }
    }

    /// From whom each of these segments of a dataset is best taken; `None`: nobody says that it is held.
    pub(crate) async fn offers(&self, id: &VersionId, keys: &[Key]) -> Vec<Option<Offer>> {
        let ask = AskSegments {
            tenant: id.tenant.clone(),
            dataset: id.dataset,
            keys: keys.iter().map(|key| key.to_bytes().to_vec().into()).collect(),
        };
        let request = bytes::Bytes::from(ask.encode_to_vec());
        let calls = self.addresses.iter().map(|address| async {
            let service = network::Service(Service::AskSegments as u16);
            let answer = self.peers.call(address, service, request.clone(), ANSWER).await;
            let have = answer.ok().and_then(|bytes| HaveSegments::decode(bytes).ok());
            have.filter(|have| have.bytes.len() == keys.len()).unwrap_or_default().bytes
        });
        let answers = join_all(calls).await;
        let mut loads = vec![0; self.addresses.len()];
        let best = |(place, &key): (usize, &Key)| {
            let held = |shard: &usize| answers[*shard].get(place).is_some_and(|&bytes| bytes > 0);
            let shard = (0..answers.len()).filter(held).min_by_key(|&shard| loads[shard])?;
            let bytes = answers[shard][place];
            loads[shard] += bytes;
            Some(Offer { address: self.addresses[shard].clone(), key, bytes })
        };
        keys.iter().enumerate().map(best).collect()
    }

    /// Takes a segment that was offered.
    pub(crate) async fn take(
        &self,
        shard: &Arc<Shard>,
        id: &VersionId,
        offer: &Offer,
    ) -> Result<Arc<Resident>> {
        let lost = |error: network::Error| Error::Store {
            url: format!("a segment of {}", offer.address),
            why: error.to_string(),
        };
        let silent = |_| Error::Store {
            url: format!("a segment of {}", offer.address),
            why: "no piece came in time".into(),
        };
        let service = network::Service(Service::TakeSegment as u16);
        let Stream { mut sender, mut receiver } =
            self.peers.open(&offer.address, service).await.map_err(lost)?;
        let take = TakeSegment {
            tenant: id.tenant.clone(),
            dataset: id.dataset,
            key: offer.key.to_bytes().to_vec().into(),
        };
        sender.send(take.encode_to_vec().into()).await.map_err(lost)?;
        sender.finish().map_err(lost)?;
        let mut incoming = shard.receive(id, offer.key)?;
        let mut came = 0;
        while let Some(piece) =
            tokio::time::timeout(PIECE, receiver.receive()).await.map_err(silent)?.map_err(lost)?
        {
            came += piece.len() as u64;
            if came > offer.bytes {
                break;
            }
            let pushed = crate::blocking(move || incoming.push(&piece).map(|()| incoming)).await;
            incoming = pushed.map_err(|error| Error::Internal(error.to_string()))??;
        }
        if came != offer.bytes {
            let why = format!("{came} bytes came where {} were announced", offer.bytes);
            return Err(Error::Store { url: format!("a segment of {}", offer.address), why });
        }
        let shard = shard.clone();
        let received = crate::blocking(move || shard.received(incoming)).await;
        received.map_err(|error| Error::Internal(error.to_string()))?
    }
}

/// What of these segments `shard` has.
pub(crate) fn have(shard: &Shard, ask: &AskSegments) -> HaveSegments {
    let id = VersionId { tenant: ask.tenant.clone(), dataset: ask.dataset, version: 0 };
    let bytes = ask.keys.iter().map(|key| {
        let resident = Key::of_bytes(key).and_then(|key| shard.resident(&id, key));
        resident.map_or(0, |resident| resident.segment.bytes())
    });
    HaveSegments { bytes: bytes.collect() }
}

/// Sends the segment that is asked for in `stream`; breaks off where it is not, or no longer, whole.
pub(crate) async fn give(shard: &Arc<Shard>, mut stream: Stream) {
    let Ok(Some(request)) = stream.receiver.receive().await else { return };
    let Ok(take) = TakeSegment::decode(request) else { return };
    let id = VersionId { tenant: take.tenant, dataset: take.dataset, version: 0 };
    let Some(resident) = Key::of_bytes(&take.key).and_then(|key| shard.resident(&id, key)) else { return };
    let mut at = 0;
    while at < resident.segment.image().len() {
        let from = resident.clone();
        // Pages may have to be read from the disk.
        let piece = crate::blocking(move || {
            let rest = &from.segment.image()[at..];
            bytes::Bytes::copy_from_slice(&rest[..rest.len().min(PIECE_BYTES)])
        });
        let Ok(piece) = piece.await else { return };
        at += piece.len();
        if stream.sender.send(piece).await.is_err() {
            return;
        }
    }
    if resident.segment.check().is_ok() {
        // Whoever does not take it any more does not miss the end.
        let _ = stream.sender.finish();
    }
}

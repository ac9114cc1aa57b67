//! What both ends of a connection in memory share.

use super::Hub;
use super::faults::Link;
use crate::Stream;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

/// The streams that each end may have open at a time, as over QUIC.
const STREAMS_MAX: usize = 4096;

/// A connection, seen from neither end. End 0 connected, end 1 was connected to.
pub(super) struct Wire {
    nodes: [String; 2],
    pub(super) link: Arc<Link>,
    hub: Arc<Hub>,
    /// Why it was lost.
    lost: watch::Sender<Option<String>>,
    pub(super) ends: [End; 2],
}

/// What belongs to one end.
pub(super) struct End {
    /// The streams that it opens.
    pub(super) permits: Arc<Semaphore>,
    /// Streams of the other end that nobody took yet.
    offered: Mutex<VecDeque<(Option<Instant>, Stream)>>,
    offers: Notify,
    /// Whose turn it is to wait for the next offer.
    turn: tokio::sync::Mutex<()>,
}

impl Wire {
    pub(super) fn new(nodes: [String; 2], link: Arc<Link>, hub: Arc<Hub>) -> Wire {
        let end = || End {
            permits: Arc::new(Semaphore::new(STREAMS_MAX)),
            offered: Mutex::default(),
            offers: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        };
        Wire { nodes, link, hub, lost: watch::Sender::new(None), ends: [end(), end()] }
    }

    /// The name of the node at an end.
    pub(super) fn node(&self, end: usize) -> &str {
        &self.nodes[end]
    }

    pub(super) fn touches(&self, node: &str) -> bool {
        self.nodes.iter().any(|name| name == node)
    }

    pub(super) fn joins(&self, one: &str, other: &str) -> bool {
        self.nodes == [one, other] || self.nodes == [other, one]
    }

    /// When what is sent now arrives.
    pub(super) fn due(&self) -> Option<Instant> {
        self.hub.due()
    }

    /// Tells the network's observer of a message that an end sends.
    pub(super) fn observe(&self, end: usize, bytes: usize) {
        if let Some(observer) = &*self.hub.observer.lock() {
            observer(&self.nodes[end], &self.nodes[1 - end], bytes);
        }
    }

    /// Ends it for both; the first reason counts.
    pub(super) fn lose(&self, why: &str) {
        let first = self.lost.send_if_modified(|lost| {
            let first = lost.is_none();
            lost.get_or_insert_with(|| why.to_string());
            first
        });
        if first {
            for end in &self.ends {
                // Streams hold the wire: they would keep each other. They are dropped outside of the lock.
                let streams = std::mem::take(&mut *end.offered.lock());
                drop(streams);
            }
        }
    }

    /// Why it is lost, if it is.
    pub(super) fn why_lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }

    /// Ready once it is lost.
    pub(super) async fn lost(&self) -> String {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // The sender is kept here.
            Err(_) => String::new(),
        }
    }

    /// Shows a stream to an end, as its first message is sent.
    pub(super) fn offer(&self, end: usize, due: Option<Instant>, stream: Stream) {
        let end = &self.ends[end];
        let mut offered = end.offered.lock();
        if self.lost.borrow().is_none() {
            offered.push_back((due, stream));
            end.offers.notify_one();
        }
    }

    /// The next stream that the other end opened; why it is lost otherwise.
    pub(super) async fn next_offer(&self, end: usize) -> Result<Stream, String> {
        let end = &self.ends[end];
        let _turn = end.turn.lock().await;
        loop {
            let due = {
                let mut offered = end.offered.lock();
                if let Some(why) = self.why_lost() {
                    return Err(why);
                }
                match offered.front() {
                    Some((due, _)) if !self.link.has_arrived(*due) => Some(*due),
                    _ => match offered.pop_front() {
                        Some((_, stream)) => return Ok(stream),
                        None => None,
                    },
                }
            };
            self.event(&end.offers, due).await;
        }
    }

    /// Waits for a change, for what is under way, and for the loss of the connection.
    pub(super) async fn event(&self, changed: &Notify, under_way: Option<Option<Instant>>) {
        let arrival = async {
            match under_way {
                Some(due) => self.link.arrived(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.lost() => {}
            () = changed.notified() => {}
            () = arrival => {}
        }
    }
}

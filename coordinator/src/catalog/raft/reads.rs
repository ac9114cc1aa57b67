//! States that are up to date: callers share one question to the leader.
//!
//! A caller shares only a question that is sent after it came: the answer holds all that was acknowledged
//! before.

use super::member::{Member, Silence};
use crate::error::{Error, Result};
use flight_proto::replication::{Answer, Question, ReadIndex};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Callers that wait for the next question; more wait for a place among them.
const WAITING_MOST: usize = 1_024;

type Waiter = oneshot::Sender<std::result::Result<u64, Arc<Silence>>>;

/// Where callers wait for the next question.
pub(super) struct Reads {
    waiters: mpsc::Sender<Waiter>,
}

impl Reads {
    /// The waiting room, and the task that asks.
    pub(super) fn new(member: Arc<Member>) -> (Reads, impl Future<Output = ()> + Send) {
        let (waiters, waiting) = mpsc::channel(WAITING_MOST);
        (Reads { waiters }, ask_for_all(member, waiting))
    }

    /// Waits until the state of `member` holds everything that was acknowledged before the call.
    pub(super) async fn linearize(&self, member: &Member) -> Result<()> {
        member.check_open()?;
        let deadline = Instant::now() + member.timings().patience;
        let late = |_| Error::Conflict("the catalog is not up to date here yet; try again".into());
        let (tell, told) = oneshot::channel();
        let ask = async {
            self.waiters.send(tell).await.map_err(|_| Error::ShuttingDown)?;
            told.await.map_err(|_| Error::ShuttingDown)
        };
        let index = timeout_at(deadline, ask).await.map_err(late)??;
        let index = index.map_err(|silence| silence.of_read())?;
        let mut position = member.applied.position.clone();
        let applied = position.wait_for(|position| *position >= Some(index));
        timeout_at(deadline, applied).await.map_err(late)?.map_err(|_| Error::ShuttingDown)?;
        Ok(())
    }
}

async fn ask_for_all(member: Arc<Member>, mut waiting: mpsc::Receiver<Waiter>) {
    let mut waiters = Vec::new();
    while waiting.recv_many(&mut waiters, WAITING_MOST).await > 0 {
        let answer = member.ask_leader(Question::ReadIndex(ReadIndex {}), member.timings().patience).await;
        let index = match answer {
            Ok(Answer::ReadIndex(index)) => Ok(index),
            Ok(_) => Err(Arc::new(Silence::not_understood())),
            Err(silence) => Err(Arc::new(silence)),
        };
        for waiter in waiters.drain(..) {
            // Who no longer waits needs no answer.
            let _ = waiter.send(index.clone());
        }
    }
}

//! The coordinators that a shard tells of itself: those it was started with, and those that they tell of.

use super::Node;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long a coordinator is told that the others no longer tell of.
const FORGET: Duration = Duration::from_secs(60);

/// By address.
#[derive(Default)]
pub(super) struct Contacts(Mutex<HashMap<String, Contact>>);

struct Contact {
    /// When it was told of last; `None`: the shard was started with it.
    told: Option<Instant>,
    task: AbortHandle,
}

impl Contacts {
    pub(super) fn addresses(&self) -> Vec<String> {
        self.0.lock().keys().cloned().collect()
    }

    /// Ends all reports.
    pub(super) fn end(&self) {
        self.0.lock().drain().for_each(|(_, contact)| contact.task.abort());
    }

    /// Ends reports to those that were not told of for long.
    pub(super) fn tidy(&self) {
        self.0.lock().retain(|_, contact| {
            let keep = contact.told.is_none_or(|told| told.elapsed() < FORGET);
            if !keep {
                contact.task.abort();
            }
            keep
        });
    }
}

impl Node {
    /// Tells a coordinator of this shard from now on; `told`: another coordinator has told of it.
    pub(super) fn contact(self: &Arc<Node>, address: &str, told: bool) {
        let told = told.then(Instant::now);
        let mut contacts = self.contacts.0.lock();
        if let Some(contact) = contacts.get_mut(address) {
            contact.told = contact.told.and(told);
            return;
        }
        let task = tokio::spawn(self.clone().report_to(address.to_string())).abort_handle();
        contacts.insert(address.to_string(), Contact { told, task });
    }
}

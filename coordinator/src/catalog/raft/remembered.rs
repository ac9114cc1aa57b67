//! The replies to the latest commands, so that one that is proposed again is not applied again.
//!
//! A pure part of the replicated state: it depends on the log alone. Commands older than the latest
//! [`COMMANDS_MOST`] are forgotten. A proposal says what its proposer had applied before it was first made:
//! where a command behind that is forgotten it may have been this one, and the proposal is not applied.

use super::types::{Outcome, Proposal};
use crate::catalog::Reply;
use flight_proto::catalog as stored;
use flight_proto::log::Remembered as StoredCommand;
use std::collections::{HashMap, VecDeque};

/// How many commands are remembered. Members must agree on it, or their states part.
pub(super) const COMMANDS_MOST: usize = 4_096;

/// The replies to the latest commands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Remembered {
    replies: HashMap<u128, stored::Reply>,
    /// In the order of the log, with their places there.
    order: VecDeque<(u64, u128)>,
    /// The place of the latest command that was forgotten.
    forgotten: u64,
}

impl Remembered {
    pub(super) fn from_stored(commands: Vec<StoredCommand>, forgotten: u64) -> Option<Remembered> {
        let mut remembered = Remembered { forgotten, ..Remembered::default() };
        for command in commands {
            let identity = u128::from_be_bytes(command.identity.try_into().ok()?);
            remembered.order.push_back((command.index, identity));
            remembered.replies.insert(identity, command.reply?);
        }
        Some(remembered)
    }

    /// In the order of the log; with [`Remembered::forgotten`] it is all there is.
    pub(super) fn stored(&self) -> Vec<StoredCommand> {
        let command = |&(index, identity): &(u64, u128)| StoredCommand {
            identity: identity.to_be_bytes().into(),
            index,
            reply: self.replies.get(&identity).cloned(),
        };
        self.order.iter().map(command).collect()
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What became of the proposal earlier; `None`: it was not applied, and is to be applied now.
    pub(super) fn earlier(&self, proposal: &Proposal) -> Option<Outcome> {
        let identity = proposal.identity?;
        match self.replies.get(&identity) {
            Some(reply) => Some(Outcome::Replied(Reply::from(reply))),
            None if proposal.after < self.forgotten => Some(Outcome::Forgotten),
            None => None,
        }
    }

    /// Keeps the reply to a command that was applied at `index`.
    pub(super) fn keep(&mut self, index: u64, identity: Option<u128>, reply: &Reply) {
        let Some(identity) = identity else { return };
        self.replies.insert(identity, reply.into());
        self.order.push_back((index, identity));
        if self.order.len() > COMMANDS_MOST
            && let Some((index, oldest)) = self.order.pop_front()
        {
            self.replies.remove(&oldest);
            self.forgotten = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_proto::catalog::Command;

    fn proposal(identity: u128, after: u64) -> Proposal {
        Proposal { identity: Some(identity), after, command: Command::default() }
    }

    #[test]
    fn a_reply_is_given_again_until_it_is_forgotten() {
        let mut remembered = Remembered::default();
        let most = COMMANDS_MOST as u64;
        for index in 1..=most {
            assert_eq!(remembered.earlier(&proposal(index.into(), 0)), None);
            remembered.keep(index, Some(index.into()), &Reply::Dataset(index));
        }
        assert_eq!(remembered.earlier(&proposal(1, 0)), Some(Outcome::Replied(Reply::Dataset(1))));
        remembered.keep(most + 1, Some(u128::from(most) + 1), &Reply::Done);
        // The first one is gone: who asks for it anew may have been applied, unless it was made after that.
        assert_eq!(remembered.earlier(&proposal(1, 0)), Some(Outcome::Forgotten));
        assert_eq!(remembered.earlier(&proposal(77_777, 0)), Some(Outcome::Forgotten));
        assert_eq!(remembered.earlier(&proposal(77_777, 1)), None);
        assert_eq!(remembered.earlier(&proposal(2, 0)), Some(Outcome::Replied(Reply::Dataset(2))));
        assert_eq!(remembered.order.len(), COMMANDS_MOST);
        assert_eq!(remembered.replies.len(), COMMANDS_MOST);
    }

    #[test]
    fn commands_without_identity_leave_no_trace() {
        let mut remembered = Remembered::default();
        remembered.keep(1, None, &Reply::Done);
        assert_eq!(remembered, Remembered::default());
        let nameless = Proposal { identity: None, ..proposal(0, 0) };
        assert_eq!(remembered.earlier(&nameless), None);
    }

    #[test]
    fn what_is_stored_is_all_there_is() {
        let mut remembered = Remembered::default();
        for index in 0..COMMANDS_MOST as u64 + 10 {
            remembered.keep(index, Some(u128::from(index) << 64), &Reply::Dataset(index));
        }
        let again = Remembered::from_stored(remembered.stored(), remembered.forgotten()).unwrap();
        assert_eq!(again, remembered);
        assert_eq!(again.forgotten(), 9);
        let short = StoredCommand { identity: vec![1; 15], ..remembered.stored()[0].clone() };
        assert_eq!(Remembered::from_stored(vec![short], 0), None);
        let silent = StoredCommand { reply: None, ..remembered.stored()[0].clone() };
        assert_eq!(Remembered::from_stored(vec![silent], 0), None);
    }
}

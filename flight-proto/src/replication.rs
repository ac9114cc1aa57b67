//! What the members of a catalog say to each other: one request, one response.

use crate::catalog::{Command, Reply};
use crate::log::{LogEntry, LogId, Node, Vote};
use crate::node::Speaks;

/// A request to a member.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// The member that is meant; another one that lives at its address refuses.
    #[prost(uint64, tag = "1")]
    pub to: u64,
    #[prost(oneof = "Question", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub question: Option<Question>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Question {
    #[prost(message, tag = "2")]
    Append(Append),
    #[prost(message, tag = "3")]
    Vote(Campaign),
    /// Whether a vote would be given; nothing changes.
    #[prost(message, tag = "4")]
    PreVote(Campaign),
    #[prost(message, tag = "5")]
    Snapshot(SnapshotPart),
    #[prost(message, tag = "6")]
    Transfer(Transfer),
    /// To the leader only, as all that follow.
    #[prost(message, tag = "7")]
    Propose(Propose),
    #[prost(message, tag = "8")]
    ReadIndex(ReadIndex),
    #[prost(message, tag = "9")]
    ChangeMembers(ChangeMembers),
    /// That this member is to lead.
    #[prost(uint64, tag = "10")]
    HandOver(u64),
    /// To any member; one of version 1 answers that it does not know the question.
    #[prost(message, tag = "11")]
    Versions(AskVersions),
}

/// Entries that follow `previous`; without entries, a sign of life.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Append {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    pub previous: Option<LogId>,
    #[prost(message, repeated, tag = "3")]
    pub entries: Vec<LogEntry>,
    #[prost(message, optional, tag = "4")]
    pub committed: Option<LogId>,
}

/// A candidate and how far its log goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Campaign {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    pub last: Option<LogId>,
    /// The leader itself wants to be followed by this candidate.
    #[prost(bool, tag = "3")]
    pub transfer: bool,
}

/// A part of a snapshot; the receiver answers from where it wants to go on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SnapshotPart {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    /// The last entry that the snapshot holds; with `total_bytes` it tells one snapshot from another.
    #[prost(message, optional, tag = "2")]
    pub last: Option<LogId>,
    #[prost(uint64, tag = "3")]
    pub total_bytes: u64,
    #[prost(uint64, tag = "4")]
    pub offset: u64,
    #[prost(bytes = "vec", tag = "5")]
    pub bytes: Vec<u8>,
}

/// The leader wants `to` to lead once it has the log up to `last`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Transfer {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(uint64, tag = "2")]
    pub to: u64,
    #[prost(message, optional, tag = "3")]
    pub last: Option<LogId>,
}

/// A command for the log. `identity` and `after` as in [`LogEntry`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Propose {
    #[prost(bytes = "vec", tag = "1")]
    pub identity: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub after: u64,
    #[prost(message, optional, tag = "3")]
    pub command: Option<Command>,
}

/// How far a state must be applied to hold all that was acknowledged before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct ReadIndex {}

/// What the member speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct AskVersions {}

#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ChangeMembers {
    #[prost(oneof = "MemberChange", tags = "1, 2")]
    pub change: Option<MemberChange>,
}

#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum MemberChange {
    #[prost(message, tag = "1")]
    Add(Node),
    #[prost(uint64, tag = "2")]
    Remove(u64),
}

/// The answer to a [`Request`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    #[prost(oneof = "Answer", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Answer {
    #[prost(message, tag = "1")]
    Failed(Failed),
    #[prost(message, tag = "2")]
    Appended(Appended),
    /// To [`Question::Vote`] and [`Question::PreVote`].
    #[prost(message, tag = "3")]
    Voted(Voted),
    #[prost(message, tag = "4")]
    Received(Received),
    #[prost(message, tag = "5")]
    Transferred(Transferred),
    #[prost(message, tag = "6")]
    Replied(Reply),
    /// The command may have been applied so long ago that the reply is lost; it was not applied now.
    #[prost(message, tag = "7")]
    Forgotten(Forgotten),
    #[prost(uint64, tag = "8")]
    ReadIndex(u64),
    #[prost(message, tag = "9")]
    Changed(Changed),
    #[prost(message, tag = "10")]
    NotLeader(NotLeader),
    /// Wrong for good.
    #[prost(string, tag = "11")]
    Refused(String),
    /// To [`Question::Versions`].
    #[prost(message, tag = "12")]
    Speaks(Speaks),
}

/// No answer came about.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Failed {
    #[prost(string, tag = "1")]
    pub why: String,
    /// What was asked for may happen all the same.
    #[prost(bool, tag = "2")]
    pub unknown: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Appended {
    #[prost(enumeration = "AppendOutcome", tag = "1")]
    pub outcome: i32,
    /// With [`AppendOutcome::HigherVote`].
    #[prost(message, optional, tag = "2")]
    pub vote: Option<Vote>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum AppendOutcome {
    Unspecified = 0,
    Success = 1,
    /// The log does not hold `previous`.
    Conflict = 2,
    HigherVote = 3,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Voted {
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    pub last: Option<LogId>,
    #[prost(bool, tag = "3")]
    pub granted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Received {
    /// The receiver's own.
    #[prost(message, optional, tag = "1")]
    pub vote: Option<Vote>,
    /// How much of the snapshot is there.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
    #[prost(bool, tag = "3")]
    pub installed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Transferred {
    #[prost(bool, tag = "1")]
    pub accepted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Forgotten {}

#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Changed {}

/// Another member leads, or none.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct NotLeader {
    #[prost(message, optional, tag = "1")]
    pub leader: Option<Node>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;
    use crate::log::Payload;

    const VOTE: Vote = Vote { term: 3, node: 2, committed: true };
    const LAST: LogId = LogId { term: 3, node: 2, index: 300 };

    fn check<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, golden: &[u8]) {
        let bytes = message.encode_to_vec();
        assert_eq!(bytes, golden, "{}", bytes.escape_ascii());
        assert_eq!(M::decode(golden).unwrap(), message);
    }

    fn question(question: Question, golden: &[u8]) {
        check(Request { to: 7, question: Some(question) }, golden);
    }

    fn answer(answer: Answer, golden: &[u8]) {
        check(Response { answer: Some(answer) }, golden);
    }

    fn node() -> Node {
        Node { id: 4, address: "a:1".into() }
    }

    /// Members of two versions understand each other: these bytes are fixed.
    #[test]
    fn golden_questions() {
        let command = Command { at_us: 5, tenant: "t".into(), change: None };
        let entry = LogEntry {
            id: Some(LAST),
            payload: Some(Payload::Command(command.clone())),
            identity: vec![1; 16],
            after: 9,
        };
        let append =
            Append { vote: Some(VOTE), previous: Some(LAST), entries: vec![entry], committed: Some(LAST) };
        question(
            Question::Append(append),
            b"\x08\x07\x12@\n\x06\x08\x03\x10\x02\x18\x01\x12\x07\x08\x03\x10\x02\x18\xac\x02\x1a$\
                \n\x07\x08\x03\x10\x02\x18\xac\x02\x1a\x05\x08\x05\x12\x01t*\x10\x01\x01\x01\x01\x01\
                \x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x010\t\"\x07\x08\x03\x10\x02\x18\xac\x02",
        );
        let campaign = Campaign { vote: Some(VOTE), last: Some(LAST), transfer: true };
        question(
            Question::Vote(campaign),
            b"\x08\x07\x1a\x13\n\x06\x08\x03\x10\x02\x18\x01\x12\x07\x08\x03\x10\x02\x18\xac\x02\x18\x01",
        );
        question(
            Question::PreVote(campaign),
            b"\x08\x07\"\x13\n\x06\x08\x03\x10\x02\x18\x01\x12\x07\x08\x03\x10\x02\x18\xac\x02\x18\x01",
        );
        let part = SnapshotPart {
            vote: Some(VOTE),
            last: Some(LAST),
            total_bytes: 300,
            offset: 2,
            bytes: b"xyz".to_vec(),
        };
        question(
            Question::Snapshot(part),
            b"\x08\x07*\x1b\n\x06\x08\x03\x10\x02\x18\x01\x12\x07\x08\x03\x10\x02\x18\xac\x02\x18\
                \xac\x02 \x02*\x03xyz",
        );
        question(
            Question::Transfer(Transfer { vote: Some(VOTE), to: 3, last: Some(LAST) }),
            b"\x08\x072\x13\n\x06\x08\x03\x10\x02\x18\x01\x10\x03\x1a\x07\x08\x03\x10\x02\x18\xac\x02",
        );
        let propose = Propose { identity: vec![1; 16], after: 9, command: Some(command) };
        question(
            Question::Propose(propose),
            b"\x08\x07:\x1b\n\x10\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\
                \x10\t\x1a\x05\x08\x05\x12\x01t",
        );
        question(Question::ReadIndex(ReadIndex {}), b"\x08\x07B\x00");
        let change = |change| Question::ChangeMembers(ChangeMembers { change: Some(change) });
        question(change(MemberChange::Add(node())), b"\x08\x07J\t\n\x07\x08\x04\x12\x03a:1");
        question(change(MemberChange::Remove(4)), b"\x08\x07J\x02\x10\x04");
        question(Question::HandOver(4), b"\x08\x07P\x04");
    }

    #[test]
    fn golden_answers() {
        answer(Answer::Failed(Failed { why: "x".into(), unknown: true }), b"\n\x05\n\x01x\x10\x01");
        let higher = Appended { outcome: AppendOutcome::HigherVote.into(), vote: Some(VOTE) };
        answer(Answer::Appended(higher), b"\x12\n\x08\x03\x12\x06\x08\x03\x10\x02\x18\x01");
        answer(
            Answer::Appended(Appended { outcome: AppendOutcome::Success.into(), vote: None }),
            b"\x12\x02\x08\x01",
        );
        answer(
            Answer::Appended(Appended { outcome: AppendOutcome::Conflict.into(), vote: None }),
            b"\x12\x02\x08\x02",
        );
        answer(
            Answer::Voted(Voted { vote: Some(VOTE), last: Some(LAST), granted: true }),
            b"\x1a\x13\n\x06\x08\x03\x10\x02\x18\x01\x12\x07\x08\x03\x10\x02\x18\xac\x02\x18\x01",
        );
        answer(
            Answer::Received(Received { vote: Some(VOTE), bytes: 300, installed: true }),
            b"\"\r\n\x06\x08\x03\x10\x02\x18\x01\x10\xac\x02\x18\x01",
        );
        answer(Answer::Transferred(Transferred { accepted: true }), b"*\x02\x08\x01");
        let reply = Reply { outcome: Some(crate::catalog::Outcome::Dataset(2)) };
        answer(Answer::Replied(reply), b"2\x02\x10\x02");
        answer(Answer::Forgotten(Forgotten {}), b":\x00");
        answer(Answer::ReadIndex(300), b"@\xac\x02");
        answer(Answer::Changed(Changed {}), b"J\x00");
        answer(Answer::NotLeader(NotLeader { leader: Some(node()) }), b"R\t\n\x07\x08\x04\x12\x03a:1");
        answer(Answer::Refused("x".into()), b"Z\x01x");
    }
}

//! Messages that no member of ours would send.

use super::cluster::Cluster;
use super::create;
use crate::catalog::{CatalogStore, Reply};
use bytes::Bytes;
use flight_proto::Message;
use flight_proto::catalog::Command;
use flight_proto::log::{LogEntry, LogId, Payload, Vote};
use flight_proto::replication::{
    Answer, Append, Campaign, ChangeMembers, Propose, Question, Request, Response, SnapshotPart, Transfer,
};

fn questions(vote: Vote) -> Vec<Question> {
    let last = |term, index| Some(LogId { term, node: 2, index });
    let most = last(u64::MAX, u64::MAX);
    let vote = Some(vote);
    let entry = LogEntry { id: last(9, 7), ..LogEntry::default() };
    let id = Some(LogId { term: 1, node: 2, index: 0 });
    let unknown = LogEntry { id, payload: Some(Payload::Command(Command::default())), ..LogEntry::default() };
    let part = SnapshotPart { vote, last: last(1, 2), total_bytes: 1, offset: 0, bytes: vec![7] };
    vec![
        Question::Append(Append { vote, previous: most, ..Append::default() }),
        Question::Append(Append { vote, committed: most, ..Append::default() }),
        Question::Append(Append { vote, entries: vec![entry], ..Append::default() }),
        Question::Append(Append { vote, entries: vec![LogEntry::default()], ..Append::default() }),
        Question::Append(Append { vote, entries: vec![unknown], ..Append::default() }),
        Question::Vote(Campaign { vote, last: most, transfer: true }),
        Question::PreVote(Campaign { vote, last: None, transfer: true }),
        Question::Transfer(Transfer { vote, to: 1, last: most }),
        Question::Snapshot(SnapshotPart { total_bytes: u64::MAX, ..part.clone() }),
        Question::Snapshot(SnapshotPart { total_bytes: 0, bytes: Vec::new(), ..part.clone() }),
        Question::Snapshot(part),
        Question::Propose(Propose { identity: vec![1], ..Propose::default() }),
        Question::Propose(Propose::default()),
        Question::Propose(Propose { command: Some(Command::default()), ..Propose::default() }),
        Question::ChangeMembers(ChangeMembers { change: None }),
    ]
}

#[tokio::test(start_paused = true)]
async fn foreign_messages_do_no_harm() {
    let cluster = Cluster::start(3, 31, |_| {}).await;
    let member = cluster.member(1);
    let answer = async |bytes: Bytes| Response::decode(member.answer(bytes).await).unwrap().answer.unwrap();
    let ask = async |to, question| {
        let request = Request { to, question };
        answer(request.encode_to_vec().into()).await
    };
    assert!(matches!(answer(Bytes::new()).await, Answer::Failed(_)));
    assert!(matches!(answer(Bytes::from_static(b"\xff\xff")).await, Answer::Failed(_)));
    assert!(matches!(ask(1, None).await, Answer::Failed(_)));
    let vote = |term, node, committed| Vote { term, node, committed };
    let read = || Some(Question::ReadIndex(Default::default()));
    assert!(matches!(ask(2, read()).await, Answer::Failed(_)));

    for question in questions(vote(u64::MAX, 2, true)) {
        let answer = ask(1, Some(question)).await;
        assert!(matches!(answer, Answer::Failed(_) | Answer::Refused(_)), "{answer:?}");
    }
    for committed in [true, false] {
        // In the name of this member, or of an old leader, or with a vote of the wrong kind.
        for question in [questions(vote(1, 1, committed)), questions(vote(0, 2, committed))].concat() {
            ask(1, Some(question)).await;
        }
    }
    // Bytes that are changed at random places.
    let append =
        Append { vote: Some(vote(1, 2, true)), previous: None, entries: Vec::new(), committed: None };
    let whole = Request { to: 1, question: Some(Question::Append(append)) }.encode_to_vec();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            answer(bytes.into()).await;
        }
        answer(Bytes::copy_from_slice(&whole[..at])).await;
    }
    cluster.agree().await;
    assert_eq!(cluster.member(1).propose(create("alive")).await.unwrap(), Reply::Done);
    cluster.agree().await;
}

//! What version 2 has that version 1 had not.

use super::Samples;
use flight_proto::catalog::{CatalogState, Change, Command, SetClusterVersion};
use flight_proto::node::{Heartbeat, Orders, Speaks};
use flight_proto::replication::{Answer, AskVersions, Question, Request, Response};

pub(crate) fn samples(samples: &mut Samples) {
    let speaks = Speaks { least: 1, most: 2 };
    samples.check("CatalogState", CatalogState { cluster_version: 2, ..CatalogState::default() });
    let change = Change::SetClusterVersion(SetClusterVersion { version: 2 });
    let command = Command { at_us: 1_700_000_000_000_000, tenant: "default".into(), change: Some(change) };
    samples.check("Command SetClusterVersion", command);
    samples.check("Heartbeat", Heartbeat { shard: 1, speaks: Some(speaks), ..Heartbeat::default() });
    samples.check("Orders", Orders { epoch: 3, cluster_version: 2, ..Orders::default() });
    let question = Some(Question::Versions(AskVersions {}));
    samples.check("Request Versions", Request { to: 2, question });
    samples.check("Response Speaks", Response { answer: Some(Answer::Speaks(speaks)) });
}

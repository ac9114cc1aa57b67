//! When a statement is blamed for the shards that its attempts lost, and what follows.

use crate::admin::others::ask_others;
use crate::coordinator::Coordinator;
use crate::datasets::now_us;
use crate::error::Error;
use crate::facts::shard_text;
use crate::losses::{Losses, LostShard};
use crate::quarantine::{Refused, beginning};
use flight_proto::node::{AskQuarantine, Quarantine, Service};
use std::time::Duration;
use tokio::time::Instant;

/// A statement that has lost a shard in so many attempts is not run again.
const ATTEMPTS: usize = 2;
/// One that was answered lately, as a bystander of faults that have nothing to do with it mostly was, in so many.
const ATTEMPTS_OF_ANSWERED: usize = 3;
/// How long it is waited for word of any shard, to know which of them died.
const WORD: Duration = Duration::from_secs(1);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// The shards that a statement is blamed for, if it is.
pub(crate) async fn blamed(
    coordinator: &Coordinator,
    losses: &Losses,
    statement: u128,
) -> Option<Vec<LostShard>> {
    coordinator.quarantine.lasts()?;
    let nodes = coordinator.tenants.shards().nodes()?;
    let until = Instant::now() + WORD;
    let verdict = loop {
        let verdict = losses.verdict(|lost| nodes.fate(lost));
        let open = verdict.unknown > 0 && verdict.deadly + verdict.unknown >= ATTEMPTS;
        if !open || Instant::now() >= until {
            break verdict;
        }
        tokio::time::sleep(LOOK).await;
    };
    let blamed = match verdict.deadly {
        ..ATTEMPTS => false,
        ATTEMPTS..ATTEMPTS_OF_ANSWERED => !was_answered(coordinator, statement).await,
        _ => true,
    };
    blamed.then_some(verdict.dead)
}

/// Whether any coordinator has answered the statement lately.
async fn was_answered(coordinator: &Coordinator, statement: u128) -> bool {
    if coordinator.quarantine.was_answered(statement) {
        return true;
    }
    let answered = Some(statement.to_be_bytes().to_vec().into());
    let ask = AskQuarantine { answered, ..AskQuarantine::default() };
    let others = ask_others::<Quarantine>(coordinator, Service::Quarantine, &ask).await;
    others.into_iter().any(|(_, answer)| answer.is_some_and(|answer| answer.answered))
}

/// Refuses a statement from now on, here and by the others that can be told; the error for who asked it.
pub(crate) async fn refuse(
    coordinator: &Coordinator,
    statement: u128,
    (tenant, principal): (&str, &str),
    sql: &str,
    lost: &[LostShard],
) -> Error {
    let shards = lost.iter().map(|lost| format!("{} at {}", shard_text(lost.id), lost.address));
    let refused = Refused {
        tenant: tenant.into(),
        principal: principal.into(),
        sql: beginning(sql).into(),
        since_us: now_us(),
        until: Instant::now() + coordinator.quarantine.lasts().unwrap_or_default(),
        shards: shards.collect(),
    };
    let error = refused.error(statement);
    tracing::warn!("{error}: {}", refused.sql);
    metrics::counter!("tundra_statements_quarantined_total").increment(1);
    coordinator.quarantine.put(statement, refused.clone());
    let ask = AskQuarantine { put: Some(refused.told(statement)), ..AskQuarantine::default() };
    ask_others::<Quarantine>(coordinator, Service::Quarantine, &ask).await;
    error
}

//! Policies of pools and what is kept of nodes, on both databases.

use super::databases::{Place, on_both_databases};
use crate::decisions::pools;
use crate::error::Error;
use crate::json::{Phase, PoolNode, Step};
use crate::scaling::ScalePolicy;
use flight_proto::pool::DEFAULT_POOL as POOL;

on_both_databases! {
    policies_are_set_changed_and_audited,
    nodes_and_minutes_are_kept_for_a_while,
}

async fn policies_are_set_changed_and_audited(place: &Place) {
    let database = place.open().await;
    assert!(matches!(pools::show(&database, POOL).await, Err(Error::NotFound(_))));
    let policy = |minimum| ScalePolicy { minimum, maximum: 9, ..ScalePolicy::default() };
    let first = pools::put(&database, "ann", POOL, policy(2), Some(0)).await.unwrap();
    assert_eq!((first.version, first.policy.minimum), (1, 2));
    let again = pools::put(&database, "ann", POOL, policy(2), None).await.unwrap();
    assert_eq!(again, first, "twice is once");
    for expected in [0, 7] {
        let late = pools::put(&database, "bob", POOL, policy(3), Some(expected)).await;
        assert!(matches!(late, Err(Error::Conflict(_))));
    }
    assert!(matches!(pools::put(&database, "bob", POOL, policy(10), None).await, Err(Error::Invalid(_))));
    assert!(matches!(pools::put(&database, "bob", "a b", policy(2), None).await, Err(Error::Invalid(_))));
    let second = pools::put(&database, "bob", POOL, policy(3), Some(1)).await.unwrap();
    assert_eq!((second.version, pools::list(&database).await.unwrap()), (2, vec![second.clone()]));
    assert_eq!(pools::delete(&database, "ann", POOL).await.unwrap(), second);
    assert!(matches!(pools::delete(&database, "ann", POOL).await, Err(Error::NotFound(_))));
    assert!(pools::list(&database).await.unwrap().is_empty());

    let history = database.scale_history(10).await.unwrap();
    let told: Vec<(&str, &str)> = history.iter().map(|row| (row.who.as_str(), row.action.as_str())).collect();
    assert_eq!(told, [("ann", "scale policy"), ("bob", "scale policy"), ("ann", "scale policy")]);
    assert_eq!((history[0].after.as_str(), history[2].before.as_str()), ("null", "null"));
    assert!(history[1].after.contains("\"minimum\":3") && history[1].before.contains("\"minimum\":2"));
    assert_eq!(database.scale_history(1).await.unwrap().len(), 1);
    assert!(database.verify_audit().await.unwrap().broken.is_none());
}

async fn nodes_and_minutes_are_kept_for_a_while(place: &Place) {
    let database = place.open().await;
    let step = |phase, at_us| Step { phase, at_us, detail: String::new() };
    let node = |name: &str, steps: Vec<Step>| {
        let phase = steps.last().unwrap().phase;
        PoolNode { instance: name.into(), shard: "ab".into(), phase, steps }
    };
    let early = node("early", vec![step(Phase::Launching, 1), step(Phase::Gone, 5)]);
    let late = node("late", vec![step(Phase::Launching, 9)]);
    let ready = node("late", vec![step(Phase::Launching, 9), step(Phase::Ready, 11)]);
    for one in [&early, &late, &ready] {
        database.keep_pool_node(POOL, one).await.unwrap();
    }
    assert_eq!(database.pool_nodes(POOL, 0).await.unwrap(), [ready.clone(), early]);
    assert_eq!(database.pool_nodes(POOL, 5).await.unwrap(), std::slice::from_ref(&ready));
    for (minute, demand) in [(7, 1.25), (8, 0.0), (8, 3.0)] {
        database.keep_minute(POOL, minute, demand).await.unwrap();
    }
    let mut minutes = database.minutes(POOL, 6).await.unwrap();
    minutes.sort_by_key(|minute| minute.0);
    assert_eq!(minutes, [(7, 1.25), (8, 3.0)]);
    database.forget_pool_before(POOL, 6, 8).await.unwrap();
    assert_eq!(database.pool_nodes(POOL, 0).await.unwrap(), [ready]);
    assert_eq!(database.minutes(POOL, 0).await.unwrap(), [(8, 3.0)]);
}

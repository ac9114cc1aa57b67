//! A table that one coordinator drops is gone on all of them, whatever they were doing to it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;
use tundra_tests::in_process::{InProcessCluster, Layout};

/// As simulated seed 20472 had it: the coordinator that inserts hears of the end of its own change when it has followed the
/// catalog past the drop already, and must not show the table again.
#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_ends_late_does_not_show_a_dropped_table() {
    let cluster = InProcessCluster::start(Layout::default()).await.unwrap();
    let mut connection = cluster.session(0);
    for round in 0..150_u64 {
        let table = format!("t{round}");
        connection.execute(&format!("CREATE TABLE {table} AS SELECT 1 AS n")).await.unwrap();
        let (mut other, insert) = (cluster.session(1), format!("INSERT INTO {table} VALUES (2)"));
        let inserting = tokio::spawn(async move { other.execute(&insert).await.is_ok() });
        tokio::time::sleep(Duration::from_micros(round * 137 % 9_000)).await;
        connection.execute(&format!("DROP TABLE {table}")).await.unwrap();
        let mut looking = cluster.session(1);
        while !inserting.is_finished() {
            looking.rows(&format!("SELECT * FROM {table}")).await.unwrap_err();
        }
        looking.rows(&format!("SELECT * FROM {table}")).await.unwrap_err();
        inserting.await.unwrap();
    }
    cluster.stop().await.unwrap();
}

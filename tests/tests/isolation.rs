//! Ways to reach what is another tenant's, each tried on a cluster of processes by users of the tenant `rival` and by nobody at
//! all; what is reached for is the tenant `acme`'s. None may work. Of each kind the owner does the same, and gets it: a test that
//! asks wrongly does not pass.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod admin;
mod callers;
mod data;
mod files;
mod flood;
mod metadata;
mod names;
mod ways;
mod world;

use ways::Ways;
use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn no_way_leads_to_another_tenant() {
    let world = World::start().await;
    let mut ways = Ways::default();
    names::try_all(&world, &mut ways).await;
    metadata::try_all(&world, &mut ways).await;
    data::try_all(&world, &mut ways).await;
    files::try_all(&world, &mut ways).await;
    callers::try_all(&world, &mut ways).await;
    admin::try_all(&world, &mut ways).await;
    flood::try_all(&world, &mut ways).await;
    let (rows, tables) =
        (world.owner("SELECT count(*) FROM vault_qx").await, world.owner("SHOW TABLES").await);
    ways.owner("names", "what acme has is whole after all of it", rows.is_ok_and(|rows| rows == "3137"));
    ways.owner("names", "and nothing was added", tables.is_ok_and(|tables| tables.lines().count() == 5));
    world.stop().await;
    ways.finish();
}

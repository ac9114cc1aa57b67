//! Ways to reach what is another tenant's, each tried on a cluster of processes by users of the tenant `rival` and by nobody at
//! all; what is reached for is the tenant `acme`'s. None may work. Of each kind the owner does the same, and gets it: a test that
//! asks wrongly does not pass.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "isolation/admin.rs"]
mod admin;
#[path = "isolation/callers.rs"]
mod callers;
#[path = "isolation/data.rs"]
mod data;
#[path = "isolation/files.rs"]
mod files;
#[path = "isolation/flood.rs"]
mod flood;
#[path = "isolation/metadata.rs"]
mod metadata;
#[path = "isolation/names.rs"]
mod names;
#[path = "isolation/ways.rs"]
mod ways;
#[path = "isolation/world.rs"]
mod world;

use ways::Ways;
use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn no_way_leads_to_another_tenant() {
    let world = World::start().await;
    let mut ways = Ways::default();
    let begun = std::time::Instant::now();
    let lap = |what: &str| eprintln!("{:5.1} s: {what} is done", begun.elapsed().as_secs_f64());
    names::try_all(&world, &mut ways).await;
    lap("names");
    metadata::try_all(&world, &mut ways).await;
    lap("metadata");
    data::try_all(&world, &mut ways).await;
    lap("data");
    files::try_all(&world, &mut ways).await;
    lap("files");
    callers::try_all(&world, &mut ways).await;
    lap("callers");
    admin::try_all(&world, &mut ways).await;
    lap("admin");
    flood::try_all(&world, &mut ways).await;
    lap("flood");
    let (rows, tables) =
        (world.owner("SELECT count(*) FROM vault_qx").await, world.owner("SHOW TABLES").await);
    ways.owner("names", "what acme has is whole after all of it", rows.is_ok_and(|rows| rows == "3137"));
    ways.owner("names", "and nothing was added", tables.is_ok_and(|tables| tables.lines().count() == 4));
    world.stop().await;
    ways.finish();
}

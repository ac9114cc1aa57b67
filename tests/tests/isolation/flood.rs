//! A tenant that asks for all there is: others are served meanwhile, and keep what they have.

use super::data::log_in;
use super::ways::{Ways, leak_of};
use super::world::{Shown, World, fetch, plan, ticket_of};
use arrow_flight::FlightClient;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long acme's statements may take while rival floods, on a machine that has other things to do, too.
const BOUND: Duration = Duration::from_secs(8);
/// More than a coordinator keeps of all tenants together.
const MANY: usize = 10_500;
/// Statements of rival's at once.
const WIDE: usize = 24;

/// What a client of a number asks.
type Statement = dyn Fn(usize) -> String;

/// Statements of rival's without pause, until told to stop.
fn flood(
    clients: Vec<FlightClient>,
    sql: impl Fn(usize) -> String,
    stop: &Arc<AtomicBool>,
) -> Vec<JoinHandle<usize>> {
    let begin = |(number, mut client): (usize, FlightClient)| {
        let (stop, sql) = (stop.clone(), sql(number));
        tokio::spawn(async move {
            let mut asked = 0;
            while !stop.load(Ordering::Relaxed) {
                if let Ok(info) = plan(&mut client, &sql.replace("TURN", &asked.to_string())).await {
                    let _ = tokio::time::timeout(BOUND, fetch(&mut client, ticket_of(&info))).await;
                }
                asked += 1;
            }
            asked
        })
    };
    clients.into_iter().enumerate().map(begin).collect()
}

async fn clients(world: &World, shown: &Shown) -> Vec<FlightClient> {
    let mut clients = Vec::new();
    for _ in 0..WIDE {
        clients.push(world.client(0, shown).await);
    }
    clients
}

pub(crate) async fn try_all(world: &World, ways: &mut Ways) {
    kept(world, ways).await;
    let rows: Vec<String> = (0..1500).map(|i| format!("({i})")).collect();
    world.must(&world.rival, "CREATE TABLE many (i INTEGER)").await;
    world.must(&world.rival, &format!("INSERT INTO many VALUES {}", rows.join(","))).await;
    let unions = |number: usize| {
        let parts: Vec<String> =
            (0..150).map(|i| format!("SELECT i + {i} AS i FROM many WHERE i < TURN + {number}")).collect();
        format!("EXPLAIN SELECT count(*) FROM ({}) AS u", parts.join(" UNION ALL "))
    };
    let long = |number: usize| {
        format!("SELECT sum(a.i * b.i + c.i + {number}) FROM many a, many b, many c WHERE c.i < 200")
    };
    let define = |number: usize| format!("CREATE SCHEMA IF NOT EXISTS s{number}_TURN");
    let floods: [(&str, Box<Statement>); 3] = [
        ("long statements", Box::new(long)),
        ("statements that are long to plan", Box::new(unions)),
        ("statements that define", Box::new(define)),
    ];
    for (what, sql) in floods {
        let stop = Arc::new(AtomicBool::new(false));
        let running = flood(clients(world, &world.rival).await, sql, &stop);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut slowest = Duration::ZERO;
        let begun = Instant::now();
        let mut turn = 0;
        while begun.elapsed() < Duration::from_secs(4) {
            turn += 1;
            let asked = Instant::now();
            // Planned anew each time.
            let answer =
                world.owner(&format!("SELECT count(*) FROM vault_qx WHERE i >= 0 AND {turn} > 0")).await;
            ways.owner("floods", &format!("{what}: {answer:?}"), answer == Ok("3137".into()));
            slowest = slowest.max(asked.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        // Those that run longer end with their clients.
        running.into_iter().for_each(|task| task.abort());
        let late = (slowest > BOUND).then(|| format!("acme waited {slowest:?}"));
        ways.tried("floods", format!("{WIDE} clients with {what}: acme waits {slowest:.1?} at most"), late);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Sessions and tickets that acme has are not pushed out by those that rival begins.
async fn kept(world: &World, ways: &mut Ways) {
    let session = log_in(world, &world.acme).await.unwrap();
    let mut acme = world.client(0, &world.acme).await;
    let ticket = ticket_of(&plan(&mut acme, "SELECT ingot_qx FROM vault_qx").await.unwrap());
    for (what, begins) in [("sessions", true), ("tickets", false)] {
        let left = Arc::new(AtomicUsize::new(MANY));
        let mut tasks = Vec::new();
        for mut client in clients(world, &world.rival).await {
            let left = left.clone();
            tasks.push(tokio::spawn(async move {
                let mut failed = 0;
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    let done = match begins {
                        true => client.handshake(bytes::Bytes::new()).await.is_ok(),
                        false => plan(&mut client, "SELECT 1").await.is_ok(),
                    };
                    failed += usize::from(!done);
                }
                failed
            }));
        }
        let mut failed = 0;
        for task in tasks {
            failed += task.await.unwrap();
        }
        ways.owner("floods", &format!("{MANY} {what} of rival's, of which {failed} fail"), failed == 0);
        let own = match begins {
            true => world.ask(&Shown::bearer(&session), "SELECT ingot_qx FROM vault_qx LIMIT 1").await,
            false => fetch(&mut acme, ticket.clone()).await,
        };
        let lost = leak_of(&own).is_none().then(|| format!("acme's are gone: {own:?}"));
        ways.tried("floods", format!("{MANY} {what}"), lost);
    }
}

//! Rows by way of tickets, prepared statements, sessions and what is remembered of statements.

use super::ways::{Outcome, Ways, leak_of};
use super::world::{Shown, World, code_of, fetch, plan, ticket_of};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, Command, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, FlightClient, FlightData, FlightDescriptor, FlightInfo, Ticket,
};
use futures::TryStreamExt;
use prost::Message;
use std::time::{Duration, Instant};

const SECRET: &str = "SELECT ingot_qx FROM vault_qx";
/// It runs until it is ended.
const ENDLESS: &str = "SELECT sum(CAST(a.i AS BIGINT) * b.i * c.i) FROM vault_qx a, vault_qx b, vault_qx c";
/// Tokens of sessions that are guessed.
const GUESSES: u32 = 200;

/// The first result of an action.
async fn act(client: &mut FlightClient, kind: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
    let stream = client.do_action(Action::new(kind, body)).await.map_err(code_of)?;
    let results: Vec<bytes::Bytes> = stream.try_collect().await.map_err(code_of)?;
    Ok(results.first().map(|first| first.to_vec()).unwrap_or_default())
}

fn as_outcome(bytes: Result<Vec<u8>, String>) -> Outcome {
    bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The handle that a ticket of a statement carries.
fn handle_of(ticket: &Ticket) -> Vec<u8> {
    let any = Any::decode(&*ticket.ticket).unwrap();
    match Command::try_from(any).unwrap() {
        Command::TicketStatementQuery(query) => query.statement_handle.to_vec(),
        _ => panic!("no statement's ticket"),
    }
}

fn ticket_with(handle: Vec<u8>) -> Ticket {
    Ticket::new(TicketStatementQuery { statement_handle: handle.into() }.as_any().encode_to_vec())
}

/// The token of a new session.
pub(crate) async fn log_in(world: &World, shown: &Shown) -> Result<String, String> {
    let mut client = world.client(0, shown).await;
    let token = client.handshake(bytes::Bytes::new()).await.map_err(code_of)?;
    String::from_utf8(token.to_vec()).map_err(|why| why.to_string())
}

pub(crate) async fn try_all(world: &World, ways: &mut Ways) {
    tickets(world, ways).await;
    prepared(world, ways).await;
    sessions(world, ways).await;
    remembered(world, ways).await;
    running(world, ways).await;
}

/// Everybody who is not acme's.
async fn others(world: &World) -> Vec<(&'static str, Shown)> {
    vec![
        ("rival's key", world.rival.clone()),
        ("rival's access token", Shown::bearer(&world.rival_token)),
        ("rival's session", Shown::bearer(&log_in(world, &world.rival).await.unwrap())),
        ("rival's key as a password", Shown::basic("etl", &world.rival_key)),
        ("rival's key and acme's name", world.rival.clone().of_tenant("acme")),
        ("an operator's password", Shown::basic(super::world::OPERATOR.0, super::world::OPERATOR.1)),
        ("nothing", Shown::default()),
    ]
}

async fn tickets(world: &World, ways: &mut Ways) {
    let mut acme = world.client(0, &world.acme).await;
    let info = plan(&mut acme, SECRET).await.unwrap();
    let ticket = ticket_of(&info);
    for (who, shown) in others(world).await {
        let taken = fetch(&mut world.client(0, &shown).await, ticket.clone()).await;
        ways.refused("tickets", format!("acme's ticket, with {who}"), &taken);
    }
    let elsewhere = fetch(&mut world.client(1, &world.rival).await, ticket.clone()).await;
    ways.refused("tickets", "acme's ticket at another coordinator", &elsewhere);
    let own = fetch(&mut acme, ticket.clone()).await;
    ways.owner("tickets", "acme's own ticket", leak_of(&own).is_some());

    // Its own ticket, altered.
    let mut rival = world.client(0, &world.rival).await;
    let own = plan(&mut rival, "SELECT owner FROM item").await.unwrap();
    let own = handle_of(&ticket_of(&own));
    let named = own.windows(5).position(|part| part == b"rival").unwrap();
    let renamed = [&own[..named - 1], b"\x04acme", &own[named + 5..]].concat();
    let taken = fetch(&mut rival, ticket_with(renamed)).await;
    ways.refused("tickets", "its own ticket, with acme's name", &taken);
    let theirs = handle_of(&ticket);
    let code = theirs.len() - 32;
    let swapped = [&theirs[..code], &own[own.len() - 32..]].concat();
    ways.refused(
        "tickets",
        "acme's ticket with the code of its own",
        &fetch(&mut rival, ticket_with(swapped)).await,
    );
    let cut = theirs[..code].to_vec();
    ways.refused("tickets", "acme's ticket without a code", &fetch(&mut rival, ticket_with(cut)).await);
    let mut reached = None;
    for at in 0..own.len() {
        let mut bent = own.clone();
        bent[at] ^= 1;
        let taken = fetch(&mut rival, ticket_with(bent)).await;
        reached = reached.or_else(|| taken.is_ok().then(|| format!("byte {at}: {taken:?}")));
    }
    ways.tried("tickets", "its own ticket with each byte altered", reached);
    let poll = FlightDescriptor::new_cmd(Any::decode(&*ticket.ticket).unwrap().encode_to_vec());
    let polled = rival.poll_flight_info(poll.clone()).await.map_err(code_of).map(|info| format!("{info:?}"));
    ways.refused("tickets", "PollFlightInfo of acme's ticket", &polled);
    let described =
        rival.get_flight_info(poll.clone()).await.map_err(code_of).map(|info| format!("{info:?}"));
    ways.refused("tickets", "GetFlightInfo of acme's ticket", &described);
    let schema = rival.get_schema(poll).await.map_err(code_of).map(|schema| format!("{schema:?}"));
    ways.refused("tickets", "GetSchema of acme's ticket", &schema);
    let listed: Vec<FlightInfo> = match rival.list_flights(bytes::Bytes::new()).await {
        Ok(listed) => listed.try_collect().await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    ways.tried("tickets", "ListFlights", (!listed.is_empty()).then(|| format!("{listed:?}")));
}

async fn prepared(world: &World, ways: &mut Ways) {
    let mut acme = world.client(0, &world.acme).await;
    let create = ActionCreatePreparedStatementRequest { query: SECRET.into(), transaction_id: None };
    let body = create.as_any().encode_to_vec();
    let made = act(&mut acme, "CreatePreparedStatement", body).await.unwrap();
    let made: ActionCreatePreparedStatementResult = Any::decode(&*made).unwrap().unpack().unwrap().unwrap();
    let handle = made.prepared_statement_handle;
    let query = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    for (who, shown) in others(world).await {
        let mut client = world.client(0, &shown).await;
        let described = super::world::describe(&mut client, &query).await.map(|info| format!("{info:?}"));
        let taken = fetch(&mut client, Ticket::new(query.as_any().encode_to_vec())).await;
        ways.refused("prepared", format!("GetFlightInfo of acme's statement, with {who}"), &described);
        ways.refused("prepared", format!("DoGet of acme's statement, with {who}"), &taken);
    }
    let mut rival = world.client(0, &world.rival).await;
    let update = CommandPreparedStatementUpdate { prepared_statement_handle: handle.clone() };
    for (what, command) in [
        ("values for acme's statement", query.as_any().encode_to_vec()),
        ("an update by acme's statement", update.as_any().encode_to_vec()),
    ] {
        let data = FlightData {
            flight_descriptor: Some(FlightDescriptor::new_cmd(command)),
            ..FlightData::default()
        };
        let put = match rival.do_put(futures::stream::iter([Ok(data)])).await {
            Ok(results) => results.try_collect::<Vec<_>>().await.map_err(code_of),
            Err(why) => Err(code_of(why)),
        };
        ways.refused("prepared", what, &put.map(|results| format!("{results:?}")));
    }
    let close = ActionClosePreparedStatementRequest { prepared_statement_handle: handle };
    let _ = act(&mut rival, "ClosePreparedStatement", close.as_any().encode_to_vec()).await;
    let own = fetch(&mut acme, Ticket::new(query.as_any().encode_to_vec())).await;
    ways.tried("prepared", "the end of acme's statement", own.is_err().then(|| format!("{own:?}")));
    ways.owner("prepared", "acme's own statement", leak_of(&own).is_some());
    let create =
        ActionCreatePreparedStatementRequest { query: "SELECT * FROM vault_qx".into(), transaction_id: None };
    let made = act(&mut rival, "CreatePreparedStatement", create.as_any().encode_to_vec()).await;
    ways.refused("prepared", "the schema of acme's table", &as_outcome(made));
}

async fn sessions(world: &World, ways: &mut Ways) {
    let acmes = log_in(world, &world.acme).await.unwrap();
    let by_name = Shown::bearer(&acmes).of_tenant("rival");
    ways.refused("sessions", "acme's session, named rival's", &world.ask(&by_name, SECRET).await);
    let rivals = log_in(world, &world.rival).await.unwrap();
    let by_name = Shown::bearer(&rivals).of_tenant("acme");
    ways.refused("sessions", "its own session, named acme's", &world.ask(&by_name, SECRET).await);
    let mut reached = None;
    let number = u128::from_str_radix(&acmes, 16).unwrap_or(7);
    for guess in 0..GUESSES {
        // Near acme's, and anything else.
        let near = number.wrapping_add(u128::from(guess) + 1);
        let guess = if guess % 2 == 0 { near } else { near.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        let answer = world.ask(&Shown::bearer(&format!("{guess:032x}")), "SELECT 1").await;
        reached = reached.or_else(|| answer.is_ok().then(|| format!("{guess:032x}")));
    }
    ways.tried("sessions", format!("{GUESSES} guessed tokens of sessions"), reached);
    let at_another = world.ask_at(1, &Shown::bearer(&acmes), SECRET).await;
    ways.refused("sessions", "acme's session at a coordinator that did not begin it", &at_another);
    let mut rival = world.client(0, &world.rival).await;
    let options = as_outcome(act(&mut rival, "GetSessionOptions", Vec::new()).await);
    let named = options.as_ref().is_ok_and(|text| text.contains("acme"));
    ways.tried("sessions", "options of its session", named.then(|| format!("{options:?}")));
    for name in ["catalog", "schema", "tenant"] {
        // SetSessionOptionsRequest: a map of names to values, of which the first kind is text.
        let value = [b"\x0a\x04", &b"acme"[..]].concat();
        let entry =
            [&[0x0a, name.len() as u8][..], name.as_bytes(), &[0x12, value.len() as u8], &value].concat();
        let body = [&[0x0a, entry.len() as u8][..], &entry].concat();
        let set = act(&mut rival, "SetSessionOptions", body).await;
        let refused = set.as_ref().is_err() || set.as_ref().is_ok_and(|errors| !errors.is_empty());
        let then = fetch_owner(&mut rival).await;
        let well = refused && then == Ok("rival".into());
        ways.tried(
            "sessions",
            format!("the option {name} = acme"),
            (!well).then(|| format!("{set:?} {then:?}")),
        );
    }
    let _ = act(&mut rival, "CloseSession", Vec::new()).await;
    let own = world.ask(&Shown::bearer(&acmes), SECRET).await;
    ways.tried("sessions", "the end of acme's session", own.is_err().then(|| format!("{own:?}")));
    ways.owner("sessions", "acme's own session", leak_of(&own).is_some());
}

async fn fetch_owner(client: &mut FlightClient) -> Outcome {
    let info = plan(client, "SELECT owner FROM item").await?;
    fetch(client, ticket_of(&info)).await
}

/// Plans and results that are remembered for one are not another's.
async fn remembered(world: &World, ways: &mut Ways) {
    for sql in [
        "SELECT owner FROM item",
        "SELECT max(owner) FROM main.item WHERE i = 5",
        "SELECT owner, count(*) FROM item GROUP BY owner",
    ] {
        let mut reached = None;
        for at in 0..3 {
            let owner = world.ask_at(at, &world.acme, sql).await;
            ways.owner("remembered", sql, owner.is_ok_and(|rows| rows.starts_with("acme")));
            for _ in 0..2 {
                let answer = world.ask_at(at, &world.rival, sql).await;
                let own = answer.as_ref().is_ok_and(|rows| rows.starts_with("rival"));
                reached = reached.or_else(|| (!own).then(|| format!("{answer:?}")));
            }
        }
        ways.tried("remembered", format!("what acme asked just before: {sql}"), reached);
    }
    let explained = world.ask(&world.rival, "EXPLAIN ANALYZE SELECT * FROM item").await;
    ways.tried("remembered", "estimates of a table of acme's name", leak_of(&explained));
}

/// A statement that runs is seen and ended by its own tenant.
async fn running(world: &World, ways: &mut Ways) {
    let mut acme = world.client(0, &world.acme).await;
    let info = plan(&mut acme, ENDLESS).await.unwrap();
    let mut other = world.client(0, &world.acme).await;
    let ticket = ticket_of(&info);
    let runs = tokio::spawn(async move { fetch(&mut other, ticket).await });
    let begun = Instant::now();
    let listed = "SELECT sql FROM system.queries";
    while !world.owner(listed).await.is_ok_and(|sql| sql.contains("vault_qx a")) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not listed");
    }
    ways.owner("running", "acme sees its statement", true);
    let seen = world.ask(&world.rival, "SELECT count(*) FROM system.queries WHERE sql LIKE '%vault%'").await;
    // Its own statement has the word, too.
    ways.tried(
        "running",
        "acme's statement in system.queries",
        (seen != Ok("0".into()) && seen != Ok("1".into())).then(|| format!("{seen:?}")),
    );
    for (who, shown) in others(world).await {
        let mut client = world.client(0, &shown).await;
        let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
        let cancelled = as_outcome(act(&mut client, "CancelFlightInfo", body).await);
        ways.refused("running", format!("CancelFlightInfo of acme's statement, with {who}"), &cancelled);
    }
    let still = !runs.is_finished();
    ways.owner("running", "acme's statement runs still", still);
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let own = act(&mut acme, "CancelFlightInfo", body).await;
    ways.owner("running", "acme ends its own", own.is_ok());
    let ended = tokio::time::timeout(Duration::from_secs(20), runs).await;
    ways.owner("running", "it ended", ended.is_ok_and(|ended| ended.unwrap().is_err()));
}

//! Names in statements: of another tenant's things they are told as of things that are not there, word for word and code for
//! code, and as fast.

use super::ways::{Ways, leak, leak_of};
use super::world::{World, plan};
use std::time::{Duration, Instant};

/// Names of acme's, and of the same length names that nobody has.
const NAMES: [(&str, &str); 6] = [
    ("vault_qx", "vawlt_zz"),
    ("closet_qx", "clozet_zz"),
    ("acme", "acne"),
    ("empty_qx", "emqty_zz"),
    ("sight_qx", "sihgt_zz"),
    ("magic_qx", "majic_zz"),
];
/// How often existence is asked for, and how much longer either answer may take than the other.
const TRIES: usize = 60;
const RATIO: f64 = 2.0;

/// What rival asks.
const STATEMENTS: [&str; 59] = [
    "SELECT * FROM sight_qx",
    "SELECT * FROM main.sight_qx",
    "DESCRIBE sight_qx",
    "DROP VIEW sight_qx",
    "CREATE VIEW taken AS SELECT * FROM sight_qx",
    "SELECT magic_qx('a')",
    "DROP MACRO magic_qx",
    "SELECT * FROM vault_qx",
    "SELECT * FROM main.vault_qx",
    "SELECT * FROM acme.main.vault_qx",
    "SELECT * FROM \"acme\".\"main\".\"vault_qx\"",
    "SELECT * FROM ACME.Main.VAULT_qx",
    "SELECT * FROM acme.vault_qx",
    "SELECT * FROM closet_qx.coat",
    "SELECT * FROM acme.closet_qx.coat",
    "SELECT * FROM \"acme.main\".vault_qx",
    "SELECT * FROM \"acme/main\".vault_qx",
    "SELECT * FROM \"acme/main.vault_qx\"",
    "SELECT * FROM default.main.vault_qx",
    "SELECT * FROM \"../acme/main\".vault_qx",
    "SELECT i FROM item WHERE EXISTS (SELECT 1 FROM vault_qx)",
    "SELECT (SELECT max(i) FROM vault_qx)",
    "WITH x AS (SELECT * FROM vault_qx) SELECT i FROM x",
    "SELECT i FROM item UNION ALL SELECT i FROM vault_qx",
    "SELECT item.i FROM item LEFT JOIN vault_qx ON item.i = vault_qx.i",
    "SELECT count(*) FROM vault_qx WHERE 1 = 0",
    "SELECT vault_qx.i FROM item",
    "SELECT CAST(filler AS INTEGER) FROM vault_qx",
    "SELECT 1 / (i - i) FROM vault_qx",
    "DESCRIBE vault_qx",
    "DESCRIBE acme.main.vault_qx",
    "EXPLAIN SELECT * FROM vault_qx",
    "EXPLAIN ANALYZE SELECT count(*) FROM vault_qx",
    "SHOW TABLES FROM closet_qx",
    "CREATE TABLE taken AS SELECT * FROM vault_qx",
    "INSERT INTO item SELECT filler, i FROM vault_qx",
    "INSERT INTO vault_qx VALUES (1, 'a', 'b')",
    "INSERT INTO acme.main.vault_qx VALUES (1, 'a', 'b')",
    "DELETE FROM vault_qx",
    "DELETE FROM item USING acme.main.vault_qx",
    "UPDATE vault_qx SET filler = 'x'",
    "UPDATE item SET i = 1 FROM vault_qx",
    "TRUNCATE vault_qx",
    "TRUNCATE acme.main.vault_qx",
    "DROP TABLE vault_qx",
    "DROP TABLE acme.main.vault_qx",
    "DROP TABLE IF EXISTS closet_qx.coat",
    "DROP SCHEMA closet_qx",
    "DROP SCHEMA closet_qx CASCADE",
    "DROP SCHEMA acme CASCADE",
    "ALTER TABLE vault_qx SET (refresh_every = '1 day')",
    "REFRESH TABLE vault_qx",
    "REFRESH TABLE acme.main.vault_qx",
    "CREATE TABLE closet_qx.mine (i INTEGER)",
    "CREATE TABLE acme.main.mine (i INTEGER)",
    "SET catalog = 'acme'",
    "SET search_path = 'closet_qx'",
    "SET tenant = 'acme'",
    "USE acme",
];

/// What rival makes with a name of acme's: it may, and has nothing of acme's thereby. Each is undone by the second.
const MADE: [(&str, &str); 5] = [
    ("CREATE VIEW sight_qx AS SELECT 1 AS mine", "DROP VIEW sight_qx"),
    ("CREATE MACRO magic_qx(a) AS a", "DROP MACRO magic_qx"),
    ("CREATE TABLE empty_qx (mine INTEGER)", "DROP TABLE empty_qx"),
    ("CREATE SCHEMA closet_qx", "DROP SCHEMA closet_qx"),
    ("CREATE SCHEMA acme", "DROP SCHEMA acme"),
];

/// What lists things; the second tells whether acme sees its own there.
const LISTS: [(&str, bool); 29] = [
    ("SHOW VIEWS", true),
    ("SELECT * FROM information_schema.views", true),
    ("SELECT * FROM information_schema.routines", true),
    ("SHOW TABLES", true),
    ("SHOW ALL", false),
    ("SELECT * FROM information_schema.tables", true),
    ("SELECT * FROM information_schema.tables WHERE table_catalog = 'acme'", true),
    ("SELECT count(*) FROM information_schema.tables WHERE table_name LIKE '%\\_qx'", false),
    ("SELECT * FROM information_schema.columns", true),
    ("SELECT * FROM information_schema.columns WHERE table_catalog <> 'rival'", true),
    ("SELECT * FROM information_schema.schemata", true),
    ("SELECT * FROM acme.information_schema.tables", false),
    ("SELECT * FROM pg_catalog.pg_tables", false),
    ("SELECT * FROM pg_catalog.pg_class", false),
    ("SELECT * FROM pg_catalog.pg_stats", false),
    ("SELECT * FROM system.datasets", true),
    ("SELECT schema_name, table_name, rows FROM system.datasets", true),
    ("SELECT sum(rows) > 1000 FROM system.shards", false),
    ("SELECT * FROM system.shards", false),
    ("SELECT * FROM system.coordinators", false),
    ("SELECT * FROM system.hydrations", true),
    ("SELECT * FROM system.refreshes", false),
    ("SELECT * FROM system.queries", false),
    ("SELECT * FROM system.quarantine", false),
    ("SELECT * FROM system.routes", false),
    ("SELECT * FROM system.usage", false),
    ("SELECT * FROM system.foreign_servers", false),
    ("SELECT * FROM system.foreign_tables", false),
    ("EXPLAIN SELECT * FROM item", false),
];

pub(crate) async fn try_all(world: &World, ways: &mut Ways) {
    for sql in STATEMENTS {
        let reached = differs(world, sql).await;
        ways.tried("names", sql, reached);
    }
    for sql in [
        "SELECT * FROM vault_qx",
        "SELECT * FROM closet_qx.coat",
        "DESCRIBE vault_qx",
        "SELECT * FROM sight_qx",
        "SELECT magic_qx('a')",
    ] {
        let own = world.owner(sql).await;
        ways.owner("names", sql, leak_of(&own).is_some());
    }
    for sql in [
        "EXPLAIN ANALYZE SELECT count(*) FROM vault_qx",
        "SHOW TABLES FROM closet_qx",
        "CREATE TABLE taken AS SELECT * FROM vault_qx",
        "INSERT INTO taken SELECT * FROM vault_qx",
        "DROP TABLE taken",
        "CREATE SCHEMA spare",
        "DROP SCHEMA spare CASCADE",
        "CREATE TABLE closet_qx.mine (i INTEGER)",
        "DROP TABLE closet_qx.mine",
    ] {
        let done = world.owner(sql).await;
        ways.owner("names", &format!("{sql}: {done:?}"), done.is_ok());
    }
    for (make, undo) in MADE {
        let made = world.ask(&world.rival, make).await;
        let undone = world.ask(&world.rival, undo).await;
        let well = made.is_ok() && undone.is_ok() && leak_of(&made).is_none();
        ways.tried("names", make, (!well).then(|| format!("{made:?} {undone:?}")));
    }
    for (sql, owners) in LISTS {
        let mut seen = None;
        for at in 0..3 {
            let answer = world.ask_at(at, &world.rival, sql).await;
            let text = match &answer {
                Ok(text) => text,
                Err(text) => text,
            };
            // Words of the statement come back in its error.
            let named = answer.is_ok() && (text.contains("acme") || text.contains("_qx"));
            seen = seen.or(leak(text)).or_else(|| named.then(|| format!("it names acme's: {text:.200}")));
        }
        ways.tried("lists", sql, seen);
        if owners {
            let own = world.owner(sql).await;
            ways.owner("lists", sql, own.is_ok_and(|text| text.contains("_qx") || text.contains("3137")));
        }
    }
    let counted = world.ask(&world.rival, "SELECT sum(rows) FROM system.shards").await;
    ways.tried("lists", "rows that shards hold", (counted != Ok("3".into())).then(|| format!("{counted:?}")));
    let own = world.owner("SELECT sum(rows) >= 3137 FROM system.shards").await;
    ways.owner(
        "lists",
        &format!("rows of acme's on shards: {own:?}"),
        own.is_ok_and(|own| own.starts_with('t')),
    );
    time(world, ways).await;
}

/// How an answer differs from the one about names that nobody has.
async fn differs(world: &World, sql: &str) -> Option<String> {
    let mut other = sql.to_string();
    for (theirs, nobodys) in NAMES {
        other = other.replace(theirs, nobodys);
        other = other.replace(&theirs.to_uppercase(), &nobodys.to_uppercase());
    }
    let (answer, nothing) = (world.ask(&world.rival, sql).await, world.ask(&world.rival, &other).await);
    let mut expected = nothing.clone();
    for (theirs, nobodys) in NAMES {
        let back = |text: String| {
            text.replace(nobodys, theirs).replace(&nobodys.to_uppercase(), &theirs.to_uppercase())
        };
        expected = expected.map(back).map_err(back);
    }
    let answered = answer.as_ref().is_ok_and(|rows| !rows.is_empty());
    match leak_of(&answer) {
        Some(leak) => Some(leak),
        None if answer != expected => Some(format!("{answer:?} and not {expected:?}")),
        None if answered => Some(format!("it is answered: {answer:?}")),
        None => None,
    }
}

/// That something of another's is there is not told by the time that it takes to say no.
async fn time(world: &World, ways: &mut Ways) {
    let mut client = world.client(0, &world.rival).await;
    let pairs = [
        ("SELECT * FROM vault_qx", "SELECT * FROM vawlt_zz"),
        ("DESCRIBE closet_qx.coat", "DESCRIBE clozet_zz.coat"),
        (
            "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 's3://tundra/acme/'",
            "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION 's3://tundra/acne/'",
        ),
    ];
    for (theirs, nobodys) in pairs {
        let mut taken = [Vec::new(), Vec::new()];
        for turn in 0..TRIES {
            // Either comes first every other time.
            let order = if turn % 2 == 0 { [0, 1] } else { [1, 0] };
            for which in order {
                let begun = Instant::now();
                let sql = [theirs, nobodys][which];
                if let Ok(info) = plan(&mut client, sql).await {
                    let _ = super::world::fetch(&mut client, super::world::ticket_of(&info)).await;
                }
                taken[which].push(begun.elapsed());
            }
        }
        let [theirs_take, nobodys_take] = taken.map(median);
        let ratio = theirs_take.as_secs_f64() / nobodys_take.as_secs_f64().max(1e-9);
        let told = !(1.0 / RATIO..=RATIO).contains(&ratio);
        ways.tried(
            "time",
            format!("{theirs} against a name of nobody's"),
            told.then(|| format!("{theirs_take:?} against {nobodys_take:?}")),
        );
    }
}

fn median(mut taken: Vec<Duration>) -> Duration {
    taken.sort();
    taken[taken.len() / 2]
}

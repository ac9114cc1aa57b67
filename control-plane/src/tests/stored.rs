//! What is kept, and how it changes.

use super::databases::{Place, on_both_databases};
use crate::cluster::MemoryCluster;
use crate::database::Database;
use crate::decisions::{issuers, keys, set_up, tenants, tokens};
use crate::error::Error;
use crate::json::{NewKey, NewToken, Rotate, Tenant, TenantSettings, TenantStatus};
use crate::signing;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flight_proto::policy::{ApiKeys, DEFAULT_TENANT, Gone, ISSUERS, Subject, keys_document, tenant_document};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use std::collections::BTreeSet;

on_both_databases! {
    tenants_come_and_go,
    what_changes_nothing_makes_no_version,
    a_tenant_is_changed_only_as_it_was_seen,
    a_tenant_keeps_its_pool_until_another_is_named,
    a_pool_is_named_once_the_cluster_knows_of_pools,
    names_of_deleted_tenants_are_not_given_again_soon,
    keys_are_kept_as_hashes,
    tokens_verify_with_the_published_key,
    keys_that_are_rotated_out_sign_on_for_a_while,
    changes_of_many_callers_come_one_after_the_other,
    documents_are_signed_and_last,
    a_changed_audit_is_found,
    instances_that_start_at_once_make_one_database,
}

async fn put(database: &Database, name: &str, settings: TenantSettings) -> Tenant {
    tenants::put(database, "ann", name, settings, None).await.unwrap()
}

fn tier(tier: &str) -> TenantSettings {
    TenantSettings { tier: tier.into(), ..TenantSettings::default() }
}

fn key_of(user: &str) -> NewKey {
    NewKey { user: user.into(), roles: vec!["reader".into()], lifetime_s: None }
}

fn pool(pool: &str) -> TenantSettings {
    TenantSettings { pool: pool.into(), ..TenantSettings::default() }
}

/// Who knows of no pools leaves it out, and reads what is of none.
async fn a_tenant_keeps_its_pool_until_another_is_named(place: &Place) {
    let database = place.open().await;
    put(&database, "acme", tier("gold")).await;
    let told = serde_json::to_value(put(&database, "acme", tier("gold")).await).unwrap();
    assert!(told["settings"].get("pool").is_none(), "{told}");
    assert_eq!(put(&database, "acme", pool("acme")).await.settings.pool, "acme");
    assert_eq!(put(&database, "acme", tier("gold")).await.settings.pool, "acme");
    assert_eq!(tenants::suspend(&database, "ann", "acme").await.unwrap().settings.pool, "acme");
    assert_eq!(put(&database, "acme", pool("default")).await.settings.pool, "");
}

/// Else nobody would take what is decided of the tenant, that it is suspended either.
async fn a_pool_is_named_once_the_cluster_knows_of_pools(place: &Place) {
    let (database, cluster) = (place.open().await, MemoryCluster::default());
    let check =
        async |settings: &TenantSettings| tenants::check_pool(&database, &cluster, "acme", settings).await;
    cluster.set_version(1);
    let why = check(&pool("acme")).await.unwrap_err().to_string();
    assert!(why.contains("at version 1, which knows of no pools"), "{why}");
    for without in [pool("default"), tier("gold")] {
        check(&without).await.unwrap();
    }
    cluster.set_version(2);
    check(&pool("acme")).await.unwrap();
    put(&database, "acme", pool("acme")).await;
    cluster.set_away(true);
    check(&pool("acme")).await.unwrap();
    assert!(matches!(check(&pool("zeta")).await, Err(Error::Cluster(_))));
}

async fn tenants_come_and_go(place: &Place) {
    let database = place.open().await;
    let made = put(&database, "acme", tier("gold")).await;
    assert_eq!((made.name.as_str(), made.status, made.version), ("acme", TenantStatus::Active, 3));
    let told: Vec<String> = tenants::list(&database).await.unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(told, ["acme", DEFAULT_TENANT]);
    let changed = put(&database, "acme", TenantSettings::default()).await;
    assert_eq!((changed.settings.tier.as_str(), changed.version), ("standard", 4));
    let suspended = tenants::suspend(&database, "ann", "acme").await.unwrap();
    assert_eq!((suspended.status, suspended.version), (TenantStatus::Suspended, 5));
    let changed = put(&database, "acme", tier("gold")).await;
    assert_eq!(changed.status, TenantStatus::Suspended, "settings let nobody in again");
    assert_eq!(tenants::resume(&database, "ann", "acme").await.unwrap().status, TenantStatus::Active);
    keys::create(&database, "ann", "acme", key_of("etl")).await.unwrap();

    tenants::delete(&database, "ann", "acme").await.unwrap();
    for name in [tenant_document("acme"), keys_document("acme")] {
        let document = database.document(&name).await.unwrap().unwrap().document;
        assert_eq!(document.subject, Some(Subject::Gone(Gone {})), "{name}");
    }
    assert!(matches!(tenants::show(&database, "acme").await, Err(Error::NotFound(_))));
    assert!(matches!(tenants::delete(&database, "ann", "acme").await, Err(Error::NotFound(_))));
    assert!(matches!(tenants::suspend(&database, "ann", "acme").await, Err(Error::NotFound(_))));
    assert!(matches!(keys::create(&database, "ann", "acme", key_of("x")).await, Err(Error::NotFound(_))));
    assert!(matches!(tenants::delete(&database, "ann", DEFAULT_TENANT).await, Err(Error::Conflict(_))));
    for bad in ["Acme", "catalog", "", "a/b"] {
        let refused = tenants::put(&database, "ann", bad, TenantSettings::default(), None).await;
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}");
    }
    let rows = database.audit(0, 100, None).await.unwrap();
    let told: Vec<_> =
        rows.iter().map(|row| (row.who.as_str(), row.action.as_str(), row.subject.as_str())).collect();
    let expected = [
        ("control plane", "create", "tenant/default"),
        ("control plane", "create", "issuers"),
        ("ann", "create", "tenant/acme"),
        ("ann", "change", "tenant/acme"),
        ("ann", "suspend", "tenant/acme"),
        ("ann", "change", "tenant/acme"),
        ("ann", "resume", "tenant/acme"),
        ("ann", "create key", "keys/acme"),
        ("ann", "delete", "tenant/acme"),
        ("ann", "delete", "keys/acme"),
    ];
    assert_eq!(told, expected);
    assert!(rows[3].before.contains("gold") && rows[3].after.contains("standard"), "{:?}", rows[3]);
}

async fn what_changes_nothing_makes_no_version(place: &Place) {
    let database = place.open().await;
    put(&database, "acme", tier("gold")).await;
    tenants::suspend(&database, "ann", "acme").await.unwrap();
    let (version, rows) = (database.version().await.unwrap(), database.audit(0, 100, None).await.unwrap());
    put(&database, "acme", tier("gold")).await;
    tenants::suspend(&database, "bob", "acme").await.unwrap();
    set_up(&database).await.unwrap();
    issuers::forget_retired(&database).await.unwrap();
    assert_eq!(database.version().await.unwrap(), version);
    assert_eq!(database.audit(0, 100, None).await.unwrap(), rows);
}

async fn a_tenant_is_changed_only_as_it_was_seen(place: &Place) {
    let database = place.open().await;
    let put = async |version, of: &str| tenants::put(&database, "ann", "acme", tier(of), Some(version)).await;
    assert!(put(7, "x").await.unwrap_err().to_string().contains("no tenant 'acme'"));
    let made = put(0, "gold").await.unwrap();
    assert!(put(0, "gold").await.unwrap_err().to_string().contains("already"));
    assert_eq!(put(made.version, "iron").await.unwrap().settings.tier, "iron");
    assert!(put(made.version, "gold").await.unwrap_err().to_string().contains("meanwhile"));
}

async fn names_of_deleted_tenants_are_not_given_again_soon(place: &Place) {
    let database = place.open().await;
    put(&database, "acme", tier("gold")).await;
    tenants::delete(&database, "ann", "acme").await.unwrap();
    let again = tenants::put(&database, "ann", "acme", tier("gold"), Some(0)).await.unwrap_err().to_string();
    assert!(again.contains("1440 minutes") || again.contains("1441 minutes"), "{again}");
}

async fn keys_are_kept_as_hashes(place: &Place) {
    let database = place.open().await;
    put(&database, "acme", tier("gold")).await;
    let lasting = keys::create(&database, "ann", "acme", key_of("etl")).await.unwrap();
    let wanted = NewKey { lifetime_s: Some(60), ..key_of("bi") };
    let short = keys::create(&database, "ann", "acme", wanted).await.unwrap();
    assert_eq!(lasting.expires_at_us, 0);
    let left_us = short.expires_at_us - database.now_us().await.unwrap();
    assert!((50_000_000..=60_000_000).contains(&left_us), "{left_us}");

    let parts: Vec<&str> = lasting.key.splitn(3, '_').collect();
    assert_eq!((parts[0], parts[1], parts[1].len()), ("tundra", lasting.id.as_str(), 16));
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[2]).unwrap().len(), 32);
    let held = database.document(&keys_document("acme")).await.unwrap().unwrap();
    let Some(Subject::ApiKeys(ApiKeys { tenant, keys: kept })) = held.document.subject else { panic!() };
    assert_eq!((tenant.as_str(), kept.len()), ("acme", 2));
    assert_eq!(kept[0].sha256, signing::sha256(lasting.key.as_bytes()));
    assert_eq!((kept[0].user.as_str(), &kept[0].roles[..]), ("etl", &["reader".to_string()][..]));
    let rows = database.audit(0, 100, None).await.unwrap();
    assert!(!format!("{rows:?}").contains(parts[2]), "the audit has a secret");

    let revoked = keys::revoke(&database, "ann", "acme", &lasting.id).await.unwrap();
    assert_eq!(revoked.user, "etl");
    assert!(matches!(keys::revoke(&database, "ann", "acme", &lasting.id).await, Err(Error::NotFound(_))));
    let left: Vec<String> =
        keys::list(&database, "acme").await.unwrap().into_iter().map(|key| key.id).collect();
    assert_eq!(left, [short.id]);
    assert!(matches!(keys::list(&database, "other").await, Err(Error::NotFound(_))));
    for wanted in [
        NewKey { lifetime_s: Some(0), ..key_of("x") },
        NewKey { lifetime_s: Some(u64::MAX), ..key_of("x") },
        key_of(""),
        key_of("a\nb"),
        NewKey { roles: vec![String::new()], ..key_of("x") },
        NewKey { roles: vec!["r".into(); 101], ..key_of("x") },
    ] {
        let refused = keys::create(&database, "ann", "acme", wanted).await;
        assert!(matches!(refused, Err(Error::Invalid(_))));
    }
    // All keys of a tenant are one document, which must not be too large to be published.
    let large = NewKey { roles: vec!["r".repeat(256); 100], ..key_of("x") };
    let mut made = 0;
    let refused = loop {
        match keys::create(&database, "ann", "acme", large.clone()).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::Conflict(_)) && made == 15, "{made}: {refused}");
}

fn token_of(tenant: &str) -> NewToken {
    NewToken { tenant: tenant.into(), user: "ann".into(), roles: vec!["reader".into()], lifetime_s: None }
}

/// The header and the claims of a token that verifies with a published key that was not retired when it was made.
async fn verified(database: &Database, token: &str) -> (Value, Value) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let read =
        |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let (header, claims) = (read(header), read(claims));
    let keys = issuers::own_keys(database).await.unwrap();
    let key = keys.iter().find(|key| header["kid"] == key.id.as_str()).unwrap();
    assert!(key.retired_at_us == 0 || claims["iat"].as_i64().unwrap() * 1_000_000 < key.retired_at_us);
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ED25519, &key.public_key).verify(message.as_bytes(), &signature).unwrap();
    (header, claims)
}

async fn tokens_verify_with_the_published_key(place: &Place) {
    let database = place.open().await;
    put(&database, "acme", tier("gold")).await;
    let version = database.version().await.unwrap();
    let made = tokens::create(&database, "bob", token_of("acme")).await.unwrap();
    assert_eq!(database.version().await.unwrap(), version, "coordinators need not hear of tokens");
    let (header, claims) = verified(&database, &made.token).await;
    assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"JWT".into()));
    for (claim, value) in [("iss", "tundra"), ("aud", "tundra"), ("sub", "ann"), ("tenant", "acme")] {
        assert_eq!(claims[claim], value);
    }
    assert_eq!(claims["roles"], serde_json::json!(["reader"]));
    assert_eq!(claims["jti"], made.id.as_str());
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert_eq!((exp - iat, exp * 1_000_000), (3_600, made.expires_at_us));
    assert!((database.now_us().await.unwrap() / 1_000_000 - iat).abs() < 10);

    let row = database.audit(0, 100, None).await.unwrap().pop().unwrap();
    assert_eq!(
        (row.who.as_str(), row.action.as_str(), row.subject.as_str()),
        ("bob", "create token", "tenant/acme")
    );
    assert!(row.after.contains(&made.id) && !row.after.contains(&made.token[..40]), "{row:?}");
    for lifetime_s in [0, 86_401] {
        let wanted = NewToken { lifetime_s: Some(lifetime_s), ..token_of("acme") };
        assert!(matches!(tokens::create(&database, "bob", wanted).await, Err(Error::Invalid(_))));
    }
    assert!(matches!(tokens::create(&database, "bob", token_of("none")).await, Err(Error::NotFound(_))));
    tenants::suspend(&database, "bob", "acme").await.unwrap();
    assert!(matches!(tokens::create(&database, "bob", token_of("acme")).await, Err(Error::Conflict(_))));
}

async fn keys_that_are_rotated_out_sign_on_for_a_while(place: &Place) {
    let database = place.open().await;
    let before = tokens::create(&database, "bob", token_of("default")).await.unwrap();
    let first = issuers::own_keys(&database).await.unwrap();
    let rotated = issuers::rotate(&database, "bob", Rotate::default()).await.unwrap();
    let now_us = database.now_us().await.unwrap();
    assert_eq!((rotated.keys.len(), &rotated.keys[0].id), (2, &first[0].id));
    let left_us = rotated.keys[0].retired_at_us - now_us;
    assert!((30_000_000..=60_000_000).contains(&left_us), "{left_us}");
    assert_eq!(rotated.keys[1].retired_at_us, 0);
    verified(&database, &before.token).await;
    let overlapping = tokens::create(&database, "bob", token_of("default")).await.unwrap();
    let (header, _) = verified(&database, &overlapping.token).await;
    assert_eq!(header["kid"], first[0].id.as_str(), "coordinators may not know the new one yet");

    let stolen = issuers::rotate(&database, "bob", Rotate { forget_old: true }).await.unwrap();
    assert_eq!(stolen.keys.len(), 1);
    assert!(rotated.keys.iter().all(|key| key.id != stolen.keys[0].id));
    let after = tokens::create(&database, "bob", token_of("default")).await.unwrap();
    assert_eq!(verified(&database, &after.token).await.0["kid"], stolen.keys[0].id.as_str());
    let mut change = database.change("test").await.unwrap();
    assert_eq!(change.token_keys().await.unwrap(), BTreeSet::from([stolen.keys[0].id.clone()]));
}

async fn changes_of_many_callers_come_one_after_the_other(place: &Place) {
    const CALLERS: usize = 6;
    const CHANGES: usize = 8;
    let database = place.open().await;
    // Another instance on the same database.
    let other = place.open().await;
    let first = database.version().await.unwrap();
    let callers = (0..CALLERS).map(|caller| {
        let database = if caller % 2 == 0 { database.clone() } else { other.clone() };
        tokio::spawn(async move {
            let mut versions = Vec::new();
            for change in 0..CHANGES {
                let name = format!("t-{}", (caller + change) % 3);
                versions.push(put(&database, &name, tier(&format!("{caller}-{change}"))).await.version);
            }
            versions
        })
    });
    let mut versions = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        let of_caller = caller.await.unwrap();
        assert!(of_caller.is_sorted());
        versions.extend(of_caller);
    }
    versions.sort_unstable();
    let expected: Vec<u64> = (first + 1..=first + (CALLERS * CHANGES) as u64).collect();
    assert_eq!(versions, expected);
    assert_eq!(database.version().await.unwrap(), *expected.last().unwrap());
    assert_eq!(database.verify_audit().await.unwrap().broken, None);
}

async fn documents_are_signed_and_last(place: &Place) {
    let database = place.open().await;
    put(&database, "acme", tier("gold")).await;
    let (key, held) = (database.policy_key().to_vec(), database.documents_after(0).await.unwrap());
    database.close().await;
    let again = place.open().await;
    assert_eq!(again.policy_key(), key);
    assert_eq!(again.documents_after(0).await.unwrap(), held);
    let names: Vec<&str> = held.iter().map(|held| held.document.name.as_str()).collect();
    assert_eq!(names, ["tenant/default", ISSUERS, "tenant/acme"]);
    for held in &held {
        assert_eq!(held.signed.key, key);
        assert_eq!(signing::verified(&held.signed).unwrap(), held.document);
    }
    assert_eq!(again.documents_after(2).await.unwrap(), held[2..]);
    assert_eq!(again.count_after(1).await.unwrap(), 2);
}

async fn a_changed_audit_is_found(place: &Place) {
    let database = place.open().await;
    for of in ["a", "b", "c", "d"] {
        put(&database, "acme", tier(of)).await;
    }
    let whole = database.verify_audit().await.unwrap();
    assert_eq!((whole.rows, whole.broken), (6, None));
    let broken_by = async |statement: &'static str| {
        let mut transaction = database.pool().begin().await.unwrap();
        sqlx::query("CREATE TABLE saved AS SELECT * FROM audit").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(sqlx::query(statement).execute(database.pool()).await.unwrap().rows_affected(), 1);
        let broken = database.verify_audit().await.unwrap().broken.map(|(number, _)| number);
        for undo in ["DELETE FROM audit", "INSERT INTO audit SELECT * FROM saved", "DROP TABLE saved"] {
            sqlx::query(undo).execute(database.pool()).await.unwrap();
        }
        assert_eq!(database.verify_audit().await.unwrap().broken, None);
        broken
    };
    assert_eq!(broken_by("UPDATE audit SET who = 'eve' WHERE number = 4").await, Some(4));
    assert_eq!(broken_by("UPDATE audit SET state_after = '{}' WHERE number = 1").await, Some(1));
    assert_eq!(broken_by("UPDATE audit SET at_us = at_us + 1 WHERE number = 6").await, Some(6));
    assert_eq!(broken_by("DELETE FROM audit WHERE number = 3").await, Some(3));
    assert_eq!(broken_by("DELETE FROM audit WHERE number = 6").await, Some(6));
    let last = "INSERT INTO audit SELECT 7, at_us, who, action, subject, state_before, state_after, hash \
                FROM audit WHERE number = 6";
    assert_eq!(broken_by(last).await, Some(7));
}

async fn instances_that_start_at_once_make_one_database(place: &Place) {
    let opened = futures::future::join_all((0..4).map(|_| place.open())).await;
    let keys: BTreeSet<&[u8]> = opened.iter().map(|database| database.policy_key()).collect();
    assert_eq!(keys.len(), 1);
    assert_eq!(opened[0].version().await.unwrap(), 2, "what is there from the beginning is there once");
}

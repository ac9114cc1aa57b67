//! A database of which an older copy was put back.

use super::databases::{Place, on_both_databases};
use super::publishing::{has, instance, put, soon, until};
use crate::cluster::{Cluster, MemoryCluster};
use crate::database::Database;
use crate::database::audit::ADOPT;
use crate::decisions::{issuers, keys, tenants, tokens};
use crate::json::{NewKey, NewToken, Rotate};
use crate::reconcile;
use flight_proto::policy::{ISSUERS, Signed, Subject};
use std::fs;
use std::path::Path;
use std::sync::Arc;

on_both_databases! {
    what_the_cluster_has_later_is_taken_over_and_told,
    a_new_database_with_the_old_key_takes_everything_over,
}

/// Has both say the same, as publishing does.
async fn reconcile(database: &Database, cluster: &MemoryCluster) {
    let theirs = reconcile::read(&cluster.policy().await.unwrap(), database.policy_key()).unwrap();
    let own = database.documents_after(0).await.unwrap();
    let steps = reconcile::plan(&own, &theirs);
    reconcile::take_over(database, &steps).await.unwrap();
    let publish: Vec<Signed> =
        database.documents_after(0).await.unwrap().into_iter().map(|held| held.signed).collect();
    cluster.publish(publish).await.unwrap();
}

/// Puts a part of the database back as it was: what an older copy would have.
async fn put_back(database: &Database) {
    for undo in [
        "DELETE FROM documents",
        "INSERT INTO documents SELECT * FROM old_documents",
        "UPDATE state SET version = (SELECT MAX(version) FROM documents)",
        "DELETE FROM secrets WHERE id NOT IN (SELECT id FROM old_secrets)",
    ] {
        sqlx::query(undo).execute(database.pool()).await.unwrap();
    }
}

async fn copy(database: &Database) {
    for save in [
        "CREATE TABLE old_documents AS SELECT * FROM documents",
        "CREATE TABLE old_secrets AS SELECT * FROM secrets",
    ] {
        sqlx::query(save).execute(database.pool()).await.unwrap();
    }
}

fn key() -> NewKey {
    NewKey { user: "etl".into(), roles: vec![], lifetime_s: None }
}

async fn what_the_cluster_has_later_is_taken_over_and_told(place: &Place) {
    let (database, cluster) = (place.open().await, MemoryCluster::default());
    put(&database, "acme", "gold").await;
    put(&database, "bolt", "gold").await;
    put(&database, "crow", "gold").await;
    copy(&database).await;
    // What the copy does not know.
    put(&database, "acme", "iron").await;
    tenants::delete(&database, "ann", "bolt").await.unwrap();
    put(&database, "dune", "gold").await;
    let lost_key = keys::create(&database, "ann", "dune", key()).await.unwrap();
    let rotated = issuers::rotate(&database, "ann", Rotate { forget_old: true }).await.unwrap();
    reconcile(&database, &cluster).await;
    let before = cluster.policy().await.unwrap();
    put_back(&database).await;
    // Decided before anybody noticed: of one thing that is in the cluster later, and of two that are not.
    put(&database, "acme", "zinc").await;
    put(&database, "crow", "zinc").await;
    put(&database, "echo", "zinc").await;

    reconcile(&database, &cluster).await;
    let tier = async |name| tenants::show(&database, name).await.map(|tenant| tenant.settings.tier);
    assert_eq!(tier("acme").await.unwrap(), "iron");
    assert!(tier("bolt").await.is_err());
    assert_eq!(tier("crow").await.unwrap(), "zinc");
    assert_eq!(tier("dune").await.unwrap(), "gold");
    assert_eq!(tier("echo").await.unwrap(), "zinc");
    assert_eq!(keys::list(&database, "dune").await.unwrap()[0].id, lost_key.id);
    // Later decisions are above all that the cluster has seen.
    let next = put(&database, "acme", "zinc").await;
    assert!(next > before.version, "{next} > {}", before.version);
    reconcile(&database, &cluster).await;

    // Every version that the cluster took of a name is above the one before.
    let mut last = std::collections::BTreeMap::new();
    for (name, version) in cluster.history() {
        assert!(last.insert(name.clone(), version).is_none_or(|before| before < version), "{name}");
    }
    // The key that signed is retired, since its secret half is lost; another one signs.
    let own = issuers::own_keys(&database).await.unwrap();
    assert_eq!((own.len(), &own[0].id), (2, &rotated.keys[0].id));
    assert!(own[0].retired_at_us > 0 && own[1].retired_at_us == 0);
    let wanted = NewToken { tenant: "dune".into(), user: "u".into(), roles: vec![], lifetime_s: None };
    tokens::create(&database, "ann", wanted).await.unwrap();
    let Some(Subject::Issuers(published)) = cluster.document(ISSUERS).unwrap().subject else { panic!() };
    assert_eq!(published.issuers[0].keys, own);

    let losses = database.audit(0, 100, Some(ADOPT)).await.unwrap();
    let told: Vec<&str> = losses.iter().map(|row| row.subject.as_str()).collect();
    assert_eq!(told, ["tenant/acme", "tenant/bolt", "tenant/dune", "keys/dune", ISSUERS]);
    assert!(losses[0].before.contains("zinc") && losses[0].after.contains("iron"), "{:?}", losses[0]);
    assert!(losses[2].after.contains("had lost"), "{:?}", losses[2]);
    assert!(
        losses[4].after.contains(&format!("signing key {} is lost", rotated.keys[0].id)),
        "{:?}",
        losses[4]
    );
    assert_eq!(database.verify_audit().await.unwrap().broken, None);
}

async fn a_new_database_with_the_old_key_takes_everything_over(place: &Place) {
    let (database, cluster) = (place.open().await, MemoryCluster::default());
    put(&database, "acme", "gold").await;
    reconcile(&database, &cluster).await;
    for forget in
        ["DELETE FROM documents", "UPDATE state SET version = 0", "DELETE FROM secrets WHERE id <> 'policy'"]
    {
        sqlx::query(forget).execute(database.pool()).await.unwrap();
    }
    crate::decisions::set_up(&database).await.unwrap();
    reconcile(&database, &cluster).await;
    assert_eq!(tenants::show(&database, "acme").await.unwrap().settings.tier, "gold");
    let own = issuers::own_keys(&database).await.unwrap();
    assert_eq!((own.len(), own[1].retired_at_us), (2, 0));
    assert!(database.version().await.unwrap() > 3);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// From end to end: the file is copied away and put back, and the API tells what was lost.
#[tokio::test]
async fn an_older_file_that_is_put_back_undoes_nothing() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (place, cluster) = (Place::sqlite().unwrap(), Arc::new(MemoryCluster::default()));
    let (data, backup) = (place.folder(), tempfile::tempdir().unwrap());
    let served = instance(&place, &cluster, soon()).await;
    put(served.database(), "acme", "gold").await;
    put(served.database(), "bolt", "gold").await;
    has(&cluster, "tenant/bolt", 4).await;
    served.shutdown().await.unwrap();
    copy_folder(&data, backup.path());

    let served = instance(&place, &cluster, soon()).await;
    put(served.database(), "acme", "iron").await;
    tenants::suspend(served.database(), "ann", "bolt").await.unwrap();
    put(served.database(), "crow", "gold").await;
    has(&cluster, "tenant/crow", 7).await;
    let acted_on = cluster.policy().await.unwrap();
    served.shutdown().await.unwrap();

    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    copy_folder(backup.path(), &data);
    let served = instance(&place, &cluster, soon()).await;
    let url = format!("http://{}/api/v1", served.http_address());
    let losses = async || -> Vec<crate::json::Loss> {
        let answer = reqwest::get(format!("{url}/losses")).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    until("losses", async || !losses().await.is_empty()).await;
    let losses = losses().await;
    let told: Vec<&str> = losses.iter().map(|loss| loss.name.as_str()).collect();
    assert_eq!(told, ["tenant/acme", "tenant/bolt", "tenant/crow"]);
    assert!(losses[0].told.contains("had version 3 of 'tenant/acme': version 5"), "{}", losses[0].told);
    assert_eq!(losses[0].before["settings"]["tier"], "gold");
    assert_eq!(losses[0].after["settings"]["tier"], "iron");
    assert_eq!(losses[2].before, serde_json::Value::Null);
    assert_eq!(cluster.policy().await.unwrap(), acted_on, "the cluster has nothing older, and nothing new");
    let version = put(served.database(), "acme", "zinc").await;
    assert_eq!(version, 8);
    has(&cluster, "tenant/acme", 8).await;
    served.shutdown().await.unwrap();
}

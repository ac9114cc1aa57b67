//! Tenants of a coordinator: they come and go by what is published, log in by keys, and see nothing of each other.
#![allow(clippy::unwrap_used)]

use crate::server::policy::{ControlPlane, api_key};
use crate::server::{Server, ask};
use coordinator::User;
use flight_proto::policy::{Gone, Signed, Subject, Tenant, TenantStatus, Workload};
use serde_json::json;

#[tokio::test]
async fn each_has_its_own_tables() {
    let server = Server::start(|config| config.shards = 2).await;
    let mut control = ControlPlane::new(1);
    let mut acme = control.tenant_with(&server, "acme", "ann").await;
    let mut zeta = control.tenant_with(&server, "zeta", "zoe").await;
    server.run("CREATE TABLE t AS SELECT 'default' AS whose").await.unwrap();
    ask(&mut acme, "CREATE TABLE t AS SELECT 'acme' AS whose").await.unwrap();
    ask(&mut zeta, "CREATE SCHEMA own").await.unwrap();
    ask(&mut zeta, "CREATE TABLE own.t AS SELECT 'zeta' AS whose").await.unwrap();
    assert_eq!(server.value("SELECT whose FROM t").await, "default");
    assert_eq!(ask(&mut acme, "SELECT whose FROM t").await.unwrap(), ["acme"]);
    assert_eq!(ask(&mut zeta, "SELECT whose FROM own.t").await.unwrap(), ["zeta"]);
    for (client, tables) in [(&mut acme, "acme main t"), (&mut zeta, "zeta own t")] {
        let listed = "SELECT table_catalog, table_schema, table_name FROM information_schema.tables";
        assert_eq!(ask(client, listed).await.unwrap().join(" "), tables);
        assert_eq!(ask(client, "SELECT rows FROM system.datasets").await.unwrap(), ["1"]);
        assert_eq!(ask(client, "SELECT sum(rows) FROM system.shards").await.unwrap().len(), 1);
        let others = "SELECT count(*) FROM system.queries";
        assert_eq!(ask(client, others).await.unwrap(), ["0"]);
    }
    ask(&mut acme, "CREATE TABLE secret (i INTEGER)").await.unwrap();
    let secret = ask(&mut zeta, "SELECT * FROM secret").await.unwrap_err();
    let nowhere = ask(&mut zeta, "SELECT * FROM nowhere").await.unwrap_err();
    assert!(nowhere.contains("unknown table"), "{nowhere}");
    assert_eq!(secret.replace("secret", "nowhere").lines().next(), nowhere.lines().next());
    ask(&mut zeta, "INSERT INTO own.t VALUES ('more')").await.unwrap();
    assert_eq!(ask(&mut acme, "SELECT count(*) FROM t").await.unwrap(), ["1"]);

    drop((acme, zeta));
    // All of it is there again, and in the tenants' folders.
    let server = server.restart(|config| config.shards = 2).await;
    let mut acme = server.client_with(&api_key("acme", "ann")).await;
    let mut zeta = server.client_with(&api_key("zeta", "zoe")).await;
    assert_eq!(ask(&mut acme, "SELECT whose FROM t").await.unwrap(), ["acme"]);
    assert_eq!(ask(&mut zeta, "SELECT count(*) FROM own.t").await.unwrap(), ["2"]);
    let objects = server.data().join("objects");
    let folders = |tenant: &str| std::fs::read_dir(objects.join(tenant)).unwrap().count();
    assert_eq!(["default", "acme", "zeta"].map(folders), [1, 2, 1]);
    server.stop().await;
}

/// The object store alone brings all tenants back, and the policy with them.
#[tokio::test]
async fn the_object_store_alone_brings_them_back() {
    let server = Server::start(|_| {}).await;
    let mut control = ControlPlane::new(1);
    let mut acme = control.tenant_with(&server, "acme", "ann").await;
    ask(&mut acme, "CREATE TABLE t AS SELECT 7 AS i").await.unwrap();
    let folder = server.stop().await;
    let data = folder.path().join("data");
    for lost in ["catalog.redb", "segments"] {
        let lost = data.join(lost);
        if lost.is_dir() { std::fs::remove_dir_all(lost) } else { std::fs::remove_file(lost) }.unwrap();
    }
    let server = Server::start_in(folder, |_| {}).await;
    let mut acme = server.client_with(&api_key("acme", "ann")).await;
    assert_eq!(ask(&mut acme, "SELECT i FROM t").await.unwrap(), ["7"]);

    // Without the copy of the catalog the data are there, and nobody is let in until the policy is published anew.
    let folder = server.stop().await;
    let data = folder.path().join("data");
    std::fs::remove_file(data.join("catalog.redb")).unwrap();
    std::fs::remove_dir_all(data.join("objects/catalog")).unwrap();
    let server = Server::start_in(folder, |_| {}).await;
    let mut acme = server.client_with(&api_key("acme", "ann")).await;
    let unknown = ask(&mut acme, "SELECT i FROM t").await.unwrap_err();
    assert!(unknown.contains("API key is not known"), "{unknown}");
    let mut acme = ControlPlane::new(1).tenant_with(&server, "acme", "ann").await;
    assert_eq!(ask(&mut acme, "SELECT i FROM t").await.unwrap(), ["7"]);
    server.stop().await;
}

#[tokio::test]
async fn suspended_and_deleted_tenants() {
    let server = Server::start(|_| {}).await;
    let mut control = ControlPlane::new(1);
    let mut acme = control.tenant_with(&server, "acme", "ann").await;
    ask(&mut acme, "CREATE TABLE t AS SELECT 7 AS i").await.unwrap();
    control.tenant(&server, "acme", TenantStatus::Suspended).await;
    let refused = ask(&mut acme, "SELECT i FROM t").await.unwrap_err();
    assert!(refused.contains("the tenant 'acme' is not served here"), "{refused}");
    control.tenant(&server, "acme", TenantStatus::Active).await;
    assert_eq!(ask(&mut acme, "SELECT i FROM t").await.unwrap(), ["7"]);

    control.delete(&server, "acme").await;
    let gone = ask(&mut acme, "SELECT i FROM t").await.unwrap_err();
    assert!(gone.contains("the tenant 'acme' is not served here"), "{gone}");
    // Who has the name next has nothing of it, neither now nor after a start.
    control.tenant(&server, "acme", TenantStatus::Active).await;
    let gone = ask(&mut acme, "SELECT i FROM t").await.unwrap_err();
    assert!(gone.contains("unknown table"), "{gone}");
    assert_eq!(ask(&mut acme, "SELECT count(*) FROM system.datasets").await.unwrap(), ["0"]);
    ask(&mut acme, "CREATE TABLE t AS SELECT 8 AS i").await.unwrap();
    drop(acme);
    let server = server.restart(|_| {}).await;
    let mut acme = server.client_with(&api_key("acme", "ann")).await;
    assert_eq!(ask(&mut acme, "SELECT i FROM t").await.unwrap(), ["8"]);
    server.stop().await;
}

#[tokio::test]
async fn keys_are_taken_back_and_expire() {
    let server = Server::start(|_| {}).await;
    let mut control = ControlPlane::new(1);
    let mut ann = control.tenant_with(&server, "acme", "ann").await;
    let mut shaken = server.client().await;
    shaken.handshake("whoever", &api_key("acme", "ann")).await.unwrap();
    for client in [&mut ann, &mut shaken] {
        assert_eq!(ask(client, "SELECT 1").await.unwrap(), ["1"]);
    }
    control.keys(&server, "acme", &[("bob", 0), ("old", 1)]).await;
    for client in [&mut ann, &mut shaken] {
        let refused = ask(client, "SELECT 1").await.unwrap_err();
        assert!(refused.contains("was revoked"), "{refused}");
    }
    let mut bob = server.client_with(&api_key("acme", "bob")).await;
    assert_eq!(ask(&mut bob, "SELECT 1").await.unwrap(), ["1"]);
    let wrong = api_key("acme", "bob").replace("secret", "guess");
    for shown in [api_key("acme", "old"), wrong, "tundra_".into(), "tundra_x_y".into()] {
        let refused = ask(&mut server.client_with(&shown).await, "SELECT 1").await.unwrap_err();
        assert!(refused.contains("API key is not known"), "{refused}");
    }
    // A key of the default tenant makes nobody an operator.
    control.keys(&server, "default", &[("dan", 0)]).await;
    let mut dan = server.client_with(&api_key("default", "dan")).await;
    assert_eq!(ask(&mut dan, "SELECT 1").await.unwrap(), ["1"]);
    let basic = format!("authorization: Basic {}\r\n", base64(&format!("x:{}", api_key("default", "dan"))));
    let (status, told) = server.request("GET", "/api/v1/nodes", &basic, "").await;
    assert_eq!(status, 403, "{told}");
    server.stop().await;
}

/// A tenant is named by a header or before the user's name, and that lets nobody in.
#[tokio::test]
async fn naming_a_tenant_is_not_logging_in() {
    let user = User { name: "ada".into(), password: "secret".into() };
    let server = Server::start(|config| config.users = vec![user]).await;
    let mut control = ControlPlane::new(1);
    let operator = format!("authorization: Basic {}\r\n", base64("ada:secret"));
    let tenant = control.document("tenant/acme", Subject::Gone(Gone {}));
    let (status, _) = control.publish(&server, &[tenant]).await;
    assert_eq!(status, 401, "publishing is for operators");
    let (status, told) = server.request("GET", "/api/v1/policy", &operator, "").await;
    assert_eq!((status, told.contains("\"version\":0")), (200, true), "{told}");
    for (user, password, tenant) in [
        ("acme/ada", "secret", None),
        ("ada", "secret", Some("acme")),
        ("nobody/ada", "secret", None),
        ("ada", "no", None),
    ] {
        let mut client = server.client().await;
        if let Some(tenant) = tenant {
            client.set_header("tenant", tenant);
        }
        let refused = client.handshake(user, password).await.unwrap_err().to_string();
        assert!(refused.contains("the user name or the password is wrong"), "{user} {tenant:?}: {refused}");
    }
    let mut client = server.client().await;
    client.set_header("tenant", "default");
    client.handshake("default/ada", "secret").await.unwrap();
    assert_eq!(ask(&mut client, "SELECT 1").await.unwrap(), ["1"]);
    client.set_header("tenant", "acme");
    let refused = ask(&mut client, "SELECT 1").await.unwrap_err();
    assert!(refused.contains("not of the tenant"), "{refused}");
    server.stop().await;
}

/// Documents are taken once, in order, from one key.
#[tokio::test]
async fn only_later_documents_of_the_same_key_are_taken() {
    let server = Server::start(|_| {}).await;
    let mut control = ControlPlane::new(1);
    control.tenant(&server, "acme", TenantStatus::Active).await;
    control.tenant(&server, "acme", TenantStatus::Suspended).await;
    let gone = |version| control.document_of(version, "tenant/acme", Subject::Gone(Gone {}));
    let (status, told) = control.publish(&server, &[gone(1), gone(2), gone(3), gone(3)]).await;
    let outcomes: Vec<_> = told["documents"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(
        (status, outcomes),
        (200, vec![&json!("stale"), &json!("stale"), &json!("taken"), &json!("known")])
    );
    assert_eq!(told["documents"][0]["version"], 2);

    let other = ControlPlane::new(2);
    let foreign = other.document_of(9, "tenant/zeta", Subject::Gone(Gone {}));
    let (status, told) = other.publish(&server, std::slice::from_ref(&foreign)).await;
    assert_eq!(status, 403, "{told}");
    let key = json!({ "key": other.key() }).to_string();
    let headers = "content-type: application/json\r\n";
    let (status, told) = server.request("PUT", "/api/v1/policy/key", headers, "{\"key\": \"00\"}").await;
    assert_eq!((status, told.contains("32 bytes, not 1")), (400, true), "{told}");
    let (status, told) = server.request("PUT", "/api/v1/policy/key", headers, &key).await;
    assert_eq!((status, told.contains(&other.key())), (200, true), "{told}");
    let (status, told) = other.publish(&server, &[foreign]).await;
    assert_eq!((status, &told["documents"][0]["outcome"]), (200, &json!("taken")), "{told}");
    let (status, told) = control.publish(&server, &[gone(9)]).await;
    assert_eq!(status, 403, "{told}");
    let key = json!({ "key": control.key() }).to_string();
    assert_eq!(server.request("PUT", "/api/v1/policy/key", headers, &key).await.0, 200);

    let forged = Signed { signature: vec![0; 64], ..gone(9) };
    let (status, told) = control.publish(&server, &[forged]).await;
    assert_eq!((status, told["error"].as_str().unwrap().contains("signature")), (400, true), "{told}");
    let default = control.document_of(9, "tenant/default", Subject::Gone(Gone {}));
    let (status, told) = control.publish(&server, &[default]).await;
    assert_eq!(
        (status, told["error"].as_str().unwrap().contains("cannot be deleted")),
        (400, true),
        "{told}"
    );
    let (status, told) = server.http("/api/v1/policy").await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["version"], told["documents"].as_array().unwrap().len()), (200, &json!(9), 2));
    assert_eq!(
        (&told["documents"][0]["name"], &told["documents"][0]["gone"]),
        (&json!("tenant/acme"), &json!(true))
    );
    server.stop().await;
}

/// Of a tenant's statements as many run and wait as its workload lets; those that wait are ended as it is suspended.
#[tokio::test]
async fn a_tenant_has_turns_of_its_own() {
    let server = Server::start(|config| config.concurrency = 2).await;
    let mut control = ControlPlane::new(1);
    let mut acme = control.tenant_with(&server, "acme", "ann").await;
    let workload = Workload { concurrency: 1, queue: 1, ..Workload::default() };
    let active = |workload| Tenant {
        name: "acme".into(),
        status: TenantStatus::Active.into(),
        workload: Some(workload),
        ..Tenant::default()
    };
    control.decide(&server, active(workload)).await;
    let long = "SELECT sum(a.i * b.i * c.i) FROM many a, many b, many c";
    ask(&mut acme, "CREATE TABLE many (i INTEGER)").await.unwrap();
    let values: Vec<String> = (0..2_000).map(|i| format!("({})", i % 7)).collect();
    ask(&mut acme, &format!("INSERT INTO many VALUES {}", values.join(","))).await.unwrap();
    let begin = |sql: &'static str| {
        let mut client = acme.clone();
        tokio::spawn(async move { ask(&mut client, sql).await })
    };
    let running = begin(long);
    let listed = |count: usize| {
        let server = &server;
        async move {
            while server.handle().running_queries() < count {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
    };
    listed(1).await;
    let waiting = begin("SELECT count(*) FROM many");
    listed(2).await;
    let refused = ask(&mut acme, "SELECT count(*) FROM many").await.unwrap_err();
    assert!(refused.contains("1 statements wait already"), "{refused}");
    // Another tenant is served meanwhile.
    assert_eq!(server.value("SELECT 1").await, "1");
    control.tenant(&server, "acme", TenantStatus::Suspended).await;
    for ended in [waiting, running] {
        let ended = ended.await.unwrap().unwrap_err();
        assert!(ended.contains("cancelled"), "{ended}");
    }
    assert_eq!(server.handle().running_queries(), 0);
    server.stop().await;
}

/// Tables of files lie in the tenant's own folder of the object store, and nowhere else.
#[tokio::test]
async fn files_of_others_are_out_of_reach() {
    let server = Server::start(|_| {}).await;
    let mut control = ControlPlane::new(1);
    let mut acme = control.tenant_with(&server, "acme", "ann").await;
    let mut zeta = control.tenant_with(&server, "zeta", "zoe").await;
    ask(&mut acme, "CREATE TABLE t AS SELECT 7 AS i").await.unwrap();
    server.run("CREATE TABLE d AS SELECT 1 AS i").await.unwrap();
    let objects = format!("file://{}", server.data().join("objects").display());
    for location in [
        "acme/1/data/",
        "acme/",
        "acme",
        "default/2/data/",
        "",
        "catalog/",
        "zeta/../acme/1/data/",
        "zet",
        "none/",
    ] {
        let create = format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{objects}/{location}'");
        let refused = ask(&mut zeta, &create).await.unwrap_err();
        assert!(refused.contains("tenant's folder") || refused.contains(".."), "{location}: {refused}");
        assert!(
            refused.matches("default").count() == location.matches("default").count(),
            "{location}: {refused}"
        );
    }
    let link = server.data().join("objects/zeta/link");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(server.data().join("objects/acme/1/data"), &link).unwrap();
    let create = format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{objects}/zeta/link/'");
    let refused = ask(&mut zeta, &create).await.unwrap_err();
    assert!(refused.contains("tenant's folder"), "{refused}");
    let create = format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{objects}/acme/1/data/'");
    let refused = server.run(&create).await.unwrap_err().to_string();
    assert!(refused.contains("lies neither"), "{refused}");
    // Its own files it may read.
    let create = format!("CREATE EXTERNAL TABLE again STORED AS PARQUET LOCATION '{objects}/acme/1/data/'");
    ask(&mut acme, &create).await.unwrap();
    assert_eq!(ask(&mut acme, "SELECT i FROM again").await.unwrap(), ["7"]);
    server.stop().await;
}

fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = text.as_bytes().chunks(3).flat_map(|chunk| {
        let word =
            chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |index| LETTERS[(word >> (18 - 6 * index)) as usize & 63] as char)
    });
    let mut encoded: String = letters.collect();
    while !encoded.len().is_multiple_of(4) {
        encoded.push('=');
    }
    encoded
}

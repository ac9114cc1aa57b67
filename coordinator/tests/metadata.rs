//! What Flight SQL clients ask before they ask for data, over a real connection.

use crate::server::{Server, fetch};
use arrow::array::AsArray;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, SqlInfo,
};
use coordinator::User;

#[tokio::test]
async fn every_metadata_call_gives_a_typed_table() {
    let server = Server::start(|_| {}).await;
    let mut client = server.client().await;
    let info = client.get_catalogs().await.unwrap();
    let catalogs = fetch(&mut client, info).await.unwrap();
    assert_eq!(catalogs.column(0).as_string::<i32>().value(0), "default");

    let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
    let schemas = fetch(&mut client, info).await.unwrap();
    assert_eq!(schemas.num_rows(), 2);

    let command = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
    let info = client.get_tables(command).await.unwrap();
    let tables = fetch(&mut client, info).await.unwrap();
    assert_eq!((tables.num_rows(), tables.num_columns()), (5, 5));

    let info = client.get_table_types().await.unwrap();
    assert_eq!(fetch(&mut client, info).await.unwrap().num_rows(), 4);
    let info = client.get_sql_info(vec![]).await.unwrap();
    assert!(fetch(&mut client, info).await.unwrap().num_rows() > 80);
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
    assert_eq!(fetch(&mut client, info).await.unwrap().num_rows(), 1);
    let info = client.get_xdbc_type_info(Default::default()).await.unwrap();
    assert!(fetch(&mut client, info).await.unwrap().num_rows() > 10);

    let info = client.get_primary_keys(CommandGetPrimaryKeys::default()).await.unwrap();
    let keys = fetch(&mut client, info).await.unwrap();
    assert_eq!((keys.num_rows(), keys.num_columns()), (0, 6));
    let info = client.get_exported_keys(CommandGetExportedKeys::default()).await.unwrap();
    assert_eq!(fetch(&mut client, info).await.unwrap().num_columns(), 13);
    let info = client.get_imported_keys(CommandGetImportedKeys::default()).await.unwrap();
    assert_eq!(fetch(&mut client, info).await.unwrap().num_columns(), 13);
    let info = client.get_cross_reference(CommandGetCrossReference::default()).await.unwrap();
    assert_eq!(fetch(&mut client, info).await.unwrap().num_columns(), 13);
    server.stop().await;
}

#[tokio::test]
async fn passwords_are_asked_where_users_are_configured() {
    let user = User { name: "ada".into(), password: "lovelace".into() };
    let server = Server::start(|config| config.users.push(user.clone())).await;
    let mut client = server.client().await;
    let refused = client.get_catalogs().await.unwrap_err().to_string();
    assert!(refused.contains("log in"), "{refused}");
    let refused = client.handshake("ada", "wrong").await.unwrap_err().to_string();
    assert!(refused.contains("password is wrong"), "{refused}");
    client.set_token("00000000000000000000000000000000".into());
    assert!(client.get_catalogs().await.is_err());

    let mut client = server.client().await;
    client.handshake("ada", "lovelace").await.unwrap();
    let info = client.get_catalogs().await.unwrap();
    assert_eq!(fetch(&mut client, info).await.unwrap().num_rows(), 1);
    server.stop().await;
}

#[tokio::test]
async fn http_tells_of_health_and_metrics() {
    let server = Server::start(|_| {}).await;
    assert_eq!(server.http("/healthz").await, (200, "ok\n".into()));
    assert_eq!(server.http("/readyz").await, (200, "ready\n".into()));
    let (status, metrics) = server.http("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains("tundra_uptime_seconds"), "{metrics}");
    assert_eq!(server.http("/nothing").await.0, 404);
    server.stop().await;
}

#[tokio::test]
async fn one_process_a_data_folder_and_one_a_port() {
    let server = Server::start(|_| {}).await;
    let config = coordinator::Config::new(server.data());
    let error = coordinator::start(config, coordinator::Environment::embedded()).await.err().unwrap();
    assert!(error.to_string().contains("used by another process"), "{error}");
    let taken = server.flight_address().to_string();
    let error = coordinator::Environment::listen(&taken, None).await.err().unwrap().to_string();
    assert!(error.contains("another process uses this port") && error.contains("--flight"), "{error}");
    server.stop().await;
}

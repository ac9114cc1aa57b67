//! What drivers ask of metadata, with filters and wild-cards.

use super::ways::{Outcome, Ways, leak_of};
use super::world::{Shown, World, describe, fetch, ticket_of};
use arrow_flight::Ticket;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys,
    CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandGetXdbcTypeInfo, ProstMessageExt,
};
use prost::Message;

/// What a command gives, by way of GetFlightInfo and as a ticket that was made by the client.
async fn both(world: &World, shown: &Shown, command: &impl ProstMessageExt) -> [Outcome; 2] {
    let mut client = world.client(0, shown).await;
    let described = match describe(&mut client, command).await {
        Ok(info) => fetch(&mut client, ticket_of(&info)).await,
        Err(why) => Err(why),
    };
    let made = fetch(&mut client, Ticket::new(command.as_any().encode_to_vec())).await;
    [described, made]
}

/// rival asks; whether acme sees its own by the same command is told.
async fn tried(world: &World, ways: &mut Ways, what: &str, command: impl ProstMessageExt, owners: bool) {
    let mut reached = None;
    for shown in [&world.rival, &Shown::bearer(&world.rival_token)] {
        for answer in both(world, shown, &command).await {
            let text = answer.as_ref().map_or_else(|why| why.clone(), Clone::clone);
            let named = text.contains("acme") || text.contains("_qx");
            reached = reached.or(leak_of(&answer)).or_else(|| named.then(|| format!("{text:.200}")));
        }
    }
    ways.tried("metadata", what, reached);
    let by_nobody = both(world, &Shown::default(), &command).await;
    ways.tried("metadata", format!("{what}, by nobody"), by_nobody.into_iter().find_map(Result::ok));
    if owners {
        let seen = |answer: &Outcome| answer.as_ref().is_ok_and(|text| text.contains("acme"));
        ways.owner("metadata", what, both(world, &world.acme, &command).await.iter().all(seen));
    }
}

pub(crate) async fn try_all(world: &World, ways: &mut Ways) {
    let text = |text: &str| Some(text.to_string());
    tried(world, ways, "GetCatalogs", CommandGetCatalogs {}, true).await;
    for (what, catalog, pattern) in [
        ("GetDbSchemas of all", None, None),
        ("GetDbSchemas of the catalog acme", text("acme"), None),
        ("GetDbSchemas like closet%", None, text("closet%")),
        ("GetDbSchemas of acme like %", text("acme"), text("%")),
    ] {
        let command = CommandGetDbSchemas { catalog, db_schema_filter_pattern: pattern };
        tried(world, ways, what, command, true).await;
    }
    for (what, catalog, schema, table) in [
        ("GetTables of all, with their columns", None, None, None),
        ("GetTables of the catalog acme", text("acme"), None, None),
        ("GetTables of the catalog %", text("%"), None, None),
        ("GetTables of acme's schema", None, text("closet\\_qx"), None),
        ("GetTables like %qx", None, None, text("%qx")),
        ("GetTables like vault_qx, of acme and main", text("acme"), text("main"), text("vault_qx")),
    ] {
        // `%` is no pattern of a catalog: it names none, the owner's neither.
        let owners = catalog.as_deref() != Some("%");
        let command = CommandGetTables {
            catalog,
            db_schema_filter_pattern: schema,
            table_name_filter_pattern: table,
            table_types: Vec::new(),
            include_schema: true,
        };
        tried(world, ways, what, command, owners).await;
    }
    let (catalog, schema, table) = (text("acme"), text("main"), "vault_qx".to_string());
    let keys =
        CommandGetPrimaryKeys { catalog: catalog.clone(), db_schema: schema.clone(), table: table.clone() };
    tried(world, ways, "GetPrimaryKeys of acme's table", keys, false).await;
    let keys =
        CommandGetExportedKeys { catalog: catalog.clone(), db_schema: schema.clone(), table: table.clone() };
    tried(world, ways, "GetExportedKeys of acme's table", keys, false).await;
    let keys =
        CommandGetImportedKeys { catalog: catalog.clone(), db_schema: schema.clone(), table: table.clone() };
    tried(world, ways, "GetImportedKeys of acme's table", keys, false).await;
    let keys = CommandGetCrossReference {
        pk_catalog: catalog.clone(),
        pk_db_schema: schema.clone(),
        pk_table: table,
        fk_catalog: text("rival"),
        fk_db_schema: schema,
        fk_table: "item".into(),
    };
    tried(world, ways, "GetCrossReference of acme's and its own table", keys, false).await;
    tried(world, ways, "GetTableTypes", CommandGetTableTypes {}, false).await;
    tried(world, ways, "GetSqlInfo", CommandGetSqlInfo { info: Vec::new() }, false).await;
    tried(world, ways, "GetXdbcTypeInfo", CommandGetXdbcTypeInfo { data_type: None }, false).await;
}

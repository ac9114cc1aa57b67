//! The schema `system`: what the coordinator knows of the cluster, as tables. They are of the moment in which a query
//! is planned, so plans that read them are not kept.

use crate::catalog::{MemberState, RaftStatus, SYSTEM_SCHEMA};
use crate::coordinator::Coordinator;
use crate::view::{View, text, wide};
use columnar::{DataType, Value};
use planner::catalog::{Catalog, Partitioning, Table, VirtualTable};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::ColumnSchema;

/// The names that a query may use: those of its view, and the tables of the system.
pub(crate) struct Names {
    view: Arc<View>,
    coordinator: Arc<Coordinator>,
    /// A table of the system was read.
    momentary: AtomicBool,
}

impl Names {
    pub(crate) fn new(view: Arc<View>, coordinator: Arc<Coordinator>) -> Names {
        Names { view, coordinator, momentary: AtomicBool::new(false) }
    }

    /// Whether what was planned holds for this moment alone.
    pub(crate) fn are_momentary(&self) -> bool {
        self.momentary.load(Ordering::Relaxed)
    }

    fn datasets(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> =
            ["schema_name", "table_name", "placement", "state", "location"].into_iter().map(text).collect();
        columns.extend(["dataset", "version", "rows", "size_bytes"].into_iter().map(wide));
        let snapshot = self.coordinator.datasets.catalog().snapshot();
        let rows = self.view.residents().map(|resident| {
            let table = &resident.table;
            let known = snapshot.dataset(&table.tenant, table.dataset);
            let placement = match &table.partitioning {
                Partitioning::Replicated => "replicated",
                Partitioning::Hash(_) => "hash",
                Partitioning::Spread => "spread",
            };
            let state = match self.view.state_of(resident) {
                Ok(()) => "resident".to_string(),
                Err(why) => why,
            };
            let size = known.and_then(|known| known.version).map_or(0, |version| version.size_bytes);
            vec![
                Value::varchar(&table.schema),
                Value::varchar(&table.name),
                Value::varchar(placement),
                Value::varchar(&state),
                Value::varchar(known.map_or("", |known| &known.location)),
                count(table.dataset),
                count(table.version),
                count(table.statistics.rows),
                count(size),
            ]
        });
        VirtualTable { name: "datasets".into(), rows: rows.collect(), columns }
    }

    fn shards(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["shard", "address", "status"].into_iter().map(text).collect();
        columns.push(ColumnSchema { name: "alive".into(), data_type: DataType::Boolean, nullable: false });
        columns.extend(["buckets", "rows"].into_iter().map(wide));
        let summaries = self.coordinator.datasets.shards().summaries();
        let rows = summaries.into_iter().map(|node| {
            vec![
                Value::varchar(&format!("{:016x}", node.id)),
                Value::varchar(&node.address),
                Value::varchar(node.status),
                Value::boolean(node.alive),
                count(node.buckets as u64),
                count(node.rows),
            ]
        });
        VirtualTable { name: "shards".into(), rows: rows.collect(), columns }
    }

    fn coordinators(&self) -> VirtualTable {
        let RaftStatus { id, leader, term, last_applied, members, state } =
            self.coordinator.datasets.catalog().status();
        let mut columns = vec![wide("coordinator")];
        columns.extend(["address", "role"].into_iter().map(text));
        columns.push(ColumnSchema { name: "here".into(), data_type: DataType::Boolean, nullable: false });
        columns.push(wide("term"));
        columns.push(ColumnSchema { nullable: true, ..wide("applied") });
        let rows = members.into_iter().map(|member| {
            let role = match member.votes {
                _ if leader == Some(member.id) => "leader",
                _ if member.id == id && state == MemberState::Candidate => "candidate",
                true => "follower",
                false => "learner",
            };
            // Where the others are is not known here.
            let applied = last_applied.filter(|_| member.id == id);
            vec![
                count(member.id),
                Value::varchar(&member.address),
                Value::varchar(role),
                Value::boolean(member.id == id),
                count(term),
                applied.map_or(Value::null(DataType::Int64), count),
            ]
        });
        VirtualTable { name: "coordinators".into(), rows: rows.collect(), columns }
    }

    fn queries(&self) -> VirtualTable {
        let mut columns: Vec<ColumnSchema> = ["query", "principal", "sql"].into_iter().map(text).collect();
        columns.push(wide("elapsed_ms"));
        let rows = self.coordinator.listed().into_iter().map(|query| {
            vec![
                Value::varchar(&format!("{:032x}", query.id)),
                Value::varchar(&query.principal),
                Value::varchar(&query.sql),
                count(u64::try_from(query.elapsed.as_millis()).unwrap_or(u64::MAX)),
            ]
        });
        VirtualTable { name: "queries".into(), rows: rows.collect(), columns }
    }
}

fn count(number: u64) -> Value {
    Value::int64(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Catalog for Names {
    fn table(&self, schema: Option<&str>, name: &str) -> Option<Arc<Table>> {
        self.view.table(schema, name)
    }

    fn table_names(&self) -> Vec<String> {
        self.view.table_names()
    }

    fn virtual_table(&self, schema: Option<&str>, name: &str) -> Option<VirtualTable> {
        if !schema.is_some_and(|schema| schema.eq_ignore_ascii_case(SYSTEM_SCHEMA)) {
            return self.view.virtual_table(schema, name);
        }
        self.momentary.store(true, Ordering::Relaxed);
        match name.to_ascii_lowercase().as_str() {
            "coordinators" => Some(self.coordinators()),
            "datasets" => Some(self.datasets()),
            "queries" => Some(self.queries()),
            "shards" => Some(self.shards()),
            _ => None,
        }
    }
}

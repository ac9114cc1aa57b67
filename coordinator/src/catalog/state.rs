//! The catalog as a state machine: pure, deterministic, without clock or I/O.
//!
//! Names are looked up by their lower-case form and kept as they were created. A dataset appears with its
//! first version and goes with its tombstone; its number is never used again.

use super::definitions::{self, Named};
use super::policy::{self, Policy, Taken};
use super::reply::{Refusal, Reply};
use super::{access, comments, foreign};
use crate::error::{Error, Result};
use flight_proto::Message;
use flight_proto::access::{Access, Grants};
use flight_proto::catalog::{
    self as stored, Change, Command, Dataset, ForeignServer, ForeignTable, Schema, ShardStatus, Tenant,
};
use flight_proto::definition::{Comment, Definition};
use flight_proto::policy::{self as policy_of, DEFAULT_TENANT, KEY_BYTES, Signed, tenant_document};
use flight_proto::pool::{self, DEFAULT_POOL};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The schema of names that give none; it always exists.
pub const DEFAULT_SCHEMA: &str = "main";
/// The schema of the tables that describe the others.
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// The schema of the tables that describe the cluster.
pub const SYSTEM_SCHEMA: &str = "system";

/// Whether a schema of that name, in lower case, is built in and holds no tables of users.
pub fn is_built_in(schema: &str) -> bool {
    [INFORMATION_SCHEMA, SYSTEM_SCHEMA].contains(&schema)
}

/// Dropped datasets that are remembered, and names of a schema without tables.
const REMEMBERED: usize = 10_000;

/// The catalog at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogState {
    stored: stored::CatalogState,
    /// What the documents in `stored` say.
    policy: Arc<Policy>,
}

impl CatalogState {
    pub fn from_stored(stored: stored::CatalogState) -> CatalogState {
        let policy = Arc::new(Policy::of(&stored));
        CatalogState { stored, policy }
    }

    /// A catalog of nothing but a policy.
    #[cfg(test)]
    pub(crate) fn of_policy(policy: Policy) -> CatalogState {
        CatalogState { policy: Arc::new(policy), ..CatalogState::default() }
    }

    pub fn stored(&self) -> &stored::CatalogState {
        &self.stored
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<CatalogState> {
        let stored = stored::CatalogState::decode(bytes)
            .map_err(|error| Error::Environment(format!("a catalog snapshot is damaged: {error}")))?;
        Ok(CatalogState::from_stored(stored))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.stored.encode_to_vec()
    }

    /// How many commands made it.
    pub fn revision(&self) -> u64 {
        self.stored.revision
    }

    /// What all nodes speak. A command or a form of plan that a version brings may be used from that cluster version on.
    pub fn cluster_version(&self) -> u16 {
        u16::try_from(self.stored.cluster_version).unwrap_or(u16::MAX).max(1)
    }

    /// Whether anything was ever created.
    pub fn is_empty(&self) -> bool {
        self.stored.last_dataset == 0
            && self.stored.tenants.is_empty()
            && self.stored.policy.is_empty()
            && !self.stored.restoring
    }

    /// What the control plane has published.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The documents that say so, by name.
    pub fn documents(&self) -> &BTreeMap<String, Signed> {
        &self.stored.policy
    }

    /// The key that documents are signed with, once there is one.
    pub fn policy_key(&self) -> Option<&[u8]> {
        Some(&*self.stored.policy_key).filter(|key| !key.is_empty())
    }

    /// The highest version of a document.
    pub fn policy_version(&self) -> u64 {
        policy::latest(&self.stored)
    }

    /// Datasets of a tenant up to this number are not of the one that has the name now.
    pub fn deleted_up_to(&self, tenant: &str) -> u64 {
        self.tenant(tenant).map_or(0, |tenant| tenant.deleted_up_to)
    }

    /// The highest number that a dataset has or had.
    pub fn last_dataset(&self) -> u64 {
        self.stored.last_dataset
    }

    /// Whether it may not know yet of everything that the object store has.
    pub fn is_restoring(&self) -> bool {
        self.stored.restoring
    }

    /// Whether a dataset that is not there can never be: it was dropped, or another was to be created under its name
    /// later on.
    pub fn is_past(&self, tenant: &str, id: u64, schema: &str, name: &str) -> bool {
        let Some(tenant) = self.tenant(tenant) else { return false };
        let schema = tenant.schemas.get(&schema.to_lowercase());
        let latest = schema.and_then(|schema| schema.numbers.get(&name.to_lowercase()));
        id <= tenant.deleted_up_to
            || tenant.dropped.contains_key(&id)
            || latest.is_some_and(|&latest| latest > id)
    }

    /// Every schema of a tenant as it was created, the built-in one included.
    pub fn schemas(&self, tenant: &str) -> Vec<String> {
        let mut names = vec![DEFAULT_SCHEMA.to_string()];
        names.extend(self.tenant(tenant).into_iter().flat_map(|tenant| {
            tenant
                .schemas
                .iter()
                .filter(|(key, _)| *key != DEFAULT_SCHEMA)
                .map(|(_, schema)| schema.name.clone())
        }));
        names
    }

    pub fn has_schema(&self, tenant: &str, schema: &str) -> bool {
        self.schema_name(tenant, schema).is_some()
    }

    /// A schema's name as it was created.
    pub fn schema_name(&self, tenant: &str, schema: &str) -> Option<String> {
        let known = self.tenant(tenant).and_then(|tenant| tenant.schemas.get(&schema.to_lowercase()));
        match known {
            Some(schema) => Some(schema.name.clone()),
            None => schema.eq_ignore_ascii_case(DEFAULT_SCHEMA).then(|| DEFAULT_SCHEMA.into()),
        }
    }

    /// The dataset behind a table's name.
    pub fn table(&self, tenant: &str, schema: &str, name: &str) -> Option<&Dataset> {
        let tenant = self.tenant(tenant)?;
        let id = tenant.schemas.get(&schema.to_lowercase())?.tables.get(&name.to_lowercase())?;
        tenant.datasets.get(id)
    }

    pub fn dataset(&self, tenant: &str, id: u64) -> Option<&Dataset> {
        self.tenant(tenant)?.datasets.get(&id)
    }

    /// The datasets of a tenant, by schema and name.
    pub fn datasets(&self, tenant: &str) -> Vec<&Dataset> {
        let Some(tenant) = self.tenant(tenant) else { return Vec::new() };
        tenant
            .schemas
            .values()
            .flat_map(|schema| schema.tables.values())
            .filter_map(|id| tenant.datasets.get(id))
            .collect()
    }

    /// The foreign servers of a tenant, by name.
    pub fn servers(&self, tenant: &str) -> impl Iterator<Item = &ForeignServer> {
        self.tenant(tenant).into_iter().flat_map(|tenant| tenant.servers.values())
    }

    /// The foreign server of that name.
    pub fn server(&self, tenant: &str, name: &str) -> Option<&ForeignServer> {
        self.tenant(tenant)?.servers.get(&name.to_lowercase())
    }

    /// The foreign tables of a tenant, by schema and name.
    pub fn foreign_tables(&self, tenant: &str) -> impl Iterator<Item = &ForeignTable> {
        let schemas = self.tenant(tenant).into_iter().flat_map(|tenant| tenant.schemas.values());
        schemas.flat_map(|schema| schema.foreign_tables.values())
    }

    /// The foreign table of that name.
    pub fn foreign_table(&self, tenant: &str, schema: &str, name: &str) -> Option<&ForeignTable> {
        let schema = self.tenant(tenant)?.schemas.get(&schema.to_lowercase())?;
        schema.foreign_tables.get(&name.to_lowercase())
    }

    /// The views, macros and types of a tenant, by schema, in this order.
    pub fn definitions(&self, tenant: &str) -> impl Iterator<Item = &Definition> {
        self.tenant(tenant).into_iter().flat_map(definitions::all)
    }

    /// The revision that last changed a view or macro of a tenant.
    pub fn definitions_revision(&self, tenant: &str) -> u64 {
        self.tenant(tenant).map_or(0, |tenant| tenant.definitions_revision)
    }

    /// The view of that name.
    pub fn view(&self, tenant: &str, schema: &str, name: &str) -> Option<&Definition> {
        self.tenant(tenant)?.schemas.get(&schema.to_lowercase())?.views.get(&name.to_lowercase())
    }

    /// The macro of that name.
    pub fn macro_named(&self, tenant: &str, schema: &str, name: &str) -> Option<&Definition> {
        self.tenant(tenant)?.schemas.get(&schema.to_lowercase())?.macros.get(&name.to_lowercase())
    }

    /// The type of that name.
    pub fn type_named(&self, tenant: &str, schema: &str, name: &str) -> Option<&Definition> {
        self.tenant(tenant)?.schemas.get(&schema.to_lowercase())?.types.get(&name.to_lowercase())
    }

    /// What is noted of a tenant's schemas and of what is in them, with their names.
    pub fn comments(&self, tenant: &str) -> impl Iterator<Item = (&str, &Comment)> {
        let schemas = self.tenant(tenant).into_iter().flat_map(|tenant| tenant.schemas.values());
        schemas.flat_map(|schema| schema.comments.iter().map(|comment| (schema.name.as_str(), comment)))
    }

    /// An error that names one of the views and macros that use it, if any does.
    pub(crate) fn check_unused(&self, tenant: &str, used: &Named) -> std::result::Result<(), Refusal> {
        self.tenant(tenant).map_or(Ok(()), |tenant| definitions::check_unused(tenant, used))
    }

    /// A tenant's roles and what was granted; `None`: it is open.
    pub fn access(&self, tenant: &str) -> Option<&Access> {
        self.tenant(tenant)?.access.as_ref()
    }

    /// What was granted on a schema.
    pub fn schema_grants(&self, tenant: &str, schema: &str) -> Option<&Grants> {
        self.tenant(tenant)?.schemas.get(&schema.to_lowercase())?.grants.as_ref()
    }

    /// The shards that are known, by number.
    pub fn shards(&self) -> &BTreeMap<u64, stored::Shard> {
        &self.stored.shards
    }

    /// A dataset, and the tenant that it is of.
    pub fn find(&self, id: u64) -> Option<(&str, &Dataset)> {
        self.stored.tenants.iter().find_map(|(name, tenant)| Some((name.as_str(), tenant.datasets.get(&id)?)))
    }

    /// The pool of shards that a tenant's data are to be on.
    pub fn pool_of(&self, tenant: &str) -> &str {
        self.policy.tenant(tenant).map_or(DEFAULT_POOL, |tenant| pool::named(&tenant.pool))
    }

    /// Those that have or had datasets or documents, in order.
    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.stored.tenants.keys().map(String::as_str)
    }

    fn tenant(&self, tenant: &str) -> Option<&Tenant> {
        self.stored.tenants.get(tenant)
    }

    /// Changes the state as `command` says, or not at all.
    pub fn apply(&mut self, command: &Command) -> Reply {
        let reply = match self.change(command) {
            Ok(reply) => reply,
            Err(refusal) => Reply::Refused(refusal),
        };
        self.stored.revision += 1;
        reply
    }

    fn change(&mut self, command: &Command) -> std::result::Result<Reply, Refusal> {
        match command.change.as_ref().ok_or(Refusal::UnknownCommand)? {
            Change::AllocateDataset(allocate) => {
                if self.stored.restoring {
                    return Err(Refusal::Restoring);
                }
                let number = self.stored.last_dataset.max(allocate.above).checked_add(1);
                let number = number.ok_or(Refusal::NoNumbers)?;
                if !allocate.name.is_empty() {
                    let tenant = self.tenant_mut(&command.tenant)?.0;
                    TenantChange(tenant).give_number(&allocate.schema, &allocate.name, number)?;
                    access::will_own(tenant, number, &allocate.owner);
                }
                self.stored.last_dataset = number;
                Ok(Reply::Dataset(number))
            }
            Change::Restore(state) => {
                if !self.is_empty() {
                    return Err(Refusal::NotEmpty);
                }
                let revision = self.stored.revision.max(state.revision);
                // The shards are those of now.
                let shards = std::mem::take(&mut self.stored.shards);
                let cluster_version = self.stored.cluster_version.max(state.cluster_version);
                self.policy = Arc::new(Policy::of(state));
                self.stored = stored::CatalogState {
                    revision,
                    shards,
                    cluster_version,
                    restoring: true,
                    ..state.clone()
                };
                Ok(Reply::Done)
            }
            Change::Restored(_) => {
                self.stored.restoring = false;
                Ok(Reply::Done)
            }
            Change::CreateSchema(create) => {
                self.tenant_mut(&command.tenant)?.create_schema(&create.name, &create.owner)?;
                Ok(Reply::Done)
            }
            Change::DropSchema(drop) => {
                self.tenant_mut(&command.tenant)?.drop_schema(&drop.name)?;
                Ok(Reply::Done)
            }
            Change::SwitchVersion(switch) => {
                let mut dataset = switch.dataset.clone().ok_or(Refusal::UnknownCommand)?;
                let version = dataset.version.as_mut().ok_or(Refusal::UnknownCommand)?;
                version.published_at_us = command.at_us;
                let id = dataset.id;
                let (restoring, revision) = (self.stored.restoring, self.stored.revision + 1);
                let tenant = self.tenant_mut(&command.tenant)?;
                if restoring && tenant.takes(&dataset) {
                    definitions::give_way(tenant.0, &dataset.schema, &dataset.name, revision);
                }
                self.tenant_mut(&command.tenant)?.switch(dataset)?;
                self.stored.last_dataset = self.stored.last_dataset.max(id);
                Ok(Reply::Done)
            }
            Change::DropDataset(drop) => {
                let revision = self.stored.revision + 1;
                self.tenant_mut(&command.tenant)?.drop_dataset(drop.dataset, drop.version, revision)?;
                Ok(Reply::Done)
            }
            Change::SetRefresh(set) => {
                let dataset = self.tenant_mut(&command.tenant)?.0.datasets.get_mut(&set.dataset);
                let dataset = dataset.ok_or(Refusal::NoDataset)?;
                let mut refresh = dataset.refresh.unwrap_or_default();
                refresh.every_us = set.every_us.unwrap_or(refresh.every_us);
                refresh.mode = set.mode.unwrap_or(refresh.mode);
                dataset.refresh = Some(refresh).filter(|refresh| *refresh != stored::Refresh::default());
                Ok(Reply::Done)
            }
            Change::Publish(signed) => self.publish(signed),
            Change::SetPolicyKey(set) => match set.key.len() {
                KEY_BYTES => {
                    self.stored.policy_key = set.key.clone();
                    Ok(Reply::Done)
                }
                bytes => Err(Refusal::BadDocument(format!("a key has {KEY_BYTES} bytes, not {bytes}"))),
            },
            Change::SetShard(set) => {
                let mut state = set.state.clone().ok_or(Refusal::UnknownCommand)?;
                // Who tells of a shard may not have heard that it drains.
                let known = self.stored.shards.get(&set.shard);
                let drains = |known: &&stored::Shard| {
                    matches!(known.status(), ShardStatus::Draining | ShardStatus::Drained)
                };
                if let Some(known) = known.filter(drains) {
                    (state.status, state.ordered_revision) = (known.status, known.ordered_revision);
                }
                self.stored.shards.insert(set.shard, state);
                Ok(Reply::Done)
            }
            Change::SetShardStatus(set) => self.set_shard_status(set.shard, set.status()),
            Change::RemoveShard(remove) => match self.stored.shards.remove(&remove.shard) {
                Some(_) => Ok(Reply::Done),
                None => Err(Refusal::NoShard(remove.shard)),
            },
            Change::CreateServer(server) => {
                let created_revision = self.stored.revision + 1;
                let tenant = self.tenant_mut(&command.tenant)?.0;
                let owner = server.grants.as_ref().map_or("", |grants| &grants.owner);
                let grants = access::owned_by(tenant, owner);
                foreign::create_server(tenant, ForeignServer { created_revision, grants, ..server.clone() })?;
                Ok(Reply::Done)
            }
            Change::DropServer(drop) => {
                let revision = self.stored.revision + 1;
                foreign::drop_server(self.tenant_mut(&command.tenant)?.0, drop, revision)?;
                Ok(Reply::Done)
            }
            Change::CreateForeignTables(create) => {
                foreign::create_tables(self.tenant_mut(&command.tenant)?.0, create)?;
                Ok(Reply::Done)
            }
            Change::DropForeignTable(drop) => {
                let revision = self.stored.revision + 1;
                foreign::drop_table(self.tenant_mut(&command.tenant)?.0, drop, revision)?;
                Ok(Reply::Done)
            }
            Change::Access(change) => {
                let revision = self.stored.revision + 1;
                access::change(self.tenant_mut(&command.tenant)?.0, change, revision)?;
                Ok(Reply::Done)
            }
            Change::Define(define) => {
                if self.stored.restoring {
                    return Err(Refusal::Restoring);
                }
                let revision = self.stored.revision + 1;
                let number = self.stored.last_dataset.max(define.above).checked_add(1);
                let number = number.ok_or(Refusal::NoNumbers)?;
                let tenant = self.tenant_mut(&command.tenant)?.0;
                let takes_name = definitions::check(tenant, define)?;
                if let (true, Some(view)) = (takes_name, &define.definition) {
                    // A table of that name that was about to be created comes too late.
                    TenantChange(tenant).give_number(&view.schema, &view.name, number)?;
                }
                definitions::insert(tenant, define, revision);
                if takes_name {
                    self.stored.last_dataset = number;
                }
                Ok(Reply::Done)
            }
            Change::Undefine(undefine) => {
                let revision = self.stored.revision + 1;
                definitions::undefine(self.tenant_mut(&command.tenant)?.0, undefine, revision)?;
                Ok(Reply::Done)
            }
            Change::SetComment(set) => {
                comments::set(self.tenant_mut(&command.tenant)?.0, set)?;
                Ok(Reply::Done)
            }
            Change::SetClusterVersion(set) => {
                if set.version > u32::from(self.cluster_version()) {
                    self.stored.cluster_version = set.version;
                }
                Ok(Reply::Done)
            }
        }
    }

    fn set_shard_status(&mut self, id: u64, to: ShardStatus) -> std::result::Result<Reply, Refusal> {
        let pool = self.stored.shards.get(&id).map_or(DEFAULT_POOL, |shard| pool::named(&shard.pool));
        let taking = |(&other, shard): (&u64, &stored::Shard)| {
            other != id && shard.status() == ShardStatus::Active && pool::named(&shard.pool) == pool
        };
        // Nobody misses the shards of a pool that no tenant has data in.
        let has_data = |tenant: &str| self.pool_of(tenant) == pool && !self.datasets(tenant).is_empty();
        let is_needed = pool == DEFAULT_POOL || self.tenants().any(has_data);
        let others_take = !is_needed || self.stored.shards.iter().any(taking);
        let revision = self.stored.revision + 1;
        let shard = self.stored.shards.get_mut(&id).ok_or(Refusal::NoShard(id))?;
        match (shard.status(), to) {
            (from, to) if from == to => return Ok(Reply::Done),
            (ShardStatus::Active | ShardStatus::Down, ShardStatus::Draining) if others_take => {}
            (ShardStatus::Active | ShardStatus::Down, ShardStatus::Draining) => {
                return Err(Refusal::LastShard(id));
            }
            (ShardStatus::Draining, ShardStatus::Drained)
            | (ShardStatus::Draining | ShardStatus::Drained, ShardStatus::Active) => {}
            (from, _) => {
                let status = match from {
                    ShardStatus::Down => "is down",
                    ShardStatus::Drained => "is drained",
                    _ => "takes part",
                };
                return Err(Refusal::ShardStatus { shard: id, status: status.into() });
            }
        }
        shard.set_status(to);
        shard.ordered_revision = revision;
        Ok(Reply::Done)
    }

    fn publish(&mut self, signed: &Signed) -> std::result::Result<Reply, Refusal> {
        let before = self.policy.clone();
        let Taken::New(document) = policy::publish(&mut self.stored, &mut self.policy, signed)? else {
            return Ok(Reply::Done);
        };
        let about = document.tenant().unwrap_or_default();
        if document.name != tenant_document(about) {
            return Ok(Reply::Done);
        }
        let is_another = |tenant: &policy_of::Tenant| {
            before.tenant(about).is_some_and(|before| before.created_version != tenant.created_version)
        };
        let (is_gone, is_another) = match &document.subject {
            Some(subject) => subject.tenant().map_or((true, false), |tenant| (false, is_another(tenant))),
            None => (true, false),
        };
        if is_gone || is_another {
            let deleted_up_to = self.stored.last_dataset;
            let none = Tenant { deleted_up_to, ..Tenant::default() };
            self.stored.tenants.insert(about.into(), none);
        }
        if !is_gone {
            self.tenant_mut(about)?;
        }
        Ok(Reply::Done)
    }

    /// A tenant to be changed. One that nobody has decided to have may be there in a store that a catalog is filled
    /// from, but nowhere else.
    fn tenant_mut(&mut self, name: &str) -> std::result::Result<TenantChange<'_>, Refusal> {
        let decided = name == DEFAULT_TENANT || self.policy.tenant(name).is_some();
        let is_gone = !decided && self.stored.policy.contains_key(&tenant_document(name));
        let known = self.stored.restoring || self.stored.tenants.contains_key(name);
        if is_gone || !(decided || known) {
            return Err(Refusal::NoTenant(name.into()));
        }
        let tenant = self.stored.tenants.entry(name.to_string()).or_default();
        if tenant.schemas.is_empty() {
            let main = Schema { name: DEFAULT_SCHEMA.into(), ..Schema::default() };
            tenant.schemas.insert(DEFAULT_SCHEMA.into(), main);
        }
        Ok(TenantChange(tenant))
    }
}

/// A tenant to be changed.
struct TenantChange<'a>(&'a mut Tenant);

impl TenantChange<'_> {
    fn create_schema(self, name: &str, owner: &str) -> std::result::Result<(), Refusal> {
        let key = name.to_lowercase();
        if is_built_in(&key) || self.0.schemas.contains_key(&key) {
            return Err(Refusal::SchemaExists(name.into()));
        }
        let grants = access::owned_by(self.0, owner);
        self.0.schemas.insert(key, Schema { name: name.into(), grants, ..Schema::default() });
        Ok(())
    }

    fn drop_schema(self, name: &str) -> std::result::Result<(), Refusal> {
        let key = name.to_lowercase();
        if key == DEFAULT_SCHEMA || is_built_in(&key) {
            return Err(Refusal::BuiltIn(key));
        }
        let schema = self.0.schemas.get(&key).ok_or_else(|| Refusal::NoSchema(name.into()))?;
        let empty = schema.tables.is_empty() && schema.foreign_tables.is_empty();
        if !(empty && schema.views.is_empty() && schema.macros.is_empty() && schema.types.is_empty()) {
            return Err(Refusal::SchemaNotEmpty(schema.name.clone()));
        }
        // What was about to be created in it comes too late.
        for number in schema.numbers.values() {
            self.0.dropped.entry(*number).or_insert(0);
        }
        self.0.schemas.remove(&key);
        self.forget();
        Ok(())
    }

    /// Notes that a table of that name is about to be created, and that any that was to be before never will.
    fn give_number(self, schema: &str, name: &str, number: u64) -> std::result::Result<(), Refusal> {
        let known = self.0.schemas.get_mut(&schema.to_lowercase());
        let schema = known.ok_or_else(|| Refusal::NoSchema(schema.into()))?;
        let key = name.to_lowercase();
        if definitions::holds(schema, &key) {
            return Err(Refusal::TableExists(name.into()));
        }
        schema.numbers.insert(key, number);
        if schema.numbers.len() > schema.tables.len() + schema.views.len() + REMEMBERED {
            let unused = schema.numbers.iter().filter(|(key, _)| !definitions::holds(schema, key));
            let oldest = unused.min_by_key(|(_, number)| **number).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                schema.numbers.remove(&oldest);
            }
        }
        Ok(())
    }

    /// Forgets the oldest of too many dropped datasets.
    fn forget(self) {
        while self.0.dropped.len() > REMEMBERED {
            self.0.dropped.pop_first();
        }
    }

    /// Whether the first version of a dataset may be switched on, as far as numbers go.
    fn takes(&self, dataset: &Dataset) -> bool {
        let schema = self.0.schemas.get(&dataset.schema.to_lowercase());
        let latest = schema.and_then(|schema| schema.numbers.get(&dataset.name.to_lowercase()));
        dataset.id > self.0.deleted_up_to
            && !self.0.dropped.contains_key(&dataset.id)
            && !self.0.datasets.contains_key(&dataset.id)
            && latest.is_none_or(|&latest| latest <= dataset.id)
    }

    fn switch(self, mut dataset: Dataset) -> std::result::Result<(), Refusal> {
        let offered = dataset.version.map_or(0, |version| version.number);
        if dataset.id <= self.0.deleted_up_to || self.0.dropped.contains_key(&dataset.id) {
            return Err(Refusal::NoDataset);
        }
        if let Some(known) = self.0.datasets.get_mut(&dataset.id) {
            let current = known.version.map_or(0, |version| version.number);
            if offered <= current {
                return Err(Refusal::StaleVersion { offered, current });
            }
            known.columns = dataset.columns;
            known.version = dataset.version;
            return Ok(());
        }
        let schema = self.0.schemas.get_mut(&dataset.schema.to_lowercase());
        let schema = schema.ok_or_else(|| Refusal::NoSchema(dataset.schema.clone()))?;
        let key = dataset.name.to_lowercase();
        if definitions::holds(schema, &key) {
            return Err(Refusal::TableExists(dataset.name));
        }
        if schema.numbers.get(&key).is_some_and(|&latest| latest > dataset.id) {
            return Err(Refusal::Overtaken(dataset.name));
        }
        schema.tables.insert(key, dataset.id);
        let schema = schema.name.clone();
        access::settle(self.0, &mut dataset);
        self.0.datasets.insert(dataset.id, Dataset { schema, ..dataset });
        Ok(())
    }

    /// With the views and macros that use it: its data are gone by now.
    fn drop_dataset(self, id: u64, version: u64, revision: u64) -> std::result::Result<(), Refusal> {
        let dataset = self.0.datasets.remove(&id).ok_or(Refusal::NoDataset)?;
        let own = Named::relation(&dataset.schema, &dataset.name);
        definitions::remove_dependents(self.0, &own, revision);
        comments::forget(self.0, &own);
        if let Some(schema) = self.0.schemas.get_mut(&dataset.schema.to_lowercase()) {
            schema.tables.remove(&dataset.name.to_lowercase());
        }
        self.0.dropped.insert(id, version);
        self.forget();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Closed;
    use flight_proto::catalog::{
        AllocateDataset, CreateSchema, DropDataset, DropSchema, Refresh, RefreshMode, Restored,
        SetClusterVersion, SetPolicyKey, SetRefresh, SetShard, SetShardStatus, Shard, SwitchVersion, Version,
    };
    use flight_proto::policy::{self, Document, Subject, TenantStatus};

    fn command(change: Change) -> Command {
        Command { at_us: 5, tenant: "default".into(), change: Some(change) }
    }

    fn create_schema(name: &str) -> Command {
        command(Change::CreateSchema(CreateSchema { name: name.into(), owner: String::new() }))
    }

    fn drop_schema(name: &str) -> Command {
        command(Change::DropSchema(DropSchema { name: name.into() }))
    }

    fn switch(id: u64, schema: &str, name: &str, number: u64) -> Command {
        let version = Version { number, rows: 3, ..Version::default() };
        let dataset = Dataset {
            id,
            schema: schema.into(),
            name: name.into(),
            version: Some(version),
            ..Dataset::default()
        };
        command(Change::SwitchVersion(SwitchVersion { dataset: Some(dataset) }))
    }

    #[test]
    fn names_ignore_case_and_keep_it() {
        let mut state = CatalogState::default();
        assert_eq!(state.apply(&create_schema("Sales")), Reply::Done);
        assert_eq!(
            state.apply(&create_schema("SALES")),
            Reply::Refused(Refusal::SchemaExists("SALES".into()))
        );
        assert_eq!(state.apply(&switch(1, "sales", "Hits", 1)), Reply::Done);
        assert_eq!(
            state.apply(&switch(2, "Sales", "hits", 1)),
            Reply::Refused(Refusal::TableExists("hits".into()))
        );
        assert_eq!(state.table("default", "SALES", "HITS").unwrap().name, "Hits");
        assert!(state.table("other", "sales", "hits").is_none());
        assert_eq!(state.schemas("default"), ["main", "Sales"]);
    }

    #[test]
    fn versions_only_go_forward() {
        let mut state = CatalogState::default();
        state.apply(&switch(1, "main", "t", 2));
        let stale = Refusal::StaleVersion { offered: 2, current: 2 };
        assert_eq!(state.apply(&switch(1, "main", "t", 2)), Reply::Refused(stale));
        assert_eq!(state.apply(&switch(1, "main", "t", 3)), Reply::Done);
        let version = state.table("default", "main", "T").unwrap().version.unwrap();
        assert_eq!((version.number, version.published_at_us), (3, 5));
    }

    #[test]
    fn schemas_go_only_when_empty() {
        let mut state = CatalogState::default();
        state.apply(&create_schema("s"));
        state.apply(&switch(1, "s", "t", 1));
        assert_eq!(state.apply(&drop_schema("S")), Reply::Refused(Refusal::SchemaNotEmpty("s".into())));
        let drop = command(Change::DropDataset(DropDataset { dataset: 1, version: 2 }));
        assert_eq!(state.apply(&drop), Reply::Done);
        assert_eq!(state.apply(&drop), Reply::Refused(Refusal::NoDataset));
        let late = switch(1, "s", "t", 3);
        assert_eq!(state.apply(&late), Reply::Refused(Refusal::NoDataset), "it does not come back");
        assert_eq!(state.apply(&drop_schema("S")), Reply::Done);
        assert_eq!(state.apply(&drop_schema("main")), Reply::Refused(Refusal::BuiltIn("main".into())));
        assert_eq!(state.apply(&switch(3, "s", "t", 1)), Reply::Refused(Refusal::NoSchema("s".into())));
    }

    #[test]
    fn dataset_numbers_are_never_used_again() {
        let mut state = CatalogState::default();
        assert_eq!(state.apply(&allocate(0, "")), Reply::Dataset(1));
        state.apply(&switch(7, "main", "t", 1));
        state.apply(&command(Change::DropDataset(DropDataset { dataset: 7, version: 2 })));
        assert_eq!(state.apply(&allocate(0, "")), Reply::Dataset(8));
        assert_eq!(state.apply(&allocate(20, "")), Reply::Dataset(21));
    }

    fn allocate(above: u64, name: &str) -> Command {
        command(Change::AllocateDataset(AllocateDataset {
            above,
            schema: "main".into(),
            name: name.into(),
            ..AllocateDataset::default()
        }))
    }

    #[test]
    fn of_two_creations_of_a_name_the_later_one_counts() {
        let mut state = CatalogState::default();
        assert_eq!(state.apply(&allocate(0, "t")), Reply::Dataset(1));
        assert_eq!(state.apply(&allocate(0, "T")), Reply::Dataset(2));
        let overtaken = Reply::Refused(Refusal::Overtaken("t".into()));
        assert_eq!(state.apply(&switch(1, "main", "t", 1)), overtaken);
        assert!(state.is_past("default", 1, "MAIN", "t") && !state.is_past("default", 2, "main", "t"));
        assert_eq!(state.apply(&switch(2, "main", "t", 1)), Reply::Done);
        let exists = Reply::Refused(Refusal::TableExists("t".into()));
        assert_eq!(state.apply(&allocate(0, "t")), exists);
        state.apply(&command(Change::DropDataset(DropDataset { dataset: 2, version: 2 })));
        assert_eq!(state.apply(&switch(1, "main", "t", 1)), overtaken, "it does not come back");
        assert_eq!(state.apply(&allocate(0, "t")), Reply::Dataset(3));
    }

    #[test]
    fn what_was_to_be_created_goes_with_its_schema() {
        let mut state = CatalogState::default();
        state.apply(&create_schema("s"));
        let allocate = AllocateDataset { schema: "S".into(), name: "t".into(), ..AllocateDataset::default() };
        assert_eq!(state.apply(&command(Change::AllocateDataset(allocate))), Reply::Dataset(1));
        state.apply(&drop_schema("s"));
        state.apply(&create_schema("s"));
        assert!(state.is_past("default", 1, "s", "t"));
        assert_eq!(state.apply(&switch(1, "s", "t", 1)), Reply::Refused(Refusal::NoDataset));
    }

    #[test]
    fn names_without_tables_are_forgotten_at_last() {
        let mut state = CatalogState::default();
        state.apply(&switch(1, "main", "kept", 1));
        for number in 0..REMEMBERED + 10 {
            state.apply(&allocate(0, &format!("t{number}")));
        }
        let numbers = &state.stored().tenants["default"].schemas["main"].numbers;
        assert_eq!(numbers.len(), REMEMBERED + 1);
        assert!(!numbers.contains_key("t0") && numbers.contains_key("t10009"));
    }

    #[test]
    fn restores_into_an_empty_catalog_only() {
        let mut full = CatalogState::default();
        full.apply(&switch(1, "main", "t", 1));
        let restore = command(Change::Restore(full.stored().clone()));
        let mut state = CatalogState::default();
        assert_eq!(state.apply(&restore), Reply::Done);
        assert!(state.table("default", "main", "t").is_some());
        assert_eq!(state.apply(&restore), Reply::Refused(Refusal::NotEmpty));
        // The store may have a table of that name of which the copy does not know.
        assert_eq!(state.apply(&allocate(0, "u")), Reply::Refused(Refusal::Restoring));
        assert_eq!(state.apply(&command(Change::Restored(Restored {}))), Reply::Done);
        assert_eq!(state.apply(&allocate(0, "u")), Reply::Dataset(2));
    }

    fn set_shard(shard: u64, address: &str) -> Command {
        let mut state = Shard { weight: 1, address: address.into(), ..Shard::default() };
        state.set_status(ShardStatus::Active);
        command(Change::SetShard(SetShard { shard, state: Some(state) }))
    }

    #[test]
    fn the_version_of_a_cluster_only_rises() {
        let set = |version| command(Change::SetClusterVersion(SetClusterVersion { version }));
        let mut state = CatalogState::default();
        assert_eq!(state.cluster_version(), 1);
        assert_eq!(state.apply(&set(1)), Reply::Done);
        assert_eq!(state.stored().cluster_version, 0, "as version 1 has it");
        for version in [3, 2, 1] {
            assert_eq!(state.apply(&set(version)), Reply::Done);
            assert_eq!(state.cluster_version(), 3);
        }
        // A copy may be of before, or of after.
        for (copied, then) in [(2, 3), (4, 4)] {
            let mut copy = CatalogState::default();
            copy.apply(&set(copied));
            let mut state = state.clone();
            state.apply(&command(Change::Restore(copy.stored().clone())));
            assert_eq!(state.cluster_version(), then);
        }
    }

    fn order(shard: u64, status: ShardStatus) -> Command {
        command(Change::SetShardStatus(SetShardStatus { shard, status: status.into() }))
    }

    #[test]
    fn a_shard_drains_until_it_is_told_otherwise() {
        let mut state = CatalogState::default();
        state.apply(&set_shard(1, "a:1"));
        let last = Reply::Refused(Refusal::LastShard(1));
        assert_eq!(state.apply(&order(1, ShardStatus::Draining)), last);
        state.apply(&set_shard(2, "b:1"));
        assert_eq!(state.apply(&order(1, ShardStatus::Draining)), Reply::Done);
        assert_eq!(state.shards()[&1].ordered_revision, 4);
        assert_eq!(state.apply(&order(2, ShardStatus::Draining)), Reply::Refused(Refusal::LastShard(2)));
        // It moved, says someone who has not heard of the order.
        state.apply(&set_shard(1, "a:2"));
        assert_eq!(
            (state.shards()[&1].status(), &*state.shards()[&1].address),
            (ShardStatus::Draining, "a:2")
        );
        assert_eq!(state.shards()[&1].ordered_revision, 4);
        let early = state.apply(&order(2, ShardStatus::Drained));
        assert!(matches!(early, Reply::Refused(Refusal::ShardStatus { shard: 2, .. })), "{early:?}");
        assert_eq!(state.apply(&order(1, ShardStatus::Drained)), Reply::Done);
        assert_eq!(state.apply(&order(1, ShardStatus::Active)), Reply::Done);
        assert_eq!(state.shards()[&1].status(), ShardStatus::Active);
        assert_eq!(state.apply(&order(3, ShardStatus::Active)), Reply::Refused(Refusal::NoShard(3)));
    }

    fn publish(version: u64, name: &str, subject: Subject) -> Command {
        use ring::signature::{Ed25519KeyPair, KeyPair};
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let document = Document { name: name.into(), version, decided_at_us: 5, subject: Some(subject) };
        let signed = document.sign(key.public_key().as_ref(), |message| key.sign(message).as_ref().to_vec());
        command(Change::Publish(signed))
    }

    fn active(version: u64, name: &str) -> Command {
        let tenant = policy::Tenant {
            name: name.into(),
            status: TenantStatus::Active.into(),
            ..policy::Tenant::default()
        };
        publish(version, &tenant_document(name), Subject::Tenant(tenant))
    }

    fn of(tenant: &str, command: Command) -> Command {
        Command { tenant: tenant.into(), ..command }
    }

    #[test]
    fn tenants_come_and_go_by_what_is_published() {
        let mut state = CatalogState::default();
        let unknown = Reply::Refused(Refusal::NoTenant("acme".into()));
        assert_eq!(state.apply(&of("acme", create_schema("s"))), unknown);
        assert_eq!(state.policy().closed("acme"), Some(Closed::Unknown));
        assert_eq!(state.apply(&active(1, "acme")), Reply::Done);
        assert_eq!(state.policy().closed("acme"), None);
        assert_eq!(state.apply(&of("acme", switch(1, "main", "t", 1))), Reply::Done);
        assert_eq!(state.find(1).unwrap().0, "acme");
        assert!(state.dataset("default", 1).is_none() && state.table("default", "main", "t").is_none());
        let bytes = state.to_bytes();
        assert_eq!(CatalogState::from_bytes(&bytes).unwrap(), state);

        // Nothing of it is left, and what comes late is refused, also once the name is given again.
        let gone = Subject::Gone(policy::Gone {});
        assert_eq!(state.apply(&publish(2, "tenant/acme", gone.clone())), Reply::Done);
        assert!(state.find(1).is_none() && state.datasets("acme").is_empty());
        assert_eq!(state.policy().closed("acme"), Some(Closed::Unknown));
        assert_eq!(state.apply(&of("acme", switch(1, "main", "t", 2))), unknown);
        let stale = Refusal::StaleDocument { name: "tenant/acme".into(), offered: 1, current: 2 };
        assert_eq!(state.apply(&active(1, "acme")), Reply::Refused(stale));
        assert_eq!(state.apply(&active(3, "acme")), Reply::Done);
        let late = Reply::Refused(Refusal::NoDataset);
        assert_eq!(state.apply(&of("acme", switch(1, "main", "t", 2))), late);
        assert!(state.is_past("acme", 1, "main", "t") && !state.is_past("acme", 2, "main", "t"));
        assert_eq!(state.apply(&of("acme", switch(2, "main", "t", 1))), Reply::Done);
        assert_eq!((state.policy_version(), state.documents().len()), (3, 1));
        let full = AllocateDataset { above: u64::MAX, ..AllocateDataset::default() };
        let full = state.apply(&command(Change::AllocateDataset(full)));
        assert_eq!(full, Reply::Refused(Refusal::NoNumbers));
        // One that was made anew while nobody told of the deletion has nothing either.
        let anew = policy::Tenant {
            name: "acme".into(),
            status: 1,
            created_version: 5,
            ..policy::Tenant::default()
        };
        assert!(state.find(2).is_some());
        assert_eq!(state.apply(&publish(5, "tenant/acme", Subject::Tenant(anew))), Reply::Done);
        assert!(state.find(2).is_none() && state.is_past("acme", 2, "main", "t"));
        let default = state.apply(&publish(4, "tenant/default", gone));
        assert!(matches!(default, Reply::Refused(Refusal::BadDocument(_))), "{default:?}");
    }

    /// Tenants of a store that a catalog is filled from may be there before their documents are.
    #[test]
    fn a_store_may_know_of_tenants_first() {
        let mut state = CatalogState::default();
        state.apply(&command(Change::Restore(stored::CatalogState::default())));
        state.apply(&of("acme", create_schema("s")));
        assert_eq!(state.apply(&of("acme", switch(5, "s", "t", 1))), Reply::Done);
        state.apply(&command(Change::Restored(Restored {})));
        assert_eq!(state.policy().closed("acme"), Some(Closed::Unknown));
        assert_eq!(state.apply(&of("acme", switch(5, "s", "t", 2))), Reply::Done);
        assert_eq!(state.apply(&active(1, "acme")), Reply::Done);
        assert_eq!(state.table("acme", "s", "t").unwrap().id, 5);
    }

    #[test]
    fn a_policy_key_is_that_of_the_first_document_until_it_is_changed() {
        let mut state = CatalogState::default();
        assert_eq!(state.policy_key(), None);
        state.apply(&active(1, "acme"));
        assert_eq!(state.policy_key().unwrap().len(), KEY_BYTES);
        let other = SetPolicyKey { key: vec![7; KEY_BYTES] };
        assert_eq!(state.apply(&command(Change::SetPolicyKey(other))), Reply::Done);
        let foreign = Refusal::ForeignKey("tenant/acme".into());
        assert_eq!(state.apply(&active(2, "acme")), Reply::Refused(foreign));
        assert!(state.policy().tenant("acme").is_some());
        let short = state.apply(&command(Change::SetPolicyKey(SetPolicyKey { key: vec![7] })));
        assert!(matches!(short, Reply::Refused(Refusal::BadDocument(_))), "{short:?}");
    }

    fn set_refresh(dataset: u64, every_us: Option<u64>, mode: Option<RefreshMode>) -> Command {
        let mode = mode.map(i32::from);
        command(Change::SetRefresh(SetRefresh { dataset, every_us, mode }))
    }

    #[test]
    fn refreshes_are_set_and_stay_with_later_versions() {
        let mut state = CatalogState::default();
        let refresh = |state: &CatalogState| state.dataset("default", 1).unwrap().refresh;
        let unknown = Reply::Refused(Refusal::NoDataset);
        assert_eq!(state.apply(&set_refresh(1, Some(5), None)), unknown);
        state.apply(&switch(1, "main", "t", 1));
        assert_eq!(refresh(&state), None);
        assert_eq!(state.apply(&set_refresh(1, Some(5), None)), Reply::Done);
        state.apply(&set_refresh(1, None, Some(RefreshMode::Full)));
        state.apply(&switch(1, "main", "t", 2));
        assert_eq!(refresh(&state), Some(Refresh { every_us: 5, mode: RefreshMode::Full.into() }));
        state.apply(&set_refresh(1, Some(0), None));
        assert_eq!(refresh(&state), Some(Refresh { every_us: 0, mode: RefreshMode::Full.into() }));
        state.apply(&set_refresh(1, None, Some(RefreshMode::Incremental)));
        assert_eq!(refresh(&state), None);
        let bytes = set_refresh(300, Some(300), Some(RefreshMode::Full)).encode_to_vec();
        assert_eq!(bytes, b"\x08\x05\x12\x07default\x52\x08\x08\xac\x02\x10\xac\x02\x18\x01");
    }

    /// Snapshots outlive the code that wrote them: these bytes are fixed.
    #[test]
    fn golden_snapshot() {
        let mut state = CatalogState::default();
        state.apply(&switch(1, "main", "T", 2));
        let bytes = state.to_bytes();
        assert_eq!(CatalogState::from_bytes(&bytes).unwrap(), state);
        let expected: &[u8] =
            b"\x08\x01\x10\x01\x1a;\n\x07default\x120\n\x15\n\x04main\x12\r\n\x04main\x12\x05\n\x01t\x10\x01\
            \x12\x17\x08\x01\x12\x13\x08\x01\x12\x04main\x1a\x01T:\x06\x08\x02\x10\x03\x20\x05";
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
        assert!(CatalogState::from_bytes(b"\xff").is_err());
    }

    /// Commands lie in the log: these bytes are fixed.
    #[test]
    fn golden_commands() {
        assert_eq!(create_schema("S").encode_to_vec(), b"\x08\x05\x12\x07default\x1a\x03\n\x01S");
        let drop = command(Change::DropDataset(DropDataset { dataset: 300, version: 2 }));
        assert_eq!(drop.encode_to_vec(), b"\x08\x05\x12\x07default\x3a\x05\x08\xac\x02\x10\x02");
        let drain = order(300, ShardStatus::Draining);
        assert_eq!(drain.encode_to_vec(), b"\x08\x05\x12\x07default\xb2\x01\x05\x08\xac\x02\x10\x02");
    }
}

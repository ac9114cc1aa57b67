//! The policy that a catalog holds: documents as they were published, and what they say.

use super::reply::Refusal;
use super::schedules::{self, TableSchedule};
use flight_proto::Message;
use flight_proto::catalog::CatalogState;
use flight_proto::policy::{
    ApiKey, Budget, Credentials, DEFAULT_TENANT, Document, ISSUERS, Issuer, PRICES, Prices, Routes, Signed,
    Spend, Subject, Tenant, TenantStatus, budgets_document, credentials_document, keys_document,
    routes_document, schedules_document, spend_document, tenant_document,
};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the documents of a catalog say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    tenants: BTreeMap<String, Arc<Tenant>>,
    /// By tenant.
    keys: BTreeMap<String, Arc<Vec<ApiKey>>>,
    issuers: Arc<Vec<Issuer>>,
    /// By tenant, with the versions of their documents.
    routes: BTreeMap<String, (u64, Arc<Routes>)>,
    /// By tenant.
    budgets: BTreeMap<String, Arc<Vec<Budget>>>,
    spend: BTreeMap<String, Arc<Spend>>,
    prices: Arc<Prices>,
    /// By tenant.
    schedules: BTreeMap<String, Arc<Vec<Arc<TableSchedule>>>>,
    /// By tenant, with the versions of their documents; `None`: they were taken back.
    credentials: BTreeMap<String, (u64, Option<Arc<Credentials>>)>,
}

impl Policy {
    /// What the documents of a state say; those that cannot be read are left out, and were never taken by this version.
    pub(super) fn of(state: &CatalogState) -> Policy {
        let mut policy = Policy::default();
        for document in state.policy.values().filter_map(|signed| signed.read().ok()) {
            policy.take(document);
        }
        policy
    }

    pub(crate) fn take(&mut self, document: Document) {
        let about = document.tenant().unwrap_or_default().to_string();
        match document.subject {
            Some(Subject::Tenant(tenant) | Subject::TenantInPool(tenant)) => {
                drop(self.tenants.insert(about, Arc::new(tenant)))
            }
            Some(Subject::ApiKeys(keys)) => drop(self.keys.insert(about, Arc::new(keys.keys))),
            Some(Subject::Issuers(issuers)) => self.issuers = Arc::new(issuers.issuers),
            Some(Subject::Schedules(decided)) => {
                self.schedules.insert(about, Arc::new(schedules::of(decided)));
            }
            Some(Subject::Budgets(budgets)) => {
                drop(self.budgets.insert(about, Arc::new(budgets.budgets)));
            }
            Some(Subject::Spend(spend)) => drop(self.spend.insert(about, Arc::new(spend))),
            Some(Subject::Prices(prices)) => self.prices = Arc::new(prices),
            Some(Subject::Gone(_)) if document.name == PRICES => self.prices = Arc::default(),
            Some(Subject::Gone(_)) if document.name == budgets_document(&about) => {
                self.budgets.remove(&about);
            }
            Some(Subject::Gone(_)) if document.name == spend_document(&about) => {
                self.spend.remove(&about);
            }
            Some(Subject::Gone(_)) if document.name == ISSUERS => self.issuers = Arc::default(),
            Some(Subject::Gone(_)) if document.name == tenant_document(&about) => {
                self.tenants.remove(&about);
            }
            Some(Subject::Gone(_)) if document.name == keys_document(&about) => {
                self.keys.remove(&about);
            }
            Some(Subject::Gone(_)) if document.name == schedules_document(&about) => {
                self.schedules.remove(&about);
            }
            Some(Subject::Credentials(credentials)) => {
                self.credentials.insert(about, (document.version, Some(Arc::new(credentials))));
            }
            Some(Subject::Gone(_)) if document.name == credentials_document(&about) => {
                self.credentials.insert(about, (document.version, None));
            }
            Some(Subject::Routes(routes)) => {
                self.routes.insert(about, (document.version, Arc::new(routes)));
            }
            Some(Subject::Gone(_)) if document.name == routes_document(&about) => {
                self.routes.remove(&about);
            }
            Some(Subject::Gone(_)) => {}
            None => {}
        }
    }

    /// What is decided of a tenant.
    pub fn tenant(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(name)
    }

    /// Why nobody of a tenant may be served; `None`: they may. The default tenant needs no document.
    pub fn closed(&self, name: &str) -> Option<Closed> {
        match self.tenants.get(name).map(|tenant| tenant.status()) {
            Some(TenantStatus::Active) => None,
            Some(TenantStatus::Suspended | TenantStatus::Unknown) => Some(Closed::Suspended),
            None if name == DEFAULT_TENANT => None,
            None => Some(Closed::Unknown),
        }
    }

    /// The key of that number, and its tenant.
    pub fn api_key(&self, id: &str) -> Option<(&str, &ApiKey)> {
        self.keys
            .iter()
            .find_map(|(tenant, keys)| keys.iter().find(|key| key.id == id).map(|key| (tenant.as_str(), key)))
    }

    /// Which engines answer a tenant's queries, and the version of the document that says so.
    pub fn routes(&self, tenant: &str) -> Option<&(u64, Arc<Routes>)> {
        let created = self.tenants.get(tenant).map_or(0, |tenant| tenant.created_version);
        // Others are of a tenant that had the name before.
        self.routes.get(tenant).filter(|(version, _)| *version > created)
    }

    /// A tenant's own credentials for the object store, and since which version that is so; `None`: it never had any. Those
    /// of one that was deleted stay: what it had gets its tombstones by them.
    pub fn credentials(&self, tenant: &str) -> Option<(u64, Option<&Arc<Credentials>>)> {
        let (version, credentials) = self.credentials.get(tenant)?;
        let created = self.tenants.get(tenant).map_or(0, |tenant| tenant.created_version);
        // Others are of a tenant that had the name before.
        let own = credentials.as_ref().filter(|_| *version > created);
        Some(((*version).max(created), own))
    }

    /// Whether a tenant's objects are read by credentials of its own.
    pub(crate) fn has_credentials(&self, tenant: &str) -> bool {
        self.credentials(tenant).is_some_and(|(_, credentials)| credentials.is_some())
    }

    /// The budgets of a tenant, its users and its labels.
    pub fn budgets(&self, tenant: &str) -> &[Budget] {
        self.budgets.get(tenant).map_or(&[], |budgets| budgets)
    }

    /// What was spent of them, as the control plane knew it.
    pub fn spend(&self, tenant: &str) -> Option<&Arc<Spend>> {
        self.spend.get(tenant)
    }

    /// What is paid for what.
    pub fn prices(&self) -> Prices {
        match self.prices.prices.is_empty() {
            true => Prices::standard(),
            false => (*self.prices).clone(),
        }
    }

    pub fn issuers(&self) -> &Arc<Vec<Issuer>> {
        &self.issuers
    }

    /// The schedules of all tenants that are there, or of one.
    pub fn schedules(&self, tenant: Option<&str>) -> impl Iterator<Item = &Arc<TableSchedule>> {
        let wanted = move |name: &&String| tenant.is_none_or(|tenant| tenant == name.as_str());
        let names = self.schedules.keys().filter(wanted);
        let names = names.filter(move |name| self.closed(name) != Some(Closed::Unknown));
        names.flat_map(move |name| self.schedules[name].iter())
    }
}

/// Why nobody of a tenant may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// There is no such tenant.
    Unknown,
    Suspended,
}

/// What became of a document.
pub(super) enum Taken {
    New(Document),
    /// It was taken before.
    Known,
}

/// Takes a document into a state, and into what its documents say.
pub(super) fn publish(
    state: &mut CatalogState,
    policy: &mut Arc<Policy>,
    signed: &Signed,
) -> Result<Taken, Refusal> {
    let verify = |key: &[u8], message: &[u8], signature: &[u8]| {
        UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
    };
    let document = signed.verified(verify).map_err(|error| Refusal::BadDocument(error.to_string()))?;
    let name = document.name.clone();
    if !state.policy_key.is_empty() && state.policy_key != signed.key {
        return Err(Refusal::ForeignKey(name));
    }
    // What was signed before the key was changed is read, not verified: it was when it was taken.
    if let Some(known) = state.policy.get(&name) {
        let current = known.read().map_or(0, |known| known.version);
        match (known.document == signed.document, document.version > current) {
            (true, _) => return Ok(Taken::Known),
            (false, true) => {}
            (false, false) => {
                return Err(Refusal::StaleDocument { name, offered: document.version, current });
            }
        }
    }
    if document.subject.as_ref().is_some_and(|subject| matches!(subject, Subject::Gone(_)))
        && document.tenant() == Some(DEFAULT_TENANT)
        && name == tenant_document(DEFAULT_TENANT)
    {
        return Err(Refusal::BadDocument(format!("the tenant '{DEFAULT_TENANT}' cannot be deleted")));
    }
    // Keys, routes and schedules of a tenant that was deleted since are not those of one that has its name now.
    let hangs = |tenant: &&str| {
        [keys_document(tenant), routes_document(tenant), schedules_document(tenant)].contains(&name)
    };
    if let Some(tenant) = document.tenant().filter(hangs)
        && let Some(Ok(known)) = state.policy.get(&tenant_document(tenant)).map(Signed::read)
        && matches!(known.subject, Some(Subject::Gone(_)))
        && known.version > document.version
    {
        return Err(Refusal::StaleDocument { name, offered: document.version, current: known.version });
    }
    state.policy_key = signed.key.clone();
    state.policy.insert(name, signed.clone());
    Arc::make_mut(policy).take(document.clone());
    Ok(Taken::New(document))
}

/// The highest version of the documents of a state.
pub(super) fn latest(state: &CatalogState) -> u64 {
    let versions = state.policy.values().filter_map(|signed| Document::decode(&*signed.document).ok());
    versions.map(|document| document.version).max().unwrap_or(0)
}

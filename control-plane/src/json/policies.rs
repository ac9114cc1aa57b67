//! Policy documents as JSON, and back.

use super::{
    ApiKey, Budget, Credentials, Issuer, Price, Quotas, Routes, ScheduleSettings, TenantSettings,
    TenantStatus, TokenKey, Workload,
};
use flight_proto::policy::{self, Algorithm, Document, Subject};
use serde_json::{Value, json};

/// A document as the audit has it.
pub(crate) fn describe(document: &Document) -> Value {
    let version = document.version;
    match &document.subject {
        None => json!({ "version": version }),
        Some(Subject::Gone(_)) => json!({ "version": version, "gone": true }),
        Some(Subject::Tenant(tenant) | Subject::TenantInPool(tenant)) => {
            json!({ "version": version, "status": status(tenant), "settings": TenantSettings::from(tenant) })
        }
        Some(Subject::ApiKeys(keys)) => {
            let keys: Vec<ApiKey> = keys.keys.iter().map(ApiKey::from).collect();
            json!({ "version": version, "keys": keys })
        }
        Some(Subject::Issuers(issuers)) => {
            let issuers: Vec<Issuer> = issuers.issuers.iter().map(Issuer::from).collect();
            json!({ "version": version, "issuers": issuers })
        }
        Some(Subject::Routes(routes)) => json!({ "version": version, "routes": Routes::from(routes) }),
        Some(Subject::Budgets(budgets)) => {
            let budgets: Vec<Value> = budgets
                .budgets
                .iter()
                .map(|budget| json!({ "name": budget.name, "budget": Budget::from(budget) }))
                .collect();
            json!({ "version": version, "budgets": budgets })
        }
        Some(Subject::Prices(prices)) => {
            let prices: Vec<Price> = prices.prices.iter().map(Price::from).collect();
            json!({ "version": version, "prices": prices })
        }
        Some(Subject::Spend(spend)) => json!({ "version": version, "spent_of": spend.spent.len() }),
        Some(Subject::Credentials(credentials)) => {
            let told = Credentials::of(credentials, version, document.decided_at_us);
            json!({ "version": version, "credentials": told })
        }
        Some(Subject::Schedules(decided)) => {
            let one = |one: &policy::Schedule| {
                let (schema, table, name) = (&one.schema, &one.table, &one.name);
                let settings = ScheduleSettings::from(one);
                json!({ "schema": schema, "table": table, "name": name, "settings": settings })
            };
            let schedules: Vec<Value> = decided.schedules.iter().map(one).collect();
            json!({ "version": version, "schedules": schedules })
        }
    }
}

/// A tenant's status, of which [`policy::Tenant::status`] is the number.
pub(crate) fn status(tenant: &policy::Tenant) -> TenantStatus {
    match tenant.status() {
        policy::TenantStatus::Active => TenantStatus::Active,
        policy::TenantStatus::Suspended => TenantStatus::Suspended,
        policy::TenantStatus::Unknown => TenantStatus::Unknown,
    }
}

impl From<&policy::Tenant> for TenantSettings {
    fn from(tenant: &policy::Tenant) -> TenantSettings {
        let workload = tenant.workload.unwrap_or_default();
        let quotas = tenant.quotas.unwrap_or_default();
        TenantSettings {
            tier: tenant.tier.clone(),
            service_level_ms: tenant.service_level_ms,
            workload: Workload {
                concurrency: workload.concurrency,
                queue: workload.queue,
                queue_timeout_ms: workload.queue_timeout_ms,
                share: workload.share,
                memory_bytes: workload.memory_bytes,
            },
            quotas: Quotas {
                resident_bytes: quotas.resident_bytes,
                scanned_bytes_per_day: quotas.scanned_bytes_per_day,
                spend_per_month_micros: quotas.spend_per_month_micros,
            },
            locations: tenant.locations.clone(),
            pool: tenant.pool.clone(),
        }
    }
}

impl From<Workload> for policy::Workload {
    fn from(workload: Workload) -> policy::Workload {
        policy::Workload {
            concurrency: workload.concurrency,
            queue: workload.queue,
            queue_timeout_ms: workload.queue_timeout_ms,
            share: workload.share,
            memory_bytes: workload.memory_bytes,
        }
    }
}

impl From<Quotas> for policy::Quotas {
    fn from(quotas: Quotas) -> policy::Quotas {
        policy::Quotas {
            resident_bytes: quotas.resident_bytes,
            scanned_bytes_per_day: quotas.scanned_bytes_per_day,
            spend_per_month_micros: quotas.spend_per_month_micros,
        }
    }
}

impl From<&policy::ApiKey> for ApiKey {
    fn from(key: &policy::ApiKey) -> ApiKey {
        ApiKey {
            id: key.id.clone(),
            user: key.user.clone(),
            roles: key.roles.clone(),
            expires_at_us: key.expires_at_us,
        }
    }
}

impl From<&policy::Issuer> for Issuer {
    fn from(issuer: &policy::Issuer) -> Issuer {
        let algorithm = |key: &policy::TokenKey| match key.algorithm() {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Es256 => "ES256",
            Algorithm::Rs256 => "RS256",
            Algorithm::Unknown => "unknown",
        };
        let keys = issuer.keys.iter().map(|key| TokenKey {
            id: key.id.clone(),
            algorithm: algorithm(key).into(),
            retired_at_us: key.retired_at_us,
        });
        Issuer {
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            tenant: issuer.tenant.clone(),
            user_claim: issuer.user_claim.clone(),
            roles_claim: issuer.roles_claim.clone(),
            keys: keys.collect(),
            jwks_url: None,
            fetched_at_us: None,
            failure: None,
        }
    }
}

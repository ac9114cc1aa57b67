//! What a control plane publishes, made by hand.

use super::{Client, Server};
use flight_proto::Message;
use flight_proto::policy::{
    ApiKey, ApiKeys, Document, Gone, Issuer, Issuers, Signed, Subject, Tenant, TenantStatus,
};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// Who signs policy documents.
pub struct ControlPlane {
    key: Ed25519KeyPair,
    version: u64,
}

impl ControlPlane {
    pub fn new(seed: u8) -> ControlPlane {
        ControlPlane { key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(), version: 0 }
    }

    /// Its public key, in hexadecimal.
    pub fn key(&self) -> String {
        self.key.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A document of the next version.
    pub fn document(&mut self, name: &str, subject: Subject) -> Signed {
        self.version += 1;
        self.document_of(self.version, name, subject)
    }

    pub fn document_of(&self, version: u64, name: &str, subject: Subject) -> Signed {
        let document = Document { name: name.into(), version, decided_at_us: 5, subject: Some(subject) };
        document.sign(self.key.public_key().as_ref(), |message| self.key.sign(message).as_ref().to_vec())
    }

    /// Publishes, and gives what became of each document.
    pub async fn publish(&self, server: &Server, documents: &[Signed]) -> (u16, Value) {
        let hex = |signed: &Signed| -> String {
            signed.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let body = json!({ "documents": documents.iter().map(hex).collect::<Vec<_>>() }).to_string();
        let headers = "content-type: application/json\r\n";
        let (status, body) = server.request("PUT", "/api/v1/policy", headers, &body).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    async fn taken(&self, server: &Server, document: Signed) {
        let (status, told) = self.publish(server, &[document]).await;
        assert_eq!((status, &told["documents"][0]["outcome"]), (200, &json!("taken")), "{told}");
    }

    pub async fn tenant(&mut self, server: &Server, name: &str, status: TenantStatus) {
        self.decide(server, Tenant { name: name.into(), status: status.into(), ..Tenant::default() }).await;
    }

    pub async fn decide(&mut self, server: &Server, tenant: Tenant) {
        let document = self.document(&format!("tenant/{}", tenant.name), Subject::Tenant(tenant));
        self.taken(server, document).await;
    }

    pub async fn delete(&mut self, server: &Server, name: &str) {
        let document = self.document(&format!("tenant/{name}"), Subject::Gone(Gone {}));
        self.taken(server, document).await;
    }

    /// Gives these keys to a tenant, and takes all others back: users, and when the key of each expires.
    pub async fn keys(&mut self, server: &Server, tenant: &str, users: &[(&str, i64)]) {
        let key = |&(user, expires_at_us): &(&str, i64)| ApiKey {
            id: id_of(tenant, user),
            sha256: digest(&SHA256, api_key(tenant, user).as_bytes()).as_ref().to_vec(),
            user: user.into(),
            roles: Vec::new(),
            expires_at_us,
        };
        let keys = ApiKeys { tenant: tenant.into(), keys: users.iter().map(key).collect() };
        let document = self.document(&format!("keys/{tenant}"), Subject::ApiKeys(keys));
        self.taken(server, document).await;
    }

    pub async fn issuers(&mut self, server: &Server, issuers: Vec<Issuer>) {
        let document = self.document("issuers", Subject::Issuers(Issuers { issuers }));
        self.taken(server, document).await;
    }

    /// A tenant with a user.
    pub async fn tenant_with(&mut self, server: &Server, name: &str, user: &str) -> Client {
        self.tenant(server, name, TenantStatus::Active).await;
        self.keys(server, name, &[(user, 0)]).await;
        server.client_with(&api_key(name, user)).await
    }
}

fn id_of(tenant: &str, user: &str) -> String {
    let hash = digest(&SHA256, format!("{tenant}/{user}").as_bytes());
    hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of a user.
pub fn api_key(tenant: &str, user: &str) -> String {
    format!("tundra_{}_{user}secret", id_of(tenant, user))
}

//! Tenants' own credentials for the object store.

use crate::Samples;
use flight_proto::credentials::{Credentials, SecretAccess, StoreAccess};
use flight_proto::node::{Hydrate, Wanted};
use flight_proto::policy::{Document, Subject};
use flight_proto::sealed::Sealed;

pub(super) fn samples(samples: &mut Samples) {
    let sealed = Sealed { key_id: "00ff00ff00ff00ff".into(), nonce: vec![7; 12], ciphertext: vec![1, 2, 3] };
    let credentials = Credentials {
        tenant: "acme".into(),
        access_key_id: "AKIA1".into(),
        region: "eu-west-1".into(),
        endpoint: "https://s3.example".into(),
        sealed: Some(sealed.clone()),
        has_session_token: true,
    };
    let secret = SecretAccess { secret_access_key: "half".into(), session_token: "token".into() };
    samples.check("Sealed", sealed);
    samples.check("Credentials", credentials.clone());
    samples.check("SecretAccess", secret.clone());
    let subject = Some(Subject::Credentials(credentials.clone()));
    let document = Document { name: "credentials/acme".into(), version: 300, decided_at_us: 5, subject };
    samples.check("Document Credentials", document);
    let access = StoreAccess {
        tenant: "acme".into(),
        version: 300,
        credentials: Some(credentials),
        secret: Some(secret),
        failure: "no key".into(),
    };
    samples.check("StoreAccess", access.clone());
    let none = StoreAccess { tenant: "zeta".into(), version: 301, ..StoreAccess::default() };
    samples
        .check("Wanted by credentials", Wanted { access: vec![access.clone(), none], ..Wanted::default() });
    samples.check("Hydrate by credentials", Hydrate { access: Some(access), ..Hydrate::default() });
}

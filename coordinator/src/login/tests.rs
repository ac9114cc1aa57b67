use super::*;
use flight_proto::policy::{
    Algorithm, ApiKeys, Document, Issuer, Issuers, Subject, Tenant, TenantStatus, TokenKey,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

const SECOND_US: i64 = 1_000_000;
/// When the tests are, in seconds.
const NOW: i64 = 1_500;

/// Made by OpenSSL: of `ann@acme.example`, from 1000 to 2000.
const RS256_TOKEN: &str = "\
    eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCIsICJraWQiOiAiciJ9.eyJpc3MiOiAiaHR0cHM6Ly9sb2dpbi5leGFtcGx\
    lIiwgImF1ZCI6IFsidHVuZHJhIiwgIngiXSwgImVtYWlsIjogImFubkBhY21lLmV4YW1wbGUiLCAicm9sZXMiOiAicmVhZGV\
    yIHdyaXRlciIsICJpYXQiOiAxMDAwLCAiZXhwIjogMjAwMH0.HhrdGccrERa4kuK-uNSIMWCW1mOApYtqkzTkXutxGbuIeWM\
    awfoOp079Nnghzspd2hl5UdEQ-0A2aPQOY9vzjquGc4EwibouI66igeYSkCoJqYAdwtCHoSvt13OUQNfdwxl_oU_kvltFJ99\
    QsQ-fGnjlaVklHpy9EbuyqoarJbZP1NZA9etjmKf0IxreApPdngwjUb7c4qvDh248yXT0bWYgeedgLXCiNXWTFAu1c9-8-Hs\
    nSCs-FH34WBh_VPoPNjrWAztky5vuDjFxVQz3Hpc_2lQX5a-PEzyLqvQU9KZm-BUpIE7L81we_Fa0CTAdGBxuT_puMgNguCF\
    jo1i26g";
/// `RSAPublicKey` in DER.
const RS256_KEY: &str = "\
    3082010a02820101008cccdb7cadd3a90219d7d2f9ed2114aeb4fda2d994ba4fa05bc4a25c20bb1b9dca1e8f8cdea4b0\
    89b77ac4f65cc58c75dfe71a1a334fd0bd3844e0ae8ae8fe548405b2ca49baec496fc9e3662b3724777a024bd2b83a35\
    b8ada4631c035a9455332ba39e7d54fb7f7e028cb640182e77b1e6fd789ae7d1a915e91c4b565b2ac0917405c892ace9\
    4f6ce7d786bb969373c1aab8879c7e76a7d85578ab38d76cb94893fd9f3393b04787d79cc0cfe10f3404b64458e7024d\
    d75f117f555081b787f7d7d4aafcedb6ef4a20a86731dee24dbfe9cff6a0458e654b20716047f1c1a8545ec2b0325f71\
    22984d4899a7a7e4d72541df3c9e398cf1a57ca25124d572c30203010001";

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letters = bytes.chunks(3).flat_map(|chunk| {
        let word =
            chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |index| LETTERS[(word >> (18 - 6 * index)) as usize & 63] as char)
    });
    letters.collect()
}

fn token(header: Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed =
        format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    format!("{signed}.{}", base64url(&sign(signed.as_bytes())))
}

fn ed25519() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()
}

/// A token of the control plane with these claims.
fn ours(claims: &Value) -> String {
    token(json!({"alg": "EdDSA", "kid": "e"}), claims, |message| ed25519().sign(message).as_ref().to_vec())
}

fn claims() -> Value {
    json!({"iss": "tundra", "aud": "tundra", "sub": "ann", "tenant": "acme", "roles": ["reader", "writer"], "iat": 1000, "exp": 2000})
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn key(id: &str, algorithm: Algorithm, public_key: &[u8], retired_at_us: i64) -> TokenKey {
    TokenKey { id: id.into(), algorithm: algorithm.into(), public_key: public_key.to_vec(), retired_at_us }
}

fn issuer(keys: Vec<TokenKey>) -> Issuer {
    Issuer {
        issuer: "tundra".into(),
        audience: "tundra".into(),
        tenant: String::new(),
        user_claim: "sub".into(),
        roles_claim: "roles".into(),
        keys,
    }
}

fn policy_of(issuers: Vec<Issuer>) -> CatalogState {
    let mut policy = Policy::default();
    let tenant = Tenant { name: "acme".into(), status: TenantStatus::Active.into(), ..Tenant::default() };
    let sha256 = digest(&SHA256, b"tundra_aa_secret").as_ref().to_vec();
    let api_key = ApiKey { id: "aa".into(), sha256, user: "bob".into(), ..ApiKey::default() };
    let keys = ApiKeys { tenant: "acme".into(), keys: vec![api_key] };
    for (name, subject) in [
        ("tenant/acme", Subject::Tenant(tenant)),
        ("keys/acme", Subject::ApiKeys(keys)),
        ("issuers", Subject::Issuers(Issuers { issuers })),
    ] {
        policy.take(Document { name: name.into(), version: 1, decided_at_us: 0, subject: Some(subject) });
    }
    CatalogState::of_policy(policy)
}

fn policy() -> CatalogState {
    policy_of(vec![issuer(vec![key("e", Algorithm::EdDsa, ed25519().public_key().as_ref(), 0)])])
}

fn shown(credentials: &Credentials, policy: &CatalogState) -> Result<Option<Caller>> {
    credentials.caller(None, &[], policy, NOW * SECOND_US)
}

fn bearer(token: &str, policy: &CatalogState) -> Result<Caller> {
    shown(&Credentials::Bearer(token.into()), policy).map(Option::unwrap)
}

fn refused(token: &str, policy: &CatalogState) -> String {
    bearer(token, policy).unwrap_err().to_string()
}

#[test]
fn tokens_say_who_calls() {
    let caller = bearer(&ours(&claims()), &policy()).unwrap();
    assert_eq!((&*caller.tenant, &*caller.principal), ("acme", "ann"));
    assert_eq!(caller.roles, ["reader", "writer"]);
    assert!(!caller.is_operator());
    // Also as a password, whatever the user's name.
    let password = Credentials::Password { user: "x".into(), password: ours(&claims()) };
    assert_eq!(shown(&password, &policy()).unwrap().unwrap(), caller);
    assert!(password.caller(Some("zeta"), &[], &policy(), NOW * SECOND_US).is_err());
}

#[test]
fn tokens_that_are_not_taken() {
    let policy = policy();
    for (claim, value, why) in [
        ("iss", json!("other"), "no issuer"),
        ("aud", json!("other"), "no issuer"),
        ("exp", json!(1400), "has expired"),
        ("exp", json!(null), "no end"),
        ("iat", json!(null), "when it was made"),
        ("nbf", json!(1600), "not good yet"),
        ("sub", json!(""), "names no user"),
        ("tenant", json!(7), "names no tenant"),
    ] {
        let told = refused(&ours(&with(claim, value.clone())), &policy);
        assert!(
            told.contains(why) || (value.is_null() && told.contains("no issuer")),
            "{claim} {value}: {told}"
        );
    }
    let good = ours(&claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{signed}.");
    let none = token(json!({"alg": "none", "kid": "e"}), &claims(), |_| Vec::new());
    // Signed with the public key as if that were a secret.
    let public = ed25519().public_key().as_ref().to_vec();
    let confused = token(json!({"alg": "HS256", "kid": "e"}), &claims(), |message| {
        ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &public), message).as_ref().to_vec()
    });
    let foreign = token(json!({"alg": "EdDSA", "kid": "e"}), &claims(), |message| {
        Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap().sign(message).as_ref().to_vec()
    });
    let unnamed =
        token(json!({"alg": "EdDSA"}), &claims(), |message| ed25519().sign(message).as_ref().to_vec());
    let long = ours(&with("more", json!("x".repeat(20_000))));
    for token in [
        unsigned,
        none,
        confused,
        foreign,
        unnamed,
        long,
        "eyJ.e30.".into(),
        "eyJhbGciOiJFZERTQSJ9.!.!".into(),
    ] {
        assert!(refused(&token, &policy).contains("not taken"), "{token}");
    }
}

#[test]
fn tokens_end_and_keys_are_retired() {
    let token = ours(&claims());
    let caller = bearer(&token, &policy()).unwrap();
    assert!(caller.check(&policy(), 1_999 * SECOND_US).is_ok());
    assert!(caller.check(&policy(), 2_000 * SECOND_US).is_err());
    let public = ed25519().public_key().as_ref().to_vec();
    let retired =
        |at: i64| policy_of(vec![issuer(vec![key("e", Algorithm::EdDsa, &public, at * SECOND_US)])]);
    assert!(caller.check(&retired(1_200), NOW * SECOND_US).is_ok(), "it was made before");
    assert!(caller.check(&retired(900), NOW * SECOND_US).is_err());
    assert!(refused(&token, &retired(900)).contains("retired"));
    assert!(caller.check(&policy_of(Vec::new()), NOW * SECOND_US).is_err());
}

#[test]
fn tokens_of_openid_providers() {
    let random = ring::rand::SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pair.as_ref(), &random).unwrap();
    let rsa: Vec<u8> = (0..RS256_KEY.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&RS256_KEY[at..at + 2], 16).unwrap())
        .collect();
    let provider = Issuer {
        issuer: "https://login.example".into(),
        audience: "tundra".into(),
        tenant: "acme".into(),
        user_claim: "email".into(),
        roles_claim: "roles".into(),
        keys: vec![
            key("r", Algorithm::Rs256, &rsa, 0),
            key("p", Algorithm::Es256, pair.public_key().as_ref(), 0),
            key("later", Algorithm::Unknown, b"", 0),
        ],
    };
    let policy = policy_of(vec![provider]);
    let caller = bearer(RS256_TOKEN, &policy).unwrap();
    assert_eq!((&*caller.tenant, &*caller.principal), ("acme", "ann@acme.example"));
    assert_eq!(caller.roles, ["reader", "writer"]);
    // A provider of one tenant names users of no other.
    let claims = json!({"iss": "https://login.example", "aud": "tundra", "email": "eve", "tenant": "zeta", "iat": 1000, "exp": 2000});
    let es256 = token(json!({"alg": "ES256", "kid": "p"}), &claims, |message| {
        pair.sign(&random, message).unwrap().as_ref().to_vec()
    });
    let caller = bearer(&es256, &policy).unwrap();
    assert_eq!((&*caller.tenant, &*caller.principal, caller.roles.len()), ("acme", "eve", 0));
    let later = token(json!({"alg": "ES256", "kid": "later"}), &claims, |_| vec![0; 64]);
    assert!(refused(&later, &policy).contains("not taken"));
}

#[test]
fn api_keys() {
    let policy = policy();
    let caller = bearer("tundra_aa_secret", &policy).unwrap();
    assert_eq!((&*caller.tenant, &*caller.principal), ("acme", "bob"));
    for wrong in ["tundra_aa_secres", "tundra_bb_secret", "tundra_aa", "tundra_"] {
        assert!(refused(wrong, &policy).contains("API key"), "{wrong}");
    }
    assert!(caller.check(&policy, 0).is_ok() && caller.check(&CatalogState::default(), 0).is_err());
}

#[test]
fn headers() {
    assert_eq!(Credentials::of_header(None).unwrap(), Credentials::Nothing);
    assert_eq!(Credentials::of_header(Some("BEARER  x ")).unwrap(), Credentials::Bearer("x".into()));
    let password = Credentials::Password { user: "user".into(), password: "password".into() };
    assert_eq!(Credentials::of_header(Some("Basic dXNlcjpwYXNzd29yZA==")).unwrap(), password);
    for bad in ["", "x", "Basic !", "Basic dXNlcg==", "Digest x"] {
        assert!(Credentials::of_header(Some(bad)).is_err(), "{bad}");
    }
    assert_eq!(format!("{password:?}"), "Password(…)");
    // What a session was given stands for nobody by itself.
    assert_eq!(shown(&Credentials::Bearer("00ff".into()), &policy()).unwrap(), None);
}

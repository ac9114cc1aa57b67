//! Access tokens: JSON Web Tokens (RFC 7519) of the issuers that the policy names, verified by their public keys. Which
//! algorithm a token is verified by is said by the key, never by the token.

use super::{Caller, Proof as LoginProof};
use crate::catalog::Policy;
use crate::error::{Error, Result};
use flight_proto::policy::{Algorithm, Issuer, TokenKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult};
use jsonwebtoken::signature::{Error as BadSignature, Verifier};
use jsonwebtoken::{DecodingKey, EncodingKey, Validation, decode, decode_header};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Map, Value};
use std::sync::Once;

/// How far clocks may differ, in seconds.
const LEEWAY: u64 = 30;
/// A longer token is none.
const TOKEN_BYTES_MOST: usize = 16 << 10;

/// What of a token tells that it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    issuer: String,
    audience: String,
    /// The tenant that the issuer names users of; empty: of any.
    bound_to: String,
    key: String,
    /// Microseconds since 1970.
    issued_at_us: i64,
    expires_at_us: i64,
}

impl Proof {
    /// An error where the token has ended, or its key was taken back since.
    pub(super) fn check(&self, policy: &Policy, now_us: i64) -> Result<()> {
        let same = |issuer: &&Issuer| {
            (&issuer.issuer, &issuer.audience, &issuer.tenant)
                == (&self.issuer, &self.audience, &self.bound_to)
        };
        let issuer = policy.issuers().iter().find(same);
        let key = issuer.and_then(|issuer| issuer.keys.iter().find(|key| key.id == self.key));
        let key = key.ok_or_else(|| bad("its key is no longer in use"))?;
        if is_retired(key, self.issued_at_us) {
            return Err(bad("its key was retired before it was made"));
        }
        match now_us < self.expires_at_us {
            true => Ok(()),
            false => Err(bad("it has expired; ask for a new one")),
        }
    }
}

/// Whether text has the form of a token: three parts in base64, the first beginning as a JSON object.
pub(super) fn is_token(shown: &str) -> bool {
    shown.starts_with("eyJ") && shown.bytes().filter(|&byte| byte == b'.').count() == 2
}

/// Whom a token stands for.
pub(super) fn caller(token: &str, policy: &Policy, now_us: i64) -> Result<Caller> {
    install();
    if token.len() > TOKEN_BYTES_MOST {
        return Err(bad("it is too long"));
    }
    let named = decode_header(token).map_err(|_| bad("it is malformed"))?.kid.unwrap_or_default();
    let known = policy.issuers().iter();
    let mut keys = known.flat_map(|issuer| issuer.keys.iter().map(move |key| (issuer, key)));
    // Keys of two issuers may have one name: only one of them verifies.
    let verified = keys.find_map(|(issuer, key)| {
        let claims = (key.id == named).then(|| claims(token, issuer, key))??;
        Some((issuer, key, claims))
    });
    let Some((issuer, key, claims)) = verified else {
        return Err(bad("no issuer that is trusted here has signed it, for this audience"));
    };
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty());
    let seconds = |claim: &str| claims.get(claim).and_then(Value::as_f64).map(|at| (at * 1e6) as i64);
    let tenant = match issuer.tenant.as_str() {
        "" => text("tenant").ok_or_else(|| bad("it names no tenant"))?,
        tenant => tenant,
    };
    let principal = text(&issuer.user_claim);
    let principal =
        principal.ok_or_else(|| bad(&format!("it names no user in the claim '{}'", issuer.user_claim)))?;
    let proof = Proof {
        issuer: issuer.issuer.clone(),
        audience: issuer.audience.clone(),
        bound_to: issuer.tenant.clone(),
        key: key.id.clone(),
        issued_at_us: seconds("iat").ok_or_else(|| bad("it does not say when it was made"))?,
        expires_at_us: seconds("exp").ok_or_else(|| bad("it has no end"))?,
    };
    if seconds("nbf").is_some_and(|from| from > now_us + LEEWAY as i64 * 1_000_000) {
        return Err(bad("it is not good yet"));
    }
    proof.check(policy, now_us)?;
    Ok(Caller {
        tenant: tenant.into(),
        principal: principal.into(),
        roles: roles(&claims, &issuer.roles_claim),
        proof: LoginProof::Token(proof),
    })
}

fn roles(claims: &Map<String, Value>, claim: &str) -> Vec<String> {
    let listed = claims.get(claim).filter(|_| !claim.is_empty());
    match listed {
        Some(Value::Array(roles)) => {
            roles.iter().filter_map(|role| role.as_str().map(String::from)).collect()
        }
        Some(Value::String(roles)) => roles.split_whitespace().map(String::from).collect(),
        _ => Vec::new(),
    }
}

/// What a token says, where that key of that issuer signed it.
fn claims(token: &str, issuer: &Issuer, key: &TokenKey) -> Option<Map<String, Value>> {
    let (algorithm, decoding) = match key.algorithm() {
        Algorithm::EdDsa => (jsonwebtoken::Algorithm::EdDSA, DecodingKey::from_ed_der(&key.public_key)),
        Algorithm::Es256 => (jsonwebtoken::Algorithm::ES256, DecodingKey::from_ec_der(&key.public_key)),
        Algorithm::Rs256 => (jsonwebtoken::Algorithm::RS256, DecodingKey::from_rsa_der(&key.public_key)),
        Algorithm::Unknown => return None,
    };
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[&issuer.issuer]);
    validation.set_audience(&[&issuer.audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    // By our own clock, with each call.
    validation.validate_exp = false;
    decode(token, &decoding, &validation).ok().map(|token| token.claims)
}

/// Tokens made after the key was retired were made by who should not have it.
fn is_retired(key: &TokenKey, issued_at_us: i64) -> bool {
    key.retired_at_us != 0 && issued_at_us > key.retired_at_us + LEEWAY as i64 * 1_000_000
}

fn bad(why: &str) -> Error {
    Error::Unauthenticated(format!("the access token is not taken: {why}"))
}

/// Signatures are verified by ring.
fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // Fails only where another part of the process has done so, with what is as good.
        let _ = PROVIDER.install_default();
    });
}

fn no_signer(_: &jsonwebtoken::Algorithm, _: &EncodingKey) -> JwtResult<Box<dyn JwtSigner>> {
    Err(ErrorKind::InvalidAlgorithm.into())
}

struct RingVerifier {
    algorithm: jsonwebtoken::Algorithm,
    by: &'static dyn VerificationAlgorithm,
    key: Vec<u8>,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), BadSignature> {
        UnparsedPublicKey::new(self.by, &self.key).verify(message, signature).map_err(|_| BadSignature::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> jsonwebtoken::Algorithm {
        self.algorithm
    }
}

fn verifier(algorithm: &jsonwebtoken::Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    let by: &'static dyn VerificationAlgorithm = match algorithm {
        jsonwebtoken::Algorithm::EdDSA => &signature::ED25519,
        jsonwebtoken::Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        jsonwebtoken::Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    let key = key.try_get_as_bytes()?.to_vec();
    Ok(Box::new(RingVerifier { algorithm: *algorithm, by, key }))
}

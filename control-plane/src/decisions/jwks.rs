//! The keys of an OpenID provider, as JSON Web Keys (RFC 7517, 7518, 8037). Those that coordinators cannot use are left out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flight_proto::policy::{Algorithm, TokenKey};
use serde::Deserialize;
use serde_json::Value;

/// The most keys of a provider, and the longest name of one in bytes.
const KEYS_MOST: usize = 100;
const ID_MOST: usize = 256;
/// Bytes of moduli that are neither too weak nor beyond what is verified.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1_024;

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

/// A key; of each kind those members that are read.
#[derive(Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// The keys of a document, and why others were left out.
pub(super) fn read(text: &[u8]) -> Result<(Vec<TokenKey>, Vec<String>), String> {
    let keys: Keys = serde_json::from_slice(text).map_err(|error| format!("it has no keys: {error}"))?;
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    for (at, key) in keys.keys.into_iter().enumerate() {
        let id = key.get("kid").and_then(Value::as_str).unwrap_or("without a name");
        let id: String = id.chars().take(ID_MOST).collect();
        match serde_json::from_value::<Key>(key).map_err(|error| error.to_string()).and_then(|key| key.read())
        {
            Ok(_) if at >= KEYS_MOST => left_out.push(format!("key {id}: only {KEYS_MOST} keys are taken")),
            Ok(key) => taken.push(key),
            Err(why) => left_out.push(format!("key {id}: {why}")),
        }
    }
    match taken.is_empty() {
        true => Err(format!("it has no key for EdDSA, ES256 or RS256 ({})", left_out.join("; "))),
        false => Ok((taken, left_out)),
    }
}

impl Key {
    fn read(self) -> Result<TokenKey, String> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err("it is not for signatures".into());
        }
        if self.kid.len() > ID_MOST {
            return Err("its name is too long".into());
        }
        let (algorithm, name, public_key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, "EdDSA", exactly(&self.x, 32)?),
            ("EC", Some("P-256")) => {
                let point = [vec![4], exactly(&self.x, 32)?, exactly(&self.y, 32)?].concat();
                (Algorithm::Es256, "ES256", point)
            }
            ("RSA", _) => {
                let (modulus, exponent) = (unsigned(&self.n)?, unsigned(&self.e)?);
                if !MODULUS_BYTES.contains(&modulus.len()) {
                    return Err(format!("its modulus has {} bits", modulus.len() * 8));
                }
                (Algorithm::Rs256, "RS256", rsa_public_key(&modulus, &exponent))
            }
            (kind, curve) => return Err(format!("its kind is {kind} {}", curve.unwrap_or_default())),
        };
        match self.alg {
            Some(alg) if alg != name && !(alg == "Ed25519" && name == "EdDSA") => {
                Err(format!("it is for {alg}"))
            }
            _ => Ok(TokenKey { id: self.kid, algorithm: algorithm.into(), public_key, retired_at_us: 0 }),
        }
    }
}

fn bytes(text: &Option<String>) -> Result<Vec<u8>, String> {
    let text = text.as_deref().ok_or("a part of it is missing")?;
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| "a part of it is no base64url".into())
}

fn exactly(text: &Option<String>, count: usize) -> Result<Vec<u8>, String> {
    let bytes = bytes(text)?;
    let wrong = || format!("a part of it has {} bytes instead of {count}", bytes.len());
    if bytes.len() == count { Ok(bytes) } else { Err(wrong()) }
}

/// A number without leading zeros.
fn unsigned(text: &Option<String>) -> Result<Vec<u8>, String> {
    let bytes = bytes(text)?;
    let from = bytes.iter().position(|&byte| byte != 0).ok_or("a part of it is 0")?;
    Ok(bytes[from..].to_vec())
}

/// `RSAPublicKey` of RFC 8017 in DER.
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    const INTEGER: u8 = 2;
    const SEQUENCE: u8 = 0x30;
    let integer = |number: &[u8]| {
        // A zero before a high bit keeps the number positive.
        let zero: &[u8] = if number[0] & 0x80 != 0 { &[0] } else { &[] };
        der(INTEGER, &[zero, number].concat())
    };
    der(SEQUENCE, &[integer(modulus), integer(exponent)].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|&byte| byte != 0).unwrap_or(length.len() - 1)..];
    let head = match content.len() {
        short @ 0..0x80 => vec![tag, short as u8],
        _ => [&[tag, 0x80 | length.len() as u8], length].concat(),
    };
    [&head[..], content].concat()
}

#[cfg(test)]
#[path = "tests/jwks.rs"]
mod tests;

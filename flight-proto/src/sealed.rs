//! Secrets that lie where others may read them: encrypted with a key that only the control plane and the coordinators
//! have. AES-256-GCM, with random nonces (NIST SP 800-38D). What a secret is for, and whose it is, is authenticated with
//! it: one that is put in another's place does not open.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::sync::Arc;

/// What is authenticated begins with this.
const CONTEXT: &[u8] = b"tundra sealed 1\0";
/// What the id of a key is the hash of begins with this.
const KEY_ID: &[u8] = b"tundra secret key id\0";
/// Of the hash of a key.
const KEY_ID_BYTES: usize = 8;
/// A file has no more: each is tried at once, and an old one is not kept for ever.
const KEYS_MOST: usize = 16;
/// With or without padding, as tools write it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that only who has the key can read.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Sealed {
    /// Which key it was encrypted with, as [`SecretKeys::ids`] names it.
    #[prost(string, tag = "1")]
    pub key_id: String,
    /// 12 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub nonce: Vec<u8>,
    /// With the tag of 16 bytes at its end.
    #[prost(bytes = "vec", tag = "3")]
    pub ciphertext: Vec<u8>,
}

/// The keys that secrets are encrypted with: the first encrypts, all decrypt. By default there is none.
#[derive(Clone, Default)]
pub struct SecretKeys(Arc<Vec<SecretKey>>);

struct SecretKey {
    id: String,
    key: LessSafeKey,
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(
        "there is no key to encrypt secrets with: make one (umask 077; openssl rand -base64 32 > secret.key), and start the control \
         plane and all coordinators with --secret-key secret.key"
    )]
    NoKey,
    #[error(
        "it is encrypted with the key {id}, which this process does not have (it has {has}): add that key as a further line \
         of the file that --secret-key names, or set the secret again"
    )]
    UnknownKey { id: String, has: String },
    #[error("it is damaged, or was made for something else; set the secret again")]
    Damaged,
    #[error("line {line} is no key: expected 32 bytes in base64, as `openssl rand -base64 32` makes them")]
    NotAKey { line: usize },
    #[error("it has {0} keys; expected 1 to 16, one a line")]
    Count(usize),
    #[error("line {line} has the same key as another")]
    Twice { line: usize },
    #[error("the system gives no random numbers")]
    NoRandomness,
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKeys").field(&self.ids().collect::<Vec<_>>()).finish()
    }
}

impl SecretKeys {
    /// The keys of a file: base64, one a line; empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// Says which line is wrong, and never what is in it.
    pub fn parse(text: &str) -> Result<SecretKeys, SealError> {
        let mut keys: Vec<SecretKey> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = BASE64.decode(line).map_err(|_| SealError::NotAKey { line: number })?;
            let key = SecretKey::new(&bytes).ok_or(SealError::NotAKey { line: number })?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(SealError::Twice { line: number });
            }
            keys.push(key);
        }
        match keys.len() {
            1..=KEYS_MOST => Ok(SecretKeys(Arc::new(keys))),
            count => Err(SealError::Count(count)),
        }
    }

    /// What keys are called, which tells nothing of them: that of the one that encrypts first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Encrypts `secret`, which is opened with the same `purpose` and `about` alone.
    ///
    /// # Errors
    /// [`SealError::NoKey`] where there is none.
    pub fn seal(&self, purpose: &str, about: &[&str], secret: &[u8]) -> Result<Sealed, SealError> {
        let first = self.0.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let mut ciphertext = secret.to_vec();
        let aad = Aad::from(authenticated(&first.id, purpose, about));
        let sealing =
            first.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut ciphertext);
        sealing.map_err(|_| SealError::Damaged)?;
        Ok(Sealed { key_id: first.id.clone(), nonce: nonce.into(), ciphertext })
    }

    /// What was encrypted for this purpose and about these.
    ///
    /// # Errors
    /// Where the key is another's, or anything was changed.
    pub fn open(&self, purpose: &str, about: &[&str], sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let key = self.0.iter().find(|key| key.id == sealed.key_id).ok_or_else(|| {
            let has: Vec<&str> = self.ids().collect();
            let has = if has.is_empty() { "none".into() } else { has.join(", ") };
            // An id comes from outside.
            SealError::UnknownKey { id: sealed.key_id.chars().take(2 * KEY_ID_BYTES).collect(), has }
        })?;
        let nonce = Nonce::try_assume_unique_for_key(&sealed.nonce).map_err(|_| SealError::Damaged)?;
        let aad = Aad::from(authenticated(&key.id, purpose, about));
        let mut bytes = sealed.ciphertext.clone();
        let opened = key.key.open_in_place(nonce, aad, &mut bytes).map_err(|_| SealError::Damaged)?;
        Ok(opened.to_vec())
    }
}

impl SecretKey {
    fn new(bytes: &[u8]) -> Option<SecretKey> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).ok()?;
        let hash = digest(&SHA256, &[KEY_ID, bytes].concat());
        let id = hash.as_ref()[..KEY_ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        Some(SecretKey { id, key: LessSafeKey::new(key) })
    }
}

/// Parts with their lengths before them: no two lists give the same bytes.
fn authenticated(key_id: &str, purpose: &str, about: &[&str]) -> Vec<u8> {
    let parts = [key_id, purpose].into_iter().chain(about.iter().copied());
    let parts = parts.flat_map(|part| [&(part.len() as u64).to_le_bytes()[..], part.as_bytes()].concat());
    CONTEXT.iter().copied().chain(parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(byte: u8) -> String {
        BASE64.encode([byte; 32])
    }

    fn keys(text: &str) -> SecretKeys {
        SecretKeys::parse(text).unwrap()
    }

    #[test]
    fn secrets_are_bound_to_purpose_and_tenant() {
        let keys = keys(&line(1));
        let sealed = keys.seal("store", &["acme", "key"], b"geheim").unwrap();
        assert_eq!(keys.open("store", &["acme", "key"], &sealed).unwrap(), b"geheim");
        let others: [(&str, &[&str]); 5] = [
            ("server", &["acme", "key"]),
            ("store", &["zeta", "key"]),
            ("store", &["acmek", "ey"]),
            ("store", &["acme"]),
            ("store", &["acme", "key", ""]),
        ];
        for (purpose, about) in others {
            assert_eq!(keys.open(purpose, about, &sealed), Err(SealError::Damaged), "{purpose} {about:?}");
        }
        let again = keys.seal("store", &["acme", "key"], b"geheim").unwrap();
        assert_ne!(again.ciphertext, sealed.ciphertext, "nonces differ");
        assert!(!sealed.ciphertext.windows(6).any(|bytes| bytes == b"geheim"));
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let (old, new) = (keys(&line(1)), keys(&line(2)));
        let both = keys(&format!("# the new one\n{}\n\n{}\n", line(2), line(1)));
        let before = old.seal("store", &["acme"], b"a").unwrap();
        let after = both.seal("store", &["acme"], b"b").unwrap();
        assert_eq!(
            (both.open("store", &["acme"], &before).unwrap(), after.key_id.as_str()),
            (b"a".to_vec(), new.ids().next().unwrap())
        );
        assert_eq!(new.open("store", &["acme"], &after).unwrap(), b"b");
        let error = new.open("store", &["acme"], &before).unwrap_err();
        let (had, has) = (old.ids().next().unwrap(), new.ids().next().unwrap());
        assert_eq!(error, SealError::UnknownKey { id: had.into(), has: has.into() });
        let none = SecretKeys::default();
        assert_eq!(none.seal("store", &["acme"], b"a"), Err(SealError::NoKey));
        assert!(none.open("store", &["acme"], &before).unwrap_err().to_string().contains("(it has none)"));
    }

    #[test]
    fn what_is_damaged_does_not_open() {
        let keys = keys(&line(1));
        let sealed = keys.seal("store", &["acme"], b"geheim").unwrap();
        for at in 0..sealed.ciphertext.len() {
            let mut changed = sealed.clone();
            changed.ciphertext[at] ^= 1;
            assert_eq!(keys.open("store", &["acme"], &changed), Err(SealError::Damaged), "byte {at}");
            changed.ciphertext.truncate(at);
            assert_eq!(keys.open("store", &["acme"], &changed), Err(SealError::Damaged), "cut at {at}");
        }
        let short = Sealed { nonce: vec![0; 11], ..sealed.clone() };
        assert_eq!(keys.open("store", &["acme"], &short), Err(SealError::Damaged));
        let other = Sealed { nonce: vec![0; 12], ..sealed };
        assert_eq!(keys.open("store", &["acme"], &other), Err(SealError::Damaged));
    }

    #[test]
    fn files_that_hold_no_keys_are_told_by_line_alone() {
        let error = |text: &str| SecretKeys::parse(text).unwrap_err();
        assert_eq!(error(""), SealError::Count(0));
        assert_eq!(error("# none\n\n"), SealError::Count(0));
        let short = BASE64.encode([1; 31]);
        assert_eq!(error(&format!("{}\n{short}", line(1))), SealError::NotAKey { line: 2 });
        assert!(!error(&short).to_string().contains(&short));
        assert_eq!(error("no base64!"), SealError::NotAKey { line: 1 });
        assert_eq!(error(&format!("{}\n{}", line(1), line(1))), SealError::Twice { line: 2 });
        assert!(SecretKeys::parse(line(1).trim_end_matches('=')).is_ok(), "without padding");
        let shown = format!("{:?}", keys(&line(1)));
        assert!(!shown.contains(&line(1)) && shown.len() < 50, "{shown}");
    }
}

//! Ed25519 keys, which sign documents and access tokens, and other secrets that are drawn.

use crate::error::{Error, Result};
use crate::hex;
use flight_proto::policy::{Document, PolicyError, Signed};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

/// Both halves of a key. Its `Debug` shows the public one alone.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key, and its secret half as it is kept.
    pub(crate) fn generate() -> Result<(SigningKey, String)> {
        let no_random = |_| Error::Environment("the system gives no random numbers".into());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(no_random)?;
        let text = hex::encode(pkcs8.as_ref());
        Ok((SigningKey::read(&text)?, text))
    }

    /// A key that was kept as hexadecimal PKCS #8.
    pub(crate) fn read(text: &str) -> Result<SigningKey> {
        let pair = hex::decode(text).and_then(|pkcs8| Ed25519KeyPair::from_pkcs8(&pkcs8).ok());
        let pair = pair.ok_or_else(|| Error::Damaged("a secret key cannot be read".into()))?;
        Ok(SigningKey { pair })
    }

    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// What the key goes by: the beginning of its public half's SHA-256, in hexadecimal.
    pub(crate) fn id(&self) -> String {
        hex::encode(&sha256(self.public())[..8])
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    pub(crate) fn sign_document(&self, document: &Document) -> Signed {
        document.sign(self.public(), |message| self.sign(message))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", hex::encode(self.public()))
    }
}

/// The document, where its signature is that of the key that it names.
pub(crate) fn verified(signed: &Signed) -> std::result::Result<Document, PolicyError> {
    signed.verified(|key, message, signature| {
        UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
    })
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::Environment("the system gives no random numbers".into()))?;
    Ok(bytes)
}

//! What is kept of the passwords of users in SQL: verifiers of SCRAM-SHA-256 (RFC 5802, RFC 7677), in the form of RFC 5803 that
//! PostgreSQL keeps, too: `SCRAM-SHA-256$iterations:salt$stored key:server key`.

use super::passwords::same;
use crate::error::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hmac, pbkdf2};
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const SCHEME: &str = "SCRAM-SHA-256";
/// As RFC 7677 asks for at least.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
/// A verifier that was made elsewhere may ask for so many: each login takes that long, some 10 ms.
const MOST_ITERATIONS: u32 = 16_384;
/// Passwords that are wrong, a second: what comes beyond is not looked at.
const MOST_WRONG: u32 = 200;
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// Longer passwords are refused.
const LONGEST: usize = 1024;

struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
}

/// What is kept of a password. One that is a verifier already is kept as it is.
pub(crate) fn verifier_of(password: &str) -> Result<String> {
    if password.is_empty() || password.len() > LONGEST {
        return Err(Error::Statement(format!(
            "a password has 1 to {LONGEST} bytes; PASSWORD NULL is for none"
        )));
    }
    if password.starts_with("SCRAM-SHA-256$") {
        return match parse(password) {
            Some(_) => Ok(password.into()),
            None => Err(Error::Statement(
                "a password that begins with SCRAM-SHA-256$ is a verifier: SCRAM-SHA-256$iterations:salt$stored \
                 key:server key, with keys of 32 bytes in base64"
                    .into(),
            )),
        };
    }
    let mut salt = [0; SALT_BYTES];
    let no_chance = |_| Error::Environment("the system gives no random bytes".into());
    SystemRandom::new().fill(&mut salt).map_err(no_chance)?;
    let salted = salted(password, &salt, ITERATIONS);
    let key = |name: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), name);
    let stored_key = digest(&SHA256, key(b"Client Key").as_ref());
    let encode = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    Ok(format!(
        "{SCHEME}${ITERATIONS}:{}${}:{}",
        encode(&salt),
        encode(stored_key.as_ref()),
        encode(key(b"Server Key").as_ref())
    ))
}

/// Whether a password is the one of a verifier. It takes as long where there is none. An error where too many were wrong just
/// now.
pub(crate) fn matches(verifier: Option<&str>, password: &str) -> Result<bool> {
    static KNOWN: Mutex<Option<HashSet<[u8; 32]>>> = Mutex::new(None);
    static WRONG: Mutex<Option<(Instant, u32)>> = Mutex::new(None);
    /// Pairs that are known to match: a client may show its password with each call.
    const KNOWN_MOST: usize = 1_000;
    if password.len() > LONGEST {
        return Ok(false);
    }
    let shown = digest(&SHA256, [verifier.unwrap_or_default(), "\n", password].concat().as_bytes());
    let shown: [u8; 32] = shown.as_ref().try_into().unwrap_or_default();
    if verifier.is_some() && KNOWN.lock().as_ref().is_some_and(|known| known.contains(&shown)) {
        return Ok(true);
    }
    {
        let mut wrong = WRONG.lock();
        let (since, count) = wrong.get_or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *count) = (Instant::now(), 0);
        }
        if *count >= MOST_WRONG {
            return Err(Error::Overloaded(
                "too many logins with wrong passwords; try again in a second".into(),
            ));
        }
        // Taken back where it is right.
        *count += 1;
    }
    let parsed = verifier.and_then(parse);
    let is_there = parsed.is_some();
    let nobody =
        Verifier { iterations: ITERATIONS, salt: vec![0; SALT_BYTES], stored_key: vec![0; KEY_BYTES] };
    let Verifier { iterations, salt, stored_key } = parsed.unwrap_or(nobody);
    let salted = salted(password, &salt, iterations);
    let client_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
    let matches = same(&stored_key, digest(&SHA256, client_key.as_ref()).as_ref()) & is_there;
    if matches {
        let mut known = KNOWN.lock();
        let known = known.get_or_insert_default();
        if known.len() >= KNOWN_MOST {
            known.clear();
        }
        known.insert(shown);
        if let Some((_, count)) = WRONG.lock().as_mut() {
            *count = count.saturating_sub(1);
        }
    }
    Ok(matches)
}

fn salted(password: &str, salt: &[u8], iterations: NonZeroU32) -> [u8; KEY_BYTES] {
    let mut salted = [0; KEY_BYTES];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut salted);
    salted
}

fn parse(verifier: &str) -> Option<Verifier> {
    let mut parts = verifier.split('$');
    let (scheme, salt, keys) = (parts.next()?, parts.next()?, parts.next()?);
    let (iterations, salt) = salt.split_once(':')?;
    let (stored_key, server_key) = keys.split_once(':')?;
    let decode = |text: &str| BASE64_STANDARD.decode(text).ok();
    let iterations: NonZeroU32 = iterations.parse().ok()?;
    let (salt, stored_key, server_key) = (decode(salt)?, decode(stored_key)?, decode(server_key)?);
    let whole = scheme == SCHEME
        && parts.next().is_none()
        && iterations.get() <= MOST_ITERATIONS
        && !salt.is_empty()
        && [&stored_key, &server_key].iter().all(|key| key.len() == KEY_BYTES);
    whole.then_some(Verifier { iterations, salt, stored_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(verifier: Option<&str>, password: &str) -> bool {
        matches(verifier, password).unwrap()
    }

    #[test]
    fn a_verifier_knows_its_password_alone() {
        let verifier = verifier_of("pencil").unwrap();
        assert!(!verifier.contains("pencil"));
        assert_ne!(verifier, verifier_of("pencil").unwrap(), "each has a salt of its own");
        for _ in 0..2 {
            assert!(is(Some(&verifier), "pencil"));
            assert!(!is(Some(&verifier), "Pencil") && !is(Some(&verifier), ""));
        }
        assert!(!is(None, "pencil") && !is(Some(""), "pencil") && !is(Some("x"), "x"));
        assert_eq!(verifier_of(&verifier).unwrap(), verifier, "one that was made elsewhere is kept");
    }

    /// The keys of RFC 7677's example.
    #[test]
    fn verifiers_are_those_of_the_rfc() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted("pencil", &salt, ITERATIONS);
        let client = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
        let stored = BASE64_STANDARD.encode(digest(&SHA256, client.as_ref()));
        let keys = format!("{stored}:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
        assert_eq!(stored, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=");
        let verifier = format!("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==${keys}");
        assert!(is(Some(&verifier), "pencil"));
    }

    #[test]
    fn what_is_no_password_is_refused() {
        assert!(verifier_of("").is_err() && verifier_of(&"x".repeat(LONGEST + 1)).is_err());
        for verifier in [
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$4096:!!$a:b",
            "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        ] {
            let error = verifier_of(verifier).unwrap_err().to_string();
            assert!(error.contains("verifier"), "{error}");
        }
    }
}

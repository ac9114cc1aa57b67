//! One row of the trail, and the hash that ties it to the row before.

use ring::digest::{Context, SHA256};
use std::sync::Arc;

/// Of SHA-256.
pub(crate) const HASH_BYTES: usize = 32;
/// What a hash is made over begins with this.
const DOMAIN: &[u8] = b"tundra trail 1\0";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A session began.
    Login,
    /// Somebody was not let in.
    LoginFailed,
    /// A statement is about to run.
    Statement,
    /// A statement was refused, or ended with an error.
    StatementFailed,
    /// A call of the Admin API that may change something has ended.
    Admin,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::Login => "login",
            Action::LoginFailed => "login failed",
            Action::Statement => "statement",
            Action::StatementFailed => "statement failed",
            Action::Admin => "admin",
        }
    }
}

/// What is written of it.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) principal: Arc<str>,
    pub(crate) action: Action,
    /// What tells rows of one thing: a query's number in hexadecimal, or nothing.
    pub(crate) subject: String,
    /// The statement without its secrets, or the call.
    pub(crate) text: Arc<str>,
    /// By what somebody logged in, or what went wrong.
    pub(crate) detail: String,
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// From 0, without gaps within a chain.
    pub(crate) sequence: u64,
    pub(crate) at_us: i64,
    pub(crate) deed: Deed,
    /// Over the hash of the row before, which is zeros for the first, and this one.
    pub(crate) hash: [u8; HASH_BYTES],
}

/// The columns of a row that its hash is made over, in their order.
pub(crate) struct Hashed<'a> {
    pub(crate) chain: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) sequence: u64,
    pub(crate) at_us: i64,
    pub(crate) principal: &'a str,
    pub(crate) action: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) text: &'a str,
    pub(crate) detail: &'a str,
}

impl Hashed<'_> {
    /// SHA-256 over the hash before, the numbers (little-endian) and the texts, each with its length before it.
    pub(crate) fn after(&self, previous: &[u8; HASH_BYTES]) -> [u8; HASH_BYTES] {
        let mut context = Context::new(&SHA256);
        context.update(DOMAIN);
        context.update(previous);
        context.update(&self.sequence.to_le_bytes());
        context.update(&self.at_us.to_le_bytes());
        let texts =
            [self.chain, self.tenant, self.principal, self.action, self.subject, self.text, self.detail];
        for text in texts {
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text.as_bytes());
        }
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

//! Making and checking tickets: signed with a key of this start, good for the session that they were made in.

use crate::error::{Error, Result};
use crate::session::Session;
use flight_proto::ticket::{CODE_BYTES, Names, Ticket, TicketError};
use ring::hmac;
use ring::rand::SystemRandom;
use std::time::{Duration, Instant};

/// A ticket is good for so long after it was made, however often it is used.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The maker of this server's tickets.
pub(super) struct Tickets {
    key: hmac::Key,
    started: Instant,
}

impl Tickets {
    pub(super) fn new() -> Result<Tickets> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let key = key.map_err(|_| Error::Environment("the system gives no random numbers".into()))?;
        Ok(Tickets { key, started: Instant::now() })
    }

    /// The ticket of a statement.
    pub(super) fn statement(&self, session: &Session, id: u128) -> Vec<u8> {
        let expires = self.started.elapsed() + LIFETIME;
        self.signed(session, Names::statement(id), expires.as_millis() as u64)
    }

    /// The handle of a prepared statement, which ends when nobody uses it.
    pub(super) fn prepared(&self, session: &Session, handle: u128) -> Vec<u8> {
        self.signed(session, Names::prepared(handle), 0)
    }

    fn signed(&self, session: &Session, names: Names, expires_ms: u64) -> Vec<u8> {
        let ticket = Ticket {
            tenant: session.tenant().into(),
            names: Some(names),
            principal: session.principal().into(),
            session: session.id().to_be_bytes().to_vec(),
            expires_ms,
        };
        ticket.to_bytes(|bytes| {
            let mut code = [0; CODE_BYTES];
            code.copy_from_slice(hmac::sign(&self.key, bytes).as_ref());
            code
        })
    }

    /// Reads a ticket of this server that has not expired.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Ticket> {
        // The codes are compared in constant time.
        let ticket = Ticket::from_bytes(bytes, |signed, code| hmac::verify(&self.key, signed, code).is_ok());
        let ticket = ticket.map_err(bad_ticket)?;
        if ticket.expires_ms > 0 && self.started.elapsed().as_millis() as u64 > ticket.expires_ms {
            return Err(Error::NotFound("this ticket has expired; run the statement again".into()));
        }
        Ok(ticket)
    }
}

/// A ticket or handle that is none.
pub(super) fn bad_ticket(error: TicketError) -> Error {
    Error::Statement(error.to_string())
}

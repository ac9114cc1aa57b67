//! Who calls: passwords, tokens, and the session behind each.
//!
//! A client that shook hands holds a token; its session lasts until it is closed or idle for long. Where no
//! user is configured anybody may call without, and the connection stands for the session.

use crate::config::User;
use crate::coordinator::Coordinator;
use crate::error::{Error, Result};
use crate::login;
use crate::random::random_u128;
use crate::session::Session;
use flight_proto::ticket::Ticket;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tonic::Request;
use tonic::metadata::MetadataMap;

/// A session is forgotten when it was not used for so long.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// The most sessions that are remembered; the longest idle goes first.
const SESSIONS_MAX: usize = 10_000;

/// By what a session is found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Token(String),
    Connection(SocketAddr),
}

/// The sessions of Flight clients.
pub(super) struct Sessions {
    coordinator: Arc<Coordinator>,
    open: Mutex<HashMap<Key, Open>>,
}

struct Open {
    session: Session,
    used: Instant,
}

/// What a caller shows.
enum Credentials {
    Nothing,
    Token(String),
    Password { user: String, password: String },
}

impl Sessions {
    pub(super) fn new(coordinator: Arc<Coordinator>) -> Sessions {
        Sessions { coordinator, open: Mutex::default() }
    }

    /// Lets a client in that shows a password (or anything, where no user is configured), and returns the
    /// token of its session. A client that shows a token keeps it.
    pub(super) fn log_in(&self, metadata: &MetadataMap, payload: Option<(String, String)>) -> Result<String> {
        let credentials = match payload {
            Some((user, password)) => Credentials::Password { user, password },
            None => credentials(metadata)?,
        };
        let principal = match credentials {
            Credentials::Token(token) => {
                self.by_token(&token)?;
                return Ok(token);
            }
            Credentials::Password { user, password } => self.check(&user, &password)?,
            Credentials::Nothing => self.anonymous()?,
        };
        let token = format!("{:032x}", random_u128()?);
        let session = Session::new(self.coordinator.clone(), &principal);
        self.remember(Key::Token(token.clone()), session);
        Ok(token)
    }

    /// The session of a call.
    pub(super) fn of<T>(&self, request: &Request<T>) -> Result<Session> {
        match credentials(request.metadata())? {
            Credentials::Token(token) => self.by_token(&token),
            Credentials::Password { user, password } => {
                let principal = self.check(&user, &password)?;
                Ok(self.by_connection(request.remote_addr(), &principal))
            }
            Credentials::Nothing => {
                let principal = self.anonymous()?;
                Ok(self.by_connection(request.remote_addr(), &principal))
            }
        }
    }

    /// Refuses a ticket or handle that another session was given. A session without a token is known by who
    /// calls, whatever the connection: some drivers fetch over a new one. Where no user is configured, a call
    /// that shows no token may use any ticket.
    pub(super) fn check_owner<T>(&self, request: &Request<T>, ticket: &Ticket) -> Result<()> {
        let same = match credentials(request.metadata())? {
            Credentials::Token(token) => self.by_token(&token)?.id().to_be_bytes()[..] == ticket.session,
            Credentials::Password { user, password } => {
                self.check(&user, &password)? == ticket.principal || self.users().is_empty()
            }
            Credentials::Nothing => self.anonymous().map(|_| true)?,
        };
        match same {
            true => Ok(()),
            false => Err(Error::Denied(
                "this ticket was given to another session; run the statement in this one".into(),
            )),
        }
    }

    /// Forgets the session of a call.
    pub(super) fn close<T>(&self, request: &Request<T>) -> Result<()> {
        let key = match credentials(request.metadata())? {
            Credentials::Token(token) => Some(Key::Token(token)),
            _ => request.remote_addr().map(Key::Connection),
        };
        if let Some(key) = key {
            self.open.lock().remove(&key);
        }
        Ok(())
    }

    fn users(&self) -> &[User] {
        &self.coordinator.config.users
    }

    fn by_token(&self, token: &str) -> Result<Session> {
        let key = Key::Token(token.into());
        if let Some(session) = self.find(&key) {
            return Ok(session);
        }
        // Where everyone may call, a token from before a restart is as good as a new one.
        let principal = self.anonymous().map_err(|_| {
            Error::Unauthenticated("the token is not known, or its session has ended; log in again".into())
        })?;
        let session = Session::new(self.coordinator.clone(), &principal);
        self.remember(key, session.clone());
        Ok(session)
    }

    fn by_connection(&self, address: Option<SocketAddr>, principal: &str) -> Session {
        let key = address.map(Key::Connection);
        let known = key.as_ref().and_then(|key| self.find(key));
        if let Some(session) = known.filter(|session| session.principal() == principal) {
            return session;
        }
        let session = Session::new(self.coordinator.clone(), principal);
        if let Some(key) = key {
            self.remember(key, session.clone());
        }
        session
    }

    fn find(&self, key: &Key) -> Option<Session> {
        let mut open = self.open.lock();
        let found = open.get_mut(key)?;
        found.used = Instant::now();
        Some(found.session.clone())
    }

    fn remember(&self, key: Key, session: Session) {
        let mut open = self.open.lock();
        if open.len() >= SESSIONS_MAX {
            open.retain(|_, open| open.used.elapsed() < IDLE);
        }
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, open)| open.used).map(|(key, _)| key.clone());
            oldest.and_then(|key| open.remove(&key));
        }
        open.insert(key, Open { session, used: Instant::now() });
    }

    fn anonymous(&self) -> Result<String> {
        login::anonymous(self.users())
    }

    fn check(&self, user: &str, password: &str) -> Result<String> {
        login::check(self.users(), user, password)
    }
}

fn credentials(metadata: &MetadataMap) -> Result<Credentials> {
    let Some(header) = metadata.get("authorization") else { return Ok(Credentials::Nothing) };
    let header = header.to_str().map_err(|_| login::malformed())?;
    let (scheme, value) = login::scheme(header)?;
    match scheme.as_str() {
        "bearer" => Ok(Credentials::Token(value.into())),
        "basic" => {
            let (user, password) = login::basic(value)?;
            Ok(Credentials::Password { user, password })
        }
        _ => Err(Error::Unauthenticated("log in with Basic or Bearer".into())),
    }
}

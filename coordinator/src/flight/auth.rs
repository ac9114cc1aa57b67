//! The session behind each call.
//!
//! A client that shook hands holds a token; its session lasts until it is closed or idle for long, or what it logged in
//! with is good no longer. Where no user is configured anybody may call without, and the connection stands for the
//! session. The header `tenant` says whose datasets a caller means, where that is not told by what it logs in with.

use super::kept::Kept;
use crate::catalog::CatalogState;
use crate::config::User;
use crate::coordinator::Coordinator;
use crate::datasets::now_us;
use crate::error::{Error, Result};
use crate::login::{Caller, Credentials};
use crate::random::random_u128;
use crate::session::Session;
use crate::trail::{Action, Deed};
use flight_proto::policy::DEFAULT_TENANT;
use flight_proto::ticket::Ticket;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::Request;
use tonic::metadata::MetadataMap;

/// A session is forgotten when it was not used for so long.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// The most sessions that are remembered.
const SESSIONS_MAX: usize = 10_000;
/// The header that names a tenant.
const TENANT: &str = "tenant";
/// The headers that name a label: proxies drop names with an underscore.
const LABEL: [&str; 2] = ["query_label", "query-label"];

/// By what a session is found again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Given by a handshake.
    Token(String),
    /// That of the access token or the API key which is shown with each call: its hash.
    Shown([u8; 32]),
    Connection(SocketAddr),
}

/// The sessions of Flight clients.
pub(super) struct Sessions {
    coordinator: Arc<Coordinator>,
    open: Mutex<Kept<Key, Open>>,
}

#[derive(Clone)]
struct Open {
    session: Session,
    caller: Caller,
}

impl Open {
    fn is_of(&self, caller: &Caller) -> bool {
        (&self.caller.tenant, &self.caller.principal) == (&caller.tenant, &caller.principal)
            && self.caller.is_admin() == caller.is_admin()
            && self.caller.roles == caller.roles
    }
}

impl Sessions {
    pub(super) fn new(coordinator: Arc<Coordinator>) -> Sessions {
        Sessions { coordinator, open: Mutex::new(Kept::new(SESSIONS_MAX, IDLE)) }
    }

    /// Lets a client in by what it shows, and returns the token of its session. A client that shows that of a session
    /// keeps it.
    pub(super) fn log_in(&self, metadata: &MetadataMap, payload: Option<(String, String)>) -> Result<String> {
        let credentials = match payload {
            Some((user, password)) => Credentials::Password { user, password },
            None => credentials(metadata)?,
        };
        let caller = match (self.caller(&credentials, tenant(metadata)?)?, credentials) {
            (Some(caller), _) => caller,
            (None, Credentials::Bearer(token)) => {
                self.by_token(&token)?;
                return Ok(token);
            }
            (None, _) => return Err(Error::Internal("credentials that stand for nobody".into())),
        };
        let token = format!("{:032x}", random_u128()?);
        self.begin(Key::Token(token.clone()), caller)?;
        Ok(token)
    }

    /// The session of a call, which may say under which label it is counted.
    pub(super) fn of<T>(&self, request: &Request<T>) -> Result<Session> {
        let session = self.unlabelled(request)?;
        match LABEL.iter().find_map(|name| request.metadata().get(*name)) {
            Some(label) => {
                let no_text = |_| Error::Statement("the header 'query_label' is no text".into());
                session.labelled(label.to_str().map_err(no_text)?.trim())
            }
            None => Ok(session),
        }
    }

    fn unlabelled<T>(&self, request: &Request<T>) -> Result<Session> {
        let metadata = request.metadata();
        let credentials = credentials(metadata)?;
        let caller = match (&credentials, self.caller(&credentials, tenant(metadata)?)?) {
            (_, Some(caller)) => caller,
            (Credentials::Bearer(token), None) => {
                let session = self.by_token(token)?;
                return match tenant(metadata)? {
                    Some(tenant) if tenant != session.tenant() => {
                        Err(Error::Denied(format!("this session is not of the tenant '{tenant}'")))
                    }
                    _ => Ok(session),
                };
            }
            (_, None) => return Err(Error::Internal("credentials that stand for nobody".into())),
        };
        let key = match &credentials {
            Credentials::Bearer(shown) => Some(Key::Shown(sha256(shown))),
            _ => request.remote_addr().map(Key::Connection),
        };
        self.of_caller(key, caller)
    }

    /// Refuses a ticket or handle that another session was given. A session without a token is known by who
    /// calls, whatever the connection: some drivers fetch over a new one. Where no user is configured, a call
    /// that shows no token may use any ticket of its tenant.
    pub(super) fn check_owner<T>(&self, request: &Request<T>, ticket: &Ticket) -> Result<()> {
        let session = self.of(request)?;
        let metadata = request.metadata();
        let credentials = credentials(metadata)?;
        let same = match &credentials {
            // Of a session that shows nothing there is no principal to compare.
            Credentials::Nothing => true,
            Credentials::Bearer(_) => {
                // Many connections may show one key or access token, any of which may end the session that they share.
                session.id().to_be_bytes()[..] == ticket.session
                    || (session.principal() == ticket.principal
                        && self.caller(&credentials, tenant(metadata)?)?.is_some())
            }
            Credentials::Password { .. } => session.principal() == ticket.principal || self.is_open(&session),
        };
        match same && session.tenant() == ticket.tenant {
            true => Ok(()),
            false => Err(Error::Denied(
                "this ticket was given to another session; run the statement in this one".into(),
            )),
        }
    }

    /// Forgets the session of a call.
    pub(super) fn close<T>(&self, request: &Request<T>) -> Result<()> {
        let keys = match credentials(request.metadata())? {
            Credentials::Bearer(token) => vec![Key::Shown(sha256(&token)), Key::Token(token)],
            _ => request.remote_addr().map(Key::Connection).into_iter().collect(),
        };
        let mut open = self.open.lock();
        keys.iter().for_each(|key| drop(open.remove(key)));
        Ok(())
    }

    /// Whether anybody may call, under whatever name.
    fn is_open(&self, session: &Session) -> bool {
        self.users().is_empty()
            && session.tenant() == DEFAULT_TENANT
            && self.state().access(DEFAULT_TENANT).is_none()
    }

    fn users(&self) -> &[User] {
        &self.coordinator.config.users
    }

    fn state(&self) -> Arc<CatalogState> {
        self.coordinator.tenants.catalog().snapshot()
    }

    /// Whom credentials stand for; `None`: they are a session's.
    fn caller(&self, credentials: &Credentials, tenant: Option<&str>) -> Result<Option<Caller>> {
        let caller = credentials.caller(tenant, self.users(), &self.state(), now_us());
        caller.inspect_err(|error| self.refused(credentials.user(), error))
    }

    /// Writes down that somebody was not let in.
    fn refused(&self, user: &str, error: &Error) {
        self.coordinator.trail.add_failed_login(user, error.to_string());
    }

    fn by_token(&self, token: &str) -> Result<Session> {
        let key = Key::Token(token.into());
        if let Some(Open { session, caller }) = self.find(&key) {
            if let Err(error) = caller.check(&self.state(), now_us()) {
                self.open.lock().remove(&key);
                return Err(error);
            }
            return Ok(session);
        }
        // Where everyone may call, a token from before a restart is as good as a new one, unless there are tenants: it may
        // have been of any.
        let open = self.coordinator.tenants.catalog().snapshot().policy_key().is_none();
        let caller = open.then(|| self.caller(&Credentials::Nothing, None).ok().flatten());
        let unknown = || {
            Error::Unauthenticated("the token is not known, or its session has ended; log in again".into())
        };
        let caller = caller.flatten().ok_or_else(unknown).inspect_err(|error| self.refused("", error))?;
        self.begin(key, caller)
    }

    /// The session that a caller has, or a new one.
    fn of_caller(&self, key: Option<Key>, caller: Caller) -> Result<Session> {
        let found = key.as_ref().and_then(|key| self.find(key));
        if let Some(open) = found.filter(|open| open.is_of(&caller)) {
            return Ok(open.session);
        }
        match key {
            Some(key) => self.begin(key, caller),
            None => self.session(&caller),
        }
    }

    /// A new session, unless another call of the same caller has begun one meanwhile: what either is given is good in both.
    fn begin(&self, key: Key, caller: Caller) -> Result<Session> {
        let session = self.session(&caller)?;
        let mut open = self.open.lock();
        if let Some(known) = open.get(&key).filter(|known| known.is_of(&caller)) {
            return Ok(known.session.clone());
        }
        let tenant = caller.tenant.clone();
        open.insert(&tenant, key, Open { session: session.clone(), caller });
        Ok(session)
    }

    fn session(&self, caller: &Caller) -> Result<Session> {
        let tenant = self.coordinator.tenants.serving(&caller.tenant);
        let tenant = tenant.inspect_err(|error| self.refused(&caller.principal, error))?;
        let login = Deed {
            principal: caller.principal.as_str().into(),
            action: Action::Login,
            subject: String::new(),
            text: "".into(),
            detail: caller.shown().into(),
        };
        self.coordinator.trail.add(tenant.name(), login);
        Ok(Session::new(self.coordinator.clone(), tenant, caller))
    }

    fn find(&self, key: &Key) -> Option<Open> {
        self.open.lock().get(key).cloned()
    }
}

fn credentials(metadata: &MetadataMap) -> Result<Credentials> {
    let header = metadata.get("authorization");
    // What is no text is no header that anybody could log in with.
    Credentials::of_header(header.map(|header| header.to_str().unwrap_or_default()))
}

/// The tenant that a caller names.
fn tenant(metadata: &MetadataMap) -> Result<Option<&str>> {
    let named = metadata.get(TENANT).map(|tenant| tenant.to_str());
    let named = named.transpose().map_err(|_| Error::Statement("the header 'tenant' is no text".into()))?;
    Ok(named.map(str::trim).filter(|tenant| !tenant.is_empty()))
}

fn sha256(shown: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, shown.as_bytes()).as_ref());
    hash
}

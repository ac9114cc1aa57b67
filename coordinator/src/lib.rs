//! The coordinator: the catalog of datasets and versions, their hydration, sessions, admission, and the
//! Flight SQL service.
//!
//! [`start`] brings up a coordinator with its shards in this process and serves until
//! [`Handle::shutdown`]. Everything a client can do, [`Session::execute`] can do without a network.

pub mod catalog;
pub mod config;
pub mod error;
pub mod result;
pub mod session;
pub mod start;

pub use config::{Config, Environment, Listeners, User};
pub use error::{Error, Result};
pub use result::Rows;
pub use session::Session;
pub use start::{Handle, start};

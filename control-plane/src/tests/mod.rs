//! Tests of the control plane as a whole, and of what is kept, on both databases.

mod api;
pub(crate) mod databases;
mod leaders;
mod postgres;
mod providers;
mod publishing;
mod restored;
mod scaling;
mod schedules;
mod stored;
mod usage;

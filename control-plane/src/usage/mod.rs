//! What was used: fetched from coordinators, kept, told in reports; prices and budgets; and what was spent of these.

pub(crate) mod budgets;
pub(crate) mod collect;
pub(crate) mod prices;
pub(crate) mod report;
mod spend;

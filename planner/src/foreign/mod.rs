//! Tables of engines beside Tundra.
//!
//! A query over tables of one server is put into the words of its engine ([`relation`], [`expression`]) as far as the
//! engine means the same by them ([`dialect`]); what it cannot say stays here, above rows that it gives ([`place`]).

mod dialect;
mod expression;
mod place;
mod relation;
pub(crate) mod statements;

pub(crate) use place::push;

use crate::error::{Error, Result};
use crate::logical::Logical;

/// Whether the plan reads tables of other engines; an error where it reads tables of Tundra, too.
pub(crate) fn check(plan: &Logical) -> Result<bool> {
    let (mut foreign, mut resident) = (None, None);
    visit_scans(plan, &mut |scan| {
        let kind = if scan.table.foreign.is_some() { &mut foreign } else { &mut resident };
        kind.get_or_insert_with(|| scan.table.name.clone());
    });
    match (foreign, resident) {
        (Some(foreign), Some(resident)) => {
            let message = format!(
                "table \"{foreign}\" is foreign and \"{resident}\" is not: a query over both is not supported yet"
            );
            let error = Error::new(crate::ErrorKind::Unsupported, message);
            Err(error.hint(format!("copy what it needs first: CREATE TABLE … AS SELECT … FROM {foreign}")))
        }
        (foreign, _) => Ok(foreign.is_some()),
    }
}

fn visit_scans(plan: &Logical, visit: &mut impl FnMut(&crate::logical::Scan)) {
    if let Logical::Scan(scan) = plan {
        visit(scan);
    }
    plan.inputs().into_iter().for_each(|input| visit_scans(input, visit));
}

//! Statements that a session has prepared by name.

use crate::error::{Error, Result};
use columnar::{DataType, Value};
use planner::Prepared;
use std::collections::HashMap;

/// The most statements of a session.
const MOST: usize = 256;
/// The most bytes of all their texts.
const MOST_BYTES: usize = 1 << 20;

/// By their names in lower case.
#[derive(Default)]
pub(super) struct PreparedStatements(HashMap<String, Kept>);

struct Kept {
    sql: String,
    types: Vec<DataType>,
}

impl PreparedStatements {
    /// Keeps a statement, or forgets some.
    pub(super) fn change(&mut self, change: &Prepared) -> Result<()> {
        match change {
            Prepared::Prepare { name, types, sql } => {
                let key = name.to_lowercase();
                if self.0.contains_key(&key) {
                    let hint = "DEALLOCATE forgets it";
                    return Err(Error::Statement(format!(
                        "a statement '{name}' is prepared already; {hint}"
                    )));
                }
                let bytes: usize = self.0.values().map(|kept| kept.sql.len()).sum();
                if self.0.len() >= MOST || bytes + sql.len() > MOST_BYTES {
                    return Err(Error::Statement(format!(
                        "a session prepares {MOST} statements at most, of {MOST_BYTES} bytes together"
                    )));
                }
                self.0.insert(key, Kept { sql: sql.clone(), types: types.clone() });
            }
            Prepared::Deallocate { name: None } => self.0.clear(),
            Prepared::Deallocate { name: Some(name) } => {
                self.0.remove(&name.to_lowercase()).ok_or_else(|| unknown(name))?;
            }
            Prepared::Execute { .. } => {
                return Err(Error::Internal("what EXECUTE stands for was not found".into()));
            }
        }
        Ok(())
    }

    /// The text of a statement, and the values of its parameters.
    pub(super) fn called(&self, name: &str, values: &[Value]) -> Result<(String, Vec<Value>)> {
        let kept = self.0.get(&name.to_lowercase()).ok_or_else(|| unknown(name))?;
        if values.len() < kept.types.len() {
            let (given, wanted) = (values.len(), kept.types.len());
            return Err(Error::Statement(format!(
                "EXECUTE {name} has {given} values for {wanted} parameters"
            )));
        }
        let mut values = values.to_vec();
        for (value, &data_type) in values.iter_mut().zip(&kept.types) {
            let given = std::mem::replace(value, Value::null(data_type));
            *value =
                planner::converted(given, data_type).map_err(|error| Error::Statement(error.to_string()))?;
        }
        Ok((kept.sql.clone(), values))
    }
}

fn unknown(name: &str) -> Error {
    Error::NotFound(format!("there is no prepared statement '{name}'"))
}

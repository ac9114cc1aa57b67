//! Aggregates that give JSON: the text of each row's element or member, joined as `string_agg` joins, in brackets.

use super::Made;
use super::stateful::{Call, ordered};
use crate::binder::Binder;
use crate::binder::expression::Bound;
use crate::error::{Error, Result};
use crate::logical::SortKey;
use columnar::{DataType, Value};
use exec::Expr;
use exec::plan::StateFunction;

impl Binder<'_> {
    /// All values, nulls too, as an array.
    pub(super) fn json_array(
        &mut self,
        call: Call<'_>,
        args: Vec<Bound>,
        mut keys: Vec<SortKey>,
    ) -> Result<Made> {
        let [value] = <[Bound; 1]>::try_from(args).map_err(|_| call.takes("one argument"))?;
        let span = value.span;
        let own = value.expr.clone();
        if call.distinct {
            if keys.iter().any(|key| key.expr != own) {
                let message =
                    "where the values of an aggregate are DISTINCT, they are what its order can be by";
                return Err(Error::value(message).at(call.span));
            }
            if keys.is_empty() {
                keys.push(SortKey { expr: own, descending: false, nulls_first: false });
            }
        }
        let element = self.call("json_element", vec![value], span)?;
        let between = if call.name == "json_group_array" { "," } else { ", " };
        enclosed(call, element, between, keys, "json_elements")
    }

    /// Keys and values as an object; a key that is null is an error.
    pub(super) fn json_object(
        &mut self,
        call: Call<'_>,
        args: Vec<Bound>,
        keys: Vec<SortKey>,
    ) -> Result<Made> {
        let [key, value] = <[Bound; 2]>::try_from(args).map_err(|_| call.takes("a key and a value"))?;
        if call.distinct {
            return Err(Error::unsupported(format!("{}() of DISTINCT members", call.name)).at(call.span));
        }
        let span = key.span;
        let (colon, between, function) = match call.name {
            "json_object_agg" => (" : ", ", ", "json_wide_members"),
            _ => (":", ",", "json_members"),
        };
        let colon = Bound::typed(Expr::Literal(Value::varchar(colon)), span);
        let member = self.call("json_member", vec![key, value, colon], span)?;
        enclosed(call, member, between, keys, function)
    }
}

fn enclosed(
    call: Call<'_>,
    text: Expr,
    between: &str,
    keys: Vec<SortKey>,
    function: &'static str,
) -> Result<Made> {
    let data_type = DataType::Json { canonical: call.name.starts_with("jsonb") };
    let between = Expr::Literal(Value::varchar(between));
    match ordered(call, StateFunction::StringAgg, vec![text, between], keys)? {
        Made::Call(aggregate) => Ok(Made::Enclosed(aggregate, function, data_type)),
        _ => Err(Error::internal("an aggregate of texts that is none")),
    }
}

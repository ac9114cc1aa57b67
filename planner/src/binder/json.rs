//! What SQL writes of JSON and bit strings that is no plain call.

use super::Binder;
use super::expression::{Bound, Context};
use crate::error::{Error, Result};
use columnar::{DataType, Value};
use exec::Expr;
use sqlparser::ast::{self, AccessExpr, JsonPredicateType, Subscript};
use sqlparser::tokenizer::Span;

impl Binder<'_> {
    /// `x IS JSON [VALUE|OBJECT|ARRAY|SCALAR]`.
    pub(super) fn is_json(
        &mut self,
        input: &ast::Expr,
        kind: Option<&JsonPredicateType>,
        asks_for_keys: bool,
        context: &mut Context<'_>,
    ) -> Result<Expr> {
        if asks_for_keys {
            return Err(Error::unsupported("IS JSON WITH or WITHOUT UNIQUE KEYS"));
        }
        let kind = match kind {
            None | Some(JsonPredicateType::Value) => "value",
            Some(JsonPredicateType::Object) => "object",
            Some(JsonPredicateType::Array) => "array",
            Some(JsonPredicateType::Scalar) => "scalar",
        };
        let input = self.bind(input, context)?;
        let span = input.span;
        let kind = Bound::typed(Expr::Literal(Value::varchar(kind)), span);
        self.call("is_json", vec![input, kind], span)
    }

    /// `j['a'][0]` of JSON is `j -> 'a' -> 0`.
    pub(super) fn subscripts(
        &mut self,
        root: &ast::Expr,
        chain: &[AccessExpr],
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<Bound> {
        let mut value = self.bind(root, context)?;
        for access in chain {
            let found = value.data_type();
            let (AccessExpr::Subscript(Subscript::Index { index }), DataType::Json { .. }) = (access, found)
            else {
                return Err(Error::unsupported(format!("{access} of {found}")).at(span));
            };
            let index = self.bind(index, context)?;
            value = Bound::typed(self.call("->", vec![value, index], span)?, span);
        }
        Ok(value)
    }

    /// A cast to `BIT(n)` keeps the first bits or puts zeros behind them; of an integer it keeps the last bits. One to
    /// `BIT VARYING(n)` does not lengthen.
    pub(super) fn cast_to_bits(
        &mut self,
        input: Bound,
        length: u64,
        is_fixed: bool,
        try_cast: bool,
        span: Span,
    ) -> Result<Expr> {
        let number = |value: u64| {
            let value = i64::try_from(value).map_err(|_| Error::value("a BIT of so many bits").at(span))?;
            Ok(Bound::typed(Expr::Literal(Value::int64(value)), span))
        };
        if length == 0 {
            return Err(Error::value("a BIT has at least one bit").at(span));
        }
        if input.data_type().is_integer() && is_fixed {
            return self.call("bit_of", vec![input, number(length)?], span);
        }
        let bits = self.cast(input, DataType::Bits, try_cast)?;
        let bits = Bound::typed(bits, span);
        match is_fixed {
            true => self.call("bit_fit", vec![bits, number(length)?], span),
            false => self.call("substring", vec![bits, number(1)?, number(length)?], span),
        }
    }
}

//! What SQL writes of JSON and bit strings that is no plain call.

use super::Binder;
use super::constants::fold;
use super::expression::{Bound, Context, Literal};
use crate::error::{Error, Result};
use crate::parse;
use columnar::{DataType, Scalar, Value};
use exec::Expr;
use sqlparser::ast::{self, JsonPredicateType};
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

    /// What a call of JSON means by the text of an argument; `None` where the types alone decide.
    pub(super) fn json_meaning(&mut self, name: &str, args: &[Bound], span: Span) -> Result<Option<Expr>> {
        let wild = |path: &Bound| text_of(path).is_some_and(|path| exec::functions::is_wild_path(&path));
        Ok(Some(match (name, args) {
            ("->" | "json_extract" | "json_extract_path" | "jsonb_extract_path", [_, path]) if wild(path) => {
                self.call("json_extract_all", args.to_vec(), span)?
            }
            (
                "->>" | "json_extract_string" | "json_extract_path_text" | "jsonb_extract_path_text",
                [_, path],
            ) if wild(path) => self.call("json_extract_all_string", args.to_vec(), span)?,
            (
                "from_json" | "json_transform" | "from_json_strict" | "json_transform_strict",
                [document, structure],
            ) => self.json_transform(name, document, structure)?,
            _ => return Ok(None),
        }))
    }

    /// `from_json(document, structure)`: the structure names the type.
    fn json_transform(&mut self, name: &str, document: &Bound, structure: &Bound) -> Result<Expr> {
        let Some(text) = text_of(structure) else {
            let message = format!("the structure of {name}() is a literal text");
            return Err(Error::unsupported(message).at(structure.span).hint("write '{\"a\": \"INTEGER\"}'"));
        };
        let wrong = |message: String| Error::value(message).at(structure.span);
        let written = exec::functions::structure_type(&text).map_err(|error| wrong(error.to_string()))?;
        let cast = parse::expression_of(&format!("CAST(NULL AS {written})"));
        let Ok(ast::Expr::Cast { data_type, .. }) = cast.map(|kept| kept.syntax) else {
            return Err(wrong(format!("{written} is no type")));
        };
        let data_type = self.type_of(&data_type).map_err(|error| error.at(structure.span))?;
        let json = DataType::Json { canonical: false };
        let document = match document.data_type() {
            DataType::Json { .. } => document.expr.clone(),
            DataType::Varchar => self.cast(document.clone(), json, false)?,
            _ => self.coerce(document.clone(), json)?,
        };
        let function = if name.ends_with("strict") { "from_json_strict" } else { "from_json" };
        Ok(fold(Expr::Call { function: function.into(), args: vec![document], data_type }))
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

/// The literal text that an argument is, if it is one.
fn text_of(bound: &Bound) -> Option<String> {
    match (&bound.literal, &bound.expr) {
        (Literal::Text, Expr::Literal(Value { scalar: Scalar::Bytes(bytes), .. })) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => None,
    }
}

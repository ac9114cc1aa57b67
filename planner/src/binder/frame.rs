//! The frames of windows: what PostgreSQL allows, and offsets in the type of what they are counted in.

use super::Binder;
use super::constants::fold;
use super::expression::{Bound, Context};
use super::types;
use super::window::Specification;
use crate::error::{Error, Result};
use crate::logical::SortKey;
use columnar::{DataType, Scalar, Value, types::DECIMAL_MAX_PRECISION};
use exec::Expr;
use exec::plan::{FrameBound, FrameUnit, WindowFrame};
use sqlparser::ast::{self, WindowFrameBound, WindowFrameUnits};
use sqlparser::tokenizer::Span;

impl Binder<'_> {
    /// The frame that was written, or else the rows up to the row itself and its peers.
    pub(super) fn frame(
        &mut self,
        written: &Specification,
        order: &[SortKey],
        span: Span,
        context: &mut Context<'_>,
    ) -> Result<WindowFrame> {
        let Some(frame) = &written.frame else {
            let range =
                WindowFrame { unit: FrameUnit::Range, end: FrameBound::CurrentRow, ..WindowFrame::whole() };
            return Ok(if order.is_empty() { WindowFrame::whole() } else { range });
        };
        let unit = match frame.units {
            WindowFrameUnits::Rows => FrameUnit::Rows,
            WindowFrameUnits::Range => FrameUnit::Range,
            WindowFrameUnits::Groups => FrameUnit::Groups,
        };
        let end = frame.end_bound.clone().unwrap_or(WindowFrameBound::CurrentRow);
        check_bounds(&frame.start_bound, &end).map_err(|message| Error::value(message).at(span))?;
        if unit == FrameUnit::Groups && order.is_empty() {
            return Err(Error::value("a frame in GROUPS needs ORDER BY").at(span));
        }
        let offsets = [&frame.start_bound, &end].map(|bound| match bound {
            WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) => {
                Some(offset.as_ref())
            }
            _ => None,
        });
        let mut bound = Vec::new();
        for offset in offsets.into_iter().flatten() {
            bound.push(self.bind(offset, context)?);
        }
        let (mut values, mut key) = (Vec::new(), None);
        if unit == FrameUnit::Range && !bound.is_empty() {
            let [only] = order else {
                let message = "RANGE with an offset needs ORDER BY of one expression";
                return Err(Error::value(message).at(span));
            };
            let (of_range, offsets) = self.range(only.expr.clone(), bound, span)?;
            (key, values) = (Some(of_range), offsets);
        } else {
            for offset in bound {
                let span = offset.span;
                let offset = self.coerce(offset, DataType::Int64)?;
                values.push(constant(offset, span)?);
            }
        }
        let mut values = values.into_iter();
        let mut bound_of = |bound: &WindowFrameBound| -> Result<FrameBound> {
            let mut offset = || values.next().ok_or_else(|| Error::internal("an offset is missing"));
            Ok(match bound {
                WindowFrameBound::CurrentRow => FrameBound::CurrentRow,
                WindowFrameBound::Preceding(None) => FrameBound::UnboundedPreceding,
                WindowFrameBound::Following(None) => FrameBound::UnboundedFollowing,
                WindowFrameBound::Preceding(Some(_)) => FrameBound::Preceding(offset()?),
                WindowFrameBound::Following(Some(_)) => FrameBound::Following(offset()?),
            })
        };
        let (mut start, mut end) = (bound_of(&frame.start_bound)?, bound_of(&end)?);
        if unit != FrameUnit::Rows && order.is_empty() {
            // All rows are peers.
            if start == FrameBound::CurrentRow {
                start = FrameBound::UnboundedPreceding;
            }
            if end == FrameBound::CurrentRow {
                end = FrameBound::UnboundedFollowing;
            }
        }
        let exclusion = written.exclusion;
        Ok(WindowFrame { unit, start, end, exclusion, key })
    }

    /// The key and the offsets of a range in types that go together; the order by the key is that of `key`.
    fn range(&mut self, key: Expr, offsets: Vec<Bound>, span: Span) -> Result<(Expr, Vec<Value>)> {
        let found = key.data_type();
        let is_moment = matches!(found, DataType::Date | DataType::Timestamp { .. });
        let mut typed = Vec::with_capacity(offsets.len());
        for offset in offsets {
            let span = offset.span;
            // Text says what it means only beside the key.
            let expr = match offset.data_type() {
                DataType::Null => {
                    let target = if is_moment { DataType::Interval } else { found };
                    self.coerce(offset, target)?
                }
                _ => offset.expr,
            };
            typed.push((expr, span));
        }
        let refuse = |offset: DataType, span: Span| {
            let message =
                format!("RANGE with an offset of {offset} is not possible where ORDER BY is {found}");
            Error::value(message).at(span)
        };
        let cast = |input: Expr, data_type: DataType| match input.data_type() == data_type {
            true => input,
            false => fold(Expr::Cast { input: Box::new(input), data_type, try_cast: false }),
        };
        let types: Vec<DataType> = typed.iter().map(|(expr, _)| expr.data_type()).collect();
        let all = |test: &dyn Fn(DataType) -> bool| types.iter().all(|&data_type| test(data_type));
        let (key, target) = if found.is_numeric() && all(&|offset| offset.is_numeric()) {
            if found.is_float() || !all(&|offset| !offset.is_float()) {
                let key = if found.is_float() { key } else { cast(key, DataType::Float64) };
                (key, DataType::Float64)
            } else {
                let scale = |data_type| types::integer_as_decimal(data_type).map_or(0, |(_, scale)| scale);
                let (digits, own) = types::integer_as_decimal(found).unwrap_or((DECIMAL_MAX_PRECISION, 0));
                let most = types.iter().map(|&offset| scale(offset)).fold(own, u8::max);
                let digits = (digits + most - own).min(DECIMAL_MAX_PRECISION);
                let key = if most == own { key } else { cast(key, DataType::decimal(digits, most)) };
                (key, DataType::decimal(DECIMAL_MAX_PRECISION, most))
            }
        } else if all(&|offset| offset == DataType::Interval) && (is_moment || found == DataType::Interval) {
            // A day moved by an interval is a moment.
            let key = if found == DataType::Date { cast(key, DataType::TIMESTAMP) } else { key };
            (key, DataType::Interval)
        } else if found == DataType::Date && all(&DataType::is_integer) {
            (key, DataType::decimal(DECIMAL_MAX_PRECISION, 0))
        } else {
            let (offset, span) =
                typed.first().map_or((DataType::Null, span), |(expr, span)| (expr.data_type(), *span));
            return Err(refuse(offset, span));
        };
        let by_zone = super::zones::is_zoned(found) && self.zone().is_some();
        let mut values = Vec::with_capacity(typed.len());
        for (offset, span) in typed {
            let value = constant(cast(offset, target), span)?;
            if let (true, Scalar::Interval(offset)) = (by_zone, &value.scalar)
                && (offset.months != 0 || offset.days != 0)
            {
                let what = "a RANGE of days or months over TIMESTAMP WITH TIME ZONE in another zone than UTC";
                return Err(Error::unsupported(what).at(span).hint("order by the moment AT TIME ZONE"));
            }
            values.push(value);
        }
        Ok((key, values))
    }
}

/// An offset's value.
fn constant(offset: Expr, span: Span) -> Result<Value> {
    let Expr::Literal(value) = fold(offset) else {
        return Err(Error::unsupported("an offset of a frame that is no constant").at(span));
    };
    let negative = match &value.scalar {
        Scalar::Null => return Err(Error::value("the offset of a frame is null").at(span)),
        Scalar::Integer(offset) => *offset < 0,
        Scalar::Float(offset) => offset.is_nan() || *offset < 0.0,
        Scalar::Interval(offset) => offset.comparison_micros() < 0,
        _ => return Err(Error::value(format!("{value} is no offset of a frame")).at(span)),
    };
    match negative {
        true => Err(Error::value("the offset of a frame is negative").at(span)),
        false => Ok(value),
    }
}

/// Says what is wrong with a pair of bounds.
fn check_bounds(start: &WindowFrameBound, end: &WindowFrameBound) -> std::result::Result<(), &'static str> {
    use ast::WindowFrameBound::{CurrentRow, Following, Preceding};
    match (start, end) {
        (Following(None), _) => Err("a frame cannot start with UNBOUNDED FOLLOWING"),
        (_, Preceding(None)) => Err("a frame cannot end with UNBOUNDED PRECEDING"),
        (CurrentRow, Preceding(_)) => Err("a frame that starts with the current row has no preceding rows"),
        (Following(_), Preceding(_)) => Err("a frame that starts with a following row has no preceding rows"),
        (Following(_), CurrentRow) => Err("a frame that starts with a following row has no current row"),
        _ => Ok(()),
    }
}

//! Splits a scan's conjunction into what storage tests on encoded columns and what is evaluated on rows.

use super::text_test::text_test;
use crate::error::Result;
use crate::expr::{CompareOp, Expr};
use crate::expression::{Compiled, cast_to_physical};
use crate::shape::Shape;
use columnar::{Batch, Bitmap, Constant, DataType, PhysicalType, Scalar, Value, Vector};
use std::sync::Arc;
use storage::{ColumnPredicate, Test, VectorTest};

/// A conjunction, split.
pub(super) struct Predicate {
    /// No row can match.
    pub(super) never: bool,
    pub(super) tests: Vec<ColumnPredicate>,
    /// In the order in which they are evaluated: those that may fail come last.
    pub(super) residual: Vec<Residual>,
}

/// A predicate evaluated on rows.
pub(super) struct Residual {
    pub(super) compiled: Compiled,
    /// The columns that it was compiled for, by their positions in the schema.
    pub(super) columns: Vec<(u32, PhysicalType)>,
}

impl Predicate {
    /// Splits `conjuncts`, whose columns count by the schema of which `shapes` are the columns.
    pub(super) fn new(conjuncts: &[Expr], shapes: &[Shape]) -> Result<Predicate> {
        let mut predicate = Predicate { never: false, tests: Vec::new(), residual: Vec::new() };
        let mut fallible = Vec::new();
        for conjunct in flattened(conjuncts) {
            if let Expr::Literal(value) = conjunct {
                predicate.never |= value.scalar != Scalar::Boolean(true);
                continue;
            }
            if let Some(test) = column_test(conjunct) {
                predicate.tests.push(test);
                continue;
            }
            if let Some((column, text)) = text_test(conjunct) {
                predicate.tests.push(ColumnPredicate { column, test: Test::Text(Arc::new(text)) });
                continue;
            }
            let residual = Residual::new(conjunct, shapes)?;
            match residual.columns[..] {
                _ if residual.compiled.is_fallible() => fallible.push(residual),
                [(column, _)] if !passes_null(&residual.compiled, &shapes[column as usize])? => {
                    let physical = shapes[column as usize].physical;
                    let test = CompiledTest { compiled: residual.compiled, physical };
                    predicate.tests.push(ColumnPredicate { column, test: Test::Custom(Arc::new(test)) });
                }
                _ => predicate.residual.push(residual),
            }
        }
        predicate.residual.append(&mut fallible);
        join_ranges(&mut predicate.tests, shapes);
        Ok(predicate)
    }
}

fn flattened(conjuncts: &[Expr]) -> Vec<&Expr> {
    let mut flat = Vec::new();
    for conjunct in conjuncts {
        match conjunct {
            Expr::And(operands) => flat.extend(flattened(operands)),
            other => flat.push(other),
        }
    }
    flat
}

/// The test that storage knows for an expression, if there is one.
fn column_test(expr: &Expr) -> Option<ColumnPredicate> {
    let (column, test) = match expr {
        Expr::Compare { op, left, right } => {
            let (column, op, value) = match (&**left, &**right) {
                (Expr::Column { id, .. }, Expr::Literal(value)) => (*id, *op, value),
                (Expr::Literal(value), Expr::Column { id, .. }) => (*id, op.swapped(), value),
                _ => return None,
            };
            (column, Test::Compare(storage_op(op, value)?, value.scalar.clone()))
        }
        Expr::InList { input, list, negated: false } => {
            let Expr::Column { id, .. } = &**input else { return None };
            (*id, Test::In(list.iter().map(|value| value.scalar.clone()).collect()))
        }
        Expr::IsNull { input, negated } => {
            let Expr::Column { id, .. } = &**input else { return None };
            (*id, if *negated { Test::IsNotNull } else { Test::IsNull })
        }
        Expr::Column { id, data_type: DataType::Boolean } => {
            (*id, Test::Compare(storage::CompareOp::Equal, Scalar::Boolean(true)))
        }
        Expr::Not(input) => {
            let Expr::Column { id, data_type: DataType::Boolean } = **input else { return None };
            (id, Test::Compare(storage::CompareOp::Equal, Scalar::Boolean(false)))
        }
        _ => return None,
    };
    Some(ColumnPredicate { column, test })
}

/// The comparison as storage has it. Null passes none of storage's, so distinctness is taken only where it
/// agrees.
pub(super) fn storage_op(op: CompareOp, value: &Value) -> Option<storage::CompareOp> {
    Some(match op {
        CompareOp::Equal => storage::CompareOp::Equal,
        CompareOp::NotEqual => storage::CompareOp::NotEqual,
        CompareOp::Less => storage::CompareOp::Less,
        CompareOp::LessOrEqual => storage::CompareOp::LessOrEqual,
        CompareOp::Greater => storage::CompareOp::Greater,
        CompareOp::GreaterOrEqual => storage::CompareOp::GreaterOrEqual,
        CompareOp::IsNotDistinctFrom if !value.is_null() => storage::CompareOp::Equal,
        CompareOp::IsDistinctFrom | CompareOp::IsNotDistinctFrom => return None,
    })
}

impl Residual {
    fn new(expr: &Expr, shapes: &[Shape]) -> Result<Residual> {
        let mut columns: Vec<u32> = Vec::new();
        expr.visit(&mut |node| {
            if let Expr::Column { id, .. } = node
                && !columns.contains(id)
            {
                columns.push(*id);
            }
        });
        // A column beyond the schema keeps its number, which the compiler refuses.
        let position = |id: u32| columns.iter().position(|&column| column == id).map_or(id, |at| at as u32);
        let moved = expr.clone().transform(&mut |node| match node {
            Expr::Column { id, data_type } if shapes.len() > id as usize => {
                Expr::Column { id: position(id), data_type }
            }
            Expr::Column { data_type, .. } => Expr::Column { id: u32::MAX, data_type },
            other => other,
        });
        let known = columns.iter().filter_map(|&column| Some((column, shapes.get(column as usize)?)));
        let input: Vec<Shape> = known.clone().map(|(_, shape)| shape.clone()).collect();
        let compiled = Compiled::compile(&moved, &input)?;
        let columns = known.map(|(column, shape)| (column, shape.physical)).collect();
        Ok(Residual { compiled, columns })
    }
}

/// Whether an infallible predicate over one column is true for null: storage would let no null pass.
fn passes_null(compiled: &Compiled, shape: &Shape) -> Result<bool> {
    if !shape.nullable {
        return Ok(false);
    }
    let null = Constant { value: Value::null(shape.data_type), physical: shape.physical, len: 1 };
    Ok(!compiled.matches(&Batch::new(vec![Vector::Constant(null)]))?.none())
}

/// A predicate over one column that storage evaluates through us.
struct CompiledTest {
    compiled: Compiled,
    /// The width that it was compiled for.
    physical: PhysicalType,
}

impl VectorTest for CompiledTest {
    fn test(&self, values: &Vector) -> storage::Result<Bitmap> {
        let batch = match values.physical() == self.physical {
            true => Batch::new(vec![values.clone()]),
            false => Batch::new(vec![cast_to_physical(values, self.physical)]),
        };
        self.compiled.matches(&batch).map_err(|error| storage::Error::Internal(error.to_string()))
    }
}

/// Makes one `Between` of a lower and an upper bound on one integral column.
fn join_ranges(tests: &mut Vec<ColumnPredicate>, shapes: &[Shape]) {
    let bound = |predicate: &ColumnPredicate| {
        let Test::Compare(op, Scalar::Integer(value)) = predicate.test else { return None };
        let integral =
            shapes.get(predicate.column as usize).is_some_and(|shape| shape.data_type.is_integral());
        match op {
            _ if !integral => None,
            storage::CompareOp::GreaterOrEqual => Some((true, value)),
            storage::CompareOp::Greater => Some((true, value.checked_add(1)?)),
            storage::CompareOp::LessOrEqual => Some((false, value)),
            storage::CompareOp::Less => Some((false, value.checked_sub(1)?)),
            _ => None,
        }
    };
    let mut index = 0;
    while index < tests.len() {
        if let Some((true, low)) = bound(&tests[index]) {
            let upper = tests.iter().enumerate().find_map(|(at, other)| match bound(other) {
                Some((false, high)) if other.column == tests[index].column => Some((at, high)),
                _ => None,
            });
            if let Some((at, high)) = upper {
                tests[index].test = Test::Between(Scalar::Integer(low), Scalar::Integer(high));
                tests.remove(at);
                // What stood behind the upper bound has moved by one.
                index -= usize::from(at < index);
            }
        }
        index += 1;
    }
}

//! The compiled tree: what each node gives, and how one is evaluated.

use super::cast_to_physical;
use super::distinct::DistinctCache;
use crate::{Error, Result, Shape};
use columnar::kernels::{boolean::Truth, select, take};
use columnar::{Bitmap, Constant, DataType, Flat, PhysicalType, Scalar, Value, Values, Vector};
use std::fmt::Debug;

/// The columns an expression reads, and how many rows they have.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) columns: &'a [Vector],
    pub(crate) rows: usize,
}

/// What a node computes from its input.
pub(crate) trait Operation: Debug + Send + Sync {
    /// A value for every row, at the width of the node's shape. There is at least one row.
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector>;
}

/// A compiled sub-expression.
#[derive(Debug)]
pub(crate) struct Node {
    shape: Shape,
    fallible: bool,
    /// Worth more than taking its inputs out for a few rows.
    costly: bool,
    /// Has another value each time it is asked.
    volatile: bool,
    /// Some part makes much out of little, which is not for the time of planning.
    grows: bool,
    /// The columns it reads, ascending.
    columns: Vec<usize>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Column(usize),
    Constant(Value),
    Operation { operation: Box<dyn Operation>, distinct: Option<DistinctCache> },
}

impl Node {
    pub(crate) fn column(position: usize, shape: Shape) -> Node {
        let form = Form::Column(position);
        Node {
            shape,
            fallible: false,
            costly: false,
            volatile: false,
            grows: false,
            columns: vec![position],
            form,
        }
    }

    pub(crate) fn constant(value: Value) -> Node {
        let integer = match value.scalar {
            Scalar::Integer(integer) => integer,
            _ => 0,
        };
        let mut shape = Shape::of_type(value.data_type);
        shape.nullable = value.is_null();
        if value.data_type.is_integral() {
            shape.bounds = Some((integer, integer));
            shape.physical = PhysicalType::for_bounds(integer, integer);
        }
        let form = Form::Constant(value);
        Node {
            shape,
            fallible: false,
            costly: false,
            volatile: false,
            grows: false,
            columns: Vec::new(),
            form,
        }
    }

    /// A node without inputs whose operation gives other values in each row and each time.
    pub(crate) fn volatile(shape: Shape, operation: Box<dyn Operation>) -> Node {
        let form = Form::Operation { operation, distinct: None };
        Node {
            shape,
            fallible: false,
            costly: false,
            volatile: true,
            grows: false,
            columns: Vec::new(),
            form,
        }
    }

    /// A node whose operation takes `children`. `fallible` says whether the operation itself may fail.
    /// Without columns it is evaluated at once; should that fail, it fails again where a row needs it.
    pub(crate) fn over(
        children: Vec<Node>,
        shape: Shape,
        fallible: bool,
        operation: impl FnOnce(Vec<Node>) -> Box<dyn Operation>,
    ) -> Node {
        let grows = children.iter().any(|child| child.grows);
        Node { grows, ..Node::unfolded(children, shape, fallible, false, operation) }.folded()
    }

    /// As [`Node::over`], of an operation that makes much out of little, or that may itself give other values each
    /// time.
    pub(crate) fn unfolded(
        children: Vec<Node>,
        shape: Shape,
        fallible: bool,
        volatile: bool,
        operation: impl FnOnce(Vec<Node>) -> Box<dyn Operation>,
    ) -> Node {
        let mut columns: Vec<usize> = children.iter().flat_map(|child| &child.columns).copied().collect();
        columns.sort_unstable();
        columns.dedup();
        let fallible = fallible || children.iter().any(|child| child.fallible);
        let costly = children.iter().any(|child| child.costly);
        let volatile = volatile || children.iter().any(|child| child.volatile);
        let distinct = (columns.len() == 1 && !volatile).then(DistinctCache::default);
        let form = Form::Operation { operation: operation(children), distinct };
        Node { shape, fallible, costly, volatile, grows: true, columns, form }
    }

    fn folded(self) -> Node {
        if !self.columns.is_empty() || self.volatile || self.grows {
            return self;
        }
        match self.evaluate(&Input { columns: &[], rows: 1 }) {
            Ok(vector) => Node::constant(Value::new(self.shape.data_type, vector.scalar(0))),
            Err(_) => self,
        }
    }

    /// Marks the node as one that is better run on few rows.
    pub(crate) fn costly(mut self) -> Node {
        self.costly = true;
        self
    }

    /// Says that whatever its inputs do, the node does not fail.
    pub(crate) fn infallible(mut self) -> Node {
        self.fallible = false;
        self
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(crate) fn data_type(&self) -> DataType {
        self.shape.data_type
    }

    pub(crate) fn is_volatile(&self) -> bool {
        self.volatile
    }

    pub(crate) fn is_fallible(&self) -> bool {
        self.fallible
    }

    pub(crate) fn is_costly(&self) -> bool {
        self.costly
    }

    /// Its value, where it is known at compile time.
    pub(crate) fn known(&self) -> Option<&Value> {
        match &self.form {
            Form::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Bounds of the integer behind the values; those of the width where none are known.
    pub(crate) fn bounds(&self) -> (i128, i128) {
        self.shape.bounds.or_else(|| self.shape.physical.integer_bounds()).unwrap_or((0, 0))
    }

    pub(crate) fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let vector = match &self.form {
            Form::Column(position) => {
                let column = input.columns.get(*position).ok_or_else(|| {
                    Error::Internal(format!(
                        "an expression reads column {position} of {}",
                        input.columns.len()
                    ))
                })?;
                cast_to_physical(column, self.shape.physical)
            }
            Form::Constant(value) => Vector::Constant(Constant {
                value: value.clone(),
                physical: self.shape.physical,
                len: input.rows,
            }),
            Form::Operation { operation, distinct } => self.operate(operation.as_ref(), distinct, input)?,
        };
        debug_assert_eq!(vector.physical(), self.shape.physical, "{self:?}");
        debug_assert_eq!(vector.len(), input.rows, "{self:?}");
        Ok(vector)
    }

    fn operate(
        &self,
        operation: &dyn Operation,
        distinct: &Option<DistinctCache>,
        input: &Input<'_>,
    ) -> Result<Vector> {
        if input.rows == 0 {
            let values = select::zeros(self.shape.physical, 0);
            return Ok(Flat::new(self.shape.data_type, values, None).into());
        }
        let column = |position: usize| input.columns.get(position);
        if input.rows > 1
            && !self.volatile
            && self.columns.iter().all(|&position| matches!(column(position), Some(Vector::Constant(_))))
        {
            let columns: Vec<Vector> = input
                .columns
                .iter()
                .enumerate()
                .map(|(position, column)| match self.columns.contains(&position) {
                    true => column.slice(0, 1),
                    false => absent(1),
                })
                .collect();
            let one = operation.evaluate(&Input { columns: &columns, rows: 1 })?;
            let value = Value::new(self.shape.data_type, one.scalar(0));
            return Ok(Vector::Constant(Constant { value, physical: self.shape.physical, len: input.rows }));
        }
        if let (Some(cache), [position]) = (distinct, &self.columns[..])
            && let Some(Vector::Dictionary(codes)) = column(*position)
        {
            return cache.evaluate(&self.shape, operation, *position, codes);
        }
        operation.evaluate(input)
    }

    /// A boolean node's truth values.
    pub(crate) fn truth(&self, input: &Input<'_>) -> Result<Truth> {
        Ok(truth_of(self.evaluate(input)?))
    }

    /// As [`Node::evaluate`] of `rows` only (ascending), in their order.
    pub(crate) fn evaluate_rows(&self, input: &Input<'_>, rows: &[u32]) -> Result<Vector> {
        let columns: Vec<Vector> = input
            .columns
            .iter()
            .enumerate()
            .map(|(position, column)| match self.columns.contains(&position) {
                true => take::take(column, rows),
                false => absent(rows.len()),
            })
            .collect();
        self.evaluate(&Input { columns: &columns, rows: rows.len() })
    }
}

/// Stands for a column that nobody reads.
fn absent(len: usize) -> Vector {
    Vector::constant(Value::null(DataType::Null), len)
}

/// A boolean vector as truth values.
pub(crate) fn truth_of(vector: Vector) -> Truth {
    let flat = vector.flatten();
    match flat.values {
        Values::Bool(values) => Truth::new(values, flat.validity),
        // A bare NULL.
        other => Truth::new(Bitmap::filled(false, other.len()), Some(Bitmap::filled(false, other.len()))),
    }
}

/// Truth values as a vector.
pub(crate) fn boolean_vector(truth: Truth) -> Vector {
    Flat::new(DataType::Boolean, Values::Bool(truth.values), truth.validity).into()
}

/// The shape of a boolean result.
pub(crate) fn boolean_shape(nullable: bool) -> Shape {
    Shape { nullable, ..Shape::of_type(DataType::Boolean) }
}

/// The shape of a result that is not an integer underneath, or of which no bounds are known.
pub(crate) fn plain_shape(data_type: DataType, nullable: bool) -> Shape {
    Shape { nullable, ..Shape::of_type(data_type) }
}

/// The shape of an integral result within `bounds`, at the narrowest width.
pub(crate) fn bounded_shape(data_type: DataType, nullable: bool, bounds: (i128, i128)) -> Shape {
    let physical = PhysicalType::for_bounds(bounds.0, bounds.1);
    Shape { data_type, physical, nullable, bounds: Some(bounds) }
}

/// An operand in one of two forms.
pub(crate) enum Side {
    Flat(Flat),
    /// Never null: a null constant makes its operation null (see [`null_vector`]).
    Constant(Scalar),
    Null,
}

impl Side {
    pub(crate) fn of(vector: Vector) -> Side {
        match vector {
            Vector::Constant(Constant { value: Value { scalar: Scalar::Null, .. }, .. }) => Side::Null,
            Vector::Constant(constant) => Side::Constant(constant.value.scalar),
            other => Side::Flat(other.flatten()),
        }
    }

    pub(crate) fn validity(&self) -> Option<&Bitmap> {
        match self {
            Side::Flat(flat) => flat.validity.as_ref(),
            _ => None,
        }
    }
}

/// `rows` nulls of a shape.
pub(crate) fn null_vector(shape: &Shape, rows: usize) -> Vector {
    Vector::Constant(Constant { value: Value::null(shape.data_type), physical: shape.physical, len: rows })
}

/// Whether some valid row passes a test that only failing rows pass.
pub(crate) fn any_valid(validity: Option<&Bitmap>, rows: usize, fails: impl Fn(usize) -> bool) -> bool {
    match validity {
        None => (0..rows).any(fails),
        Some(validity) => validity.ones().any(fails),
    }
}

/// The operands of a binary operation, evaluated.
pub(crate) fn sides(operands: &[Node], input: &Input<'_>) -> Result<(Side, Side)> {
    let [left, right] = operands else {
        return Err(Error::Internal(format!("a binary operation of {} operands", operands.len())));
    };
    Ok((Side::of(left.evaluate(input)?), Side::of(right.evaluate(input)?)))
}

/// Whether a strict operation on both is null in every row: one side is null, and no side may fail.
pub(crate) fn strictly_null(left: &Node, right: &Node) -> bool {
    let both = [left, right];
    both.iter().any(|node| node.known().is_some_and(Value::is_null)) && !both.iter().any(|node| node.fallible)
}

//! `CASE`, `greatest`, `least`: one of several values a row, each computed only for the
//! rows that take it where computing it may fail.

use super::cast_to_physical;
use super::compare::compare_sides;
use super::node::{Input, Node, Operation, Side};
use crate::{CompareOp, Result, Shape};
use columnar::kernels::select::{choose_values, scatter, scatter_bits};
use columnar::kernels::take::indices_of;
use columnar::{Bitmap, DataType, Flat, Value, Vector};

/// Branches of condition and value in order, then the value of rows that meet none.
pub(super) fn case(branches: Vec<(Node, Node)>, otherwise: Option<Node>, data_type: DataType) -> Node {
    let mut children = Vec::new();
    let mut values = Vec::new();
    let mut fixed = None;
    for (condition, value) in branches {
        match condition.known().map(|known| known.scalar == columnar::Scalar::Boolean(true)) {
            Some(false) => continue,
            Some(true) => {
                fixed = Some(value);
                break;
            }
            None => {
                values.push(value.shape().clone());
                children.extend([condition, value]);
            }
        }
    }
    let otherwise = fixed.or(otherwise).unwrap_or_else(|| Node::constant(Value::null(data_type)));
    if children.is_empty() {
        return otherwise;
    }
    values.push(otherwise.shape().clone());
    children.push(otherwise);
    let shape = union_shape(data_type, &values);
    let kept = shape.clone();
    Node::over(children, shape, false, |children| Box::new(Case { children, shape: kept }))
}

/// The shape that holds the values of all of `shapes`.
fn union_shape(data_type: DataType, shapes: &[Shape]) -> Shape {
    let mut union: Option<Shape> = None;
    let nullable = shapes.iter().any(|shape| shape.nullable);
    for shape in shapes {
        union = Some(union.map_or_else(|| shape.clone(), |union| union.union(shape)));
    }
    let mut shape = union.unwrap_or_else(|| Shape::of_type(data_type));
    shape.nullable = nullable;
    shape.data_type = data_type;
    if !data_type.is_integral() {
        shape = Shape { nullable, ..Shape::of_type(data_type) };
    }
    shape
}

#[derive(Debug)]
struct Case {
    /// Condition, value, condition, value, …, otherwise.
    children: Vec<Node>,
    shape: Shape,
}

impl Operation for Case {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let mut open = Bitmap::filled(true, input.rows);
        let mut blend = Blend::new(&self.shape, input.rows);
        let mut children = self.children.chunks_exact(2);
        for branch in children.by_ref() {
            if open.none() {
                break;
            }
            let met = truth_where(&branch[0], input, &open)?.and(&open);
            open = open.and_not(&met);
            blend.take(&branch[1], input, &met)?;
        }
        if let [otherwise] = children.remainder()
            && !open.none()
        {
            blend.take(otherwise, input, &open)?;
        }
        Ok(blend.finish())
    }
}

/// The rows of `open` (and perhaps others) for which a condition is true; a fallible one sees only those.
fn truth_where(condition: &Node, input: &Input<'_>, open: &Bitmap) -> Result<Bitmap> {
    if !condition.is_fallible() || open.all() {
        return Ok(condition.truth(input)?.is_true());
    }
    let rows = indices_of(open);
    let met = super::node::truth_of(condition.evaluate_rows(input, &rows)?).is_true();
    Ok(scatter_bits(&met, &rows, input.rows))
}

/// A result that comes together from several sources.
struct Blend<'a> {
    shape: &'a Shape,
    rows: usize,
    so_far: Option<Vector>,
}

impl<'a> Blend<'a> {
    fn new(shape: &'a Shape, rows: usize) -> Blend<'a> {
        Blend { shape, rows, so_far: None }
    }

    /// Gives the rows of `mask` the values of `node`.
    fn take(&mut self, node: &Node, input: &Input<'_>, mask: &Bitmap) -> Result<()> {
        let count = mask.count_ones();
        if count == 0 {
            return Ok(());
        }
        let partly = count < self.rows;
        let few = node.is_costly() && count * 2 < self.rows;
        let vector = if partly && (node.is_fallible() || few) {
            let rows = indices_of(mask);
            let flat = node.evaluate_rows(input, &rows)?.flatten();
            let validity = flat.validity.as_ref().map(|bits| scatter_bits(bits, &rows, self.rows));
            Flat::new(flat.data_type, scatter(&flat.values, &rows, self.rows), validity).into()
        } else {
            node.evaluate(input)?
        };
        self.put(mask, vector);
        Ok(())
    }

    fn put(&mut self, mask: &Bitmap, vector: Vector) {
        let typed = typed(vector, self.shape);
        let Some(below) = self.so_far.take() else {
            // Rows outside the mask are overwritten later.
            self.so_far = Some(typed);
            return;
        };
        let (above, below) = (typed.flatten(), below.flatten());
        let values = choose_values(mask, &above.values, &below.values);
        let validity = match (&above.validity, &below.validity) {
            (None, None) => None,
            (above, below) => {
                let all = || Bitmap::filled(true, self.rows);
                let (above, below) = (above.clone().unwrap_or_else(all), below.clone().unwrap_or_else(all));
                let validity = above.and(mask).or(&below.and_not(mask));
                (!validity.all()).then_some(validity)
            }
        };
        self.so_far = Some(Flat::new(self.shape.data_type, values, validity).into());
    }

    fn finish(self) -> Vector {
        self.so_far.unwrap_or_else(|| super::node::null_vector(self.shape, self.rows))
    }
}

/// The vector at the width and of the type of `shape`; a bare NULL takes any type.
fn typed(vector: Vector, shape: &Shape) -> Vector {
    if let Vector::Constant(constant) = &vector
        && constant.value.is_null()
    {
        return super::node::null_vector(shape, constant.len);
    }
    let vector =
        if vector.data_type() == shape.data_type { vector } else { vector.with_type(shape.data_type) };
    cast_to_physical(&vector, shape.physical)
}

/// The greatest or the least of `args`, nulls left out (PostgreSQL's rule); null of nulls alone.
pub(crate) fn extreme(greatest: bool, args: Vec<Node>, data_type: DataType) -> Node {
    let shapes: Vec<Shape> = args.iter().map(|node| node.shape().clone()).collect();
    let mut shape = union_shape(data_type, &shapes);
    shape.nullable = shapes.iter().all(|shape| shape.nullable);
    let kept = shape.clone();
    Node::over(args, shape, false, |args| Box::new(Extreme { greatest, args, shape: kept }))
}

#[derive(Debug)]
struct Extreme {
    greatest: bool,
    args: Vec<Node>,
    shape: Shape,
}

impl Operation for Extreme {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let mut blend = Blend::new(&self.shape, input.rows);
        let op = if self.greatest { CompareOp::Greater } else { CompareOp::Less };
        let all = || Bitmap::filled(true, input.rows);
        for arg in &self.args {
            let vector = typed(arg.evaluate(input)?, &self.shape);
            let Some(best) = &blend.so_far else {
                blend.put(&all(), vector);
                continue;
            };
            let (valid, best_valid) =
                (vector.validity().unwrap_or_else(all), best.validity().unwrap_or_else(all));
            let (candidate, best) = (vector.flatten(), best.flatten());
            let beats =
                compare_sides(op, &Side::Flat(candidate), &Side::Flat(best), self.shape.physical, input.rows);
            let taken = valid.and(&beats.or(&best_valid.not()));
            blend.put(&taken, vector);
        }
        Ok(blend.finish())
    }
}

//! What a pipeline knows of a column before it runs.

use crate::plan::ReceivedColumn;
use columnar::{DataType, PhysicalType};

/// A column in flight: its meaning, its width, and what has been proven of its values. Facts come from the
/// pinned segments, so code may rely on them to leave checks out and to stay narrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub data_type: DataType,
    /// The width of every vector of the column (of the values behind codes, too).
    pub physical: PhysicalType,
    /// Whether a null can occur.
    pub nullable: bool,
    /// Inclusive bounds of the unscaled integer, for integral types.
    pub bounds: Option<(i128, i128)>,
}

impl Shape {
    /// A column of which only the type is known, at the canonical width.
    pub fn of_type(data_type: DataType) -> Shape {
        Shape {
            data_type,
            physical: data_type.physical(),
            nullable: true,
            bounds: data_type.integer_bounds(),
        }
    }

    /// Shapes of columns of which only the types are known.
    pub fn of_types(types: &[DataType]) -> Vec<Shape> {
        types.iter().map(|&data_type| Shape::of_type(data_type)).collect()
    }

    /// A column of rows that other shards send, at the canonical width.
    pub(crate) fn of_received(column: &ReceivedColumn) -> Shape {
        let known = Shape::of_type(column.data_type);
        let bounds = known.bounds.map(|most| {
            let proven = column.bounds.unwrap_or(most);
            (proven.0.max(most.0), proven.1.min(most.1))
        });
        // Bounds of no value say nothing.
        let bounds = bounds.filter(|bounds| bounds.0 <= bounds.1).or(known.bounds);
        Shape { nullable: column.nullable, bounds, ..known }
    }

    /// The shape that holds the values of both; they have one type.
    pub fn union(&self, other: &Shape) -> Shape {
        Shape {
            data_type: self.data_type,
            physical: self.physical.max(other.physical),
            nullable: self.nullable || other.nullable,
            bounds: self.bounds.zip(other.bounds).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1))),
        }
    }
}

//! Expressions as data: what the planner writes and a pipeline compiles.
//!
//! One form serves both floors. In a logical plan a column is named by an identity that is unique in the
//! query; in a physical plan by its position in the operator's input (for a scan's predicate: its position
//! in the dataset's schema). Every node knows its type. Functions are names with types, resolved through
//! [`crate::functions`].

use columnar::{DataType, Value};
use serde::{Deserialize, Serialize};

/// A scalar expression. Operands have the types their operator asks for: the binder inserts the casts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Expr {
    Column {
        id: u32,
        data_type: DataType,
    },
    Literal(Value),
    /// Both sides have one type; decimals have one scale.
    Compare {
        op: CompareOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Numbers only. Integers and floats: both sides have the result's type. Decimals: for `+`, `-` and `%`
    /// both sides have the result's scale; for `*` the scales of the sides add up to the result's. `/` of
    /// decimals does not occur (the binder casts to `DOUBLE`).
    Arithmetic {
        op: ArithmeticOp,
        left: Box<Expr>,
        right: Box<Expr>,
        data_type: DataType,
    },
    /// Three-valued; later operands are evaluated only for rows that earlier ones leave undecided.
    And(Vec<Expr>),
    /// As [`Expr::And`].
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        input: Box<Expr>,
        negated: bool,
    },
    /// Values of the input's type. A null in the list makes a miss null.
    InList {
        input: Box<Expr>,
        list: Vec<Value>,
        negated: bool,
    },
    /// `_` is any character, `%` any run of them; `escape` takes the meaning from the character after it.
    Like {
        input: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<char>,
        case_insensitive: bool,
        negated: bool,
    },
    /// Branches in order: the first whose condition is true gives the value; none: `otherwise`, or null.
    Case {
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        data_type: DataType,
    },
    /// With `try_cast` a value that cannot be cast gives null rather than an error.
    Cast {
        input: Box<Expr>,
        data_type: DataType,
        try_cast: bool,
    },
    Call {
        function: String,
        args: Vec<Expr>,
        data_type: DataType,
    },
    /// An argument of functions that evaluate it for the elements of a list. The body's columns are numbered for
    /// themselves: the parameters, then the captures, which alone are operands.
    Lambda {
        params: Vec<DataType>,
        captures: Vec<Expr>,
        body: Box<Expr>,
        data_type: DataType,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Never null: two nulls are not distinct.
    IsDistinctFrom,
    IsNotDistinctFrom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArithmeticOp {
    Add,
    Subtract,
    Multiply,
    /// Of integers: truncates towards zero. By zero: an error, for floats too.
    Divide,
    /// Takes the sign of the dividend.
    Modulo,
}

impl CompareOp {
    /// The operator that gives the same answer with the sides exchanged.
    pub fn swapped(self) -> CompareOp {
        match self {
            CompareOp::Less => CompareOp::Greater,
            CompareOp::LessOrEqual => CompareOp::GreaterOrEqual,
            CompareOp::Greater => CompareOp::Less,
            CompareOp::GreaterOrEqual => CompareOp::LessOrEqual,
            same => same,
        }
    }

    /// The operator that is true where this one is false.
    pub fn negated(self) -> CompareOp {
        match self {
            CompareOp::Equal => CompareOp::NotEqual,
            CompareOp::NotEqual => CompareOp::Equal,
            CompareOp::Less => CompareOp::GreaterOrEqual,
            CompareOp::LessOrEqual => CompareOp::Greater,
            CompareOp::Greater => CompareOp::LessOrEqual,
            CompareOp::GreaterOrEqual => CompareOp::Less,
            CompareOp::IsDistinctFrom => CompareOp::IsNotDistinctFrom,
            CompareOp::IsNotDistinctFrom => CompareOp::IsDistinctFrom,
        }
    }

    pub fn symbol(self) -> &'static str {
        match self {
            CompareOp::Equal => "=",
            CompareOp::NotEqual => "<>",
            CompareOp::Less => "<",
            CompareOp::LessOrEqual => "<=",
            CompareOp::Greater => ">",
            CompareOp::GreaterOrEqual => ">=",
            CompareOp::IsDistinctFrom => "IS DISTINCT FROM",
            CompareOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
        }
    }
}

impl ArithmeticOp {
    pub fn symbol(self) -> &'static str {
        match self {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Subtract => "-",
            ArithmeticOp::Multiply => "*",
            ArithmeticOp::Divide => "/",
            ArithmeticOp::Modulo => "%",
        }
    }
}

impl Expr {
    pub fn column(id: u32, data_type: DataType) -> Expr {
        Expr::Column { id, data_type }
    }

    pub fn compare(op: CompareOp, left: Expr, right: Expr) -> Expr {
        Expr::Compare { op, left: Box::new(left), right: Box::new(right) }
    }

    pub fn arithmetic(op: ArithmeticOp, left: Expr, right: Expr, data_type: DataType) -> Expr {
        Expr::Arithmetic { op, left: Box::new(left), right: Box::new(right), data_type }
    }

    /// The conjunction of `operands`, flattened: none is true, one is itself.
    pub fn and(operands: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for operand in operands {
            match operand {
                Expr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Expr::Literal(Value::boolean(true)),
            1 => flat.remove(0),
            _ => Expr::And(flat),
        }
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Expr::Literal(value) => value.data_type,
            Expr::Column { data_type, .. }
            | Expr::Arithmetic { data_type, .. }
            | Expr::Case { data_type, .. }
            | Expr::Cast { data_type, .. }
            | Expr::Call { data_type, .. }
            | Expr::Lambda { data_type, .. } => *data_type,
            Expr::Compare { .. }
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::InList { .. }
            | Expr::Like { .. } => DataType::Boolean,
        }
    }

    /// The direct operands, in order of evaluation.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column { .. } | Expr::Literal(_) => vec![],
            Expr::Compare { left, right, .. } | Expr::Arithmetic { left, right, .. } => vec![left, right],
            Expr::And(operands)
            | Expr::Or(operands)
            | Expr::Call { args: operands, .. }
            | Expr::Lambda { captures: operands, .. } => operands.iter().collect(),
            Expr::Not(input)
            | Expr::IsNull { input, .. }
            | Expr::InList { input, .. }
            | Expr::Cast { input, .. } => vec![input],
            Expr::Like { input, pattern, .. } => vec![input, pattern],
            Expr::Case { branches, otherwise, .. } => branches
                .iter()
                .flat_map(|(condition, value)| [condition, value])
                .chain(otherwise.as_deref())
                .collect(),
        }
    }

    /// As [`Expr::children`], to change them.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Column { .. } | Expr::Literal(_) => vec![],
            Expr::Compare { left, right, .. } | Expr::Arithmetic { left, right, .. } => vec![left, right],
            Expr::And(operands)
            | Expr::Or(operands)
            | Expr::Call { args: operands, .. }
            | Expr::Lambda { captures: operands, .. } => operands.iter_mut().collect(),
            Expr::Not(input)
            | Expr::IsNull { input, .. }
            | Expr::InList { input, .. }
            | Expr::Cast { input, .. } => vec![input],
            Expr::Like { input, pattern, .. } => vec![input, pattern],
            Expr::Case { branches, otherwise, .. } => branches
                .iter_mut()
                .flat_map(|(condition, value)| [condition, value])
                .chain(otherwise.as_deref_mut())
                .collect(),
        }
    }

    /// Visits every node, parents first.
    pub fn visit(&self, visit: &mut impl FnMut(&Expr)) {
        visit(self);
        for child in self.children() {
            child.visit(visit);
        }
    }

    /// Rebuilds the expression from its leaves up.
    pub fn transform(mut self, change: &mut impl FnMut(Expr) -> Expr) -> Expr {
        for child in self.children_mut() {
            let taken = std::mem::replace(child, Expr::Literal(Value::boolean(false)));
            *child = taken.transform(change);
        }
        change(self)
    }
}

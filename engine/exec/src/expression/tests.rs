//! Compiled expressions against an interpreter of rows, over columns in every shape; and what the shapes
//! promise.

use super::*;
use crate::{ArithmeticOp, CompareOp, Error, Shape};
use columnar::{BATCH_ROWS, Codes, DataType, Interval, Scalar, Value, Values};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

/// Why a row has no value.
#[derive(Debug)]
struct Failure;

type Row<'a> = &'a [Scalar];

/// The value of an expression for one row, as the dialect defines it.
fn interpret(expr: &Expr, row: Row<'_>) -> std::result::Result<Scalar, Failure> {
    let truth = |expr: &Expr| {
        Ok(match interpret(expr, row)? {
            Scalar::Boolean(value) => Some(value),
            _ => None,
        })
    };
    let boolean = |value: Option<bool>| value.map_or(Scalar::Null, Scalar::Boolean);
    Ok(match expr {
        Expr::Column { id, .. } => row[*id as usize].clone(),
        Expr::Literal(value) => value.scalar.clone(),
        Expr::Compare { op, left, right } => {
            let (left, right) = (interpret(left, row)?, interpret(right, row)?);
            boolean(match op {
                CompareOp::IsDistinctFrom => Some(left != right),
                CompareOp::IsNotDistinctFrom => Some(left == right),
                CompareOp::Equal => left.compare(&right).map(|order| order.is_eq()),
                CompareOp::NotEqual => left.compare(&right).map(|order| order.is_ne()),
                CompareOp::Less => left.compare(&right).map(|order| order.is_lt()),
                CompareOp::LessOrEqual => left.compare(&right).map(|order| order.is_le()),
                CompareOp::Greater => left.compare(&right).map(|order| order.is_gt()),
                CompareOp::GreaterOrEqual => left.compare(&right).map(|order| order.is_ge()),
            })
        }
        Expr::Arithmetic { op, left, right, data_type } => {
            match (interpret(left, row)?, interpret(right, row)?) {
                (Scalar::Integer(a), Scalar::Integer(b)) => {
                    let result = match op {
                        ArithmeticOp::Add => a.checked_add(b),
                        ArithmeticOp::Subtract => a.checked_sub(b),
                        ArithmeticOp::Multiply => a.checked_mul(b),
                        ArithmeticOp::Divide => a.checked_div(b),
                        ArithmeticOp::Modulo => a.checked_rem(b),
                    };
                    let (low, high) = data_type.integer_bounds().unwrap();
                    match result.filter(|value| low <= *value && *value <= high) {
                        Some(value) => Scalar::Integer(value),
                        None => return Err(Failure),
                    }
                }
                (Scalar::Float(a), Scalar::Float(b)) => {
                    let result = match op {
                        ArithmeticOp::Add => a + b,
                        ArithmeticOp::Subtract => a - b,
                        ArithmeticOp::Multiply => a * b,
                        _ if b == 0.0 => return Err(Failure),
                        ArithmeticOp::Divide => a / b,
                        ArithmeticOp::Modulo => a % b,
                    };
                    if result.is_infinite() && a.is_finite() && b.is_finite() {
                        return Err(Failure);
                    }
                    Scalar::Float(result)
                }
                _ => Scalar::Null,
            }
        }
        Expr::And(operands) | Expr::Or(operands) => {
            let decisive = matches!(expr, Expr::Or(_));
            let mut result = Some(!decisive);
            for operand in operands {
                match truth(operand)? {
                    Some(value) if value == decisive => {
                        result = Some(decisive);
                        break;
                    }
                    Some(_) => {}
                    None => result = None,
                }
            }
            boolean(result)
        }
        Expr::Not(input) => boolean(truth(input)?.map(|value| !value)),
        Expr::IsNull { input, negated } => {
            Scalar::Boolean(matches!(interpret(input, row)?, Scalar::Null) != *negated)
        }
        Expr::InList { input, list, negated } => {
            let value = interpret(input, row)?;
            let found =
                list.iter().any(|item| item.scalar.compare(&value).is_some_and(|order| order.is_eq()));
            boolean(match &value {
                Scalar::Null => None,
                _ if found => Some(!negated),
                _ if list.iter().any(Value::is_null) => None,
                _ => Some(*negated),
            })
        }
        Expr::Case { branches, otherwise, .. } => {
            for (condition, value) in branches {
                if truth(condition)? == Some(true) {
                    return interpret(value, row);
                }
            }
            match otherwise {
                Some(otherwise) => interpret(otherwise, row)?,
                None => Scalar::Null,
            }
        }
        Expr::Cast { input, data_type, try_cast } => {
            let value = interpret(input, row)?;
            match cast_scalar(value, input.data_type(), *data_type) {
                Some(value) => value,
                None if *try_cast => Scalar::Null,
                None => return Err(Failure),
            }
        }
        Expr::Like { .. } | Expr::Call { .. } | Expr::Lambda { .. } => unreachable!("not generated"),
    })
}

fn cast_scalar(value: Scalar, from: DataType, to: DataType) -> Option<Scalar> {
    let scale = |data_type: DataType| match data_type {
        DataType::Decimal { scale, .. } => scale.into(),
        _ => 0,
    };
    let bounded = |value: i128| match to.integer_bounds() {
        Some((low, high)) => (low <= value && value <= high).then_some(Scalar::Integer(value)),
        None => None,
    };
    match (value, from, to) {
        (Scalar::Null, ..) => Some(Scalar::Null),
        (value, _, DataType::Varchar) => {
            Some(Scalar::Bytes(Value::new(from, value).to_string().into_bytes()))
        }
        (Scalar::Bytes(bytes), DataType::Varchar, to) => {
            parse::scalar(std::str::from_utf8(&bytes).unwrap(), to).ok()
        }
        (Scalar::Integer(value), from, DataType::Float64) => {
            Some(Scalar::Float(value as f64 / 10_f64.powi(scale(from) as i32)))
        }
        (Scalar::Float(value), DataType::Float64, to) => {
            bounded(if value.is_finite() { value.round_ties_even() as i128 } else { i128::MAX })
                .filter(|_| to.is_integer())
        }
        (Scalar::Integer(value), from, to) => {
            let (from, to): (u32, u32) = (scale(from), scale(to));
            if to >= from {
                bounded(value.checked_mul(10_i128.pow(to - from))?)
            } else {
                let unit = 10_i128.pow(from - to);
                let rest = value % unit;
                bounded(value / unit + if rest.abs() * 2 >= unit { value.signum() } else { 0 })
            }
        }
        _ => unreachable!("not generated"),
    }
}

/// Draws columns and expressions.
struct Draw(TestRng);

const SMALL: DataType = DataType::Int16;
const INT: DataType = DataType::Int32;
const BIG: DataType = DataType::Int64;
const MONEY: DataType = DataType::decimal(15, 2);
const LARGE: DataType = DataType::decimal(38, 4);
const FLOAT: DataType = DataType::Float64;
const TEXT: DataType = DataType::Varchar;
const BOOL: DataType = DataType::Boolean;
const TYPES: [DataType; 8] = [SMALL, INT, BIG, MONEY, LARGE, FLOAT, TEXT, BOOL];

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }

    fn scalar(&mut self, data_type: DataType, wild: bool) -> Scalar {
        match data_type {
            BOOL => Scalar::Boolean(self.below(2) == 0),
            FLOAT => {
                let few = [0.0, -0.0, 1.5, -2.5, f64::NAN, f64::INFINITY, 1e308, -7.0];
                Scalar::Float(few[self.below(if wild { few.len() } else { 4 })])
            }
            TEXT => {
                let few = ["", "a", "ab", "a much longer text", "a much longer test", "12", "-3.5", "é"];
                Scalar::Bytes(few[self.below(few.len())].as_bytes().to_vec())
            }
            integral => {
                let (low, high) = integral.integer_bounds().unwrap();
                let edges = [low, high, low + 1, high - 1];
                match self.below(4) {
                    0 if wild => Scalar::Integer(edges[self.below(4)]),
                    _ => Scalar::Integer(self.below(12) as i128 - 4),
                }
            }
        }
    }

    /// A column of some rows: its shape and its vector, in one of three forms and at any fitting width.
    fn column(&mut self, data_type: DataType, rows: usize) -> (Shape, Vector) {
        let wild = self.below(3) == 0;
        let nullable = self.below(2) == 0;
        let mut scalars: Vec<Scalar> = (0..rows)
            .map(|_| match nullable && self.below(4) == 0 {
                true => Scalar::Null,
                false => self.scalar(data_type, wild),
            })
            .collect();
        let form = self.below(4);
        if form == 0 {
            let value = scalars.first().cloned().unwrap_or(Scalar::Null);
            scalars.fill(value);
        }
        let integers = || scalars.iter().filter_map(Scalar::as_integer);
        let mut shape = Shape { nullable, ..Shape::of_type(data_type) };
        if data_type.is_integral() {
            let (low, high) = (integers().min().unwrap_or(0), integers().max().unwrap_or(0));
            let fits = columnar::PhysicalType::for_bounds(low, high);
            if self.below(3) > 0 {
                shape.bounds = Some((low, high));
                shape.physical = if self.below(2) == 0 { fits } else { data_type.physical() };
            }
        }
        let vector = Vector::from_scalars(data_type, &scalars);
        let vector = match form {
            0 => Vector::constant(
                Value::new(data_type, scalars.first().cloned().unwrap_or(Scalar::Null)),
                rows,
            ),
            1 => dictionary(&vector),
            _ => garbled(vector),
        };
        (shape.clone(), cast_to_physical(&vector, shape.physical))
    }

    fn literal(&mut self, data_type: DataType) -> Expr {
        Expr::Literal(Value::new(data_type, self.scalar(data_type, false)))
    }

    fn expr(&mut self, data_type: DataType, columns: &[DataType], depth: usize) -> Expr {
        if depth == 0 || self.below(6) == 0 {
            let known: Vec<u32> =
                (0..columns.len() as u32).filter(|&id| columns[id as usize] == data_type).collect();
            return match known.is_empty() || self.below(4) == 0 {
                true => self.literal(data_type),
                false => Expr::column(known[self.below(known.len())], data_type),
            };
        }
        let deeper = depth - 1;
        if self.below(5) == 0 {
            let branches = (0..1 + self.below(2))
                .map(|_| (self.expr(BOOL, columns, deeper), self.expr(data_type, columns, deeper)))
                .collect();
            let otherwise = (self.below(3) > 0).then(|| Box::new(self.expr(data_type, columns, deeper)));
            return Expr::Case { branches, otherwise, data_type };
        }
        match data_type {
            BOOL => self.predicate(columns, deeper),
            TEXT => {
                let from = [SMALL, BIG, MONEY, FLOAT, BOOL][self.below(5)];
                let input = Box::new(self.expr(from, columns, deeper));
                Expr::Cast { input, data_type, try_cast: false }
            }
            _ if self.below(4) == 0 => {
                let from = match data_type {
                    FLOAT => [INT, MONEY, TEXT][self.below(3)],
                    MONEY | LARGE => [INT, BIG, MONEY, LARGE, TEXT][self.below(5)],
                    _ => [SMALL, INT, BIG, MONEY, LARGE, FLOAT, TEXT][self.below(7)],
                };
                let input = Box::new(self.expr(from, columns, deeper));
                if from == data_type {
                    return *input;
                }
                Expr::Cast { input, data_type, try_cast: self.below(3) == 0 }
            }
            _ => {
                use ArithmeticOp::{Add, Divide, Modulo, Multiply, Subtract};
                let op = [Add, Subtract, Multiply, Divide, Modulo][self.below(5)];
                let decimal = matches!(data_type, DataType::Decimal { .. });
                if decimal && matches!(op, Multiply | Divide) {
                    // Scales add up: two factors of two digits give four.
                    let (scale, factor) = if data_type == LARGE { (LARGE, MONEY) } else { (MONEY, MONEY) };
                    let (left, right) = match scale {
                        LARGE => (self.expr(factor, columns, deeper), self.expr(factor, columns, deeper)),
                        _ => {
                            let whole = Expr::Cast {
                                input: Box::new(self.expr(INT, columns, deeper)),
                                data_type: DataType::decimal(10, 0),
                                try_cast: false,
                            };
                            (self.expr(MONEY, columns, deeper), whole)
                        }
                    };
                    return Expr::arithmetic(Multiply, left, right, data_type);
                }
                let (left, right) =
                    (self.expr(data_type, columns, deeper), self.expr(data_type, columns, deeper));
                Expr::arithmetic(op, left, right, data_type)
            }
        }
    }

    fn predicate(&mut self, columns: &[DataType], deeper: usize) -> Expr {
        let data_type = TYPES[self.below(TYPES.len())];
        match self.below(6) {
            0 => {
                let operands = (0..2 + self.below(2)).map(|_| self.expr(BOOL, columns, deeper)).collect();
                if self.below(2) == 0 { Expr::And(operands) } else { Expr::Or(operands) }
            }
            1 => Expr::Not(Box::new(self.expr(BOOL, columns, deeper))),
            2 => Expr::IsNull {
                input: Box::new(self.expr(data_type, columns, deeper)),
                negated: self.below(2) == 0,
            },
            3 => {
                let list = (0..1 + self.below(12))
                    .map(|_| match self.below(16) {
                        0 => Value::null(data_type),
                        _ => Value::new(data_type, self.scalar(data_type, true)),
                    })
                    .collect();
                let input = Box::new(self.expr(data_type, columns, deeper));
                Expr::InList { input, list, negated: self.below(2) == 0 }
            }
            _ => {
                use CompareOp::*;
                let ops = [
                    Equal,
                    NotEqual,
                    Less,
                    LessOrEqual,
                    Greater,
                    GreaterOrEqual,
                    IsDistinctFrom,
                    IsNotDistinctFrom,
                ];
                let op = ops[self.below(ops.len())];
                let left = self.expr(data_type, columns, deeper);
                Expr::compare(op, left, self.expr(data_type, columns, deeper))
            }
        }
    }
}

/// The vector with a dictionary.
fn dictionary(vector: &Vector) -> Vector {
    let mut distinct: Vec<Scalar> = Vec::new();
    let mut codes: Vec<u8> = Vec::new();
    for row in 0..vector.len() {
        let scalar = vector.scalar(row);
        let known = distinct.iter().position(|known| *known == scalar);
        codes.push(match (&scalar, known) {
            (Scalar::Null, _) => 0,
            (_, Some(place)) => place as u8,
            _ => {
                distinct.push(scalar);
                distinct.len() as u8 - 1
            }
        });
    }
    if distinct.is_empty() {
        return vector.clone();
    }
    let values = Vector::from_scalars(vector.data_type(), &distinct).flatten();
    let dictionary = Arc::new(Dictionary::new(values, false));
    Vector::Dictionary(DictionaryVector {
        codes: Codes::U8(codes.into()),
        dictionary,
        validity: vector.validity(),
    })
}

/// The vector with wild values where it is null, as they may be.
fn garbled(vector: Vector) -> Vector {
    let flat = vector.flatten();
    let Some(validity) = &flat.validity else { return flat.into() };
    let values = match &flat.values {
        Values::I16(values) => Values::I16(
            values.iter().enumerate().map(|(row, &v)| if validity.get(row) { v } else { i16::MIN }).collect(),
        ),
        Values::I32(values) => Values::I32(
            values.iter().enumerate().map(|(row, &v)| if validity.get(row) { v } else { 0 }).collect(),
        ),
        Values::I64(values) => Values::I64(
            values.iter().enumerate().map(|(row, &v)| if validity.get(row) { v } else { i64::MIN }).collect(),
        ),
        other => other.clone(),
    };
    Flat::new(flat.data_type, values, flat.validity.clone()).into()
}

/// Compiles and runs an expression and holds every row against the interpreter.
fn check(expr: &Expr, shapes: &[Shape], columns: &[Vector], rows: usize) {
    let compiled = Compiled::compile(expr, shapes).unwrap();
    let batch = Batch::of_rows(columns.to_vec(), rows);
    let expected: Vec<_> = (0..rows)
        .map(|row| interpret(expr, &columns.iter().map(|column| column.scalar(row)).collect::<Vec<_>>()))
        .collect();
    // Twice: what is remembered of a dictionary must agree.
    for _ in 0..2 {
        match compiled.evaluate(&batch) {
            Err(error) => {
                assert!(matches!(error, Error::Value(_)), "{error}");
                assert!(compiled.is_fallible(), "{expr:?} failed: {error}");
                assert!(expected.iter().any(|row| row.is_err()), "{expr:?} failed: {error}\n{columns:?}");
            }
            Ok(result) => {
                let shape = compiled.shape();
                assert_eq!((result.len(), result.data_type()), (rows, expr.data_type()), "{expr:?}");
                assert_eq!(result.physical(), shape.physical);
                for (row, expected) in expected.iter().enumerate() {
                    let found = result.scalar(row);
                    let Ok(expected) = expected else {
                        panic!("{expr:?} gives {found:?}, not an error, in row {row}\n{columns:?}")
                    };
                    assert_eq!(&found, expected, "{expr:?}, row {row}\n{columns:?}\n{shapes:?}");
                    match found {
                        Scalar::Null => assert!(shape.nullable, "{expr:?}"),
                        Scalar::Integer(value) => {
                            let (low, high) = shape.bounds.unwrap();
                            assert!(low <= value && value <= high, "{expr:?}: {value} in {low}..{high}");
                        }
                        _ => {}
                    }
                }
                if expr.data_type() == BOOL {
                    let expected = expected.iter().map(|v| matches!(v, Ok(Scalar::Boolean(true)))).collect();
                    assert_eq!(compiled.matches(&batch).unwrap(), expected);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_row_is_as_interpreted(seed in any::<[u8; 32]>(), rows in prop_oneof![0_usize..5, Just(70), Just(130)]) {
        let mut draw = Draw(TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed));
        let types: Vec<DataType> = (0..1 + draw.below(3)).map(|_| TYPES[draw.below(TYPES.len())]).collect();
        let (shapes, columns): (Vec<_>, Vec<_>) =
            types.iter().map(|&data_type| draw.column(data_type, rows)).unzip();
        let wanted = TYPES[draw.below(TYPES.len())];
        let expr = draw.expr(wanted, &types, 3);
        check(&expr, &shapes, &columns, rows);
    }
}

fn integers(data_type: DataType, values: &[i128]) -> Vector {
    Vector::from_scalars(data_type, &values.iter().map(|&value| Scalar::Integer(value)).collect::<Vec<_>>())
}

#[test]
fn money_of_q1_runs_narrow_and_cannot_fail() {
    // l_extendedprice * (1 - l_discount) * (1 + l_tax)
    let shape =
        |physical, bounds| Shape { data_type: MONEY, physical, nullable: false, bounds: Some(bounds) };
    let shapes = [
        shape(PhysicalType::I32, (90_000, 10_500_000)),
        shape(PhysicalType::I8, (0, 10)),
        shape(PhysicalType::I8, (0, 8)),
    ];
    let one = || Expr::Literal(Value::new(MONEY, Scalar::Integer(100)));
    let column = |id| Expr::column(id, MONEY);
    let discounted = Expr::arithmetic(
        ArithmeticOp::Multiply,
        column(0),
        Expr::arithmetic(ArithmeticOp::Subtract, one(), column(1), DataType::decimal(16, 2)),
        DataType::decimal(31, 4),
    );
    let charge = Expr::arithmetic(
        ArithmeticOp::Multiply,
        discounted.clone(),
        Expr::arithmetic(ArithmeticOp::Add, one(), column(2), DataType::decimal(16, 2)),
        DataType::decimal(38, 6),
    );
    let compiled = Compiled::compile(&discounted, &shapes).unwrap();
    assert!(!compiled.is_fallible());
    assert_eq!(compiled.shape().physical, PhysicalType::I32);
    assert_eq!(compiled.shape().bounds, Some((90_000 * 90, 10_500_000 * 100)));
    let compiled = Compiled::compile(&charge, &shapes).unwrap();
    assert!(!compiled.is_fallible());
    assert_eq!(compiled.shape().physical, PhysicalType::I64);
}

#[test]
fn decimals_stop_at_38_digits() {
    let wide = DataType::decimal(38, 0);
    let limit = 10_i128.pow(38) - 1;
    let add = Expr::arithmetic(ArithmeticOp::Add, Expr::column(0, wide), Expr::column(1, wide), wide);
    let shapes = Shape::of_types(&[wide, wide]);
    for (a, b, fails) in [(limit, 1, true), (limit, 0, false), (-limit, -1, true), (limit, -limit, false)] {
        let columns = [integers(wide, &[a]), integers(wide, &[b])];
        check(&add, &shapes, &columns, 1);
        let compiled = Compiled::compile(&add, &shapes).unwrap();
        assert_eq!(compiled.evaluate(&Batch::new(columns.to_vec())).is_err(), fails, "{a} + {b}");
    }
    let product =
        Expr::arithmetic(ArithmeticOp::Multiply, Expr::column(0, wide), Expr::column(1, wide), wide);
    check(&product, &shapes, &[integers(wide, &[limit, 2]), integers(wide, &[limit, 3])], 2);
}

#[test]
fn a_guarded_division_never_fails() {
    let zero = || Expr::Literal(Value::new(BIG, Scalar::Integer(0)));
    let column = || Expr::column(0, BIG);
    let quotient = Expr::arithmetic(ArithmeticOp::Divide, Expr::Literal(Value::int64(10)), column(), BIG);
    let guarded = Expr::Case {
        branches: vec![(Expr::compare(CompareOp::NotEqual, column(), zero()), quotient.clone())],
        otherwise: None,
        data_type: BIG,
    };
    let values = integers(BIG, &[5, 0, 2, 0]);
    check(&guarded, &Shape::of_types(&[BIG]), std::slice::from_ref(&values), 4);
    check(&guarded, &Shape::of_types(&[BIG]), &[dictionary(&values)], 4);
    let both = Expr::And(vec![
        Expr::compare(CompareOp::NotEqual, column(), zero()),
        Expr::compare(CompareOp::Greater, quotient.clone(), zero()),
    ]);
    check(&both, &Shape::of_types(&[BIG]), &[values], 4);
    // An entry of a dictionary that fails is nobody's fault until a row uses it.
    let Vector::Dictionary(all) = dictionary(&integers(BIG, &[5, 0])) else { panic!("a dictionary") };
    let used = |codes: Vec<u8>| {
        let codes = Codes::U8(codes.into());
        let vector = Vector::Dictionary(DictionaryVector { codes, ..all.clone() });
        let compiled = Compiled::compile(&quotient, &Shape::of_types(&[BIG])).unwrap();
        compiled.evaluate(&Batch::new(vec![vector]))
    };
    assert_eq!(used(vec![0, 0]).unwrap().scalar(1), Scalar::Integer(2));
    assert!(matches!(used(vec![0, 1]), Err(Error::Value(columnar::Error::DivisionByZero))));
}

#[test]
fn a_wrong_constant_fails_only_where_a_row_needs_it() {
    let wrong =
        Expr::Cast { input: Box::new(Expr::Literal(Value::varchar("x"))), data_type: INT, try_cast: false };
    let guarded = Expr::Case {
        branches: vec![(Expr::column(0, BOOL), wrong)],
        otherwise: Some(Box::new(Expr::Literal(Value::int32(1)))),
        data_type: INT,
    };
    let compiled = Compiled::compile(&guarded, &Shape::of_types(&[BOOL])).unwrap();
    let batch = |value| Batch::new(vec![Vector::from_scalars(BOOL, &[Scalar::Boolean(value)])]);
    assert_eq!(compiled.evaluate(&batch(false)).unwrap().scalar(0), Scalar::Integer(1));
    assert!(compiled.evaluate(&batch(true)).is_err());
}

#[test]
fn strings_of_a_dictionary_stay_one() {
    let lower = Expr::Call { function: "lower".into(), args: vec![Expr::column(0, TEXT)], data_type: TEXT };
    let strings = ["A", "a", "B", "a"].map(|text| Scalar::Bytes(text.into()));
    let column = dictionary(&Vector::from_scalars(TEXT, &strings));
    let compiled = Compiled::compile(&lower, &Shape::of_types(&[TEXT])).unwrap();
    let result = compiled.evaluate(&Batch::new(vec![column])).unwrap();
    let Vector::Dictionary(result) = &result else { panic!("not a dictionary") };
    assert_eq!(result.dictionary.values.len(), 3, "a, b and the value of the null entry");
    assert_eq!(result.codes.get(0), result.codes.get(1));
}

#[test]
fn fields_of_dates_come_from_a_table() {
    let year =
        Expr::Call { function: "year".into(), args: vec![Expr::column(0, DataType::Date)], data_type: BIG };
    let bounds = (8035, 10_591);
    let narrow =
        Shape { physical: PhysicalType::I16, bounds: Some(bounds), ..Shape::of_type(DataType::Date) };
    let compiled = Compiled::compile(&year, std::slice::from_ref(&narrow)).unwrap();
    assert_eq!(compiled.shape().bounds, Some((1992, 1998)));
    let column = Vector::from_scalars(
        DataType::Date,
        &[Scalar::Integer(8035), Scalar::Null, Scalar::Integer(10_591), Scalar::Integer(8401)],
    );
    let column = cast_to_physical(&column, PhysicalType::I16);
    let result = compiled.evaluate(&Batch::new(vec![column])).unwrap();
    let found: Vec<Scalar> = (0..4).map(|row| result.scalar(row)).collect();
    let year = Scalar::Integer;
    assert_eq!(found, [year(1992), Scalar::Null, year(1998), year(1993)]);
}

#[test]
fn casts_of_moments_and_the_rest() {
    let timestamp = DataType::TIMESTAMP;
    let seconds = DataType::Timestamp { unit: columnar::TimeUnit::Second, zone: false };
    let cases = [
        ("1995-03-15", DataType::Date, timestamp, "1995-03-15 00:00:00"),
        ("1969-12-31 23:59:59.5", timestamp, DataType::Date, "1969-12-31"),
        ("1969-12-31 23:59:59.5", timestamp, seconds, "1969-12-31 23:59:59"),
        ("1995-03-15 10:20:30.5", timestamp, DataType::Time, "10:20:30.5"),
        ("10:20:30.5", DataType::Time, DataType::Interval, "10:20:30.5"),
        ("1 day 25:00:00", DataType::Interval, DataType::Time, "01:00:00"),
        ("true", BOOL, INT, "1"),
        ("-3", INT, BOOL, "true"),
        ("2.5", FLOAT, INT, "2"),
        ("-3.5", FLOAT, INT, "-4"),
        ("1.005", FLOAT, DataType::decimal(5, 2), "1.01"),
        ("0.1", DataType::Float32, DataType::decimal(5, 2), "0.10"),
        ("1.25", DataType::decimal(5, 2), DataType::decimal(5, 1), "1.3"),
        ("-1.25", DataType::decimal(5, 2), DataType::decimal(5, 1), "-1.3"),
        ("1.5", DataType::decimal(5, 2), DataType::Float32, "1.5"),
        ("\\x4142", DataType::Binary, TEXT, "\\x4142"),
        ("abc", TEXT, DataType::Binary, "\\x616263"),
        ("1 year 02:03:04", DataType::Interval, TEXT, "1 year 02:03:04"),
    ];
    for (text, from, to, expected) in cases {
        let value = parse::parse(text, from).unwrap();
        let input = Box::new(Expr::Literal(value));
        let cast = Expr::Cast { input, data_type: to, try_cast: false };
        assert_eq!(constant::evaluate(&cast).unwrap().to_string(), expected, "{text} {from} -> {to}");
    }
    for (text, from, to) in [
        ("1e39", FLOAT, DataType::Float32),
        ("nan", FLOAT, INT),
        ("1e10", FLOAT, INT),
        ("1000", INT, DataType::decimal(5, 2)),
        ("x", TEXT, DataType::Date),
    ] {
        let input = || Box::new(Expr::Literal(parse::parse(text, from).unwrap()));
        let cast = |try_cast| Expr::Cast { input: input(), data_type: to, try_cast };
        assert!(constant::evaluate(&cast(false)).is_err(), "{text} {from} -> {to}");
        assert!(constant::evaluate(&cast(true)).unwrap().is_null(), "{text} {from} -> {to}");
    }
    let _ = Interval::default();
}

#[test]
fn halves_round_away_from_zero_at_every_width() {
    for (from, to) in
        [(MONEY, DataType::Int8), (MONEY, BIG), (DataType::decimal(38, 2), DataType::decimal(20, 0))]
    {
        for try_cast in [false, true] {
            let cast = Expr::Cast { input: Box::new(Expr::column(0, from)), data_type: to, try_cast };
            let column = integers(from, &[150, -150, 149, -149, 50, -50, 49, 0, 12_649]);
            check(&cast, &Shape::of_types(&[from]), std::slice::from_ref(&column), column.len());
        }
    }
}

#[test]
fn full_batches_at_every_instruction_set() {
    use columnar::kernels::isa::{Isa, force};
    let values: Vec<i128> = (0..BATCH_ROWS as i128).map(|row| row * 7919 % 1000 - 500).collect();
    let columns =
        [integers(SMALL, &values), integers(INT, &values.iter().map(|v| v * 11).collect::<Vec<_>>())];
    let wide = Expr::Cast { input: Box::new(Expr::column(0, SMALL)), data_type: INT, try_cast: false };
    let product = Expr::arithmetic(ArithmeticOp::Multiply, wide, Expr::column(1, INT), INT);
    let test = Expr::compare(CompareOp::Less, product.clone(), Expr::Literal(Value::int32(100_000)));
    for level in [Isa::Base, Isa::V3, Isa::V4] {
        force(level);
        let shapes = Shape::of_types(&[SMALL, INT]);
        check(&test, &shapes, &columns, BATCH_ROWS);
        check(&product, &shapes, &columns, BATCH_ROWS);
    }
    force(Isa::V4);
}

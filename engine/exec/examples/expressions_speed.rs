//! Times expressions and kernels over full batches: nanoseconds a row, best of many.
#![allow(clippy::print_stdout, reason = "it prints figures")]

use columnar::kernels::isa::{Isa, force};
use columnar::{
    BATCH_ROWS, Batch, Codes, DataType, Dictionary, DictionaryVector, PhysicalType, Scalar, Value, Vector,
};
use exec::expression::{Compiled, cast_to_physical};
use exec::{ArithmeticOp, CompareOp, Expr, Shape};
use std::sync::Arc;
use std::time::Instant;

const MONEY: DataType = DataType::decimal(15, 2);

fn time(name: &str, compiled: &Compiled, batch: &Batch, predicate: bool) {
    let mut best = f64::MAX;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..20 {
            let failed = match predicate {
                true => compiled.matches(batch).is_err(),
                false => compiled.evaluate(batch).is_err(),
            };
            assert!(!failed, "{name}");
        }
        best = best.min(start.elapsed().as_secs_f64() / 20.0);
    }
    println!("{:8.3} ns a row  {name}", best * 1e9 / batch.rows as f64);
}

fn main() {
    let rows = BATCH_ROWS as i128;
    let column = |data_type: DataType, physical, bounds: (i128, i128), value: &dyn Fn(i128) -> i128| {
        let scalars: Vec<Scalar> = (0..rows).map(|row| Scalar::Integer(value(row))).collect();
        let vector = cast_to_physical(&Vector::from_scalars(data_type, &scalars), physical);
        (Shape { data_type, physical, nullable: false, bounds: Some(bounds) }, vector)
    };
    let prices = column(MONEY, PhysicalType::I32, (90_000, 10_500_000), &|row| 90_000 + row * 5000);
    let discounts = column(MONEY, PhysicalType::I8, (0, 10), &|row| row % 11);
    let taxes = column(MONEY, PhysicalType::I8, (0, 8), &|row| row % 9);
    let dates = column(DataType::Date, PhysicalType::I16, (8035, 10_591), &|row| 8035 + row);
    let words: Vec<Scalar> = (0..rows)
        .map(|row| {
            Scalar::Bytes(format!("carefully {} special deposits sleep requests {row}", row % 7).into())
        })
        .collect();
    let text = (Shape::of_type(DataType::Varchar), Vector::from_scalars(DataType::Varchar, &words));
    let types: Vec<Scalar> =
        (0..150).map(|entry| Scalar::Bytes(format!("PROMO BURNISHED {entry}").into())).collect();
    let dictionary =
        Arc::new(Dictionary::new(Vector::from_scalars(DataType::Varchar, &types).flatten(), false));
    let codes = Codes::U8((0..rows).map(|row| (row % 150) as u8).collect());
    let coded = Vector::Dictionary(DictionaryVector { codes, dictionary, validity: None });
    let coded = (Shape::of_type(DataType::Varchar), coded);
    let (shapes, columns): (Vec<Shape>, Vec<Vector>) =
        [prices, discounts, taxes, dates, text, coded].into_iter().unzip();
    let batch = Batch::new(columns);
    let id = |id: u32| Expr::column(id, shapes[id as usize].data_type);
    let literal = |data_type, value| Expr::Literal(Value::new(data_type, Scalar::Integer(value)));
    let one_and =
        |op, column| Expr::arithmetic(op, literal(MONEY, 100), id(column), DataType::decimal(16, 2));
    let discounted = Expr::arithmetic(
        ArithmeticOp::Multiply,
        id(0),
        one_and(ArithmeticOp::Subtract, 1),
        DataType::decimal(31, 4),
    );
    let charge = Expr::arithmetic(
        ArithmeticOp::Multiply,
        discounted.clone(),
        one_and(ArithmeticOp::Add, 2),
        DataType::decimal(38, 6),
    );
    let between = |column: u32, low, high| {
        let data_type = shapes[column as usize].data_type;
        Expr::And(vec![
            Expr::compare(CompareOp::GreaterOrEqual, id(column), literal(data_type, low)),
            Expr::compare(CompareOp::Less, id(column), literal(data_type, high)),
        ])
    };
    let like = |column, pattern: &str| Expr::Like {
        input: Box::new(id(column)),
        pattern: Box::new(Expr::Literal(Value::varchar(pattern))),
        escape: None,
        case_insensitive: false,
        negated: false,
    };
    let year = Expr::Call { function: "year".into(), args: vec![id(3)], data_type: DataType::Int64 };
    let case = Expr::Case {
        branches: vec![(like(5, "PROMO%"), discounted.clone())],
        otherwise: Some(Box::new(literal(DataType::decimal(31, 4), 0))),
        data_type: DataType::decimal(31, 4),
    };
    let double = Expr::Cast { input: Box::new(id(0)), data_type: DataType::Float64, try_cast: false };
    let cases = [
        ("price < constant, 32 bits", Expr::compare(CompareOp::Less, id(0), literal(MONEY, 5_000_000)), true),
        ("discount = constant, 8 bits", Expr::compare(CompareOp::Equal, id(1), literal(MONEY, 5)), true),
        ("tax < discount, 8 bits", Expr::compare(CompareOp::Less, id(2), id(1)), true),
        ("date between, 16 bits", between(3, 8766, 9131), true),
        ("price * (1 - discount)", discounted, false),
        ("price * (1 - discount) * (1 + tax)", charge, false),
        ("price as DOUBLE", double, false),
        ("year(date)", year, false),
        ("text LIKE '%special%requests%', 45 bytes", like(4, "%special%requests%"), true),
        ("text LIKE '%nowhere%'", like(4, "%nowhere%"), true),
        ("dictionary LIKE 'PROMO%'", like(5, "PROMO%"), true),
        ("CASE WHEN dictionary LIKE 'PROMO%' THEN revenue ELSE 0 END", case, false),
    ];
    for level in [Isa::Base, Isa::V3, Isa::V4] {
        println!("{:?}", force(level));
        for (name, expr, predicate) in &cases {
            match Compiled::compile(expr, &shapes) {
                Ok(compiled) => time(name, &compiled, &batch, *predicate),
                Err(error) => println!("{name}: {error}"),
            }
        }
    }
}

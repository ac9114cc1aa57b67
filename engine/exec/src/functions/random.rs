//! Functions that give other values in each row and each time.

use super::{Function, Returns};
use crate::Result;
use crate::expression::node::{Input, Node, Operation, plain_shape};
use columnar::{DataType, Flat, Values, Vector, uuid};
use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new(
            "random",
            "A number from 0 on and below 1, another in each row.",
            "random() BETWEEN 0 AND 1 → true",
        )
        .with_expression(&[], Returns::Type(DataType::Float64), |_, data_type| {
            Ok(Node::volatile(plain_shape(data_type, false), Box::new(Random)))
        }),
        Function::new(
            "gen_random_uuid",
            "A random UUID of version 4, another in each row.",
            "length(gen_random_uuid()::VARCHAR) → 36",
        )
        .aliases(&["uuid", "uuidv4"])
        .with_expression(&[], Returns::Type(DataType::Uuid), |_, data_type| {
            Ok(Node::volatile(plain_shape(data_type, false), Box::new(Uuid)))
        }),
    ]
}

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

/// The next number of the thread's sequence (SplitMix64, Steele et al. 2014).
fn next() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let state = STATE.get().wrapping_add(STEP);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Debug)]
struct Random;

impl Operation for Random {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        // As many bits as a double has.
        let values: Vec<f64> =
            (0..input.rows).map(|_| (next() >> 11) as f64 / (1_u64 << 53) as f64).collect();
        Ok(Flat::new(DataType::Float64, Values::F64(values.into()), None).into())
    }
}

#[derive(Debug)]
struct Uuid;

impl Operation for Uuid {
    fn evaluate(&self, input: &Input<'_>) -> Result<Vector> {
        let value = |_| {
            let high = (next() & !0xf000) | 0x4000;
            let low = (next() & !(0b11 << 62)) | (0b10 << 62);
            uuid::from_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
        };
        let values: Vec<i128> = (0..input.rows).map(value).collect();
        Ok(Flat::new(DataType::Uuid, Values::I128(values.into()), None).into())
    }
}

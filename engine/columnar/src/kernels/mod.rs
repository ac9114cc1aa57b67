//! Loops over values. Each kernel is one plain body, compiled for several instruction sets (see [`isa`]) and
//! checked against its scalar twin in tests. Kernels ignore validity; callers combine it.

pub mod arithmetic;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod boolean;
pub mod cast;
pub mod compare;
pub mod concat;
pub mod isa;
pub mod number;
pub mod select;
pub mod take;
#[cfg(test)]
mod tests;
pub mod text;

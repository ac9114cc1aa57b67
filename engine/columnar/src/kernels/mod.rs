//! Loops over values. Each kernel is one plain body, compiled for several instruction sets (see [`isa`]) and
//! checked against its scalar twin in tests. Kernels ignore validity; callers combine it.

pub mod concat;
pub mod isa;
pub mod take;

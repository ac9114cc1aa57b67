//! Kernels against naive loops, at every instruction set.

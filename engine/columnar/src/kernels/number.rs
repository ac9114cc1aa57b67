//! What kernels ask of a fixed-width number.

/// An integer that a vector holds.
pub trait Integer: Copy + Ord + Default + Send + Sync + 'static {
    const MIN: Self;
    const MAX: Self;
    fn wrapping_add(self, other: Self) -> Self;
    fn wrapping_sub(self, other: Self) -> Self;
    fn wrapping_mul(self, other: Self) -> Self;
    fn wrapping_div(self, other: Self) -> Self;
    fn wrapping_rem(self, other: Self) -> Self;
    fn overflowing_add(self, other: Self) -> (Self, bool);
    fn overflowing_sub(self, other: Self) -> (Self, bool);
    fn overflowing_mul(self, other: Self) -> (Self, bool);
    /// The low bits of `value`.
    fn truncate(value: i128) -> Self;
    fn widen(self) -> i128;
}

macro_rules! integer {
    ($($type:ident)*) => { $(impl Integer for $type {
        const MIN: $type = $type::MIN;
        const MAX: $type = $type::MAX;
        #[inline(always)]
        fn wrapping_add(self, other: $type) -> $type { $type::wrapping_add(self, other) }
        #[inline(always)]
        fn wrapping_sub(self, other: $type) -> $type { $type::wrapping_sub(self, other) }
        #[inline(always)]
        fn wrapping_mul(self, other: $type) -> $type { $type::wrapping_mul(self, other) }
        #[inline(always)]
        fn wrapping_div(self, other: $type) -> $type { $type::wrapping_div(self, other) }
        #[inline(always)]
        fn wrapping_rem(self, other: $type) -> $type { $type::wrapping_rem(self, other) }
        #[inline(always)]
        fn overflowing_add(self, other: $type) -> ($type, bool) { $type::overflowing_add(self, other) }
        #[inline(always)]
        fn overflowing_sub(self, other: $type) -> ($type, bool) { $type::overflowing_sub(self, other) }
        #[inline(always)]
        fn overflowing_mul(self, other: $type) -> ($type, bool) { $type::overflowing_mul(self, other) }
        #[inline(always)]
        fn truncate(value: i128) -> $type { value as $type }
        #[inline(always)]
        fn widen(self) -> i128 { self.into() }
    })* };
}
integer!(i8 i16 i32 i64 i128);

/// A conversion as the `as` operator does it: integers keep their low bits.
pub trait CastTo<T>: Copy {
    fn cast(self) -> T;
}

macro_rules! casts {
    ($($from:ident -> $($to:ident)*;)*) => { $($(impl CastTo<$to> for $from {
        #[inline(always)]
        fn cast(self) -> $to { self as $to }
    })*)* };
}
casts! {
    i8 -> i8 i16 i32 i64 i128 f32 f64;
    i16 -> i8 i16 i32 i64 i128 f32 f64;
    i32 -> i8 i16 i32 i64 i128 f32 f64;
    i64 -> i8 i16 i32 i64 i128 f32 f64;
    i128 -> i8 i16 i32 i64 i128 f32 f64;
    f32 -> f32 f64;
    f64 -> f32 f64;
}

/// Numbers in the order SQL gives them: NaN equals itself and is above every number, -0 equals 0.
pub trait Ordered: Copy + Send + Sync + 'static {
    fn less(self, other: Self) -> bool;
    fn equal(self, other: Self) -> bool;
}

macro_rules! ordered_integers {
    ($($type:ident)*) => { $(impl Ordered for $type {
        #[inline(always)]
        fn less(self, other: $type) -> bool { self < other }
        #[inline(always)]
        fn equal(self, other: $type) -> bool { self == other }
    })* };
}
ordered_integers!(i8 i16 i32 i64 i128 u8 u16 u32 u128);

macro_rules! ordered_floats {
    ($($type:ident)*) => { $(impl Ordered for $type {
        #[inline(always)]
        fn less(self, other: $type) -> bool { (self < other) | (!self.is_nan() & other.is_nan()) }
        #[inline(always)]
        fn equal(self, other: $type) -> bool { (self == other) | (self.is_nan() & other.is_nan()) }
    })* };
}
ordered_floats!(f32 f64);

//! The one place where the CPU is looked at, and the macro that clones a kernel for what it finds.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that kernels are compiled for, from the least to the most capable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Isa {
    /// What every x86-64 has (or any other architecture).
    Base = 1,
    /// AVX2 with BMI.
    V3 = 2,
    /// AVX-512 with VBMI and VBMI2.
    V4 = 3,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The level that kernels run at: the best the CPU has, or a lower one where [`force`] asked for it.
#[inline]
pub fn isa() -> Isa {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Isa::Base,
        2 => Isa::V3,
        3 => Isa::V4,
        _ => {
            let best = detect();
            LEVEL.store(best as u8, Ordering::Relaxed);
            best
        }
    }
}

/// Runs kernels at `level` from now on, in the whole process; a level above what the CPU has gives the best
/// it has. Returns the level in force.
pub fn force(level: Isa) -> Isa {
    let level = level.min(detect());
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Isa {
    macro_rules! has {
        ($($feature:tt),*) => { true $(&& std::arch::is_x86_feature_detected!($feature))* };
    }
    if !has!("avx2", "bmi1", "bmi2", "popcnt", "lzcnt") {
        Isa::Base
    } else if !has!("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vbmi", "avx512vbmi2") {
        Isa::V3
    } else {
        Isa::V4
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Isa {
    Isa::Base
}

/// Defines a function whose one plain body is compiled for every [`Isa`] and chosen at each call; call it
/// once a vector, not once a row. Generic parameters are written in brackets: `fn name[T: Bound](…)`.
#[macro_export]
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $([$($generic:ident : $bound:path),* $(,)?])?
        ($($arg:ident : $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel takes slices one by one")]
        $vis fn $name $(<$($generic : $bound),*>)? ($($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "a kernel takes slices one by one")]
            fn plain $(<$($generic : $bound),*>)? ($($arg: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
            #[allow(clippy::too_many_arguments, reason = "a kernel takes slices one by one")]
            fn v3 $(<$($generic : $bound),*>)? ($($arg: $type),*) $(-> $result)? { plain($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(
                enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,lzcnt"
            )]
            #[allow(clippy::too_many_arguments, reason = "a kernel takes slices one by one")]
            fn v4 $(<$($generic : $bound),*>)? ($($arg: $type),*) $(-> $result)? { plain($($arg),*) }

            match $crate::kernels::isa::isa() {
                // SAFETY: `isa` never exceeds what it detected, which covers the features of the clone.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::V4 => unsafe { v4($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::isa::Isa::V3 => unsafe { v3($($arg),*) },
                _ => plain($($arg),*),
            }
        }
    };
}

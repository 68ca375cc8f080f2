//! How a value is chosen: mostly what means something, now and then what is at a limit.

use rand::Rng;
pub use rand::rngs::SmallRng as Dice;

/// What is chosen at random.
pub trait Choose: Sized {
    fn choose(dice: &mut Dice) -> Self;
}

/// One of them.
pub fn one_of<T: Copy>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.random_range(0..of.len())]
}

/// What is given to C, and how it is written there.
pub trait Argument {
    type C;
    #[cfg_attr(not(feature = "act"), allow(dead_code))]
    fn pass(&self) -> Self::C;
    fn literal(&self) -> String;
}

/// A number whose values are mostly some, rarely others.
macro_rules! number {
    (
        $(#[$doc:meta])*
        $name:ident: $type:ty,
        [$($common:expr),* $(,)?],
        rarely [$($rare:expr),* $(,)?]
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $type);

        impl $crate::choose::Choose for $name {
            fn choose(dice: &mut $crate::choose::Dice) -> Self {
                const COMMON: &[$type] = &[$($common),*];
                const RARE: &[$type] = &[$($rare),*];
                let rare = !RARE.is_empty() && rand::Rng::random_ratio(dice, 1, 12);
                Self($crate::choose::one_of(dice, if rare { RARE } else { COMMON }))
            }
        }

        $crate::choose::plain!($name: $type);
    };
}

/// Flags: none to three of them, rarely others.
macro_rules! flags {
    (
        $(#[$doc:meta])*
        $name:ident: $type:ty,
        [$($flag:expr),* $(,)?],
        rarely [$($rare:expr),* $(,)?]
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $type);

        impl $crate::choose::Choose for $name {
            fn choose(dice: &mut $crate::choose::Dice) -> Self {
                const FLAGS: &[$type] = &[$($flag),*];
                const RARE: &[$type] = &[$($rare),*];
                let mut value = 0;
                for _ in 0..rand::Rng::random_range(dice, 0..4) {
                    value |= $crate::choose::one_of(dice, FLAGS);
                }
                if !RARE.is_empty() && rand::Rng::random_ratio(dice, 1, 24) {
                    value |= $crate::choose::one_of(dice, RARE);
                }
                Self(value)
            }
        }

        $crate::choose::plain!($name: $type);
    };
}

/// A number is itself in C.
macro_rules! plain {
    ($name:ident: $type:ty) => {
        impl $crate::choose::Argument for $name {
            type C = $type;
            fn pass(&self) -> $type {
                self.0
            }
            fn literal(&self) -> String {
                $crate::choose::c_number(i128::from(self.0))
            }
        }
    };
}

pub(crate) use {flags, number, plain};

/// A number of C that has its value whatever its type.
pub fn c_number(value: i128) -> String {
    match value {
        -9..=9 => value.to_string(),
        _ if value < i128::from(i32::MIN) => format!("-{:#x}LL - 1", -(value + 1)),
        _ if value < 0 => value.to_string(),
        _ if value > i128::from(i64::MAX) => format!("{value:#x}ULL"),
        _ if value > i128::from(u32::MAX) => format!("{value:#x}LL"),
        _ => format!("{value:#x}"),
    }
}

//! A macro for enums whose variants are numbers on the wire: number, variant and name are
//! in one line and cannot diverge.

/// Declares an enum with `ALL`, `from_number`, `number` and `name`.
macro_rules! numbered {
    (
        $(#[$meta:meta])*
        pub enum $kind:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $number:literal, $name:literal;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $kind {
            /// Every variant, in the order of the numbers.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$variant),+];

            /// The variant of this number on the wire, if there is one.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Number on the wire.
            pub fn number(self) -> u32 {
                match self {
                    $(Self::$variant => $number,)+
                }
            }

            /// Name in the protocol's documentation.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

pub(super) use numbered;

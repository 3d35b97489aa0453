//! One key type for each kind of entity, made from the table of [`crate::kinds`].
//!
//! A key names a slot of one arena and the generation of the record in it, so the key of a
//! freed record finds nothing, and a `StreamKey` cannot be looked up among sessions. Keys are
//! never sent to peers: see [`crate::directory`].

use slotmap::new_key_type;

macro_rules! keys {
    ($($(#[$doc:meta])* $arena:ident: $module:ident::$record:ident, $key:ident, $name:literal, $plural:literal;)*) => {
        new_key_type! {
            $($(#[$doc])* pub struct $key;)*
        }
    };
}

for_each_kind!(keys);

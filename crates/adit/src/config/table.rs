//! How a table of the configuration is declared: once, as the list of its keys.

/// What documentation and messages need to know of a key.
#[derive(Debug, Clone)]
pub(crate) struct KeyInfo {
    /// The key.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) expected: String,
    /// It has no default.
    pub(crate) required: bool,
    /// The default as TOML; nothing when unset is the default.
    pub(crate) default: Option<String>,
    /// The default in words, where the value alone does not say it.
    pub(crate) says: Option<&'static str>,
    /// What it does.
    pub(crate) about: &'static str,
}

/// Declares a table as a struct with one field a key:
///
/// ```text
/// table! {
///     /// What the table is.
///     pub struct Table {
///         /// What the key does: this is the documentation's text, too.
///         key: Type = Kind(..), default DEFAULT;
///         another: Type = Kind(..), required;
///         third: Option<Type> = Maybe(Kind(..)), default None, says "what holds when it is not set";
///     }
/// }
/// ```
///
/// It gives the struct, `keys()` (the list for documentation and suggestions), `read` (from a section, each
/// bad value reported) and `written` (each key with its value as TOML).
macro_rules! table {
    (
        $(#[$table_attribute:meta])+
        $visibility:vis struct $table:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident : $type:ty = $kind:expr,
                $(required)? $(default $default:expr)? $(, says $says:literal)?;
            )+
        }
    ) => {
        $(#[$table_attribute])+
        #[derive(Debug, Clone, PartialEq)]
        $visibility struct $table {
            $(
                $(#[doc = $doc])+
                pub $key: $type,
            )+
        }

        impl $table {
            /// Every key, in the order of the documentation.
            pub(crate) fn keys() -> Vec<$crate::config::table::KeyInfo> {
                vec![$({
                    let kind = $kind;
                    let default: Option<$type> = [$(Some($default),)? None].into_iter().next().flatten();
                    $crate::config::table::KeyInfo {
                        name: stringify!($key),
                        expected: $crate::config::kind::Kind::expected(&kind),
                        required: default.is_none(),
                        default: default.and_then(|value| $crate::config::kind::Kind::write(&kind, &value)),
                        says: [$(Some($says),)? None].into_iter().next().flatten(),
                        about: concat!($($doc),+).trim_ascii_start(),
                    }
                }),+]
            }

            /// Reads the table. Nothing when a key without a default is missing or bad; every problem is
            /// reported to the reader.
            pub(crate) fn read(
                section: &mut $crate::config::section::Section,
                reader: &mut $crate::config::reader::Reader<'_>,
            ) -> Option<Self> {
                $(
                    let default: Option<$type> = [$(Some($default),)? None].into_iter().next().flatten();
                    let $key = reader.take(section, stringify!($key), &$kind, default);
                )+
                reader.refuse_leftover(section, &Self::keys());
                Some(Self { $($key: $key?,)+ })
            }

            /// Every key with its value as TOML; nothing for one that is not set.
            pub(crate) fn written(&self) -> Vec<(&'static str, Option<String>)> {
                vec![$({
                    let kind = $kind;
                    (stringify!($key), $crate::config::kind::Kind::write(&kind, &self.$key))
                }),+]
            }
        }
    };
}

pub(crate) use table;

//! `[pin.NAME]`

use crate::config::kind::{OneName, Patterns};
use crate::config::name::Name;
use crate::config::table::table;

table! {
    /// Workers that mine for one goal alone.
    pub struct Pin {
        /// Patterns of workers' names, `*` standing for any text. A connection goes by its first worker.
        workers: Vec<String> = Patterns, required;
        /// The goal that they mine for while it has a source and is open. Workers of other routes than the goal's are not
        /// concerned.
        goal: Name = OneName, required;
    }
}

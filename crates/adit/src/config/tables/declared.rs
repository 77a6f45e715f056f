//! `[declared.NAME]`

use noise::PoolUrl;

use crate::config::kind::{Choice, ExtraOutput, ExtraOutputs, Names, OneName, Signature, Url};
use crate::config::name::Name;
use crate::config::table::table;

/// How much of a template a pool is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclareMode {
    /// All of it: the pool checks the block.
    FullTemplate,
    /// The coinbase alone: the pool trusts the rest, and learns no transactions.
    CoinbaseOnly,
}

const MODE: Choice<DeclareMode> =
    Choice(&[("full-template", DeclareMode::FullTemplate), ("coinbase-only", DeclareMode::CoinbaseOnly)]);

table! {
    /// Mining for a pool on templates of the farm's own choice: a source of its own.
    pub struct Declared {
        /// The `[source.NAME]` whose pool this is. Its `url`, `user_identity`, `insecure`, timeouts and
        /// `ntime_slack` hold here, too.
        pool: Name = OneName, required;
        /// The pool's job declarator and the authority key that it must prove.
        jds_url: PoolUrl = Url("job declarator"), required;
        /// The templates in the order of preference: the first that works is used, and a block goes to all of them.
        templates: Vec<Name> = Names, required;
        /// What the pool is shown: the whole template, which it checks, or the coinbase alone, where it allows that.
        mode: DeclareMode = MODE, default DeclareMode::FullTemplate;
        /// Text for the coinbase, after the height. Pools take few bytes there.
        signature: String = Signature, default String::new();
        /// Outputs of the farm's own beside the pool's. What they pay is missing from the pool's payout.
        extra_outputs: Vec<ExtraOutput> = ExtraOutputs, default Vec::new();
    }
}

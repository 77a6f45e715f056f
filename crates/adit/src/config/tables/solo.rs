//! `[solo.NAME]`

use std::time::Duration;

use super::seconds;
use super::source::{NTIME_SLACK, NTIME_SLACK_MAX};
use crate::config::kind::{ExtraOutput, ExtraOutputs, Names, PayTo, PayoutAddress, Signature, Span};
use crate::config::name::Name;
use crate::config::table::table;

table! {
    /// Mining for the farm itself, without a pool: a source of its own.
    pub struct Solo {
        /// The templates in the order of preference: the first that works is used, and a block goes to all of them.
        templates: Vec<Name> = Names, required;
        /// The address that a block's reward goes to, on the templates' network.
        payout: PayTo = PayoutAddress, required;
        /// Text for the coinbase, after the height: anyone can read there who found the block.
        signature: String = Signature, default String::new();
        /// Outputs that are paid before `payout` gets the rest.
        extra_outputs: Vec<ExtraOutput> = ExtraOutputs, default Vec::new();
        /// How far a share's time may run ahead of the clock.
        ntime_slack: Duration = Span::seconds(seconds(0)..=NTIME_SLACK_MAX), default NTIME_SLACK;
    }
}

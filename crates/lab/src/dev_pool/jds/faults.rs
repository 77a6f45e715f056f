//! What the server does wrong when it is told to.

/// Which transactions of a declaration are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AskFor {
    /// Those that the pool does not know.
    #[default]
    Unknown,
    /// All, known or not.
    All,
    /// All, and one more than there are.
    Nonexistent,
    /// All, each named twice in one request.
    EachTwice,
    /// All, again and again after each answer.
    Again,
    /// As many as a request can name, 65,535: all that there are, and far more that there are not.
    Most,
}

/// What the server does wrong. The default is nothing. A code that is given here stands in the answer as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JdsFaults {
    /// Leaves SetupConnection without answer.
    pub silent_setup: bool,
    /// Leaves AllocateMiningJobToken without answer.
    pub silent_token: bool,
    /// Leaves DeclareMiningJob without answer.
    pub silent_declaration: bool,
    /// Leaves ProvideMissingTransactions.Success without answer.
    pub silent_missing_transactions: bool,
    /// The pool leaves SetCustomMiningJob without answer.
    pub silent_custom_job: bool,
    /// Refuses every declaration with this code.
    pub refuse_declarations: Option<String>,
    /// The pool refuses every custom job with this code.
    pub refuse_custom_jobs: Option<String>,
    /// The pool refuses every share of the custom jobs that it acknowledged, with this code.
    pub refuse_shares: Option<String>,
    /// Which transactions it asks for.
    pub ask_for: AskFor,
    /// Says DeclareMiningJob.Success and SetCustomMiningJob.Success twice.
    pub answer_twice: bool,
    /// The server ends the connection right after DeclareMiningJob.Success, and forgets its tokens with it.
    pub hang_up_after_declaration: bool,
    /// The pool changes the extranonce prefix just before SetCustomMiningJob.Success.
    pub change_prefix: bool,
}

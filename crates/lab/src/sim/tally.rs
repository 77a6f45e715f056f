//! How often what occurred: faults, messages, answers. A campaign fails if one of them never did.

use std::collections::BTreeMap;

use engine::books::{RefuseCode, RejectReason, Totals, UnsentReason};
use engine::miner::CloseReason;

use super::faults::FaultKind;
use super::kinds::kinds;

kinds! {
    /// A message, by direction, as the simulator's own ends saw it.
    Message {
        /// Miner to Adit.
        Configure => "SV1 up mining.configure",
        /// Miner to Adit.
        Subscribe => "SV1 up mining.subscribe",
        /// Miner to Adit.
        Authorize => "SV1 up mining.authorize",
        /// Miner to Adit.
        Submit => "SV1 up mining.submit",
        /// Miner to Adit.
        SuggestDifficulty => "SV1 up mining.suggest_difficulty",
        /// Miner to Adit.
        SuggestTarget => "SV1 up mining.suggest_target",
        /// Miner to Adit.
        ExtranonceSubscribe => "SV1 up mining.extranonce.subscribe",
        /// Miner to Adit.
        Ping => "SV1 up mining.ping",
        /// Miner to Adit.
        MultiVersion => "SV1 up mining.multi_version",
        /// Miner to Adit.
        GetTransactions => "SV1 up mining.get_transactions",
        /// Miner to Adit.
        UnknownMethod => "SV1 up (unknown method)",
        /// Adit to miner.
        Notify => "SV1 down mining.notify",
        /// Adit to miner.
        SetDifficulty => "SV1 down mining.set_difficulty",
        /// Adit to miner.
        ShowMessage => "SV1 down client.show_message",
        /// Adit to miner.
        SubscribeResult => "SV1 down result of mining.subscribe",
        /// Adit to miner.
        ConfigureResult => "SV1 down result of mining.configure",
        /// Adit to miner.
        ShareTaken => "SV1 down share: true",
        /// Adit to miner.
        ShareStale => "SV1 down share: 21 stale or unknown job",
        /// Adit to miner.
        ShareDuplicate => "SV1 down share: 22 duplicate",
        /// Adit to miner.
        ShareLow => "SV1 down share: 23 low difficulty",
        /// Adit to miner.
        ShareUnauthorized => "SV1 down share: 24 unauthorised",
        /// Adit to miner.
        ShareOther => "SV1 down share: 20 other",
        /// Adit to pool.
        SetupConnection => "SV2 up SetupConnection",
        /// Adit to pool.
        RequestExtensions => "SV2 up RequestExtensions",
        /// Adit to pool.
        OpenExtended => "SV2 up OpenExtendedMiningChannel",
        /// Adit to pool.
        UpdateChannel => "SV2 up UpdateChannel",
        /// Adit to pool.
        SubmitSharesExtended => "SV2 up SubmitSharesExtended",
        /// Adit to pool.
        SubmitWithWorker => "SV2 up SubmitSharesExtended with worker name",
        /// Adit to pool.
        CloseChannelUp => "SV2 up CloseChannel",
        /// Pool to Adit.
        SetupSuccess => "SV2 down SetupConnection.Success",
        /// Pool to Adit.
        SetupError => "SV2 down SetupConnection.Error",
        /// Pool to Adit.
        ExtensionsSuccess => "SV2 down RequestExtensions.Success",
        /// Pool to Adit.
        ExtensionsError => "SV2 down RequestExtensions.Error",
        /// Pool to Adit.
        OpenSuccess => "SV2 down OpenExtendedMiningChannel.Success",
        /// Pool to Adit.
        OpenError => "SV2 down OpenMiningChannel.Error",
        /// Pool to Adit.
        FutureJob => "SV2 down NewExtendedMiningJob (future)",
        /// Pool to Adit.
        ActiveJob => "SV2 down NewExtendedMiningJob (active)",
        /// Pool to Adit.
        GroupJob => "SV2 down NewExtendedMiningJob (group channel)",
        /// Pool to Adit.
        SetNewPrevHash => "SV2 down SetNewPrevHash",
        /// Pool to Adit.
        SetTarget => "SV2 down SetTarget",
        /// Pool to Adit.
        SetExtranoncePrefix => "SV2 down SetExtranoncePrefix",
        /// Pool to Adit.
        SetGroupChannel => "SV2 down SetGroupChannel",
        /// Pool to Adit.
        UpdateError => "SV2 down UpdateChannel.Error",
        /// Pool to Adit.
        CloseChannelDown => "SV2 down CloseChannel",
        /// Pool to Adit.
        SubmitSuccess => "SV2 down SubmitShares.Success",
        /// Pool to Adit.
        SubmitError => "SV2 down SubmitShares.Error",
        /// Pool to Adit.
        Reconnect => "SV2 down Reconnect",
        /// Pool to Adit.
        EndpointChanged => "SV2 down ChannelEndpointChanged",
        /// Adit to pool.
        SetCustomJob => "SV2 up SetCustomMiningJob",
        /// Pool to Adit.
        CustomSuccess => "SV2 down SetCustomMiningJob.Success",
        /// Pool to Adit.
        CustomError => "SV2 down SetCustomMiningJob.Error",
        /// Adit to declarator server.
        JdsSetup => "JD up SetupConnection",
        /// Adit to declarator server.
        AllocateToken => "JD up AllocateMiningJobToken",
        /// Adit to declarator server.
        DeclareJob => "JD up DeclareMiningJob",
        /// Adit to declarator server.
        GiveMissing => "JD up ProvideMissingTransactions.Success",
        /// Adit to declarator server.
        PushSolution => "JD up PushSolution",
        /// Declarator server to Adit.
        JdsSetupSuccess => "JD down SetupConnection.Success",
        /// Declarator server to Adit.
        TokenGiven => "JD down AllocateMiningJobToken.Success",
        /// Declarator server to Adit.
        AskMissing => "JD down ProvideMissingTransactions",
        /// Declarator server to Adit.
        DeclareSuccess => "JD down DeclareMiningJob.Success",
        /// Declarator server to Adit.
        DeclareError => "JD down DeclareMiningJob.Error",
        /// Node to Adit.
        TemplateNew => "template on a new tip",
        /// Node to Adit.
        TemplateBetter => "template on the same tip",
        /// Node to Adit.
        TemplateCompleted => "template's transactions, later",
        /// Node to Adit.
        TemplatesLost => "no templates any more",
        /// Adit to node.
        RoomAsked => "room for coinbase outputs asked for",
        /// Adit to node.
        DeclaredBlock => "block of a declared job",
        /// Adit to node.
        SoloBlock => "block of solo mining",
    }
}

/// How often each kind of fault was applied and each kind of message was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    faults: Vec<u64>,
    messages: Vec<u64>,
    /// How shares and connections ended, by the engine's words.
    ends: BTreeMap<String, u64>,
}

/// Ends that no run of the simulator can bring about, with the reason.
const IMPOSSIBLE: &[&str] = &[
    // 65,536 shares of one miner on one tip.
    "rejected duplicate_window_full",
    // Which miners to send away is decided outside the core.
    "closed overload",
    // Nor is the list of listeners changed in it (crates/adit/tests/process does that).
    "closed listener_gone",
    // What comes before a miner's state machine: what it speaks, by which way, and who it takes Adit for.
    "closed wrong_protocol",
    "closed proxy_header",
    "closed tls",
    "closed handshake",
    "closed not_authentic",
    // Miners here are of no known firmware, and ask for nothing that there is not.
    "closed firmware",
    "closed setup_refused",
    // Nobody below chooses the work.
    "closed pool_changed",
    // Who translates for SV2 miners knows its channel.
    "rejected unknown_channel",
    // Codes that a pool of the simulator has no occasion for.
    "refused invalid-job-id",
    "refused invalid-channel-id",
    "refused invalid-timestamp",
    "refused version-rolling-not-allowed",
    "refused bad-extranonce-size",
];

impl Default for Tally {
    fn default() -> Self {
        Self {
            faults: vec![0; FaultKind::ALL.len()],
            messages: vec![0; Message::ALL.len()],
            ends: all_ends(),
        }
    }
}

impl Tally {
    /// A fault was applied.
    pub fn fault(&mut self, kind: FaultKind) {
        self.faults[kind as usize] += 1;
    }

    /// A message was seen.
    pub fn message(&mut self, kind: Message) {
        self.messages[kind as usize] += 1;
    }

    /// Faults with their counts.
    pub fn faults(&self) -> impl Iterator<Item = (FaultKind, u64)> + '_ {
        FaultKind::ALL.iter().copied().zip(self.faults.iter().copied())
    }

    /// Messages with their counts.
    pub fn messages(&self) -> impl Iterator<Item = (Message, u64)> + '_ {
        Message::ALL.iter().copied().zip(self.messages.iter().copied())
    }

    /// Ends of shares and connections with their counts.
    pub fn ends(&self) -> impl Iterator<Item = (&str, u64)> + '_ {
        self.ends.iter().map(|(end, n)| (end.as_str(), *n))
    }

    /// How the shares of a run ended.
    pub(super) fn shares(&mut self, totals: &Totals) {
        let mut note = |end: String, n: u64| *self.ends.entry(end).or_default() += n;
        for why in RejectReason::ALL {
            note(format!("rejected {}", why.as_str()), totals.rejected[*why as usize]);
        }
        for why in UnsentReason::ALL {
            note(format!("unsent {}", why.as_str()), totals.unsent[*why as usize]);
        }
        for code in RefuseCode::ALL {
            note(format!("refused {}", code.as_str()), totals.refused[*code as usize]);
        }
        note("local".to_owned(), totals.local);
        note("acknowledged".to_owned(), totals.acknowledged);
        note("unknown".to_owned(), totals.unknown);
    }

    /// Adit closed connections for this reason.
    pub(super) fn closed(&mut self, why: &str, n: u64) {
        *self.ends.entry(format!("closed {why}")).or_default() += n;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        for (end, n) in &other.ends {
            *self.ends.entry(end.clone()).or_default() += n;
        }
        self.faults.iter_mut().zip(&other.faults).for_each(|(to, from)| *to += from);
        self.messages.iter_mut().zip(&other.messages).for_each(|(to, from)| *to += from);
    }

    /// What never occurred.
    #[must_use]
    pub fn never(&self) -> Vec<String> {
        let faults = self.faults().filter(|(_, n)| *n == 0).map(|(kind, _)| kind.name().to_owned());
        let messages = self.messages().filter(|(_, n)| *n == 0).map(|(kind, _)| kind.name().to_owned());
        let ends = self.ends().filter(|(end, n)| *n == 0 && !IMPOSSIBLE.contains(end));
        faults.chain(messages).chain(ends.map(|(end, _)| end.to_owned())).collect()
    }

    /// Faults applied, all together.
    #[must_use]
    pub fn faults_applied(&self) -> u64 {
        self.faults.iter().sum()
    }
}

fn all_ends() -> BTreeMap<String, u64> {
    let rejected = RejectReason::ALL.iter().map(|why| format!("rejected {}", why.as_str()));
    let unsent = UnsentReason::ALL.iter().map(|why| format!("unsent {}", why.as_str()));
    let refused = RefuseCode::ALL.iter().map(|code| format!("refused {}", code.as_str()));
    let closed = CloseReason::ALL.iter().map(|why| format!("closed {}", why.as_str()));
    rejected.chain(unsent).chain(refused).chain(closed).map(|end| (end, 0)).collect()
}

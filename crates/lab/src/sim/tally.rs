//! How often what occurred: faults, messages, answers. A campaign fails if one of them never did.

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
    }
}

/// How often each kind of fault was applied and each kind of message was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    faults: Vec<u64>,
    messages: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { faults: vec![0; FaultKind::ALL.len()], messages: vec![0; Message::ALL.len()] }
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

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.faults.iter_mut().zip(&other.faults).for_each(|(to, from)| *to += from);
        self.messages.iter_mut().zip(&other.messages).for_each(|(to, from)| *to += from);
    }

    /// What never occurred.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        let faults = self.faults().filter(|(_, n)| *n == 0).map(|(kind, _)| kind.name());
        let messages = self.messages().filter(|(_, n)| *n == 0).map(|(kind, _)| kind.name());
        faults.chain(messages).collect()
    }

    /// Faults applied, all together.
    #[must_use]
    pub fn faults_applied(&self) -> u64 {
        self.faults.iter().sum()
    }
}

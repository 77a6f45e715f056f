//! A declarator written by hand: it says what no decent one would.

use lab::dev_pool::DevPool;
use lab::sv2_client::{Sv2Client, Sv2ClientError};
use sv2::common::PROTOCOL_JOB_DECLARATION;
use sv2::job_declaration::{
    AllocateMiningJobToken, DECLARE_TX_DATA, DeclareMiningJob, ProvideMissingTransactionsSuccess,
};
use sv2::{AnyMessage, B016M, B064K, CommonMessage, JobDeclarationMessage, Message, Seq064K, Str0255};
use work::coinbase::{Coinbase, Output, read_outputs};
use work::{Template, TemplateTransaction};

use crate::farm::within;
use crate::miner::setup;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    SetUp,
    Refused(String, u32),
    Token { request_id: u32, token: Vec<u8>, outputs: Vec<Output> },
    Declared { request_id: u32, token: Vec<u8> },
    NotDeclared { request_id: u32, code: String, details: String },
    Missing { request_id: u32, positions: Vec<u16> },
}

/// DeclareMiningJob with fields of its own, so that tests can spoil them.
#[derive(Clone, Debug)]
pub(crate) struct Declare {
    pub(crate) token: Vec<u8>,
    pub(crate) version: u32,
    pub(crate) prefix: Vec<u8>,
    pub(crate) suffix: Vec<u8>,
    pub(crate) wtxids: Vec<[u8; 32]>,
    pub(crate) transactions: Vec<TemplateTransaction>,
}

impl Declare {
    pub(crate) fn new(token: &[u8], template: &Template, coinbase: &Coinbase) -> Declare {
        let transactions = template.transactions.clone().expect("the dev chain tells them").to_vec();
        Declare {
            token: token.to_vec(),
            version: template.version,
            prefix: coinbase.declared_prefix(),
            suffix: coinbase.declared_suffix(),
            wtxids: transactions.iter().map(|transaction| transaction.wtxid).collect(),
            transactions,
        }
    }
}

pub(crate) struct Raw {
    pub(crate) link: Sv2Client,
    requests: u32,
}

impl Raw {
    pub(crate) async fn connect(pool: &DevPool) -> Raw {
        let address = pool.jds_addr().expect("it has one");
        let link = Sv2Client::connect(address, pool.authority_public_key()).await.expect("handshake");
        Raw { link, requests: 0 }
    }

    /// With `DECLARE_TX_DATA` or without.
    pub(crate) async fn set_up(pool: &DevPool, full_template: bool) -> Raw {
        let mut raw = Raw::connect(pool).await;
        let flags = if full_template { DECLARE_TX_DATA } else { 0 };
        raw.link.send(&setup(PROTOCOL_JOB_DECLARATION, flags)).await.expect("sent");
        assert_eq!(raw.hear().await, Said::SetUp);
        raw
    }

    pub(crate) async fn send<'a>(&mut self, message: &impl Message<'a>) {
        self.link.send(message).await.expect("sent");
    }

    pub(crate) async fn hear(&mut self) -> Said {
        self.try_hear().await.expect("the link is up")
    }

    pub(crate) async fn try_hear(&mut self) -> Result<Said, Sv2ClientError> {
        let (header, payload) = within("the server", self.link.recv()).await?;
        Ok(match AnyMessage::decode(&header, &payload).expect("a message") {
            AnyMessage::Common(CommonMessage::SetupConnectionSuccess(_)) => Said::SetUp,
            AnyMessage::Common(CommonMessage::SetupConnectionError(m)) => {
                Said::Refused(m.error_code.to_string(), m.flags)
            }
            AnyMessage::JobDeclaration(message) => match message {
                JobDeclarationMessage::AllocateMiningJobTokenSuccess(m) => Said::Token {
                    request_id: m.request_id,
                    token: m.mining_job_token.as_slice().to_vec(),
                    outputs: read_outputs(m.coinbase_tx_outputs.as_slice()).expect("outputs"),
                },
                JobDeclarationMessage::DeclareMiningJobSuccess(m) => Said::Declared {
                    request_id: m.request_id,
                    token: m.new_mining_job_token.as_slice().to_vec(),
                },
                JobDeclarationMessage::DeclareMiningJobError(m) => Said::NotDeclared {
                    request_id: m.request_id,
                    code: m.error_code.to_string(),
                    details: String::from_utf8_lossy(m.error_details.as_slice()).into_owned(),
                },
                JobDeclarationMessage::ProvideMissingTransactions(m) => Said::Missing {
                    request_id: m.request_id,
                    positions: m.unknown_tx_position_list.iter().collect(),
                },
                other => panic!("unexpected {other:?}"),
            },
            other => panic!("unexpected {other:?}"),
        })
    }

    pub(crate) async fn ask_token(&mut self) -> u32 {
        self.requests += 1;
        let request_id = self.requests;
        self.send(&AllocateMiningJobToken { user_identifier: Str0255::truncated("farm"), request_id }).await;
        request_id
    }

    pub(crate) async fn token(&mut self) -> (Vec<u8>, Vec<Output>) {
        let asked = self.ask_token().await;
        match self.hear().await {
            Said::Token { request_id, token, outputs } if request_id == asked => (token, outputs),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send_declaration(&mut self, job: &Declare) -> u32 {
        self.requests += 1;
        let message = DeclareMiningJob {
            request_id: self.requests,
            mining_job_token: (&*job.token).try_into().expect("short"),
            version: job.version,
            coinbase_tx_prefix: (&*job.prefix).try_into().expect("short"),
            coinbase_tx_suffix: (&*job.suffix).try_into().expect("short"),
            wtxid_list: job.wtxids.as_slice().try_into().expect("short"),
            excess_data: B064K::default(),
        };
        self.send(&message).await;
        self.requests
    }

    pub(crate) async fn provide(&mut self, request_id: u32, transactions: &[&[u8]]) {
        let list: Vec<B016M<'_>> =
            transactions.iter().map(|bytes| (*bytes).try_into().expect("short")).collect();
        let transaction_list = Seq064K::from_slice(&list).expect("short");
        self.send(&ProvideMissingTransactionsSuccess { request_id, transaction_list }).await;
    }

    /// Declares, gives what is asked for, and has the new token, or the code and its details.
    pub(crate) async fn declare(&mut self, job: &Declare) -> Result<Vec<u8>, (String, String)> {
        let asked = self.send_declaration(job).await;
        loop {
            match self.hear().await {
                Said::Missing { request_id, positions } if request_id == asked => {
                    let bytes: Vec<&[u8]> =
                        positions.iter().map(|at| &*job.transactions[usize::from(*at)].bytes).collect();
                    self.provide(request_id, &bytes).await;
                }
                Said::Declared { request_id, token } if request_id == asked => return Ok(token),
                Said::NotDeclared { request_id, code, details } if request_id == asked => {
                    return Err((code, details));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

//! Every refusal has the reference's code.

use lab::dev_pool::{DevPool, JdsFaults, JdsMode};
use lab::sv2_client::Sv2ClientError;
use sv2::common::PROTOCOL_JOB_DECLARATION;
use sv2::job_declaration::DECLARE_TX_DATA;
use sv2::mining::{REQUIRES_STANDARD_JOBS, REQUIRES_WORK_SELECTION};
use template::dev_chain::SUBSIDY;
use work::coinbase::Output;

use crate::farm::{Custom, Farm, bind, coinbase, options, with_jds};
use crate::miner::{Miner, Said as MinerSaid, setup};
use crate::raw::{Declare, Raw, Said};

async fn set_up_is_refused(pool: &DevPool, protocol: u8, flags: u32) -> (String, u32) {
    let mut raw = Raw::connect(pool).await;
    raw.send(&setup(protocol, flags)).await;
    let Said::Refused(code, flags) = raw.hear().await else { panic!("it was not refused") };
    assert!(matches!(raw.try_hear().await, Err(Sv2ClientError::Closed | Sv2ClientError::Io(_))));
    (code, flags)
}

#[tokio::test]
async fn a_server_of_one_mode_says_so_when_asked_for_the_other() {
    let full = bind(with_jds(|jds| jds.mode = JdsMode::FullTemplate)).await;
    let coinbase_only = bind(with_jds(|jds| jds.mode = JdsMode::CoinbaseOnly)).await;
    let both = bind(options()).await;
    let refused = |code: &str, flags| (code.to_owned(), flags);
    assert_eq!(
        set_up_is_refused(&full, PROTOCOL_JOB_DECLARATION, 0).await,
        refused("missing-declare-tx-data-flag", 0)
    );
    assert_eq!(
        set_up_is_refused(&coinbase_only, PROTOCOL_JOB_DECLARATION, DECLARE_TX_DATA).await,
        refused("unsupported-feature-flags", DECLARE_TX_DATA)
    );
    assert_eq!(set_up_is_refused(&both, 0, DECLARE_TX_DATA).await, refused("unsupported-protocol", 0));
    assert_eq!(
        set_up_is_refused(&both, PROTOCOL_JOB_DECLARATION, 0b110).await,
        refused("unsupported-feature-flags", 0b110)
    );
    Raw::set_up(&full, true).await;
    Raw::set_up(&coinbase_only, false).await;
    Raw::set_up(&both, true).await;
    Raw::set_up(&both, false).await;
}

#[tokio::test]
async fn without_a_server_there_is_no_work_selection_and_with_it_no_jobs_of_the_pools() {
    let mut plain = options();
    plain.jds = None;
    let plain = bind(plain).await;
    assert!(plain.jds_addr().is_none() && plain.jds_url().is_none());
    let pool = bind(options()).await;
    assert!(pool.jds_url().is_some_and(|url| url.ends_with(&pool.authority_public_key().to_string())));

    // A channel for the pool's own jobs takes no other.
    let mut farm = Farm::of(&pool);
    let (mut raw, mut miner) = (Raw::set_up(&pool, false).await, Miner::open_with(&pool, 0).await);
    assert_eq!((miner.hear().await, miner.hear().await), (MinerSaid::Job, MinerSaid::Job));
    let (token, outputs) = raw.token().await;
    let template = farm.template().await;
    let custom = Custom::new(miner.channel_id, &token, &template, &coinbase(&template, &outputs));
    assert_eq!(miner.custom(&custom).await, Err("jd-not-supported".to_owned()));

    // A channel for custom jobs hears of none of the pool's.
    let mut miner = Miner::open(&pool).await;
    assert_eq!(
        miner.open_standard().await,
        MinerSaid::Refused("standard-channels-not-supported-for-custom-work".to_owned())
    );
    pool.refresh_template();
    pool.new_tip();
    let template = farm.template().await;
    let custom = Custom::new(miner.channel_id, &token, &template, &coinbase(&template, &outputs));
    assert!(miner.custom(&custom).await.is_ok());

    for (pool, flags) in
        [(&plain, REQUIRES_WORK_SELECTION), (&pool, REQUIRES_WORK_SELECTION | REQUIRES_STANDARD_JOBS)]
    {
        let link = lab::sv2_client::Sv2Client::connect(pool.local_addr(), pool.authority_public_key()).await;
        let mut link = link.unwrap();
        link.send(&setup(0, flags)).await.unwrap();
        let (_, payload) = link.recv().await.unwrap();
        let error: sv2::common::SetupConnectionError<'_> = sv2::Message::decode(&payload).unwrap();
        assert_eq!(
            (error.error_code.to_string(), error.flags),
            ("unsupported-feature-flags".to_owned(), REQUIRES_WORK_SELECTION)
        );
    }
}

#[tokio::test]
async fn each_fault_of_a_declaration_has_its_code() {
    type Spoil = fn(&mut Declare);
    let cases: [(&str, &str, Spoil); 12] = [
        ("invalid-mining-job-token", "", |job| job.token[0] ^= 1),
        ("invalid-mining-job-token", "", |job| job.token.clear()),
        ("invalid-coinbase-tx", "does not decode", |job| job.prefix.truncate(30)),
        ("invalid-coinbase-tx", "does not decode", |job| job.suffix.push(0)),
        // The outpoint of the input: after version, marker, flag and count.
        ("invalid-coinbase-tx-input", "no transaction", |job| job.prefix[7] ^= 1),
        // The height: height 1 is OP_1, then comes the tag's length.
        ("stale-chain-tip", "height 2", |job| job.prefix[44] = 0x52),
        ("invalid-coinbase-tx-input", "BIP 34", |job| job.prefix[44] = 0xff),
        // The payout's script, which stands after sequence, count, value and length.
        ("invalid-coinbase-tx", "output 0 is missing", |job| job.suffix[14] = 0x52),
        ("invalid-job", "are claimed", |job| job.suffix[5] += 1),
        ("invalid-job", "twice", |job| job.wtxids[1] = job.wtxids[0]),
        ("invalid-job", "witness commitment", |job| {
            job.wtxids.pop();
        }),
        ("missing-txs", "another one than declared", |job| job.transactions.reverse()),
    ];
    let pool = bind(options()).await;
    // The pool knows nothing of these transactions.
    pool.set_jds_faults(JdsFaults { ask_for: lab::dev_pool::AskFor::All, ..JdsFaults::default() });
    let mut farm = Farm::of(&pool);
    let mut raw = Raw::set_up(&pool, true).await;
    let template = farm.template().await;
    for (code, details, spoil) in cases {
        let (token, outputs) = raw.token().await;
        let mut job = Declare::new(&token, &template, &coinbase(&template, &outputs));
        spoil(&mut job);
        let (got, why) = raw.declare(&job).await.expect_err(code);
        // A job with a transaction less is worth less, too: which of both is said first is the server's choice.
        let other = code == "invalid-job" && why.contains("are claimed");
        assert!(got == code && (why.contains(details) || other), "{code} ({details}): {got} ({why})");
    }
    let refused: u64 = pool.stats().jds.declarations_refused.values().sum();
    assert_eq!((refused, pool.stats().jds.declared), (12, 0));
    // And as it was meant it is fine.
    let (token, outputs) = raw.token().await;
    raw.declare(&Declare::new(&token, &template, &coinbase(&template, &outputs))).await.unwrap();
}

#[tokio::test]
async fn a_declaration_with_a_wrong_commitment_or_missing_reward_is_no_job() {
    let pool = bind(options()).await;
    let mut farm = Farm::of(&pool);
    let mut raw = Raw::set_up(&pool, true).await;
    let template = farm.template().await;
    let (token, outputs) = raw.token().await;
    let mut spoiled = (*template).clone();
    let mut script = spoiled.coinbase.outputs[0].script_pubkey.to_vec();
    script[20] ^= 1;
    spoiled.coinbase.outputs[0].script_pubkey = script.into();
    let job = Declare::new(&token, &spoiled, &coinbase(&spoiled, &outputs));
    let (code, why) = raw.declare(&job).await.unwrap_err();
    assert!(code == "invalid-job" && why.contains("commitment"), "{code} {why}");

    // Fees that nobody gets.
    let (token, _) = raw.token().await;
    let mut spoiled = (*template).clone();
    spoiled.coinbase.value_remaining = SUBSIDY.to_sat();
    let job = Declare::new(&token, &spoiled, &coinbase(&spoiled, &outputs));
    let (code, why) = raw.declare(&job).await.unwrap_err();
    assert!(code == "invalid-job" && why.contains("lost"), "{code} {why}");

    // A part for somebody else.
    let (token, _) = raw.token().await;
    let mut shared = (*template).clone();
    shared.coinbase.value_remaining -= 5;
    shared.coinbase.outputs.push(Output { value: 5, script_pubkey: vec![0x52].into() });
    let job = Declare::new(&token, &shared, &coinbase(&shared, &outputs));
    let (code, why) = raw.declare(&job).await.unwrap_err();
    assert!(code == "invalid-coinbase-tx" && why.contains("payout gets"), "{code} {why}");
}

#[tokio::test]
async fn a_tip_that_changes_under_a_declaration_makes_it_stale() {
    let pool = bind(options()).await;
    pool.set_jds_faults(JdsFaults { ask_for: lab::dev_pool::AskFor::All, ..JdsFaults::default() });
    let mut farm = Farm::of(&pool);
    let mut raw = Raw::set_up(&pool, true).await;
    let template = farm.template().await;
    let (token, outputs) = raw.token().await;
    let job = Declare::new(&token, &template, &coinbase(&template, &outputs));
    let asked = raw.send_declaration(&job).await;
    let Said::Missing { request_id, positions } = raw.hear().await else { panic!("all is asked for") };
    assert_eq!((request_id, positions.len()), (asked, job.transactions.len()));
    pool.new_tip();
    let bytes: Vec<&[u8]> = job.transactions.iter().map(|transaction| &*transaction.bytes).collect();
    raw.provide(request_id, &bytes).await;
    let Said::NotDeclared { code, .. } = raw.hear().await else { panic!("it is stale") };
    assert_eq!(code, "stale-chain-tip");
    // The height tells, too.
    let (token, _) = raw.token().await;
    let late = Declare { token, ..job };
    assert_eq!(raw.declare(&late).await.unwrap_err().0, "stale-chain-tip");
}

#[tokio::test]
async fn each_fault_of_a_custom_job_has_its_code() {
    type Spoil = fn(&mut Custom);
    let declared: [(&str, Spoil); 13] = [
        ("invalid-channel-id", |job| job.channel_id += 77),
        ("invalid-mining-job-token", |job| job.token[0] ^= 1),
        ("stale-chain-tip", |job| job.prev_hash[0] ^= 1),
        ("invalid-nbits", |job| job.nbits -= 1),
        ("invalid-min-ntime", |job| job.min_ntime = 0),
        ("invalid-min-ntime", |job| job.min_ntime = u32::MAX),
        ("invalid-version", |job| job.version ^= 1 << 28),
        ("invalid-coinbase-tx-version", |job| job.tx_version += 1),
        ("invalid-coinbase-prefix", |job| {
            job.prefix.pop();
        }),
        ("invalid-coinbase-tx-input-n-sequence", |job| job.sequence -= 1),
        ("invalid-coinbase-tx-outputs", |job| job.outputs[1] -= 1),
        ("invalid-coinbase-tx-locktime", |job| job.locktime += 1),
        ("invalid-merkle-path", |job| job.path[0][0] ^= 1),
    ];
    let coinbase_only: [(&str, Spoil); 10] = [
        ("invalid-mining-job-token", |job| job.token.push(0)),
        ("stale-chain-tip", |job| job.prev_hash = [0; 32]),
        ("invalid-nbits", |job| job.nbits = 0),
        ("invalid-version", |job| job.version = 1),
        ("invalid-coinbase-prefix", |job| job.prefix[0] += 1),
        ("invalid-coinbase-tx", |job| job.prefix.extend([0; 80])),
        ("invalid-coinbase-tx-outputs", |job| {
            job.outputs.pop();
        }),
        // The payout's script: after count, value and length.
        ("invalid-coinbase-tx-outputs", |job| job.outputs[10] = 0x52),
        ("invalid-coinbase-tx-locktime", |job| (job.sequence, job.locktime) = (1, 1)),
        ("invalid-merkle-path", |job| job.path = vec![[1; 32]; 16]),
    ];
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let template = farm.template().await;
    let mut raw = Raw::set_up(&pool, true).await;
    for (code, spoil) in declared {
        let (token, outputs) = raw.token().await;
        let coinbase = coinbase(&template, &outputs);
        let token = raw.declare(&Declare::new(&token, &template, &coinbase)).await.unwrap();
        let mut job = Custom::new(miner.channel_id, &token, &template, &coinbase);
        spoil(&mut job);
        assert_eq!(miner.custom(&job).await, Err(code.to_owned()));
    }
    let mut raw = Raw::set_up(&pool, false).await;
    for (code, spoil) in coinbase_only {
        let (token, outputs) = raw.token().await;
        let mut job = Custom::new(miner.channel_id, &token, &template, &coinbase(&template, &outputs));
        spoil(&mut job);
        assert_eq!(miner.custom(&job).await, Err(code.to_owned()));
    }
    let refused: u64 = pool.stats().jds.custom_jobs_refused.values().sum();
    assert_eq!((refused, pool.stats().jds.custom_jobs), (23, 0));
}

#[tokio::test]
async fn a_token_serves_after_its_declaration_and_not_before() {
    let pool = bind(options()).await;
    pool.set_jds_faults(JdsFaults { ask_for: lab::dev_pool::AskFor::All, ..JdsFaults::default() });
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let mut raw = Raw::set_up(&pool, true).await;
    let template = farm.template().await;
    let (token, outputs) = raw.token().await;
    let coinbase = coinbase(&template, &outputs);
    let custom = |token: &[u8]| Custom::new(1, token, &template, &coinbase);
    let in_channel = |job: Custom, channel_id| Custom { channel_id, ..job };
    let channel = miner.channel_id;
    assert_eq!(
        miner.custom(&in_channel(custom(&token), channel)).await,
        Err("invalid-mining-job-token".to_owned()),
        "allocated, not declared"
    );
    let job = Declare::new(&token, &template, &coinbase);
    raw.send_declaration(&job).await;
    let Said::Missing { request_id, .. } = raw.hear().await else { panic!("all is asked for") };
    assert_eq!(
        miner.custom(&in_channel(custom(&token), channel)).await,
        Err("job-not-yet-validated".to_owned())
    );
    let bytes: Vec<&[u8]> = job.transactions.iter().map(|transaction| &*transaction.bytes).collect();
    raw.provide(request_id, &bytes).await;
    let Said::Declared { token: active, .. } = raw.hear().await else { panic!("it is declared") };
    assert!(miner.custom(&in_channel(custom(&active), channel)).await.is_ok());
    assert_eq!(
        miner.custom(&in_channel(custom(&active), channel)).await,
        Err("invalid-mining-job-token".to_owned()),
        "used"
    );
    // A tip that changes between the declaration and the custom job.
    let (token, _) = raw.token().await;
    let declared = raw.declare(&Declare::new(&token, &template, &coinbase)).await.unwrap();
    pool.new_tip();
    let stale = miner.custom(&in_channel(custom(&declared), channel)).await;
    assert_eq!(stale, Err("stale-chain-tip".to_owned()));
    // No time is left.
    let brief = bind(with_jds(|jds| jds.active_token_time = std::time::Duration::ZERO)).await;
    let (mut farm, mut miner) = (Farm::of(&brief), Miner::open(&brief).await);
    let mut raw = Raw::set_up(&brief, true).await;
    let template = farm.template().await;
    let (token, _) = raw.token().await;
    let token = raw.declare(&Declare::new(&token, &template, &coinbase)).await;
    let token = token.unwrap_or_else(|(code, why)| panic!("{code} {why}"));
    let late = miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await;
    assert_eq!(late, Err("invalid-mining-job-token".to_owned()));
}

#[tokio::test]
async fn other_payout_outputs_hold_for_tokens_to_come() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let mut raw = Raw::set_up(&pool, false).await;
    let template = farm.template().await;
    let (old_token, old) = raw.token().await;
    pool.set_payout_outputs(&[vec![0x53], vec![0x6a, 1, 7]]);
    let (token, new) = raw.token().await;
    let (token_too, _) = raw.token().await;
    let scripts: Vec<&[u8]> = new.iter().map(|output| &*output.script_pubkey).collect();
    assert_eq!(scripts, [&[0x53][..], &[0x6a, 1, 7]]);
    let mut custom = async |token: &[u8], outputs: &[Output]| {
        miner.custom(&Custom::new(miner.channel_id, token, &template, &coinbase(&template, outputs))).await
    };
    assert!(custom(&old_token, &old).await.is_ok());
    assert_eq!(custom(&token, &old).await, Err("invalid-coinbase-tx-outputs".to_owned()));
    assert!(custom(&token_too, &new).await.is_ok());
}

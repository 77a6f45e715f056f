//! Whatever is written, it is read or refused, never a panic.

use proptest::prelude::*;

use super::good;
use crate::config::{Config, Machine, assemble};

/// Pieces that make texts which come far: keys, tables and values of every kind.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "[",
            "]",
            "[[",
            "]]",
            ".",
            "=",
            ",",
            "{",
            "}",
            "\"",
            "'",
            "\"\"\"",
            "\n",
            "\r\n",
            "#",
            " ",
            "\t",
            "\u{0}",
            "ä",
            "version = 1\n",
            "[listener.main]\n",
            "[source.main]\n",
            "[route.main]\n",
            "[http]\n",
            "[log]\n",
            "[template.main]\n",
            "[solo.a]\n",
            "[declared.b]\n",
            "[state]\n",
            "kind = \"bitcoin-ipc\"\n",
            "kind = \"bitcoin-rpc\"\n",
            "templates = [\"main\"]\n",
            "pool = \"main\"\n",
            "rpc_password",
            "rpc_user",
            "network",
            "payout",
            "extra_outputs",
            "signature",
            "\"regtest\"",
            "\"bc1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3h8ffkz=5\"",
            "\"bc1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3h8ffkz\"",
            "[limits]\n",
            "listener",
            "source",
            "route",
            "main",
            "listen",
            "url",
            "user_identity",
            "insecure = true\n",
            "version_mask",
            "listeners = [\"main\"]\n",
            "sources = [\"main\", 'b']\n",
            "difficulty_min",
            "max_connections",
            "keepalive",
            "\"10s\"",
            "\"16KiB\"",
            "\"100 TH/s\"",
            "\"0.0.0.0:3333\"",
            "1e400",
            "-1",
            "0xffffffff",
            "nan",
            "true",
            "[]",
            "99999999999999999999",
            "2026-11-22T00:00:00Z",
            "\"stratum2+tcp://h:1/k\"",
            "{ a = 1 }",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in text()) {
        if let Err(errors) = Config::from_str_named("adit.toml", &text) {
            prop_assert!(!errors.problems().is_empty());
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn any_bytes_that_are_text_are_read_or_refused(text in any::<String>()) {
        let _ = Config::from_str_named("adit.toml", &text).map_err(|errors| errors.to_string());
    }

    #[test]
    fn a_spoilt_configuration_is_read_or_refused(at in 0..400_usize, len in 0..5_usize, new in text()) {
        let mut text = good().listener("difficulty_min = 1").source("ntime_slack = \"1h\"").text();
        let (at, end) = (at.min(text.len()), (at + len).min(text.len()));
        text.replace_range(at..end, &new);
        let _ = Config::from_str_named("adit.toml", &text).map_err(|errors| errors.to_string());
    }

    #[test]
    fn any_variables_are_read_or_refused(
        variables in prop::collection::vec(
            (
                prop_oneof![
                    "(ADIT_|ADIT__)(LISTENER|SOURCE|ROUTE|TEMPLATE|SOLO|DECLARED|STATE|LOG|X)(__(MAIN|B_C|_))?__(LISTEN|URL|SOURCES|KIND|RPC_USER|PAYOUT|POOL|_)",
                    "ADIT__\\PC{0,10}",
                ],
                any::<String>(),
            ),
            0..5,
        ),
    ) {
        let machine = Machine { open_files: Some(64) };
        let _ = assemble("adit.toml", &good().text(), &variables, false, machine, &|path| {
            std::fs::read_to_string(path)
        })
        .map_err(|errors| errors.to_string());
    }

    #[test]
    fn what_is_in_force_reads_back_as_itself(
        ms in 1_000..60_000_u64,
        size in 16_384..1_000_000_usize,
        difficulty in 1e-3..1e12_f64,
        rate in 1.0..1e20_f64,
        identity in "[a-zA-Z0-9\"\\\\äß.]{1,30}",
    ) {
        let identity = identity.replace('\\', "\\\\").replace('"', "\\\"");
        let text = good()
            .listener(&format!("difficulty_start = {difficulty:?}"))
            .bare_source(&format!(
                "url = \"{}\"\nuser_identity = \"{identity}\"\nnominal_hashrate = {rate:?}\nconnect_timeout = \"{ms}ms\"",
                super::url()
            ))
            .end(&format!("[limits]\noutbox = {size}"))
            .text();
        let config = Config::from_str_named("adit.toml", &text).unwrap().config;
        let again = Config::from_str_named("effective", &config.effective_toml()).unwrap().config;
        prop_assert_eq!(again, config);
    }
}

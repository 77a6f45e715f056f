//! Keys from the environment.

use super::{OWN_KEY, good, url};
use crate::config::{ConfigErrors, Loaded, Machine, Name, Place, assemble};

/// The good configuration with variables laid over it.
fn with(variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    over(&good().text(), false, variables)
}

fn over(text: &str, only_environment: bool, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    let mut variables: Vec<_> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    variables.sort();
    assemble("adit.toml", text, &variables, only_environment, Machine::default(), &|path| {
        std::fs::read_to_string(path)
    })
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Every problem's text.
fn problems(loaded: Result<Loaded, ConfigErrors>) -> String {
    loaded.unwrap_err().problems().iter().map(ToString::to_string).collect()
}

#[test]
fn a_variable_replaces_the_files_value() {
    let loaded = over(
        &good().listener("shares_per_minute = 10").text(),
        false,
        &[
            ("ADIT__LISTENER__MAIN__SHARES_PER_MINUTE", "30"),
            ("ADIT__LISTENER__MAIN__VARDIFF", "false"),
            ("ADIT__LOG__LEVEL", "debug"),
            ("ADIT__LIMITS__LINE", "32KiB"),
            ("PATH", "/bin"),
        ],
    );
    let config = loaded.unwrap().config;
    assert_eq!(config.listeners["main"].shares_per_minute, 30.0);
    assert!(!config.listeners["main"].vardiff);
    assert_eq!(config.log.level.as_str(), "debug");
    assert_eq!(config.limits.line, 32 * 1024);
}

#[test]
fn a_bad_value_of_the_file_that_a_variable_replaces_does_no_harm() {
    let text = good().listener("shares_per_minute = \"many\"").text();
    let loaded = over(&text, false, &[("ADIT__LISTENER__MAIN__SHARES_PER_MINUTE", "30")]);
    assert_eq!(loaded.unwrap().config.listeners["main"].shares_per_minute, 30.0);
}

#[test]
fn the_environment_alone_is_enough() {
    let url = url();
    let loaded = over(
        "",
        true,
        &[
            ("ADIT__LISTENER__HALL_2__LISTEN", "127.0.0.1:3334"),
            ("ADIT__SOURCE__MAIN__URL", &url),
            ("ADIT__SOURCE__MAIN__USER_IDENTITY", "12345"),
            ("ADIT__SOURCE__BACKUP__URL", &url),
            ("ADIT__SOURCE__BACKUP__USER_IDENTITY", "true"),
            ("ADIT__ROUTE__MAIN__LISTENERS", "hall-2"),
            ("ADIT__ROUTE__MAIN__SOURCES", "main, backup"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.config.listeners[&name("hall-2")].listen.port(), 3334);
    assert_eq!(loaded.config.sources["main"].user_identity, "12345");
    assert_eq!(loaded.config.sources["backup"].user_identity, "true");
    assert_eq!(loaded.config.routes["main"].sources, [name("main"), name("backup")]);
}

#[test]
fn a_list_may_be_written_as_in_the_file() {
    let text = good().end(&format!("[source.two]\nurl = \"{}\"\nuser_identity = \"a\"", url())).text();
    let loaded = over(&text, false, &[("ADIT__ROUTE__MAIN__SOURCES", "[\"two\", \"main\"]")]);
    assert_eq!(loaded.unwrap().config.routes["main"].sources, [name("two"), name("main")]);
}

#[test]
fn problems_name_the_variable_and_what_to_set() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("ADIT__LISTENER__MAIN__EXTRANONCE2_SIZE", "nine")],
            "environment variable ADIT__LISTENER__MAIN__EXTRANONCE2_SIZE: listener.main.extranonce2_size
    expected: a whole number from 1 to 8
    found:    \"nine\"
    fix:      write a whole number from 1 to 8
",
        ),
        (
            &[("ADIT__HTTP__LISTEN", ":9000")],
            "environment variable ADIT__HTTP__LISTEN: http.listen
    expected: an IP address and a port, such as \"127.0.0.1:23480\" or \"[::1]:23480\" (port 0: any free one)
    found:    \":9000\"
    fix:      ADIT__HTTP__LISTEN=0.0.0.0:9000
",
        ),
        (
            &[("ADIT__LOG__LEVEL", "")],
            "environment variable ADIT__LOG__LEVEL: log.level
    expected: \"error\", \"warn\", \"info\", \"debug\" or \"trace\"
    found:    an empty text
    fix:      ADIT__LOG__LEVEL=info (the default)
",
        ),
        (
            &[("ADIT__LOG__LEVLE", "info")],
            "environment variable ADIT__LOG__LEVLE: log.levle
    expected: a key of [log]
    found:    an unknown key
    fix:      did you mean ADIT__LOG__LEVEL?
",
        ),
        (
            &[("ADIT__LGO__LEVEL", "info")],
            "environment variable ADIT__LGO__LEVEL
    expected: ADIT__TABLE__KEY, and ADIT__TABLE__NAME__KEY for listener, source, template, solo, declared, route, goal, pin and firmware, in capitals with _ for -
    found:    a name that is no key
    fix:      did you mean ADIT__LOG__LEVEL?
",
        ),
        (
            &[("ADIT__LISTENER__LISTEN", "127.0.0.1:1")],
            "environment variable ADIT__LISTENER__LISTEN
    expected: ADIT__TABLE__KEY, and ADIT__TABLE__NAME__KEY for listener, source, template, solo, declared, route, goal, pin and firmware, in capitals with _ for -
    found:    a name that is no key
    fix:      did you mean ADIT__LISTENER__MAIN__LISTEN?
",
        ),
        (
            &[("ADIT__log__level", "info")],
            "environment variable ADIT__log__level
    expected: ADIT__TABLE__KEY, and ADIT__TABLE__NAME__KEY for listener, source, template, solo, declared, route, goal, pin and firmware, in capitals with _ for -
    found:    a name that is no key
    fix:      did you mean ADIT__LOG__LEVEL?
",
        ),
        (
            &[("ADIT__", "")],
            "environment variable ADIT__
    expected: ADIT__TABLE__KEY, and ADIT__TABLE__NAME__KEY for listener, source, template, solo, declared, route, goal, pin and firmware, in capitals with _ for -
    found:    a name that is no key
    fix:      remove the variable
",
        ),
        (
            &[("ADIT__ROUTE__MAIN__SOURCES", "main,Main")],
            "environment variable ADIT__ROUTE__MAIN__SOURCES: route.main.sources
    expected: a name of 1 to 32 lower-case letters, digits and single '-' between them, such as main or hall-2
    found:    \"Main\"
    fix:      write \"main\"
",
        ),
        (
            &[("ADIT__ROUTE__MAIN__SOURCES", "main,other")],
            "environment variable ADIT__ROUTE__MAIN__SOURCES: route.main.sources[1]
    expected: the name of a source: main
    found:    \"other\"
    fix:      add a table [source.other], or leave the name out
",
        ),
        (
            &[("ADIT__SOURCE__MIAN__USER_IDENTITY", "me")],
            "environment variable ADIT__SOURCE__MIAN__USER_IDENTITY: source.mian.url
    expected: a pool's URL, stratum2+tcp://host:port/authority-key, or stratum+tcp://host:port (or stratum+ssl://) of Stratum V1
    found:    nothing
    fix:      set ADIT__SOURCE__MIAN__URL; the table exists only because ADIT__SOURCE__MIAN__USER_IDENTITY is set: is its name right?
",
        ),
    ];
    for (variables, expected) in cases {
        assert_eq!(problems(with(variables)), *expected);
    }
}

#[test]
fn the_published_example_key_is_refused_from_the_environment_too() {
    let url = url().replace(OWN_KEY, noise::PUBLISHED_EXAMPLE_KEYS[0]);
    let text = problems(with(&[("ADIT__SOURCE__MAIN__URL", &url)]));
    assert!(text.contains("which is a published example"), "{text}");
}

#[test]
fn variables_follow_the_files_problems() {
    let text = good().listener("vardiff = 1").text();
    let refused = over(&text, false, &[("ADIT__LOG__LEVEL", "loud")]).unwrap_err();
    assert!(matches!(refused.problems()[0].place, Place::Line { line: 3, .. }));
    assert_eq!(refused.problems()[1].place, Place::Variable("ADIT__LOG__LEVEL".to_owned()));
}

#[test]
fn a_variable_that_is_almost_one_of_ours_is_warned_of() {
    let loaded = with(&[
        ("ADIT_LOG__LEVEL", "debug"),
        // What Kubernetes makes up for a service of this name, and what is nobody's.
        ("ADIT_SERVICE_HOST", "10.0.0.1"),
        ("ADIT_PORT", "tcp://10.0.0.1:3333"),
    ])
    .unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "environment variable ADIT_LOG__LEVEL: log.level: this variable has no effect; did you mean ADIT__LOG__LEVEL?"
        ]
    );
}

#[test]
fn the_version_may_come_from_the_environment() {
    let text = good().text().replace("version = 1\n", "");
    assert!(over(&text, false, &[("ADIT__VERSION", "1")]).is_ok());
    assert!(over(&text, false, &[("ADIT__VERSION", "2")]).is_err());
    assert!(over(&text, false, &[]).is_err());
}

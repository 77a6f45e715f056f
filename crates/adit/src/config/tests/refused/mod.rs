//! Bad configurations and the exact text that their owners get.

mod nats;
mod syntax;
mod tables;
mod together;
mod values;
mod work;

use super::{ADDRESSES, OWN_KEY, good};
use crate::config::Config;

/// Where a case's lines go.
#[derive(Clone, Copy)]
enum In {
    /// Below `[listener.main]` of a configuration that is good otherwise.
    Listener,
    /// Below `[source.main]`, behind its `url` and `user_identity`.
    Source,
    /// Below `[source.main]`, in place of its `url` and `user_identity`.
    BareSource,
    /// Below `[route.main]`, in place of the keys that they set.
    Route,
    /// At the end.
    End,
    /// They are the whole file, so that more is wrong with it: the text is that of its first problem.
    Whole,
}

/// A configuration with one thing wrong.
struct Case {
    /// What is wrong.
    what: &'static str,
    /// Where the lines go.
    place: In,
    /// `KEY` stands for an authority key that is nobody's, and the names of [`ADDRESSES`] for those.
    lines: &'static str,
    /// What its owner reads about it.
    text: &'static str,
}

impl Case {
    fn config(&self) -> String {
        let lines = filled_in(self.lines);
        match self.place {
            In::Listener => good().listener(&lines).text(),
            In::Source => good().source(&lines).text(),
            In::BareSource => good().bare_source(&lines).text(),
            In::Route => good().route(&lines).text(),
            In::End => good().end(&lines).text(),
            In::Whole => lines,
        }
    }
}

fn filled_in(text: &str) -> String {
    ADDRESSES.iter().fold(text.replace("KEY", OWN_KEY), |text, (name, address)| text.replace(name, address))
}

#[test]
fn each_mistake_gives_its_exact_text() {
    for case in [tables::CASES, values::CASES, together::CASES, work::CASES, nats::CASES, syntax::CASES]
        .into_iter()
        .flatten()
    {
        let refused = Config::from_str_named("adit.toml", &case.config()).expect_err(case.what);
        assert_eq!(refused.problems()[0].to_string(), filled_in(case.text), "{}", case.what);
        if !matches!(case.place, In::Whole) {
            assert_eq!(refused.problems().len(), 1, "{}: {refused}", case.what);
        }
    }
}

#[test]
fn the_configuration_that_the_cases_spoil_is_good() {
    let loaded = Config::from_str_named("adit.toml", &good().text()).unwrap();
    assert_eq!(loaded.warnings, []);
}

#[test]
fn an_empty_file_is_told_all_that_it_lacks() {
    let refused = Config::from_str_named("adit.toml", "").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "4 errors in the configuration (adit.toml):

adit.toml: version
    expected: 1, the version of this format
    found:    nothing
    fix:      begin the file with version = 1

adit.toml: listener
    expected: at least one table [listener.NAME]
    found:    none
    fix:      add [listener.main]; its listen is where miners connect

adit.toml: source
    expected: at least one table [source.NAME] or [solo.NAME] or [declared.NAME]
    found:    none
    fix:      add [source.main]; its url and user_identity say where work comes from

adit.toml: route
    expected: at least one table [route.NAME]
    found:    none
    fix:      add [route.main]; its listeners and sources bind the two"
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = good()
        .listener("extranonce2_size = 9\nvradiff = true")
        .source("connect_timeout = \"5 seconds\"")
        .route("sources = [\"mian\"]")
        .end("[limits]\nline = 1\n[lug]")
        .text();
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err();
    let keys: Vec<&str> = refused.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "listener.main.extranonce2_size",
            "listener.main.vradiff",
            "source.main.connect_timeout",
            "route.main.sources[0]",
            "limits.line",
            "lug",
        ]
    );
    assert!(
        refused.to_string().starts_with("6 errors in the configuration (adit.toml):\n\nadit.toml:3:20: ")
    );
}

#[test]
fn syntax_errors_do_not_hide_other_mistakes() {
    let text = good().listener("reply = local\nextranonce2_size = 9\nvardiff = 1").text();
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err();
    let keys: Vec<&str> = refused.problems().iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["reply", "listener.main.extranonce2_size", "listener.main.vardiff"]);
}

#[test]
fn a_misspelt_mandatory_key_is_one_mistake_not_two() {
    let text = good().bare_source("ulr = \"x\"\nuser_identity = \"a\"").text();
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err();
    assert_eq!(refused.problems().len(), 1, "{refused}");
    assert_eq!(refused.problems()[0].fix, "did you mean url?");
}

#[test]
fn what_depends_on_a_refused_value_is_not_judged() {
    // Both listeners would have the default address, but that is not what was meant.
    let text = good()
        .route("listeners = [\"main\", \"two\"]")
        .end("[listener.two]\nlisten = \"127.0.0.1;4444\"\n")
        .text();
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err();
    assert_eq!(refused.problems().len(), 1, "{refused}");
    assert_eq!(refused.problems()[0].key, "listener.two.listen");
}

#[test]
fn a_flood_of_mistakes_is_cut_short() {
    let text: String = (0..5_000).map(|number| format!("key{number} = 1\n")).collect();
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err().to_string();
    assert!(refused.starts_with("1000 errors"), "{refused}");
    assert!(refused.ends_with("\nand 950 more"), "{refused}");
}

#[test]
fn more_tables_than_there_is_room_for_are_refused() {
    let tables: String = (0..1_001).map(|at| format!("[source.s{at}]\n")).collect();
    let refused = Config::from_str_named("adit.toml", &good().end(&tables).text()).unwrap_err();
    // Each lacks its url and user_identity: the flood is cut short, and nothing else is judged.
    assert_eq!(refused.problems().len(), 1_000);
    let tables: String = (0..1_000)
        .map(|at| format!("[source.s{at}]\nurl = \"{}\"\nuser_identity = \"a\"\n", super::url()))
        .collect();
    let refused = Config::from_str_named("adit.toml", &good().end(&tables).text()).unwrap_err();
    assert_eq!(refused.problems().len(), 1, "{refused}");
    assert_eq!(refused.problems()[0].expected, "at most 1000 tables [source.NAME]");
}

#[test]
fn a_misspelt_key_does_not_show_its_value() {
    let text = good().source("pasword = \"hush\"").text();
    let refused = Config::from_str_named("adit.toml", &text).unwrap_err().to_string();
    assert!(refused.contains("pasword") && !refused.contains("hush"), "{refused}");
}

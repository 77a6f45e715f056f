//! What the configuration promises its owners.

mod environment;
mod examples;
mod firmware;
mod load;
mod loaded;
mod properties;
mod reference;
mod refused;
mod secrets;
mod work;

/// An authority key that is nobody's and no published example.
const OWN_KEY: &str = "9bGBU8kQmhxVgkB8FENf6brbbJ1pdw6Bjw79EmTUiv99YZ7Zhuz";

/// Addresses whose keys nobody has, by the words that stand for them in tests: longer words first.
const ADDRESSES: [(&str, &str); 3] = [
    ("REGTEST", "bcrt1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3lgth6c"),
    ("TEST", "tb1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3apj6d3"),
    ("MAIN", "bc1qzyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3h8ffkz"),
];

/// The address of `MAIN`.
const ADDRESS: &str = ADDRESSES[2].1;

/// A pool's URL with that key.
fn url() -> String {
    format!("stratum2+tcp://pool.example:3336/{OWN_KEY}")
}

/// A good configuration to spoil.
#[derive(Default)]
struct Good {
    listener: String,
    source: String,
    bare_source: Option<String>,
    route: String,
    end: String,
}

fn good() -> Good {
    Good::default()
}

impl Good {
    fn listener(mut self, lines: &str) -> Self {
        self.listener = format!("{lines}\n");
        self
    }

    fn source(mut self, lines: &str) -> Self {
        self.source = format!("{lines}\n");
        self
    }

    /// In place of `url` and `user_identity`.
    fn bare_source(mut self, lines: &str) -> Self {
        self.bare_source = Some(format!("{lines}\n"));
        self
    }

    /// Replaces `listeners` or `sources` where the lines set them.
    fn route(mut self, lines: &str) -> Self {
        self.route = format!("{lines}\n");
        self
    }

    fn end(mut self, lines: &str) -> Self {
        self.end = format!("{lines}\n");
        self
    }

    fn text(self) -> String {
        let source =
            self.bare_source.unwrap_or_else(|| format!("url = \"{}\"\nuser_identity = \"account\"\n", url()));
        let mut route = String::new();
        for key in ["listeners", "sources"] {
            if !self.route.contains(key) {
                route.push_str(&format!("{key} = [\"main\"]\n"));
            }
        }
        format!(
            "version = 1\n[listener.main]\n{}[source.main]\n{source}{}[route.main]\n{route}{}{}",
            self.listener, self.source, self.route, self.end
        )
    }
}

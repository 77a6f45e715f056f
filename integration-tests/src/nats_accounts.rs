//! An operator, an account and a user of a NATS system that lets in by JWT: what `nsc` makes, in as many words as a server
//! asks for. See <https://docs.nats.io/running-a-nats-service/nats_admin/security/jwt>.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// When the JWTs were made; of no meaning to a server.
const MADE_AT: u64 = 1_700_000_000;

/// See the module.
#[derive(Debug)]
pub struct NatsAccounts {
    /// Lines of the server's configuration: it believes this operator, and knows its accounts.
    pub lines: String,
    /// What stands in a user's `.creds` file.
    pub credentials: String,
    /// The user's seed, which nobody should see.
    pub seed: String,
}

impl NatsAccounts {
    /// Makes all keys anew. The account has JetStream; the system's account, which that wants, has nobody.
    ///
    /// # Panics
    /// When a key does not sign.
    #[must_use]
    pub fn new() -> Self {
        let [operator, system, account, user] =
            [KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account(), KeyPair::new_user()];
        let of_operator = signed(&operator, &operator, "operator", json!({}));
        let jetstream = json!({ "limits": everything() });
        let (of_system, of_account) = (
            signed(&operator, &system, "account", json!({ "limits": { "subs": -1, "conn": -1 } })),
            signed(&operator, &account, "account", jetstream),
        );
        let of_user = signed(&account, &user, "user", json!({ "subs": -1, "data": -1, "payload": -1 }));
        let lines = format!(
            "operator: {of_operator}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_system}, {}: {of_account} }}",
            system.public_key(),
            system.public_key(),
            account.public_key()
        );
        let seed = user.seed().expect("it was made with one");
        let credentials = format!(
            "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        Self { lines, credentials, seed }
    }
}

impl Default for NatsAccounts {
    fn default() -> Self {
        Self::new()
    }
}

/// Limits of an account that has none.
fn everything() -> Value {
    let limits = [
        "subs",
        "data",
        "payload",
        "imports",
        "exports",
        "conn",
        "leaf",
        "mem_storage",
        "disk_storage",
        "streams",
        "consumer",
    ];
    let mut all: serde_json::Map<String, Value> =
        limits.into_iter().map(|limit| (limit.to_owned(), json!(-1))).collect();
    all.insert("wildcards".to_owned(), json!(true));
    Value::Object(all)
}

/// A JWT about a key, as NATS signs them.
fn signed(by: &KeyPair, about: &KeyPair, kind: &str, mut claims: Value) -> String {
    claims["type"] = json!(kind);
    claims["version"] = json!(2);
    let body = json!({
        "jti": about.public_key(), "iat": MADE_AT, "iss": by.public_key(), "sub": about.public_key(), "name": kind, "nats": claims,
    });
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&body));
    let signature = by.sign(text.as_bytes()).expect("it has a seed");
    format!("{text}.{}", BASE64URL_NOPAD.encode(&signature))
}

//! A NATS system with JetStream: a connection to it, the stream, and messages that it acknowledges.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{ConnectOptions, Event};
use link::TlsAuthorities;
use tokio::sync::watch;

use super::messages::Message;
use super::settings::{Login, NatsSettings, Subject};

/// Connecting, and any answer, may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages that were sent and are not acknowledged, at most.
pub(super) const IN_FLIGHT: usize = 256;
/// JetStream's number for a stream that does not exist.
const NOT_FOUND: usize = 404;

/// Why nothing is published now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nobody answers, or does not let us in.
    #[error("cannot connect to {servers}: {why}")]
    Connect {
        /// The configuration's.
        servers: String,
        /// What went wrong.
        why: String,
    },
    /// A file cannot be used.
    #[error("nats.{key}: {file}: {why}")]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Ended(String),
    /// The server does not do what a stream takes.
    #[error("cannot {what} stream {stream}: {why}")]
    Stream {
        /// What was asked for.
        what: &'static str,
        /// The stream.
        stream: String,
        /// What the server says.
        why: String,
    },
    /// The stream forgets too soon what it has.
    #[error(
        "stream {stream} knows records again for {window:?}, which must be {needed:?} at least where spool_age is {age:?}: \
         raise its duplicate_window (nats stream edit {stream} --dupe-window), or lower nats.spool_age"
    )]
    Window {
        /// The stream.
        stream: String,
        /// What it has.
        window: Duration,
        /// What it should have.
        needed: Duration,
        /// The configuration's.
        age: Duration,
    },
    /// The stream is not for what is published.
    #[error("stream {stream} {what}: name another one (nats.stream), or change it")]
    Unfit {
        /// The stream.
        stream: String,
        /// What is wrong with it.
        what: String,
    },
    /// A message was not acknowledged.
    #[error("no acknowledgement within {PATIENCE:?}")]
    Silent,
    /// A message was refused.
    #[error("the stream takes nothing: {0}")]
    Refused(String),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read: {0}")]
    Ledger(std::io::Error),
    /// How far it is cannot be noted.
    #[error("cannot write {file} in the ledger's directory: {error}", file = super::cursor::NAME)]
    Cursor {
        /// What the system said.
        error: std::io::Error,
    },
}

/// A message that was sent; becomes ready when it is acknowledged, or not.
pub(super) type Acknowledgement =
    Pin<Box<dyn Future<Output = Result<PublishAck, async_nats::jetstream::context::PublishError>> + Send>>;

/// See the module.
pub(super) struct Broker {
    context: Context,
    stream: String,
    subjects: [String; Subject::ALL.len()],
    /// Why it is over, as soon as it is.
    ended: watch::Receiver<Option<String>>,
}

/// Connects once, and says what is there without changing it.
pub(super) async fn probe(settings: &NatsSettings) -> Result<String, Trouble> {
    let broker = Broker::reach(settings).await?;
    let server = broker.server();
    let stream = &broker.stream;
    Ok(match broker.stream().await? {
        Some(config) => {
            broker.judge(&config, settings)?;
            format!("{server}: stream {stream} is there and does")
        }
        None => format!("{server}: there is no stream {stream} yet; Adit makes it"),
    })
}

impl Broker {
    /// Connects, and sees to the stream.
    pub(super) async fn connect(settings: &NatsSettings) -> Result<Self, Trouble> {
        let broker = Self::reach(settings).await?;
        let config = match broker.stream().await? {
            Some(config) => config,
            None => broker.make_stream(settings).await?,
        };
        broker.judge(&config, settings)?;
        Ok(broker)
    }

    /// Connects.
    async fn reach(settings: &NatsSettings) -> Result<Self, Trouble> {
        let (tell, ended) = watch::channel(None);
        let options = options(settings)?.event_callback(move |event| {
            let why = match event {
                // One that begins anew would have lost what was under way: it is this one's end, too.
                Event::Disconnected | Event::Closed => Some("the server is gone".to_owned()),
                Event::LameDuckMode => Some("the server is being shut down".to_owned()),
                Event::ServerError(error) => Some(error.to_string()),
                _ => None,
            };
            if let Some(why) = why {
                tell.send_if_modified(|told| {
                    let first = told.is_none();
                    told.get_or_insert(why);
                    first
                });
            }
            async {}
        });
        let failed = |why: String| Trouble::Connect { servers: settings.servers.join(", "), why };
        let connected = tokio::time::timeout(PATIENCE, options.connect(&settings.servers[..])).await;
        let client = connected
            .map_err(|_| failed(format!("no answer within {PATIENCE:?}")))?
            .map_err(|error| failed(error.to_string()))?;
        let context = ContextBuilder::new()
            .timeout(PATIENCE)
            .max_ack_inflight(2 * IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client);
        let subjects = Subject::ALL.map(|subject| settings.subject_of(subject));
        Ok(Self { context, stream: settings.stream.name.clone(), subjects, ended })
    }

    /// The server that is connected to.
    pub(super) fn server(&self) -> String {
        let info = self.context.client().server_info();
        format!("{} ({}:{}, NATS {})", info.server_name, info.host, info.port, info.version)
    }

    /// The longest message, with its headers.
    pub(super) fn message_max(&self) -> usize {
        self.context.client().max_payload()
    }

    /// Ready when the connection has ended: why.
    pub(super) async fn ended(&mut self) -> Trouble {
        match self.ended.wait_for(Option::is_some).await {
            Ok(why) => Trouble::Ended(why.clone().unwrap_or_default()),
            Err(_) => Trouble::Ended("the server is gone".to_owned()),
        }
    }

    /// Sends a message.
    pub(super) async fn send(&self, message: &Message) -> Result<Acknowledgement, Trouble> {
        let subject = self.subjects[message.subject as usize].clone();
        let publish = PublishMessage::build()
            .payload(message.body.clone())
            .message_id(&message.id)
            .expected_stream(&self.stream);
        let sent = self.context.send_publish(subject, publish).await.map_err(|error| trouble(&error))?;
        Ok(sent.into_future())
    }

    /// The stream as it is, if there is one of that name.
    async fn stream(&self) -> Result<Option<Config>, Trouble> {
        let failed = |what, why: String| Trouble::Stream { what, stream: self.stream.clone(), why };
        match self.context.get_stream(&self.stream).await {
            Ok(stream) => Ok(Some(stream.cached_info().config.clone())),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.code() == NOT_FOUND => Ok(None),
                GetStreamErrorKind::JetStream(error) => Err(failed("use", error.to_string())),
                _ => {
                    let why = format!("{error} (is JetStream enabled, and may this user ask for streams?)");
                    Err(failed("find", why))
                }
            },
        }
    }

    async fn make_stream(&self, settings: &NatsSettings) -> Result<Config, Trouble> {
        let made = self.context.create_stream(stream_config(settings)).await;
        let made = made.map_err(|error| Trouble::Stream {
            what: "make",
            stream: self.stream.clone(),
            why: error.to_string(),
        })?;
        tracing::info!(stream = self.stream, "a NATS stream was made");
        Ok(made.cached_info().config.clone())
    }

    /// Whether the stream does what is promised.
    fn judge(&self, config: &Config, settings: &NatsSettings) -> Result<(), Trouble> {
        let stream = self.stream.clone();
        let needed = settings.window_min();
        if config.duplicate_window < needed {
            let window = config.duplicate_window;
            return Err(Trouble::Window { stream, window, needed, age: settings.spool_age });
        }
        let unfit = |what: String| Err(Trouble::Unfit { stream: stream.clone(), what });
        if config.no_ack {
            return unfit("acknowledges nothing (no_ack)".to_owned());
        }
        if config.sealed {
            return unfit("is sealed".to_owned());
        }
        for subject in &self.subjects {
            if !config.subjects.iter().any(|pattern| covers(pattern, subject)) {
                return unfit(format!("does not take {subject}"));
            }
        }
        Ok(())
    }
}

/// What an error of publishing means.
pub(super) fn trouble(error: &async_nats::jetstream::context::PublishError) -> Trouble {
    use std::error::Error as _;
    match error.kind() {
        PublishErrorKind::TimedOut => Trouble::Silent,
        PublishErrorKind::StreamNotFound => Trouble::Refused("no stream takes it any more".to_owned()),
        PublishErrorKind::BrokenPipe => Trouble::Ended("the server is gone".to_owned()),
        _ => Trouble::Refused(error.source().map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

/// Whether the files that the settings name can be used.
pub(super) fn check_files(settings: &NatsSettings) -> Result<(), Trouble> {
    options(settings).map(drop)
}

fn options(settings: &NatsSettings) -> Result<ConnectOptions, Trouble> {
    let of_file = |key: &'static str, file: &Path, why: String| Trouble::File {
        key,
        file: file.display().to_string(),
        why,
    };
    let authorities = match &settings.ca_file {
        None => TlsAuthorities::public().map_err(|error| Trouble::Connect {
            servers: settings.servers.join(", "),
            why: error.to_string(),
        })?,
        Some(file) => std::fs::read(file)
            .map_err(|error| error.to_string())
            .and_then(|pem| TlsAuthorities::own(&pem).map_err(|error| error.to_string()))
            .map_err(|why| of_file("ca_file", file, why))?,
    };
    let authorities = match &settings.identity {
        None => authorities,
        Some((certificates, key)) => {
            let read = |name, file: &Path| {
                std::fs::read(file).map_err(|error| of_file(name, file, error.to_string()))
            };
            let pem = (read("certificate_file", certificates)?, read("private_key_file", key)?);
            authorities.proving_itself(&pem.0, &pem.1).map_err(|error| match error {
                link::TlsIdentityError::Certificate(why) => of_file("certificate_file", certificates, why),
                error => of_file("private_key_file", key, error.to_string()),
            })?
        }
    };
    let options = ConnectOptions::new()
        .name(format!("adit {}", settings.name))
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        // Whoever uses it connects anew, and sends again what was not acknowledged.
        .max_reconnects(1)
        .client_capacity(IN_FLIGHT)
        .require_tls(settings.servers.iter().all(|server| server.starts_with("tls://")))
        .tls_client_config((*authorities.client_config()).clone());
    Ok(match &settings.login {
        Login::Nobody => options,
        Login::User(user, password) => options.user_and_password(user.clone(), password.clone()),
        Login::Token(token) => options.token(token.clone()),
        Login::Credentials(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| of_file("credentials_file", file, error.to_string()))?;
            // What is wrong with it is not repeated: it is a secret.
            let bad = |_| of_file("credentials_file", file, "no JWT and key, as nsc writes them".to_owned());
            options.credentials(&text).map_err(bad)?
        }
        Login::NKey(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| of_file("nkey_file", file, error.to_string()))?;
            let seed = text.trim();
            // Neither is this.
            let bad = || {
                of_file(
                    "nkey_file",
                    file,
                    "no seed of a user's NKey, SU and 56 more letters and digits".to_owned(),
                )
            };
            let known = nkeys::KeyPair::from_seed(seed).map_err(|_| bad())?;
            if !known.public_key().starts_with('U') {
                return Err(bad());
            }
            options.nkey(seed.to_owned())
        }
    })
}

/// What is made where there is no stream.
fn stream_config(settings: &NatsSettings) -> Config {
    let stream = &settings.stream;
    Config {
        name: stream.name.clone(),
        description: Some("What Stratum proxies (Adit) have counted, and their evidence".to_owned()),
        subjects: vec![format!("{}.>", settings.subject)],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: stream.replicas,
        max_age: stream.age.unwrap_or_default(),
        max_bytes: stream.max_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        discard: if stream.wait_when_full { DiscardPolicy::New } else { DiscardPolicy::Old },
        duplicate_window: settings.window(),
        ..Config::default()
    }
}

/// Whether a pattern of subjects has a subject in it.
fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(word), Some(of)) if word == "*" || word == of => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_its_subjects_in_it() {
        for pattern in ["adit.>", "adit.sums.*", "*.sums.hall", ">", "adit.sums.hall"] {
            assert!(covers(pattern, "adit.sums.hall"), "{pattern}");
        }
        for pattern in ["adit", "adit.sums", "adit.sums.hall.>", "adit.*", "other.>", "adit.sums.hall.x", ""]
        {
            assert!(!covers(pattern, "adit.sums.hall"), "{pattern}");
        }
    }
}

//! A listener's certificate, which can be exchanged while it is in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use thiserror::Error;

use crate::config::{Config, Name};

/// Why a listener's certificate cannot be used.
#[derive(Debug, Error)]
#[error("listener.{listener}: {what}")]
pub struct CertificateError {
    listener: Name,
    what: Box<What>,
}

#[derive(Debug, Error)]
enum What {
    #[error("cannot read certificate_file {0}: {1}")]
    Certificate(PathBuf, String),
    #[error("cannot read private_key_file {0}: {1}")]
    Key(PathBuf, String),
    #[error("certificate_file {0} and private_key_file {1} do not go together: {2}")]
    Together(PathBuf, PathBuf, rustls::Error),
}

/// A certificate with its key, ready for use.
#[derive(Clone, Debug)]
struct Served {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

/// What a listener proves itself with; nothing where it speaks no TLS. Looked at when a TLS connection begins, never
/// afterwards: sessions keep what they began with.
#[derive(Debug, Default)]
pub struct Certificate(Mutex<Option<Served>>);

impl Certificate {
    /// The one in force.
    pub(super) fn current(&self) -> Option<Arc<ServerConfig>> {
        self.lock().as_ref().map(|served| Arc::clone(&served.config))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Served>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The certificates of all listeners.
#[derive(Debug, Default)]
pub struct Certificates(Mutex<BTreeMap<Name, Arc<Certificate>>>);

/// Certificates that were read and are good, to be put in force.
#[derive(Debug)]
pub struct FreshCertificates(BTreeMap<Name, Option<Served>>);

impl FreshCertificates {
    /// Reads what a configuration names.
    ///
    /// # Errors
    /// [`CertificateError`] of the first listener whose files cannot be used.
    pub fn read(config: &Config) -> Result<Self, CertificateError> {
        let mut fresh = BTreeMap::new();
        for (name, listener) in &config.listeners {
            let served = match (&listener.certificate_file, &listener.private_key_file) {
                (Some(certificate), Some(key)) => Some(
                    read(certificate, key)
                        .map_err(|what| CertificateError { listener: name.clone(), what: Box::new(what) })?,
                ),
                _ => None,
            };
            fresh.insert(name.clone(), served);
        }
        Ok(Self(fresh))
    }
}

impl Certificates {
    /// For the listeners of a configuration.
    #[must_use]
    pub fn new(fresh: FreshCertificates) -> Self {
        let certificate = |(name, served)| (name, Arc::new(Certificate(Mutex::new(served))));
        Self(Mutex::new(fresh.0.into_iter().map(certificate).collect()))
    }

    /// That of a listener.
    #[must_use]
    pub fn of(&self, listener: &Name) -> Arc<Certificate> {
        self.lock().get(listener).map(Arc::clone).unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Name, Arc<Certificate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts others in force, for all connections that begin from now on. The listeners whose certificate is another
    /// one now, but those that are new.
    pub fn exchange(&self, fresh: FreshCertificates) -> Vec<Name> {
        let mut exchanged = Vec::new();
        let mut known = self.lock();
        for (name, served) in fresh.0 {
            let Some(certificate) = known.get(&name) else {
                known.insert(name, Arc::new(Certificate(Mutex::new(served))));
                continue;
            };
            let mut current = certificate.lock();
            let chain = |served: &Option<Served>| served.as_ref().map(|served| served.chain.clone());
            if chain(&current) != chain(&served) {
                *current = served;
                drop(current);
                exchanged.push(name);
            }
        }
        exchanged
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Served, What> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| if chain.is_empty() { Err(PemError::NoItemsFound) } else { Ok(chain) })
        .map_err(|error| What::Certificate(certificate.to_owned(), said(&error, "CERTIFICATE")))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| What::Key(key.to_owned(), said(&error, "PRIVATE KEY")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let together = |error| What::Together(certificate.to_owned(), key.to_owned(), error);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(together)?
        .with_no_client_auth()
        .with_single_cert(chain.clone(), private)
        .map_err(together)?;
    // Miners come once and stay: what resuming a session would cost each of them in memory is not worth it.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Served { config: Arc::new(config), chain })
}

/// What is wrong with a file, without anything that stands in it.
fn said(error: &PemError, item: &str) -> String {
    match error {
        PemError::Io(error) => error.to_string(),
        PemError::NoItemsFound => format!("expected PEM with a section {item}, found none"),
        _ => format!("expected PEM with a section {item}, found PEM that cannot be read"),
    }
}

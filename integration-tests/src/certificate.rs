//! A certificate of the tests' own, for listeners that speak TLS, and clients that trust it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The name that it is for.
const NAME: &str = "adit.example";

/// A certificate and its key, in files.
#[derive(Debug)]
pub struct Certificate {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Certificate {
    /// Makes one, with a key on P-256, and writes it into a folder, over the one that stands there.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![NAME.to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.join("cert.pem"), certificate.pem()).expect("the test's folder can be written");
        std::fs::write(folder.join("key.pem"), key.serialize_pem())
            .expect("the test's folder can be written");
        Self { folder: folder.to_owned(), certificate: certificate.der().clone() }
    }

    /// Lines of `[listener.NAME]`.
    #[must_use]
    pub fn lines(&self) -> String {
        let folder = self.folder.display();
        format!("certificate_file = \"{folder}/cert.pem\"\nprivate_key_file = \"{folder}/key.pem\"\n")
    }

    /// A client that trusts it and nothing else.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn client(&self) -> (TlsConnector, ServerName<'static>) {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it is a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        (TlsConnector::from(Arc::new(config)), ServerName::try_from(NAME).expect("a name"))
    }
}

//! TLS to a pool that speaks Stratum V1, or to others that Adit connects to: who it is must be proven, by the usual
//! authorities or by one's own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who may vouch for a pool.
#[derive(Clone)]
pub struct TlsAuthorities {
    connector: TlsConnector,
    roots: Arc<RootCertStore>,
    own: bool,
}

/// Why nobody can vouch for a pool.
#[derive(Debug, Error)]
pub enum TlsAuthoritiesError {
    /// The file cannot be read as certificates.
    #[error("not certificates in PEM: {0}")]
    NotPem(String),
    /// There is none in it.
    #[error("no certificate in it: it must hold at least one, from -----BEGIN CERTIFICATE----- on")]
    Empty,
    /// One of them is no authority's.
    #[error("certificate {number} cannot vouch for anybody: {why}")]
    Unusable {
        /// Its place, from 1.
        number: usize,
        /// What the TLS library says.
        why: String,
    },
    /// The TLS library.
    #[error("{0}")]
    Library(#[from] rustls::Error),
}

/// Why Adit cannot prove itself with a certificate.
#[derive(Debug, Error)]
pub enum TlsIdentityError {
    /// The first file cannot be used.
    #[error("no certificates in PEM in it: {0}")]
    Certificate(String),
    /// The second one cannot. What is wrong is not repeated: it is a secret.
    #[error("no private key in PEM in it, from -----BEGIN PRIVATE KEY----- on")]
    Key,
    /// They do not belong together, or the TLS library does not know their kind.
    #[error("certificate and key do not do: {0}")]
    Library(#[from] rustls::Error),
}

impl TlsAuthorities {
    /// The authorities that browsers trust, as they are compiled in.
    ///
    /// # Errors
    /// The TLS library offers no version that it has ciphers for, which it does.
    pub fn public() -> Result<Self, TlsAuthoritiesError> {
        Self::with(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }, false)
    }

    /// Only these, in PEM: authorities, or the pool's own certificate if it has signed it itself.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn own(pem: &[u8]) -> Result<Self, TlsAuthoritiesError> {
        let mut roots = RootCertStore::empty();
        for (at, certificate) in CertificateDer::pem_slice_iter(pem).enumerate() {
            let certificate = certificate.map_err(|error| TlsAuthoritiesError::NotPem(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| TlsAuthoritiesError::Unusable { number: at + 1, why: error.to_string() })?;
        }
        if roots.is_empty() {
            return Err(TlsAuthoritiesError::Empty);
        }
        Self::with(roots, true)
    }

    /// Somebody has chosen them, for this pool.
    #[must_use]
    pub fn are_own(&self) -> bool {
        self.own
    }

    fn with(roots: RootCertStore, own: bool) -> Result<Self, TlsAuthoritiesError> {
        let roots = Arc::new(roots);
        let config = builder(&roots)?.with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), roots, own })
    }

    /// The same, and Adit proves itself to whoever asks: certificates in PEM, its own first, and the first one's private key.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn proving_itself(&self, certificates: &[u8], key: &[u8]) -> Result<Self, TlsIdentityError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let certificates = certificates.map_err(|error| TlsIdentityError::Certificate(error.to_string()))?;
        if certificates.is_empty() {
            return Err(TlsIdentityError::Certificate(
                "it begins with -----BEGIN CERTIFICATE-----".to_owned(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsIdentityError::Key)?;
        let config = builder(&self.roots)?.with_client_auth_cert(certificates, key)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), ..self.clone() })
    }

    /// What a TLS client takes, for protocols that shake hands by themselves.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(self.connector.config())
    }

    /// Shakes hands with the pool of this name.
    ///
    /// # Errors
    /// It did not answer in time, or did not prove that it is who the name says.
    pub async fn shake_hands(
        &self,
        stream: TcpStream,
        host: &str,
        within: Duration,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
        match tokio::time::timeout(within, self.connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(why(&error)),
            Err(_) => Err(format!("no answer within {within:?}")),
        }
    }
}

fn builder(
    roots: &Arc<RootCertStore>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(Arc::clone(roots)))
}

impl std::fmt::Debug for TlsAuthorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsAuthorities").finish_non_exhaustive()
    }
}

/// What to do about it, where that is known.
fn why(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return format!("the other side ended the connection ({error})");
    };
    match tls {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "nobody that is trusted vouches for the pool's certificate: if the pool (or its owner) has an authority of \
             its own, name its certificate with ca_file"
                .to_owned()
        }
        rustls::Error::InvalidMessage(_) => format!("it does not speak TLS ({tls}): is it stratum+tcp://?"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A server that vouches for itself under these names and says one word; its address and its certificate.
    async fn server(names: &[&str]) -> (std::net::SocketAddr, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    stream.write_all(b"hello").await.unwrap();
                }
            }
        });
        (address, cert.pem())
    }

    async fn shake(
        authorities: &TlsAuthorities,
        address: std::net::SocketAddr,
        host: &str,
    ) -> Result<(), String> {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut stream = authorities.shake_hands(stream, host, PATIENCE).await?;
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"hello");
        Ok(())
    }

    #[tokio::test]
    async fn a_pool_is_who_somebody_vouches_for_under_the_name_of_its_url() {
        let (address, pem) = server(&["pool.example", "127.0.0.1"]).await;
        let own = TlsAuthorities::own(pem.as_bytes()).unwrap();
        shake(&own, address, "pool.example").await.unwrap();
        shake(&own, address, "127.0.0.1").await.unwrap();
        let other_name = shake(&own, address, "other.example").await.unwrap_err();
        assert!(other_name.contains("other.example"), "{other_name}");
        let nobody = shake(&TlsAuthorities::public().unwrap(), address, "pool.example").await.unwrap_err();
        assert!(nobody.contains("ca_file"), "{nobody}");
        let (_, pem) = server(&["pool.example"]).await;
        let somebody_else = TlsAuthorities::own(pem.as_bytes()).unwrap();
        shake(&somebody_else, address, "pool.example").await.unwrap_err();
    }

    #[tokio::test]
    async fn a_server_without_tls_is_no_pool_with_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"{\"id\":null}\n").await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        });
        let why = shake(&TlsAuthorities::public().unwrap(), address, "pool.example").await.unwrap_err();
        assert!(why.contains("stratum+tcp://"), "{why}");
    }

    #[test]
    fn a_file_that_vouches_for_nobody_says_why() {
        let why = |pem: &str| TlsAuthorities::own(pem.as_bytes()).unwrap_err().to_string();
        assert!(why("").contains("no certificate"));
        assert!(why("rubbish").contains("no certificate"));
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(why(bad).contains("certificate 1"), "{}", why(bad));
    }
}

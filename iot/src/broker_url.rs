//! Which broker, as whom, and whom to trust: `mqtt://user:password@host:1883`, `mqtts://host` and a CA.

use std::sync::Arc;

use rumqttc::{NetworkOptions, TlsConfiguration, Transport, v5::MqttOptions};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};

/// How long a connection may take to come about, in seconds.
const CONNECT_SECS: u64 = 5;

/// Why this is no broker that can be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Not a URL.
    #[error("{0:?} is no URL of a broker: write mqtt://host:1883 or mqtts://host:8883")]
    Url(String),
    /// TLS names hosts, and this library takes no IPv6 address for one.
    #[error("mqtts:// needs a host's name or an IPv4 address")]
    TlsHost,
    /// The CA's file holds no certificate.
    #[error("the CA holds no certificate in PEM: {0}")]
    Ca(String),
    /// The system has no certificates of its own.
    #[error("the system has no CA certificates; name one with mqtt.ca")]
    NoSystemCa,
    /// The cryptography does not start.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A broker, and as whom it is spoken to. Its `Debug` and `Display` tell no password.
#[derive(Clone)]
pub struct Broker {
    host: String,
    port: u16,
    login: Option<(String, String)>,
    tls: Option<Arc<ClientConfig>>,
}

impl Broker {
    /// Reads a URL; `ca` are the certificates to trust for `mqtts`, in PEM, instead of the system's.
    pub fn new(url: &str, ca: Option<&[u8]>) -> Result<Self, BrokerError> {
        let no_url = || BrokerError::Url(without_password(url));
        let parsed = url::Url::parse(url).map_err(|_| no_url())?;
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(no_url)?;
        let (tls, port) = match parsed.scheme() {
            "mqtt" => (None, 1883),
            "mqtts" if host.starts_with('[') => return Err(BrokerError::TlsHost),
            "mqtts" => (Some(Arc::new(tls(ca)?)), 8883),
            _ => return Err(no_url()),
        };
        let plain = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let login = (!parsed.username().is_empty())
            .then(|| (plain(parsed.username()), plain(parsed.password().unwrap_or_default())));
        Ok(Self { host: host.to_owned(), port: parsed.port().unwrap_or(port), login, tls })
    }

    /// The same broker, spoken to as `user`.
    pub fn as_user(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some((user.into(), password.into()));
        self
    }

    /// Whether it is spoken to as somebody.
    pub fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// What every connection to it has in common; TCP_NODELAY above all: without it a round trip takes
    /// 88 ms instead of 80 µs, since each side waits for the other's delayed acknowledgement.
    pub(crate) fn options(&self, client_id: &str) -> MqttOptions {
        let mut options = MqttOptions::new(client_id, self.host.clone(), self.port);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(CONNECT_SECS);
        options.set_network_options(network);
        options.set_connection_timeout(CONNECT_SECS);
        if let Some((user, password)) = &self.login {
            options.set_credentials(user, password);
        }
        if let Some(tls) = &self.tls {
            options
                .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())));
        }
        options
    }
}

/// Trusts the system's certificates.
impl std::str::FromStr for Broker {
    type Err = BrokerError;
    fn from_str(url: &str) -> Result<Self, BrokerError> {
        Self::new(url, None)
    }
}

impl std::fmt::Display for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls.is_some() { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A client that trusts `ca`, or the system. The provider is named here, so that nobody depends on
/// which one the process has installed.
fn tls(ca: Option<&[u8]>) -> Result<ClientConfig, BrokerError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| BrokerError::Ca(error.to_string()))?;
                roots.add(certificate).map_err(|error| BrokerError::Ca(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(BrokerError::Ca("nothing found".into()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(BrokerError::NoSystemCa);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The part of a wrong URL that may be shown.
fn without_password(url: &str) -> String {
    url.rsplit_once('@').map_or(url, |(_, host)| host).chars().take(80).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_and_login() {
        let broker =
            Broker::new("mqtt://holdfast-engine:p%40ss@broker.example:1884", None).unwrap();
        assert_eq!(broker.to_string(), "mqtt://broker.example:1884");
        assert_eq!(broker.login, Some(("holdfast-engine".into(), "p@ss".into())));
        assert_eq!(Broker::new("mqtt://[::1]", None).unwrap().to_string(), "mqtt://[::1]:1883");
    }

    #[test]
    fn what_is_no_broker_is_told_without_its_password() {
        for url in ["", "localhost:1883", "http://localhost", "mqtt://", "mqtt:///x"] {
            assert!(matches!(Broker::new(url, None), Err(BrokerError::Url(_))), "{url}");
        }
        let error = Broker::new("ftp://me:secret@host", None).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert!(matches!(Broker::new("mqtts://[::1]", None), Err(BrokerError::TlsHost)));
        assert!(matches!(Broker::new("mqtts://h", Some(b"x")), Err(BrokerError::Ca(_))));
    }

    #[test]
    fn every_socket_has_no_delay() {
        // The library keeps its network options to itself; that the socket has it is measured by the
        // round trips in `benches/`. Here: that a wrong merge does not drop the line that sets it.
        let broker = Broker::new("mqtt://h", None).unwrap().as_user("u", "p");
        assert!(broker.has_login());
        assert_eq!(broker.options("c").connection_timeout(), CONNECT_SECS);
    }
}

//! The connection to a mail server: directly or through a proxy, TLS from the first byte where it is asked for, and the
//! name by which this machine introduces itself.

use std::{
    error::Error,
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use lettre::transport::smtp::{
    client::{AsyncTokioStream, Certificate, TlsParameters, TlsParametersBuilder},
    extension::ClientId,
};
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};
use rustls_platform_verifier::Verifier;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::server::{Security, Server};
use crate::net::{
    egress::Egress,
    proxy::TunnelError,
    trust::{Authorities, advice, tls_fault},
};

/// The longest name of a host (RFC 1035, section 2.3.4), and of a part of it.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// TLS as a server needs it, and whom it trusts.
#[derive(Clone)]
pub(super) enum Tls {
    /// None was asked for.
    None,
    /// From the first byte.
    Wrapped(TlsConnector, ServerName<'static>),
    /// After a plain greeting.
    Upgrade(TlsParameters),
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// TLS to this server: trusted are the system's authorities, or those of `SSL_CERT_FILE`, and these.
    pub(super) fn to(server: &Server, authorities: &Authorities) -> Result<Self, String> {
        match server.security {
            Security::Plain => Ok(Self::None),
            Security::Wrapped => {
                let name = ServerName::try_from(server.host.clone()).map_err(|error| no_tls(&error))?;
                let config = client_config(authorities).map_err(|error| no_tls(&error))?;
                Ok(Self::Wrapped(TlsConnector::from(Arc::new(config)), name))
            }
            Security::StartTls => {
                let mut builder = TlsParametersBuilder::new(server.host.clone());
                for der in authorities.certificates() {
                    let certificate = Certificate::from_der(der.to_vec()).map_err(|error| no_tls(&error))?;
                    builder = builder.add_root_certificate(certificate);
                }
                builder.build().map(Self::Upgrade).map_err(|error| no_tls(&error))
            }
        }
    }
}

fn no_tls(error: &(dyn Error + 'static)) -> String {
    let remedy = tls_fault(error).and_then(advice).map(|remedy| format!("; {remedy}")).unwrap_or_default();
    format!("no TLS for the mail server: {error}{remedy}")
}

fn client_config(authorities: &Authorities) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities.certificates().cloned(), Arc::clone(&provider))?;
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DialError {
    /// Neither the server nor the proxy, or no TLS.
    Broken(io::Error),
    /// The proxy's own word.
    Tunnel(TunnelError),
}

/// A connection to the server, with TLS where it begins with that. Whoever calls it limits the time.
pub(super) async fn dial(server: &Server, tls: &Tls, egress: &Egress) -> Result<Stream, DialError> {
    let tcp = match &egress.proxy {
        Some(proxy) => proxy.tunnel(&server.host, server.port).await.map_err(DialError::Tunnel)?,
        None => TcpStream::connect((server.host.as_str(), server.port)).await.map_err(DialError::Broken)?,
    };
    let inner = match tls {
        Tls::Wrapped(connector, name) => {
            let wrapped = connector.connect(name.clone(), tcp).await.map_err(DialError::Broken)?;
            Inner::Wrapped(Box::new(wrapped))
        }
        Tls::None | Tls::Upgrade(_) => Inner::Plain(tcp),
    };
    Ok(Stream { inner, has_spoken: Arc::default() })
}

/// The name for EHLO: the configured one, or this machine's; nothing where that is no name of a host, as the word
/// "localhost" is none.
pub(super) fn own_name(hello: Option<&str>) -> Option<String> {
    if let Some(name) = hello {
        return Some(name.to_owned());
    }
    let machine = rustix::system::uname();
    let name = machine.nodename().to_str().ok()?;
    (is_host_name(name) && !name.starts_with("localhost")).then(|| name.to_owned())
}

/// [`own_name`], or our address on this connection (RFC 5321, section 4.1.4).
pub(super) fn client_id(hello: Option<&str>, stream: &Stream) -> ClientId {
    match (own_name(hello), stream.local_ip()) {
        (Some(name), _) => ClientId::Domain(name),
        (None, Some(IpAddr::V4(address))) => ClientId::Ipv4(address),
        (None, Some(IpAddr::V6(address))) => ClientId::Ipv6(address),
        (None, None) => ClientId::default(),
    }
}

/// Whether a server may take this for a name of a host (RFC 5321, section 4.1.2): letters, digits and hyphens between
/// dots.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}

/// A connection as lettre takes it.
#[derive(Debug)]
pub(super) struct Stream {
    inner: Inner,
    /// Whether anything was said to the server, so that its refusal was of that.
    has_spoken: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Wrapped(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// A view of whether anything was said, which outlives the connection.
    pub(super) fn has_spoken(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_spoken)
    }

    fn tcp(&self) -> &TcpStream {
        match &self.inner {
            Inner::Plain(tcp) => tcp,
            Inner::Wrapped(tls) => tls.get_ref().0,
        }
    }

    fn local_ip(&self) -> Option<IpAddr> {
        self.tcp().local_addr().ok().map(|address| address.ip())
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp().peer_addr()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Inner::Wrapped(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.has_spoken.store(true, Ordering::Relaxed);
        match &mut self.get_mut().inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Inner::Wrapped(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Wrapped(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Inner::Wrapped(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_hosts_are_said_to_a_server() {
        for name in ["mon", "mon.example.com", "a-1.b"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in ["", "mon_1", "-mon", "mon-", "mon..example", "mon.", "监控", "a b", "(none)", &"a".repeat(64)] {
            assert!(!is_host_name(name), "{name}");
        }
    }
}

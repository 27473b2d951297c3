//! An authority of an intranet, which no system knows, and TLS with its certificates in front of plain local services.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// The authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, as a `ca_file` holds it.
    pub(crate) pem: String,
}

/// A certificate of a server, with its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pub(crate) pem: String,
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let (mut params, key) = (params(&[]), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_as(&params(names))
    }

    /// One that ended long ago.
    pub(super) fn issue_expired(&self, name: &str) -> Identity {
        let mut params = params(&[name]);
        params.not_after = rcgen::date_time_ymd(2020, 2, 29);
        self.issue_as(&params)
    }

    fn issue_as(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::of(&certificate, &key)
    }
}

impl Identity {
    /// A certificate that its server made itself, in the way of `openssl req -x509`: it says that it is an authority's.
    pub(super) fn self_made(name: &str, is_authority: bool) -> Self {
        let (mut params, key) = (params(&[name]), KeyPair::generate().unwrap());
        params.is_ca = if is_authority { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
        Self::of(&params.self_signed(&key).unwrap(), &key)
    }

    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Self { certificate: certificate.der().clone(), key: der, pem: certificate.pem() }
    }

    fn acceptor(self) -> TlsAcceptor {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![self.certificate], self.key).unwrap()))
    }

    /// TLS from the first byte in front of the plain service at `behind`; its port.
    pub(crate) async fn wrap(self, behind: SocketAddr) -> SocketAddr {
        let acceptor = self.acceptor();
        serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut tls, &mut plain).await;
            }
        })
        .await
    }

    /// A mail server that offers STARTTLS, in front of the plain one at `behind`.
    pub(super) async fn starttls(self, behind: SocketAddr) -> SocketAddr {
        let acceptor = self.acceptor();
        serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = BufStream::new(stream);
                say(&mut stream, "220 mail.example").await;
                hear(&mut stream).await;
                say(&mut stream, "250-mail.example\r\n250 STARTTLS").await;
                hear(&mut stream).await;
                say(&mut stream, "220 go on").await;
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                let mut plain = BufStream::new(TcpStream::connect(behind).await.unwrap());
                // The one behind greets, too, and nobody waits for that any more.
                hear(&mut plain).await;
                let _ = copy_bidirectional(&mut tls, &mut plain).await;
            }
        })
        .await
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) {
    let _ = stream.write_all(format!("{line}\r\n").as_bytes()).await;
    let _ = stream.flush().await;
}

async fn hear(stream: &mut BufStream<impl AsyncRead + AsyncWrite + Unpin>) -> String {
    let mut line = String::new();
    let _ = stream.read_line(&mut line).await;
    line
}

/// A listener that gives each connection to `work`.
pub(crate) async fn serve<F: Future<Output = ()> + Send + 'static>(
    work: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream));
        }
    });
    address
}

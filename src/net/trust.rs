//! Certificates of an operator's own authorities, as of an intranet, which are trusted beside those of the system; and
//! what a person must change when TLS fails.

use std::{error::Error, fmt, io};

use rustls::{
    AlertDescription, CertificateError, RootCertStore,
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
};

use crate::domain::time::Time;

/// How to make PEM of DER.
const CONVERT: &str = "`openssl x509 -inform der -in FILE -out ca.pem` converts it";

/// Certificates of authorities that are trusted beside the system's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.0.len())
    }
}

impl Authorities {
    /// The certificates of a PEM file; whatever else it holds is left alone.
    ///
    /// # Errors
    /// A sentence: it is no PEM, holds no certificate, or holds one that cannot be read.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, String> {
        // The first byte of every certificate in DER: a sequence.
        if bytes.first() == Some(&0x30) {
            return Err(format!("it is DER, not PEM: {CONVERT}"));
        }
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
        let certificates = found.map_err(|wrong| format!("it is damaged PEM: {wrong}"))?;
        if certificates.is_empty() {
            return Err("it holds no certificate: PEM begins with -----BEGIN CERTIFICATE-----".to_owned());
        }
        for (number, certificate) in (1..).zip(&certificates) {
            RootCertStore::empty()
                .add(certificate.clone())
                .map_err(|wrong| format!("its certificate {number} cannot be read: {wrong}"))?;
        }
        Ok(Self(certificates))
    }

    /// Each as DER.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.0.iter()
    }
}

/// What TLS had against the other end. It hides in IO errors, also one in another, which do not name it as their cause.
pub(crate) fn tls_fault<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(fault) = inner.downcast_ref() {
            return Some(fault);
        }
        cause = match inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(hidden) => Some(hidden),
            None => inner.source(),
        };
    }
    None
}

/// What a person must change so that TLS works; nothing when it may pass by itself.
pub(crate) fn advice(fault: &rustls::Error) -> Option<String> {
    match fault {
        rustls::Error::InvalidCertificate(fault) => Some(of_certificate(fault)),
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure) => {
            Some("the server offers no TLS 1.2 or 1.3 that can be used: it must".to_owned())
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            Some("the server wants a certificate of ours, and amplinkd has none".to_owned())
        }
        rustls::Error::General(words) if words.contains("No CA certificates") => {
            Some("install the system's (package ca-certificates), or name your authority's in `ca_file`".to_owned())
        }
        _ => None,
    }
}

fn of_certificate(fault: &CertificateError) -> String {
    let at = |time: &UnixTime| Time::from_ms(i64::try_from(time.as_secs()).unwrap_or_default().saturating_mul(1_000));
    match fault {
        CertificateError::UnknownIssuer => {
            "nobody trusted issued the server's certificate: if an authority of your own did, name its certificate in \
             `ca_file`"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "the server's certificate was not signed by the authority it names: is `ca_file` an older one?".to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the server's certificate ended at {}: it must be renewed", at(not_after))
        }
        CertificateError::Expired => "the server's certificate has ended: it must be renewed".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the server's certificate begins at {}: is this machine's clock right?", at(not_before))
        }
        CertificateError::NotValidYet => "the server's certificate has not begun: is the clock right?".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for other names: use one of those in the address, or have it issued with this \
             one as a subjectAltName"
                .to_owned()
        }
        CertificateError::Other(other) => of_other(&format!("{other:?}")),
        _ => "the server's certificate must be replaced".to_owned(),
    }
}

/// Faults that rustls has no word for: those of the library that checks certificates, by their names.
fn of_other(name: &str) -> String {
    if name.contains("CaUsedAsEndEntity") {
        "the server shows the certificate of an authority (CA:TRUE) as its own: have the authority issue one for the \
         server, or make one with `openssl req -x509 -addext basicConstraints=critical,CA:FALSE`; then `ca_file` names \
         the authority's, or that one"
            .to_owned()
    } else if name.contains("UnsupportedCertVersion") {
        "the server's certificate is of X.509 version 1: have it issued with a subjectAltName, which makes it version 3"
            .to_owned()
    } else if name.contains("Eku") {
        "the server's certificate is not for servers: its extendedKeyUsage must have serverAuth".to_owned()
    } else {
        "the server's certificate must be replaced".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_said() {
        for (bytes, word) in [
            (&b""[..], "no certificate"),
            (b"https://ca.example", "no certificate"),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 cannot be read"),
            (b"-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n", "damaged"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "damaged"),
            (b"\x30\x82\x01\x0a", "DER, not PEM"),
        ] {
            let wrong = Authorities::from_pem(bytes).unwrap_err();
            assert!(wrong.contains(word), "{}: {wrong}", String::from_utf8_lossy(bytes));
        }
    }
}

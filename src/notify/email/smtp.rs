//! The SMTP conversation, and what each response means for us. No mail is sent twice, nothing is sent in plain text
//! where TLS was required, and the password is in no error.

use std::{error::Error as _, io, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    super::SendError,
    letter::Envelope,
    server::{PORT_WRAPPED, Security, Server},
};
use crate::{domain::text::format::duration, net::redact::Redactor};

/// How long a server may take to say good-bye. The mail is its own by then; without the word it only logs a lost
/// connection.
const GOODBYE: Duration = Duration::from_secs(2);

/// Who we are to a server.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: SecretString,
}

impl Login {
    /// Hides the password in every spelling that a server has seen.
    fn veil(&self) -> Redactor {
        let password = self.password.expose_secret();
        let mut veil = Redactor::new(None, std::slice::from_ref(&self.password));
        veil.hide(&BASE64_STANDARD.encode(password));
        veil.hide(&BASE64_STANDARD.encode(format!("\0{}\0{password}", self.user)));
        veil
    }
}

/// Whom we speak to, and how.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) server: Server,
    /// Which certificates we trust; `None` where no TLS was asked for.
    pub(super) tls: Option<Trust>,
    pub(super) login: Option<Login>,
    /// From the first byte until the server has taken the mail.
    pub(super) timeout: Duration,
}

/// TLS as this server needs it.
#[derive(Clone)]
pub(super) struct Trust(pub(super) TlsParameters);

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trust")
    }
}

/// What was said to the server, for its refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
}

impl Step {
    const fn word(self) -> &'static str {
        match self {
            Self::Greeting => "the connection",
            Self::StartTls => "STARTTLS",
            Self::Login => "the login",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Data => "the mail",
        }
    }
}

/// What became of a mail that was taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Recipients whom the server does not know or take now, while it took the mail for others.
    pub(super) without: Vec<String>,
}

impl Line {
    /// Hands one mail in. Where the server's last word is lost, nobody knows whether it has the mail; it is then sent
    /// again under the same Message-ID, by which many servers and programs show it once.
    pub(super) async fn hand_in(&self, envelope: &Envelope, mail: &[u8]) -> Result<Taken, SendError> {
        let spoken = tokio::time::timeout(self.timeout, self.speak(envelope, mail)).await;
        let (mut connection, taken) = spoken.map_err(|_| self.too_late())??;
        // It has the mail: whatever happens from here on must not send it again.
        let _ = tokio::time::timeout(GOODBYE, connection.quit()).await;
        Ok(taken)
    }

    fn too_late(&self) -> SendError {
        let mut why = format!("the mail server did not take the mail within {}", duration(self.timeout));
        if self.server.port == PORT_WRAPPED && self.server.security != Security::Wrapped {
            why += "; this port waits for TLS at first: smtps:// begins with it";
        }
        SendError::Later { why, after: None }
    }

    async fn speak(&self, envelope: &Envelope, mail: &[u8]) -> Result<(AsyncSmtpConnection, Taken), SendError> {
        let mut connection = self.connect().await?;
        if let Some(login) = &self.login {
            let credentials = Credentials::new(login.user.clone(), login.password.expose_secret().to_owned());
            let answer = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            answer.map_err(|error| self.meaning(Step::Login, &error))?;
        }
        let from = Mail::new(Some(envelope.from.email.clone()), Vec::new());
        connection.command(from).await.map_err(|error| self.meaning(Step::Sender, &error))?;
        let taken = self.name_recipients(&mut connection, envelope.recipients()).await?;
        connection.command(Data).await.map_err(|error| self.meaning(Step::Data, &error))?;
        connection.message(mail).await.map_err(|error| self.meaning(Step::Data, &error))?;
        Ok((connection, taken))
    }

    /// A connection as protected as it was asked for.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let Server { host, port, security, .. } = &self.server;
        // An address for a name: we have none that a server could look up (RFC 5321, section 4.1.4).
        let hello = ClientId::default();
        let trust = self.tls.as_ref().map(|trust| trust.0.clone());
        let wrapped = trust.clone().filter(|_| *security == Security::Wrapped);
        let connected =
            AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(self.timeout), &hello, wrapped, None);
        let mut connection = connected.await.map_err(|error| self.meaning(Step::Greeting, &error))?;
        if let (Security::StartTls, Some(trust)) = (security, trust) {
            if !connection.can_starttls() {
                return Err(SendError::Refused {
                    why: "the mail server offers no STARTTLS, and nothing is sent without it".to_owned(),
                });
            }
            connection.starttls(trust, &hello).await.map_err(|error| self.meaning(Step::StartTls, &error))?;
        }
        Ok(connection)
    }

    /// Names everybody the mail goes to. One whom the server does not take must not cost the others their mail; when it
    /// takes nobody, the first refusal that may pass counts, or else the first.
    async fn name_recipients(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipients: impl Iterator<Item = &Address>,
    ) -> Result<Taken, SendError> {
        let (mut taken, mut someone) = (Taken::default(), false);
        let mut refusal: Option<SendError> = None;
        for address in recipients {
            let Err(error) = connection.command(Rcpt::new(address.clone(), Vec::new())).await else {
                someone = true;
                continue;
            };
            let meaning = self.meaning(Step::Recipient, &error);
            if error.status().is_none() {
                return Err(meaning);
            }
            taken.without.push(format!("{address}: {meaning}"));
            let passes = matches!(meaning, SendError::Later { .. });
            if refusal.is_none() || passes && !matches!(refusal, Some(SendError::Later { .. })) {
                refusal = Some(meaning);
            }
        }
        match refusal {
            Some(refusal) if !someone => Err(refusal),
            Some(_) | None => Ok(taken),
        }
    }

    /// What a failure asks of us. A code of 4xx passes by itself. A code of 5xx, a certificate that we do not trust, or a
    /// server that cannot do what we need, does not: a person must look. A mail that is too big stays so.
    fn meaning(&self, step: Step, error: &Error) -> SendError {
        let Some(code) = error.status() else {
            let mut why = format!("{} failed: {}", step.word(), self.cleaned(&innermost(error)));
            let tls = tls_fault(error);
            let is_untrusted = matches!(tls, Some(rustls::Error::InvalidCertificate(_)));
            let is_no_tls = step == Step::Greeting && matches!(tls, Some(rustls::Error::InvalidMessage(_)));
            if is_no_tls {
                why += "; the server speaks no TLS at first on this port: smtp:// asks for STARTTLS";
            }
            return if error.is_client() || is_untrusted || is_no_tls {
                SendError::Refused { why }
            } else {
                SendError::Later { why, after: None }
            };
        };
        let code = code.to_string();
        let said = self.cleaned(&error.source().map(ToString::to_string).unwrap_or_default());
        let why = format!("the mail server answered {code} to {}: {said}", step.word());
        if error.is_transient() {
            SendError::Later { why, after: None }
        } else if is_too_big(step, &code, &said) {
            SendError::Gone { why }
        } else {
            SendError::Refused { why }
        }
    }

    /// A sentence of the server's, without what it may have learned from us.
    fn cleaned(&self, said: &str) -> String {
        let veil = self.login.as_ref().map_or_else(|| Redactor::new(None, &[]), Login::veil);
        veil.words(said)
    }
}

/// Whether the mail itself is what the server cannot take: 552 once it knows the mail (RFC 5321, section 4.2.3), or the
/// enhanced codes of RFC 3463. A full mailbox also answers 552, with 5.2.2; that one is emptied some day.
fn is_too_big(step: Step, code: &str, said: &str) -> bool {
    let enhanced = said.split(' ').next().unwrap_or("");
    match enhanced {
        "5.2.3" | "5.3.4" => true,
        "5.2.2" => false,
        _ => code == "552" && matches!(step, Step::Sender | Step::Data),
    }
}

/// The cause below all others: those above only say "connection error".
fn innermost(error: &Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(cause) = inner.source() {
        inner = cause;
    }
    inner.to_string()
}

/// What TLS itself had against the other end. It hides in an IO error, which does not name it as its cause.
fn tls_fault(error: &Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        let hidden = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(fault) = hidden.and_then(|hidden| hidden.downcast_ref()).or_else(|| inner.downcast_ref()) {
            return Some(fault);
        }
        cause = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mail_that_is_too_big_is_lost_for_ever() {
        assert!(is_too_big(Step::Data, "552", "message exceeds fixed maximum size"));
        assert!(is_too_big(Step::Sender, "552", "5.3.4 too big"));
        assert!(is_too_big(Step::Data, "554", "5.3.4 too big"));
        assert!(!is_too_big(Step::Data, "552", "5.2.2 mailbox full"));
        assert!(!is_too_big(Step::Recipient, "552", "over quota"));
        assert!(!is_too_big(Step::Data, "554", "5.7.1 looks like spam"));
    }

    #[test]
    fn a_server_that_repeats_the_password_is_not_repeated() {
        let line = Line {
            server: Server::parse("smtps://me@mail.example").unwrap(),
            tls: None,
            login: Some(Login { user: "me".to_owned(), password: "hunter2".into() }),
            timeout: Duration::from_secs(1),
        };
        let encoded = BASE64_STANDARD.encode("\0me\0hunter2");
        let said = line.cleaned(&format!("no: {encoded}, that is hunter2, aHVudGVyMg==\r\n"));
        assert_eq!(said, "no: [secret], that is [secret], [secret]");
        assert!(!format!("{line:?}").contains("hunter2"));
    }
}

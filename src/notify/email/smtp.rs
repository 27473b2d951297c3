//! The SMTP conversation, and what each response means for us. No mail is sent twice, nothing is sent in plain text
//! where TLS was required, and the password is in no error.

use std::{error::Error as _, sync::atomic::Ordering, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Rcpt},
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    super::SendError,
    dial::{DialError, Tls, client_id, dial, own_name},
    letter::Envelope,
    server::{PORT_WRAPPED, Security, Server},
};
use crate::{
    domain::text::format::duration,
    net::{
        egress::Egress,
        proxy::{Proxy, TunnelError},
        redact::Redactor,
        trust::{advice, tls_fault},
    },
};

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
    pub(super) tls: Tls,
    pub(super) egress: Egress,
    /// What we call ourselves; `None` is this machine's name.
    pub(super) hello: Option<String>,
    pub(super) login: Option<Login>,
    /// From the first byte until the server has taken the mail.
    pub(super) timeout: Duration,
}

/// What was said to the server, for its refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Hello,
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
            Self::Hello => "EHLO",
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
        let stream = dial(&self.server, &self.tls, &self.egress).await.map_err(|error| self.undialled(&error))?;
        let hello = client_id(self.hello.as_deref(), &stream);
        let has_spoken = stream.has_spoken();
        let step = || if has_spoken.load(Ordering::Relaxed) { Step::Hello } else { Step::Greeting };
        let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello);
        let mut connection = connected.await.map_err(|error| self.meaning(step(), &error))?;
        if let Tls::Upgrade(tls) = self.tls.clone() {
            if !connection.can_starttls() {
                return Err(SendError::Refused {
                    why: "the mail server offers no STARTTLS, and nothing is sent without it".to_owned(),
                });
            }
            connection.starttls(tls, &hello).await.map_err(|error| self.meaning(Step::StartTls, &error))?;
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

    /// What a connection that does not come about asks of us: a certificate that we do not trust, a server that speaks no
    /// TLS or a proxy that does not let us are a person's task; everything else may pass.
    fn undialled(&self, error: &DialError) -> SendError {
        let error = match error {
            DialError::Tunnel(TunnelError::Refused(why)) => return SendError::Refused { why: self.cleaned(why) },
            DialError::Tunnel(TunnelError::Passing(why)) => {
                return SendError::Later { why: self.cleaned(why), after: None };
            }
            DialError::Broken(error) => error,
        };
        let why = format!("{} failed: {}", Step::Greeting.word(), self.cleaned(&error.to_string()));
        match tls_fault(error) {
            Some(rustls::Error::InvalidMessage(_)) => SendError::Refused {
                why: format!("{why}; the server speaks no TLS at first on this port: smtp:// asks for STARTTLS"),
            },
            fault => told(why, fault.and_then(advice)),
        }
    }

    /// What a failure asks of us. A code of 4xx passes by itself. A code of 5xx, a certificate that we do not trust, or a
    /// server that cannot do what we need, does not: a person must look. A mail that is too big stays so.
    fn meaning(&self, step: Step, error: &Error) -> SendError {
        let Some(code) = error.status() else {
            let why = format!("{} failed: {}", step.word(), self.cleaned(&innermost(error)));
            return if error.is_client() {
                SendError::Refused { why }
            } else {
                told(why, tls_fault(error).and_then(advice))
            };
        };
        let code = code.to_string();
        let said = self.cleaned(&error.source().map(ToString::to_string).unwrap_or_default());
        let mut why = format!("the mail server answered {code} to {}: {said}", step.word());
        // Many servers tell the name's refusal only to the recipient.
        if step == Step::Hello || said.to_ascii_lowercase().contains("helo") {
            why += &self.introduction();
        }
        if error.is_transient() {
            SendError::Later { why, after: None }
        } else if is_too_big(step, &code, &said) {
            SendError::Gone { why }
        } else {
            SendError::Refused { why }
        }
    }

    /// What to change when a server does not like our name.
    fn introduction(&self) -> String {
        let name = own_name(self.hello.as_deref());
        let name = name.map_or_else(|| "our address".to_owned(), |name| format!("{name:?}"));
        format!("; EHLO named {name}: `hello` sets the name that the server wants, such as \"mon.example.com\"")
    }

    /// A sentence of the server's, without what it may have learned from us.
    fn cleaned(&self, said: &str) -> String {
        let mut veil = self.login.as_ref().map_or_else(|| Redactor::new(None, &[]), Login::veil);
        for secret in self.egress.proxy.iter().flat_map(Proxy::secrets) {
            veil.hide(&secret);
        }
        veil.words(said)
    }
}

/// A person's task where one has something to change, or else something that may pass.
fn told(why: String, remedy: Option<String>) -> SendError {
    match remedy {
        Some(remedy) => SendError::Refused { why: format!("{remedy} ({why})") },
        None => SendError::Later { why, after: None },
    }
}

/// Whether the mail itself is what the server cannot take: 552 once it knows the mail (RFC 5321, section 4.2.3), or the
/// enhanced codes of RFC 3463. A full mailbox also answers 552, with 5.2.2; that one is emptied some day.
fn is_too_big(step: Step, code: &str, said: &str) -> bool {
    let enhanced = said.split(' ').next().unwrap_or("");
    match enhanced {
        "5.2.3" | "5.3.4" => true,
        "5.2.2" => false,
        _ => code == "552" && matches!(step, Step::Sender | Step::Data) && speaks_of_size(said),
    }
}

/// Whether a refusal is about the size of the mail: some servers also answer 552 to what they call spam, or too fast.
fn speaks_of_size(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["size", "big", "large"].iter().any(|word| said.contains(word))
}

/// The cause below all others: those above only say "connection error".
fn innermost(error: &Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(cause) = inner.source() {
        inner = cause;
    }
    inner.to_string()
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
        assert!(!is_too_big(Step::Data, "552", "5.7.0 content blocked") && !is_too_big(Step::Data, "552", "too many"));
        assert!(!is_too_big(Step::Recipient, "552", "over quota"));
        assert!(!is_too_big(Step::Data, "554", "5.7.1 looks like spam"));
    }

    #[test]
    fn a_server_that_repeats_the_password_is_not_repeated() {
        let line = Line {
            server: Server::parse("smtps://me@mail.example").unwrap(),
            tls: Tls::None,
            egress: Egress::default(),
            hello: None,
            login: Some(Login { user: "me".to_owned(), password: "hunter2".into() }),
            timeout: Duration::from_secs(1),
        };
        let encoded = BASE64_STANDARD.encode("\0me\0hunter2");
        let said = line.cleaned(&format!("no: {encoded}, that is hunter2, aHVudGVyMg==\r\n"));
        assert_eq!(said, "no: [secret], that is [secret], [secret]");
        assert!(!format!("{line:?}").contains("hunter2"));
    }
}

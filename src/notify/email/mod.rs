//! The channel `email`: one mail per message, handed to an SMTP server, with no less protection than the URL asks for.

mod dial;
mod letter;
mod server;
mod smtp;

use std::time::Duration;

use lettre::message::Mailbox;
use secrecy::ExposeSecret as _;

use self::{
    dial::{Tls, is_host_name},
    letter::Envelope,
    server::Server,
    smtp::{Line, Login},
};
use super::{ChannelError, ChannelSettings, Pace, SendError};
use crate::domain::{message::Message, time::Time};

/// Microsoft 365 takes 30 mails a minute from one mailbox, the least of the large services.
/// (<https://learn.microsoft.com/en-us/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits>)
pub(super) const PACE: Pace = Pace { at_once: 1, most: Some((30, Duration::from_mins(1))) };

/// Bytes of reminders in one message: fewer than the rows that a mail shows.
pub(super) const REMINDER_BYTES: usize = 12_000;

/// Recipients of one mail: as many as every server must take (RFC 5321, section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;

/// Mails to people.
#[derive(Debug)]
pub struct Email {
    name: String,
    line: Box<Line>,
    envelope: Box<Envelope>,
}

impl Email {
    pub(super) fn new(settings: &ChannelSettings) -> Result<Self, ChannelError> {
        let wrong = |wrong: String| ChannelError { name: settings.name.clone(), wrong };
        let url = settings.url.as_ref().ok_or_else(|| wrong("`url` is missing: smtps://user@host:465".to_owned()))?;
        let server = Server::parse(url.expose_secret()).map_err(wrong)?;
        let login = match (server.user.clone(), settings.secrets.first().cloned()) {
            (Some(user), Some(password)) => Some(Login { user, password }),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("`secret` is missing: the password of the user in `url`".to_owned())),
            (None, Some(_)) => {
                return Err(wrong("`url` names no user for the password: smtps://user@host:465".to_owned()));
            }
        };
        let envelope = Box::new(envelope(settings).map_err(wrong)?);
        let hello = settings.hello.clone();
        if hello.as_deref().is_some_and(|name| !is_host_name(name)) {
            return Err(wrong("`hello` is no name of a host: write one such as \"mon.example.com\"".to_owned()));
        }
        let (egress, timeout) = (settings.egress.clone(), settings.timeout);
        let tls = Tls::to(&server, &egress.authorities).map_err(wrong)?;
        let line = Box::new(Line { server, tls, egress, hello, login, timeout });
        Ok(Self { name: settings.name.clone(), line, envelope })
    }

    /// The address of its service: servers count by sending mailbox.
    pub(super) fn address(&self) -> String {
        let Server { host, port, user, .. } = &self.line.server;
        format!("smtp://{}@{}:{port}", user.as_deref().unwrap_or_default(), host.to_ascii_lowercase())
    }

    pub(super) async fn send(&self, message: &Message, now: Time) -> Result<(), SendError> {
        let mail = letter::write(message, &self.envelope, now).map_err(|why| SendError::Gone { why })?;
        let taken = self.line.hand_in(&self.envelope, &mail).await?;
        if !taken.without.is_empty() {
            tracing::warn!(
                channel = %self.name,
                event.id = %message.id,
                without = ?taken.without,
                "mail accepted, but not for every recipient"
            );
        }
        Ok(())
    }
}

fn envelope(settings: &ChannelSettings) -> Result<Envelope, String> {
    let from = settings.from.as_deref().ok_or("`from` is missing: the address mails come from")?;
    let from = mailbox("from", from)?;
    if settings.to.is_empty() {
        return Err("`to` is empty: name whom mails go to".to_owned());
    }
    if settings.to.len() > RECIPIENTS_MAX {
        return Err(format!("`to` names more than {RECIPIENTS_MAX}: use a mailing list"));
    }
    let to = settings.to.iter().map(|text| mailbox("to", text)).collect::<Result<_, _>>()?;
    Ok(Envelope { from, to })
}

/// An address such as `ops@example.com` or `运维 <ops@example.com>`. The address itself is ASCII, which every server
/// takes.
fn mailbox(key: &str, text: &str) -> Result<Mailbox, String> {
    let wrong = || format!("`{key}`: {text:?} is no mail address: write ops@example.com or Ops <ops@example.com>");
    let mailbox: Mailbox = text.parse().map_err(|_| wrong())?;
    let name_is_safe = !mailbox.name.as_deref().unwrap_or("").contains(char::is_control);
    let is_ascii = mailbox.email.to_string().is_ascii();
    if name_is_safe && is_ascii { Ok(mailbox) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::Kind;

    fn settings() -> ChannelSettings {
        ChannelSettings {
            url: Some("smtp://me@localhost:2525?tls=none".into()),
            secrets: vec!["hunter2".into()],
            from: Some("amplinkd <amplinkd@example.com>".to_owned()),
            to: vec!["运维 <ops@example.com>".to_owned()],
            ..ChannelSettings::new("ops", Kind::Email, Duration::from_secs(1))
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let with = |change: fn(&mut ChannelSettings)| {
            let mut settings = settings();
            change(&mut settings);
            Email::new(&settings).map(|_| ()).map_err(|error| error.wrong)
        };
        assert_eq!(with(|_| ()), Ok(()));
        for (change, word) in [
            ((|s| s.url = None) as fn(&mut ChannelSettings), "`url` is missing"),
            (|s| s.secrets.clear(), "`secret` is missing"),
            (|s| s.url = Some("smtp://localhost?tls=none".into()), "names no user"),
            (|s| s.from = None, "`from` is missing"),
            (|s| s.from = Some("amplinkd".to_owned()), "no mail address"),
            (|s| s.from = Some("a\r\nBcc: b@example.com".to_owned()), "no mail address"),
            (|s| s.from = Some("\"a\r\nBcc: b\" <a@example.com>".to_owned()), "no mail address"),
            (|s| s.to.clear(), "`to` is empty"),
            (|s| s.to = vec!["ops@公司.example".to_owned()], "no mail address"),
            (|s| s.to = vec!["ops@example.com".to_owned(); 101], "more than 100"),
            (|s| s.hello = Some("mon_1".to_owned()), "`hello` is no name"),
        ] {
            let wrong = with(change).unwrap_err();
            assert!(wrong.contains(word), "{wrong}");
        }
    }

    #[test]
    fn the_password_is_never_shown() {
        let email = Email::new(&settings()).unwrap();
        assert!(!format!("{email:?} {:?}", settings()).contains("hunter2"));
    }
}

//! Where a database of a PostgreSQL server is. Its URL may hold a password: nothing of it is shown but what names the
//! server and the database.

use std::{fmt, str::FromStr, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;

use super::settings::NodeSettings;

const EXPECTED: &str = "expected postgres://USER:PASSWORD@HOST/DATABASE, or ?host=/FOLDER for a socket";

/// URLs of one database, tried in turn: the server that takes writes is used; and as whom a daemon works there.
#[derive(Clone)]
pub struct ServerAddress {
    places: Arc<[Place]>,
    node: Arc<NodeSettings>,
}

#[derive(Clone)]
struct Place {
    url: SecretString,
    options: PgConnectOptions,
}

impl ServerAddress {
    /// From one URL or several.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used; it quotes nothing of it.
    pub fn of(urls: &[SecretString]) -> Result<Self, String> {
        let places: Vec<Place> = urls.iter().map(place).collect::<Result<_, _>>()?;
        if places.is_empty() {
            Err(EXPECTED.to_owned())
        } else {
            Ok(Self { places: places.into(), node: Arc::default() })
        }
    }

    /// The same, for a daemon that takes part so.
    #[must_use]
    pub fn as_node(self, node: NodeSettings) -> Self {
        Self { node: Arc::new(node), ..self }
    }

    pub(super) fn node(&self) -> &NodeSettings {
        &self.node
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &PgConnectOptions> {
        self.places.iter().map(|place| &place.options)
    }
}

fn place(url: &SecretString) -> Result<Place, String> {
    let text = url.expose_secret();
    if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(EXPECTED.to_owned());
    }
    // What the driver says of a wrong one may quote it.
    let options = PgConnectOptions::from_str(text).map_err(|_| format!("this is no URL of a database: {EXPECTED}"))?;
    if options.get_database().is_none() {
        return Err(format!("the URL names no database: {EXPECTED}"));
    }
    Ok(Place { url: url.clone(), options })
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Place { options, .. }) in self.places.iter().enumerate() {
            let name = options.get_database().unwrap_or_default();
            let comma = if number > 0 { ", " } else { "" };
            match options.get_socket() {
                Some(folder) => write!(out, "{comma}postgres:///{name}?host={}", folder.display())?,
                None => write!(out, "{comma}postgres://{}:{}/{name}", options.get_host(), options.get_port())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl PartialEq for ServerAddress {
    fn eq(&self, other: &Self) -> bool {
        let urls = |address: &Self| {
            address.places.iter().map(|place| place.url.expose_secret().to_owned()).collect::<Vec<_>>()
        };
        urls(self) == urls(other) && self.node == other.node
    }
}

impl Eq for ServerAddress {}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<ServerAddress, String> {
        ServerAddress::of(&[SecretString::from(url)])
    }

    #[test]
    fn an_address_shows_where_the_database_is_and_no_password() {
        for (url, shown) in [
            ("postgres://amplinkd:hunter2@db.example/links", "postgres://db.example:5432/links"),
            ("postgresql://u:hunter2@[::1]:6432/links", "postgres://[::1]:6432/links"),
            (
                "postgres:///links?host=/run/postgresql&user=u&password=hunter2",
                "postgres:///links?host=/run/postgresql",
            ),
        ] {
            let address = of(url).unwrap();
            assert_eq!((address.to_string(), format!("{address:?}")), (shown.to_owned(), shown.to_owned()));
        }
    }

    #[test]
    fn what_is_wrong_quotes_nothing() {
        for url in ["mysql://u:hunter2@h/d", "postgres://u:hunter2@h:many/d", "postgres://u:hunter2@h/", "hunter2", ""]
        {
            let wrong = of(url).unwrap_err();
            assert!(!wrong.contains("hunter2") && wrong.contains("expected"), "{wrong}");
        }
    }
}

//! Commands against a daemon over HTTP: as on its machine, or refused in words.

mod failures;
mod parity;
mod places;
mod streams;
mod walk;
mod writes;

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use amplinkd::domain::identity::{Role, Scope};
use serde_json::Value;

use crate::http::House;

/// What a command printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    out: String,
    err: String,
    code: i32,
}

impl Printed {
    fn of(mut command: Command) -> Self {
        let said = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { out: text(&said.stdout), err: text(&said.stderr), code: said.status.code().unwrap_or(-1) }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A daemon, and somebody elsewhere with a token for it.
struct Far {
    house: House,
    token: String,
}

impl Far {
    async fn open(more: &str) -> Self {
        Self::of(House::open(more).await).await
    }

    async fn of(house: House) -> Self {
        let token = house.token(Role::Admin, &Role::Admin.scopes()).await;
        write_token(&house.path("token"), &token);
        Self { house, token }
    }

    /// Somebody with another token.
    async fn with(&self, role: Role, scopes: &[Scope]) -> PathBuf {
        let file = self.house.path(&format!("{role}-{}.token", scopes.len()));
        write_token(&file, &self.house.token(role, scopes).await);
        file
    }

    fn near(&self, arguments: &str) -> Printed {
        Printed::of(self.house.command(arguments))
    }

    fn far(&self, arguments: &str) -> Printed {
        self.far_as(&self.house.path("token"), arguments)
    }

    fn far_as(&self, token: &std::path::Path, arguments: &str) -> Printed {
        let printed = Printed::of(at(&self.house.base, token, arguments));
        assert!(!printed.err.contains(&self.token) && !printed.out.contains(&self.token), "{printed:?}");
        printed
    }
}

fn write_token(file: &std::path::Path, token: &str) {
    std::fs::write(file, format!("{token}\n")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A command at this address, far from any configuration.
fn at(server: &str, token: &std::path::Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amplinkd"));
    command.current_dir("/").env("AMPLINKD_TOKEN_FILE", token).env_remove("AMPLINKD_SERVER");
    command.args(["--server", server]).args(arguments.split_whitespace());
    command
}

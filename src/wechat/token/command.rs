//! Tokens from a program's standard output, within a time limit. Its output is never shown: it may be a token.

use std::process::{Output, Stdio};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    sync::Semaphore,
};

use super::{BadTokenSource, CommandSource, GRANT_BYTES_MAX, Grant, TokenError};
use crate::domain::id::AccountId;

/// Programs that run at once: a start with a hundred thousand accounts must not start as many processes.
const RUNNING_MAX: usize = 8;

/// Bytes of standard error that are read; what comes after is thrown away.
const STDERR_BYTES_MAX: u64 = 4_096;

#[derive(Debug)]
pub(super) struct Program {
    source: CommandSource,
    running: Semaphore,
}

impl Program {
    pub(super) fn new(source: CommandSource) -> Result<Self, BadTokenSource> {
        if source.program.as_os_str().is_empty() {
            return Err(BadTokenSource("needs a program".to_owned()));
        }
        Ok(Self { source, running: Semaphore::new(RUNNING_MAX) })
    }

    pub(super) async fn fetch(&self, account: &AccountId) -> Result<Grant, TokenError> {
        // The semaphore is never closed; if it were, running without a permit is still right.
        let _permit = self.running.acquire().await;
        let left = tokio::time::timeout(self.source.timeout, self.run(account))
            .await
            .map_err(|_| unavailable("ran longer than it may and was killed"))?
            .map_err(|error| unavailable(&format!("did not run: {error}")))?;
        Grant::of_program(&left, account)
    }

    async fn run(&self, account: &AccountId) -> std::io::Result<Output> {
        let mut child = Command::new(&self.source.program)
            .args(&self.source.args)
            .arg(account.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // The timeout drops this future, and the child with it.
            .kill_on_drop(true)
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (stdout, stderr, status) =
            tokio::join!(head(stdout, GRANT_BYTES_MAX as u64 + 1), head(stderr, STDERR_BYTES_MAX), child.wait());
        Ok(Output { status: status?, stdout: stdout?, stderr: stderr? })
    }
}

/// The first bytes of a pipe; the rest is read too, so that the program does not hang on a full one.
async fn head(pipe: Option<impl AsyncRead + Unpin>, max: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(max).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

fn unavailable(what: &str) -> TokenError {
    TokenError::Unavailable(format!("the token program {what}"))
}

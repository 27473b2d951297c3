//! Tokens from a program's standard output, within a time limit. Its output is never shown: it may be a token.

use std::{
    io,
    os::fd::AsFd,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{ChildStderr, ChildStdout, Command},
    sync::Semaphore,
};

use super::{BadTokenSource, CommandSource, GRANT_BYTES_MAX, Grant, TokenError};
use crate::{children::Leader, domain::id::AccountId};

/// Programs that run at once: a start with a hundred thousand accounts must not start as many processes.
const RUNNING_MAX: usize = 8;

/// Bytes of standard error that are kept; what comes after is thrown away.
const STDERR_BYTES_MAX: usize = 4_096;

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// How long its output is waited for once a program has ended: another process that writes for it, as in a shell's
/// `>(…)`, may be a moment behind. One that only holds the pipe open is not waited for any longer.
const LINGER: Duration = Duration::from_millis(250);

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
        Grant::of_program(&left, account, &self.source.names)
    }

    async fn run(&self, account: &AccountId) -> io::Result<Output> {
        let time_is_over = tokio::time::sleep(self.source.timeout);
        // The timeout drops this future, and with it the leader and its whole group.
        let mut program = Leader::start(
            Command::new(&self.source.program)
                .args(&self.source.args)
                .arg(account.as_str())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )?;
        let (stdout, stderr) = program.pipes();
        let mut printed: Head<ChildStdout> = Head::of(stdout, GRANT_BYTES_MAX + 1);
        let mut complained: Head<ChildStderr> = Head::of(stderr, STDERR_BYTES_MAX);
        let status = loop {
            tokio::select! {
                status = program.wait() => break status?,
                read = printed.read(), if printed.is_open() => read?,
                read = complained.read(), if complained.is_open() => read?,
            }
        };
        let rest = async { tokio::try_join!(printed.read_to_end(), complained.read_to_end()) };
        if let Ok(read) = tokio::time::timeout(LINGER, rest).await {
            read?;
        } else {
            printed.read_what_is_there()?;
            complained.read_what_is_there()?;
            let group = program.group();
            tokio::spawn(async move {
                time_is_over.await;
                group.kill_rest();
            });
        }
        Ok(Output { status, stdout: printed.kept, stderr: complained.kept })
    }
}

/// The first bytes of a pipe; the rest is read too, so that the program does not hang on a full one.
struct Head<P> {
    /// `None` once its end was read.
    pipe: Option<P>,
    kept: Vec<u8>,
    max: usize,
    chunk: Vec<u8>,
}

impl<P: AsyncRead + AsFd + Unpin> Head<P> {
    fn of(pipe: Option<P>, max: usize) -> Self {
        Self { pipe, kept: Vec::new(), max, chunk: vec![0; CHUNK] }
    }

    const fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Waits for more, or for the end. It can be dropped and called again: nothing is lost.
    async fn read(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        let length = pipe.read(&mut self.chunk).await?;
        self.keep(length);
        Ok(())
    }

    async fn read_to_end(&mut self) -> io::Result<()> {
        while self.is_open() {
            self.read().await?;
        }
        Ok(())
    }

    /// Reads on while there is something, and waits for nobody.
    fn read_what_is_there(&mut self) -> io::Result<()> {
        while let Some(pipe) = &self.pipe
            && self.kept.len() < self.max
        {
            match rustix::io::read(pipe, &mut self.chunk[..]) {
                Ok(length) => self.keep(length),
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn keep(&mut self, length: usize) {
        if length == 0 {
            self.pipe = None;
        }
        let room = self.max - self.kept.len();
        self.kept.extend(self.chunk.iter().take(length.min(room)));
    }
}

fn unavailable(what: &str) -> TokenError {
    TokenError::Unavailable(format!("the token program {what}"))
}

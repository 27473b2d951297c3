//! The real binary, killed at random moments, out of disk, stopped: nothing is lost, nobody is invited twice. It must
//! never look into the process: the checks of `selftest` look at its database and at the world's ledger.

use std::path::Path;

use amplinkd::selftest::checks;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_amplinkd"))
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_lose_nothing_and_invite_nobody_twice() {
    let folder = tempfile::tempdir().unwrap();
    checks::kill(folder.path(), program(), 50, 200).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_calls_loudly_and_all_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    checks::fill_the_disk(folder.path(), program()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_stopped_goes_on_with_its_polls_and_its_cron_jobs() {
    let folder = tempfile::tempdir().unwrap();
    checks::stop_for_a_while(folder.path(), program()).await.unwrap();
}

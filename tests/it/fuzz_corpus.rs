//! The fuzzer's inputs without the fuzzer: every case of `fuzz/corpus` and every past find of `fuzz/crashes` keeps the
//! promises of `fuzz/src`.

use std::{fs, path::Path};

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a crate of its own for the fuzzer")]
pub mod promises;

/// Bytes of all committed inputs: they are read by people, and by every run of the tests.
const BYTES_MAX: usize = 200 << 10;

/// A committed input with its target.
struct Case {
    path: String,
    target: String,
    bytes: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut cases = Vec::new();
    for kind in ["corpus", "crashes"] {
        for target in fs::read_dir(root.join(kind)).into_iter().flatten().flatten() {
            for file in fs::read_dir(target.path()).unwrap().flatten() {
                let target = target.file_name().into_string().unwrap();
                let path = format!("fuzz/{kind}/{target}/{}", file.file_name().display());
                cases.push(Case { path, target, bytes: fs::read(file.path()).unwrap() });
            }
        }
    }
    cases
}

#[test]
fn fuzz_corpus_and_past_finds_keep_every_promise() {
    let mut broken = Vec::new();
    for case in cases() {
        let promise = promises::TARGETS.iter().find(|(target, _)| *target == case.target);
        let (_, hold) = promise.unwrap_or_else(|| panic!("{}: there is no such target", case.path));
        if std::panic::catch_unwind(|| hold(&case.bytes)).is_err() {
            broken.push(case.path);
        }
    }
    assert!(broken.is_empty(), "each came to a panic above:\n{}", broken.join("\n"));
}

#[test]
fn fuzz_corpus_is_small_and_has_every_target() {
    let cases = cases();
    let all: usize = cases.iter().map(|case| case.bytes.len()).sum();
    assert!(all < BYTES_MAX, "{all} bytes: keep only what shows something");
    for (target, _) in promises::TARGETS {
        let count = cases.iter().filter(|case| case.target == target).count();
        assert!(count >= 5, "fuzz/corpus/{target} has {count} cases");
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{target}.rs")).exists(),
            "fuzz/fuzz_targets/{target}.rs is missing"
        );
    }
}

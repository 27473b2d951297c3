//! libFuzzer's way to [`amplinkd_fuzz::callback`]. The property itself stands there, where `tests/it/fuzz_corpus.rs`
//! runs it, too.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amplinkd_fuzz::callback::hold(data));

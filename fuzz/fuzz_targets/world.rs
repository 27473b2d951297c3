//! libFuzzer's way to [`amplinkd_fuzz::world`]. It must never hold a property: `tests/it/fuzz_corpus.rs` would miss it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| amplinkd_fuzz::world::hold(data));

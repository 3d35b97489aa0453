//! libFuzzer's way to the target `trace`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| baton_fuzz::trace::run(input));

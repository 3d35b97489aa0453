//! libFuzzer's way to the target `journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| baton_fuzz::journal::run(input));

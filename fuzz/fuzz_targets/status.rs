//! libFuzzer's way to the target `status`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| baton_fuzz::status::run(input));

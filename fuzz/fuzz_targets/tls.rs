//! libFuzzer's way to the target `tls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| baton_fuzz::tls::run(input));

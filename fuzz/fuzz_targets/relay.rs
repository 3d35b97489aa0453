//! libFuzzer's way to the target `relay`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| baton_fuzz::relay::run(input));

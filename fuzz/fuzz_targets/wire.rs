//! libFuzzer's way to the target `wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| baton_fuzz::wire::run(input));

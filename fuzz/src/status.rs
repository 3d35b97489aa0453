//! Target `status`: no bytes that a monitor sends do harm, and no name that a peer has leaves its
//! place in what monitors are sent.

use baton_systems::status::{escape, http};

/// Runs the target: the input is a request, and a name.
pub fn run(input: &[u8]) {
    let names = ["relay1".to_owned()];
    if let Ok(Some(asked)) = http::read(input, &names) {
        assert!(!asked.path.contains('?'));
        assert!(!asked.host.contains(char::is_control));
    }
    escape::check(input);
}

/// Requests, and names with characters that mean something.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "GET /metrics HTTP/1.1\r\nHost: localhost:5340\r\nAccept: */*\r\n\r\n",
        "HEAD /status/sessions/1?a HTTP/1.0\r\nHost: [::1]:1\r\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: relay1\r\nHost: 10.0.0.1\r\n\r\n",
        "a\"\\\n<b>&\u{1b}[31m\u{202e}\u{7f}\u{1f600}",
    ];
    let mut seeds: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).into();
    seeds.push(b"a\xff\xc3\x28".to_vec());
    seeds
}

//! HTTP, as much of it as monitors need: GET and HEAD, one request a connection.

use std::borrow::Cow;

// Addresses as values: nothing is reached by them.
use core::net::{IpAddr, Ipv6Addr};

use baton_components::limits::STATUS_REQUEST_BYTES_MAX;

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// Without what follows a question mark.
    pub path: String,
    /// The headers of the answer are wanted, and no more.
    pub is_head: bool,
    /// The name or address by which it asks, without the port; empty if it has none.
    pub host: String,
    /// Version 1.1 of HTTP, which knows bodies in chunks.
    pub knows_chunks: bool,
    /// It reads OpenMetrics.
    pub wants_open_metrics: bool,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Malformed,
    TooLarge,
    Method,
    Host,
    NotFound,
}

/// More are not read.
const HEADERS_MAX: usize = 64;

/// Reads a request; none: not all of it has come. `names` are those of this machine.
pub fn read(input: &[u8], names: &[String]) -> Result<Option<Asked>, Refusal> {
    let input = input.get(..STATUS_REQUEST_BYTES_MAX).unwrap_or(input);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(input).map_err(|error| match error {
        httparse::Error::TooManyHeaders => Refusal::TooLarge,
        _ => Refusal::Malformed,
    })?;
    if parsed.is_partial() {
        let is_full = input.len() == STATUS_REQUEST_BYTES_MAX;
        return if is_full {
            Err(Refusal::TooLarge)
        } else {
            Ok(None)
        };
    }
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(Refusal::Malformed);
    };
    let mut hosts = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => ours(host.value, names).ok_or(Refusal::Host)?,
        // No browser omits it, and only browsers can be led here by another's name.
        (None, _) if request.version == Some(0) => "",
        _ => return Err(Refusal::Malformed),
    };
    // A request as proxies get it: it is answered if it is for this machine.
    let absolute = target
        .strip_prefix("http://")
        .or(target.strip_prefix("https://"));
    let target = match absolute {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            ours(authority.as_bytes(), names).ok_or(Refusal::Host)?;
            if path.is_empty() { "/" } else { path }
        }
        None => target,
    };
    let is_head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Refusal::Method),
    };
    let is_open_metrics = |header: &&httparse::Header| {
        let value = std::str::from_utf8(header.value).unwrap_or_default();
        header.name.eq_ignore_ascii_case("accept") && value.contains("application/openmetrics-text")
    };
    Ok(Some(Asked {
        path: target.split('?').next().unwrap_or_default().to_owned(),
        is_head,
        host: host.to_owned(),
        knows_chunks: request.version == Some(1),
        wants_open_metrics: request.headers.iter().any(|it| is_open_metrics(&it)),
    }))
}

/// The address or name in it, if it is one of this machine. A page of somebody else's can make
/// a browser ask here by a name of that page's (DNS rebinding), and would read the answer.
fn ours<'a>(host: &'a [u8], names: &[String]) -> Option<&'a str> {
    let host = std::str::from_utf8(host).ok()?;
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is = |ours: &str| name.eq_ignore_ascii_case(ours);
    let is_known = is("localhost") || names.iter().any(|ours| is(ours));
    let is_ours = is_known || is_address(name);
    (is_ours && is_port(port)).then_some(name)
}

/// An IPv4 address, or an IPv6 address in brackets.
fn is_address(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => matches!(name.parse(), Ok(IpAddr::V4(_))),
    }
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|it| it.bytes().all(is_digit))
}

/// An answer: its head, and its body if that is not a list.
#[derive(Debug)]
pub struct Answer {
    status: &'static str,
    content_type: &'static str,
    /// Rights of a browser on it: its Content-Security-Policy.
    policy: &'static str,
    body: Cow<'static, str>,
}

/// A browser shows it, and no more.
const POLICY: &str = "default-src 'none'";

impl Answer {
    /// Text for people.
    pub fn text(status: &'static str, body: String) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            policy: POLICY,
            body: body.into(),
        }
    }

    /// A page of another type.
    pub fn page(content_type: &'static str, body: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: "200 OK",
            content_type,
            policy: POLICY,
            body: body.into(),
        }
    }

    /// The same, with which a browser may do more.
    #[must_use]
    pub fn with_policy(self, policy: &'static str) -> Self {
        Self { policy, ..self }
    }

    pub fn refusal(refusal: Refusal) -> Self {
        let (status, body) = match refusal {
            Refusal::Malformed => (
                "400 Bad Request",
                "this is no HTTP request, or one with more or fewer than one Host\n",
            ),
            Refusal::TooLarge => (
                "431 Request Header Fields Too Large",
                "the request is too large: 8 KiB and 64 headers are read\n",
            ),
            Refusal::Method => ("405 Method Not Allowed", "GET and HEAD are answered\n"),
            Refusal::Host => (
                "421 Misdirected Request",
                "the relay does not have this name: ask by its address, by localhost, \
                 by the name of its machine, by the name in --status-port, or with TLS by a \
                 name of its certificate\n",
            ),
            Refusal::NotFound => (
                "404 Not Found",
                "there are / (a page for people), /metrics, /livez, /readyz, /status and /status/sessions/ID, where ID \
                 is that of a session in /status\n",
            ),
        };
        Self::text(status, body.to_owned())
    }

    /// Appends what goes to the peer.
    pub fn write(&self, is_head: bool, out: &mut Vec<u8>) {
        let length = format!("Content-Length: {}\r\n", self.body.len());
        self.write_head(&length, out);
        if !is_head {
            out.extend_from_slice(self.body.as_bytes());
        }
    }

    fn write_head(&self, length: &str, out: &mut Vec<u8>) {
        let Self {
            status,
            content_type,
            policy,
            ..
        } = self;
        let allow = if status.starts_with("405") {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 {status}\r\n\
             Content-Type: {content_type}\r\n\
             {length}\
             {allow}\
             Cache-Control: no-store\r\n\
             Content-Security-Policy: {policy}\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Connection: close\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
    }
}

/// Appends the head of an answer whose body is JSON that is written in slices.
pub fn begin_json(is_chunked: bool, out: &mut Vec<u8>) {
    let answer = Answer::page("application/json", "");
    let length = if is_chunked {
        "Transfer-Encoding: chunked\r\n"
    } else {
        ""
    };
    answer.write_head(length, out);
}

/// Appends a slice of a body, which may be the last.
pub fn write_slice(is_chunked: bool, slice: &str, is_last: bool, out: &mut Vec<u8>) {
    if !is_chunked {
        out.extend_from_slice(slice.as_bytes());
        return;
    }
    // A chunk of no bytes would end the body.
    if !slice.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n{slice}\r\n", slice.len()).as_bytes());
    }
    if is_last {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(request: &str) -> Result<Option<String>, Refusal> {
        let asked = read(request.as_bytes(), &["relay1".to_owned()]);
        asked.map(|asked| asked.map(|asked| asked.path))
    }

    #[test]
    fn requests_are_read() {
        for (request, path) in [
            (
                "GET /metrics HTTP/1.1\r\nHost: localhost:5340\r\n\r\n",
                "/metrics",
            ),
            ("GET / HTTP/1.1\r\nhost: RELAY1\r\n\r\n", "/"),
            ("HEAD /a?b=c HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", "/a"),
            ("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\nX: y\r\n\r\n", "/"),
            ("GET / HTTP/1.0\r\n\r\n", "/"),
            (
                "GET http://localhost:5340/livez HTTP/1.1\r\nHost: localhost:5340\r\n\r\n",
                "/livez",
            ),
            ("GET https://[::1] HTTP/1.0\r\n\r\n", "/"),
        ] {
            assert_eq!(asked(request), Ok(Some(path.to_owned())), "{request}");
            for end in 0..request.len() {
                assert_eq!(asked(&request[..end]), Ok(None), "{}", &request[..end]);
            }
        }
    }

    #[test]
    fn other_requests_are_refused() {
        let many = "a: b\r\n".repeat(HEADERS_MAX);
        for (request, refusal) in [
            (
                "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                Refusal::Method,
            ),
            ("GET / HTTP/1.1\r\n\r\n", Refusal::Malformed),
            (
                "GET / HTTP/1.1\r\nHost: localhost\r\nHost: relay1\r\n\r\n",
                Refusal::Malformed,
            ),
            (
                "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
                Refusal::Host,
            ),
            (
                "GET / HTTP/1.1\r\nHost: relay1.evil.example\r\n\r\n",
                Refusal::Host,
            ),
            (
                "GET / HTTP/1.1\r\nHost: localhost:80x\r\n\r\n",
                Refusal::Host,
            ),
            ("GET / HTTP/1.1\r\nHost: [localhost]\r\n\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", Refusal::Host),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Refusal::Host),
            (
                "GET / HTTP/1.0\r\nHost: evil.example\r\n\r\n",
                Refusal::Host,
            ),
            (
                "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
                Refusal::Host,
            ),
            (
                "GET http://user@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
                Refusal::Host,
            ),
            ("\0\0\0", Refusal::Malformed),
            (
                &format!("GET / HTTP/1.1\r\n{many}Host: localhost\r\n\r\n"),
                Refusal::TooLarge,
            ),
            (&format!("GET /{}", "a".repeat(9000)), Refusal::TooLarge),
        ] {
            assert_eq!(asked(request), Err(refusal), "{request}");
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let answer = Answer::text("200 OK", "body".to_owned());
        let (mut head, mut all) = (Vec::new(), Vec::new());
        answer.write(true, &mut head);
        answer.write(false, &mut all);
        assert_eq!([&head[..], b"body"].concat(), all);
        assert!(String::from_utf8_lossy(&head).contains("Content-Length: 4\r\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes, &[]);
        }
    }
}

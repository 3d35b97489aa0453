//! Grouping by session for producers of 2.4 to 2.10.
//!
//! Their streams bring the whole path, `HOST/SESSION-TIME/REST`, or with a base path
//! `HOST/BASE/REST`. Sorted by session it becomes `SESSION/HOST-TIME/[BASE/]REST`.

/// The path of a stream, sorted by session; none if it has no host and no second
/// part. `stamp` is the relay's own time of the session's creation.
pub fn by_session(path: &[u8], session: &[u8], stamp: &str) -> Option<Vec<u8>> {
    let (host, rest) = first_name(path)?;
    let (second, rest) = first_name(rest)?;
    let (base, after) = match second.strip_prefix(session) {
        Some(after) => (None, after),
        None => (Some(second), &b""[..]),
    };
    let (time, base) = if after.is_empty() {
        let own = time_at_end(session).unwrap_or(stamp.as_bytes());
        (Some(own), base)
    } else if after.len() == STAMP_PATTERN.len() && time_at_end(after).is_some() {
        (Some(&after[1..]), base)
    } else {
        // The session's name is only the beginning of another name.
        (None, Some(second))
    };
    let mut sorted = [session, b"/", host].concat();
    if let Some(time) = time {
        sorted.push(b'-');
        sorted.extend_from_slice(time);
    }
    sorted.push(b'/');
    if let Some(base) = base {
        sorted.extend_from_slice(base);
        sorted.push(b'/');
    }
    sorted.extend_from_slice(rest);
    Some(sorted)
}

/// The first name of a path, and what follows the `/` after it.
fn first_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = path.iter().position(|byte| *byte != b'/')?;
    let path = &path[start..];
    let end = path
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(path.len());
    Some((&path[..end], path.get(end + 1..).unwrap_or_default()))
}

/// The time that a name ends with, without the dash before it.
fn time_at_end(name: &[u8]) -> Option<&[u8]> {
    let end = &name[name.len().checked_sub(STAMP_PATTERN.len())?..];
    let fits = end
        .iter()
        .zip(STAMP_PATTERN)
        .all(|(byte, (low, high))| (low..=high).contains(byte));
    fits.then_some(&end[1..])
}

/// `-YYYYMMDD-HHMMSS`: between which bytes each byte is. It tells times from other
/// numbers, not good times from bad ones.
const STAMP_PATTERN: [(u8, u8); 16] = [
    (b'-', b'-'),
    (b'1', b'2'),
    (b'0', b'9'),
    (b'0', b'9'),
    (b'0', b'9'),
    (b'0', b'1'),
    (b'0', b'9'),
    (b'0', b'3'),
    (b'0', b'9'),
    (b'-', b'-'),
    (b'0', b'2'),
    (b'0', b'9'),
    (b'0', b'5'),
    (b'0', b'9'),
    (b'0', b'5'),
    (b'0', b'9'),
];

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "20261122-064706";

    fn sorted(session: &str, path: &str) -> Option<String> {
        let path = path.strip_prefix('/').unwrap_or(path);
        by_session(path.as_bytes(), session.as_bytes(), T)
            .map(|path| String::from_utf8(path).unwrap())
    }

    // Long because: it is one table.
    #[test]
    fn paths_go_where_the_original_puts_them() {
        for (session, path, expected) in [
            (
                "my_session",
                "/h/my_session-20200102-030405/ust/uid/0/64-bit",
                "my_session/h-20200102-030405/ust/uid/0/64-bit",
            ),
            (
                "auto-20200102-030405",
                "h/auto-20200102-030405/ust/uid",
                "auto-20200102-030405/h-20200102-030405/ust/uid",
            ),
            (
                "my_session",
                "h/my_session/ust/uid",
                "my_session/h-20261122-064706/ust/uid",
            ),
            (
                "my_session",
                "h/base/path/ust/uid",
                "my_session/h-20261122-064706/base/path/ust/uid",
            ),
            (
                "my_session",
                "h/my_session_base/x/ust/uid",
                "my_session/h/my_session_base/x/ust/uid",
            ),
            (
                "my_session",
                "h/my_session-20200102-030405",
                "my_session/h-20200102-030405/",
            ),
            (
                "my_session",
                "h/my_session-19910319-120000/foo/ust",
                "my_session/h-19910319-120000/foo/ust",
            ),
            (
                "auto-20200102-030405",
                "h/base/ust",
                "auto-20200102-030405/h-20200102-030405/base/ust",
            ),
            (
                "my_session",
                "h//base//ust/uid",
                "my_session/h-20261122-064706/base//ust/uid",
            ),
            (
                "my",
                "h/my_session-20200102-030405/ust",
                "my/h/my_session-20200102-030405/ust",
            ),
            (
                "my_session",
                "h/my_session-99999999-999999/ust",
                "my_session/h/my_session-99999999-999999/ust",
            ),
            (
                "s-20200102-030405",
                "h/s-20200102-030405-20210102-030405/ust",
                "s-20200102-030405/h-20210102-030405/ust",
            ),
            (
                "my_session",
                "h//snapshot-1-DT-0/ust//uid/1000/64-bit",
                "my_session/h-20261122-064706/snapshot-1-DT-0/ust//uid/1000/64-bit",
            ),
            (
                "sn",
                "h/snapshot-1-20200102-030405-0/ust",
                "sn/h/snapshot-1-20200102-030405-0/ust",
            ),
            ("test", "hostname/test", "test/hostname-20261122-064706/"),
            (
                "mys",
                "/h/mys-20240101-120000/ust/uid/0/64-bit",
                "mys/h-20240101-120000/ust/uid/0/64-bit",
            ),
            (
                "mys",
                "/h/mys-20249901-120000/u",
                "mys/h/mys-20249901-120000/u",
            ),
        ] {
            assert_eq!(
                sorted(session, path).as_deref(),
                Some(expected),
                "{session}: {path}"
            );
        }
        assert_eq!(sorted("my_session", "h"), None);
        assert_eq!(sorted("my_session", ""), None);
    }
}

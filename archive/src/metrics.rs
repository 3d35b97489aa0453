//! `--status-port`: what the archiver has done, for Prometheus.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::{Error, say};

/// The metrics. Counters grow; gauges are of the last pass.
#[derive(Debug, Default)]
pub struct Counts {
    pub chunks: AtomicU64,
    pub bytes: AtomicU64,
    pub stored_bytes: AtomicU64,
    pub deleted: AtomicU64,
    pub failures: AtomicU64,
    pub unfinished: AtomicU64,
    pub waiting: AtomicU64,
    pub waiting_bytes: AtomicU64,
    pub failing: AtomicU64,
    pub passed_s: AtomicU64,
}

impl Counts {
    /// Notes the end of a pass.
    pub fn end_pass(&self, unfinished: u64, failing: u64) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        self.unfinished.store(unfinished, Ordering::Relaxed);
        self.failing.store(failing, Ordering::Relaxed);
        self.passed_s.store(now, Ordering::Relaxed);
    }

    fn page(&self) -> String {
        let mut page = String::new();
        for (name, kind, help, value) in self.series() {
            let value = value.load(Ordering::Relaxed);
            let _ = write!(
                page,
                "# HELP baton_archive_{name} {help}\n# TYPE baton_archive_{name} {kind}\n\
                 baton_archive_{name} {value}\n"
            );
        }
        page
    }

    /// Name, kind, help and value of each.
    #[rustfmt::skip] // A table.
    fn series(&self) -> [(&str, &str, &str, &AtomicU64); 10] {
        let (counter, gauge) = ("counter", "gauge");
        [
            ("chunks_total", counter, "Chunks archived.", &self.chunks),
            ("bytes_total", counter, "Bytes of archived files.", &self.bytes),
            ("stored_bytes_total", counter, "Bytes stored for them.", &self.stored_bytes),
            ("deleted_chunks_total", counter, "Archived chunks deleted here.", &self.deleted),
            ("failures_total", counter, "Chunks that failed, once a pass.", &self.failures),
            ("unfinished_chunks", gauge, "Chunks that are not finished.", &self.unfinished),
            ("waiting_chunks", gauge, "Chunks that are finished and not archived.", &self.waiting),
            ("waiting_bytes", gauge, "Bytes of their files.", &self.waiting_bytes),
            ("failing_chunks", gauge, "Chunks that failed in the last pass.", &self.failing),
            ("last_pass_timestamp_seconds", gauge, "End of the last pass.", &self.passed_s),
        ]
    }
}

/// Listens, before anything is done.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).map_err(|reason| {
        let reason = baton::said(&reason);
        Error::Other(format!("cannot listen on {address}: {reason}"))
    })
}

/// Answers monitors, one after another, for ever.
pub fn serve(listener: &TcpListener, counts: &Counts) -> ! {
    loop {
        match listener.accept() {
            // A monitor that goes is no error.
            Ok((client, _)) => drop(answer(&client, counts)),
            Err(error) => {
                say(format_args!("baton archive: {}", baton::said(&error)));
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn answer(mut client: &TcpStream, counts: &Counts) -> io::Result<()> {
    client.set_read_timeout(Some(SILENCE))?;
    client.set_write_timeout(Some(SILENCE))?;
    let mut head = Vec::new();
    let mut lines = client.take(HEAD_MAX);
    let mut byte = [0];
    let begun = Instant::now();
    while !head.ends_with(b"\r\n\r\n") {
        // A byte now and then is as bad as none.
        if lines.read(&mut byte)? == 0 || begun.elapsed() > SILENCE {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let target = head.split(|byte| *byte == b' ').nth(1);
    let (status, body) = match target {
        Some(b"/metrics") => ("200 OK", counts.page()),
        _ => ("404 Not Found", "try /metrics\n".to_owned()),
    };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// A monitor that says nothing keeps others waiting for no longer.
const SILENCE: Duration = Duration::from_secs(2);
const HEAD_MAX: u64 = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_get_the_counts_and_others_a_hint() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let counts = Counts::default();
            counts.chunks.store(3, Ordering::Relaxed);
            serve(&listener, &counts)
        });
        let ask = |request: &str| {
            let mut peer = TcpStream::connect(address).unwrap();
            peer.write_all(request.as_bytes()).unwrap();
            let mut reply = String::new();
            let _ = peer.read_to_string(&mut reply);
            reply
        };
        let page = ask("GET /metrics HTTP/1.1\r\n\r\n");
        assert!(page.contains("\nbaton_archive_chunks_total 3\n"), "{page}");
        assert!(ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        // A peer that sends a byte now and then keeps others waiting no longer than a silent one.
        let mut slow = TcpStream::connect(address).unwrap();
        while slow.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
        assert!(ask("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
        let endless = format!("GET /metrics HTTP/1.1\r\nX: {}", "y".repeat(9 << 10));
        assert_eq!(ask(&endless), "");
    }
}

//! Where to listen.

use crate::table::{Row, fails, means};

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        means(
            "lttng-relayd -C tcp://127.0.0.1:7001",
            &["control 127.0.0.1:7001", "data 0.0.0.0:5343"],
        ),
        means(
            "lttng-relayd -D tcp4://127.0.0.1:7001",
            &["data 127.0.0.1:7001"],
        ),
        means("lttng-relayd -L TCP://0.0.0.0:7001", &["live 0.0.0.0:7001"]),
        means("lttng-relayd -C tcp6://[::1]:7001", &["control [::1]:7001"]),
        means("lttng-relayd -C tcp6://[::]:7002", &["control [::]:7002"]),
        means("lttng-relayd -L tcp6://[::1]", &["live [::1]:5344"]),
        means(
            "lttng-relayd -C net://127.0.0.1:7001",
            &["control 127.0.0.1:7001"],
        ),
        means(
            "lttng-relayd -C net://127.0.0.1:7001:7002",
            &["control 127.0.0.1:7001"],
        ),
        means(
            "lttng-relayd -C net4://127.0.0.1",
            &["control 127.0.0.1:5342"],
        ),
        means("lttng-relayd -C net6://[::1]:7001", &["control [::1]:7001"]),
        means(
            "lttng-relayd -C tcp://localhost:8172 -D tcp://localhost:9817",
            &["control 127.0.0.1:8172", "data 127.0.0.1:9817"],
        ),
        means(
            "lttng-relayd -C tcp://127.0.0.1",
            &["control 127.0.0.1:5342"],
        ),
        means("lttng-relayd -D tcp://127.0.0.1:", &["data 127.0.0.1:5343"]),
        means(
            "lttng-relayd -C tcp://127.0.0.1:7001/some/path",
            &["control 127.0.0.1:7001"],
        ),
        means(
            "lttng-relayd --dynamic-port-allocation -C tcp://0.0.0.0:0 -D tcp://0.0.0.0:0 -L tcp://localhost:0",
            &["control 0.0.0.0:0", "data 0.0.0.0:0", "live 127.0.0.1:0"],
        ),
        means(
            "lttng-relayd --dynamic-port-allocation -C tcp://127.0.0.1 -D tcp://127.0.0.1:7",
            &["control 127.0.0.1:0", "data 127.0.0.1:7"],
        ),
        fails(
            "lttng-relayd -D tcp://127.0.0.1:0",
            "Error: Invalid data URI specified: Invalid port number 0; --dynamic-port-allocation lets the system choose one",
        ),
        fails(
            "lttng-relayd -L *",
            "Error: Invalid live URI specified: URI parse unknown protocol *; expected tcp://HOST[:PORT]",
        ),
        fails(
            "lttng-relayd -D nonsense",
            "Error: Invalid data URI specified: URI parse unknown protocol nonsense; expected tcp://HOST[:PORT]",
        ),
    ];
    for (line, error) in [
        (
            "lttng-relayd -C foo://x",
            "Error: Invalid control URI specified: URI parse unknown protocol foo://x; expected tcp://HOST[:PORT]",
        ),
        (
            "lttng-relayd -C file:///x",
            "Error: Invalid control URI specified: URI parse unknown protocol file:///x; expected tcp://HOST[:PORT]",
        ),
        (
            "lttng-relayd -C 127.0.0.1:7001",
            "Error: Invalid control URI specified: URI parse unknown protocol 127.0.0.1:7001; expected tcp://HOST[:PORT]",
        ),
        (
            "lttng-relayd -C tcp://",
            "Error: Invalid control URI specified: No address or hostname detected.",
        ),
        (
            "lttng-relayd -C tcp://:7001",
            "Error: Invalid control URI specified: No address or hostname detected.",
        ),
        (
            "lttng-relayd -C tcp6://::1",
            "Error: Invalid control URI specified: No address or hostname detected.",
        ),
        (
            "lttng-relayd -C tcp6://[::1",
            "Error: Invalid control URI specified: Broken IPv6 address ::1",
        ),
        (
            "lttng-relayd -C tcp6://[::1]x",
            "Error: Invalid control URI specified: Unknown symbol after IPv6 address: x",
        ),
        (
            "lttng-relayd -C tcp://[::1]:7001",
            "Error: Invalid control URI specified: URI parse bad hostname ::1 for af 2: it is an IPv6 address; write tcp6://[::1]",
        ),
        (
            "lttng-relayd -C tcp6://127.0.0.1",
            "Error: Invalid control URI specified: URI parse bad hostname 127.0.0.1 for af 10: it is an IPv4 address; write tcp://127.0.0.1",
        ),
        (
            "lttng-relayd -C tcp://127.0.0.1:99999",
            "Error: Invalid control URI specified: Invalid port number 99999",
        ),
        (
            "lttng-relayd -C tcp://127.0.0.1:-1",
            "Error: Invalid control URI specified: Invalid port number -1",
        ),
        (
            "lttng-relayd -C tcp://127.0.0.1:abc",
            "Error: Invalid control URI specified: Invalid port number abc",
        ),
        (
            "lttng-relayd -C tcp://127.0.0.1:1:2",
            "Error: Invalid control URI specified: Trailing characters not recognized: :2",
        ),
        (
            "lttng-relayd -C net://127.0.0.1:1:2:3",
            "Error: Invalid control URI specified: Trailing characters not recognized: :3",
        ),
        (
            "lttng-relayd -C tcp://*:7001",
            "Error: Invalid control URI specified: URI parse bad hostname * for af 2: the name has no IPv4 address; check it, or write an address, as in tcp://192.0.2.1",
        ),
        (
            "lttng-relayd -C tcp://nonexistent.invalid:1",
            "Error: Invalid control URI specified: URI parse bad hostname nonexistent.invalid for af 2: the name has no IPv4 address; check it, or write an address, as in tcp://192.0.2.1",
        ),
        // The first is wrong, though the second would win.
        (
            "lttng-relayd -C foo -C tcp://127.0.0.1:1",
            "Error: Invalid control URI specified: URI parse unknown protocol foo; expected tcp://HOST[:PORT]",
        ),
    ] {
        rows.push(fails(line, error));
    }
    rows
}

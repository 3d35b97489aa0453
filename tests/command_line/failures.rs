//! Failures at the start: one line of output, and an exit status other than 0.

use crate::table::{Row, fails, means};

pub fn rows() -> Vec<Row> {
    vec![
        fails("lttng-relayd -o here", "Error: Please specify an absolute path for -o, --output PATH"),
        fails("lttng-relayd --output=", "Error: Please specify an absolute path for -o, --output PATH"),
        fails("lttng-relayd -s -p", "Error: Cannot set --group-output-by-host, another --group-output-by argument is present"),
        fails("lttng-relayd -s -s", "Error: Cannot set --group-output-by-session, another --group-output-by argument is present"),
        fails("lttng-relayd --fd-pool-size 5", "Error: File descriptor pool size must be set to at least 100"),
        fails("lttng-relayd --fd-pool-size 99", "Error: File descriptor pool size must be set to at least 100"),
        means("lttng-relayd --fd-pool-size 100", &["descriptors 100"]),
        means("lttng-relayd --fd-pool-size 0x100", &["descriptors 256"]),
        means("lttng-relayd --fd-pool-size 100junk", &["descriptors 100"]),
        fails("lttng-relayd --fd-pool-size abc", "Error: Wrong value in --fd-pool-size parameter: abc"),
        fails("lttng-relayd --fd-pool-size -5", "Error: Wrong value in --fd-pool-size parameter: -5"),
        fails("lttng-relayd --fd-pool-size 300", "Error: File descriptor pool size argument (300) exceeds the process' soft limit (200).").descriptors(200),
        means("lttng-relayd", &["descriptors 200"]).descriptors(200),
        means("lttng-relayd --fd-pool-size 200", &["descriptors 200"]).descriptors(200),
        fails("lttng-relayd", "Error: The process' file number limit is too low (50). The process' file number limit must be set to at least 100.").descriptors(50),
        fails("lttng-relayd --serve some", "Error: Wrong value in --serve parameter: some; expected live or all"),
        fails("baton --durable-replies", "baton: --durable-replies needs a period in which data is synced: --sync SECONDS, such as --sync 5"),
        fails("lttng-relayd --sync 0", "Error: Wrong value in --sync parameter: 0; expected never, chunk, auto, or a number of seconds, 86400 at most"),
        means("baton --sync 5 --durable-replies", &["sync 5", "durable-replies true"]),
        // These go as far as starting.
        fails("lttng-relayd -o {}/file/x", "Error: Unable to create {}/file/x: Not a directory; choose another directory with --output").file("file", ""),
        fails("lttng-relayd -o {}/file", "Error: Unable to use {}/file: Not a directory; choose another directory with --output").file("file", ""),
        fails("lttng-relayd --check -o {}/file", "Error: Unable to use {}/file: Not a directory; choose another directory with --output").file("file", ""),
        fails("lttng-relayd -b -o {}/file/x", "Error: Unable to create {}/file/x: Not a directory; choose another directory with --output").file("file", ""),
        fails("lttng-relayd -d -o {}/file/x", "Error: Unable to create {}/file/x: Not a directory; choose another directory with --output").file("file", ""),
        fails("lttng-relayd -w {}/none", "Error: Failed to change working directory to \"{}/none\": No such file or directory"),
        fails("lttng-relayd -b -w {}/none", "Error: Failed to change working directory to \"{}/none\": No such file or directory"),
        fails("lttng-relayd -d -w none", "Error: Failed to change working directory to \"{}/none\": No such file or directory"),
        fails("lttng-relayd --dynamic-port-allocation -P {}/none/pid", "Error: Failed to create PID file at path '{}/none/pid': No such file or directory")
            .variable("LTTNG_RUNDIR", "{}/run"),
        fails("lttng-relayd -b --dynamic-port-allocation -P none/pid", "Error: Failed to create PID file at path '{}/none/pid': No such file or directory")
            .variable("LTTNG_RUNDIR", "{}/run"),
        fails("lttng-relayd -d --dynamic-port-allocation", "Error: cannot open the health socket {}/none/socket: No such file or directory")
            .variable("LTTNG_RUNDIR", "{}/run")
            .variable("LTTNG_RELAYD_HEALTH", "{}/none/socket"),
        // One port for two listeners.
        fails("baton --check -C tcp://127.0.0.1:9953 -D tcp://127.0.0.1:9953", "baton: --control-port and --data-port are both 127.0.0.1:9953: choose another address for one of them"),
        fails("baton --check -L tcp://0.0.0.0:5343", "baton: --data-port and --live-port are both 0.0.0.0:5343: choose another address for one of them"),
        fails("baton -C tcp://127.0.0.1:9953 -L tcp://0.0.0.0:9953", "baton: --control-port and --live-port are both 0.0.0.0:9953: choose another address for one of them")
            .variable("LTTNG_RUNDIR", "{}/run"),
        fails("lttng-relayd --check -C tcp://127.0.0.1:9953 -D tcp://127.0.0.1:9953", "Error: --control-port and --data-port are both 127.0.0.1:9953: choose another address for one of them"),
        means("baton --dynamic-port-allocation", &["control 0.0.0.0:0"]),
        fails("baton --log-file {}/none/log", "baton: cannot write the log to {}/none/log: No such file or directory; choose another file with --log-file"),
        fails("baton --check --log-file {}/none/log", "baton: cannot write the log to {}/none/log: No such file or directory; choose another file with --log-file"),
        fails("baton --check --log-file {}", "baton: cannot write the log to {}: Is a directory; choose another file with --log-file"),
        means("baton --log-file {}/log", &["log-file {}/log"]),
        fails("baton --check -P {}/file/pid", "baton: Failed to create PID file at path '{}/file/pid': Not a directory").file("file", ""),
        fails("lttng-relayd -C tcp://127.0.0.1:9953 -D tcp://127.0.0.1:9953", "Error: cannot listen on 127.0.0.1:9953 for data connections: Failed to bind socket: Address already in use; choose another address with --data-port (another relay? ss -ltnp 'sport = :9953' shows it)")
            .variable("LTTNG_RUNDIR", "{}/run"),
        fails("lttng-relayd -d -C tcp://127.0.0.1:9954 -D tcp://127.0.0.1:9954", "Error: cannot listen on 127.0.0.1:9954 for data connections: Failed to bind socket: Address already in use; choose another address with --data-port (another relay? ss -ltnp 'sport = :9954' shows it)")
            .variable("LTTNG_RUNDIR", "{}/run"),
    ]
}

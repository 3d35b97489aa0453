//! What cannot be done: one line, and a status that is not 0.

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
        fails("lttng-relayd --serve some", "Error: Wrong value in --serve parameter: some"),
        // These go as far as starting.
        fails("lttng-relayd -o {}/file/x", "Error: Unable to create {}/file/x: Not a directory").file("file", ""),
        fails("lttng-relayd -b -o {}/file/x", "Error: Unable to create {}/file/x: Not a directory").file("file", ""),
        fails("lttng-relayd -d -o {}/file/x", "Error: Unable to create {}/file/x: Not a directory").file("file", ""),
        fails("lttng-relayd -w {}/none", "Error: Failed to change working directory to \"{}/none\": No such file or directory"),
        fails("lttng-relayd -b -w {}/none", "Error: Failed to change working directory to \"{}/none\": No such file or directory"),
        fails("lttng-relayd -d -w none", "Error: Failed to change working directory to \"{}/none\": No such file or directory"),
        fails("lttng-relayd --dynamic-port-allocation -P {}/none/pid", "Error: Failed to create PID file at path '{}/none/pid': No such file or directory")
            .variable("LTTNG_RUNDIR", "{}/run"),
        fails("lttng-relayd -b --dynamic-port-allocation -P none/pid", "Error: Failed to create PID file at path '{}/none/pid': No such file or directory")
            .variable("LTTNG_RUNDIR", "{}/run"),
        fails("lttng-relayd -d --dynamic-port-allocation", "Error: cannot answer for the relay's health at {}/none/socket: No such file or directory")
            .variable("LTTNG_RUNDIR", "{}/run")
            .variable("LTTNG_RELAYD_HEALTH", "{}/none/socket"),
        // One port for two listeners.
        fails("lttng-relayd -C tcp://127.0.0.1:9953 -D tcp://127.0.0.1:9953", "Error: cannot listen on 127.0.0.1:9953 for data connections: Failed to bind socket: Address already in use")
            .variable("LTTNG_RUNDIR", "{}/run"),
        fails("lttng-relayd -d -C tcp://127.0.0.1:9954 -D tcp://127.0.0.1:9954", "Error: cannot listen on 127.0.0.1:9954 for data connections: Failed to bind socket: Address already in use")
            .variable("LTTNG_RUNDIR", "{}/run"),
    ]
}

//! Advice for losses: the same words in JSON, on the page and in a terminal.

use baton_components::tally::Cause;

use super::json::Object;

/// For a channel that lost events or packets of its tracer.
const CHANNEL: &str = "the tracer fills its ring buffers faster than they are sent: raise \
                       --num-subbuf or --subbuf-size of the channel (lttng enable-channel)";

/// Writes an advice for each way to lose something, by the names of the figures.
pub fn write(object: &mut Object) {
    object.text("events_discarded", CHANNEL);
    for cause in Cause::ALL {
        object.text(cause.name(), against(cause));
    }
}

fn against(cause: Cause) -> &'static str {
    match cause {
        Cause::Overwritten => CHANNEL,
        Cause::DiskFull => "the disk of the relay is full: free space, or choose another --output",
        Cause::DiskFailed => "the disk of the relay fails: the log names the file and the error",
        Cause::NoMetadata => {
            "metadata waited for room on the disk: free space, or choose another --output"
        }
        Cause::Bound => {
            "a stream or an address has too much that waits: the log names the bound, and \
             docs/manual.md the option that raises it"
        }
        Cause::Torn => {
            "a data connection broke in the middle of a packet: look at the network, and \
             whether the producer was killed"
        }
        Cause::NeverCame => {
            "packets were announced and did not come: look for a firewall at the data port \
             (5343), or a wrong --data-url"
        }
    }
}

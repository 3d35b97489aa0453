//! Peers that do not read their replies: they cost what they may, and nothing of what
//! they asked is forgotten when they read again.

use baton_components::connection::Endpoint;
use baton_components::limits::UNSENT_BYTES_MAX;
use baton_components::wire::producer::{Command, Version};
use baton_systems::client::command;

use crate::producers::relay_as_recorded;

/// Requests whose replies fill what may be queued for a peer.
const VERSIONS: usize = UNSENT_BYTES_MAX / 8;

#[test]
fn a_command_that_came_while_replies_waited_is_answered() {
    let mut stage = relay_as_recorded();
    let peer = stage.network.connect(Endpoint::Control, "slow");
    peer.block();
    let version = Version {
        major: 2,
        minor: 15,
    };
    let command = command(15, &Command::Version(version));
    peer.write(&command.repeat(VERSIONS));
    stage.settle();
    // All of those were read and answered; now nothing is read.
    peer.write(&command);
    stage.settle();
    peer.accept_bytes(usize::MAX);
    stage.settle();
    assert_eq!(peer.take_received().len(), 8 * (VERSIONS + 1));
    peer.finish();
    stage.assert_empty();
}

//! Strays: peers that came to the wrong port. They are told apart by their first bytes, and
//! the log says where they should have gone.

use baton_components::connection::{Ending, Endpoint};
use baton_components::keys::ConnectionKey;
use baton_components::shares::Topic;
use baton_components::wire::speaker::Speaker;

use crate::peers::records::Records;
use crate::peers::refusals;
use crate::ports::NetworkPort;
use crate::settings::Ports;

/// Closes the connection of a peer whose first bytes are of another protocol. Returns whether
/// it is one. Of many of a kind from one address only the first is logged.
pub fn turn_away(records: Records<'_>, network: &NetworkPort, key: ConnectionKey) -> bool {
    let Records {
        entities,
        agenda,
        settings,
        now,
    } = records;
    let connection = entities.connections.get_mut(key);
    let Some(connection) = connection.filter(|connection| !connection.is_introduced()) else {
        return false;
    };
    let own = own(connection.endpoint());
    let speaker = Speaker::of(network.input(key));
    let Some(speaker) = speaker.filter(|speaker| *speaker != own) else {
        return false;
    };
    let (shares, topic) = (&mut entities.shares, Topic::Stray(own, speaker));
    if let Some(before) = shares.refuse(connection.address, topic, now.monotonic) {
        let (at, advice) = (connection.endpoint(), advice(speaker, settings.ports));
        tracing::warn!(
            peer = connection.peer,
            "{} connection, which is for {}: {advice}; connection closed{}",
            at.name(),
            audience(at),
            refusals::more(before)
        );
    }
    agenda.close(key, connection, Ending::Fault);
    true
}

/// The protocol of an endpoint.
fn own(endpoint: Endpoint) -> Speaker {
    match endpoint {
        Endpoint::Control => Speaker::Control,
        Endpoint::Data => Speaker::Data,
        Endpoint::Live => Speaker::Live,
        Endpoint::Status => Speaker::Http,
    }
}

fn audience(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Control => "commands of producers",
        Endpoint::Data => "packets of producers",
        Endpoint::Live => "viewers",
        Endpoint::Status => "monitors",
    }
}

/// The kind of peer that came, and where it should go.
fn advice(speaker: Speaker, ports: Ports) -> String {
    let Ports {
        control,
        data,
        live,
        status,
    } = ports;
    match speaker {
        Speaker::Control => format!(
            "a producer's commands came; they go to port {control}: \
             lttng create --set-url=net://HOST:{control}:{data}"
        ),
        Speaker::Data => format!(
            "a producer's packets came; they go to port {data}: \
             lttng create --set-url=net://HOST:{control}:{data}"
        ),
        Speaker::Live => format!(
            "a viewer came; viewers go to port {live}: \
             babeltrace2 --input-format=lttng-live net://HOST:{live}"
        ),
        Speaker::Http => {
            let monitors = match status {
                Some(status) => format!("it goes to port {status}: http://HOST:{status}"),
                None => "this relay answers none (--status-port)".to_owned(),
            };
            format!(
                "an HTTP request came; {monitors}; producers go to ports {control} and {data}, \
                 viewers to {live}"
            )
        }
        Speaker::Tls => "a TLS handshake came to a port without TLS; \
             connect to a tls:// port of this relay, if it has one"
            .to_owned(),
    }
}

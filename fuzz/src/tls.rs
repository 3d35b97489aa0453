//! Target `tls`: what comes to a port with TLS does no harm, and a relay receives what its peer
//! has sealed and nothing else, whatever is cut, changed or put in between.

use baton::fuzzing::tls::Line;

use crate::input::Input;

/// Actions of an input.
const ACTIONS_MAX: usize = 64;

/// Runs the target: the first byte says whether there was a handshake before the actions, which
/// are the rest.
pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let mut line = Line::new();
    if input.byte() & 1 == 1 {
        line.shake_hands();
    }
    let (mut said, mut received) = (Vec::new(), Vec::new());
    for _ in 0..ACTIONS_MAX {
        if input.is_empty() {
            break;
        }
        let (action, size) = (input.byte(), usize::from(input.byte()));
        match action % 4 {
            // The peer says something: more than one receive takes, if it is much.
            0 => {
                let plain = vec![size as u8; size * size];
                let sealed = line.seal(&plain);
                said.extend_from_slice(&plain);
                line.put(&sealed);
            }
            // Something else comes.
            1 => line.put(input.bytes()),
            // Its bytes are cut.
            2 => {
                let plain = vec![size as u8; size];
                let sealed = line.seal(&plain);
                said.extend_from_slice(&plain);
                let cut = usize::from(input.byte()).min(sealed.len());
                line.put(&sealed[..sealed.len() - cut]);
            }
            // One of its bytes is changed.
            _ => {
                let plain = vec![size as u8; size];
                let mut sealed = line.seal(&plain);
                said.extend_from_slice(&plain);
                let at = usize::from(input.byte());
                if let Some(byte) = sealed.get_mut(at) {
                    *byte ^= input.byte();
                }
                line.put(&sealed);
            }
        }
        match line.take(1 + size * 64) {
            Ok(plain) => received.extend_from_slice(&plain),
            // The relay closes it.
            Err(reason) => {
                assert!(!reason.is_empty());
                return;
            }
        }
        assert!(
            said.starts_with(&received),
            "the relay received something else"
        );
    }
}

/// Without a handshake: nonsense, and the begin of one. With one: each action.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut hello = vec![0, 1, 9, 1, 0];
    hello.extend(Line::new().seal(&[]).iter().take(256));
    vec![
        b"\0\x01\x09\0\x10GET / HTTP/1.1\r\n".to_vec(),
        vec![0, 1, 5, 0, 5, 22, 3, 1, 0, 1],
        hello,
        vec![0, 0, 9, 0, 9],
        vec![1, 0, 7, 0, 250, 0, 0, 0, 3],
        vec![1, 0, 7, 2, 40, 3, 0, 8],
        vec![1, 3, 7, 9, 128, 0, 8],
        vec![1, 1, 9, 0, 6, 23, 3, 3, 0, 1, 0],
    ]
}

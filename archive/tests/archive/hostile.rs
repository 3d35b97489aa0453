//! Archives that come from elsewhere: they harm nobody.

use crate::program::{archive, command, fetch, list, run};
use crate::proxy::{Fault, Proxy};
use crate::server::{Server, Store};
use crate::tree::{Output, hidden};

/// An archive, with a manifest that was read from it.
struct Case {
    server: Server,
    manifest: serde_json::Value,
}

impl Case {
    fn new() -> Option<Self> {
        let server = Server::start()?;
        let store = server.store().clone();
        let output = Output::of(&["2.13-live-uid"]);
        archive(&store, output.path()).done();
        // The manifest comes by: a fetch reads it.
        let taken = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = std::sync::Arc::clone(&taken);
        let proxy = Proxy::start_watched(
            store.address(),
            |_| Fault::None,
            move |seen, body| {
                if seen.path().ends_with("manifest.json") {
                    *kept.lock().expect("the bytes") = body.to_vec();
                }
            },
        );
        fetch(&store.through(proxy.port), Output::empty().path()).done();
        let bytes = taken.lock().expect("the bytes").clone();
        let manifest = serde_json::from_slice(&bytes).expect("a manifest");
        Some(Self { server, manifest })
    }

    /// A proxy that answers with another manifest.
    fn with(&self, fault: Fault) -> (Proxy, Store) {
        let store = self.server.store();
        let proxy = Proxy::start(store.address(), move |seen| {
            fault.clone().when(seen.path().ends_with("manifest.json"))
        });
        let store = store.through(proxy.port);
        (proxy, store)
    }

    #[track_caller]
    fn assert_refused(&self, fault: Fault, word: &str) {
        let (_proxy, store) = self.with(fault);
        let outer = Output::empty();
        let inner = outer.path().join("inner");
        let mut words = command(&store, ["fetch", &store.url, "--retry-time=0s"]);
        words.arg(&inner);
        let errors = run(words).refused();
        assert!(errors.contains(word), "{word}: {errors}");
        assert!(outer.files().is_empty(), "{:?}", outer.files().keys());
        assert!(hidden(outer.path()).is_empty());
    }
}

fn bytes(value: &serde_json::Value) -> Fault {
    Fault::Answer(200, serde_json::to_vec(value).expect("JSON"))
}

#[test]
fn manifests_that_lie_are_refused_whole() {
    let Some(case) = Case::new() else { return };
    let word = "is not to be trusted, and nothing of it is used: ";
    for path in [
        "../../escaped",
        "/tmp/escaped",
        "a/../../../escaped",
        "",
        "%2E%2E/escaped",
    ] {
        for at in ["/files/0/path", "/head/path", "/objects/0/name"] {
            let mut manifest = case.manifest.clone();
            *manifest.pointer_mut(at).expect(at) = path.into();
            case.assert_refused(bytes(&manifest), word);
        }
    }
    for (at, lie) in [
        ("/files/0/bytes", u64::MAX),
        ("/files/0/stored_bytes", u64::MAX),
        ("/files/0/offset", u64::MAX),
        ("/files/0/object", 1 << 20),
        ("/objects/0/bytes", 0),
        ("/head/bytes", 0),
        ("/head/schema", 2),
    ] {
        let mut manifest = case.manifest.clone();
        *manifest.pointer_mut(at).expect(at) = lie.into();
        case.assert_refused(bytes(&manifest), word);
    }
    for text in ["", "{}", "null", "[[[[", "{\"head\":1}"] {
        case.assert_refused(Fault::Answer(200, text.into()), word);
    }
    let nested = "[".repeat(1 << 20);
    case.assert_refused(Fault::Answer(200, nested.into()), word);
    case.assert_refused(Fault::Answer(404, Vec::new()), word);
}

#[test]
fn a_manifest_without_end_is_not_read_to_its_end() {
    let Some(case) = Case::new() else { return };
    case.assert_refused(Fault::Endless, "with more than 16777216 bytes");
    // Nor is it asked for again and again.
    let (proxy, store) = case.with(Fault::Endless);
    let back = Output::empty();
    fetch(&store, back.path()).refused();
    let asked = proxy.seen();
    let asked = asked
        .iter()
        .filter(|it| it.path().ends_with("manifest.json"));
    assert_eq!(asked.count(), 1);
}

#[test]
fn a_head_that_is_none_is_left_out() {
    let Some(server) = Server::start() else {
        return;
    };
    let direct = server.store();
    let output = Output::of(&["2.13-live-uid"]);
    archive(direct, output.path()).done();
    assert_eq!(list(direct).len(), 1);
    let mut head = list(direct)[0].clone();
    head["directory"] = "../../elsewhere".into();
    let lies = [bytes(&head), Fault::Answer(200, b"[".to_vec())];
    for lie in lies {
        let proxy = Proxy::start(direct.address(), move |seen| {
            lie.clone().when(seen.path().contains("/v1/days/"))
        });
        let store = direct.through(proxy.port);
        let errors = run(command(&store, ["ls", &store.url])).refused();
        assert!(errors.contains("is left out: "), "{errors}");
    }
}

#[test]
fn frames_that_grow_are_refused() {
    let Some(case) = Case::new() else { return };
    let store = case.server.store().clone();
    // A gigabyte of zeros in a hundred kilobytes, where a small frame should be.
    let bomb = zstd::encode_all(std::io::repeat(0).take(1 << 30), 3).expect("a bomb");
    let mut manifest = case.manifest.clone();
    let files = manifest["files"].as_array_mut().expect("files");
    let at = files
        .iter()
        .position(|it| !it["frames"].is_null())
        .expect("a data file");
    let (object, bytes_before) = (
        files[at]["object"].clone(),
        files[at]["stored_bytes"].as_u64(),
    );
    files[at]["stored_bytes"] = bomb.len().into();
    let bytes_now = files[at]["bytes"].clone();
    files[at]["frames"] = serde_json::json!([[bytes_now, bomb.len()]]);
    let object = object.as_u64().expect("a number") as usize;
    manifest["objects"][object]["bytes"] = bomb.len().into();
    let name = manifest["objects"][object]["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    let sum = manifest["head"]["stored_bytes"].as_u64().expect("a size");
    let sum = sum - bytes_before.expect("a size") + bomb.len() as u64;
    manifest["head"]["stored_bytes"] = sum.into();
    let answer = bytes(&manifest);
    let proxy = Proxy::start(store.address(), move |seen| match seen.path() {
        path if path.ends_with("manifest.json") => answer.clone(),
        path if path.ends_with(&name) => Fault::Answer(206, bomb.clone()),
        _ => Fault::None,
    });
    let back = Output::empty();
    let errors = fetch(&store.through(proxy.port), back.path()).refused();
    assert!(errors.contains("a frame is damaged"), "{errors}");
    assert!(hidden(back.path()).is_empty());
}

use std::io::Read as _;

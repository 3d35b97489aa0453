//! A status port with TLS, beside a plain one and alone.

use std::process::Command;

use crate::ports::{free_port, local};
use crate::process::Process;
use crate::relay::{BATON, Place, printed};
use crate::skip;

/// A relay with a status port that asks for certificates.
struct Scene {
    place: Place,
    port: u16,
    /// Of its relay.
    options: Vec<String>,
    _relay: Process,
}

impl Scene {
    /// `alone`: without the plain status port.
    fn start(alone: bool) -> Self {
        let place = Place::new();
        let port = free_port();
        let mut command = place.command(BATON);
        command.arg("certificates").arg(place.home());
        command.args(["--relay", "localhost", "--relay", "relay.example"]);
        command.args(["--client", "monitor"]);
        let made = command.output().expect("the program");
        assert!(made.status.success(), "{}", printed(&made));
        let mut options = place.options();
        options.retain(|it| !alone || !it.starts_with("--status-port"));
        options.push(format!("--status-port=tls://{}", local(port)));
        for (option, name) in [
            ("--tls-certificate", "relay.pem"),
            ("--tls-key", "relay.key"),
            ("--tls-client-ca", "ca.pem"),
        ] {
            options.push(format!("{option}={}", place.home().join(name).display()));
        }
        let mut command = place.command(BATON);
        command.args(["relay", "--min-free=0"]).args(&options);
        let relay = place.run(&mut command);
        Self {
            place,
            port,
            options,
            _relay: relay,
        }
    }

    fn file(&self, name: &str) -> String {
        self.place.home().join(name).to_string_lossy().into_owned()
    }

    /// The output of a command with these files to show, and whether it succeeds.
    fn ask(&self, words: &[&str], ca: Option<&str>, identity: Option<&str>) -> (bool, String) {
        let mut words: Vec<String> = words.iter().map(ToString::to_string).collect();
        if let Some(ca) = ca {
            words.extend(["--tls-ca".to_owned(), self.file(ca)]);
        }
        if let Some(name) = identity {
            let [certificate, key] = ["pem", "key"].map(|it| self.file(&format!("{name}.{it}")));
            words.extend(["--tls-certificate".to_owned(), certificate]);
            words.extend(["--tls-key".to_owned(), key]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = self.place.baton(&words);
        (output.status.success(), printed(&output))
    }
}

#[test]
fn a_status_port_with_tls_is_asked_with_a_certificate() {
    let scene = Scene::start(false);
    let url = format!("tls://localhost:{}", scene.port);
    for words in [
        &["status", &url][..],
        &["top", "--once", &url],
        &["status", &url.replace("tls", "https")],
    ] {
        let (is_well, text) = scene.ask(words, Some("ca.pem"), Some("monitor"));
        let ready = format!("at https://localhost:{}: ready", scene.port);
        assert!(is_well && text.contains(&ready), "{text}");
    }
    for (ca, identity, url, expected) in [
        (None, None, url.as_str(), "name the CA of its certificate"),
        (
            Some("ca.pem"),
            None,
            &url,
            "it asks for a certificate, and there is none here",
        ),
        (
            // Of another CA: its own.
            Some("relay.pem"),
            Some("monitor"),
            &url,
            "the peer's certificate is",
        ),
        (Some("none.pem"), None, &url, "cannot read "),
        (
            Some("ca.pem"),
            None,
            &url.replace("tls", "http"),
            "if it has TLS, ask by tls://",
        ),
        (
            Some("ca.pem"),
            None,
            &format!("tls://localhost:{}", scene.place.status_port),
            "its port may have no TLS",
        ),
    ] {
        let (is_well, text) = scene.ask(&["status", url], ca, identity);
        assert!(!is_well && text.contains(expected), "{expected}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    // The plain one answers as well, and counts those.
    let (is_well, text) = scene.ask(&["status", &scene.place.url()], None, None);
    assert!(is_well && text.contains(": ready"), "{text}");
}

/// The certificate of the relay says its name, and the options of the doctor the rest.
#[test]
fn doctor_asks_a_status_port_with_tls() {
    for alone in [false, true] {
        let scene = Scene::start(alone);
        let doctor = |more: &[String]| {
            let options = scene.options.iter().chain(more).map(String::as_str);
            let words: Vec<&str> = ["doctor"].into_iter().chain(options).collect();
            printed(&scene.place.baton(&words))
        };
        let without = doctor(&[]);
        assert_eq!(without.contains("--ask-ca FILE"), alone, "{without}");
        let with = doctor(&[
            format!("--ask-ca={}", scene.file("ca.pem")),
            format!("--ask-certificate={}", scene.file("monitor.pem")),
            format!("--ask-key={}", scene.file("monitor.key")),
        ]);
        // The space of this machine's own disk is no matter here.
        let is_well = with.contains("nothing is wrong") || with.matches("WRONG").count() == 1;
        assert!(is_well && !with.contains("asked"), "{with}");
    }
}

#[test]
fn figures_tell_of_the_certificate_and_of_failed_handshakes() {
    let scene = Scene::start(false);
    let (is_well, _) = scene.ask(
        &["status", &format!("tls://localhost:{}", scene.port)],
        Some("ca.pem"),
        None,
    );
    assert!(!is_well);
    let curl = |url: String, more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error"]).args(more);
        command.arg(url).output().ok().map(|it| printed(&it))
    };
    let Some(page) = curl(format!("{}/metrics", scene.place.url()), &[]) else {
        return skip::say("since curl is missing");
    };
    let value = |series: &str| {
        let line = page.lines().find_map(|it| it.strip_prefix(series));
        let line = line.unwrap_or_else(|| panic!("no {series} in {page}"));
        line.trim().to_owned()
    };
    assert_eq!(
        value("baton_tls_handshakes_failed_total{port=\"status\"}"),
        "1"
    );
    let openssl = Command::new("openssl")
        .args(["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in"])
        .arg(scene.file("relay.pem"))
        .output()
        .expect("openssl");
    let date = printed(&openssl);
    let date = date.trim().trim_start_matches("notAfter=").to_owned();
    let seconds = Command::new("date").args(["-d", &date, "+%s"]).output();
    let seconds = printed(&seconds.expect("date"));
    let expiry = value("baton_certificate_expiry_timestamp_seconds");
    assert_eq!(expiry, seconds.trim());
    // As any monitor does.
    let (ca, certificate, key) = (
        scene.file("ca.pem"),
        scene.file("monitor.pem"),
        scene.file("monitor.key"),
    );
    // By each name of the certificate, too.
    for name in ["localhost", "relay.example"] {
        let port = scene.port;
        let resolved = format!("{name}:{port}:127.0.0.1");
        let live = curl(
            format!("https://{name}:{port}/livez"),
            &[
                "--cacert",
                &ca,
                "--cert",
                &certificate,
                "--key",
                &key,
                "--resolve",
                &resolved,
            ],
        );
        assert_eq!(live.as_deref(), Some("ok\n"), "{name}");
    }
}

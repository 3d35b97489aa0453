//! Keys of a role: the program asks the endpoint of the machine's metadata, or of its container.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::program::{archive_command, end_of, list, run, start};
use crate::server::{Server, Store};
use crate::tree::Output;

/// An endpoint of metadata, which answers as those of AWS.
struct Metadata {
    port: u16,
    /// Lines of the requests, with the header that matters.
    asked: Arc<Mutex<Vec<String>>>,
}

const TOKEN: &str = "a-token==";

impl Metadata {
    fn start(store: &Store, lifetime_s: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (list, store) = (Arc::clone(&asked), store.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = answer(&client, &store, lifetime_s, &list);
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the list").clone()
    }
}

fn answer(
    mut client: &TcpStream,
    store: &Store,
    lifetime_s: i64,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    let mut request = lines.next().unwrap_or_default().replace(" HTTP/1.1", "");
    for line in lines.take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        if line.starts_with("x-aws") || line.starts_with("authorization") {
            request = format!("{request} {line}");
        }
    }
    asked.lock().expect("the list").push(request.clone());
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(lifetime_s);
    let keys = serde_json::json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": store.access_key, "SecretAccessKey": store.secret,
        "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    })
    .to_string();
    let of_role = format!("x-aws-ec2-metadata-token: {TOKEN}");
    let roles = "GET /latest/meta-data/iam/security-credentials/";
    let body = match request.as_str() {
        "PUT /latest/api/token x-aws-ec2-metadata-token-ttl-seconds: 300" => TOKEN.to_owned(),
        it if *it == format!("{roles} {of_role}") => "relay-role\n".to_owned(),
        it if *it == format!("{roles}relay-role {of_role}") => keys,
        it if *it == format!("GET /keys authorization: {TOKEN}") => keys,
        _ => {
            return client.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
        }
    };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// An archiver without keys.
fn archiver(store: &Store, output: &Output) -> Command {
    let mut command = archive_command(store, output.path());
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    command
}

#[test]
fn a_machine_or_a_container_may_have_the_keys() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let metadata = Metadata::start(store, 3600);
    let endpoint = format!("http://127.0.0.1:{}", metadata.port);
    let output = Output::of(&["2.13-live-uid"]);
    let mut words = archiver(store, &output);
    words.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("{endpoint}/"));
    run(words).done();
    assert_eq!(list(store).len(), 1);
    // They are asked for once, since they last.
    assert_eq!(metadata.asked().len(), 3, "{:?}", metadata.asked());

    let other = store.below("container");
    let file = output.path().join(".token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("a token");
    let mut words = archiver(&other, &output);
    words
        .env(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("{endpoint}/keys"),
        )
        .env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &file);
    run(words).done();
    assert_eq!(list(&other).len(), 1);
}

#[test]
fn keys_that_expire_are_renewed_before() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let metadata = Metadata::start(store, 60);
    let output = Output::empty();
    let mut words = crate::program::command(store, ["archive", "--to", &store.url]);
    words
        .args(["--quiet-period=0s", "--interval=0s"])
        .arg(output.path())
        .env_remove("AWS_ACCESS_KEY_ID")
        .env(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            format!("http://127.0.0.1:{}", metadata.port),
        );
    let mut running = start(words);
    // Three questions each time; chunks come, so that there is something to ask the store for.
    for number in 0.. {
        if metadata.asked().len() >= 9 {
            break;
        }
        assert!(running.try_wait().expect("a state").is_none());
        let capture = Output::of(&["2.13-live-uid"]);
        let tree = capture.path().join("2.13-live-uid");
        std::fs::rename(tree, output.path().join(number.to_string())).expect("a tree");
        thread::sleep(Duration::from_millis(200));
    }
    running.kill().expect("a kill");
    let errors = end_of(running).errors;
    assert_eq!(errors, "");
}

#[test]
fn a_role_that_gives_no_keys_is_named() {
    let store = Store {
        url: "s3://traces".to_owned(),
        endpoint: "http://127.0.0.1:1".to_owned(),
        region: "here".to_owned(),
        access_key: "key".to_owned(),
        secret: "not-a-secret".to_owned(),
        path_style: true,
    };
    let metadata = Metadata::start(&store, 60);
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", metadata.port);
    let output = Output::empty();
    for (variable, value, words) in [
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            url("/elsewhere"),
            "cannot get the keys of a role from http://127.0.0.1",
        ),
        (
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "http://192.0.2.1/keys".to_owned(),
            "is neither HTTPS nor on this machine",
        ),
        (
            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            url("/elsewhere"),
            "cannot get the keys of a role from http://127.0.0.1",
        ),
        (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "/var/run/token".to_owned(),
            "a role by a token, is not supported",
        ),
        (
            "AWS_EC2_METADATA_DISABLED",
            "true".to_owned(),
            "no credentials: set AWS_ACCESS_KEY_ID",
        ),
    ] {
        let mut command = archiver(&store, &output);
        command.env(variable, &value);
        let errors = run(command).refused();
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(words), "{words}: {errors}");
    }
}

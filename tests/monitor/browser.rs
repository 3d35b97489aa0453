//! A browser without a window: Chromium, told what to do over WebDriver, which is JSON by HTTP.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ports::{free_port, local};
use crate::process::{Process, eventually, retry};

/// A busy machine may take long to start a browser.
const PATIENCE: Duration = Duration::from_mins(1);

/// By which name WebDriver gives an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

#[derive(Debug)]
pub struct Browser {
    port: u16,
    session: String,
    _driver: Process,
}

impl Browser {
    /// Starts one, with its files in a directory; none if it is not installed.
    pub fn start(home: &Path) -> Option<Self> {
        Command::new("chromedriver")
            .arg("--version")
            .output()
            .ok()?;
        let port = free_port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).env("HOME", home);
        let driver = Process::spawn(&mut command, home, "chromedriver");
        eventually("chromedriver", PATIENCE, || {
            TcpStream::connect(local(port)).is_ok()
        });
        let mut browser = Self {
            port,
            session: String::new(),
            _driver: driver,
        };
        let profile = format!("--user-data-dir={}", home.join("profile").display());
        let arguments = [
            "--headless=new",
            // Root has no other way.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            &profile,
        ];
        let options = json!({"args": arguments});
        let capabilities = json!({"alwaysMatch": {"goog:chromeOptions": options}});
        let answer = browser.post("/session", &json!({"capabilities": capabilities}));
        let session = answer["sessionId"].as_str().expect("a session");
        browser.session = format!("/session/{session}");
        Some(browser)
    }

    pub fn open(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    /// Runs the body of a function, and gives what it returns, or what its promise gives.
    pub fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of the first element that a selector finds; empty without one.
    pub fn text(&self, selector: &str) -> String {
        let selector = Value::from(selector);
        let script = format!("return document.querySelector({selector})?.textContent ?? ''");
        self.run(&script).as_str().expect("a text").to_owned()
    }

    pub fn wait_for_text(&self, selector: &str, words: &str) {
        retry(PATIENCE, || {
            let text = self.text(selector);
            let is_there = text.contains(words);
            is_there
                .then_some(())
                .ok_or(format!("\"{words}\" in {selector}: {text}"))
        });
    }

    /// Clicks as a user does.
    pub fn click(&self, selector: &str) {
        let found = json!({"using": "css selector", "value": selector});
        let found = self.command("/element", &found);
        let element = found[ELEMENT].as_str().expect("an element");
        self.command(&format!("/element/{element}/click"), &json!({}));
    }

    /// A command of Chromium's own protocol.
    pub fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.command(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    pub fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.chromium("Emulation.setDeviceMetricsOverride", &size);
    }

    /// The text in the clipboard.
    pub fn clipboard(&self) -> String {
        let permissions = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
        self.chromium("Browser.grantPermissions", &permissions);
        let text = self.run("return navigator.clipboard.readText()");
        text.as_str().expect("a text").to_owned()
    }

    /// A picture of the page, as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let answer = self.ask("GET", &format!("{}/screenshot", self.session), "");
        base64(answer["value"].as_str().expect("a picture"))
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.post(&format!("{}{path}", self.session), body)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = self.ask("POST", path, &body.to_string());
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "{path} {body}: {value}");
        value
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut socket = TcpStream::connect(local(self.port)).expect("chromedriver");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            local(self.port)
        );
        socket.write_all(request.as_bytes()).expect("a request");
        let mut answer = BufReader::new(socket);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).expect("a header");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut bytes = vec![0; length];
        answer.read_exact(&mut bytes).expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser; without a session there is none.
        if let Ok(mut socket) = TcpStream::connect(local(self.port)) {
            let request = format!(
                "DELETE {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.session,
                local(self.port)
            );
            let _ = socket.write_all(request.as_bytes());
            let _ = socket.read(&mut [0; 100]);
        }
    }
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text
        .bytes()
        .filter_map(|it| DIGITS.iter().position(|digit| *digit == it));
    let digits: Vec<_> = digits.collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let number = four.iter().fold(0, |sum, digit| sum << 6 | *digit as u32);
        let number = number << (6 * (4 - four.len()));
        bytes.extend(&number.to_be_bytes()[1..four.len()]);
    }
    bytes
}

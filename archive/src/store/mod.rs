//! A bucket, or the part of it below a prefix: objects by key, over the S3 API.
//!
//! Nothing is relied upon that servers disagree about: no conditional requests, no metadata of
//! objects, no listing of uploads. Each upload has its MD5 beside it (`Content-MD5`), so a server
//! refuses what the way has changed.

mod agent;
mod credentials;
mod fault;
mod pace;
mod patience;
mod place;
mod role;

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use rusty_s3::actions::{CompleteMultipartUpload, CreateMultipartUpload, ListObjectsV2, S3Action};
use rusty_s3::{Bucket, UrlStyle};
use url::Url;

use self::agent::{Method, Reply, Request};
use self::credentials::Keys;
pub use self::fault::StoreError;
use self::pace::Pace;
pub use self::patience::Patience;
pub use self::place::{Place, Typed};

/// How long a signed request is valid: the clocks of both sides may differ by as much.
const VALIDITY: Duration = Duration::from_mins(15);

/// Limit of answers that are not objects: lists of 1000 keys of 1 KiB, errors.
const ANSWER_MAX: u64 = 4 << 20;

#[derive(Debug)]
pub struct Store {
    bucket: Bucket,
    keys: Keys,
    agent: ureq::Agent,
    place: Place,
    patience: Patience,
    /// Of what is sent.
    pace: Option<Pace>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Below the prefix of the place.
    pub key: String,
    pub bytes: u64,
}

impl Store {
    /// Prepares requests; sends none.
    pub fn open(place: &Place, patience: Patience) -> Result<Self, StoreError> {
        let style = if place.path_style {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let (name, region) = (place.bucket.clone(), place.region.clone());
        let bucket = Bucket::new(place.endpoint.clone(), style, name, region);
        let bucket = bucket.map_err(|reason| StoreError::Place {
            text: place.endpoint.to_string(),
            reason: reason.to_string(),
        })?;
        Ok(Self {
            bucket,
            keys: Keys::find()?,
            agent: agent::new()?,
            place: place.clone(),
            patience,
            pace: None,
        })
    }

    /// Sends so many bytes a second at most.
    #[must_use]
    pub fn at_pace(mut self, bytes_per_s: Option<u64>) -> Self {
        self.pace = bytes_per_s.map(Pace::new);
        self
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Asks for something small, so that a wrong name, key or region is told before any work.
    pub fn check(&self) -> Result<(), StoreError> {
        self.page("", None, None, 1).map(drop)
    }

    /// Stores an object, and compares the server's checksum where it tells one.
    pub fn put(&self, key: &str, body: &[u8]) -> Result<(), StoreError> {
        let digest = Md5::digest(body);
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let action = self.bucket.put_object(Some(&keys), &key);
            action.sign(VALIDITY)
        };
        let request = Request::put(&key, &sign, body, &digest);
        self.ask_until(&request, |reply| same_digest(reply, &digest))
            .map(drop)
    }

    /// Size of an object; none if it is not there.
    pub fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let action = self.bucket.head_object(Some(&keys), &key);
            action.sign(VALIDITY)
        };
        match self.ask(&Request::new(Method::Head, &key, &sign)) {
            Ok(reply) => Ok(Some(reply.length)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a part of an object; exactly these bytes, or an error.
    pub fn read(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        let bytes = range.end.saturating_sub(range.start);
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let action = self.bucket.get_object(Some(&keys), &key);
            action.sign(VALIDITY)
        };
        let mut request = Request::new(Method::Get, &key, &sign);
        request.range = Some(range);
        request.limit = bytes;
        let reply = self.ask_until(&request, |reply| {
            let is_part = reply.status == 206 || request.starts_at_zero();
            if is_part && reply.body.len() as u64 == bytes {
                return Ok(());
            }
            let found = reply.body.len();
            Err(format!("{found} bytes came instead of {bytes}"))
        })?;
        Ok(reply.body)
    }

    /// A whole object of at most `limit` bytes; none if it is not there.
    pub fn read_whole(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let action = self.bucket.get_object(Some(&keys), &key);
            action.sign(VALIDITY)
        };
        let mut request = Request::new(Method::Get, &key, &sign);
        request.limit = limit;
        match self.ask(&request) {
            Ok(reply) => Ok(Some(reply.body)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn remove(&self, key: &str) -> Result<(), StoreError> {
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let action = self.bucket.delete_object(Some(&keys), &key);
            action.sign(VALIDITY)
        };
        match self.ask(&Request::new(Method::Delete, &key, &sign)) {
            Ok(_) | Err(StoreError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Calls `each` for all objects whose keys begin with `prefix` and come after `after`, in
    /// the order of keys.
    pub fn list<E: From<StoreError>>(
        &self,
        prefix: &str,
        after: Option<&str>,
        mut each: impl FnMut(Listed) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let page = self.page(prefix, after, next.as_deref(), PAGE_KEYS)?;
            for listed in page.objects {
                each(listed)?;
            }
            // A server that gives the same page again would keep us for ever.
            if page.next.is_none() || page.next == next {
                return Ok(());
            }
            next = page.next;
        }
        let reason = "it has a list without an end".to_owned();
        Err(self.place.wrong(&self.place.key(prefix), reason).into())
    }

    fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<&str>,
        keys: usize,
    ) -> Result<Page, StoreError> {
        let prefix = self.place.key(prefix);
        let after = after.map(|after| self.place.key(after));
        let sign = || {
            let credentials = self.keys.current();
            let mut action = self.bucket.list_objects_v2(Some(&credentials));
            action.with_prefix(prefix.as_str());
            action.with_max_keys(keys);
            match (token, &after) {
                (Some(token), _) => action.with_continuation_token(token),
                (None, Some(after)) => action.with_start_after(after.as_str()),
                (None, None) => {}
            }
            action.sign(VALIDITY)
        };
        let request = Request::new(Method::Get, &prefix, &sign);
        // The bucket is what is missing, if anything is.
        let reply = self.ask(&request).map_err(|error| match error {
            StoreError::Missing { .. } => self.place.no_bucket(),
            other => other,
        })?;
        let text = self.text(&prefix, reply)?;
        let list = ListObjectsV2::parse_response(&text).map_err(|_| self.nonsense(&prefix))?;
        let objects = list.contents.into_iter().filter_map(|object| {
            let key = self.place.without_prefix(&object.key)?.to_owned();
            let bytes = object.size.unwrap_or(0);
            Some(Listed { key, bytes })
        });
        Ok(Page {
            objects: objects.collect(),
            next: list.next_continuation_token,
        })
    }

    /// Begins an object that comes in parts; returns the id of the upload.
    pub fn begin(&self, key: &str) -> Result<String, StoreError> {
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let credentials = Some(&keys);
            self.bucket
                .create_multipart_upload(credentials, &key)
                .sign(VALIDITY)
        };
        let mut request = Request::new(Method::Post, &key, &sign);
        request.body = Some(&[]);
        let reply = self.ask(&request)?;
        let text = self.text(&key, reply)?;
        let begun = CreateMultipartUpload::parse_response(&text);
        let begun = begun.map_err(|_| self.nonsense(&key))?;
        Ok(begun.upload_id().to_owned())
    }

    /// Stores a part, numbered from 1; returns its tag.
    pub fn part(
        &self,
        key: &str,
        upload: &str,
        number: u16,
        body: &[u8],
    ) -> Result<String, StoreError> {
        let digest = Md5::digest(body);
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let credentials = Some(&keys);
            self.bucket
                .upload_part(credentials, &key, number, upload)
                .sign(VALIDITY)
        };
        let request = Request::put(&key, &sign, body, &digest);
        let reply = self.ask_until(&request, |reply| match reply.tag {
            Some(_) => same_digest(reply, &digest),
            None => Err("it gave no tag of a part".to_owned()),
        })?;
        Ok(reply.tag.unwrap_or_default())
    }

    /// Makes an object of its parts.
    pub fn complete(&self, key: &str, upload: &str, tags: &[String]) -> Result<(), StoreError> {
        let full = self.place.key(key);
        let tags = || tags.iter().map(String::as_str);
        let sign = || {
            let keys = Some(self.keys.current());
            let action =
                CompleteMultipartUpload::new(&self.bucket, keys.as_ref(), &full, upload, tags());
            action.sign(VALIDITY)
        };
        let body = CompleteMultipartUpload::new(&self.bucket, None, &full, upload, tags()).body();
        let mut request = Request::new(Method::Post, &full, &sign);
        request.body = Some(body.as_bytes());
        // Servers may answer 200 and an error.
        let outcome = self.ask_until(&request, |reply| match fault::code(&reply.body) {
            Some(code) => Err(code),
            None => Ok(()),
        });
        match outcome {
            // The answer to an earlier attempt was lost.
            Err(StoreError::Missing { .. }) if self.size(key)?.is_some() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Forgets the parts of an upload that is not completed.
    pub fn abort(&self, key: &str, upload: &str) -> Result<(), StoreError> {
        let key = self.place.key(key);
        let sign = || {
            let keys = self.keys.current();
            let credentials = Some(&keys);
            self.bucket
                .abort_multipart_upload(credentials, &key, upload)
                .sign(VALIDITY)
        };
        match self.ask(&Request::new(Method::Delete, &key, &sign)) {
            Ok(_) | Err(StoreError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn ask(&self, request: &Request<'_>) -> Result<Reply, StoreError> {
        self.ask_until(request, |_| Ok(()))
    }

    /// Sends a request until an answer comes that is no passing failure, and that `is_good`.
    fn ask_until(
        &self,
        request: &Request<'_>,
        is_good: impl Fn(&Reply) -> Result<(), String>,
    ) -> Result<Reply, StoreError> {
        let mut attempts = self.patience.attempts();
        loop {
            self.keys.renew();
            let fault = match agent::send(&self.agent, request, self.pace.as_ref()) {
                Ok(reply) if reply.is_success() => match is_good(&reply) {
                    Ok(()) => return Ok(reply),
                    Err(reason) => self.place.wrong(request.key, reason),
                },
                Ok(reply) => {
                    let keys = self.keys.current();
                    fault::of_reply(&self.place, keys.key(), request, &reply)
                }
                Err(error) => fault::of_way(&self.place, request.key, &error),
            };
            if !fault.may_pass() || !attempts.wait(&fault) {
                return Err(fault);
            }
        }
    }

    fn text(&self, key: &str, reply: Reply) -> Result<String, StoreError> {
        String::from_utf8(reply.body).map_err(|_| self.nonsense(key))
    }

    fn nonsense(&self, key: &str) -> StoreError {
        let reason = "the answer is not that of a server of the S3 API".to_owned();
        self.place.wrong(key, reason)
    }
}

struct Page {
    objects: Vec<Listed>,
    next: Option<String>,
}

const PAGE_KEYS: usize = 1000;
/// Ten million keys: a list has an end, whatever the server says.
const PAGES_MAX: usize = 10_000;

/// An ETag that looks like an MD5 is one, except of objects that are encrypted by a key of the
/// server's: those look like one too. So a difference counts only where the server did not
/// say that it encrypts.
fn same_digest(reply: &Reply, digest: &[u8]) -> Result<(), String> {
    let expected = hex(digest);
    match &reply.tag {
        Some(tag) if !reply.is_encrypted && is_digest(tag) && tag.trim_matches('"') != expected => {
            Err("it stored other bytes than were sent".to_owned())
        }
        _ => Ok(()),
    }
}

fn is_digest(tag: &str) -> bool {
    let tag = tag.trim_matches('"');
    tag.len() == 32
        && tag
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
}

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl<'a> Request<'a> {
    fn put(key: &'a str, sign: &'a dyn Fn() -> Url, body: &'a [u8], digest: &[u8]) -> Self {
        let mut request = Self::new(Method::Put, key, sign);
        request.body = Some(body);
        request.digest = Some(STANDARD.encode(digest));
        request
    }

    fn new(method: Method, key: &'a str, sign: &'a dyn Fn() -> Url) -> Self {
        Self {
            method,
            key,
            sign,
            body: None,
            digest: None,
            range: None,
            limit: ANSWER_MAX,
        }
    }

    fn starts_at_zero(&self) -> bool {
        self.range.as_ref().is_none_or(|range| range.start == 0)
    }
}

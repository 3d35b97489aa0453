//! Where a store is: `s3://BUCKET/PREFIX`, an endpoint and a region.

use std::env;

use url::{Host, Url};

use super::StoreError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: String,
    /// Empty, or ends with `/`.
    prefix: String,
    pub endpoint: Url,
    pub region: String,
    /// The bucket is in the path of a URL, not in the name of its host.
    pub path_style: bool,
}

/// The URL as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    pub url: String,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub path_style: bool,
}

impl Typed {
    pub fn resolve(&self) -> Result<Place, StoreError> {
        let fault = |text: &str, reason: &str| StoreError::Place {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let rest = self.url.strip_prefix("s3://");
        let rest = rest.ok_or_else(|| fault(&self.url, "expected s3://BUCKET[/PREFIX]"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(fault(&self.url, "it has no name of a bucket"));
        }
        let prefix = prefix.trim_matches('/');
        let is_plain = |name: &str| !matches!(name, "" | "." | "..");
        if !prefix.is_empty() && !prefix.split('/').all(is_plain) {
            return Err(fault(
                &self.url,
                "a name in the prefix is empty, '.' or '..'",
            ));
        }
        let region = self.region.clone().or_else(|| variable(&REGIONS));
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = self.endpoint.clone().or_else(|| variable(&ENDPOINTS));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let url = Url::parse(&endpoint).map_err(|reason| {
            fault(
                &endpoint,
                &format!("{reason}; expected http(s)://HOST[:PORT]"),
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault(&endpoint, "expected http:// or https://"));
        }
        // An address has no names below it.
        let is_address = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            _ => true,
        };
        Ok(Place {
            bucket: bucket.to_owned(),
            prefix: match prefix {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            endpoint: url,
            region,
            path_style: self.path_style || is_address,
        })
    }
}

impl Place {
    pub fn key(&self, below: &str) -> String {
        format!("{}{below}", self.prefix)
    }

    /// None for a key that is elsewhere.
    pub fn without_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(&self.prefix)
    }

    /// Its name, for messages and marks.
    pub fn url(&self) -> String {
        let prefix = self.prefix.trim_end_matches('/');
        match prefix {
            "" => format!("s3://{}", self.bucket),
            prefix => format!("s3://{}/{prefix}", self.bucket),
        }
    }

    /// The endpoint without a trailing slash.
    pub fn server(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    pub fn no_bucket(&self) -> StoreError {
        StoreError::NoBucket {
            bucket: self.bucket.clone(),
            server: self.server().to_owned(),
        }
    }

    pub fn wrong(&self, key: &str, reason: String) -> StoreError {
        StoreError::Wrong {
            server: self.server().to_owned(),
            key: key.to_owned(),
            reason,
        }
    }
}

fn variable(names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|name| env::var(name).ok());
    values.into_iter().find(|value| !value.trim().is_empty())
}

const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(url: &str, endpoint: &str) -> Typed {
        Typed {
            url: url.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            ..Typed::default()
        }
    }

    #[test]
    fn keys_are_below_the_prefix() {
        let place = typed("s3://traces/lab/", "http://127.0.0.1:9000")
            .resolve()
            .unwrap();
        assert_eq!(place.key("v1/days/"), "lab/v1/days/");
        assert_eq!(place.without_prefix("lab/v1/x"), Some("v1/x"));
        assert_eq!(place.without_prefix("other/v1/x"), None);
        assert_eq!(place.url(), "s3://traces/lab");
        assert!(place.path_style);
        let place = typed("s3://traces", "https://s3.example.com")
            .resolve()
            .unwrap();
        assert_eq!(place.key("v1/"), "v1/");
        assert!(!place.path_style);
    }

    #[test]
    fn a_wrong_place_is_told_with_the_text() {
        for (url, endpoint) in [
            ("/traces", "http://h"),
            ("s3://", "http://h"),
            ("s3:///prefix", "http://h"),
            ("s3://b/a/../c", "http://h"),
            ("s3://b/a//c", "http://h"),
            ("s3://b", "ftp://h"),
            ("s3://b", "h:9000"),
        ] {
            let error = typed(url, endpoint).resolve().unwrap_err().to_string();
            assert!(error.contains(url) || error.contains(endpoint), "{error}");
        }
    }
}

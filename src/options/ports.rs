//! Where a relay listens for peers of one kind: the options for ports.

use std::ffi::OsStr;

use super::value::{OptionError, Value};
use super::{Face, Spec};
use crate::url::Url;

/// URLs of listeners; none: the default.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    urls: Vec<Url>,
    /// They are of an earlier source: the next one replaces them.
    is_earlier: bool,
}

impl Ports {
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    pub fn begin_source(&mut self) {
        self.is_earlier = true;
    }
}

impl Value for Ports {
    /// Under the name of the original a later one wins.
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, face: Face) -> Result<(), OptionError> {
        let text = value.unwrap_or_default().to_string_lossy();
        let url = parse(spec, &text)?;
        if std::mem::take(&mut self.is_earlier) || face == Face::LttngRelayd {
            self.urls.clear();
        }
        self.urls.push(url);
        Ok(())
    }

    fn show(&self) -> String {
        if self.urls.is_empty() {
            return "-".to_owned();
        }
        let urls: Vec<String> = self.urls.iter().map(ToString::to_string).collect();
        urls.join(" ")
    }

    fn is_list(&self) -> bool {
        true
    }
}

fn parse(spec: &Spec, text: &str) -> Result<Url, OptionError> {
    Url::parse(text).map_err(|reason| OptionError::Url {
        port: spec.long.trim_end_matches("-port"),
        reason,
    })
}

/// Where monitors ask.
#[derive(Clone, Debug, Default)]
pub enum StatusPort {
    /// By the name of the original nowhere; else at the default, if that is free.
    #[default]
    Auto,
    Off,
    At(Ports),
}

impl StatusPort {
    /// The URLs that were given.
    pub fn urls(&self) -> &[Url] {
        match self {
            Self::Auto | Self::Off => &[],
            Self::At(ports) => ports.urls(),
        }
    }

    pub fn begin_source(&mut self) {
        if let Self::At(ports) = self {
            ports.begin_source();
        }
    }
}

impl Value for StatusPort {
    fn read(&mut self, spec: &Spec, value: Option<&OsStr>, face: Face) -> Result<(), OptionError> {
        match (&*value.unwrap_or_default().to_string_lossy(), &mut *self) {
            ("auto", _) => *self = Self::Auto,
            ("off", _) => *self = Self::Off,
            (_, Self::At(ports)) => ports.read(spec, value, face)?,
            (_, Self::Auto | Self::Off) => {
                let mut ports = Ports::default();
                ports.read(spec, value, face)?;
                *self = Self::At(ports);
            }
        }
        Ok(())
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Off => "off".to_owned(),
            Self::At(ports) => ports.show(),
        }
    }

    fn is_list(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Given, Options};
    use super::*;

    fn give(options: &mut Options, name: &'static str, url: &str, face: Face) {
        let given = Given {
            name,
            value: Some(url.into()),
        };
        options.take(&given, face).unwrap();
    }

    #[test]
    fn a_source_may_name_several_ports_and_a_later_source_replaces_them() {
        for (face, shown) in [
            (Face::Baton, "tcp://localhost tls://0.0.0.0:1"),
            (Face::LttngRelayd, "tls://0.0.0.0:1"),
        ] {
            let mut options = Options::default();
            options.begin_source();
            for name in ["live-port", "status-port"] {
                give(&mut options, name, "tcp://192.0.2.1", face);
            }
            options.begin_source();
            for name in ["live-port", "status-port"] {
                give(&mut options, name, "tcp://localhost", face);
                give(&mut options, name, "tls://0.0.0.0:1", face);
            }
            assert_eq!(options.live.show(), shown);
            assert_eq!(options.status.show(), shown);
        }
    }

    #[test]
    fn the_status_port_can_be_taken_back() {
        let mut options = Options::default();
        for (value, shown) in [
            ("tcp://localhost", "tcp://localhost"),
            ("off", "off"),
            ("tls://localhost", "tls://localhost"),
            ("auto", "auto"),
        ] {
            give(&mut options, "status-port", value, Face::Baton);
            assert_eq!(options.status.show(), shown);
        }
    }
}

//! Access control: lists of addresses, certificates and rules, which SIGHUP reads anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Error;
use crate::config::Config;
use crate::options::Options;
use crate::os::counters::Counters;
use crate::os::gate::{Gate, NextGate};
use crate::os::network::SocketNetwork;
use crate::os::signals::Reload;
use crate::os::tls::credentials::Mistake;
use crate::os::tls::date;
use crate::os::tls::server::{Files, Server};

pub struct Admission {
    reload: Reload,
    next_gate: NextGate,
    tls: Option<Arc<Server>>,
    counters: Counters,
    /// When the end of its certificate was looked at last.
    looked_at: Instant,
}

impl Admission {
    /// Tells the network who may connect.
    pub fn open(
        network: &mut SocketNetwork,
        config: &Config,
        counters: Counters,
    ) -> Result<Self, Error> {
        let gate = gate(config, &config.options)?;
        let mut admission = Self {
            reload: network.reactor().reload(),
            next_gate: network.next_gate(),
            tls: None,
            counters,
            looked_at: Instant::now(),
        };
        admission.put(gate);
        Ok(admission)
    }

    fn put(&mut self, gate: Gate) {
        self.tls.clone_from(&gate.tls);
        let expiry = self.tls.as_deref().and_then(Server::expiry);
        self.counters.set_certificate_expiry(expiry);
        self.next_gate.put(gate);
    }

    /// Does what is due after a tick.
    pub fn keep(&mut self, config: &Config) {
        if self.reload.take() {
            self.reload(config);
        }
        if self.looked_at.elapsed() >= LOOK_EVERY {
            self.looked_at = Instant::now();
            warn_of_expiry(self.tls.as_deref());
        }
    }

    /// SIGHUP: reads anew who may connect. After a mistake all stays as it was.
    fn reload(&mut self, config: &Config) {
        let mut warnings = Vec::new();
        let reread = config.reread(&mut warnings);
        let reread = reread.map_err(|error| error.to_string());
        let gate =
            reread.and_then(|options| gate(config, &options).map_err(|error| error.to_string()));
        match gate {
            Ok(gate) => {
                self.put(gate);
                let expiry = self.tls.as_deref().and_then(Server::expiry);
                let until = expiry
                    .map(|it| format!("; the certificate is valid until {}", date(it.as_secs())));
                tracing::info!(
                    "the configuration was read anew: who may connect{}",
                    until.unwrap_or_default()
                );
            }
            Err(error) => {
                tracing::error!("the configuration is not read anew, the old one stays: {error}");
            }
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
    }
}

/// How often the end of the certificate is looked at, as far as there are events.
const LOOK_EVERY: Duration = Duration::from_hours(24);

/// The conditions on peers.
pub fn gate(config: &Config, options: &Options) -> Result<Gate, Error> {
    let status = &config.status.listeners;
    let is_wanted = config.listeners.iter().chain(status).any(|it| it.is_tls);
    let files = tls_files(options);
    if !is_wanted && let Some(option) = files.given() {
        return Err(Mistake::NoPort(option).into());
    }
    let tls = is_wanted.then(|| Server::load(&files));
    let tls = tls.transpose()?.map(Arc::new);
    warn_of_expiry(tls.as_deref());
    Ok(Gate {
        producers: options.allow_producers.clone(),
        viewers: options.allow_viewers.clone(),
        monitors: options.allow_status.clone(),
        tls,
    })
}

fn warn_of_expiry(tls: Option<&Server>) {
    if let Some(warning) = tls.and_then(Server::warning) {
        tracing::warn!("{warning}");
    }
}

fn tls_files(options: &Options) -> Files {
    Files {
        certificate: options.tls_certificate.clone(),
        key: options.tls_key.clone(),
        client_ca: options.tls_client_ca.clone(),
        revoked: options.tls_revoked.clone(),
        rules: options.tls_rules.clone(),
        minimum: options.tls_minimum,
    }
}

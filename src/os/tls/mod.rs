//! TLS below the network port: no system knows of it, and a journal has the plain bytes.

pub mod authority;
pub mod certificate;
pub mod client;
pub mod credentials;
pub mod mistake;
pub mod sealed;
pub mod server;
pub mod session;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub mod trial;

/// The day of a Unix time, for messages.
pub fn date(unix_s: u64) -> String {
    let second = i64::try_from(unix_s).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(second).map_or("a day beyond the calendar".to_owned(), |it| {
        it.strftime("%Y-%m-%d").to_string()
    })
}

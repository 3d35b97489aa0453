//! Keys of the store, from where the tools of AWS look for them: variables, the shared file, the
//! role of a container or a machine.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs};

use jiff::Timestamp;
use rusty_s3::Credentials;

use super::StoreError;
use super::role::{Granted, MARGIN, Role};
use crate::say;

/// The credentials of a store, which may be renewed.
#[derive(Debug)]
pub struct Keys {
    granted: Mutex<Granted>,
    /// None: they do not expire.
    role: Option<Role>,
    asked: Mutex<Instant>,
}

impl Keys {
    /// The first ones that are found.
    pub fn find() -> Result<Self, StoreError> {
        let (granted, role) = if let Some(credentials) = fixed()? {
            let expires = None;
            (
                Granted {
                    credentials,
                    expires,
                },
                None,
            )
        } else {
            let role = Role::find()?.ok_or(StoreError::NoCredentials)?;
            let granted = role.ask().map_err(|error| {
                if role.is_guess() {
                    StoreError::NoCredentials
                } else {
                    error
                }
            })?;
            (granted, Some(role))
        };
        Ok(Self {
            granted: Mutex::new(granted),
            role,
            asked: Mutex::new(Instant::now()),
        })
    }

    pub fn current(&self) -> Credentials {
        lock(&self.granted).credentials.clone()
    }

    /// Asks for new ones before these expire. If none come, they are used as long as they last.
    pub fn renew(&self) {
        let Some(role) = &self.role else { return };
        let margin = jiff::SignedDuration::try_from(MARGIN).unwrap_or_default();
        let ends = lock(&self.granted).expires;
        if ends.is_none_or(|ends| ends - margin > Timestamp::now()) {
            return;
        }
        // One thread asks, and not again and again.
        let mut asked = lock(&self.asked);
        if lock(&self.granted).expires != ends || asked.elapsed() < PAUSE {
            return;
        }
        *asked = Instant::now();
        match role.ask() {
            Ok(granted) => *lock(&self.granted) = granted,
            Err(error) => say(format_args!("baton: {error}; trying again")),
        }
    }
}

/// Time between two questions for keys.
const PAUSE: Duration = Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Credentials that users have written down.
fn fixed() -> Result<Option<Credentials>, StoreError> {
    if let Some(found) = Credentials::from_env() {
        return Ok(Some(found));
    }
    if env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
        return Err(StoreError::NoWebIdentity);
    }
    let Some(path) = shared_file() else {
        return Ok(None);
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(reason) => {
            let reason = baton::said(&reason);
            return Err(StoreError::Credentials { path, reason });
        }
    };
    let profile = env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    let found = read_profile(&text, &profile);
    found.map(Some).ok_or_else(|| StoreError::Credentials {
        path,
        reason: format!("the profile {profile} has no aws_access_key_id and aws_secret_access_key"),
    })
}

fn shared_file() -> Option<PathBuf> {
    if let Some(path) = env::var_os("AWS_SHARED_CREDENTIALS_FILE") {
        return Some(path.into());
    }
    Some(PathBuf::from(env::var_os("HOME")?).join(".aws/credentials"))
}

/// The keys of a profile in the text of a shared file.
fn read_profile(text: &str, profile: &str) -> Option<Credentials> {
    let mut is_it = false;
    let (mut key, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            is_it = name.trim() == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_it) {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => key = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(match token {
        Some(token) => Credentials::new_with_token(key?, secret?, token),
        None => Credentials::new(key?, secret?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_and_no_other() {
        let text = "# keys\n[default]\naws_access_key_id = one\naws_secret_access_key=s=1\n\
                    [lab]\naws_access_key_id=two\naws_secret_access_key=s2\naws_session_token=t\n";
        let found = read_profile(text, "default").unwrap();
        assert_eq!((found.key(), found.secret()), ("one", "s=1"));
        assert_eq!(found.token(), None);
        assert_eq!(read_profile(text, "lab").unwrap().token(), Some("t"));
        assert_eq!(read_profile(text, "other"), None);
        assert_eq!(
            read_profile("[default]\naws_access_key_id=one\n", "default"),
            None
        );
    }
}

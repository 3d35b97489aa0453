//! Keys of the store, from where the tools of AWS look for them: variables, then the shared
//! file.

use std::path::PathBuf;
use std::{env, fs};

use rusty_s3::Credentials;

use super::StoreError;

/// The first credentials that are found.
pub fn find() -> Result<Credentials, StoreError> {
    if let Some(found) = Credentials::from_env() {
        return Ok(found);
    }
    let Some(path) = shared_file() else {
        return Err(StoreError::NoCredentials);
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::NoCredentials);
        }
        Err(reason) => {
            let reason = baton::said(&reason);
            return Err(StoreError::Credentials { path, reason });
        }
    };
    let profile = env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    read_profile(&text, &profile).ok_or_else(|| StoreError::Credentials {
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

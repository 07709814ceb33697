//! Codes of MFA devices that were used already.
//!
//! AWS takes a code once. One that it took a moment ago is refused here, so that people read why.
//! Never here: the codes themselves, of which a keyed hash is kept for two minutes. Entry point:
//! [`UsedCodes`].

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::Mutex,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;

use super::{StsError, locked};

/// For how long a code is remembered: AWS takes the codes of a minute or so around now.
const REMEMBERED: Duration = Duration::from_mins(2);

/// A code of an MFA device: six digits.
pub(super) struct Code<'a> {
    /// The device.
    pub(super) serial: &'a str,
    pub(super) digits: &'a SecretString,
}

/// The codes that AWS took lately, by a hash whose key is of this process.
#[derive(Default)]
pub(super) struct UsedCodes {
    state: RandomState,
    accepted: Mutex<HashMap<u64, Instant>>,
}

impl UsedCodes {
    fn hash(&self, code: &Code<'_>) -> u64 {
        self.state
            .hash_one((code.serial, code.digits.expose_secret()))
    }

    /// Refuses a code that AWS took shortly before `now`.
    pub(super) fn refuse_used(&self, code: &Code<'_>, now: Instant) -> Result<(), StsError> {
        let mut accepted = locked(&self.accepted);
        accepted.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        if accepted.contains_key(&self.hash(code)) {
            return Err(StsError::CodeUsed);
        }
        Ok(())
    }

    /// Remembers a code that AWS took.
    pub(super) fn note_accepted(&self, code: &Code<'_>) {
        let hash = self.hash(code);
        locked(&self.accepted).insert(hash, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_taken_once_for_each_device() {
        let (codes, now) = (UsedCodes::default(), Instant::now());
        let digits: SecretString = "123456".to_owned().into();
        let other: SecretString = "123457".to_owned().into();
        let code = |serial, digits| Code { serial, digits };
        let ada = "arn:aws:iam::111122223333:mfa/ada";
        assert!(codes.refuse_used(&code(ada, &digits), now).is_ok());
        codes.note_accepted(&code(ada, &digits));
        assert!(matches!(
            codes.refuse_used(&code(ada, &digits), now),
            Err(StsError::CodeUsed)
        ));
        assert!(codes.refuse_used(&code(ada, &other), now).is_ok());
        let elsewhere = code("GAHT12345678", &digits);
        assert!(codes.refuse_used(&elsewhere, now).is_ok());
        let later = Instant::now() + REMEMBERED;
        assert!(codes.refuse_used(&code(ada, &digits), later).is_ok());
    }
}

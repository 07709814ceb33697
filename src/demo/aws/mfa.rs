//! MFA devices of IAM users: the six digits that prove a device, each good for one use.
//!
//! Source: RFC 6238 with HMAC-SHA-1, six digits and thirty seconds, as virtual devices of IAM have
//! it. Entry points: [`MfaDevice`], [`prove`].

use std::collections::HashSet;
use std::fmt;

use aws_lc_rs::hmac;
use time::OffsetDateTime;

use super::catalogue::{Principal, PrincipalKind};
use super::sts::StsError;

const STEP_SECONDS: i64 = 30;

/// What makes the codes of a device. Debug leaves seeds and codes out.
#[derive(Clone)]
pub enum MfaDevice {
    /// The seed of a virtual device (RFC 6238), as bytes.
    Totp(Vec<u8>),
    /// These codes and no others, in any order.
    Codes(Vec<String>),
}

impl MfaDevice {
    /// The code that a virtual device shows at a moment; a device with a list shows its first one.
    pub fn code_at(&self, moment: OffsetDateTime) -> String {
        match self {
            Self::Totp(seed) => totp(seed, step_of(moment)),
            Self::Codes(codes) => codes.first().cloned().unwrap_or_default(),
        }
    }

    /// What is used up when the code is taken; none where the code is wrong at this moment. A
    /// virtual device may be one step behind or ahead.
    fn mark(&self, code: &str, moment: OffsetDateTime) -> Option<String> {
        match self {
            Self::Totp(seed) => {
                let now = step_of(moment);
                let mut steps = [now, now - 1, now + 1].into_iter();
                let step = steps.find(|step| totp(seed, *step) == code);
                step.map(|step| format!("step {step}"))
            }
            Self::Codes(codes) => {
                let is_known = codes.iter().any(|known| known == code);
                is_known.then(|| format!("code {code}"))
            }
        }
    }
}

impl fmt::Debug for MfaDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Totp(_) => "MfaDevice::Totp",
            Self::Codes(_) => "MfaDevice::Codes",
        })
    }
}

/// `SerialNumber` and `TokenCode` as sent.
#[derive(Default)]
pub(super) struct MfaProof {
    pub(super) serial: Option<String>,
    pub(super) code: Option<String>,
}

/// Codes that were used, each with its device.
pub(super) type UsedCodes = HashSet<(String, String)>;

/// Checks the code and uses it up. Tells the device's serial number; none where no MFA was sent.
pub(super) fn prove(
    proof: &MfaProof,
    caller: &Principal,
    used: &mut UsedCodes,
    now: OffsetDateTime,
) -> Result<Option<String>, StsError> {
    let denied = |message: &str| {
        let message = format!("MultiFactorAuthentication failed{message}");
        StsError::sender(403, "AccessDenied", &message)
    };
    let (serial, code) = match (&proof.serial, &proof.code) {
        (None, None) => return Ok(None),
        (Some(serial), Some(code)) => (serial, code),
        _ => {
            let message = ", must provide both MFA serial number and one time pass code. ";
            return Err(denied(message));
        }
    };
    let is_user = caller.kind == PrincipalKind::User;
    let mut devices = caller.mfa_devices.iter().filter(|_| is_user);
    let device = devices.find(|(known, _)| known == serial);
    let (_, device) = device.ok_or_else(|| {
        denied(
            ", unable to validate MFA code.  Please verify your MFA serial number is valid and \
             associated with this user. ",
        )
    })?;
    let mark = device.mark(code, now);
    if mark.is_some_and(|mark| used.insert((serial.clone(), mark))) {
        Ok(Some(serial.clone()))
    } else {
        Err(denied(" with invalid MFA one time pass code. "))
    }
}

fn step_of(moment: OffsetDateTime) -> i64 {
    moment.unix_timestamp().div_euclid(STEP_SECONDS)
}

/// RFC 4226, section 5.3, six digits.
fn totp(seed: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = usize::from(bytes.last().copied().unwrap_or_default() & 0xf);
    let number = (bytes.iter().skip(offset).take(4))
        .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::MfaDevice;

    #[test]
    fn a_virtual_device_shows_the_codes_of_rfc_6238() {
        let device = MfaDevice::Totp(b"12345678901234567890".to_vec());
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            assert_eq!(device.code_at(moment), code, "{seconds}");
        }
    }
}

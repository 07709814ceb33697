//! Files that hold one secret each.
//!
//! The secret is never part of an error. Entry point: [`read`].

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

/// The most bytes a secret may have; more is a mistake in the path.
const SECRET_LIMIT: u64 = 64 * 1024;

/// A secret and how well its file keeps it.
pub(super) struct SecretFile {
    pub(super) secret: SecretString,
    pub(super) is_readable_by_others: bool,
}

/// Reads the secret of a file, without one line ending at its end.
///
/// # Errors
/// Why it cannot be used, to be put behind the path.
pub(super) fn read(path: &Path) -> Result<SecretFile, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let metadata = file
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?;
    let mut text = Zeroizing::new(String::new());
    file.take(SECRET_LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > SECRET_LIMIT {
        return Err(format!(
            "is longer than {SECRET_LIMIT} bytes; is it the right file?"
        ));
    }
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.trim().is_empty() {
        return Err("is empty; it should hold the secret".to_owned());
    }
    let is_readable_by_others = is_readable_by_others(&metadata);
    Ok(SecretFile {
        secret: SecretString::from(secret),
        is_readable_by_others,
    })
}

/// Whether users other than the owner and the group can read the file.
#[cfg(unix)]
pub(super) fn is_readable_by_others(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

/// Unknown on this platform, whose permissions are not a mode.
#[cfg(not(unix))]
pub(super) fn is_readable_by_others(_metadata: &Metadata) -> bool {
    false
}

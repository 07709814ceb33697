//! A text that is never shown by accident.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// A token or key: written to its file and sent, shown by no `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that it has to go to.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A new one: 32 random bytes in the alphabet of URLs.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn random() -> std::io::Result<Self> {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        bytes.zeroize();
        Ok(Self(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

//! `[[trusted_issuer]]`: whose tokens applications may bring to the API.

use super::reader::Section;

/// A `[[trusted_issuer]]`.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// Its id, which groups of its tokens begin with.
    pub id: String,
}

impl TrustedIssuer {
    /// Reads them all; `ids` are those of the connectors, which an issuer must not have.
    pub(super) fn read_all(top: &mut Section<'_>, ids: &[String]) -> Vec<Self> {
        let _ = ids;
        top.unavailable("trusted_issuer");
        Vec::new()
    }
}

//! `[issuer]`: Rolegate as an identity provider that IAM trusts.
//!
//! Keys and certificates are read and compared here, so that a pair that does not fit is told with
//! everything else; whether a certificate has ended is judged where the time is known. Entry point:
//! [`Issuer`].

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use super::address;
use super::reader::Section;
use super::saml::{self, KeyPair};
use super::secret_file;
use super::server::PublicUrl;

/// What AWS's own documents call it, and what is registered as client id.
const AUDIENCE: &str = "sts.amazonaws.com";
/// The longest URL and client id of an IAM OpenID Connect provider (IAM API,
/// CreateOpenIDConnectProvider).
const LONGEST: usize = 255;
/// IAM keeps ten keys of a SAML provider (IAM quotas).
const MOST_KEYS: usize = 10;

/// `[issuer]`.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// What it is called at AWS, for ever: the `iss` of tokens, and the beginning of the entity id.
    pub url: Url,
    /// Who signs assertions: the first; all are published.
    pub saml_keys: Vec<KeyPair>,
    /// Who signs tokens: the first; all are published.
    pub oidc_keys: Vec<IssuerKey>,
    /// The `aud` of tokens.
    pub token_audience: String,
    /// How long what is minted can be used.
    pub assertion_lifetime: Duration,
    /// Whether the response around an assertion is signed too.
    pub sign_response: bool,
}

/// A private key without a certificate.
#[derive(Clone)]
pub struct IssuerKey {
    /// The key's file.
    pub key_file: PathBuf,
    /// The key: RSA of 2048 bits or more, or ECDSA on P-256.
    pub key: PKey<Private>,
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IssuerKey")
            .field("key_file", &self.key_file)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// `None` when the section is not there, or something it cannot do without was reported.
    ///
    /// `credentials` is the folder that systemd keeps the service's credentials in.
    pub(super) fn read(
        section: &mut Section<'_>,
        is_there: bool,
        public_url: Option<&PublicUrl>,
        credentials: Option<&Path>,
    ) -> Option<Self> {
        let has_oidc_keys = section.has("oidc_keys");
        if is_there && !section.has("saml_keys") && !has_oidc_keys {
            let message = "has no keys; expected saml_keys or oidc_keys, which `rolegate issuer \
                           init` makes";
            section.refuse("", message);
        }
        let saml_keys = keys(section, "saml_keys", |section| {
            saml_key(section, credentials)
        });
        let oidc_keys = keys(section, "oidc_keys", |section| {
            oidc_key(section, credentials)
        });
        let url = section.parsed("url", address::upstream);
        let url = url.or_else(|| is_there.then(|| public_url.map(PublicUrl::url).cloned())?);
        if let Some(url) = &url {
            check_url(section, url, has_oidc_keys);
        }
        let lifetimes = Duration::from_mins(1)..=Duration::from_mins(5);
        let lifetime = section.duration("assertion_lifetime", lifetimes);
        let issuer = Self {
            saml_keys,
            oidc_keys,
            token_audience: section
                .parsed("token_audience", audience)
                .unwrap_or_else(|| AUDIENCE.to_owned()),
            assertion_lifetime: lifetime.unwrap_or(Duration::from_mins(5)),
            sign_response: section.boolean("sign_response").unwrap_or(false),
            url: url?,
        };
        is_there.then_some(issuer)
    }
}

/// What IAM takes as the URL of an OpenID Connect provider. The entity id of assertions is a name
/// alone and may be anything.
fn check_url(section: &Section<'_>, url: &Url, has_oidc_keys: bool) {
    if url.query().is_some() {
        section.refuse("url", "contains a query (?…); leave it out");
    }
    if url.as_str().len() > LONGEST {
        let message = format!("is longer than the {LONGEST} characters that IAM takes");
        section.refuse("url", message);
    }
    if !has_oidc_keys {
        return;
    }
    if url.scheme() != "https" {
        let message = "is plain http, which is good for trying things out alone: IAM takes no \
                       OpenID Connect provider without https";
        section.warn("url", message);
    } else if url.port().is_some() {
        let message = "names a port: IAM takes no OpenID Connect provider with one; give the \
                       issuer a url without";
        section.warn("url", message);
    }
}

fn audience(text: &str) -> Result<String, String> {
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    if is_plain && text.len() <= LONGEST {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected a client id without blanks of at most {LONGEST} characters, found {text:?}"
    ))
}

fn keys<T>(
    section: &mut Section<'_>,
    key: &str,
    mut read: impl FnMut(&mut Section<'_>) -> Option<T>,
) -> Vec<T> {
    let is_there = section.has(key);
    let mut count = 0;
    let keys = section.array_of_tables(key, "", |section| {
        count += 1;
        read(section)
    });
    if is_there && count == 0 {
        section.refuse(key, "is empty; expected at least one key, or no such line");
    }
    if count > MOST_KEYS {
        let message = format!("expected at most {MOST_KEYS} keys, found {count}");
        section.refuse(key, message);
    }
    keys
}

fn saml_key(section: &mut Section<'_>, credentials: Option<&Path>) -> Option<KeyPair> {
    section.demand("certificate_file", "the PEM file of the key's certificate");
    let key = private_key(section, credentials);
    let certificate = section.parsed("certificate_file", |text| {
        saml::certificate(Path::new(text)).map(|certificate| (PathBuf::from(text), certificate))
    });
    let ((key_file, key), (certificate_file, certificate)) = (key?, certificate?);
    if key.id() != Id::RSA {
        let message = format!(
            "{} holds a key that is not RSA; assertions are signed with RSA alone",
            key_file.display()
        );
        section.refuse("key_file", message);
        return None;
    }
    let is_pair = certificate
        .public_key()
        .is_ok_and(|public| public.public_eq(&key));
    if !is_pair {
        let message = format!("is not the certificate of {}", key_file.display());
        section.refuse("certificate_file", message);
        return None;
    }
    Some(KeyPair {
        key_file,
        certificate_file,
        key,
        certificate,
    })
}

fn oidc_key(section: &mut Section<'_>, credentials: Option<&Path>) -> Option<IssuerKey> {
    let (key_file, key) = private_key(section, credentials)?;
    Some(IssuerKey { key_file, key })
}

fn private_key(
    section: &mut Section<'_>,
    credentials: Option<&Path>,
) -> Option<(PathBuf, PKey<Private>)> {
    section.demand("key_file", "the PEM file of a private key");
    let names = ["passphrase", "passphrase_file", "passphrase_credential"];
    let is_given = names.iter().any(|name| section.has(name));
    let passphrase = passphrase(section, credentials);
    if is_given && passphrase.is_none() {
        // Why was told; without it nothing is known about the key.
        section.string("key_file");
        return None;
    }
    let passphrase = passphrase.as_ref().map(ExposeSecret::expose_secret);
    let mut is_in_the_clear = false;
    let key = section.parsed("key_file", |text| {
        let path = Path::new(text);
        let pem = Zeroizing::new(private_contents(path, credentials)?);
        is_in_the_clear = !is_encrypted(&pem);
        let key = opened(&pem, passphrase).and_then(|key| check(&key).map(|()| key));
        key.map(|key| (path.to_owned(), key))
            .map_err(|problem| format!("{text:?} {problem}"))
    });
    if is_in_the_clear && passphrase.is_some() {
        let message = "is not encrypted, so the passphrase beside it keeps nobody out";
        section.warn("key_file", message);
    }
    key
}

/// The passphrase from one of the three places where it can be.
fn passphrase(section: &mut Section<'_>, credentials: Option<&Path>) -> Option<SecretString> {
    let is_given = section.has("passphrase") || section.has("passphrase_file");
    if is_given && section.has("passphrase_credential") {
        let message = "is given beside another passphrase; give one of them";
        section.refuse("passphrase_credential", message);
    }
    let written = section.secret("passphrase");
    let credential = section.parsed("passphrase_credential", |name| {
        let is_name = !name.contains(['/', '\0']) && ![".", ".."].contains(&name);
        if !is_name {
            return Err(format!(
                "expected the name of a credential without slashes, found {name:?}"
            ));
        }
        let folder = credentials.ok_or(
            "there is no CREDENTIALS_DIRECTORY: systemd sets it for a service with LoadCredential= \
             or LoadCredentialEncrypted= in its unit",
        )?;
        let path = folder.join(name);
        let file = secret_file::read(&path);
        file.map(|file| file.secret)
            .map_err(|problem| format!("{:?} {problem}", path.display().to_string()))
    });
    written.or(credential)
}

/// A file that its owner alone can read. What systemd hands over is beyond that: its access list
/// shows as a group's.
fn private_contents(path: &Path, credentials: Option<&Path>) -> Result<Vec<u8>, String> {
    let contents = saml::contents(path)?;
    let is_handed_over = credentials.is_some_and(|folder| path.parent() == Some(folder));
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !is_handed_over && is_open_to_others(&metadata) {
        let name = path.display();
        return Err(format!(
            "{:?} can be read by its group or by others, and whoever has this key can become \
             anybody: chmod 600 {name}",
            name.to_string()
        ));
    }
    Ok(contents)
}

#[cfg(unix)]
fn is_open_to_others(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

/// Unknown on this platform, whose permissions are not a mode.
#[cfg(not(unix))]
fn is_open_to_others(_metadata: &Metadata) -> bool {
    false
}

fn opened(pem: &[u8], passphrase: Option<&str>) -> Result<PKey<Private>, String> {
    // An empty passphrase, or OpenSSL would ask for one at the terminal.
    let key = PKey::private_key_from_pem_passphrase(pem, passphrase.unwrap_or("").as_bytes());
    key.map_err(|_| {
        match (is_encrypted(pem), passphrase) {
            (true, None) => {
                "is encrypted; expected passphrase, passphrase_file or passphrase_credential beside it"
            }
            (true, Some(_)) => "cannot be opened with the passphrase beside it",
            (false, _) => "holds no private key in PEM",
        }
        .to_owned()
    })
}

/// Both forms say so: PKCS#8 in the first line, the older one in a header.
fn is_encrypted(pem: &[u8]) -> bool {
    pem.windows(9).any(|window| window == b"ENCRYPTED")
}

fn check(key: &PKey<Private>) -> Result<(), String> {
    saml::check_key(key)?;
    let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
    if curve.is_some_and(|curve| curve != Nid::X9_62_PRIME256V1) {
        return Err("holds an elliptic curve key that is not on P-256; expected P-256".to_owned());
    }
    Ok(())
}

//! Identity providers by other people, which speak SAML 2.0 with a service provider of ours.
//!
//! Three products, so that what one of them does in its own way does not pass for the standard:
//! SimpleSAMLphp as Debian ships it, and small applications around pysaml2 and samlify. Each shows
//! a form with `username` and `password`, keeps a session in a cookie, and logs out from either
//! side. What they are told to do is one [`Settings`] document, which all three read.
//!
//! SimpleSAMLphp encrypts with AES-128-CBC and pysaml2 with 3DES, whatever they are told; pysaml2
//! names one audience.

pub mod openid;
mod page;
mod settings;
mod walker;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use tempfile::TempDir;

pub use page::{Form, Page};
pub use settings::{Encryption, ServiceProvider, Settings, Signed, people};
pub use walker::Walker;

use super::{
    children::{Server, free_port},
    temporary_dir, tools_dir,
};

/// Who made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    SimpleSamlPhp,
    Pysaml2,
    Samlify,
}

impl Product {
    /// Every product.
    pub const ALL: [Self; 3] = [Self::SimpleSamlPhp, Self::Pysaml2, Self::Samlify];

    fn name(self) -> &'static str {
        match self {
            Self::SimpleSamlPhp => "SimpleSAMLphp",
            Self::Pysaml2 => "the pysaml2 identity provider",
            Self::Samlify => "the samlify identity provider",
        }
    }

    /// Whether it can; [`Encryption::None`] they all can.
    fn encrypts_with(self, encryption: Encryption) -> bool {
        match (self, encryption) {
            (_, Encryption::None) => true,
            (Self::SimpleSamlPhp, encryption) => encryption == Encryption::Aes128Cbc,
            (Self::Pysaml2, encryption) => encryption == Encryption::TripleDes,
            (Self::Samlify, encryption) => encryption != Encryption::TripleDes,
        }
    }

    /// Where the metadata is, and where people log out without a service provider.
    fn paths(self) -> [&'static str; 2] {
        match self {
            Self::SimpleSamlPhp => ["saml2/idp/metadata.php", "saml2/idp/initSLO.php"],
            Self::Pysaml2 | Self::Samlify => ["metadata", "logout"],
        }
    }
}

/// A running identity provider, stopped when dropped.
#[derive(Debug)]
pub struct IdentityProvider {
    product: Product,
    address: SocketAddr,
    metadata: String,
    // Before the folder, which the server writes to until it ends.
    server: Option<Server>,
    dir: TempDir,
}

impl IdentityProvider {
    /// An address to be written into the service provider's configuration before the start: the
    /// two have to know each other, and one has to be first.
    pub fn reserve() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
    }

    /// Starts on an address of its own choice.
    pub fn start(product: Product, settings: &Settings) -> Self {
        Self::start_at(product, Self::reserve(), settings)
    }

    /// Starts on a reserved address.
    pub fn start_at(product: Product, address: SocketAddr, settings: &Settings) -> Self {
        assert!(
            product.encrypts_with(settings.encryption),
            "{} cannot encrypt with {:?}",
            product.name(),
            settings.encryption
        );
        let dir = temporary_dir("idp");
        let key = SigningKey::write(dir.path());
        let settings_path = dir.path().join("settings.json");
        let text = settings.json(address, dir.path(), &key.key, &key.certificate);
        fs::write(&settings_path, text).expect("the folder is writable");
        let command = command(product, address, dir.path(), &settings_path);
        let log = dir.path().join("server.log");
        let server = Server::start(product.name(), &command, &log).wait_until_listening(address);
        let metadata = fetch(address, product.paths()[0]);
        assert!(
            metadata.contains("IDPSSODescriptor"),
            "{} publishes no metadata:\n{metadata}\n{}",
            product.name(),
            server.log()
        );
        Self {
            product,
            address,
            metadata,
            server: Some(server),
            dir,
        }
    }

    /// What it publishes.
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Where it publishes that.
    pub fn metadata_url(&self) -> String {
        self.url(self.product.paths()[0])
    }

    /// A file with the metadata.
    pub fn metadata_path(&self) -> PathBuf {
        let path = self.dir.path().join("published.xml");
        fs::write(&path, &self.metadata).expect("the folder is writable");
        path
    }

    /// Where somebody logs out at the provider itself.
    pub fn logout_url(&self) -> String {
        let url = self.url(self.product.paths()[1]);
        match self.product {
            // It wants to know where to go afterwards.
            Product::SimpleSamlPhp => format!("{url}?RelayState={}", self.url("logout.php")),
            Product::Pysaml2 | Product::Samlify => url,
        }
    }

    /// Where a redirect with an AuthnRequest goes.
    pub fn single_sign_on_url(&self) -> String {
        match self.product {
            Product::SimpleSamlPhp => self.url("saml2/idp/SSOService.php"),
            Product::Pysaml2 | Product::Samlify => self.url("sso"),
        }
    }

    /// `http://127.0.0.1:PORT/PATH`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// All that it wrote so far.
    pub fn log(&self) -> String {
        let own = self.dir.path().join("simplesamlphp.log");
        let own = fs::read_to_string(own).unwrap_or_default();
        let server = self.server.as_ref().map(Server::log).unwrap_or_default();
        own + &server
    }

    /// Ends it for good; its metadata URL is dead from then on.
    pub fn stop(&mut self) {
        self.server = None;
    }
}

/// The files of a provider's RSA key.
struct SigningKey {
    key: PathBuf,
    certificate: PathBuf,
}

impl SigningKey {
    fn write(dir: &Path) -> Self {
        let (key, certificate) = key_and_certificate("Identity provider of the tests");
        let files = Self {
            key: dir.join("signing.key"),
            certificate: dir.join("signing.crt"),
        };
        fs::write(&files.key, key).expect("the folder is writable");
        fs::write(&files.certificate, certificate).expect("the folder is writable");
        files
    }
}

/// An RSA-2048 key (PKCS #8) and a certificate that it signs for itself, both as PEM.
pub fn key_and_certificate(common_name: &str) -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("an RSA key can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no names to refuse");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let certificate = params.self_signed(&key).expect("the key signs itself");
    (key.serialize_pem(), certificate.pem())
}

fn command(product: Product, address: SocketAddr, dir: &Path, settings: &Path) -> Command {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/identity_providers");
    let mut command = match product {
        Product::SimpleSamlPhp => {
            let mut command = Command::new("php");
            let pages = tools_dir().join("simplesamlphp/usr/share/simplesamlphp/www");
            assert!(
                pages.exists(),
                "SimpleSAMLphp is not in {}; run `make test`",
                pages.display()
            );
            command
                .args(["-d", "display_errors=0", "-d", "error_log="])
                .args(["-S", &address.to_string(), "-t"])
                .arg(pages)
                .env(
                    "SIMPLESAMLPHP_CONFIG_DIR",
                    sources.join("simplesamlphp/config"),
                )
                // Its workers outlive a parent that is killed.
                .env_remove("PHP_CLI_SERVER_WORKERS");
            command
        }
        Product::Pysaml2 => {
            let mut command = Command::new(tools_dir().join("venv/bin/python"));
            command.arg(sources.join("pysaml2_idp.py"));
            command
        }
        Product::Samlify => {
            let mut command = Command::new("node");
            command.arg(sources.join("samlify_idp.mjs"));
            command
        }
    };
    command.env("IDENTITY_PROVIDER_SETTINGS", settings);
    command.current_dir(dir);
    command
}

/// The body of a page, whatever the status.
fn fetch(address: SocketAddr, path: &str) -> String {
    use std::io::{Read as _, Write as _};

    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    // In one piece: a server may answer and close once it has read the first line.
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("it answers in UTF-8");
    match answer.split_once("\r\n\r\n") {
        Some((_, body)) => body.to_owned(),
        None => answer,
    }
}

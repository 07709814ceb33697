//! A certificate authority for one test, because rustls refuses self-signed server certificates.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

/// An authority that signs server certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// The PEM files of a server, as servers want them in their configuration.
#[derive(Debug)]
pub struct ServerFiles {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names to refuse");
        params
            .distinguished_name
            .push(DnType::CommonName, "Rolegate test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params
            .self_signed(&key)
            .expect("the authority signs itself")
            .pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate and its PKCS #8 key for the given host names and addresses, both as PEM.
    pub fn sign(&self, names: &[&str], addresses: &[IpAddr]) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("the names are ASCII");
        params
            .distinguished_name
            .push(DnType::CommonName, "Rolegate test server");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
            .subject_alt_names
            .extend(addresses.iter().copied().map(SanType::IpAddress));
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the authority can sign");
        (certificate.pem(), key.serialize_pem())
    }

    /// [`Authority::sign`], written to `ca.pem`, `server.pem` and `server.key` in `dir`.
    pub fn write_server_files(&self, dir: &Path, addresses: &[IpAddr]) -> ServerFiles {
        let (certificate, key) = self.sign(&["localhost"], addresses);
        let files = ServerFiles {
            ca: dir.join("ca.pem"),
            certificate: dir.join("server.pem"),
            key: dir.join("server.key"),
        };
        fs::write(&files.ca, &self.pem).expect("the folder is writable");
        fs::write(&files.certificate, certificate).expect("the folder is writable");
        fs::write(&files.key, key).expect("the folder is writable");
        make_private(&files.key);
        files
    }
}

/// Samba refuses a key that others may read.
fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}

/// A client that trusts the certificates of `ca_pem_path` and nothing else.
pub fn client_trusting(ca_pem_path: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_pem_path).expect("the file is PEM") {
        roots
            .add(certificate.expect("a certificate"))
            .expect("an authority");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

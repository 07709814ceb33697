//! The issuer's keys: what `[issuer]` takes and how it says what it does not, and the commands that
//! make and list them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use openssl::{
    asn1::Asn1Time, bn::BigNum, hash::MessageDigest, nid::Nid, pkey::PKey, rsa::Rsa, symm::Cipher,
    x509::X509,
};
use rolegate::{
    clock::{Clock as _, SystemClock},
    config::{Config, Findings, Loaded},
};
use serde_json::Value;

use crate::support::{saml::keys::KeyPair, temporary_dir};

const MINIMAL: &str = r#"
public_url = "https://aws.example.com"

[[connector]]
id = "corp"
type = "ldap"
urls = ["ldaps://ldap.example.com"]
bind_dn = "cn=rolegate,dc=example,dc=com"
bind_password = "hunter2"
user_base = "ou=people,dc=example,dc=com"
group_base = "ou=groups,dc=example,dc=com"

[aws]
default_region = "eu-west-1"

"#;

/// A folder with keys in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(temporary_dir("issuer-keys"));
        let saml = KeyPair::rsa("issuer", 1);
        folder.write("saml.key", &saml.key_pem());
        folder.write("saml.crt", &saml.certificate_pem());
        let oidc = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
        folder.write("oidc.key", &oidc.key_pem());
        let sealed = saml
            .key
            .private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"open sesame")
            .unwrap();
        folder.write("sealed.key", &String::from_utf8(sealed).unwrap());
        folder.write("passphrase", "open sesame\n");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Reads the minimal file with lines behind it, in which `DIR` stands for the folder.
    fn read(&self, lines: &str, environment: &[(&str, &str)]) -> Result<Loaded, Findings> {
        let dir = self.0.path().display().to_string();
        let text = format!("{MINIMAL}{}", lines.replace("DIR", &dir));
        let variables = environment.iter();
        let variables = variables.map(|(name, value)| (*name, value.replace("DIR", &dir)));
        Config::parse(&text, Path::new("rolegate.toml"), variables)
    }

    fn findings(&self, lines: &str, environment: &[(&str, &str)]) -> String {
        match self.read(lines, environment) {
            Ok(loaded) => panic!("the text was taken: {:?}", loaded.config.issuer),
            Err(findings) => self.shown(&findings.to_string()),
        }
    }

    fn warnings(&self, lines: &str) -> Vec<String> {
        let loaded = self.read(lines, &[]);
        let loaded = loaded.unwrap_or_else(|findings| panic!("{findings}"));
        let warnings = loaded.warnings.iter();
        warnings
            .map(|finding| format!("{}: {}", finding.key, self.shown(&finding.message)))
            .collect()
    }

    fn shown(&self, text: &str) -> String {
        text.replace(&self.0.path().display().to_string(), "DIR")
    }

    /// Runs the program; exit code, standard output, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let dir = self.0.path().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
        command
            .stdin(Stdio::null())
            .env("ROLEGATE_CONFIG", self.path("rolegate.toml"))
            .args(arguments.iter().map(|text| text.replace("DIR", &dir)));
        let output = command.output().unwrap();
        let text = |bytes| self.shown(&String::from_utf8(bytes).unwrap());
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn done(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.run(arguments);
        assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}: {out}");
        out
    }

    fn configure(&self, lines: &str) {
        let dir = self.0.path().display().to_string();
        let store = format!("[store]\nurl = \"sqlite://{dir}/rolegate.db\"\n");
        let text = format!("{MINIMAL}{store}{}", lines.replace("DIR", &dir));
        self.write("rolegate.toml", &text);
    }
}

/// A pair whose certificate ends after so many days.
fn ending_in(days: i64) -> KeyPair {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    let at = |days: i64| {
        let now = SystemClock.now() + time::Duration::days(days);
        Asn1Time::from_unix(now.unix_timestamp() + 60).unwrap()
    };
    builder.set_not_before(&at(-400)).unwrap();
    builder.set_not_after(&at(days)).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    KeyPair {
        key,
        certificate: builder.build(),
    }
}

const PAIR: &str =
    "saml_keys = [{ key_file = \"DIR/saml.key\", certificate_file = \"DIR/saml.crt\" }]\n";

#[test]
fn the_least_that_works_has_the_documented_defaults() {
    let folder = Folder::new();
    let none = folder.read("", &[]).unwrap();
    assert!(none.config.issuer.is_none());
    let lines = format!("[issuer]\n{PAIR}oidc_keys = [{{ key_file = \"DIR/oidc.key\" }}]\n");
    let loaded = folder.read(&lines, &[]).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let issuer = loaded.config.issuer.unwrap();
    assert_eq!(issuer.url.as_str(), "https://aws.example.com/");
    assert_eq!(issuer.token_audience, "sts.amazonaws.com");
    assert_eq!(issuer.assertion_lifetime.as_secs(), 300);
    assert!(!issuer.sign_response);
    assert_eq!((issuer.saml_keys.len(), issuer.oidc_keys.len()), (1, 1));
}

#[test]
fn every_mistake_is_told_with_what_would_be_right() {
    let folder = Folder::new();
    let other = KeyPair::rsa("other", 3);
    folder.write("other.crt", &other.certificate_pem());
    let short = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
    let short = String::from_utf8(short.private_key_to_pem_pkcs8().unwrap()).unwrap();
    folder.write("short.key", &short);
    let curve = KeyPair::ec("issuer", 2, Nid::SECP384R1);
    folder.write("curve.key", &curve.key_pem());
    folder.write("open.key", &KeyPair::rsa("open", 4).key_pem());
    fs::set_permissions(folder.path("open.key"), fs::Permissions::from_mode(0o640)).unwrap();
    folder.write(
        "ec.crt",
        &KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1).certificate_pem(),
    );
    let lines = r#"[issuer]
url = "https://issuer.example.com/x?y=z"
token_audience = "two words"
assertion_lifetime = "10m"
frequency = 1

[[issuer.saml_keys]]
key_file = "DIR/saml.key"
certificate_file = "DIR/other.crt"

[[issuer.saml_keys]]
key_file = "DIR/oidc.key"
certificate_file = "DIR/ec.crt"

[[issuer.saml_keys]]
certificate_file = "DIR/nowhere.crt"

[[issuer.saml_keys]]
key_file = "DIR/sealed.key"
certificate_file = "DIR/saml.crt"

[[issuer.saml_keys]]
key_file = "DIR/sealed.key"
passphrase = "wrong"
certificate_file = "DIR/saml.crt"

[[issuer.oidc_keys]]
key_file = "DIR/short.key"

[[issuer.oidc_keys]]
key_file = "DIR/curve.key"

[[issuer.oidc_keys]]
key_file = "DIR/open.key"

[[issuer.oidc_keys]]
key_file = "DIR/saml.crt"

[[issuer.oidc_keys]]
key_file = "DIR/oidc.key"
passphrase_credential = "../shadow"

[[issuer.oidc_keys]]
key_file = "DIR/oidc.key"
passphrase_credential = "issuer"

[[issuer.oidc_keys]]
key_file = "DIR/sealed.key"
passphrase_credential = "issuer"
passphrase_file = "DIR/passphrase"
"#;
    insta::assert_snapshot!(folder.findings(lines, &[]), @r#"
    rolegate.toml:17: issuer.url: contains a query (?…); leave it out
    rolegate.toml:18: issuer.token_audience: expected a client id without blanks of at most 255 characters, found "two words"
    rolegate.toml:19: issuer.assertion_lifetime: expected a duration from 1m to 5m, found 10m
    rolegate.toml:20: issuer.frequency: unknown key; known here are assertion_lifetime, oidc_keys, saml_keys, sign_response, token_audience, url
    rolegate.toml:24: issuer.saml_keys[0].certificate_file: is not the certificate of DIR/saml.key
    rolegate.toml:27: issuer.saml_keys[1].key_file: DIR/oidc.key holds a key that is not RSA; assertions are signed with RSA alone
    rolegate.toml:30: issuer.saml_keys[2].key_file: is missing; expected the PEM file of a private key
    rolegate.toml:31: issuer.saml_keys[2].certificate_file: "DIR/nowhere.crt" cannot be read: No such file or directory (os error 2)
    rolegate.toml:34: issuer.saml_keys[3].key_file: "DIR/sealed.key" is encrypted; expected passphrase, passphrase_file or passphrase_credential beside it
    rolegate.toml:38: issuer.saml_keys[4].key_file: "DIR/sealed.key" cannot be opened with the passphrase beside it
    rolegate.toml:43: issuer.oidc_keys[0].key_file: "DIR/short.key" holds an RSA key of 1024 bits; expected 2048 or more
    rolegate.toml:46: issuer.oidc_keys[1].key_file: "DIR/curve.key" holds an elliptic curve key that is not on P-256; expected P-256
    rolegate.toml:49: issuer.oidc_keys[2].key_file: "DIR/open.key" can be read by its group or by others, and whoever has this key can become anybody: chmod 600 DIR/open.key
    rolegate.toml:52: issuer.oidc_keys[3].key_file: "DIR/saml.crt" holds no private key in PEM
    rolegate.toml:56: issuer.oidc_keys[4].passphrase_credential: expected the name of a credential without slashes, found "../shadow"
    rolegate.toml:60: issuer.oidc_keys[5].passphrase_credential: there is no CREDENTIALS_DIRECTORY: systemd sets it for a service with LoadCredential= or LoadCredentialEncrypted= in its unit
    rolegate.toml:64: issuer.oidc_keys[6].passphrase_credential: is given beside another passphrase; give one of them
    rolegate.toml:64: issuer.oidc_keys[6].passphrase_credential: there is no CREDENTIALS_DIRECTORY: systemd sets it for a service with LoadCredential= or LoadCredentialEncrypted= in its unit
    "#);
    insta::assert_snapshot!(folder.findings("[issuer]\n", &[]), @r#"rolegate.toml:16: issuer: has no keys; expected saml_keys or oidc_keys, which `rolegate issuer init` makes"#);
    insta::assert_snapshot!(folder.findings("[issuer]\nsaml_keys = []\n", &[]), @r#"rolegate.toml:17: issuer.saml_keys: is empty; expected at least one key, or no such line"#);
}

#[test]
fn a_passphrase_comes_from_the_file_a_file_or_systemd() {
    let folder = Folder::new();
    let pair = |passphrase: &str| {
        format!(
            "[issuer]\nsaml_keys = [{{ key_file = \"DIR/sealed.key\", certificate_file = \
             \"DIR/saml.crt\", {passphrase} }}]\n"
        )
    };
    folder
        .read(&pair("passphrase = \"open sesame\""), &[])
        .unwrap();
    folder
        .read(&pair("passphrase_file = \"DIR/passphrase\""), &[])
        .unwrap();
    let handed_over = [("CREDENTIALS_DIRECTORY", "DIR")];
    let by_systemd = pair("passphrase_credential = \"passphrase\"");
    let loaded = folder.read(&by_systemd, &handed_over).unwrap();
    let shown = format!("{:?}", loaded.config);
    assert!(
        !shown.contains("sesame") && !shown.contains("PRIVATE"),
        "{shown}"
    );
    let missing = pair("passphrase_credential = \"another\"");
    insta::assert_snapshot!(folder.findings(&missing, &handed_over), @r#"rolegate.toml:17: issuer.saml_keys[0].passphrase_credential: "DIR/another" cannot be read: No such file or directory (os error 2)"#);
    // What systemd hands over may look open: its access list shows as a group's.
    fs::set_permissions(folder.path("saml.key"), fs::Permissions::from_mode(0o440)).unwrap();
    let lines = format!("[issuer]\n{PAIR}");
    assert!(folder.read(&lines, &handed_over).is_ok());
    assert!(folder.read(&lines, &[]).is_err());
}

#[test]
fn what_iam_would_not_take_is_a_warning_where_tokens_are_meant() {
    let folder = Folder::new();
    let tokens = "oidc_keys = [{ key_file = \"DIR/oidc.key\" }]\n";
    let with = |url: &str, keys: &str| folder.warnings(&format!("[issuer]\n{url}{keys}"));
    assert_eq!(
        with("url = \"http://127.0.0.1:8080\"\n", tokens),
        [
            "issuer.url: is plain http, which is good for trying things out alone: IAM takes no \
          OpenID Connect provider without https"
        ]
    );
    assert_eq!(
        with("url = \"https://aws.example.com:8443\"\n", tokens),
        [
            "issuer.url: names a port: IAM takes no OpenID Connect provider with one; give the \
          issuer a url without"
        ]
    );
    // An entity id is a name alone.
    assert!(with("url = \"https://aws.example.com:8443\"\n", PAIR).is_empty());
    assert!(with("url = \"https://static.example.com/issuer\"\n", tokens).is_empty());
    let in_the_clear = "oidc_keys = [{ key_file = \"DIR/oidc.key\", passphrase_file = \
                        \"DIR/passphrase\" }]\n";
    assert_eq!(
        with("", in_the_clear),
        [
            "issuer.oidc_keys[0].key_file: is not encrypted, so the passphrase beside it keeps \
          nobody out"
        ]
    );
}

#[test]
fn init_makes_keys_that_work_and_never_overwrites_one() {
    let folder = Folder::new();
    let lines = folder.done(&["issuer", "init", "--directory", "DIR"]);
    assert_eq!(
        lines,
        "[issuer]\nsaml_keys = [{ key_file = \"DIR/issuer-saml.key\", certificate_file = \
         \"DIR/issuer-saml.crt\" }]\noidc_keys = [{ key_file = \"DIR/issuer-oidc.key\" }]\n"
    );
    for name in ["issuer-saml.key", "issuer-saml.crt", "issuer-oidc.key"] {
        let mode = fs::metadata(folder.path(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    folder.configure(&lines);
    let keys: Vec<Value> =
        serde_json::from_str(&folder.done(&["issuer", "show", "--output", "json"])).unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(
        (&keys[0]["purpose"], &keys[0]["days_left"]),
        (&"saml".into(), &3649.into())
    );
    assert_eq!(
        (&keys[1]["purpose"], &keys[1]["algorithm"]),
        (&"oidc".into(), &"ES256".into())
    );
    let table = folder.done(&["issuer", "show"]);
    assert!(table.contains("saml  signs  RS256"), "{table}");
    let metadata = folder.done(&["saml", "metadata"]);
    assert!(metadata.contains("entityID=\"https://aws.example.com/issuer/saml/metadata\""));
    let jwks: Value = serde_json::from_str(&folder.done(&["issuer", "jwks"])).unwrap();
    assert_eq!(jwks["keys"][0]["kid"], keys[1]["thumbprint"]);
    let discovery: Value = serde_json::from_str(&folder.done(&["issuer", "discovery"])).unwrap();
    assert_eq!(discovery["issuer"], "https://aws.example.com");

    let before = fs::read(folder.path("issuer-saml.key")).unwrap();
    let (code, out, err) = folder.run(&["issuer", "init", "--directory", "DIR"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "error: DIR/issuer-saml.key is there already, and a key is never overwritten; give --name \
         or another --directory\n"
    );
    assert_eq!(fs::read(folder.path("issuer-saml.key")).unwrap(), before);
    // One of three is enough to keep the others from being made.
    fs::remove_file(folder.path("issuer-saml.key")).unwrap();
    assert_eq!(folder.run(&["issuer", "init", "--directory", "DIR"]).0, 1);
    assert!(!folder.path("issuer-saml.key").exists());
}

#[test]
fn the_next_keys_are_made_beside_the_old_ones_and_encrypted_on_request() {
    let folder = Folder::new();
    let encrypted = ["--passphrase-file", "DIR/passphrase", "--days", "20"];
    let arguments = ["issuer", "init", "--directory", "DIR", "--name", "next"];
    let lines = folder.done(&[&arguments[..], &encrypted].concat());
    let key = fs::read_to_string(folder.path("next-saml.key")).unwrap();
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert!(!lines.contains("sesame") && lines.contains("passphrase_file = \"DIR/passphrase\""));
    folder.configure(&lines);
    // It ends soon, which is worth a warning and no more.
    let (code, out, _) = folder.run(&["check"]);
    let warning = out.lines().find(|line| line.starts_with("warning"));
    let warning = warning.unwrap_or_else(|| panic!("no warning in {out}"));
    assert!(
        warning.contains("issuer.saml_keys[0].certificate_file: the certificate ends on "),
        "{warning}"
    );
    assert_eq!(code, 0, "{out}");
    let (code, _, err) = folder.run(&["issuer", "init", "--directory", "DIR/nowhere"]);
    assert_eq!(code, 1);
    assert!(err.contains("DIR/nowhere cannot be used"), "{err}");
    assert_eq!(folder.run(&["issuer", "init", "--name", "../up"]).0, 2);
}

#[test]
fn a_certificate_that_has_ended_does_not_sign() {
    let folder = Folder::new();
    let ended = ending_in(-1);
    folder.write("ended.key", &ended.key_pem());
    folder.write("ended.crt", &ended.certificate_pem());
    let old = "{ key_file = \"DIR/ended.key\", certificate_file = \"DIR/ended.crt\" }";
    let good = "{ key_file = \"DIR/saml.key\", certificate_file = \"DIR/saml.crt\" }";

    folder.configure(&format!("[issuer]\nsaml_keys = [{old}, {good}]\n"));
    let (code, out, _) = folder.run(&["check"]);
    assert_eq!(code, 1, "{out}");
    let error = out.lines().find(|line| line.starts_with("error")).unwrap();
    assert!(
        error.contains("issuer.saml_keys[0].certificate_file: the certificate ended on "),
        "{error}"
    );
    let (code, _, err) = folder.run(&["serve"]);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("cannot sign; put another pair before it"),
        "{err}"
    );
    let table = folder.done(&["issuer", "show"]);
    assert!(table.contains("saml  signs      RS256      -1"), "{table}");

    folder.configure(&format!("[issuer]\nsaml_keys = [{good}, {old}]\n"));
    let (code, out, _) = folder.run(&["check"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("; remove the pair"), "{out}");
}

#[test]
fn commands_without_an_issuer_say_what_makes_one() {
    let folder = Folder::new();
    folder.configure("");
    for arguments in [
        ["issuer", "show"],
        ["issuer", "jwks"],
        ["issuer", "discovery"],
    ] {
        let (code, out, err) = folder.run(&arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert_eq!(
            err,
            "error: there is no [issuer] in DIR/rolegate.toml; `rolegate issuer init` makes its \
             keys and prints the lines\n"
        );
    }
    folder.configure(&format!("[issuer]\n{PAIR}"));
    let (code, _, err) = folder.run(&["issuer", "jwks"]);
    assert_eq!(code, 2);
    assert!(err.starts_with("error: [issuer] has no oidc_keys"), "{err}");
}

//! What verifies the issuer's assertions and tokens, by other people: python3-saml, node-saml and
//! xmlsec1, PyJWT and jose; and what reads the templates of `aws-setup`: cfn-lint and python-hcl2. None of
//! them has code of ours or of the others.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use openssl::x509::X509;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{temporary_dir, tools_dir};

/// Responses and what they are for.
#[derive(Debug, Clone)]
pub struct SamlCase {
    /// Our metadata, with all that is known of our keys.
    pub metadata: String,
    pub entity_id: String,
    pub recipient: String,
    pub audience: String,
    /// Whether the response has to be signed beside its assertion.
    pub response_is_signed: bool,
    /// The responses, base64.
    pub responses: Vec<String>,
}

/// What one of them made of a response.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum SamlVerdict {
    Says {
        name_id: String,
        attributes: BTreeMap<String, Vec<String>>,
    },
    Refused {
        refused: String,
    },
}

/// What one of them made of a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum JwtVerdict {
    Says { header: Value, claims: Value },
    Refused { refused: String },
}

/// What `aws-setup` writes, in one format.
#[derive(Debug, Clone, Serialize)]
pub struct SetupCase {
    /// `cloudformation` or `terraform`
    pub format: &'static str,
    pub partition: &'static str,
    pub region: &'static str,
    pub account: String,
    pub text: String,
}

/// What cfn-lint finds in it, and what it makes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SetupVerdict {
    pub findings: Vec<String>,
    /// Name and metadata.
    pub saml: Option<(String, String)>,
    /// URL and client ids.
    pub oidc: Option<(String, Vec<String>)>,
    /// By name.
    pub roles: BTreeMap<String, MadeRole>,
}

/// A role that a template makes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MadeRole {
    pub path: String,
    pub description: Option<String>,
    pub trust: Value,
    pub permissions: Vec<Value>,
    /// What has to be there first, as each format writes it.
    pub waits_for: Vec<String>,
}

/// What cfn-lint and python-hcl2 make of each text.
pub fn templates(cases: &[SetupCase]) -> Vec<SetupVerdict> {
    run(&mut python("verify_setup.py"), &json!(cases))
}

/// What python3-saml makes of each response.
pub fn python3_saml(case: &SamlCase) -> Vec<SamlVerdict> {
    run(&mut python("verify_saml.py"), &case.json())
}

/// What node-saml makes of each response.
pub fn node_saml(case: &SamlCase) -> Vec<SamlVerdict> {
    run(&mut node("verify_saml.mjs"), &case.json())
}

/// Whether xmlsec1 verifies the signature of the assertion in a response with a certificate; its
/// words where not.
pub fn xmlsec1(response: &[u8], certificate_der: &[u8]) -> Result<(), String> {
    let dir = temporary_dir("xmlsec1");
    let (document, pem) = (dir.path().join("response.xml"), dir.path().join("key.pem"));
    fs::write(&document, response).expect("the folder is writable");
    let certificate = X509::from_der(certificate_der).expect("a certificate");
    fs::write(&pem, certificate.to_pem().expect("PEM")).expect("the folder is writable");
    let output = Command::new("xmlsec1")
        .args(["--verify", "--enabled-key-data", "rsa"])
        .args([
            "--id-attr:ID",
            "urn:oasis:names:tc:SAML:2.0:assertion:Assertion",
        ])
        .args([
            "--id-attr:ID",
            "urn:oasis:names:tc:SAML:2.0:protocol:Response",
        ])
        .args([
            "--node-xpath",
            "//*[local-name()='Assertion']/*[local-name()='Signature']",
        ])
        .arg("--pubkey-cert-pem")
        .arg(&pem)
        .arg(&document)
        .output()
        .expect("xmlsec1 is installed: `make test` does it");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl SamlCase {
    fn json(&self) -> Value {
        json!({
            "metadata": self.metadata,
            "entity_id": self.entity_id,
            "recipient": self.recipient,
            "audience": self.audience,
            "sign_in_url": "https://aws.example.com/",
            "response_is_signed": self.response_is_signed,
            "responses": self.responses,
        })
    }
}

/// What PyJWT makes of each token with a JWK Set.
pub fn pyjwt(issuer: &str, audience: &str, jwks: &str, tokens: &[String]) -> Vec<JwtVerdict> {
    let case = jwt_case(issuer, audience, tokens, ("jwks", parsed(jwks)));
    run(&mut python("verify_jwt.py"), &case)
}

/// What jose makes of each token with a JWK Set.
pub fn jose(issuer: &str, audience: &str, jwks: &str, tokens: &[String]) -> Vec<JwtVerdict> {
    let case = jwt_case(issuer, audience, tokens, ("jwks", parsed(jwks)));
    run(&mut node("verify_jwt.mjs"), &case)
}

/// What jose makes of each token with the keys behind a discovery document, which it fetches.
pub fn jose_remotely(
    issuer: &str,
    audience: &str,
    discovery: &str,
    tokens: &[String],
) -> Vec<JwtVerdict> {
    let case = jwt_case(issuer, audience, tokens, ("discovery", json!(discovery)));
    run(&mut node("verify_jwt.mjs"), &case)
}

fn parsed(jwks: &str) -> Value {
    serde_json::from_str(jwks).expect("a JWK Set is JSON")
}

fn jwt_case(issuer: &str, audience: &str, tokens: &[String], keys: (&str, Value)) -> Value {
    let mut case = json!({ "issuer": issuer, "audience": audience, "tokens": tokens });
    case[keys.0] = keys.1;
    case
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/support/verifiers")
        .join(name)
}

fn python(name: &str) -> Command {
    let mut command = Command::new(tools_dir().join("venv/bin/python"));
    command.arg(script(name));
    command
}

fn node(name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script(name));
    command
}

fn run<T: serde::de::DeserializeOwned>(command: &mut Command, case: &Value) -> Vec<T> {
    let dir = temporary_dir("verifier");
    let path = dir.path().join("case.json");
    fs::write(&path, case.to_string()).expect("the folder is writable");
    let shown = format!("{command:?}");
    let output = command.arg(&path).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{shown} does not start ({error}): `make test` installs what it needs")
    });
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{shown} failed:\n{out}{err}");
    let last = out.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{shown}: {error}:\n{out}{err}"))
}

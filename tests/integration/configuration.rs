//! The configuration file: what it takes, and how it says what it does not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::X509,
};
use rolegate::access::GroupKey;
use rolegate::config::{
    Bind, Config, ConnectorKind, DirectoryKind, Findings, GroupStrategy, Ldap, Loaded,
    MetadataSource, OfferedRoles, OidcPassThrough, RequestBinding, RequiredClaim, Saml, Severity,
    TokenVerification,
};
use rolegate::identity::saml::refusal::Reason;
use secrecy::ExposeSecret;

use crate::support::temporary_dir;

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

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Findings> {
    Config::parse(
        text,
        Path::new("rolegate.toml"),
        environment.iter().copied(),
    )
}

fn minimal_with(environment: &[(&str, &str)]) -> Config {
    read(MINIMAL, environment)
        .unwrap_or_else(|findings| panic!("{findings}"))
        .config
}

fn findings(text: &str, environment: &[(&str, &str)]) -> String {
    match read(text, environment) {
        Ok(loaded) => panic!("the text was taken: {:?}", loaded.config),
        Err(findings) => findings.to_string(),
    }
}

/// The minimal file with lines added to its connector.
fn connector_with(lines: &str) -> String {
    MINIMAL.replace("id = \"corp\"\n", &format!("id = \"corp\"\n{lines}\n"))
}

fn ldap(config: &Config) -> &Ldap {
    let ConnectorKind::Ldap(ldap) = &config.connectors[0].kind else {
        panic!("the first connector is a directory");
    };
    ldap
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

fn example() -> String {
    let path = shipped("rolegate.toml");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The example with every key uncommented.
fn whole_example() -> String {
    let text = example();
    let uncommented = text.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest,
        _ => line,
    });
    uncommented.collect::<Vec<_>>().join("\n")
}

#[test]
fn ten_mistakes_give_ten_findings_in_the_order_of_the_file() {
    let text = r#"public_ulr = "https://aws.example.com"
public_url = "http://aws.example.com"

[server]
listen = "localhost"
body_limit = "64k"

[sign_in_session]
idle_timeout = "8 hors"

[access]
admin = ["crop:cn=admins,dc=example,dc=com"]

[[connector]]
id = "corp"
type = "ldap"
urls = ["ldaps://one.example.com", "ldap://two.example.com"]
bind_dn = "cn=rolegate,dc=example,dc=com"
bind_password_file = "/nowhere/ldap.password"
user_base = "ou=people,dc=example,dc=com"
user_filter = "(uid=*)"
group_base = "ou=groups,dc=example,dc=com"

[aws]
default_region = "eu-west-1"

[issuer]
"#;
    insta::assert_snapshot!(findings(text, &[]), @r#"
    rolegate.toml:1: public_ulr: unknown key; did you mean "public_url"?
    rolegate.toml:2: public_url: plain http is taken for loopback hosts alone; expected https://
    rolegate.toml:5: server.listen: expected ADDRESS:PORT such as "127.0.0.1:8080", found "localhost"
    rolegate.toml:6: server.body_limit: expected an integer from 1024 to 16777216, found a string
    rolegate.toml:9: sign_in_session.idle_timeout: expected a duration such as "30m" or "12h", found "8 hors" (unknown time unit "hors", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations))
    rolegate.toml:12: access.admin[0]: there is no connector "crop"; known are corp
    rolegate.toml:17: connector.corp.urls[1]: passwords would travel in clear; expected ldaps://, or start_tls = true
    rolegate.toml:19: connector.corp.bind_password_file: "/nowhere/ldap.password" cannot be read: No such file or directory (os error 2)
    rolegate.toml:21: connector.corp.user_filter: does not contain {username}
    rolegate.toml:27: issuer: has no keys; expected saml_keys or oidc_keys, which `rolegate issuer init` makes
    "#);
}

#[test]
fn the_least_that_works_has_the_documented_defaults() {
    let config = minimal_with(&[]);

    assert_eq!(config.public_url.origin(), "https://aws.example.com");
    assert!(config.public_url.is_secure());
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        config.server.operations_listen.to_string(),
        "127.0.0.1:9090"
    );
    assert!(config.server.trusted_proxies.is_empty());
    assert_eq!(config.store.url, "sqlite:///var/lib/rolegate/rolegate.db");
    assert_eq!(
        config.sign_in_session.groups_refresh_after,
        Duration::from_mins(5)
    );
    assert_eq!(config.connectors[0].label, "corp");
    let ldap = ldap(&config);
    assert_eq!(ldap.directory_kind, DirectoryKind::Other);
    assert_eq!(ldap.user_attributes.subject, "entryUUID");
    assert_eq!(
        ldap.group_filter,
        "(&(objectClass=groupOfNames)(member={dn}))"
    );
    assert_eq!(
        (ldap.nesting_limit, ldap.group_limit, ldap.pool_size),
        (20, 5000, 8)
    );
    assert_eq!(ldap.sign_in_timeout, Duration::from_secs(15));
    assert_eq!(config.aws.session_name.as_str(), "{username}");
    assert_eq!(config.aws.credential_sources[0].id, "default");
    assert_eq!(config.role_defaults.grant_method, "assume-role");
}

#[test]
fn the_shipped_example_loads_as_it_is() {
    let text = fs::read_to_string(shipped("rolegate.toml")).unwrap();

    let loaded = read(
        &text,
        &[("ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD", "hunter2")],
    )
    .unwrap();

    assert_eq!(loaded.warnings, []);
    assert_eq!(
        loaded.config.role_defaults.max_duration,
        Some(Duration::from_hours(4))
    );
}

#[test]
fn the_shipped_example_says_what_the_defaults_are() {
    let whole = whole_example();
    // A SAML connector needs files that are there.
    let (before, rest) = whole.split_once("# A SAML 2.0 identity provider.").unwrap();
    let without_comments = [before, "[aws]\n", rest.split_once("[aws]\n").unwrap().1].concat();
    let defaults = minimal_with(&[]);
    let file_keys = [
        "ca_file",
        "bind_password",
        "bind_password_file",
        "user_bind",
        "preset",
    ];
    let other_examples = [
        "tls_",
        "notice",
        "help_url",
        "source_identity",
        "sts_endpoint",
    ];
    let text: Vec<_> = without_comments
        .split("# profile: one of")
        .next()
        .unwrap()
        .lines()
        .filter(|line| {
            !file_keys
                .iter()
                .chain(&other_examples)
                .any(|key| line.starts_with(key))
        })
        .collect();

    let environment = [("ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD", "hunter2")];
    let example = read(&text.join("\n"), &environment).unwrap().config;

    assert_eq!(example.server.body_limit, defaults.server.body_limit);
    assert_eq!(
        example.server.request_timeout,
        defaults.server.request_timeout
    );
    assert_eq!(example.server.drain_timeout, defaults.server.drain_timeout);
    assert_eq!(example.sign_in_session, defaults.sign_in_session);
    let (mut written, unwritten) = (ldap(&example).clone(), ldap(&defaults).clone());
    written.urls.clone_from(&unwritten.urls);
    written.bind = unwritten.bind.clone();
    written.password_change_url = None;
    assert_eq!(
        format!("{written:?}").replace("ou=services,", ""),
        format!("{unwritten:?}")
    );
    assert_eq!(example.aws.call_timeout, defaults.aws.call_timeout);
    assert_eq!(example.aws.attempts, defaults.aws.attempts);
    assert_eq!(
        example.aws.credential_sources,
        defaults.aws.credential_sources
    );
}

/// Puts a key that nobody knows into every section; the answer lists the keys that are known.
#[test]
fn the_shipped_example_has_every_key() {
    let mut section = String::new();
    let mut written: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut text = String::from("zzzzzzzzzzzz = 1\n");
    for line in whole_example().lines() {
        text.push_str(line);
        text.push('\n');
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
            text.push_str("zzzzzzzzzzzz = 1\n");
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            written
                .entry(section.clone())
                .or_default()
                .push(key.to_owned());
        }
    }

    let all = read(&text, &[]).unwrap_err();

    let mut seen = 0;
    for finding in &all.0 {
        let Some((_, known)) = finding.message.split_once("known here are ") else {
            continue;
        };
        seen += 1;
        let section = finding
            .key
            .trim_end_matches("zzzzzzzzzzzz")
            .trim_end_matches('.');
        let section = section
            .replace("connector.corp", "connector")
            .replace("connector.okta", "connector")
            .replace("connector.entra", "connector")
            .replace("trusted_issuer.shop", "trusted_issuer")
            .replace("trusted_issuer.till", "trusted_issuer")
            .replace(
                "access.scope.corp:cn=helpdesk-dev,ou=groups,dc=example,dc=com",
                "access.scope",
            )
            .replace(
                "organisation.environment.production",
                "organisation.environment",
            );
        let section = match section.strip_prefix("aws.credential_source.") {
            Some(_) => "aws.credential_source".to_owned(),
            None => section,
        };
        for key in known.split(", ") {
            let path = if section.is_empty() {
                key.to_owned()
            } else {
                format!("{section}.{key}")
            };
            let is_written = written
                .get(&section)
                .is_some_and(|keys| keys.iter().any(|k| k == key))
                || written.contains_key(&path);
            assert!(is_written, "{path} is not in config/rolegate.toml");
        }
    }
    // The top, thirteen sections, one environment, one scope, three connectors, four credential
    // sources, two trusted issuers.
    assert_eq!(seen, 25, "{all}");
}

#[test]
fn the_demo_configuration_loads_without_a_warning_that_matters() {
    let loaded = Config::load(Some(&shipped("demo.toml")), [("ROLEGATE_X", "y")]).unwrap();

    assert!(!loaded.config.public_url.is_secure());
    // The made-up password of a loopback directory stands in a file that others can read.
    assert!(
        loaded
            .warnings
            .iter()
            .all(|warning| warning.key == "connector.corp.bind_password")
    );
}

#[test]
fn a_variable_beats_the_file_and_creates_what_is_missing() {
    let config = minimal_with(&[
        ("ROLEGATE_PUBLIC_URL", "https://other.example.com"),
        ("ROLEGATE_SERVER__LISTEN", "127.0.0.1:9000"),
        ("ROLEGATE_SERVER__BODY_LIMIT", "2048"),
        ("ROLEGATE_ORGANISATION__NAME", "Example"),
        (
            "ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD",
            "from the environment",
        ),
        (
            "ROLEGATE_CONNECTOR__CORP__URLS",
            r#"["ldaps://a.example.com", "ldaps://b.example.com"]"#,
        ),
        ("ROLEGATE_CONNECTOR__CORP__NESTED_GROUPS", "false"),
        (
            "ROLEGATE_CONNECTOR__CORP__USER_ATTRIBUTES__EMAIL",
            "mailPrimaryAddress",
        ),
        ("ROLEGATE_CONNECTOR__CORP__CONNECT_TIMEOUT", "1500ms"),
        ("ROLEGATE_AWS__CREDENTIAL_SOURCE__MY_HUB__TYPE", "profile"),
        ("ROLEGATE_AWS__CREDENTIAL_SOURCE__MY_HUB__NAME", "hub"),
        ("ROLEGATE_ACCESS__ADMIN", "corp:cn=admins,dc=example,dc=com"),
        ("ROLEGATE_PORT", "tcp://10.0.0.1:8080"),
    ]);

    assert_eq!(config.public_url.origin(), "https://other.example.com");
    assert_eq!(config.server.listen.port(), 9000);
    assert_eq!(config.server.body_limit, 2048);
    assert_eq!(config.organisation.name.as_deref(), Some("Example"));
    let ldap = ldap(&config);
    let Bind::Service { password, .. } = &ldap.bind else {
        panic!("{:?}", ldap.bind)
    };
    assert_eq!(password.expose_secret(), "from the environment");
    assert_eq!(ldap.urls[1].host(), "b.example.com");
    assert!(!ldap.nested_groups);
    assert_eq!(ldap.user_attributes.email, "mailPrimaryAddress");
    assert_eq!(ldap.connect_timeout, Duration::from_millis(1500));
    assert_eq!(config.aws.credential_sources.len(), 1);
    assert_eq!(config.aws.credential_sources[0].id, "my-hub");
    assert_eq!(config.access.admin, ["corp:cn=admins,dc=example,dc=com"]);
}

#[test]
fn a_variable_that_names_nothing_is_a_finding() {
    let environment = [
        ("ROLEGATE_SERVER__LISTNE", "127.0.0.1:9000"),
        ("ROLEGATE_PUBLIC_URI", "https://x.example.com"),
        ("ROLEGATE_CONNECTOR__CORP__BIND_PASWORD", "hunter2"),
        ("ROLEGATE_CONNECTOR__CROP__BIND_PASSWORD", "hunter2"),
        ("ROLEGATE_CONNECTOR__CORP", "hunter2"),
        ("ROLEGATE_PUBLIC_URL__PORT", "1"),
        ("ROLEGATE_SERVER__BODY_LIMIT", "many"),
    ];
    insta::assert_snapshot!(findings(MINIMAL, &environment), @r#"
    rolegate.toml:13: aws.session_name: is missing; expected "{connector}-{username}", to tell connectors apart
    ROLEGATE_CONNECTOR__CORP: connector.corp: names no key; write ROLEGATE_…__CORP__KEY
    ROLEGATE_CONNECTOR__CORP__BIND_PASWORD: connector.corp.bind_pasword: unknown key; did you mean "bind_password"?
    ROLEGATE_CONNECTOR__CROP__BIND_PASSWORD: connector.crop.type: is missing; expected "ldap", "saml" or "oidc"
    warning: ROLEGATE_PUBLIC_URI: is not read; did you mean ROLEGATE_PUBLIC_URL?
    ROLEGATE_PUBLIC_URL__PORT: public_url.port: public_url is a string, and has no keys below it
    ROLEGATE_SERVER__BODY_LIMIT: server.body_limit: expected an integer from 1024 to 16777216, found other text
    ROLEGATE_SERVER__LISTNE: server.listne: unknown key; did you mean "listen"?
    "#);
}

#[test]
fn a_secret_comes_from_a_file_without_its_line_ending() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "from the file \n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let variable = (
        "ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD_FILE",
        path.to_str().unwrap(),
    );

    let loaded = read(MINIMAL, &[variable]).unwrap();

    let Bind::Service { password, .. } = &ldap(&loaded.config).bind else {
        panic!()
    };
    assert_eq!(password.expose_secret(), "from the file ");
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].severity, Severity::Warning);
    assert!(loaded.warnings[0].message.contains("can be read by others"));
}

#[test]
fn a_secret_given_twice_is_a_finding() {
    let text = connector_with("bind_password_file = \"/nowhere\"");
    insta::assert_snapshot!(findings(&text, &[]), @r#"rolegate.toml:10: connector.corp.bind_password: is given beside bind_password_file; give one of the two"#);
}

#[test]
fn secrets_are_neither_printed_nor_in_findings() {
    let printed = format!("{:?}", read(MINIMAL, &[]).unwrap());
    let wrong_type = MINIMAL.replace("\"hunter2\"", "[\"hunter2\"]");
    let broken = MINIMAL.replace("\"hunter2\"", "\"hunter2");
    let bare = MINIMAL.replace("\"hunter2\"", "hunter2");

    for text in [
        printed,
        findings(&wrong_type, &[]),
        findings(&broken, &[]),
        findings(&bare, &[]),
    ] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn what_is_not_toml_is_told_with_its_line_beside_the_other_findings() {
    let text = MINIMAL.replace(
        "type = \"ldap\"",
        "type = \"ldap\"\npage_size = \npool_sise = 3",
    );
    insta::assert_snapshot!(findings(&text, &[]), @r#"
    rolegate.toml:7: not TOML: string values must be quoted, expected literal string
    rolegate.toml:8: connector.corp.pool_sise: unknown key; did you mean "pool_size"?
    "#);
}

#[test]
fn a_missing_file_is_one_sentence() {
    let error = Config::load(Some(Path::new("/nowhere/rolegate.toml")), [("", ""); 0]).unwrap_err();
    insta::assert_snapshot!(error, @r#"/nowhere/rolegate.toml: cannot be read (No such file or directory (os error 2)); name the configuration with --config FILE or ROLEGATE_CONFIG"#);
}

#[test]
fn the_file_is_found_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.toml");
    fs::write(&path, MINIMAL).unwrap();

    let loaded = Config::load(None, [("ROLEGATE_CONFIG", path.as_os_str())]).unwrap();

    assert_eq!(loaded.file, path);
}

#[test]
fn an_empty_file_names_what_is_missing() {
    insta::assert_snapshot!(findings("", &[]), @r#"
    rolegate.toml: public_url: is missing; expected the address browsers see, such as "https://aws.example.com"
    rolegate.toml: connector: is missing; expected a [[connector]], or nobody can sign in
    rolegate.toml: aws.default_region: is missing; expected a region such as "eu-west-1"
    "#);
}

#[test]
fn active_directory_needs_few_keys() {
    let text = connector_with("preset = \"active-directory\"")
        .replace("bind_dn = \"cn=rolegate,dc=example,dc=com\"\n", "")
        .replace(
            "bind_password = \"hunter2\"",
            "user_bind = 'EXAMPLE\\{username}'",
        );

    let config = read(&text, &[]).unwrap().config;

    let ldap = ldap(&config);
    assert_eq!(ldap.group_strategy, GroupStrategy::InChain);
    assert_eq!(ldap.user_attributes.subject, "objectGUID");
    let filter = "(&(objectClass=group)(member:1.2.840.113556.1.4.1941:={dn}))";
    assert_eq!(ldap.group_filter, filter);
    let Bind::Direct { template } = &ldap.bind else {
        panic!()
    };
    assert_eq!(template, "EXAMPLE\\{username}");
    assert!(ldap3::parse_filter(&ldap.user_filter).is_ok());
}

#[test]
fn a_written_key_wins_over_the_preset() {
    let lines = "preset = \"freeipa\"\nuser_filter = \"(uid={username})\"\n\
                 user_attributes = { subject = \"entryUUID\" }";

    let config = read(&connector_with(lines), &[]).unwrap().config;

    let ldap = ldap(&config);
    assert_eq!(ldap.group_strategy, GroupStrategy::MemberOf);
    assert_eq!(ldap.user_filter, "(uid={username})");
    assert_eq!(ldap.user_attributes.subject, "entryUUID");
    assert_eq!(ldap.user_attributes.email, "mail");
}

#[test]
fn every_line_that_a_connector_refuses_says_why() {
    let lines = [
        "start_tls = true",
        "preset = \"openldap\"\ngroup_strategy = \"in-chain\"",
        "group_strategy = \"in-chain\"\nnested_groups = false",
        "group_strategy = \"serach\"",
        "group_strategy = \"posix\"\ngroup_filter = \"(member={dn})\"",
        "user_filter = \"(uid={user})\"",
        "user_filter = \"(uid={username}\"",
        "user_bind = \"{username}\"",
        "user_attributes = \"uid\"",
        "pool_size = 0",
        "page_size = 99999999999999999999",
        "sign_in_timeout = \"1s\"",
        "sign_in_timeout = \"31s\"",
        "label = \"  \"",
        "ca_file = \"/nowhere/ca.pem\"",
        "password_change_url = \"http://password.example.com\"",
    ];
    let told: Vec<_> = lines
        .iter()
        .map(|lines| findings(&connector_with(lines), &[]))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    rolegate.toml:8: connector.corp.urls[0]: start_tls is for ldap:// URLs; ldaps:// is TLS from the start
    rolegate.toml:7: connector.corp.group_strategy: in-chain works with Active Directory alone; expected "search"
    warning: rolegate.toml:6: connector.corp.group_strategy: in-chain works with Active Directory alone, and other directories answer with no group; say preset = "active-directory"
    rolegate.toml:7: connector.corp.nested_groups: in-chain always finds nested groups; expected true, or group_strategy = "search"
    rolegate.toml:6: connector.corp.group_strategy: expected one of search, member-of, posix, in-chain, found "serach"; did you mean "search"?
    rolegate.toml:7: connector.corp.group_filter: unknown placeholder {dn}; expected {username}
    rolegate.toml:6: connector.corp.user_filter: unknown placeholder {user}; expected {username}
    rolegate.toml:6: connector.corp.user_filter: not an LDAP filter such as "(uid={username})": "(uid={username}"
    rolegate.toml:6: connector.corp.user_bind: is given beside bind_dn; give one of the two
    rolegate.toml:6: connector.corp.user_attributes: expected a table, found a string
    rolegate.toml:6: connector.corp.pool_size: expected an integer from 1 to 256, found 0
    rolegate.toml:6: connector.corp.page_size: expected an integer from 1 to 10000, found 9223372036854775807
    rolegate.toml:6: connector.corp.sign_in_timeout: is shorter than connect_timeout or operation_timeout, which it covers
    rolegate.toml: server.request_timeout: has to be longer than the sign_in_timeout of a connector (31s)
    rolegate.toml:6: connector.corp.label: is empty; give it a value or remove it
    rolegate.toml:6: connector.corp.ca_file: "/nowhere/ca.pem" cannot be read: No such file or directory (os error 2)
    rolegate.toml:6: connector.corp.password_change_url: plain http is taken for loopback hosts alone; expected https://
    "#);
}

#[test]
fn addresses_of_directories_are_checked_before_ldap3_sees_them() {
    let urls = [
        "ldap:foo",
        "ldap:///",
        "ldapi://x",
        "ldaps://u:p@h",
        "ldaps://h/dc=x",
        "x",
        "ldaps://h?x",
    ];
    let told: Vec<_> = urls
        .iter()
        .map(|url| findings(&MINIMAL.replace("ldaps://ldap.example.com", url), &[]))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    rolegate.toml:7: connector.corp.urls[0]: names no host; expected ldaps://HOST or ldap://HOST
    rolegate.toml:7: connector.corp.urls[0]: names no host; expected ldaps://HOST or ldap://HOST
    rolegate.toml:7: connector.corp.urls[0]: scheme "ldapi" is not taken; expected ldaps://HOST or ldap://HOST
    rolegate.toml:7: connector.corp.urls[0]: contains a user name or password; leave it out
    rolegate.toml:7: connector.corp.urls[0]: nothing may follow the host; expected ldaps://h
    rolegate.toml:7: connector.corp.urls[0]: not a URL (relative URL without a base); expected ldaps://HOST or ldap://HOST
    rolegate.toml:7: connector.corp.urls[0]: nothing may follow the host; expected ldaps://h
    "#);

    for url in [
        "ldap://127.0.0.1:3890",
        "ldap://[::1]",
        "ldap://localhost",
        "ldaps://h:1",
    ] {
        let text = MINIMAL.replace("ldaps://ldap.example.com", url);
        assert!(read(&text, &[]).is_ok(), "{url}");
    }
}

#[test]
fn addresses_for_browsers_are_https_unless_loopback() {
    for refused in [
        "http://aws.example.com",
        "https://a.example.com/x",
        "https://u@a.example.com",
    ] {
        let told = findings(MINIMAL, &[("ROLEGATE_PUBLIC_URL", refused)]);
        assert!(
            told.starts_with("ROLEGATE_PUBLIC_URL: public_url: "),
            "{told}"
        );
    }
    for taken in [
        "http://localhost:8080",
        "http://127.0.0.1:8080/",
        "http://[::1]:1",
    ] {
        assert!(
            !minimal_with(&[("ROLEGATE_PUBLIC_URL", taken)])
                .public_url
                .is_secure()
        );
    }
}

#[test]
fn two_connectors_have_to_be_told_apart_in_session_names() {
    let second = MINIMAL
        .split("[[connector]]")
        .nth(1)
        .unwrap()
        .split("[aws]")
        .next()
        .unwrap();
    let second = second.replace("\"corp\"", "\"other\"");
    let text = format!("{MINIMAL}source_identity = \"{{username}}\"\n[[connector]]{second}");
    insta::assert_snapshot!(findings(&text, &[]), @r#"
    rolegate.toml:13: aws.session_name: is missing; expected "{connector}-{username}", to tell connectors apart
    rolegate.toml:15: aws.source_identity: does not contain {connector}, which more than one connector needs
    "#);

    let same = format!(
        "{MINIMAL}session_name = \"{{connector}}-{{username}}\"\n[[connector]]{}",
        second.replace("other", "corp")
    );
    insta::assert_snapshot!(findings(&same, &[]), @r#"rolegate.toml:17: connector.corp.id: "corp" is taken; every id is there once"#);
}

#[test]
fn credential_sources_refer_to_each_other_without_circles() {
    let source = |id: &str, source: &str| {
        format!(
            "[[aws.credential_source]]\nid = \"{id}\"\ntype = \"assume-role\"\n\
             source = \"{source}\"\nrole_arn = \"arn:aws:iam::111122223333:role/hub\"\n"
        )
    };
    let text = [
        MINIMAL,
        &source("a", "b"),
        &source("b", "a"),
        &source("c", "d"),
    ]
    .concat();
    let text = format!("{text}[role_defaults]\ncredential_source = \"z\"\n");
    insta::assert_snapshot!(findings(&text, &[]), @r#"
    rolegate.toml:18: aws.credential_source.a.source: the roles assume each other in a circle; one has to start from other credentials
    rolegate.toml:23: aws.credential_source.b.source: the roles assume each other in a circle; one has to start from other credentials
    rolegate.toml:28: aws.credential_source.c.source: there is no credential source "d"; known are a, b, c
    rolegate.toml:31: role_defaults.credential_source: there is no credential source "z"; known are a, b, c
    "#);
}

#[test]
fn tokens_last_as_long_as_it_says_within_bounds() {
    let tokens = minimal_with(&[]).tokens;
    assert_eq!(tokens.access, Duration::from_hours(1));
    assert_eq!(tokens.refresh, Duration::from_hours(30 * 24));
    assert!(tokens.device_flow);
    let text =
        format!("{MINIMAL}[tokens]\naccess = \"20m\"\nrefresh = \"1h\"\ndevice_flow = false\n");
    let Ok(loaded) = read(&text, &[]) else {
        panic!("the least that is taken is refused");
    };
    let tokens = loaded.config.tokens;
    assert_eq!(tokens.access, Duration::from_mins(20));
    assert_eq!(tokens.refresh, Duration::from_hours(1));
    assert!(!tokens.device_flow);
    let mistakes = [
        ("access = \"19m\"", "tokens.access"),
        ("access = \"13h\"", "tokens.access"),
        ("refresh = \"59m\"", "tokens.refresh"),
        ("refresh = \"366d\"", "tokens.refresh"),
        (
            "access = \"12h\"\nrefresh = \"6h\"",
            "tokens.refresh: is shorter",
        ),
        ("device_flow = \"no\"", "tokens.device_flow"),
        ("acces = \"1h\"", "did you mean \"access\""),
    ];
    for (lines, about) in mistakes {
        let told = findings(&format!("{MINIMAL}[tokens]\n{lines}\n"), &[]);
        assert!(told.contains(about), "{lines}: {told}");
    }
}

#[test]
fn what_later_versions_will_take_is_refused_by_name() {
    let text = format!("{MINIMAL}[store]\nurl = \"postgres://u:p@h/d\"\n");
    insta::assert_snapshot!(findings(&text, &[]), @r#"
    rolegate.toml:16: store.url: PostgreSQL is not available in this version; expected sqlite:///PATH
    "#);
}

/// The minimal file with an OpenID Connect provider of these lines.
fn with_openid_provider(lines: &str) -> String {
    format!("{MINIMAL}[[connector]]\nid = \"entra\"\ntype = \"oidc\"\n{lines}").replace(
        "default_region",
        "session_name = \"{connector}-{username}\"\ndefault_region",
    )
}

#[test]
fn an_openid_connect_provider_has_defaults() {
    let least = "issuer = \"https://idp.example.com/x\"\nclient_id = \"rolegate\"\n";
    let config = read(&with_openid_provider(least), &[]).unwrap().config;
    let ConnectorKind::Oidc(oidc) = &config.connectors[1].kind else {
        panic!("the second connector is an OpenID Connect provider");
    };
    assert_eq!(oidc.issuer, "https://idp.example.com/x");
    assert_eq!(oidc.scopes, ["profile", "email"]);
    assert_eq!(oidc.claims.username, "preferred_username");
    assert_eq!(oidc.pass_through, OidcPassThrough::Nothing);
    assert_eq!(oidc.clock_skew, Duration::from_mins(1));
    assert!(oidc.client_secret.is_none() && !oidc.userinfo);
}

#[test]
fn mistakes_about_an_openid_connect_provider_are_told() {
    let with = with_openid_provider;
    let least = "issuer = \"https://idp.example.com/x\"\nclient_id = \"rolegate\"\n";
    for (line, key, problem) in [
        ("clock_skew = \"6m\"", "clock_skew", "from 0s to 5m"),
        (
            "token_auth = \"client_secret_basic\"",
            "token_auth",
            "needs client_secret",
        ),
        (
            "token_auth = \"none\"\nclient_secret = \"x\"",
            "token_auth",
            "would not be used",
        ),
        (
            "allowed_algorithms = [\"HS256\"]",
            "allowed_algorithms[0]",
            "found \"HS256\"",
        ),
        (
            "allowed_algorithms = [\"none\"]",
            "allowed_algorithms[0]",
            "found \"none\"",
        ),
        (
            "pass_through = \"access_token\"",
            "provider_id",
            "is missing",
        ),
        (
            "provider_id = \"graph.facebook.com\"",
            "provider_id",
            "goes with access tokens",
        ),
        (
            "pass_through = \"id_token\"",
            "pass_through",
            "found \"id_token\"",
        ),
        ("scopes = [\"a b\"]", "scopes[0]", "without blanks"),
        (
            "claims = { groups = \" x\" }",
            "claims.groups",
            "a claim's name",
        ),
        ("groups_from = \"nobody\"", "groups_from", "is not there"),
    ] {
        let found = findings(&with(&format!("{least}{line}\n")), &[]);
        let place = format!("connector.entra.{key}: ");
        assert!(
            found.contains(&place) && found.contains(problem),
            "{line}: {found}"
        );
    }
    for issuer in [
        "http://idp.example.com",
        "https://idp.example.com/?x=y",
        "https://a@b/",
        "idp",
    ] {
        let found = findings(
            &with(&format!("issuer = \"{issuer}\"\nclient_id = \"x\"\n")),
            &[],
        );
        assert!(
            found.contains("connector.entra.issuer: "),
            "{issuer}: {found}"
        );
    }
    let found = findings(&with(""), &[]);
    assert!(
        found.contains("entra.issuer: is missing") && found.contains("entra.client_id: is missing")
    );
}

#[test]
fn accounts_are_coloured_by_the_default_rules() {
    let config = minimal_with(&[]);
    let colour = |name: &str| {
        let rules = &config.organisation.environments;
        rules
            .iter()
            .find(|rule| rule.pattern.is_match(name))
            .map_or("grey", |rule| rule.colour.name())
    };

    assert_eq!(
        [
            "production",
            "Payments PROD",
            "eu-prod-1",
            "non-prod",
            "staging",
            "dev",
            "product team"
        ]
        .map(colour),
        ["red", "red", "red", "amber", "amber", "green", "grey"]
    );
}

#[test]
fn a_listener_for_the_world_without_tls_is_a_warning() {
    let loaded = read(MINIMAL, &[("ROLEGATE_SERVER__LISTEN", "0.0.0.0:8080")]).unwrap();

    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].key, "server.listen");
    assert_eq!(loaded.warnings[0].severity, Severity::Warning);
}

#[test]
fn a_damaged_file_is_told_and_never_a_panic() {
    let text = whole_example();
    let lines: Vec<_> = text.lines().collect();
    for missing in 0..lines.len() {
        let rest = [&lines[..missing], &lines[missing + 1..]]
            .concat()
            .join("\n");
        assert!(read(&rest, &[]).is_err());
    }
    for end in (0..text.len())
        .step_by(41)
        .filter(|end| text.is_char_boundary(*end))
    {
        assert!(read(&text[..end], &[]).is_err());
    }
    for junk in [
        "\u{feff}",
        "\0",
        "[",
        "[[",
        "a.b.c = 1",
        "connector = 3",
        "[connector]",
        "[[aws]]",
    ] {
        assert!(read(junk, &[("ROLEGATE_CONNECTOR__CORP__ID", "x")]).is_err());
        assert!(read(&format!("{junk}\n{MINIMAL}"), &[]).is_err() || junk == "\u{feff}");
    }
}

#[test]
fn a_misspelt_key_is_one_finding_even_where_the_key_is_needed() {
    let text = MINIMAL
        .replace("user_base", "user_bas")
        .replace("default_region", "defalt_region");
    insta::assert_snapshot!(findings(&text, &[]), @r#"
    rolegate.toml:10: connector.corp.user_bas: unknown key; did you mean "user_base"?
    rolegate.toml:14: aws.defalt_region: unknown key; did you mean "default_region"?
    "#);
}

#[test]
fn a_single_table_where_several_may_stand_is_told_how_to_write_it() {
    let text = MINIMAL.replace("[[connector]]", "[connector]");
    insta::assert_snapshot!(findings(&text, &[]), @r#"rolegate.toml:4: connector: may be there more than once; write [[connector]]"#);
}

/// Metadata, keys and certificates in files, for connectors of type saml.
struct SamlFiles(tempfile::TempDir);

impl SamlFiles {
    fn new() -> Self {
        let files = Self(temporary_dir("saml-configuration"));
        files.write("idp.xml", b"<metadata/>");
        for name in ["one", "two"] {
            files.pair(name, &PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
        }
        files
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    /// `NAME.key` and `NAME.crt`.
    fn pair(&self, name: &str, key: &PKey<Private>) {
        let mut builder = X509::builder().unwrap();
        let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_pubkey(key).unwrap();
        let (from, to) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(9));
        builder.set_not_before(&from.unwrap()).unwrap();
        builder.set_not_after(&to.unwrap()).unwrap();
        builder.sign(key, MessageDigest::sha256()).unwrap();
        let pem = key.private_key_to_pem_pkcs8().unwrap();
        self.write(&format!("{name}.key"), &pem);
        let pem = builder.build().to_pem().unwrap();
        self.write(&format!("{name}.crt"), &pem);
    }

    /// The file with a SAML connector in front of the directory; DIR stands for the folder.
    fn text(&self, lines: &str) -> String {
        let saml = format!(
            "[[connector]]\nid = \"idp\"\ntype = \"saml\"\n{lines}\n[[connector]]\nid = \"corp\""
        );
        MINIMAL
            .replace("[[connector]]\nid = \"corp\"", &saml)
            .replace(
                "default_region",
                "session_name = \"{connector}-{username}\"\ndefault_region",
            )
            .replace("DIR", self.0.path().to_str().unwrap())
    }

    fn saml(&self, lines: &str) -> Saml {
        let loaded = read(&self.text(lines), &[]).unwrap_or_else(|findings| panic!("{findings}"));
        assert_eq!(loaded.warnings, []);
        let ConnectorKind::Saml(saml) = loaded.config.connectors[0].kind.clone() else {
            panic!("the first connector is a provider");
        };
        *saml
    }

    fn told(&self, lines: &str) -> String {
        findings(&self.text(lines), &[]).replace(self.0.path().to_str().unwrap(), "DIR")
    }
}

const IDP: &str = "idp_metadata_file = \"DIR/idp.xml\"";

#[test]
fn a_saml_connector_needs_metadata_alone() {
    let saml = SamlFiles::new().saml(IDP);
    assert!(matches!(saml.metadata, MetadataSource::File(_)));
    assert_eq!(saml.attributes.subject, "NameID");
    assert_eq!(saml.attributes.username, "NameID");
    assert_eq!(saml.attributes.groups, None);
    assert_eq!(saml.clock_skew, Duration::from_mins(1));
    assert_eq!(saml.request_binding, RequestBinding::Redirect);
    assert_eq!(saml.offer_asserted_roles, OfferedRoles::Mapped);
    assert!(!saml.sign_requests && !saml.allow_idp_initiated && saml.pass_through);
}

#[test]
fn a_saml_connector_takes_every_key() {
    let files = SamlFiles::new();
    let saml = files.saml(
        "preset = \"shibboleth\"\nidp_metadata_url = \"https://idp.example.com/metadata\"\n\
         metadata_refresh = \"10m\"\nmetadata_certificate_file = \"DIR/one.crt\"\n\
         idp_entity_id = \"urn:idp\"\nattributes = { username = \"mail\" }\n\
         keys = [{ key_file = \"DIR/one.key\", certificate_file = \"DIR/one.crt\" },\n\
         { key_file = \"DIR/two.key\", certificate_file = \"DIR/two.crt\" }]\n\
         sp_entity_id = \"urn:rolegate\"\naudiences = [\"urn:amazon:webservices\"]\n\
         request_binding = \"post\"\nforce_authn = true\nauthn_contexts = [\"urn:x\"]\n\
         name_id_format = \"transient\"\nclock_skew = \"5m\"\n\
         longest_authentication_age = \"12h\"\nrequire_encrypted_assertions = true\n\
         allow_cbc_encryption = true\nallow_idp_initiated = true\ngroups_from = \"corp\"\n\
         offer_asserted_roles = \"all\"\n\
         aws_application_url = \"https://idp.example.com/a/{account}?to={relay_state}\"",
    );
    let MetadataSource::Url { url, refresh } = &saml.metadata else {
        panic!("{saml:?}");
    };
    assert_eq!(url.as_str(), "https://idp.example.com/metadata");
    assert_eq!(*refresh, Duration::from_mins(10));
    assert_eq!((saml.keys.len(), saml.metadata_certificates.len()), (2, 1));
    assert!(saml.sign_requests, "keys are there to sign with");
    assert!(
        !saml.pass_through,
        "AWS cannot read what is encrypted for us"
    );
    assert_eq!(
        saml.attributes.subject,
        "urn:oasis:names:tc:SAML:attribute:subject-id"
    );
    assert_eq!(saml.attributes.username, "mail");
    let printed = format!("{saml:?}");
    assert!(!printed.contains("PRIVATE"), "{printed}");
}

#[test]
fn every_preset_names_the_groups() {
    let files = SamlFiles::new();
    for preset in ["keycloak", "adfs", "okta", "entra", "google", "shibboleth"] {
        let saml = files.saml(&format!("{IDP}\npreset = \"{preset}\""));
        assert!(saml.attributes.groups.is_some(), "{preset}");
    }
}

#[test]
fn every_line_that_a_saml_connector_refuses_says_why() {
    let files = SamlFiles::new();
    files.pair(
        "weak",
        &PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap(),
    );
    let keys = |key: &str, certificate: &str| {
        format!(
            "{IDP}\nkeys = [{{ key_file = \"DIR/{key}\", certificate_file = \"DIR/{certificate}\" }}]"
        )
    };
    let pair = "{ key_file = \"DIR/one.key\", certificate_file = \"DIR/one.crt\" }";
    let lines = [
        String::new(),
        format!("{IDP}\nidp_metadata_url = \"https://idp.example.com\""),
        "idp_metadata_url = \"http://idp.example.com\"".to_owned(),
        "idp_metadata_file = \"/nowhere/idp.xml\"\nmetadata_refresh = \"1h\"".to_owned(),
        keys("one.key", "two.crt"),
        keys("nothing.key", "idp.xml"),
        keys("weak.key", "weak.crt"),
        format!("{IDP}\nkeys = [{}]", [pair; 5].join(", ")),
        format!("{IDP}\nkeys = [{{ key_file = \"DIR/one.key\" }}]"),
        format!("{IDP}\nmetadata_certificate_file = \"DIR/idp.xml\""),
        format!("{IDP}\nsign_requests = true\nrequire_encrypted_assertions = true"),
        format!(
            "{}\nrequire_encrypted_assertions = true\npass_through = true",
            keys("one.key", "one.crt")
        ),
        format!("{IDP}\nname_id_format = \"transient\""),
        format!("{IDP}\nname_id_format = \"email\""),
        format!("{IDP}\nclock_skew = \"6m\""),
        format!("{IDP}\ngroups_from = \"corpp\""),
        format!("{IDP}\ngroups_from = \"idp\""),
        format!("{IDP}\noffer_asserted_roles = \"maped\""),
        format!("{IDP}\naudiences = [\"a b\"]"),
        format!("{IDP}\naws_application_url = \"https://{{account}}.example.com/\""),
        format!("{IDP}\naws_application_url = \"https://idp.example.com/{{role}}\""),
        format!("{IDP}\nidp_entity = \"x\"\nattributes = {{ groop = \"x\" }}"),
    ];
    let told: Vec<_> = lines.iter().map(|lines| files.told(lines)).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    rolegate.toml:4: connector.idp.idp_metadata_file: is missing; expected the file with the provider's metadata, or idp_metadata_url
    rolegate.toml:8: connector.idp.idp_metadata_url: is given beside idp_metadata_file; give one of the two
    rolegate.toml:7: connector.idp.idp_metadata_url: plain http is taken for loopback hosts alone; expected https://
    rolegate.toml:7: connector.idp.idp_metadata_file: "/nowhere/idp.xml" cannot be read: No such file or directory (os error 2)
    rolegate.toml:8: connector.idp.metadata_refresh: a file is read at start alone; expected idp_metadata_url beside it
    rolegate.toml:8: connector.idp.keys[0].certificate_file: is not the certificate of DIR/one.key
    rolegate.toml:8: connector.idp.keys[0].key_file: "DIR/nothing.key" cannot be read: No such file or directory (os error 2)
    rolegate.toml:8: connector.idp.keys[0].certificate_file: "DIR/idp.xml" holds no PEM certificate
    rolegate.toml:8: connector.idp.keys[0].key_file: "DIR/weak.key" holds an RSA key of 1024 bits; expected 2048 or more
    rolegate.toml:8: connector.idp.keys[0].certificate_file: "DIR/weak.crt" holds an RSA key of 1024 bits; expected 2048 or more
    rolegate.toml:8: connector.idp.keys: expected at most 4 pairs, found 5
    rolegate.toml:8: connector.idp.keys[0].certificate_file: is missing; expected the PEM file of the key's certificate
    rolegate.toml:8: connector.idp.metadata_certificate_file: "DIR/idp.xml" holds no PEM certificate
    rolegate.toml:8: connector.idp.sign_requests: needs keys, of which the first signs
    rolegate.toml:9: connector.idp.require_encrypted_assertions: needs an RSA key in keys, to decrypt with
    rolegate.toml:10: connector.idp.pass_through: AWS cannot read an assertion that is encrypted for us; expected false, or require_encrypted_assertions = false
    rolegate.toml:8: connector.idp.name_id_format: a transient NameID is another one at every sign-in; name a stable attribute in attributes.subject
    rolegate.toml:8: connector.idp.name_id_format: expected "persistent", "emailAddress", "unspecified", "transient" or an URN, found "email"
    rolegate.toml:8: connector.idp.clock_skew: expected a duration from 0s to 5m, found 6m
    rolegate.toml:8: connector.idp.groups_from: connector "corpp" is not there; expected one of type ldap with bind_dn
    rolegate.toml:8: connector.idp.groups_from: connector "idp" is not a directory; expected one of type ldap with bind_dn
    rolegate.toml:8: connector.idp.offer_asserted_roles: expected one of mapped, all, found "maped"; did you mean "mapped"?
    rolegate.toml:8: connector.idp.audiences[0]: expected an URI without blanks of at most 1024 characters, found "a b"
    rolegate.toml:8: connector.idp.aws_application_url: the host is fixed; expected placeholders behind it alone
    rolegate.toml:8: connector.idp.aws_application_url: unknown placeholder {role}; expected {account}, {role_arn}, {role_name}, {relay_state}
    rolegate.toml:8: connector.idp.idp_entity: unknown key; did you mean "idp_entity_id"?
    rolegate.toml:9: connector.idp.attributes.groop: unknown key; did you mean "groups"?
    "#);
}

#[test]
fn groups_come_from_a_directory_that_can_be_asked() {
    let files = SamlFiles::new();
    let text = files
        .text(&format!("{IDP}\ngroups_from = \"corp\""))
        .replace(
            "bind_dn = \"cn=rolegate,dc=example,dc=com\"\nbind_password = \"hunter2\"",
            "user_bind = \"uid={username},dc=example,dc=com\"",
        );
    insta::assert_snapshot!(findings(&text, &[]), @r#"rolegate.toml:8: connector.idp.groups_from: connector "corp" binds with the person's own password, which is not at hand; expected one of type ldap with bind_dn"#);
}

#[test]
fn every_reason_for_a_refused_message_is_documented() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/saml.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for reason in Reason::ALL {
        let code = format!("`{}`", reason.code());
        let is_named = rows.iter().any(|row| row.contains(&code));
        assert!(is_named, "{code} is in no table of docs/saml.md");
    }
}

#[test]
fn a_scope_limits_a_helpdesk_group_and_says_so() {
    let text = format!(
        r#"{MINIMAL}
[access]
helpdesk = ["corp:cn=desk,dc=example,dc=com", "corp:CN=dev-desk, dc=example,dc=com"]
pending_expires_after = "2d"
[[access.scope]]
group = "corp:cn=dev-desk,dc=example,dc=com"
environments = ["Development"]
[[access.scope]]
group = "corp:cn=ops-desk,dc=example,dc=com"
accounts = ["111122223333"]
roles = ["*:role/ops/*"]
"#
    );
    let loaded = read(&text, &[]).unwrap();
    assert_eq!(
        loaded.config.access.pending_expires_after,
        Duration::from_hours(48)
    );
    let warnings: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| warning.message.clone())
        .collect();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("dev-desk") && warning.contains("limits it")),
        "{warnings:?}"
    );
    let rules = rolegate::app::access_rules(&loaded.config).unwrap();
    let scoped: Vec<(&str, bool)> = rules
        .helpdesk
        .iter()
        .map(|desk| {
            (
                desk.group.as_str(),
                desk.scope == rolegate::access::Scope::default(),
            )
        })
        .collect();
    assert_eq!(
        scoped,
        [
            ("corp:cn=dev-desk,dc=example,dc=com", false),
            ("corp:cn=ops-desk,dc=example,dc=com", false),
            ("corp:cn=desk,dc=example,dc=com", true),
        ]
    );
}

#[test]
fn a_scope_that_limits_nothing_or_nobody_is_refused() {
    let text = format!(
        r#"{MINIMAL}
[[access.scope]]
group = "corp:cn=desk,dc=example,dc=com"
[[access.scope]]
group = "crop:cn=desk,dc=example,dc=com"
accounts = ["1111"]
environments = []
roles = ["ReadOnly"]
colour = "red"
"#
    );
    let told = findings(&text, &[]);
    for part in [
        "limits nothing: add accounts, environments or roles",
        "there is no connector \"crop\"",
        "\"*:role/ReadOnly\"; found \"ReadOnly\"",
        "colour: unknown key",
        "accounts[0]",
        "environments",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

/// The minimal file with a trusted issuer of these lines.
fn with_trusted_issuer(lines: &str) -> String {
    format!("{MINIMAL}[[trusted_issuer]]\nid = \"shop\"\n{lines}").replace(
        "default_region",
        "session_name = \"{connector}-{username}\"\ndefault_region",
    )
}

const LEAST_ISSUER: &str = r#"
issuer = "https://login.shop.example.com"
jwks_url = "https://login.shop.example.com/jwks"
audience = "rolegate"
"#;

#[test]
fn a_trusted_issuer_has_defaults() {
    let loaded = read(&with_trusted_issuer(LEAST_ISSUER), &[]).unwrap();
    let [shop] = &loaded.config.trusted_issuers[..] else {
        panic!("there is one trusted issuer");
    };
    assert!(matches!(
        &shop.verification,
        TokenVerification::Keys(url) if url.as_str() == "https://login.shop.example.com/jwks"
    ));
    assert_eq!(shop.audience, ["rolegate"]);
    let claims = &shop.claims;
    assert_eq!(
        (claims.subject.as_str(), claims.username.as_str()),
        ("sub", "sub")
    );
    assert_eq!(claims.groups.as_deref(), Some("groups"));
    assert_eq!((&claims.email, &claims.display_name), (&None, &None));
    assert_eq!(shop.longest_lifetime, Duration::from_hours(24));
    assert!(shop.allowed_origins.is_empty() && shop.required_claims.is_empty());
    assert_eq!(shop.allowed_algorithms.len(), 9);
}

#[test]
fn a_trusted_issuer_is_asked_by_introspection_and_has_fixed_groups() {
    let lines = r#"
issuer = "https://login.shop.example.com"
introspection_url = "https://login.shop.example.com/introspect"
client_id = "rolegate"
client_secret = "hunter3"
required_claims = { azp = "shop-web", scope = ["read", "upload"], "https://x.example/mfa" = true }
groups = ["uploaders"]
claims = { email = "mail" }
allowed_origins = ["https://shop.example.com/", "http://127.0.0.1:3000", "https://a.example:443"]
"#;
    let loaded = read(&with_trusted_issuer(lines), &[]).unwrap();
    let shop = &loaded.config.trusted_issuers[0];
    let TokenVerification::Introspection { client_secret, .. } = &shop.verification else {
        panic!("it is asked");
    };
    assert_eq!(client_secret.expose_secret(), "hunter3");
    assert!(!format!("{shop:?}").contains("hunter3"));
    let words = |words: &[&str]| {
        RequiredClaim::Words(words.iter().map(|word| (*word).to_owned()).collect())
    };
    assert_eq!(
        shop.required_claims,
        [
            ("azp".to_owned(), words(&["shop-web"])),
            (
                "https://x.example/mfa".to_owned(),
                RequiredClaim::Flag(true)
            ),
            ("scope".to_owned(), words(&["read", "upload"])),
        ]
    );
    assert_eq!(shop.groups, ["uploaders"]);
    assert_eq!(shop.claims.groups, None);
    assert_eq!(
        shop.allowed_origins,
        [
            "https://shop.example.com",
            "http://127.0.0.1:3000",
            "https://a.example"
        ]
    );
    let named = [("ROLEGATE_TRUSTED_ISSUER__SHOP__CLIENT_SECRET", "hunter4")];
    let loaded = read(&with_trusted_issuer(lines), &named).unwrap();
    let TokenVerification::Introspection { client_secret, .. } =
        &loaded.config.trusted_issuers[0].verification
    else {
        panic!("it is asked");
    };
    assert_eq!(client_secret.expose_secret(), "hunter4");
}

#[test]
fn every_mistake_of_a_trusted_issuer_is_told() {
    let wrong = r#"
issuer = "http://login.shop.example.com"
jwks_url = "http://login.shop.example.com/jwks"
introspection_url = "https://login.shop.example.com/introspect"
client_id = "rolegate"
audience = []
claims = { groups = "groups", nickname = "x" }
required_claims = { scope = [""], azp = 1 }
allowed_algorithms = ["HS256"]
clock_skew = "1h"
longest_lifetime = "60d"
ca_file = "/nowhere/ca.pem"
allowed_origins = ["*", "https://shop.example.com/upload", "shop.example.com"]
groups = [" x"]
[[trusted_issuer]]
id = "corp"
[[trusted_issuer]]
id = "till"
issuer = "https://login.till.example.com"
introspection_url = "https://login.till.example.com/introspect"
"#;
    insta::assert_snapshot!(findings(&with_trusted_issuer(wrong), &[]), @r#"
    rolegate.toml:19: trusted_issuer.shop.issuer: plain http is taken for loopback hosts alone; expected https://
    rolegate.toml:20: trusted_issuer.shop.jwks_url: stands beside introspection_url; give one of the two
    rolegate.toml:20: trusted_issuer.shop.jwks_url: plain http is taken for loopback hosts alone; expected https://
    rolegate.toml:22: trusted_issuer.shop.client_id: goes with introspection_url alone; remove it
    rolegate.toml:23: trusted_issuer.shop.audience: is empty; expected a string such as "rolegate", or a list of them
    rolegate.toml:24: trusted_issuer.shop.claims.groups: stands beside groups that everybody has; give one of the two
    rolegate.toml:24: trusted_issuer.shop.claims.nickname: unknown key; known here are display_name, email, groups, subject, username
    rolegate.toml:25: trusted_issuer.shop.required_claims: azp: expected a string such as "upload", or a list of them, found an integer
    rolegate.toml:26: trusted_issuer.shop.allowed_algorithms[0]: expected one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, found "HS256"
    rolegate.toml:27: trusted_issuer.shop.clock_skew: expected a duration from 0s to 5m, found 1h
    rolegate.toml:28: trusted_issuer.shop.longest_lifetime: expected a duration from 1m to 30days, found 1month 29days 13h 26m 24s
    rolegate.toml:29: trusted_issuer.shop.ca_file: "/nowhere/ca.pem" cannot be read: No such file or directory (os error 2)
    rolegate.toml:30: trusted_issuer.shop.allowed_origins[0]: would let every page call; expected the pages' own origins
    rolegate.toml:30: trusted_issuer.shop.allowed_origins[1]: nothing may follow the host; expected https://shop.example.com
    rolegate.toml:30: trusted_issuer.shop.allowed_origins[2]: not a URL (relative URL without a base); expected https://HOST or http://HOST
    rolegate.toml:31: trusted_issuer.shop.groups[0]: expected the name of a group, without blanks around it, found " x"
    rolegate.toml:32: trusted_issuer.corp.issuer: is missing; expected the address by which the issuer calls itself
    rolegate.toml:32: trusted_issuer.corp.jwks_url: is missing; expected the address of the issuer's keys, or introspection_url where its tokens are no JWTs
    rolegate.toml:32: trusted_issuer.corp.audience: is missing; expected what the issuer calls Rolegate in aud
    rolegate.toml:33: trusted_issuer.corp.id: "corp" is taken; every id is there once
    rolegate.toml:34: trusted_issuer.till.client_id: is missing; expected the id that the issuer gave to Rolegate
    rolegate.toml:34: trusted_issuer.till.client_secret: is missing; expected the secret that the issuer gave to Rolegate, or client_secret_file
    rolegate.toml:34: trusted_issuer.till.audience: is missing; expected what the issuer calls Rolegate in aud
    "#);
}

#[test]
fn an_issuer_counts_as_a_connector_for_names_and_groups() {
    let one_name = with_trusted_issuer(LEAST_ISSUER).replace("{connector}-", "");
    let told = findings(&one_name, &[]);
    assert!(
        told.contains("aws.session_name") && told.contains("{connector}"),
        "{told}"
    );
    let access = "[access]\nauditor = [\"shop:auditors\", \"shpo:auditors\"]\n";
    let text = format!("{}{access}", with_trusted_issuer(LEAST_ISSUER));
    let told = findings(&text, &[]);
    assert!(!told.contains("auditor[0]"), "{told}");
    assert!(
        told.contains("auditor[1]: there is no connector \"shpo\"; known are corp, shop"),
        "{told}"
    );
    let config = read(&with_trusted_issuer(LEAST_ISSUER), &[])
        .unwrap()
        .config;
    let forms = rolegate::app::group_forms(&config);
    let key = GroupKey::parse("shop:Uploaders, All", &forms).unwrap();
    assert_eq!(key.as_str(), "shop:Uploaders, All");
    assert_eq!(rolegate::app::policy_settings(&config).connectors, 2);
}

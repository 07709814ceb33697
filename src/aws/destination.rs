//! Where in the console somebody lands, checked before AWS sees it.
//!
//! Pure. Never here: a URL that leads anywhere but to the console of the role's partition. Entry
//! point: [`Destination::parse`].

use std::fmt;

use thiserror::Error;
use url::{Host, Url};

use super::partition::{
    console_domains, console_host, implicit_region, is_host_within, is_region_name,
    partition_of_region,
};
use crate::access::Partition;

/// The longest destination, in bytes; AWS documents no limit, and browsers send this much.
const LONGEST: usize = 4_096;

/// The consoles whose address is not `/NAME/home`.
const SERVICE_PATHS: [(&str, &str); 15] = [
    ("home", "console/home"),
    ("console", "console/home"),
    ("ecs", "ecs/v2/clusters"),
    ("logs", "cloudwatch/home#logsV2:log-groups"),
    ("iam", "iam/home"),
    ("sqs", "sqs/v3/home"),
    ("sns", "sns/v3/home"),
    ("dynamodb", "dynamodbv2/home"),
    ("route53", "route53/v2/home"),
    ("cloudfront", "cloudfront/v4/home"),
    ("eventbridge", "events/home"),
    ("secrets-manager", "secretsmanager/home"),
    ("step-functions", "states/home"),
    ("parameter-store", "systems-manager/parameters"),
    ("kinesis", "kinesis/home"),
];

/// A checked address in the console of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination(Url);

/// What destinations are checked against.
#[derive(Debug, Clone, Copy)]
pub struct Console<'a> {
    /// The role's partition.
    pub partition: Partition,
    /// The region that opens where the destination names none.
    pub region: Option<&'a str>,
    /// A console elsewhere (`aws.console_url`), allowed beside the partition's own by its origin.
    pub console_url: Option<&'a Url>,
}

impl Destination {
    /// Reads an address (`https://eu-west-1.console.aws.amazon.com/s3/…`) or the short name of a
    /// service (`s3`), as somebody wrote it.
    ///
    /// Account-scoped hosts of the multi-session console, which AWS refuses as a Destination,
    /// become the plain regional ones.
    pub fn parse(text: &str, console: Console<'_>) -> Result<Self, DestinationError> {
        if text.len() > LONGEST {
            return Err(DestinationError::TooLong(text.len()));
        }
        let text = text.trim_matches(' ');
        if text.chars().any(char::is_control) {
            return Err(DestinationError::ControlCharacter);
        }
        if is_service_name(text) {
            return Self::of_service(text, console);
        }
        let url = Url::parse(text).map_err(|_| DestinationError::Shape(shortened(text)))?;
        Self::check(url, console)
    }

    /// The console's home.
    pub fn home(console: Console<'_>) -> Result<Self, DestinationError> {
        Self::of_service("home", console)
    }

    /// The first page of a service's console, by its short name.
    fn of_service(name: &str, console: Console<'_>) -> Result<Self, DestinationError> {
        let region = console
            .region
            .unwrap_or_else(|| implicit_region(console.partition));
        if partition_of_region(region) != Some(console.partition) {
            return Err(DestinationError::Region {
                region: shortened(region),
                partition: console.partition,
            });
        }
        let known = SERVICE_PATHS.iter().find(|(known, _)| *known == name);
        let path = known.map_or_else(|| format!("{name}/home"), |(_, path)| (*path).to_owned());
        let base = match console.console_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => console_base(console.partition, region)
                .ok_or(DestinationError::NoConsole(console.partition))?,
        };
        let (path, fragment) = path.split_once('#').unwrap_or((&path, ""));
        let mut url = Url::parse(&format!("{base}/{path}"))
            .map_err(|_| DestinationError::Shape(shortened(name)))?;
        url.query_pairs_mut().append_pair("region", region);
        url.set_fragment((!fragment.is_empty()).then_some(fragment));
        Ok(Self(url))
    }

    fn check(mut url: Url, console: Console<'_>) -> Result<Self, DestinationError> {
        let shown = || shortened(url.as_str());
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationError::UserInfo);
        }
        let is_configured = console
            .console_url
            .is_some_and(|own| own.origin().is_tuple() && own.origin() == url.origin());
        if is_configured {
            return Ok(Self(url));
        }
        if url.scheme() != "https" {
            return Err(DestinationError::Scheme(shown()));
        }
        if url.port().is_some() {
            return Err(DestinationError::Port(shown()));
        }
        let Some(Host::Domain(host)) = url.host() else {
            return Err(DestinationError::Host {
                host: url.host_str().map_or_else(String::new, shortened),
                partition: console.partition,
                right: right_host(console.partition),
            });
        };
        let domains = console_domains(console.partition);
        let Some(domain) = domains.iter().find(|domain| is_host_within(host, domain)) else {
            return Err(DestinationError::Host {
                host: shortened(host),
                partition: console.partition,
                right: right_host(console.partition),
            });
        };
        if let Some(plain) = without_account(host, domain) {
            url.set_host(Some(&plain))
                .map_err(|_| DestinationError::Shape(plain))?;
        }
        if url.as_str().len() > LONGEST {
            return Err(DestinationError::TooLong(url.as_str().len()));
        }
        Ok(Self(url))
    }

    /// The address.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The address.
    pub fn into_url(self) -> Url {
        self.0
    }

    /// The region that the address names, by its host or its query.
    pub fn region(&self) -> Option<String> {
        region_of(&self.0)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `https://{console host}` of a region.
pub(super) fn console_base(partition: Partition, region: &str) -> Option<String> {
    console_host(partition, Some(region)).map(|host| format!("https://{host}"))
}

/// The region that a console address names: the query's, else the host's.
pub(super) fn region_of(url: &Url) -> Option<String> {
    let in_query = url
        .query_pairs()
        .find(|(name, value)| name == "region" && is_region_name(value))
        .map(|(_, value)| value.into_owned());
    in_query.or_else(|| {
        url.host_str()?
            .split('.')
            .find(|label| partition_of_region(label).is_some())
            .map(str::to_owned)
    })
}

/// The host without the account that the multi-session console puts in front:
/// `111122223333-a1b2c3d4.eu-west-1.console.aws.amazon.com`. None where there is none.
pub(super) fn without_account(host: &str, domain: &str) -> Option<String> {
    account_label(host)?;
    let (_, rest) = host.split_once('.')?;
    is_host_within(rest, domain).then(|| rest.to_owned())
}

/// The account in the first label of a multi-session host.
pub(super) fn account_label(host: &str) -> Option<&str> {
    let (label, _) = host.split_once('.')?;
    let (account, session) = label.split_once('-')?;
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_session = (1..=16).contains(&session.len())
        && session.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_account && is_session).then_some(account)
}

fn is_service_name(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn right_host(partition: Partition) -> String {
    let domains = console_domains(partition);
    domains.first().map_or_else(
        || "one that aws.console_url names".to_owned(),
        |domain| (*domain).to_owned(),
    )
}

/// Enough of a value to recognise it.
fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(120).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Why nobody can be sent there.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum DestinationError {
    /// Neither an address nor a short name.
    #[error("`{0}` is no destination: write s3, or https://console.aws.amazon.com/…")]
    Shape(String),
    /// Longer than browsers and AWS take.
    #[error("the destination has {0} bytes; at most 4096 are passed on")]
    TooLong(usize),
    /// A line break or the like.
    #[error("the destination holds a control character")]
    ControlCharacter,
    /// A user name or password before the host.
    #[error("the destination has a user name before its host; a console address has none")]
    UserInfo,
    /// Not HTTPS.
    #[error("`{0}` is not https, and the console is nothing else")]
    Scheme(String),
    /// A port of its own.
    #[error("`{0}` names a port, and the console has its own")]
    Port(String),
    /// Not the console of the role's partition.
    #[error("`{host}` is not the console of partition {partition}: that is {right}")]
    Host {
        /// What was given.
        host: String,
        /// The role's partition.
        partition: Partition,
        /// What would be right.
        right: String,
    },
    /// A region of another partition.
    #[error("region `{region}` is not in partition {partition}")]
    Region {
        /// What was given.
        region: String,
        /// The role's partition.
        partition: Partition,
    },
    /// The console is not public and not configured.
    #[error("the console of partition {0} is not public: set aws.console_url")]
    NoConsole(Partition),
}

impl DestinationError {
    /// A stable code for audit rows and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Region { .. } => "destination_region",
            Self::NoConsole(_) => "destination_no_console",
            Self::Host { .. } => "destination_foreign",
            _ => "destination_invalid",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AWS: Console<'static> = Console {
        partition: Partition::Aws,
        region: Some("eu-west-1"),
        console_url: None,
    };

    fn parsed(text: &str) -> Result<String, DestinationError> {
        Destination::parse(text, AWS).map(|destination| destination.to_string())
    }

    #[test]
    fn addresses_of_the_console_pass() {
        for text in [
            "https://console.aws.amazon.com/",
            "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#Instances:",
            "https://s3.console.aws.amazon.com/s3/buckets/x",
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(text));
        }
        assert_eq!(
            parsed(" https://CONSOLE.aws.amazon.com:443/x ").as_deref(),
            Ok("https://console.aws.amazon.com/x")
        );
    }

    #[test]
    fn hosts_with_an_account_become_the_plain_ones() {
        assert_eq!(
            parsed("https://111122223333-a1b2c3d4.eu-west-1.console.aws.amazon.com/s3/?a=b#c")
                .as_deref(),
            Ok("https://eu-west-1.console.aws.amazon.com/s3/?a=b#c")
        );
        assert_eq!(
            parsed("https://111122223333-abcd.console.aws.amazon.com/").as_deref(),
            Ok("https://console.aws.amazon.com/")
        );
    }

    #[test]
    fn short_names_become_addresses_in_the_region() {
        for (name, address) in [
            (
                "s3",
                "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1",
            ),
            (
                "ec2",
                "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1",
            ),
            (
                "logs",
                "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1\
                 #logsV2:log-groups",
            ),
        ] {
            assert_eq!(parsed(name).as_deref(), Ok(address));
        }
        assert_eq!(
            Destination::home(AWS).unwrap().to_string(),
            "https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1"
        );
        let china = Console {
            partition: Partition::AwsCn,
            region: None,
            console_url: None,
        };
        assert_eq!(
            Destination::parse("s3", china).unwrap().to_string(),
            "https://cn-northwest-1.console.amazonaws.cn/s3/home?region=cn-northwest-1"
        );
    }

    #[test]
    fn foreign_and_forged_addresses_are_refused() {
        for text in [
            "http://console.aws.amazon.com/",
            "https://console.aws.amazon.com:8443/",
            "https://user@console.aws.amazon.com/",
            "https://user:secret@console.aws.amazon.com/",
            "https://console.aws.amazon.com.evil.example/",
            "https://evilconsole.aws.amazon.com/",
            "https://console.aws.amazon.com./",
            "https://aws.amazon.com/",
            "https://signin.aws.amazon.com/oauth?Action=logout",
            "https://console.amazonaws.cn/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https:///console.aws.amazon.com@evil.example/",
            "//console.aws.amazon.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://console.aws.amazon.com/\r\nSet-Cookie: a=b",
            "https://console.aws.amazon.com/\u{7f}",
            "S3",
            "",
        ] {
            let error = parsed(text).expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(
            parsed(&format!(
                "https://console.aws.amazon.com/{}",
                "x".repeat(4_100)
            ))
            .is_err()
        );
    }

    #[test]
    fn a_console_elsewhere_is_allowed_by_its_origin() {
        let own = Url::parse("http://127.0.0.1:9000/console").unwrap();
        let console = Console {
            console_url: Some(&own),
            ..AWS
        };
        let parsed = |text| Destination::parse(text, console).map(|d| d.to_string());
        assert_eq!(
            parsed("s3").as_deref(),
            Ok("http://127.0.0.1:9000/console/s3/home?region=eu-west-1")
        );
        assert!(parsed("http://127.0.0.1:9000/console/x").is_ok());
        assert!(parsed("https://console.aws.amazon.com/").is_ok());
        assert!(parsed("http://127.0.0.1:9001/console/x").is_err());
        assert!(parsed("http://user@127.0.0.1:9000/console/x").is_err());
        assert!(parsed("data:text/html,x").is_err());
    }

    #[test]
    fn a_console_that_is_not_public_must_be_configured() {
        let secret = Console {
            partition: Partition::AwsIso,
            region: None,
            console_url: None,
        };
        assert_eq!(
            Destination::parse("s3", secret),
            Err(DestinationError::NoConsole(Partition::AwsIso))
        );
    }

    proptest! {
        #[test]
        fn what_passes_is_https_and_the_consoles(text in "\\PC{0,80}|https://[a-z0-9.@:/#?\\\\-]{0,60}") {
            if let Ok(destination) = Destination::parse(&text, AWS) {
                let url = destination.into_url();
                prop_assert_eq!(url.scheme(), "https");
                prop_assert_eq!(url.port(), None);
                prop_assert!(url.username().is_empty());
                let host = url.host_str().unwrap();
                prop_assert!(is_host_within(host, "console.aws.amazon.com"));
            }
        }
    }
}

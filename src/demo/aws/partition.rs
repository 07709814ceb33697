//! AWS partitions as the stand-in sees them: regions, console hosts, sign-in hosts.
//!
//! Deliberately apart from `crate::aws`, whose choices it has to judge.

use url::Url;

/// A group of regions whose accounts, credentials and hosts never mix with those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Partition {
    Commercial,
    GovCloud,
    China,
    EuropeanSovereign,
}

impl Partition {
    pub(super) fn of_arn(arn: &str) -> Option<Self> {
        match arn.strip_prefix("arn:")?.split(':').next()? {
            "aws" => Some(Self::Commercial),
            "aws-us-gov" => Some(Self::GovCloud),
            "aws-cn" => Some(Self::China),
            "aws-eusc" => Some(Self::EuropeanSovereign),
            _ => None,
        }
    }

    /// The partition that a region name belongs to; `None` for what is no region name.
    pub(super) fn of_region(region: &str) -> Option<Self> {
        const AREAS: [&str; 9] = ["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"];
        let (rest, number) = region.rsplit_once('-')?;
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (area, place) = rest.split_once('-')?;
        if place.is_empty()
            || !place
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        {
            return None;
        }
        match area {
            "us" if place.starts_with("gov-") => Some(Self::GovCloud),
            "us" if place.starts_with("iso") => None,
            "cn" => Some(Self::China),
            "eusc" => Some(Self::EuropeanSovereign),
            area if AREAS.contains(&area) => Some(Self::Commercial),
            _ => None,
        }
    }

    fn console_domain(self) -> &'static str {
        match self {
            Self::Commercial => "console.aws.amazon.com",
            Self::GovCloud => "console.amazonaws-us-gov.com",
            Self::China => "console.amazonaws.cn",
            Self::EuropeanSovereign => "console.amazonaws-eusc.eu",
        }
    }

    fn sign_in_domain(self) -> &'static str {
        match self {
            Self::Commercial => "signin.aws.amazon.com",
            Self::GovCloud => "signin.amazonaws-us-gov.com",
            Self::China => "signin.amazonaws.cn",
            Self::EuropeanSovereign => "signin.amazonaws-eusc.eu",
        }
    }

    /// Whether an assertion for this address is one for the partition's SAML sign-in.
    pub(super) fn has_saml_sign_in(self, address: &str) -> bool {
        let Ok(url) = Url::parse(address) else {
            return false;
        };
        let prefix = plain_https_host(&url).and_then(|host| subdomain(host, self.sign_in_domain()));
        let is_region = |region: &str| Self::of_region(region) == Some(self);
        let is_known = match (prefix, self) {
            (None, _) => false,
            (Some(""), partition) => partition != Self::EuropeanSovereign,
            (Some(region), _) => is_region(region),
        };
        is_known && url.path() == "/saml" && url.query().is_none() && url.fragment().is_none()
    }

    /// Whether the sign-in endpoint takes this address as a `Destination`.
    pub(super) fn has_console(self, url: &Url) -> bool {
        let Some(host) = plain_https_host(url) else {
            return false;
        };
        let Some(prefix) = subdomain(host, self.console_domain()) else {
            return false;
        };
        // `{account}-{id}.{region}` hosts belong to a browser's own session: AWS refuses them.
        let is_session_host = (prefix.split('.').next())
            .and_then(|label| label.split_once('-'))
            .is_some_and(|(account, _)| {
                account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
            });
        !is_session_host
    }
}

/// Whether `url` is an AWS address that sign-out goes on to.
pub(super) fn is_aws_address(url: &Url) -> bool {
    const DOMAINS: [&str; 5] = [
        "aws.amazon.com",
        "amazonaws-us-gov.com",
        "amazonaws.cn",
        "amazonaws-eusc.eu",
        "amazonaws.com",
    ];
    plain_https_host(url).is_some_and(|host| {
        DOMAINS
            .iter()
            .any(|domain| subdomain(host, domain).is_some())
    })
}

fn plain_https_host(url: &Url) -> Option<&str> {
    let is_plain = url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.port().is_none();
    is_plain.then(|| url.host_str())?
}

/// What stands before the domain; empty for the domain itself.
fn subdomain<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let rest = host.strip_suffix(domain)?;
    if rest.is_empty() {
        Some("")
    } else {
        rest.strip_suffix('.')
    }
}

#[cfg(test)]
mod tests {
    use super::Partition;

    #[test]
    fn regions_belong_to_partitions() {
        for (region, expected) in [
            ("eu-west-1", Some(Partition::Commercial)),
            ("us-gov-west-1", Some(Partition::GovCloud)),
            ("cn-north-1", Some(Partition::China)),
            ("eusc-de-east-1", Some(Partition::EuropeanSovereign)),
            ("us-iso-east-1", None),
            ("nowhere", None),
            ("eu-west-", None),
        ] {
            assert_eq!(Partition::of_region(region), expected, "{region}");
        }
    }

    #[test]
    fn an_assertion_is_for_the_sign_in_of_its_partition() {
        for (address, partition, expected) in [
            (
                "https://signin.aws.amazon.com/saml",
                Partition::Commercial,
                true,
            ),
            (
                "https://eu-west-1.signin.aws.amazon.com/saml",
                Partition::Commercial,
                true,
            ),
            (
                "https://cn-north-1.signin.aws.amazon.com/saml",
                Partition::Commercial,
                false,
            ),
            (
                "https://signin.aws.amazon.com/saml",
                Partition::GovCloud,
                false,
            ),
            (
                "https://signin.amazonaws-us-gov.com/saml",
                Partition::GovCloud,
                true,
            ),
            ("https://signin.amazonaws.cn/saml", Partition::China, true),
            (
                "https://signin.amazonaws-eusc.eu/saml",
                Partition::EuropeanSovereign,
                false,
            ),
            (
                "https://eusc-de-east-1.signin.amazonaws-eusc.eu/saml",
                Partition::EuropeanSovereign,
                true,
            ),
            (
                "http://signin.aws.amazon.com/saml",
                Partition::Commercial,
                false,
            ),
            (
                "https://signin.aws.amazon.com/saml/",
                Partition::Commercial,
                false,
            ),
            (
                "https://signin.aws.amazon.com.example.com/saml",
                Partition::Commercial,
                false,
            ),
        ] {
            assert_eq!(partition.has_saml_sign_in(address), expected, "{address}");
        }
    }

    #[test]
    fn a_destination_is_a_console_of_the_same_partition() {
        for (url, expected) in [
            ("https://console.aws.amazon.com/", true),
            (
                "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1",
                true,
            ),
            (
                "https://111122223333-abcd1234.eu-west-1.console.aws.amazon.com/",
                false,
            ),
            ("https://console.amazonaws.cn/", false),
            ("https://console.aws.amazon.com.example.com/", false),
            ("https://evilconsole.aws.amazon.com/", false),
            ("https://user@console.aws.amazon.com/", false),
            ("https://console.aws.amazon.com:8443/", false),
            ("http://console.aws.amazon.com/", false),
        ] {
            let parsed = url.parse().unwrap();
            assert_eq!(
                Partition::Commercial.has_console(&parsed),
                expected,
                "{url}"
            );
        }
    }
}

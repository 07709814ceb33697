//! Every host of every partition: API regions, sign-in and console.
//!
//! Pure. Never here: network I/O, or a host that is not AWS's own. Sources: the endpoint rules of
//! the AWS SDKs (`partitions.json`, signin rule set) and the AWS General Reference, "AWS Management
//! Console endpoints". Entry points: [`sign_in_host`], [`console_host`], [`partition_of_region`].

use url::Url;

use crate::access::{Partition, TargetArn, TargetKind};

/// The longest region name taken seriously; AWS's longest has 15 characters.
const LONGEST_REGION: usize = 32;
/// The longest name that AWS takes for a switched role (IAM User Guide, "Switching to a role").
const LONGEST_DISPLAY_NAME: usize = 64;

/// What the hosts of a partition are built from.
struct Hosts {
    implicit_region: &'static str,
    /// Behind `signin.`, with or without a region in front.
    sign_in_domain: &'static str,
    /// Whether `signin.` without a region is a host of its own.
    has_bare_sign_in: bool,
    /// The domains whose hosts are the console's; the first is the console's home.
    console_domains: &'static [&'static str],
}

fn hosts(partition: Partition) -> Hosts {
    let (implicit_region, sign_in_domain, has_bare_sign_in, console_domains): (
        _,
        _,
        _,
        &'static [&'static str],
    ) = match partition {
        Partition::Aws => (
            "us-east-1",
            "aws.amazon.com",
            true,
            &["console.aws.amazon.com"],
        ),
        Partition::AwsUsGov => (
            "us-gov-west-1",
            "amazonaws-us-gov.com",
            true,
            &["console.amazonaws-us-gov.com"],
        ),
        Partition::AwsCn => (
            "cn-northwest-1",
            "amazonaws.cn",
            true,
            &["console.amazonaws.cn"],
        ),
        Partition::AwsEusc => (
            "eusc-de-east-1",
            "amazonaws-eusc.eu",
            false,
            &["console.amazonaws-eusc.eu"],
        ),
        // Their consoles are not documented in public.
        Partition::AwsIso => ("us-iso-east-1", "c2shome.ic.gov", false, &[]),
        Partition::AwsIsoB => ("us-isob-east-1", "sc2shome.sgov.gov", false, &[]),
        Partition::AwsIsoE => ("eu-isoe-west-1", "csphome.adc-e.uk", false, &[]),
        Partition::AwsIsoF => ("us-isof-south-1", "csphome.hci.ic.gov", false, &[]),
    };
    Hosts {
        implicit_region,
        sign_in_domain,
        has_bare_sign_in,
        console_domains,
    }
}

/// The region that a partition's region-less services live in.
pub fn implicit_region(partition: Partition) -> &'static str {
    hosts(partition).implicit_region
}

/// Whether a text has the form of a region's name, known or not: `eu-west-1`, `us-gov-east-1`.
pub fn is_region_name(text: &str) -> bool {
    let Some((place, number)) = text.rsplit_once('-') else {
        return false;
    };
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = place.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    text.len() <= LONGEST_REGION
        && is_number
        && (2..=3).contains(&parts.len())
        && parts.iter().all(is_word)
}

/// The partition that a region belongs to by its name; none where the name is none of AWS's.
pub fn partition_of_region(region: &str) -> Option<Partition> {
    if !is_region_name(region) {
        return None;
    }
    let parts: Vec<&str> = region.split('-').collect();
    match (parts.as_slice(), parts.len()) {
        (["us", "gov", ..], 4) => Some(Partition::AwsUsGov),
        (["us", "iso", ..], 4) => Some(Partition::AwsIso),
        (["us", "isob", ..], 4) => Some(Partition::AwsIsoB),
        (["eu", "isoe", ..], 4) => Some(Partition::AwsIsoE),
        (["us", "isof", ..], 4) => Some(Partition::AwsIsoF),
        (["eusc", "de", ..], 4) => Some(Partition::AwsEusc),
        (["cn", ..], 3) => Some(Partition::AwsCn),
        (
            [
                "us" | "eu" | "ap" | "sa" | "ca" | "me" | "af" | "il" | "mx",
                ..,
            ],
            3,
        ) => Some(Partition::Aws),
        _ => None,
    }
}

/// The host that sign-in tokens come from and are used at: the region's own where one is given.
///
/// None where the region is not the partition's.
pub fn sign_in_host(partition: Partition, region: Option<&str>) -> Option<String> {
    let hosts = hosts(partition);
    let domain = hosts.sign_in_domain;
    if region.is_some_and(|region| partition_of_region(region) != Some(partition)) {
        return None;
    }
    // The bare host is the documented one of these regions (AWS General Reference, Sign-In).
    let is_bare = matches!(
        region,
        None | Some("us-east-1" | "us-gov-west-1" | "cn-north-1")
    );
    if is_bare && hosts.has_bare_sign_in {
        Some(format!("signin.{domain}"))
    } else {
        let region = region.unwrap_or(hosts.implicit_region);
        Some(format!("{region}.signin.{domain}"))
    }
}

/// Where browsers post assertions, and the Recipient that trust policies pin by `SAML:aud`
/// (IAM User Guide, "Configure SAML assertions"). One address for a partition, so that one value in
/// the trust policy does.
pub fn saml_sign_in_url(partition: Partition) -> Option<Url> {
    let host = sign_in_host(partition, None)?;
    Url::parse(&format!("https://{host}/saml")).ok()
}

/// The console's host: the region's own where one is given.
///
/// None where the region is not the partition's, or the partition's console is not public.
pub fn console_host(partition: Partition, region: Option<&str>) -> Option<String> {
    let domain = console_domains(partition).first()?;
    match region {
        None => Some((*domain).to_owned()),
        Some(region) if partition_of_region(region) != Some(partition) => None,
        // No regional host of the Sovereign Cloud is documented; the plain one takes the region
        // from the query.
        Some(_) if partition == Partition::AwsEusc => Some((*domain).to_owned()),
        Some(region) => Some(format!("{region}.{domain}")),
    }
}

/// The domains of a partition's console: a host is the console's when it is one of them or ends in
/// a dot and one of them.
pub fn console_domains(partition: Partition) -> &'static [&'static str] {
    hosts(partition).console_domains
}

/// The domain behind `signin.`, such as `aws.amazon.com`.
pub(super) fn sign_in_domain(partition: Partition) -> &'static str {
    hosts(partition).sign_in_domain
}

/// The partition whose console or sign-in a host belongs to.
pub fn partition_of_host(host: &str) -> Option<Partition> {
    Partition::ALL.into_iter().find(|partition| {
        let sign_in = format!("signin.{}", sign_in_domain(*partition));
        is_host_within(host, &sign_in)
            || console_domains(*partition)
                .iter()
                .any(|domain| is_host_within(host, domain))
    })
}

/// Whether a host is `domain` or below it.
pub(super) fn is_host_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|front| front.is_empty() || front.len() > 1 && front.ends_with('.'))
}

/// The host for sign-out and then sign-in in one chain of redirects.
///
/// In `aws` both must carry the `us-east-1.` prefix, else AWS ends on its landing page.
pub fn sign_out_host(partition: Partition, region: Option<&str>) -> Option<String> {
    match partition {
        Partition::Aws => Some("us-east-1.signin.aws.amazon.com".to_owned()),
        _ => sign_in_host(partition, region),
    }
}

/// Where a browser ends its console session, going on to `then` (a URL of AWS's) where given.
///
/// `sign_in_base` is the origin of the sign-in endpoint, such as `https://signin.aws.amazon.com`.
pub fn logout_url(sign_in_base: &Url, then: Option<&Url>) -> Url {
    let mut url = sign_in_base.clone();
    url.set_path("/oauth");
    url.set_fragment(None);
    url.query_pairs_mut()
        .clear()
        .append_pair("Action", "logout");
    if let Some(then) = then {
        url.query_pairs_mut()
            .append_pair("redirect_uri", then.as_str());
    }
    url
}

/// Where a person lets one browser hold several console sessions. Not documented by AWS: link it,
/// never chain it.
pub fn multi_session_opt_in_url(partition: Partition, region: Option<&str>) -> Option<Url> {
    if partition != Partition::Aws {
        return None;
    }
    let region = region.unwrap_or(implicit_region(partition));
    if partition_of_region(region) != Some(partition) {
        return None;
    }
    let console = console_host(partition, Some(region))?;
    let host = format!("{region}.signin.{}", sign_in_domain(partition));
    let mut url = Url::parse(&format!("https://{host}/sessions/v1/opt-in")).ok()?;
    url.query_pairs_mut()
        .append_pair("redirect_uri", &format!("https://{console}/console/home"));
    Some(url)
}

/// A link that switches a console session that is open already to a role (IAM User Guide,
/// "Switching to a role"). None where the target is no role.
///
/// `colour` is six hexadecimal digits; others are left out. Long names are cut to 64 characters.
pub fn switch_role_url(
    target: &TargetArn,
    display_name: Option<&str>,
    colour: Option<&str>,
) -> Option<Url> {
    if target.kind() != TargetKind::Role {
        return None;
    }
    let host = sign_in_host(target.partition(), None)?;
    let mut url = Url::parse(&format!("https://{host}/switchrole")).ok()?;
    let role_path = target.as_str().split_once(":role/").map(|(_, path)| path)?;
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("account", target.account().as_str());
        query.append_pair("roleName", role_path);
        if let Some(name) = display_name {
            let name: String = name.chars().take(LONGEST_DISPLAY_NAME).collect();
            query.append_pair("displayName", &name);
        }
        let is_colour =
            |text: &&str| text.len() == 6 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(colour) = colour.filter(is_colour) {
            query.append_pair("color", colour);
        }
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_belong_to_their_partitions() {
        for (region, partition) in [
            ("us-east-1", Some(Partition::Aws)),
            ("ap-southeast-4", Some(Partition::Aws)),
            ("mx-central-1", Some(Partition::Aws)),
            ("il-central-1", Some(Partition::Aws)),
            ("us-gov-west-1", Some(Partition::AwsUsGov)),
            ("cn-north-1", Some(Partition::AwsCn)),
            ("eusc-de-east-1", Some(Partition::AwsEusc)),
            ("us-iso-east-1", Some(Partition::AwsIso)),
            ("us-isob-east-1", Some(Partition::AwsIsoB)),
            ("eu-isoe-west-1", Some(Partition::AwsIsoE)),
            ("us-isof-south-1", Some(Partition::AwsIsoF)),
            ("zz-west-1", None),
            ("us-east", None),
            ("us-east-1a", None),
            ("us-east-1.evil.example", None),
            ("US-EAST-1", None),
            ("us--1", None),
            ("", None),
        ] {
            assert_eq!(partition_of_region(region), partition, "{region}");
        }
    }

    #[test]
    fn every_partition_has_its_implicit_region_and_sign_in_host() {
        for partition in Partition::ALL {
            let region = implicit_region(partition);
            assert_eq!(partition_of_region(region), Some(partition));
            let host = sign_in_host(partition, None).unwrap();
            assert_eq!(partition_of_host(&host), Some(partition), "{host}");
        }
    }

    #[test]
    fn sign_in_hosts_carry_the_region_where_it_is_not_the_bare_one() {
        for (partition, region, host) in [
            (Partition::Aws, None, "signin.aws.amazon.com"),
            (Partition::Aws, Some("us-east-1"), "signin.aws.amazon.com"),
            (
                Partition::Aws,
                Some("eu-west-1"),
                "eu-west-1.signin.aws.amazon.com",
            ),
            (
                Partition::AwsUsGov,
                Some("us-gov-west-1"),
                "signin.amazonaws-us-gov.com",
            ),
            (
                Partition::AwsUsGov,
                Some("us-gov-east-1"),
                "us-gov-east-1.signin.amazonaws-us-gov.com",
            ),
            (Partition::AwsCn, None, "signin.amazonaws.cn"),
            (Partition::AwsCn, Some("cn-north-1"), "signin.amazonaws.cn"),
            (
                Partition::AwsEusc,
                None,
                "eusc-de-east-1.signin.amazonaws-eusc.eu",
            ),
            (
                Partition::AwsIso,
                None,
                "us-iso-east-1.signin.c2shome.ic.gov",
            ),
        ] {
            assert_eq!(sign_in_host(partition, region).as_deref(), Some(host));
        }
        assert_eq!(sign_in_host(Partition::Aws, Some("cn-north-1")), None);
    }

    #[test]
    fn hosts_that_only_look_alike_belong_to_nobody() {
        for host in [
            "evilconsole.aws.amazon.com.example.org",
            "evilconsole.aws.amazon.com",
            ".console.aws.amazon.com",
            "aws.amazon.com",
            "console.aws.amazon.co",
            "",
        ] {
            assert_eq!(partition_of_host(host), None, "{host}");
        }
    }

    #[test]
    fn switch_role_links_keep_the_path_and_drop_bad_colours() {
        let target: TargetArn = "arn:aws:iam::111122223333:role/team/Admin".parse().unwrap();
        assert_eq!(
            switch_role_url(&target, Some("Payments & Co"), Some("B7CA9D"))
                .unwrap()
                .as_str(),
            "https://signin.aws.amazon.com/switchrole?account=111122223333\
             &roleName=team%2FAdmin&displayName=Payments+%26+Co&color=B7CA9D"
        );
        let plain = switch_role_url(&target, None, Some("red&x=1")).unwrap();
        assert!(!plain.as_str().contains("color"));
    }
}

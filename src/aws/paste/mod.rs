//! What somebody pastes, and where it leads: an ARN, a console address, a sign-in or switch-role
//! link, a shortcut of the access portal.
//!
//! Pure. Never here: a decision about who may go there, or an address outside the partition's own
//! console. Entry point: [`Pasted::parse`].

mod page;

use std::borrow::Cow;

use url::{Url, form_urlencoded};

use super::{
    destination::{Console, Destination, account_label, region_of},
    partition::{
        console_domains, implicit_region, is_host_within, partition_of_host, partition_of_region,
        sign_in_domain,
    },
};
use crate::access::{AccountId, Partition, TargetArn, TargetKind};

/// The longest text that is looked at, in bytes.
const LONGEST: usize = 8_192;
/// How often an address may wrap another: a sign-in page holds a console address.
const DEEPEST: usize = 3;

/// What a pasted text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pasted {
    /// The account, where the text names one.
    pub account: Option<AccountId>,
    /// The account's alias, where the text names that instead.
    pub alias: Option<String>,
    /// The partition.
    pub partition: Partition,
    /// The region, where the text names one.
    pub region: Option<String>,
    /// The console page, within the partition's console; none where there is none to go to.
    pub destination: Option<Url>,
    /// The role, where the text names one. Its path is left out where the text does not know it,
    /// and a permission set stands under its own name: look it up by account and name.
    pub role: Option<TargetArn>,
}

impl Pasted {
    /// Reads a text; none where it is neither an ARN nor an address of AWS's.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let is_wrapping = |c: char| c.is_whitespace() || "\"'`<>,;".contains(c);
        let text = text.trim_matches(is_wrapping);
        if text.chars().any(char::is_control) {
            return None;
        }
        if text.starts_with("arn:") {
            return Arn::parse(text).map(Arn::pasted);
        }
        let url = Url::parse(text).ok()?;
        of_url(&url, DEEPEST)
    }

    fn nothing(partition: Partition) -> Self {
        Self {
            account: None,
            alias: None,
            partition,
            region: None,
            destination: None,
            role: None,
        }
    }

    /// This, with the gaps filled from `other` where that is of the same partition.
    fn or(self, other: Self) -> Self {
        if self.partition != other.partition {
            return self;
        }
        Self {
            account: self.account.or(other.account),
            alias: self.alias.or(other.alias),
            partition: self.partition,
            region: self.region.or(other.region),
            destination: self.destination.or(other.destination),
            role: self.role.or(other.role),
        }
    }
}

/// An ARN of anything (AWS General Reference, "Amazon Resource Names").
struct Arn<'a> {
    text: &'a str,
    partition: Partition,
    service: &'a str,
    region: Option<&'a str>,
    account: Option<AccountId>,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (_, partition, service, region, account, resource) = (
            parts.next()?,
            parts.next()?.parse().ok()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
        );
        let is_service = !service.is_empty()
            && service
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_service || resource.is_empty() {
            return None;
        }
        // `aws` owns the managed policies.
        let account = match account {
            "" | "aws" => None,
            digits => Some(digits.parse().ok()?),
        };
        Some(Self {
            text,
            partition,
            service,
            region: Some(region).filter(|region| partition_of_region(region) == Some(partition)),
            account,
            resource,
        })
    }

    fn pasted(self) -> Pasted {
        let role = self.role();
        let destination = match (self.service, &role) {
            // The session itself has no page.
            ("sts", _) => None,
            _ => self.page(),
        };
        Pasted {
            alias: None,
            partition: self.partition,
            region: self.region.map(str::to_owned),
            destination,
            role,
            account: self.account,
        }
    }

    /// `iam::A:role/…`, or the role of `sts::A:assumed-role/NAME/SESSION`.
    fn role(&self) -> Option<TargetArn> {
        if self.service == "sts" {
            let (name, _) = self
                .resource
                .strip_prefix("assumed-role/")?
                .split_once('/')?;
            return role_named(self.partition, self.account.as_ref()?, name);
        }
        let arn: TargetArn = self.text.parse().ok()?;
        (arn.kind() == TargetKind::Role).then_some(arn)
    }

    /// The resource's page, or the console's home where its service is not known.
    fn page(&self) -> Option<Url> {
        let region = self
            .region
            .unwrap_or_else(|| implicit_region(self.partition));
        let console = Console {
            partition: self.partition,
            region: Some(region),
            console_url: None,
        };
        let page = self
            .page_path()
            .and_then(|path| self.console_url(&path))
            .and_then(|url| Destination::parse(url.as_str(), console).ok());
        page.or_else(|| Destination::home(console).ok())
            .map(Destination::into_url)
    }
}

fn role_named(partition: Partition, account: &AccountId, path: &str) -> Option<TargetArn> {
    format!("arn:{partition}:iam::{account}:role/{path}")
        .parse()
        .ok()
}

fn of_url(url: &Url, depth: usize) -> Option<Pasted> {
    let depth = depth.checked_sub(1)?;
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let host = url.host_str()?;
    if let Some(partition) = portal_partition(host) {
        return of_portal(url, partition, depth);
    }
    let partition = partition_of_host(host)?;
    let is_console = console_domains(partition)
        .iter()
        .any(|domain| is_host_within(host, domain));
    if is_console {
        of_console(url, partition)
    } else {
        of_sign_in(url, host, partition, depth)
    }
}

/// A page of the console, account-scoped or not.
fn of_console(url: &Url, partition: Partition) -> Option<Pasted> {
    let console = Console {
        partition,
        region: None,
        console_url: None,
    };
    let destination = Destination::parse(url.as_str(), console).ok()?;
    let in_host = url
        .host_str()
        .and_then(account_label)
        .and_then(|digits| digits.parse().ok());
    let region = region_of(url).filter(|region| partition_of_region(region) == Some(partition));
    Some(Pasted {
        account: in_host.or_else(|| account_of_embedded_arn(url, partition)),
        region,
        destination: Some(destination.into_url()),
        ..Pasted::nothing(partition)
    })
}

/// Many pages carry the ARN of what they show in the query or fragment.
fn account_of_embedded_arn(url: &Url, partition: Partition) -> Option<AccountId> {
    let parts = [url.query(), url.fragment()].into_iter().flatten();
    parts.into_iter().find_map(|part| {
        let text = percent_decoded(part);
        let (_, rest) = text.split_once(&format!("arn:{partition}:"))?;
        rest.split(':').nth(2)?.parse().ok()
    })
}

/// A sign-in page of one account, a switch-role link, or a hop that holds the address to go to.
fn of_sign_in(url: &Url, host: &str, partition: Partition, depth: usize) -> Option<Pasted> {
    let domain = format!("signin.{}", sign_in_domain(partition));
    let front = host.strip_suffix(&domain)?.trim_end_matches('.');
    let query = Query::of(url.query().unwrap_or_default());
    let inner = ["Destination", "destination", "redirect_uri", "RelayState"]
        .into_iter()
        .filter_map(|name| query.value(name))
        .filter_map(|text| Url::parse(text).ok())
        .find_map(|url| of_url(&url, depth));
    let mut pasted = Pasted::nothing(partition);
    match partition_of_region(front) {
        Some(of_region) if of_region == partition => pasted.region = Some(front.to_owned()),
        Some(_) => return None,
        None if front.is_empty() => {}
        None => pasted.name_account(front)?,
    }
    if url.path().trim_end_matches('/') == "/switchrole" {
        pasted.name_account(query.value("account")?)?;
        let role = query.value("roleName")?;
        if let Some(account) = &pasted.account {
            pasted.role = Some(role_named(partition, account, role)?);
        }
    }
    let pasted = match inner {
        Some(inner) => pasted.or(inner),
        None => pasted,
    };
    let says_something =
        pasted.account.is_some() || pasted.alias.is_some() || pasted.destination.is_some();
    says_something.then_some(pasted)
}

impl Pasted {
    /// Notes an account id or alias (IAM User Guide, "Your AWS account ID and its alias"); none
    /// where the text is neither.
    fn name_account(&mut self, text: &str) -> Option<()> {
        if let Ok(account) = text.parse() {
            self.account = Some(account);
            return Some(());
        }
        let is_alias = (3..=63).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        self.alias = is_alias.then(|| text.to_owned());
        self.alias.is_some().then_some(())
    }
}

/// The partition of an access portal's host (IAM Identity Center User Guide, "Using the AWS access
/// portal").
fn portal_partition(host: &str) -> Option<Partition> {
    if is_host_within(host, "us-gov-home.awsapps.com") {
        Some(Partition::AwsUsGov)
    } else if is_host_within(host, "awsapps.com") || is_host_within(host, "app.aws") {
        Some(Partition::Aws)
    } else if is_host_within(host, "awsapps.cn") {
        Some(Partition::AwsCn)
    } else {
        None
    }
}

/// A shortcut link: `…/start/#/console?account_id=…&role_name=…&destination=…`.
fn of_portal(url: &Url, partition: Partition, depth: usize) -> Option<Pasted> {
    let (_, query) = url.fragment()?.split_once("/console?")?;
    let query = Query::of(query);
    let inner = query
        .value("destination")
        .and_then(|text| Url::parse(text).ok())
        .and_then(|url| of_url(&url, depth));
    // GovCloud's portals share hosts with others; the destination knows better.
    let partition = inner.as_ref().map_or(partition, |inner| inner.partition);
    let account: AccountId = query.value("account_id")?.parse().ok()?;
    let role = query
        .value("role_name")
        .and_then(|name| role_named(partition, &account, name));
    let pasted = Pasted {
        account: Some(account),
        role,
        ..Pasted::nothing(partition)
    };
    Some(match inner {
        Some(inner) => pasted.or(inner),
        None => pasted,
    })
}

/// The parameters of a query, the first of each name counting.
struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn of(text: &'a str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).collect())
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_ref())
    }
}

/// `%3A` as `:` and so on; what is no UTF-8 then is replaced.
fn percent_decoded(text: &str) -> String {
    // A query's decoder also turns `+` into a blank, which no ARN's account holds.
    form_urlencoded::parse(format!("x={}", text.replace('&', "%26")).as_bytes())
        .map(|(_, value)| value.into_owned())
        .next()
        .unwrap_or_default()
}

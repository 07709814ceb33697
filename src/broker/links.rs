//! Addresses around a role: our deep link, AWS's own pages, and what a pasted text means.

use url::Url;

use super::Broker;
use crate::{
    access::{Partition, TargetArn},
    aws::{partition, paste::Pasted},
};

/// Addresses that belong to a role.
#[derive(Debug)]
pub struct Links {
    /// Our own address that opens the role.
    pub deep_link: Url,
    /// AWS's page that switches to the role from a console session, where its partition has one.
    pub switch_role: Option<Url>,
    /// AWS's page that lets one browser hold several AWS sessions.
    pub multi_session: Option<Url>,
    /// Regions to offer.
    pub regions: Vec<String>,
}

impl Broker {
    /// The addresses of a role; `account` is the name that AWS's page shall show.
    pub fn links(&self, role: &TargetArn, account: Option<&str>) -> Links {
        let partition = role.partition();
        Links {
            deep_link: self.deep_link(role, None),
            switch_role: partition::switch_role_url(role, account, None),
            multi_session: partition::multi_session_opt_in_url(partition, None),
            regions: regions(partition),
        }
    }

    /// What a text means if it is an ARN or a console address, and in a few words; None when it is
    /// neither.
    pub fn read_pasted(&self, text: &str) -> Option<(Pasted, String)> {
        let pasted = Pasted::parse(text)?;
        let about = about(text, &pasted);
        Some((pasted, about))
    }

    /// What people call a role's account: its name in the table, else its id.
    pub async fn account_name(&self, role: &TargetArn) -> String {
        let policy = self.policy().await.ok();
        let name = policy.and_then(|policy| Some(policy.account(&role.account())?.name.clone()));
        name.unwrap_or_else(|| role.account().to_string())
    }

    /// Asks AWS once who each credential source is that a role is opened with, so that the first
    /// person meets the right limits. What fails is logged and asked again by nobody: the first
    /// grant finds out. Where an identity provider vouches for all, nobody is asked anything.
    pub async fn learn_callers(&self) {
        let Ok(policy) = self.policy().await else {
            return;
        };
        let used = policy.credential_sources();
        let known = self.adapters.sts.credential_sources();
        for source in known.into_iter().filter(|id| used.contains(id.as_str())) {
            match self.adapters.sts.caller(&source).await {
                Ok(caller) => tracing::info!(
                    credential_source = source,
                    aws.caller = caller.arn,
                    aws.is_temporary = caller.is_temporary,
                    "credentials found"
                ),
                Err(error) => tracing::warn!(
                    credential_source = source,
                    error = &error as &dyn std::error::Error,
                    "credentials could not be checked"
                ),
            }
        }
    }
}

/// What was pasted, in a few words: `lambda in eu-west-1`.
fn about(text: &str, pasted: &Pasted) -> String {
    if let Some(role) = &pasted.role {
        return format!("role {}", role.name());
    }
    let service = if text.trim().starts_with("arn:") {
        text.split(':').nth(2)
    } else {
        let path = pasted.destination.as_ref().and_then(Url::path_segments);
        path.and_then(|mut segments| segments.next())
            .filter(|segment| *segment != "console")
    };
    let service = service
        .filter(|name| !name.is_empty())
        .unwrap_or("the console");
    let service: String = service.chars().take(40).collect();
    match &pasted.region {
        Some(region) => format!("{service} in {region}"),
        None => service,
    }
}

/// The regions that are offered; any other can be typed.
fn regions(partition: Partition) -> Vec<String> {
    let regions: &[&str] = match partition {
        Partition::Aws => &[
            "us-east-1",
            "us-east-2",
            "us-west-2",
            "ca-central-1",
            "sa-east-1",
            "eu-west-1",
            "eu-west-2",
            "eu-central-1",
            "eu-north-1",
            "ap-south-1",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-northeast-1",
        ],
        Partition::AwsUsGov => &["us-gov-west-1", "us-gov-east-1"],
        Partition::AwsCn => &["cn-north-1", "cn-northwest-1"],
        Partition::AwsEusc => &["eusc-de-east-1"],
        Partition::AwsIso | Partition::AwsIsoB | Partition::AwsIsoE | Partition::AwsIsoF => &[],
    };
    regions.iter().map(|region| (*region).to_owned()).collect()
}

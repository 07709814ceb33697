//! Where IAM and Organizations answer: one place for each partition, whatever the region.
//!
//! Source: the AWS SDKs' `endpoints.json`. Entry point: [`Endpoint`].

use url::Url;

use crate::access::Partition;

/// Where a service is asked, and what a signature for it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The address.
    pub(super) url: Url,
    /// The region of the signature.
    pub(super) region: &'static str,
    /// The service of the signature.
    pub(super) service: &'static str,
}

impl Endpoint {
    /// IAM's, or `instead` in its place.
    pub(super) fn iam(partition: Partition, instead: Option<&Url>) -> Option<Self> {
        let (host, region) = match partition {
            Partition::Aws => ("iam.amazonaws.com", "us-east-1"),
            Partition::AwsUsGov => ("iam.us-gov.amazonaws.com", "us-gov-west-1"),
            Partition::AwsCn => ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            Partition::AwsEusc => ("iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            Partition::AwsIso => ("iam.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            Partition::AwsIsoB => ("iam.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
            Partition::AwsIsoE => ("iam.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1"),
            Partition::AwsIsoF => ("iam.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1"),
        };
        Self::at(host, region, "iam", instead)
    }

    /// Organizations', or `instead` in its place.
    pub(super) fn organizations(partition: Partition, instead: Option<&Url>) -> Option<Self> {
        let (host, region) = match partition {
            Partition::Aws => ("organizations.us-east-1.amazonaws.com", "us-east-1"),
            Partition::AwsUsGov => ("organizations.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            Partition::AwsCn => (
                "organizations.cn-northwest-1.amazonaws.com.cn",
                "cn-northwest-1",
            ),
            Partition::AwsEusc => (
                "organizations.eusc-de-east-1.amazonaws.eu",
                "eusc-de-east-1",
            ),
            Partition::AwsIso => ("organizations.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            Partition::AwsIsoB => (
                "organizations.us-isob-east-1.sc2s.sgov.gov",
                "us-isob-east-1",
            ),
            Partition::AwsIsoE => (
                "organizations.eu-isoe-west-1.cloud.adc-e.uk",
                "eu-isoe-west-1",
            ),
            Partition::AwsIsoF => (
                "organizations.us-isof-south-1.csp.hci.ic.gov",
                "us-isof-south-1",
            ),
        };
        Self::at(host, region, "organizations", instead)
    }

    fn at(
        host: &str,
        region: &'static str,
        service: &'static str,
        instead: Option<&Url>,
    ) -> Option<Self> {
        let url = match instead {
            Some(url) => url.clone(),
            None => Url::parse(&format!("https://{host}/")).ok()?,
        };
        Some(Self {
            url,
            region,
            service,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_own_address() {
        let mut hosts: Vec<String> = Partition::ALL
            .into_iter()
            .flat_map(|partition| {
                [
                    Endpoint::iam(partition, None),
                    Endpoint::organizations(partition, None),
                ]
            })
            .map(|endpoint| endpoint.unwrap().url.to_string())
            .collect();
        let count = hosts.len();
        hosts.sort();
        hosts.dedup();
        assert_eq!(hosts.len(), count);
        assert_eq!(count, 2 * Partition::ALL.len());
    }
}

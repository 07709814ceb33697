//! The console page of a resource, service by service.
//!
//! Never here: a host, or a character of the ARN that is not percent-encoded. The paths are the
//! console's own, which AWS does not document; one that has moved ends on the service's first
//! page. Entry point: `Arn::page_path`.

use std::fmt::Write as _;

use url::Url;

use super::Arn;
use crate::{
    access::Partition,
    aws::{destination::console_base, partition::console_host},
};

/// Where a page is, without its host.
pub(super) enum Page {
    /// In the console of the resource's region, which is added to the query.
    InRegion(String),
    /// In the console that has no region.
    Global(String),
}

use Page::{Global, InRegion};

impl Arn<'_> {
    /// The page's address in the partition's console.
    pub(super) fn console_url(&self, page: &Page) -> Option<Url> {
        match page {
            Global(path) => {
                let host = console_host(self.partition, None)?;
                Url::parse(&format!("https://{host}/{path}")).ok()
            }
            InRegion(path) => {
                let region = self.region?;
                let base = console_base(self.partition, region)?;
                let mut url = Url::parse(&format!("{base}/{path}")).ok()?;
                url.query_pairs_mut().append_pair("region", region);
                Some(url)
            }
        }
    }

    /// The page's path, query and fragment; none where the service or its resource is not known.
    pub(super) fn page_path(&self) -> Option<Page> {
        let (kind, name) = self.kind_and_name();
        match self.service {
            "ec2" => Some(InRegion(ec2(kind, name))),
            "s3" => Some(Global(s3(self.resource))),
            "iam" => iam(kind, name, self.text).map(Global),
            "cloudfront" => Some(Global(format!(
                "cloudfront/v4/home#/distributions/{}",
                encoded(name)
            ))),
            "route53" => Some(Global(format!(
                "route53/v2/hostedzones#ListRecordSets/{}",
                encoded(name)
            ))),
            "organizations" => Some(Global("organizations/v2/home/accounts".to_owned())),
            _ => (self.compute(kind, name))
                .or_else(|| self.storage(kind, name))
                .or_else(|| self.messaging(kind, name))
                .or_else(|| self.operations(kind, name))
                .or_else(|| self.analytics(kind, name))
                .map(InRegion),
        }
    }

    /// `kind/name` or `kind:name`; the name alone where there is no kind.
    fn kind_and_name(&self) -> (&str, &str) {
        match self.resource.split_once([':', '/']) {
            Some((kind, name)) => (kind, name),
            None => ("", self.resource),
        }
    }

    fn compute(&self, kind: &str, name: &str) -> Option<String> {
        let mut parts = name.split('/');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next());
        let (first_encoded, whole) = (encoded(first), encoded(name));
        Some(match (self.service, kind, second) {
            ("lambda", "function", _) => {
                let function = name.split(':').next().unwrap_or_default();
                format!("lambda/home#/functions/{}", encoded(function))
            }
            ("lambda", "layer", _) => {
                let (layer, version) = name.split_once(':').unwrap_or((name, "1"));
                let (layer, version) = (encoded(layer), encoded(version));
                format!("lambda/home#/layers/{layer}/versions/{version}")
            }
            ("ecs", "cluster", _) => format!("ecs/v2/clusters/{whole}/services"),
            ("ecs", "service", Some(service)) => format!(
                "ecs/v2/clusters/{first_encoded}/services/{}/health",
                encoded(service)
            ),
            ("ecs", "task", Some(task)) => format!(
                "ecs/v2/clusters/{first_encoded}/tasks/{}/configuration",
                encoded(task)
            ),
            ("ecs", "task-definition", _) => {
                let (family, revision) = name.split_once(':').unwrap_or((name, "1"));
                let (family, revision) = (encoded(family), encoded(revision));
                format!("ecs/v2/task-definitions/{family}/{revision}/containers")
            }
            ("eks", "cluster", _) => format!("eks/home#/clusters/{whole}"),
            ("eks", "nodegroup", Some(group)) => format!(
                "eks/home#/clusters/{first_encoded}/nodegroups/{}",
                encoded(group)
            ),
            ("autoscaling", "autoScalingGroup", _) => {
                let (_, group) = name.split_once("autoScalingGroupName/")?;
                format!("ec2/home#AutoScalingGroupDetails:id={}", encoded(group))
            }
            ("elasticloadbalancing", "loadbalancer", Some(_)) => format!(
                "ec2/home#LoadBalancer:loadBalancerArn={}",
                self.encoded_arn()
            ),
            ("elasticloadbalancing", "loadbalancer", None) => {
                format!("ec2/home#LoadBalancers:search={whole}")
            }
            ("elasticloadbalancing", "targetgroup", _) => {
                format!("ec2/home#TargetGroup:targetGroupArn={}", self.encoded_arn())
            }
            ("batch", "job-queue", _) => {
                format!("batch/home#queues/detail/{}", self.encoded_arn())
            }
            _ => return None,
        })
    }

    fn storage(&self, kind: &str, name: &str) -> Option<String> {
        let first = encoded(name.split('/').next().unwrap_or_default());
        let whole = encoded(name);
        Some(match (self.service, kind) {
            ("rds", "db") => format!("rds/home#database:id={whole};is-cluster=false"),
            ("rds", "cluster") => format!("rds/home#database:id={whole};is-cluster=true"),
            ("rds", "snapshot") => format!("rds/home#db-snapshot:id={whole}"),
            ("dynamodb", "table") => format!("dynamodbv2/home#table?name={first}"),
            ("elasticache", "cluster" | "replicationgroup") => {
                format!("elasticache/home#/redis/{whole}")
            }
            ("elasticfilesystem", "file-system") => format!("efs/home#/file-systems/{whole}"),
            ("backup", "backup-vault") => format!("backup/home#/backupvaults/details/{whole}"),
            ("ecr", "repository") => {
                let account = self.account.as_ref()?;
                // Names with a slash keep it.
                let path: Vec<String> = name.split('/').map(encoded).collect();
                format!("ecr/repositories/private/{account}/{}", path.join("/"))
            }
            _ => return None,
        })
    }

    fn messaging(&self, kind: &str, name: &str) -> Option<String> {
        Some(match self.service {
            "sqs" => {
                let (region, account) = (self.region?, self.account.as_ref()?);
                let suffix = match self.partition {
                    Partition::AwsCn => "amazonaws.com.cn",
                    Partition::AwsEusc => "amazonaws.eu",
                    _ => "amazonaws.com",
                };
                let queue = format!("https://sqs.{region}.{suffix}/{account}/{}", self.resource);
                format!("sqs/v3/home#/queues/{}", encoded(&queue))
            }
            "sns" => {
                let topic: Vec<&str> = self.text.split(':').take(6).collect();
                format!("sns/v3/home#/topic/{}", lightly_encoded(&topic.join(":")))
            }
            "events" if kind == "rule" => {
                let (bus, rule) = name.rsplit_once('/').unwrap_or(("default", name));
                let (bus, rule) = (encoded(bus), encoded(rule));
                format!("events/home#/eventbus/{bus}/rules/{rule}")
            }
            "events" if kind == "event-bus" => {
                format!("events/home#/eventbus/{}", encoded(name))
            }
            "states" if kind == "stateMachine" => format!(
                "states/home#/statemachines/view/{}",
                lightly_encoded(self.text)
            ),
            "states" if kind == "execution" => format!(
                "states/home#/v2/executions/details/{}",
                lightly_encoded(self.text)
            ),
            "kinesis" if kind == "stream" => {
                format!("kinesis/home#/streams/details/{}/monitoring", encoded(name))
            }
            "firehose" if kind == "deliverystream" => {
                format!("firehose/home#/details/{}/monitoring", encoded(name))
            }
            "apigateway" => api(self.resource)?,
            "execute-api" => {
                let id = self.resource.split('/').next().unwrap_or_default();
                format!("apigateway/home#/apis/{}/resources", encoded(id))
            }
            "cognito-idp" if kind == "userpool" => {
                format!("cognito/v2/idp/user-pools/{}/users", encoded(name))
            }
            _ => return None,
        })
    }

    fn operations(&self, kind: &str, name: &str) -> Option<String> {
        let whole = encoded(name);
        Some(match (self.service, kind) {
            ("logs", "log-group") => logs(name),
            ("cloudwatch", "alarm") => format!("cloudwatch/home#alarmsV2:alarm/{whole}"),
            ("cloudformation", "stack") => format!(
                "cloudformation/home#/stacks/stackinfo?stackId={}",
                self.encoded_arn()
            ),
            ("kms", "key") => format!("kms/home#/kms/keys/{whole}"),
            ("kms", _) => "kms/home#/kms/keys".to_owned(),
            ("secretsmanager", "secret") => {
                format!(
                    "secretsmanager/secret?name={}",
                    encoded(without_suffix(name))
                )
            }
            ("ssm", "parameter") => {
                // Names with a path start with a slash that the ARN leaves out.
                let full = if name.contains('/') {
                    format!("/{name}")
                } else {
                    name.to_owned()
                };
                // The page's path is decoded twice.
                let twice = encoded(&full).replace('%', "%25");
                format!("systems-manager/parameters/{twice}/description")
            }
            ("acm", "certificate") => format!("acm/home#/certificates/{whole}"),
            ("codepipeline", "") => format!("codesuite/codepipeline/pipelines/{whole}/view"),
            ("codecommit", "") => format!("codesuite/codecommit/repositories/{whole}/browse"),
            ("codebuild", "project") => {
                let account = self.account.as_ref()?;
                format!("codesuite/codebuild/{account}/projects/{whole}")
            }
            _ => return None,
        })
    }

    fn analytics(&self, kind: &str, name: &str) -> Option<String> {
        let whole = encoded(name);
        Some(match (self.service, kind) {
            ("glue", "job") => format!("gluestudio/home#/editor/job/{whole}/details"),
            ("glue", "database") => format!("glue/home#/v2/data-catalog/databases/view/{whole}"),
            ("glue", "table") => {
                let (database, table) = name.split_once('/')?;
                let (database, table) = (encoded(database), encoded(table));
                format!("glue/home#/v2/data-catalog/tables/view/{table}?database={database}")
            }
            ("athena", "workgroup") => format!("athena/home#/workgroups/details/{whole}"),
            ("redshift", "cluster") => {
                format!("redshiftv2/home#/cluster-details?cluster={whole}")
            }
            ("sagemaker", "notebook-instance") => {
                format!("sagemaker/home#/notebook-instances/{whole}")
            }
            ("sagemaker", "endpoint") => format!("sagemaker/home#/endpoints/{whole}"),
            ("sagemaker", "training-job") => format!("sagemaker/home#/jobs/{whole}"),
            ("sagemaker", "model") => format!("sagemaker/home#/models/{whole}"),
            ("es", "domain") => format!("aos/home#opensearch/domains/{whole}"),
            ("elasticmapreduce", "cluster") => format!("emr/home#/clusterDetails/{whole}"),
            _ => return None,
        })
    }

    fn encoded_arn(&self) -> String {
        encoded(self.text)
    }
}

fn ec2(kind: &str, name: &str) -> String {
    let name = encoded(name);
    match kind {
        "instance" => format!("ec2/home#InstanceDetails:instanceId={name}"),
        "volume" => format!("ec2/home#VolumeDetails:volumeId={name}"),
        "snapshot" => format!("ec2/home#SnapshotDetails:snapshotId={name}"),
        "image" => format!("ec2/home#ImageDetails:imageId={name}"),
        "security-group" => format!("ec2/home#SecurityGroup:groupId={name}"),
        "network-interface" => format!("ec2/home#NetworkInterface:networkInterfaceId={name}"),
        "vpc" => format!("vpcconsole/home#VpcDetails:VpcId={name}"),
        "subnet" => format!("vpcconsole/home#subnetDetails:subnetId={name}"),
        _ => "ec2/home#Home:".to_owned(),
    }
}

fn s3(resource: &str) -> String {
    match resource.split_once('/') {
        None | Some((_, "" | "*")) => {
            let bucket = resource.split('/').next().unwrap_or_default();
            format!("s3/buckets/{}", encoded(bucket))
        }
        Some((bucket, key)) => {
            format!("s3/object/{}?prefix={}", encoded(bucket), encoded(key))
        }
    }
}

fn iam(kind: &str, name: &str, arn: &str) -> Option<String> {
    // Roles, users and groups are shown by name, without the path before it.
    let last = encoded(name.rsplit('/').next().unwrap_or_default());
    let arn = encoded(arn);
    Some(match kind {
        "role" => format!("iam/home#/roles/details/{last}"),
        "user" => format!("iam/home#/users/details/{last}"),
        "group" => format!("iam/home#/groups/details/{last}"),
        "policy" => format!("iam/home#/policies/details/{arn}"),
        "saml-provider" => format!("iam/home#/identity_providers/details/SAML/{arn}"),
        "oidc-provider" => format!("iam/home#/identity_providers/details/OPENID/{arn}"),
        _ => return None,
    })
}

fn api(resource: &str) -> Option<String> {
    let mut parts = resource.split('/').filter(|part| !part.is_empty());
    let (kind, id) = (parts.next()?, encoded(parts.next()?));
    match kind {
        "restapis" => Some(format!("apigateway/home#/apis/{id}/resources")),
        "apis" => Some(format!("apigateway/main/api-detail?api={id}")),
        _ => None,
    }
}

/// `NAME`, `NAME:*` or `NAME:log-stream:STREAM`; this console encodes twice, with `$` for `%`.
fn logs(name: &str) -> String {
    let (group, rest) = name.split_once(':').unwrap_or((name, ""));
    let twice = |text: &str| encoded(text).replace('%', "$25");
    let mut path = format!(
        "cloudwatch/home#logsV2:log-groups/log-group/{}",
        twice(group)
    );
    if let Some(stream) = rest.strip_prefix("log-stream:").filter(|s| !s.is_empty()) {
        path.push_str("/log-events/");
        path.push_str(&twice(stream));
    }
    path
}

/// A secret's name without the hyphen and six characters that its ARN ends in.
fn without_suffix(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((front, suffix))
            if suffix.len() == 6 && suffix.bytes().all(|b| b.is_ascii_alphanumeric()) =>
        {
            front
        }
        _ => name,
    }
}

/// Everything but unreserved characters percent-encoded (RFC 3986, section 2.3).
fn encoded(text: &str) -> String {
    encoded_but(text, b"-._~")
}

/// The same with the marks of an ARN kept, for consoles that match it as it is.
fn lightly_encoded(text: &str) -> String {
    encoded_but(text, b"-._~:/")
}

fn encoded_but(text: &str, kept: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

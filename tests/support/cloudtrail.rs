//! CloudTrail's events about role sessions, as AWS documents them.

use rolegate::demo::aws::Issued;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// What Rolegate's SDK calls itself.
pub const OUR_USER_AGENT: &str = "aws-sdk-rust/1.3 ua/2.1 api/sts/1.1 os/linux lang/rust/1.95 lib/rolegate/0.1.0 app/rolegate-0.1.0";
/// Somebody with a shell.
pub const CLI_USER_AGENT: &str = "aws-cli/2.36.7 md/awscrt";

/// One call for a role session.
#[derive(Clone)]
pub struct Call {
    /// When.
    pub at: OffsetDateTime,
    /// The role's ARN.
    pub role: String,
    /// The RoleSessionName.
    pub session_name: String,
    /// STS's request id.
    pub request_id: String,
    /// The user's ARN.
    pub caller: String,
    /// The region.
    pub region: String,
    /// The program.
    pub user_agent: String,
    /// The session tags.
    pub tags: Vec<(String, String)>,
    /// Why it failed, if it did.
    pub error: Option<&'static str>,
}

impl Call {
    /// What the stand-in for AWS issued.
    pub fn of(issued: &Issued) -> Self {
        Self {
            at: issued.expiration - Duration::seconds(issued.duration_seconds.into()),
            role: issued.role_arn.clone(),
            session_name: issued.session_name.clone(),
            request_id: issued.request_id.clone(),
            caller: issued.caller_arn.clone(),
            region: issued.region.clone(),
            user_agent: OUR_USER_AGENT.to_owned(),
            tags: issued.tags.clone(),
            error: None,
        }
    }

    /// The events: one in the caller's account, and one in the role's where that is another.
    pub fn events(&self) -> Vec<Value> {
        let (home, target) = (account(&self.caller), account(&self.role));
        let shared = format!("shared-{}", self.request_id);
        let own = json!({ "type": "IAMUser", "arn": self.caller, "accountId": home });
        if home == target {
            return vec![self.event(&own, home, None)];
        }
        // In the role's account the caller is an account and an id alone.
        let foreign = json!({ "type": "AWSAccount", "principalId": "AIDA", "accountId": home });
        vec![
            self.event(&own, home, Some(&shared)),
            self.event(&foreign, target, Some(&shared)),
        ]
    }

    fn event(&self, identity: &Value, recipient: &str, shared: Option<&str>) -> Value {
        let tags = self.tags.iter();
        let tags: Vec<Value> = tags
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect();
        let mut event = json!({
            "eventVersion": "1.08",
            "userIdentity": identity,
            "eventTime": self.at.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap(),
            "eventSource": "sts.amazonaws.com",
            "eventName": "AssumeRole",
            "awsRegion": self.region,
            "sourceIPAddress": "192.0.2.1",
            "userAgent": self.user_agent,
            "requestParameters": {
                "roleArn": self.role,
                "roleSessionName": self.session_name,
                "durationSeconds": 3600,
                "tags": tags,
            },
            "responseElements": { "credentials": { "accessKeyId": "ASIANEVERJOINED" } },
            "requestID": self.request_id,
            "eventID": format!("event-{}-{recipient}", self.request_id),
            "readOnly": true,
            "eventType": "AwsApiCall",
            "recipientAccountId": recipient,
        });
        if let Some(shared) = shared {
            event["sharedEventID"] = shared.into();
        }
        if let Some(error) = self.error {
            event["errorCode"] = error.into();
            event["responseElements"] = Value::Null;
            event["requestParameters"] = Value::Null;
        }
        event
    }
}

/// Some other event: it tells that the trail covers its moment.
pub fn other_event(at: OffsetDateTime, account: &str, region: &str) -> Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": { "type": "Root", "accountId": account },
        "eventTime": at.replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap(),
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "awsRegion": region,
        "eventID": format!("other-{account}-{region}-{}", at.unix_timestamp()),
        "requestID": format!("other-{}", at.unix_timestamp()),
        "recipientAccountId": account,
    })
}

fn account(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap()
}

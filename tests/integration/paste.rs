//! Pasted ARNs and addresses land on the expected account, region and page.

use proptest::prelude::*;
use rolegate::{
    access::Partition,
    aws::{
        destination::{Console, Destination},
        paste::Pasted,
    },
};

const A: &str = "111122223333";

/// Pasted text, account, region and page. An empty text stands for none.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// ARNs of thirty-odd services, of every partition.
const ARNS: &[Row] = &[
    (
        "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#InstanceDetails:instanceId=i-0123456789abcdef0",
    ),
    (
        "arn:aws:ec2:us-east-1:111122223333:security-group/sg-903004f8",
        A,
        "us-east-1",
        "https://us-east-1.console.aws.amazon.com/ec2/home?region=us-east-1#SecurityGroup:groupId=sg-903004f8",
    ),
    (
        "arn:aws:ec2:us-east-1:111122223333:vpc/vpc-0e9801d129EXAMPLE",
        A,
        "us-east-1",
        "https://us-east-1.console.aws.amazon.com/vpcconsole/home?region=us-east-1#VpcDetails:VpcId=vpc-0e9801d129EXAMPLE",
    ),
    (
        "arn:aws:s3:::example-bucket",
        "",
        "",
        "https://console.aws.amazon.com/s3/buckets/example-bucket",
    ),
    (
        "arn:aws:s3:::example-bucket/reports/2026 q1/a&b.csv",
        "",
        "",
        "https://console.aws.amazon.com/s3/object/example-bucket?prefix=reports%2F2026%20q1%2Fa%26b.csv",
    ),
    (
        "arn:aws:lambda:eu-central-1:111122223333:function:invoice:live",
        A,
        "eu-central-1",
        "https://eu-central-1.console.aws.amazon.com/lambda/home?region=eu-central-1#/functions/invoice",
    ),
    (
        "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/lambda/invoice:*",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Flambda$252Finvoice",
    ),
    (
        "arn:aws:logs:eu-west-1:111122223333:log-group:/app:log-stream:web/1",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Fapp/log-events/web$252F1",
    ),
    (
        "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:High CPU",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/High%20CPU",
    ),
    (
        "arn:aws:rds:eu-west-2:111122223333:db:orders",
        A,
        "eu-west-2",
        "https://eu-west-2.console.aws.amazon.com/rds/home?region=eu-west-2#database:id=orders;is-cluster=false",
    ),
    (
        "arn:aws:rds:eu-west-2:111122223333:cluster:orders",
        A,
        "eu-west-2",
        "https://eu-west-2.console.aws.amazon.com/rds/home?region=eu-west-2#database:id=orders;is-cluster=true",
    ),
    (
        "arn:aws:dynamodb:us-west-2:111122223333:table/Orders/index/by-date",
        A,
        "us-west-2",
        "https://us-west-2.console.aws.amazon.com/dynamodbv2/home?region=us-west-2#table?name=Orders",
    ),
    (
        "arn:aws:sqs:eu-west-1:111122223333:invoices",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/sqs/v3/home?region=eu-west-1#/queues/https%3A%2F%2Fsqs.eu-west-1.amazonaws.com%2F111122223333%2Finvoices",
    ),
    (
        "arn:aws:sns:eu-west-1:111122223333:alerts:8a21d249-4329-4871-acc6-7be709c6ea7f",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/sns/v3/home?region=eu-west-1#/topic/arn:aws:sns:eu-west-1:111122223333:alerts",
    ),
    (
        "arn:aws:ecs:eu-west-1:111122223333:cluster/web",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/web/services?region=eu-west-1",
    ),
    (
        "arn:aws:ecs:eu-west-1:111122223333:service/web/checkout",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/ecs/v2/clusters/web/services/checkout/health?region=eu-west-1",
    ),
    (
        "arn:aws:eks:eu-north-1:111122223333:cluster/platform",
        A,
        "eu-north-1",
        "https://eu-north-1.console.aws.amazon.com/eks/home?region=eu-north-1#/clusters/platform",
    ),
    (
        "arn:aws:cloudformation:eu-west-1:111122223333:stack/net/6f9619ff-8b86-d011",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/cloudformation/home?region=eu-west-1#/stacks/stackinfo?stackId=arn%3Aaws%3Acloudformation%3Aeu-west-1%3A111122223333%3Astack%2Fnet%2F6f9619ff-8b86-d011",
    ),
    (
        "arn:aws:iam::111122223333:role/team/Admin",
        A,
        "",
        "https://console.aws.amazon.com/iam/home#/roles/details/Admin",
    ),
    (
        "arn:aws:iam::111122223333:user/ops/broker",
        A,
        "",
        "https://console.aws.amazon.com/iam/home#/users/details/broker",
    ),
    (
        "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "",
        "",
        "https://console.aws.amazon.com/iam/home#/policies/details/arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess",
    ),
    (
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/kms/home?region=eu-west-1#/kms/keys/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
    (
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-a1B2c3",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/secretsmanager/secret?name=prod%2Fdb&region=eu-west-1",
    ),
    (
        "arn:aws:ssm:eu-west-1:111122223333:parameter/prod/url",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/systems-manager/parameters/%252Fprod%252Furl/description?region=eu-west-1",
    ),
    (
        "arn:aws:states:eu-west-1:111122223333:stateMachine:payout",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/states/home?region=eu-west-1#/statemachines/view/arn:aws:states:eu-west-1:111122223333:stateMachine:payout",
    ),
    (
        "arn:aws:apigateway:eu-west-1::/restapis/a1b2c3d4/stages/prod",
        "",
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/apigateway/home?region=eu-west-1#/apis/a1b2c3d4/resources",
    ),
    (
        "arn:aws:cloudfront::111122223333:distribution/EDFDVBD6EXAMPLE",
        A,
        "",
        "https://console.aws.amazon.com/cloudfront/v4/home#/distributions/EDFDVBD6EXAMPLE",
    ),
    (
        "arn:aws:route53:::hostedzone/Z1D633PJN98FT9",
        "",
        "",
        "https://console.aws.amazon.com/route53/v2/hostedzones#ListRecordSets/Z1D633PJN98FT9",
    ),
    (
        "arn:aws:ecr:eu-west-1:111122223333:repository/team/app",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/ecr/repositories/private/111122223333/team/app?region=eu-west-1",
    ),
    (
        "arn:aws:glue:eu-west-1:111122223333:table/lake/events",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/glue/home?region=eu-west-1#/v2/data-catalog/tables/view/events?database=lake",
    ),
    (
        "arn:aws:athena:eu-west-1:111122223333:workgroup/primary",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/athena/home?region=eu-west-1#/workgroups/details/primary",
    ),
    (
        "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/kinesis/home?region=eu-west-1#/streams/details/clicks/monitoring",
    ),
    (
        "arn:aws:redshift:eu-west-1:111122223333:cluster:warehouse",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/redshiftv2/home?region=eu-west-1#/cluster-details?cluster=warehouse",
    ),
    (
        "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/web/50dc6c495c0c9188",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#LoadBalancer:loadBalancerArn=arn%3Aaws%3Aelasticloadbalancing%3Aeu-west-1%3A111122223333%3Aloadbalancer%2Fapp%2Fweb%2F50dc6c495c0c9188",
    ),
    (
        "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:930d940e:autoScalingGroupName/web",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#AutoScalingGroupDetails:id=web",
    ),
    (
        "arn:aws:events:eu-west-1:111122223333:rule/orders/nightly",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/events/home?region=eu-west-1#/eventbus/orders/rules/nightly",
    ),
    (
        "arn:aws:codepipeline:eu-west-1:111122223333:deploy",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/codesuite/codepipeline/pipelines/deploy/view?region=eu-west-1",
    ),
    (
        "arn:aws:sagemaker:eu-west-1:111122223333:notebook-instance/lab",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/notebook-instances/lab",
    ),
    (
        "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:invoice",
        A,
        "us-gov-west-1",
        "https://us-gov-west-1.console.amazonaws-us-gov.com/lambda/home?region=us-gov-west-1#/functions/invoice",
    ),
    (
        "arn:aws-cn:sqs:cn-north-1:111122223333:invoices",
        A,
        "cn-north-1",
        "https://cn-north-1.console.amazonaws.cn/sqs/v3/home?region=cn-north-1#/queues/https%3A%2F%2Fsqs.cn-north-1.amazonaws.com.cn%2F111122223333%2Finvoices",
    ),
    (
        "arn:aws-eusc:ec2:eusc-de-east-1:111122223333:instance/i-0abc",
        A,
        "eusc-de-east-1",
        "https://console.amazonaws-eusc.eu/ec2/home?region=eusc-de-east-1#InstanceDetails:instanceId=i-0abc",
    ),
    (
        "arn:aws-iso:ec2:us-iso-east-1:111122223333:instance/i-0abc",
        A,
        "us-iso-east-1",
        "",
    ),
    (
        "arn:aws-iso-b:sns:us-isob-east-1:111122223333:alerts",
        A,
        "us-isob-east-1",
        "",
    ),
    (
        "arn:aws-iso-e:sns:eu-isoe-west-1:111122223333:alerts",
        A,
        "eu-isoe-west-1",
        "",
    ),
    (
        "arn:aws-iso-f:sns:us-isof-south-1:111122223333:alerts",
        A,
        "us-isof-south-1",
        "",
    ),
    (
        "  \"arn:aws:braket:us-west-1:111122223333:quantum-task/1\", ",
        A,
        "us-west-1",
        "https://us-west-1.console.aws.amazon.com/console/home?region=us-west-1",
    ),
    (
        "arn:aws:sts::111122223333:assumed-role/Admin/ada@example.com",
        A,
        "",
        "",
    ),
];

/// Addresses: console pages, account-scoped ones, sign-in, switch-role and portal links.
const ADDRESSES: &[Row] = &[
    (
        "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#Instances:",
        "",
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/ec2/home?region=eu-west-1#Instances:",
    ),
    (
        "https://console.aws.amazon.com/s3/buckets/x?region=us-west-2&tab=objects",
        "",
        "us-west-2",
        "https://console.aws.amazon.com/s3/buckets/x?region=us-west-2&tab=objects",
    ),
    (
        "https://111122223333-a1b2c3d4.eu-west-1.console.aws.amazon.com/lambda/home?region=eu-west-1#/functions",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/lambda/home?region=eu-west-1#/functions",
    ),
    (
        "https://111122223333-a1b2c3d4.us-east-1.console.aws.amazon.com/iam/home#/roles",
        A,
        "us-east-1",
        "https://us-east-1.console.aws.amazon.com/iam/home#/roles",
    ),
    (
        "https://111122223333-x7ko2v4e.us-gov-west-1.console.amazonaws-us-gov.com/vpcconsole/home",
        A,
        "us-gov-west-1",
        "https://us-gov-west-1.console.amazonaws-us-gov.com/vpcconsole/home",
    ),
    (
        "https://us-gov-east-1.console.amazonaws-us-gov.com/rds/home?region=us-gov-east-1",
        "",
        "us-gov-east-1",
        "https://us-gov-east-1.console.amazonaws-us-gov.com/rds/home?region=us-gov-east-1",
    ),
    (
        "https://console.amazonaws.cn/ec2/v2/home?region=cn-north-1",
        "",
        "cn-north-1",
        "https://console.amazonaws.cn/ec2/v2/home?region=cn-north-1",
    ),
    (
        "https://eusc-de-east-1.console.amazonaws-eusc.eu/console/home",
        "",
        "eusc-de-east-1",
        "https://eusc-de-east-1.console.amazonaws-eusc.eu/console/home",
    ),
    (
        "https://eu-west-1.console.aws.amazon.com/cloudformation/home?region=eu-west-1#/stacks/stackinfo?stackId=arn%3Aaws%3Acloudformation%3Aeu-west-1%3A111122223333%3Astack%2Fnet%2F1",
        A,
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/cloudformation/home?region=eu-west-1#/stacks/stackinfo?stackId=arn%3Aaws%3Acloudformation%3Aeu-west-1%3A111122223333%3Astack%2Fnet%2F1",
    ),
    (
        "https://111122223333.signin.aws.amazon.com/console",
        A,
        "",
        "",
    ),
    (
        "https://payments-prod.signin.aws.amazon.com/console/",
        "",
        "",
        "",
    ),
    (
        "https://111122223333.signin.amazonaws.cn/console",
        A,
        "",
        "",
    ),
    (
        "https://111122223333.signin.amazonaws-us-gov.com/console",
        A,
        "",
        "",
    ),
    (
        "https://signin.aws.amazon.com/switchrole?account=111122223333&roleName=team%2FAdmin&displayName=x",
        A,
        "",
        "",
    ),
    (
        "https://eu-west-1.signin.aws.amazon.com/oauth?response_type=code&redirect_uri=https%3A%2F%2Feu-west-1.console.aws.amazon.com%2Fs3%2Fhome%3Fregion%3Deu-west-1&client_id=x",
        "",
        "eu-west-1",
        "https://eu-west-1.console.aws.amazon.com/s3/home?region=eu-west-1",
    ),
    (
        "https://d-9c677042e2.awsapps.com/start/#/console?account_id=111122223333&role_name=Operator",
        A,
        "",
        "",
    ),
    (
        "https://corp.awsapps.com/start/#/console?account_id=111122223333&role_name=Operator&destination=https%3A%2F%2Feu-west-2.console.aws.amazon.com%2Fcloudwatch%2Fhome%3Fregion%3Deu-west-2",
        A,
        "eu-west-2",
        "https://eu-west-2.console.aws.amazon.com/cloudwatch/home?region=eu-west-2",
    ),
    (
        "https://start.us-gov-home.awsapps.com/directory/x#/console?account_id=111122223333&role_name=Operator",
        A,
        "",
        "",
    ),
];

#[test]
fn sixty_pasted_texts_land_where_they_should() {
    let rows: Vec<&Row> = ARNS.iter().chain(ADDRESSES).collect();
    assert!(rows.len() >= 60, "{} rows", rows.len());
    for (text, account, region, destination) in rows {
        let pasted = Pasted::parse(text).unwrap_or_else(|| panic!("{text} says nothing"));
        let seen = (
            pasted
                .account
                .as_ref()
                .map_or("", |account| account.as_str()),
            pasted.region.as_deref().unwrap_or(""),
            pasted.destination.as_ref().map_or("", |url| url.as_str()),
        );
        assert_eq!(seen, (*account, *region, *destination), "{text}");
        assert_acceptable(&pasted);
    }
}

#[test]
fn the_table_covers_the_services_and_partitions() {
    let part = |number: usize| {
        let mut parts: Vec<&str> = ARNS
            .iter()
            .filter_map(|row| row.0.trim_start_matches([' ', '"']).split(':').nth(number))
            .collect();
        parts.sort_unstable();
        parts.dedup();
        parts.len()
    };
    assert_eq!(part(1), Partition::ALL.len());
    assert!(part(2) >= 25, "{} services", part(2));
}

#[test]
fn roles_and_aliases_are_named() {
    for (text, role) in [
        (
            "arn:aws:sts::111122223333:assumed-role/Admin/ada@example.com",
            "arn:aws:iam::111122223333:role/Admin",
        ),
        (
            "arn:aws-cn:iam::111122223333:role/team/Admin",
            "arn:aws-cn:iam::111122223333:role/team/Admin",
        ),
        (
            "https://signin.amazonaws-us-gov.com/switchrole?account=111122223333&roleName=Admin",
            "arn:aws-us-gov:iam::111122223333:role/Admin",
        ),
        (
            "https://signin.aws.amazon.com/switchrole?roleName=team/Admin&account=111122223333",
            "arn:aws:iam::111122223333:role/team/Admin",
        ),
        (
            "https://d-1.awsapps.com/start/#/console?account_id=111122223333&role_name=Operator",
            "arn:aws:iam::111122223333:role/Operator",
        ),
        (
            "https://ssoins-1.portal.eu-west-1.app.aws/#/console?account_id=111122223333&role_name=Op",
            "arn:aws:iam::111122223333:role/Op",
        ),
        (
            "https://start.us-gov-home.awsapps.com/directory/x#/console?account_id=111122223333&role_name=Op",
            "arn:aws-us-gov:iam::111122223333:role/Op",
        ),
    ] {
        let pasted = Pasted::parse(text).unwrap_or_else(|| panic!("{text} says nothing"));
        assert_eq!(
            pasted.role.map(|role| role.to_string()).as_deref(),
            Some(role)
        );
    }
    let user = Pasted::parse("arn:aws:iam::111122223333:user/ada").expect("an ARN");
    assert_eq!(user.role, None);
    let alias = Pasted::parse("https://payments-prod.signin.aws.amazon.com/console");
    assert_eq!(
        alias.expect("an address").alias.as_deref(),
        Some("payments-prod")
    );
}

#[test]
fn what_is_not_of_aws_says_nothing() {
    for text in [
        "",
        "payments",
        "111122223333",
        "arn:",
        "arn:aws:s3",
        "arn:aws:s3:::",
        "arn:evil:s3:::bucket",
        "arn:aws:s3::not-an-account:bucket",
        "arn:aws:S3:::bucket",
        "arn:aws:s3:::bucket\nSet-Cookie: a=b",
        "http://console.aws.amazon.com/",
        "https://console.aws.amazon.com:8443/",
        "https://user@console.aws.amazon.com/",
        "https://console.aws.amazon.com.evil.example/",
        "https://evilconsole.aws.amazon.com/",
        "https://evilsignin.aws.amazon.com/console",
        "https://signin.aws.amazon.com/console",
        "https://a.b.signin.aws.amazon.com/console",
        "https://cn-north-1.signin.aws.amazon.com/console",
        "https://signin.aws.amazon.com/oauth?redirect_uri=https%3A%2F%2Fevil.example%2F",
        "https://signin.aws.amazon.com/switchrole?account=111122223333&roleName=%0A",
        "https://evilawsapps.com/start/#/console?account_id=111122223333&role_name=x",
        "https://corp.awsapps.com/start/#/console?account_id=1&role_name=x",
        "https://corp.awsapps.com/start/",
        "javascript:alert(1)",
    ] {
        assert_eq!(Pasted::parse(text), None, "{text}");
    }
    assert_eq!(Pasted::parse(&"a".repeat(100_000)), None);
}

#[test]
fn a_foreign_destination_in_a_portal_link_is_dropped() {
    let pasted = Pasted::parse(
        "https://corp.awsapps.com/start/#/console?account_id=111122223333&role_name=x\
         &destination=https%3A%2F%2Fevil.example%2F",
    )
    .expect("a portal link");
    assert_eq!(pasted.destination, None);
    assert_eq!(pasted.account.expect("named").as_str(), A);
}

/// Whatever was pasted, its destination is one that somebody may be sent to.
fn assert_acceptable(pasted: &Pasted) {
    let Some(destination) = &pasted.destination else {
        return;
    };
    let console = Console {
        partition: pasted.partition,
        region: None,
        console_url: None,
    };
    let checked = Destination::parse(destination.as_str(), console);
    assert_eq!(
        checked.as_ref().map(Destination::as_url),
        Ok(destination),
        "{pasted:?}"
    );
}

fn services() -> impl Strategy<Value = String> {
    let known: Vec<String> = ARNS
        .iter()
        .filter_map(|row| {
            let mut parts = row.0.trim_start_matches([' ', '"']).splitn(6, ':');
            let service = parts.nth(2)?;
            let kind = parts.nth(2)?.split(['/', ':']).next()?;
            Some(format!("{service} {kind}"))
        })
        .collect();
    proptest::sample::select(known)
}

proptest! {
    #[test]
    fn any_text_is_safe_to_paste(text in "\\PC{0,120}") {
        if let Some(pasted) = Pasted::parse(&text) {
            assert_acceptable(&pasted);
        }
    }

    #[test]
    fn hostile_resources_stay_in_the_console(
        service in services(),
        separator in "[/:]",
        resource in "(\\PC|[/:?#@%\\\\.]){0,60}",
        region in "eu-west-1|us-east-1||evil.example|[a-z-]{0,20}[0-9]",
        partition in "aws|aws-cn|aws-us-gov|aws-eusc|aws-iso",
    ) {
        let (service, kind) = service.split_once(' ').expect("joined above");
        let text = format!(
            "arn:{partition}:{service}:{region}:111122223333:{kind}{separator}{resource}"
        );
        if let Some(pasted) = Pasted::parse(&text) {
            assert_acceptable(&pasted);
        }
    }

    #[test]
    fn hostile_addresses_stay_in_the_console(
        host in "([a-z0-9@:-]{0,16}\\.)?(eu-west-1\\.)?(console|signin)\\.(aws\\.amazon\\.com|amazonaws\\.cn)(\\.evil\\.example)?|[a-z]{1,5}\\.awsapps\\.com",
        rest in "/(\\PC|[/:?#@%&=\\\\.]){0,60}",
        inner in "https://[a-z0-9.@:-]{0,20}(console\\.aws\\.amazon\\.com)?[/?#\\PC]{0,20}",
    ) {
        for text in [
            format!("https://{host}{rest}"),
            format!("https://{host}/oauth?redirect_uri={inner}"),
            format!("https://{host}/#/console?account_id=111122223333&destination={inner}"),
        ] {
            if let Some(pasted) = Pasted::parse(&text) {
                assert_acceptable(&pasted);
            }
        }
    }
}

"""boto3 as an application has it: asks STS who it is, with the profile of the environment."""

import boto3

session = boto3.Session()
print(session.client("sts").get_caller_identity()["Arn"])

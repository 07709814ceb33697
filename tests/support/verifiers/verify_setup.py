"""cfn-lint and python-hcl2 as those who run what `aws-setup` writes; prints one JSON value for each
text: what is wrong with it, and what it makes, with CloudFormation's pseudo parameters filled in."""

import json
import sys

import hcl2
from cfnlint.api import lint
from cfnlint.config import ManualArgs

with open(sys.argv[1], encoding="utf-8") as file:
    CASES = json.load(file)


def filled(value, case):
    if isinstance(value, list):
        return [filled(item, case) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Fn::Sub"]:
        text = value["Fn::Sub"].replace("${AWS::Partition}", case["partition"])
        return text.replace("${AWS::AccountId}", case["account"]).replace("${!", "${")
    return {key: filled(member, case) for key, member in value.items()}


def cloudformation(case):
    found = lint(case["text"], config=ManualArgs(regions=[case["region"]]))
    made = {"findings": [f"{match.rule.id} {match.message}" for match in found], "roles": {}}
    for resource in json.loads(case["text"])["Resources"].values():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::IAM::SAMLProvider":
            made["saml"] = [properties["Name"], properties["SamlMetadataDocument"]]
        elif resource["Type"] == "AWS::IAM::OIDCProvider":
            made["oidc"] = [properties["Url"], properties["ClientIdList"]]
        else:
            policies = properties.get("Policies", [])
            made["roles"][properties["RoleName"]] = {
                "path": properties["Path"],
                "description": properties.get("Description"),
                "trust": filled(properties["AssumeRolePolicyDocument"], case),
                "permissions": filled([each["PolicyDocument"] for each in policies], case),
                "waits_for": resource.get("DependsOn", []),
            }
    return made


def plain(value):
    """A value as Terraform has it: quotes and escapes are gone, templates are refused."""
    if isinstance(value, dict):
        return {plain(key): plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and value.startswith('"'):
        if "${" in value or "%{" in value:
            raise ValueError(f"a template: {value}")
        return json.loads(value)
    if isinstance(value, str) and value.startswith("${jsonencode("):
        inner = value[len("${jsonencode(") : -len(")}")]
        return plain(hcl2.loads(f"value = {inner}\n")["value"])
    return value


def terraform(case):
    made = {"findings": [], "roles": {}}
    names = {}
    blocks = hcl2.loads(case["text"])["resource"]
    for block in blocks:
        for kind, labelled in plain(block).items():
            for label, body in labelled.items():
                if (kind, label) in names:
                    made["findings"].append(f"{kind}.{label} is there twice")
                names[kind, label] = body
    for (kind, label), body in names.items():
        if kind == "aws_iam_saml_provider":
            made["saml"] = [body["name"], body["saml_metadata_document"]]
        elif kind == "aws_iam_openid_connect_provider":
            made["oidc"] = [body["url"], body["client_id_list"]]
        elif kind == "aws_iam_role":
            policy = names.get(("aws_iam_role_policy", label))
            made["roles"][body["name"]] = {
                "path": body["path"],
                "description": body.get("description"),
                "trust": body["assume_role_policy"],
                "permissions": [policy["policy"]] if policy else [],
                "waits_for": body.get("depends_on", []),
            }
    return made


FORMATS = {"cloudformation": cloudformation, "terraform": terraform}
print(json.dumps([FORMATS[case["format"]](case) for case in CASES]))

"""python3-saml over one response, again and again; prints validations per second."""

import json
import sys
import time

from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

with open(sys.argv[1], encoding="utf-8") as file:
    CASE = json.load(file)

SETTINGS = OneLogin_Saml2_Settings(
    {
        "strict": True,
        "sp": {
            "entityId": CASE["sp_entity_id"],
            "assertionConsumerService": {"url": CASE["acs_url"]},
        },
        "idp": {
            "entityId": CASE["idp_entity_id"],
            "singleSignOnService": {"url": CASE["idp_sso_url"]},
            "x509cert": CASE["certificate"],
        },
        "security": {"wantAssertionsSigned": True, "rejectDeprecatedAlgorithm": True},
    },
    sp_validation_only=False,
)
REQUEST = {
    "https": "on",
    "http_host": CASE["acs_host"],
    "script_name": CASE["acs_path"],
    "get_data": {},
    "post_data": {},
}


def validate():
    """One response, from the form field to the attributes."""
    response = OneLogin_Saml2_Response(SETTINGS, CASE["response"])
    if not response.is_valid(REQUEST, request_id=CASE["request_id"]):
        raise SystemExit(f"refused: {response.get_error()}")
    return response.get_nameid(), response.get_attributes()


name_id, attributes = validate()
assert (name_id, len(attributes["groups"])) == (CASE["name_id"], CASE["groups"])
count, started = 0, time.perf_counter()
while time.perf_counter() - started < CASE["seconds"]:
    validate()
    count += 1
print(count / (time.perf_counter() - started))

"""pysaml2 over one response, again and again; prints validations per second."""

import json
import sys
import time

from saml2 import BINDING_HTTP_POST
from saml2.client import Saml2Client
from saml2.config import SPConfig

with open(sys.argv[1], encoding="utf-8") as file:
    CASE = json.load(file)

CONFIG = SPConfig().load(
    {
        "entityid": CASE["sp_entity_id"],
        "xmlsec_binary": "/usr/bin/xmlsec1",
        "allow_unknown_attributes": True,
        "metadata": {"inline": [CASE["idp_metadata"]]},
        "service": {
            "sp": {
                "endpoints": {
                    "assertion_consumer_service": [(CASE["acs_url"], BINDING_HTTP_POST)]
                },
                "allow_unsolicited": False,
                "want_assertions_signed": True,
                "want_response_signed": False,
            }
        },
    }
)
CLIENT = Saml2Client(config=CONFIG)


def validate():
    """One response, from the form field to the attributes."""
    response = CLIENT.parse_authn_request_response(
        CASE["response"], BINDING_HTTP_POST, outstanding={CASE["request_id"]: "/"}
    )
    return response.name_id.text, response.ava


name_id, attributes = validate()
assert (name_id, len(attributes["groups"])) == (CASE["name_id"], CASE["groups"])
count, started = 0, time.perf_counter()
while time.perf_counter() - started < CASE["seconds"]:
    validate()
    count += 1
print(count / (time.perf_counter() - started))

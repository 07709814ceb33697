"""python3-saml as AWS's end of our responses: reads our metadata, then each response in turn.

Prints one JSON value for each: what it says, or why it is refused.
"""

import json
import sys

from onelogin.saml2.idp_metadata_parser import OneLogin_Saml2_IdPMetadataParser
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings

with open(sys.argv[1], encoding="utf-8") as file:
    CASE = json.load(file)

PROVIDER = OneLogin_Saml2_IdPMetadataParser.parse(CASE["metadata"])
PROVIDER.update(
    {
        "strict": True,
        "sp": {
            "entityId": CASE["audience"],
            "assertionConsumerService": {"url": CASE["recipient"]},
        },
        "security": {
            "wantAssertionsSigned": True,
            "wantMessagesSigned": CASE["response_is_signed"],
            "rejectDeprecatedAlgorithm": True,
        },
    }
)
SETTINGS = OneLogin_Saml2_Settings(PROVIDER, sp_validation_only=False)
SCHEME, REST = CASE["recipient"].split("://")
HOST, PATH = REST.split("/", 1)
REQUEST = {
    "https": "on" if SCHEME == "https" else "off",
    "http_host": HOST,
    "script_name": "/" + PATH,
    "get_data": {},
    "post_data": {},
}


def verdict(text):
    response = OneLogin_Saml2_Response(SETTINGS, text)
    if not response.is_valid(REQUEST):
        return {"refused": response.get_error()}
    return {
        "name_id": response.get_nameid(),
        "attributes": response.get_attributes(),
    }


print(json.dumps([verdict(text) for text in CASE["responses"]]))

"""lasso over one response, again and again; prints validations per second."""

import json
import sys
import time

import lasso

with open(sys.argv[1], encoding="utf-8") as file:
    CASE = json.load(file)

SERVER = lasso.Server.newFromBuffers(CASE["sp_metadata"])
SERVER.addProviderFromBuffer(lasso.PROVIDER_ROLE_IDP, CASE["idp_metadata"])


def validate():
    """One response, from the form field to the attributes."""
    login = lasso.Login(SERVER)
    login.processAuthnResponseMsg(CASE["response"])
    assertion = login.response.assertion[0]
    attributes = {
        attribute.name: [value.any[0].content for value in attribute.attributeValue]
        for attribute in assertion.attributeStatement[0].attribute
    }
    return assertion.subject.nameID.content, attributes


name_id, attributes = validate()
assert (name_id, len(attributes["groups"])) == (CASE["name_id"], CASE["groups"])
count, started = 0, time.perf_counter()
while time.perf_counter() - started < CASE["seconds"]:
    validate()
    count += 1
print(count / (time.perf_counter() - started))

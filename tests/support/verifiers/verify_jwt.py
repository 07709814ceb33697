"""PyJWT as AWS's end of our tokens; prints one JSON value for each: its claims, or why not."""

import json
import sys

import jwt

with open(sys.argv[1], encoding="utf-8") as file:
    CASE = json.load(file)

KEYS = {key.key_id: key for key in jwt.PyJWKSet.from_dict(CASE["jwks"]).keys}


def verdict(token):
    try:
        header = jwt.get_unverified_header(token)
        key = KEYS[header["kid"]]
        return {
            "header": header,
            "claims": jwt.decode(
                token,
                key.key,
                # The key's own algorithm, never the token's.
                algorithms=[key.algorithm_name],
                audience=CASE["audience"],
                issuer=CASE["issuer"],
                options={"require": ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"]},
            ),
        }
    except (jwt.PyJWTError, KeyError) as error:
        return {"refused": f"{type(error).__name__}: {error}"}


print(json.dumps([verdict(token) for token in CASE["tokens"]]))

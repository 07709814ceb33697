"""An identity provider around pysaml2, for the tests.

Signs in with a form, remembers people in a cookie, logs out from either side. What it is told is in
the JSON file that IDENTITY_PROVIDER_SETTINGS names. One process, one thread per request.
"""

import html
import http.cookies
import json
import os
import secrets
import socketserver
import urllib.parse
import wsgiref.simple_server

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, saml, samlp
from saml2.authn_context import PASSWORDPROTECTEDTRANSPORT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.server import Server

COOKIE = "pysaml2_of_the_tests"
SHA1 = (
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    "http://www.w3.org/2000/09/xmldsig#sha1",
)
SHA256 = (
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmlenc#sha256",
)

with open(os.environ["IDENTITY_PROVIDER_SETTINGS"], encoding="utf-8") as file:
    SETTINGS = json.load(file)
ORIGIN = SETTINGS["origin"]
PROVIDER = SETTINGS["service_provider"]
PEOPLE = SETTINGS["people"]
SIGNATURE, DIGEST = SHA1 if SETTINGS["signs_with_sha1"] else SHA256

if SETTINGS["more_audiences"]:
    raise SystemExit("pysaml2 names the service provider's audience and no other")

# Who is signed in, by cookie; which requests wait for a password, by the form's hidden field.
SESSIONS = {}
WAITING = {}


def service_provider_metadata():
    """The service provider as pysaml2 wants to read about it."""
    body = "".join(
        line for line in PROVIDER["certificate"].splitlines() if "-----" not in line
    )
    return f"""<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata"
      entityID="{html.escape(PROVIDER["entity_id"])}">
  <SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <KeyDescriptor><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
      <X509Data><X509Certificate>{body}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>
    <SingleLogoutService Binding="{BINDING_HTTP_REDIRECT}"
      Location="{html.escape(PROVIDER["slo_url"])}"/>
    <AssertionConsumerService Binding="{BINDING_HTTP_POST}" index="0" isDefault="true"
      Location="{html.escape(PROVIDER["acs_url"])}"/>
  </SPSSODescriptor>
</EntityDescriptor>"""


CONFIG = IdPConfig().load(
    {
        "entityid": ORIGIN + "/metadata",
        "xmlsec_binary": "/usr/bin/xmlsec1",
        "key_file": SETTINGS["key_file"],
        "cert_file": SETTINGS["certificate_file"],
        "signing_algorithm": SIGNATURE,
        "digest_algorithm": DIGEST,
        "metadata": {"inline": [service_provider_metadata()]},
        "service": {
            "idp": {
                "endpoints": {
                    "single_sign_on_service": [
                        (ORIGIN + "/sso", BINDING_HTTP_REDIRECT),
                        (ORIGIN + "/sso", BINDING_HTTP_POST),
                    ],
                    "single_logout_service": [(ORIGIN + "/slo", BINDING_HTTP_REDIRECT)],
                },
                "want_authn_requests_signed": SETTINGS["validates_requests"],
                "name_id_format": [saml.NAMEID_FORMAT_PERSISTENT],
                "policy": {
                    "default": {
                        "lifetime": {"minutes": 5},
                        "attribute_restrictions": None,
                        "name_form": saml.NAME_FORMAT_URI,
                    }
                },
            }
        },
    }
)
IDP = Server(config=CONFIG)


class Refused(Exception):
    """A request that leads nowhere; the text is shown."""


class Request:
    """What a browser sent."""

    def __init__(self, environ):
        self.path = environ["PATH_INFO"]
        self.is_post = environ["REQUEST_METHOD"] == "POST"
        text = environ.get("QUERY_STRING", "")
        if self.is_post:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            text = environ["wsgi.input"].read(length).decode()
        self.fields = dict(urllib.parse.parse_qsl(text, keep_blank_values=True))
        cookies = http.cookies.SimpleCookie(environ.get("HTTP_COOKIE", ""))
        self.session = cookies[COOKIE].value if COOKIE in cookies else None

    @property
    def person(self):
        """Who is signed in, if anybody."""
        return SESSIONS.get(self.session)


def page(body, status="200 OK", headers=()):
    """An HTML answer."""
    text = f"<!DOCTYPE html><html lang=en><title>Sign in</title><body>{body}</body></html>"
    return status, [("Content-Type", "text/html; charset=utf-8"), *headers], text


def redirect(url):
    """Sends the browser on."""
    return "303 See Other", [("Location", url)], ""


def sign_on(request):
    """A service provider asks who this is."""
    binding = BINDING_HTTP_POST if request.is_post else BINDING_HTTP_REDIRECT
    fields = request.fields
    signature = {}
    if not request.is_post:
        signature = {
            "relay_state": fields.get("RelayState"),
            "sigalg": fields.get("SigAlg"),
            "signature": fields.get("Signature"),
        }
    parsed = IDP.parse_authn_request(fields["SAMLRequest"], binding, **signature)
    if parsed is None:
        raise Refused("the request is not acceptable")
    wish = (parsed.message, fields.get("RelayState", ""))
    if request.person and parsed.message.force_authn != "true":
        return respond(wish, request.person)
    ticket = secrets.token_hex(16)
    WAITING[ticket] = wish
    return page(form(ticket))


def form(ticket, complaint=""):
    """The sign-in form."""
    return f"""{complaint}<form method="post" action="/login">
  <input type="hidden" name="ticket" value="{html.escape(ticket)}">
  <label>Name <input name="username" autocomplete="username"></label>
  <label>Password <input type="password" name="password"></label>
  <button>Sign in</button></form>"""


def log_in(request):
    """A name and a password."""
    ticket = request.fields.get("ticket", "")
    if ticket not in WAITING:
        raise Refused("nobody waits for this sign-in")
    username = request.fields.get("username", "")
    person = PEOPLE.get(username)
    if not person or person["password"] != request.fields.get("password"):
        return page(form(ticket, "<p>Wrong name or password</p>"))
    session = secrets.token_hex(16)
    SESSIONS[session] = username
    status, headers, body = respond(WAITING.pop(ticket), username)
    headers.append(("Set-Cookie", f"{COOKIE}={session}; Path=/; HttpOnly"))
    return status, headers, body


def respond(wish, username):
    """The response, in a page that posts itself."""
    message, relay_state = wish
    person = PEOPLE[username]
    arguments = IDP.response_args(message)
    name_id = saml.NameID(format=saml.NAMEID_FORMAT_PERSISTENT, text=person["subject"])
    # Remembered for the logout that the provider begins.
    IDP.ident.store(username, name_id)
    encrypts = SETTINGS["encryption"] != ""
    response = IDP.create_authn_response(
        person["attributes"],
        userid=username,
        name_id=name_id,
        authn={"class_ref": PASSWORDPROTECTEDTRANSPORT, "authn_auth": ORIGIN},
        sign_response=SETTINGS["signs_response"],
        sign_assertion=SETTINGS["signs_assertion"],
        encrypt_assertion=encrypts,
        encrypted_advice_attributes=False,
        sign_alg=SIGNATURE,
        digest_alg=DIGEST,
        **arguments,
    )
    sent = IDP.apply_binding(
        BINDING_HTTP_POST, str(response), PROVIDER["acs_url"], relay_state, response=True
    )
    return "200 OK", [("Content-Type", "text/html; charset=utf-8")], sent["data"]


def single_logout(request):
    """The service provider ends a session, or answers that it has ended its own."""
    fields = request.fields
    signature = {
        "relay_state": fields.get("RelayState"),
        "sigalg": fields.get("SigAlg"),
        "signature": fields.get("Signature"),
    }
    if "SAMLResponse" in fields:
        answer = IDP.parse_logout_request_response(
            fields["SAMLResponse"], BINDING_HTTP_REDIRECT
        )
        done = answer.status_ok()
        return page(f"<p>Signed out{'' if done else ' in part'}</p>")
    parsed = IDP.parse_logout_request(
        fields["SAMLRequest"], BINDING_HTTP_REDIRECT, **signature
    )
    if parsed is None:
        raise Refused("the request is not acceptable")
    subject = parsed.message.name_id.text
    for session, username in list(SESSIONS.items()):
        if PEOPLE[username]["subject"] == subject:
            del SESSIONS[session]
    answer = IDP.create_logout_response(parsed.message, [BINDING_HTTP_REDIRECT])
    return redirect(
        signed_url(answer, fields.get("RelayState", ""), is_response=True)
    )


def log_out(request):
    """Somebody logs out here: the service provider is told, through the browser."""
    username = SESSIONS.pop(request.session, None)
    if username is None:
        return page("<p>Nobody is signed in</p>")
    name_id = saml.NameID(
        format=saml.NAMEID_FORMAT_PERSISTENT, text=PEOPLE[username]["subject"]
    )
    _, message = IDP.create_logout_request(
        PROVIDER["slo_url"], PROVIDER["entity_id"], name_id=name_id
    )
    return redirect(signed_url(message, "", is_response=False))


def signed_url(message, relay_state, is_response):
    """The redirect that carries a message to the service provider's logout."""
    sent = IDP.apply_binding(
        BINDING_HTTP_REDIRECT,
        str(message),
        PROVIDER["slo_url"],
        relay_state,
        response=is_response,
        sign=True,
        sigalg=SIGNATURE,
    )
    return dict(sent["headers"])["Location"]


def metadata(_request):
    """What the provider publishes."""
    text = str(entity_descriptor(CONFIG))
    return "200 OK", [("Content-Type", "application/samlmetadata+xml")], text


ROUTES = {
    "/metadata": metadata,
    "/sso": sign_on,
    "/login": log_in,
    "/slo": single_logout,
    "/logout": log_out,
}


def application(environ, start_response):
    """The WSGI application."""
    request = Request(environ)
    route = ROUTES.get(request.path)
    try:
        answer = route(request) if route else page("<p>No such page</p>", "404 Not Found")
    except Exception as error:  # pylint: disable=broad-except
        text = html.escape(f"{type(error).__name__}: {error}")
        print(text, flush=True)
        answer = page(f"<p>{text}</p>", "400 Bad Request")
    status, headers, body = answer
    body = body.encode() if isinstance(body, str) else body
    start_response(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]


class Threaded(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    """A server that does not wait for one browser before it hears the next."""

    daemon_threads = True


if __name__ == "__main__":
    with wsgiref.simple_server.make_server(
        SETTINGS["address"], SETTINGS["port"], application, server_class=Threaded
    ) as server:
        server.serve_forever()

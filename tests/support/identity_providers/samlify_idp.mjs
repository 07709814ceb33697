// An identity provider around samlify, for the tests.
//
// Signs in with a form, remembers people in a cookie, logs out from either side. What it is told is
// in the JSON file that IDENTITY_PROVIDER_SETTINGS names.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import * as samlify from 'samlify';

const COOKIE = 'samlify_of_the_tests';
const FORM = 'application/x-www-form-urlencoded';
const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';
const PASSWORD = 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport';
const SUCCESS = 'urn:oasis:names:tc:SAML:2.0:status:Success';
const { redirect: REDIRECT, post: POST } = samlify.Constants.namespace.binding;

const settings = JSON.parse(readFileSync(process.env.IDENTITY_PROVIDER_SETTINGS, 'utf8'));
const { origin, people } = settings;
const bare = pem => pem.replace(/-----[^-]+-----|\s/g, '');
const escaped = text =>
  String(text).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);

// Messages are checked for their signatures; a schema would add nothing to what is tested here.
samlify.setSchemaValidator({ validate: async () => 'not looked at' });

const provider = samlify.IdentityProvider({
  entityID: `${origin}/metadata`,
  privateKey: readFileSync(settings.key_file, 'utf8'),
  signingCert: bare(readFileSync(settings.certificate_file, 'utf8')),
  requestSignatureAlgorithm: settings.signs_with_sha1
    ? 'http://www.w3.org/2000/09/xmldsig#rsa-sha1'
    : 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  wantAuthnRequestsSigned: settings.validates_requests,
  wantLogoutRequestSigned: settings.validates_requests,
  wantLogoutResponseSigned: settings.validates_requests,
  isAssertionEncrypted: settings.encryption !== '',
  dataEncryptionAlgorithm: settings.encryption || undefined,
  keyEncryptionAlgorithm: 'http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p',
  nameIDFormat: [PERSISTENT],
  singleSignOnService: [
    { Binding: REDIRECT, Location: `${origin}/sso` },
    { Binding: POST, Location: `${origin}/sso` },
  ],
  singleLogoutService: [{ Binding: REDIRECT, Location: `${origin}/slo` }],
});

const certificate = bare(settings.service_provider.certificate);
const service = samlify.ServiceProvider({
  entityID: settings.service_provider.entity_id,
  authnRequestsSigned: settings.validates_requests,
  wantAssertionsSigned: settings.signs_assertion,
  wantMessageSigned: settings.signs_response,
  wantLogoutRequestSigned: true,
  wantLogoutResponseSigned: true,
  signingCert: certificate,
  encryptCert: certificate,
  assertionConsumerService: [{ Binding: POST, Location: settings.service_provider.acs_url }],
  singleLogoutService: [{ Binding: REDIRECT, Location: settings.service_provider.slo_url }],
});

// Who is signed in, by cookie; which requests wait for a password, by the form's hidden field.
const sessions = new Map();
const waiting = new Map();

class Refused extends Error {}

function attributeStatement(attributes) {
  const values = list =>
    list.map(
      value =>
        `<saml:AttributeValue xsi:type="xs:string">${escaped(value)}</saml:AttributeValue>`,
    );
  const each = Object.entries(attributes).map(
    ([name, list]) =>
      `<saml:Attribute Name="${escaped(name)}" NameFormat=` +
      '"urn:oasis:names:tc:SAML:2.0:attrname-format:basic">' +
      `${values(list).join('')}</saml:Attribute>`,
  );
  return `<saml:AttributeStatement>${each.join('')}</saml:AttributeStatement>`;
}

// samlify signs and encrypts; its own template repeats no attribute value and names no session.
function responseXml(id, inResponseTo, person, session) {
  const acs = escaped(settings.service_provider.acs_url);
  const now = new Date().toISOString();
  const end = new Date(Date.now() + 300_000).toISOString();
  const audiences = [settings.service_provider.entity_id, ...settings.more_audiences]
    .map(audience => `<saml:Audience>${escaped(audience)}</saml:Audience>`)
    .join('');
  const issuer = `<saml:Issuer>${escaped(`${origin}/metadata`)}</saml:Issuer>`;
  const answered = `InResponseTo="${escaped(inResponseTo)}"`;
  return (
    '<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ' +
    `xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="${id}" Version="2.0" ` +
    `IssueInstant="${now}" Destination="${acs}" ${answered}>${issuer}` +
    `<samlp:Status><samlp:StatusCode Value="${SUCCESS}"/></samlp:Status>` +
    '<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ' +
    'xmlns:xs="http://www.w3.org/2001/XMLSchema" ' +
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ' +
    `ID="_${randomUUID()}" Version="2.0" IssueInstant="${now}">${issuer}` +
    `<saml:Subject><saml:NameID Format="${PERSISTENT}">${escaped(person.subject)}</saml:NameID>` +
    '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">' +
    `<saml:SubjectConfirmationData NotOnOrAfter="${end}" Recipient="${acs}" ${answered}/>` +
    `</saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${now}" ` +
    `NotOnOrAfter="${end}"><saml:AudienceRestriction>${audiences}</saml:AudienceRestriction>` +
    `</saml:Conditions><saml:AuthnStatement AuthnInstant="${now}" SessionIndex="${session}">` +
    `<saml:AuthnContext><saml:AuthnContextClassRef>${PASSWORD}</saml:AuthnContextClassRef>` +
    `</saml:AuthnContext></saml:AuthnStatement>${attributeStatement(person.attributes)}` +
    '</saml:Assertion></samlp:Response>'
  );
}

function page(response, body, status = 200) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' });
  response.end(`<!DOCTYPE html><html lang=en><title>Sign in</title><body>${body}</body></html>`);
}

function form(ticket, complaint = '') {
  return `${complaint}<form method="post" action="/login">
    <input type="hidden" name="ticket" value="${escaped(ticket)}">
    <label>Name <input name="username" autocomplete="username"></label>
    <label>Password <input type="password" name="password"></label>
    <button>Sign in</button></form>`;
}

async function respond(response, wish, username, session) {
  const person = people[username];
  const sent = await provider.createLoginResponse(
    service,
    wish.request,
    'post',
    {},
    () => {
      const id = `_${randomUUID()}`;
      return { id, context: responseXml(id, wish.request.extract.request.id, person, session) };
    },
    // A response that is signed is signed around the ciphertext.
    settings.encryption !== '' && settings.signs_response,
  );
  const relayState = wish.relayState
    ? `<input type="hidden" name="RelayState" value="${escaped(wish.relayState)}">`
    : '';
  page(
    response,
    `<form method="post" action="${escaped(settings.service_provider.acs_url)}">
      <input type="hidden" name="SAMLResponse" value="${escaped(sent.context)}">${relayState}
      <noscript><button>Continue</button></noscript></form>
      <script>document.forms[0].submit()</script>`,
  );
}

// The part of a query that its signature covers, in the order of the bindings, as it came.
function signedOctets(query) {
  const parts = query.split('&');
  return ['SAMLRequest', 'SAMLResponse', 'RelayState', 'SigAlg']
    .map(name => parts.find(part => part.startsWith(`${name}=`)))
    .filter(Boolean)
    .join('&');
}

function message(browser) {
  if (browser.method === 'POST') return ['post', { body: Object.fromEntries(browser.form) }];
  const query = Object.fromEntries(browser.url.searchParams);
  const octetString = signedOctets(browser.url.search.slice(1));
  return ['redirect', { query, octetString }];
}

const routes = {
  async '/metadata'(browser, response) {
    response.writeHead(200, { 'content-type': 'application/samlmetadata+xml' });
    response.end(provider.getMetadata());
  },
  async '/sso'(browser, response) {
    const request = await provider.parseLoginRequest(service, ...message(browser));
    const relayState = (browser.form ?? browser.url.searchParams).get('RelayState') ?? '';
    const wish = { request, relayState };
    const username = sessions.get(browser.session);
    // samlify does not hand ForceAuthn on.
    const isForced = /\sForceAuthn="(?:true|1)"/.test(request.samlContent);
    if (username && !isForced) return respond(response, wish, username, browser.session);
    const ticket = randomUUID();
    waiting.set(ticket, wish);
    return page(response, form(ticket));
  },
  async '/login'(browser, response) {
    const ticket = browser.form?.get('ticket');
    const wish = waiting.get(ticket);
    if (!wish) throw new Refused('nobody waits for this sign-in');
    const username = browser.form.get('username');
    if (!Object.hasOwn(people, username) || people[username].password !== browser.form.get('password')) {
      return page(response, form(ticket, '<p>Wrong name or password</p>'));
    }
    waiting.delete(ticket);
    const session = `_${randomUUID()}`;
    sessions.set(session, username);
    response.setHeader('set-cookie', `${COOKIE}=${session}; Path=/; HttpOnly`);
    return respond(response, wish, username, session);
  },
  async '/slo'(browser, response) {
    const [binding, carried] = message(browser);
    if (browser.url.searchParams.has('SAMLResponse')) {
      await provider.parseLogoutResponse(service, binding, carried);
      return page(response, '<p>Signed out</p>');
    }
    const request = await provider.parseLogoutRequest(service, binding, carried);
    for (const [session, username] of sessions) {
      if (people[username].subject === request.extract.nameID) sessions.delete(session);
    }
    const relayState = browser.url.searchParams.get('RelayState') ?? '';
    const { context } = provider.createLogoutResponse(service, request, 'redirect', relayState);
    response.writeHead(303, { location: context });
    return response.end();
  },
  async '/logout'(browser, response) {
    const username = sessions.get(browser.session);
    if (!username) return page(response, '<p>Nobody is signed in</p>');
    sessions.delete(browser.session);
    const who = { logoutNameID: people[username].subject, sessionIndex: browser.session };
    const { context } = provider.createLogoutRequest(service, 'redirect', who);
    response.writeHead(303, { location: context });
    return response.end();
  },
};

createServer(async (request, response) => {
  try {
    const url = new URL(request.url, origin);
    let body = '';
    for await (const chunk of request) body += chunk;
    const isForm = request.method === 'POST' && request.headers['content-type']?.startsWith(FORM);
    const cookie = new RegExp(`(?:^|;\\s*)${COOKIE}=([^;]+)`).exec(request.headers.cookie ?? '');
    const browser = {
      method: request.method,
      url,
      form: isForm ? new URLSearchParams(body) : null,
      session: cookie?.[1],
    };
    const route = Object.hasOwn(routes, url.pathname) && routes[url.pathname];
    if (!route) return page(response, '<p>No such page</p>', 404);
    await route(browser, response);
  } catch (error) {
    console.log(error instanceof Error ? error.stack : error);
    page(response, `<p>${escaped(error instanceof Error ? error.message : error)}</p>`, 400);
  }
}).listen(settings.port, settings.address);

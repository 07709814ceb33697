// An OpenID Connect provider around oidc-provider, for the tests.
//
// Signs in with a form, agrees to everything, logs out from either side and tells its clients. What
// it is told is in the JSON file that IDENTITY_PROVIDER_SETTINGS names. SIGHUP gives it a new key
// in the place of the old one.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const { address, port, client, people } = JSON.parse(
  readFileSync(process.env.IDENTITY_PROVIDER_SETTINGS, 'utf8'),
);
const issuer = `http://${address}:${port}`;

const fresh = () => ({
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  kid: randomUUID(),
  alg: 'RS256',
  use: 'sig',
});

const account = (_, subject) => {
  const person = Object.values(people).find(person => person.subject === subject);
  const first = name => person.attributes[name]?.[0];
  return (
    person && {
      accountId: subject,
      claims: () => ({
        sub: subject,
        name: first('displayName'),
        preferred_username: first('uid'),
        email: first('mail'),
        email_verified: true,
        groups: person.attributes.groups,
      }),
    }
  );
};

const started = () => {
  const provider = new Provider(issuer, {
    clients: [client],
    jwks: { keys: [fresh()] },
    scopes: ['openid', 'profile', 'email', 'groups'],
    claims: {
      openid: ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    conformIdTokenClaims: client.userinfo_alone === true,
    extraClientMetadata: { properties: ['userinfo_alone', 'applications'] },
    pkce: { required: () => true },
    ...(client.applications === true && { extraTokenClaims: () => ({ groups: ['uploaders'] }) }),
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (context, form) => {
          const button = '<input type="submit" name="logout" value="yes" form="op.logoutForm">';
          context.body = form.replace('</form>', `${button}</form>`);
        },
      },
      backchannelLogout: { enabled: true },
      ...(client.applications === true && {
        clientCredentials: { enabled: true },
        introspection: { enabled: true },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_, resource) => ({
            scope: 'upload',
            audience: 'rolegate',
            accessTokenTTL: 600,
            accessTokenFormat: resource.endsWith(':jwt') ? 'jwt' : 'opaque',
          }),
        },
      }),
    },
    // Its own way to ask would not go to this machine.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    cookies: { keys: ['a key of the tests'] },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: account,
  });
  // Without listeners, what goes wrong goes unnoticed.
  for (const event of ['server_error', 'backchannel.error', 'grant.error', 'authorization.error']) {
    provider.on(event, (...what) => console.error(event, what.find(it => it instanceof Error)));
  }
  return provider;
};

let provider = started();
process.on('SIGHUP', () => {
  provider = started();
});

const body = async request => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return new URLSearchParams(Buffer.concat(chunks).toString());
};

const interact = async (request, response) => {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    if (request.method === 'GET') {
      response.setHeader('content-type', 'text/html');
      return response.end(
        `<form method="post" action="${request.url}"><input name="username">` +
          '<input type="password" name="password"><button>Sign in</button></form>',
      );
    }
    const form = await body(request);
    const person = people[form.get('username')];
    if (form.get('cancel')) {
      const error = { error: 'access_denied', error_description: 'cancelled' };
      return provider.interactionFinished(request, response, error);
    }
    if (!person || person.password !== form.get('password')) {
      response.statusCode = 403;
      return response.end('wrong password');
    }
    const login = { accountId: person.subject, amr: ['pwd'], acr: 'urn:of-the-tests:password' };
    return provider.interactionFinished(request, response, { login });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(
    request,
    response,
    { consent },
    { mergeWithLastSubmission: true },
  );
};

createServer(async (request, response) => {
  try {
    if (request.url.startsWith('/interaction/')) return await interact(request, response);
    return await provider.callback()(request, response);
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    return response.end(String(error));
  }
}).listen(port, address);

// node-saml over one response, again and again; prints validations per second.
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// Installed under the build folder, not beside this file.
const require = createRequire(join(process.argv[3], 'package.json'));
const { SAML } = require('@node-saml/node-saml');

const given = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const saml = new SAML({
  callbackUrl: given.acs_url,
  issuer: given.sp_entity_id,
  audience: given.sp_entity_id,
  entryPoint: given.idp_sso_url,
  idpIssuer: given.idp_entity_id,
  idpCert: given.certificate,
  wantAssertionsSigned: true,
  wantAuthnResponseSigned: false,
});

// One response, from the form field to the attributes.
const validate = async () => {
  const { profile } = await saml.validatePostResponseAsync({ SAMLResponse: given.response });
  return profile;
};

const profile = await validate();
assert.equal(profile.nameID, given.name_id);
assert.equal(profile.groups.length, given.groups);
let count = 0;
const started = performance.now();
while (performance.now() - started < given.seconds * 1e3) {
  await validate();
  count += 1;
}
console.log((count / (performance.now() - started)) * 1e3);

// node-saml as AWS's end of our responses; prints one JSON value for each: what it says, or why it
// is refused.
import { readFileSync } from 'node:fs';
import { SAML } from '@node-saml/node-saml';

const given = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const certificates = [...given.metadata.matchAll(/<ds:X509Certificate>([^<]*)</g)];
const saml = new SAML({
  callbackUrl: given.recipient,
  issuer: given.audience,
  audience: given.audience,
  entryPoint: given.sign_in_url,
  idpIssuer: given.entity_id,
  idpCert: certificates.map((certificate) => certificate[1]),
  wantAssertionsSigned: true,
  wantAuthnResponseSigned: given.response_is_signed,
});

const verdict = async (response) => {
  try {
    const { profile } = await saml.validatePostResponseAsync({ SAMLResponse: response });
    const values = Object.entries(profile.attributes).map(([name, value]) => [name, [value].flat()]);
    return { name_id: profile.nameID, attributes: Object.fromEntries(values) };
  } catch (error) {
    return { refused: error.message };
  }
};
const verdicts = [];
for (const response of given.responses) verdicts.push(await verdict(response));
console.log(JSON.stringify(verdicts));

// jose as AWS's end of our tokens; prints one JSON value for each: its claims, or why it is refused.
// With `discovery` the keys are fetched as AWS does: the document first, then what it names.
import { readFileSync } from 'node:fs';
import { createLocalJWKSet, createRemoteJWKSet, jwtVerify } from 'jose';

const given = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const keys = async () => {
  if (!given.discovery) return createLocalJWKSet(given.jwks);
  const document = await (await fetch(given.discovery)).json();
  if (document.issuer !== given.issuer) throw new Error(`another issuer: ${document.issuer}`);
  return createRemoteJWKSet(new URL(document.jwks_uri));
};
const known = await keys();

const verdict = async (token) => {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, known, {
      issuer: given.issuer,
      audience: given.audience,
      algorithms: ['RS256', 'ES256'],
      requiredClaims: ['iss', 'aud', 'sub', 'iat', 'nbf', 'exp', 'jti'],
    });
    return { header: protectedHeader, claims: payload };
  } catch (error) {
    return { refused: `${error.code}: ${error.message}` };
  }
};
const verdicts = [];
for (const token of given.tokens) verdicts.push(await verdict(token));
console.log(JSON.stringify(verdicts));

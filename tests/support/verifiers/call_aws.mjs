// The AWS SDK for JavaScript, as an application has it: asks STS who it is, by its SSO provider and the
// profile of the environment.
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { fromSSO } from '@aws-sdk/credential-provider-sso';

const sts = new STSClient({ credentials: fromSSO({ profile: process.env.AWS_PROFILE }) });
console.log((await sts.send(new GetCallerIdentityCommand({}))).Arn);

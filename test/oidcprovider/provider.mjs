// The OpenID provider of npm's oidc-provider, with one person who agrees to everything.
// It prints its issuer identifier when it is ready.
import * as http from 'node:http';
import { randomBytes } from 'node:crypto';
import Provider from 'oidc-provider';

const resource = 'https://dns.example.org/api';
const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, {
    clients: [{
      client_id: 'signpost',
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      redirect_uris: ['http://127.0.0.1/callback'],
    }],
    cookies: { keys: [randomBytes(16).toString('hex')] },
    scopes: ['openid', 'offline_access'],
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'dns', audience: 'signpost-api', accessTokenTTL: 3600, accessTokenFormat: 'jwt',
        }),
      },
    },
    extraTokenClaims: () => ({ entitlements: ['urn:mace:example.org:group:vo:role=member#aai.example.org'] }),
    issueRefreshToken: () => true,
    interactions: { url: (_, i) => `/interaction/${i.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  });
  const answer = provider.callback();
  server.on('request', async (req, res) => {
    if (!req.url.startsWith('/interaction/')) {
      answer(req, res);
      return;
    }
    const { prompt, params, session, grantId } = await provider.interactionDetails(req, res);
    if (prompt.name === 'login') {
      await provider.interactionFinished(req, res, { login: { accountId: 'alice' } });
      return;
    }
    const grant = (grantId && await provider.Grant.find(grantId)) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope('openid offline_access');
    grant.addResourceScope(resource, 'dns');
    await provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  });
  console.log(`issuer ${provider.issuer}`);
});

// A certified OpenID provider for the tests, on loopback, over http and https.
//
//   node provider.mjs '{"modules": FOLDER, "certificate": FILE, "key": FILE, "clientKeys": {ALG: PEM}}'
//
// Prints one line of JSON, {"http": ISSUER, "https": ISSUER}, when it listens, and ends when its standard input does, so
// that it can't outlive the tests. POST /test/ttl?seconds=N sets the life of access tokens, POST /test/rotate[?drop=1]
// signs with new keys (and forgets the old ones), GET /test/token-requests counts the requests to the token endpoint.
import { createPublicKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[2]);
const modules = pathToFileURL(`${settings.modules}/`);
const { Provider } = await import(new URL('oidc-provider/lib/index.js', modules));
const { errors } = await import(new URL('oidc-provider/lib/index.js', modules));
const { createMemoryAdapter } = await import(new URL('oidc-provider/lib/adapters/memory_adapter.js', modules));

const ALGORITHMS = { RS256: ['rsa', { modulusLength: 2048 }], PS256: ['rsa', { modulusLength: 2048 }], ES256: ['ec', { namedCurve: 'P-256' }], EdDSA: ['ed25519', {}] };
const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const APIS = { 'urn:api:jwt': 'RS256', 'urn:api:ps256': 'PS256', 'urn:api:es256': 'ES256', 'urn:api:eddsa': 'EdDSA', 'urn:api:opaque': null }; // resource → algorithm of its RFC 9068 access tokens

let generation = 0;
let keys = newKeys();
let accessTokenTtl = 300;
let mtls = '';
const nonceSecret = randomBytes(32);
const tokenRequests = { http: 0, https: 0 };

function newKeys() {
  generation += 1;
  return Object.entries(ALGORITHMS).map(([alg, [type, options]]) => (
    { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${generation}` }));
}

// A native client may use any port of a loopback redirect URI (RFC 8252 section 7.3).
const person = (client_id, more = {}) => ({
  client_id, application_type: 'native', grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE], response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback', 'http://localhost/callback'],
  post_logout_redirect_uris: ['http://127.0.0.1/'], ...more,
});
const open = { token_endpoint_auth_method: 'none' };
const service = (client_id, more = {}) => ({ client_id, grant_types: ['client_credentials'], response_types: [], redirect_uris: [], ...more });
const secret = (name, method) => ({ client_secret: `${name}-secret`, token_endpoint_auth_method: method });
const clientKeys = Object.entries(settings.clientKeys).map(([alg, pem]) => (
  { ...createPublicKey(pem).export({ format: 'jwk' }), alg, use: 'sig', kid: `client-${alg}` }));
const certificate = new X509Certificate(settings.clientCertificate);
const byCertificate = { token_endpoint_auth_method: 'self_signed_tls_client_auth', tls_client_certificate_bound_access_tokens: true,
  jwks: { keys: [{ ...certificate.publicKey.export({ format: 'jwk' }), use: 'sig', kid: 'cert', x5c: [certificate.raw.toString('base64')] }] } };
const signed = { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: clientKeys } };

const clients = [
  person('native', open),
  person('native-ps256', { ...open, id_token_signed_response_alg: 'PS256' }),
  person('native-es256', { ...open, id_token_signed_response_alg: 'ES256' }),
  person('native-eddsa', { ...open, id_token_signed_response_alg: 'EdDSA' }),
  person('native-bound', { ...open, dpop_bound_access_tokens: true }),
  person('nonce-bound', { ...open, dpop_bound_access_tokens: true }),
  person('native-pushed', { ...open, require_pushed_authorization_requests: true }),
  person('confidential-basic', secret('confidential-basic', 'client_secret_basic')),
  person('confidential-post', secret('confidential-post', 'client_secret_post')),
  person('confidential-jwt', signed),
  service('service-basic', secret('service-basic', 'client_secret_basic')),
  service('service-post', secret('service-post', 'client_secret_post')),
  service('service-jwt', signed),
  service('service-certificate', byCertificate),
  person('native-certificate', byCertificate),
  person('fapi-certificate', { ...byCertificate, id_token_signed_response_alg: 'PS256' }),
  person('fapi-jwt', { ...signed, id_token_signed_response_alg: 'ES256', dpop_bound_access_tokens: true }),
  service('service-bound', { ...secret('service-bound', 'client_secret_basic'), dpop_bound_access_tokens: true }),
  service('api', { ...secret('api', 'client_secret_basic'), grant_types: [TOKEN_EXCHANGE] }),
  service('resource-server', { ...secret('resource-server', 'client_secret_basic'), grant_types: [] }), // introspects only
];

const configuration = (adapter, scheme) => ({
  adapter,
  clients,
  jwks: { keys },
  cookies: { keys: ['loopback tests only'] },
  scopes: ['openid', 'offline_access', 'profile', 'email', 'read', 'write'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username', 'groups'] },
  conformIdTokenClaims: scheme === 'http', // there, name and e-mail address are told at /me alone (OIDC Core 5.4)
  enabledJWA: { idTokenSigningAlgValues: Object.keys(ALGORITHMS) },
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, name: `Test ${sub}`, preferred_username: sub,
    email: `${sub}@example.test`, email_verified: true, groups: ['users'] }) }),
  issueRefreshToken: (ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  rotateRefreshToken: true, // every use rotates; a used one presented again revokes the whole grant
  discovery: { mtls_endpoint_aliases: {
    token_endpoint: `${mtls}/token`, userinfo_endpoint: `${mtls}/me`, pushed_authorization_request_endpoint: `${mtls}/request`,
  } },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none', 'self_signed_tls_client_auth'],
  pkce: { required: () => true },
  ttl: { AccessToken: () => accessTokenTtl, ClientCredentials: () => accessTokenTtl, IdToken: 300, RefreshToken: 86400,
    AuthorizationCode: 60, DeviceCode: 300, Grant: 86400, Session: 86400, Interaction: 600 },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientAuthMethod !== 'none' },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    userinfo: { enabled: true },
    dPoP: { enabled: true, nonceSecret, requireNonce: (ctx) => Boolean(ctx.oidc.client?.clientId.startsWith('nonce')) },
    pushedAuthorizationRequests: { enabled: true },
    fapi: { enabled: true, profile: (ctx, client) => (client?.clientId.startsWith('fapi') ? '2.0' : undefined) },
    mTLS: {
      enabled: true, certificateBoundAccessTokens: true, selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => ctx.req.socket.getPeerX509Certificate?.()?.toString(),
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => {
        if (!(resource in APIS)) throw Object.assign(new Error('invalid_target'), { error: 'invalid_target', status: 400, statusCode: 400, expose: true, error_description: 'unknown resource' });
        const alg = APIS[resource];
        return { scope: 'read write', audience: resource, accessTokenTTL: accessTokenTtl,
          ...(alg ? { accessTokenFormat: 'jwt', jwt: { sign: { alg } } } : { accessTokenFormat: 'opaque' }) };
      },
    },
  },
});

// Token exchange (RFC 8693): the provider leaves it to whoever runs it which tokens may be exchanged for which.
const exchange = (provider) => async (ctx) => {
  const { subject_token: given, subject_token_type: kind, resource } = ctx.oidc.params;
  const subject = await provider.AccessToken.find(given ?? '');
  if (!subject?.isValid || !kind?.endsWith(':access_token')) throw new errors.InvalidGrant('no good subject_token');
  const token = new provider.AccessToken({ accountId: subject.accountId, client: ctx.oidc.client, grantId: subject.grantId,
    gty: 'token-exchange', scope: 'read' });
  token.resourceServer = new provider.ResourceServer(resource, configuration().features.resourceIndicators.getResourceServerInfo(ctx, resource));
  ctx.body = { access_token: await token.save(), issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: token.tokenType, expires_in: token.expiration, scope: token.scope };
};

const issuers = {};
const stores = { http: createMemoryAdapter(15), https: createMemoryAdapter(15) }; // outlive a change of keys
const apps = {};
const build = () => {
  for (const [scheme, issuer] of Object.entries(issuers)) {
    const provider = new Provider(issuer, configuration(stores[scheme], scheme));
    provider.registerGrantType(TOKEN_EXCHANGE, exchange(provider), ['subject_token', 'subject_token_type', 'requested_token_type', 'resource', 'scope']);
    provider.on('server_error', (ctx, error) => console.error('server_error', error));
    apps[scheme] = provider.callback();
  }
};

const handler = (scheme) => (request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://127.0.0.1');
  if (pathname === '/token') tokenRequests[scheme] += 1;
  if (!pathname.startsWith('/test/')) return apps[scheme](request, response);
  if (pathname === '/test/ttl') accessTokenTtl = Number(searchParams.get('seconds'));
  if (pathname === '/test/rotate') {
    keys = searchParams.has('drop') ? newKeys() : newKeys().concat(keys);
    build();
  }
  return response.end(JSON.stringify({ accessTokenTtl, kids: keys.map((key) => key.kid), tokenRequests }));
};

const listen = (server) => new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server.address().port)); });
const tls = { cert: readFileSync(settings.certificate), key: readFileSync(settings.key) };
// Two host names keep the two issuers' cookies apart: cookies ignore ports.
issuers.http = `http://127.0.0.1:${await listen(http.createServer(handler('http')))}`;
// Clients with a certificate go to another port, so that no browser is ever asked for one.
mtls = `https://localhost:${await listen(https.createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, handler('https')))}`;
issuers.https = `https://localhost:${await listen(https.createServer(tls, handler('https')))}`;
build();
process.stdin.on('end', () => process.exit()).resume();
console.log(JSON.stringify(issuers));

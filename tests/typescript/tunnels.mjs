// A tunnel from its begin to its end.

import { client, failure, given, tell } from './client.mjs';

const { cloudflared, warpConnector } = client.zeroTrust.tunnels;
const where = { account_id: given.account };
const rules = [{ hostname: given.hostname, service: 'http://localhost:80' }, { service: 'http_status:404' }];

const made = await cloudflared.create({ ...where, name: 'blog', tunnel_secret: given.secret });
const { id } = made;
const here = [id, where];

tell({
  made,
  got: await cloudflared.get(...here),
  taken: await failure(cloudflared.create({ ...where, name: 'blog' })),
  unnamed: await failure(cloudflared.create({ ...where, name: '' })),
  renamed: await cloudflared.edit(id, { ...where, name: 'shop' }),
  token: await cloudflared.token.get(...here),
  management: await cloudflared.management.create(id, { ...where, resources: ['logs'] }),
  configuration: {
    first: await cloudflared.configurations.get(...here),
    put: await cloudflared.configurations.update(id, { ...where, config: { ingress: rules } }),
    got: await cloudflared.configurations.get(...here),
    empty: await failure(cloudflared.configurations.update(id, where)),
    filtered: await failure(cloudflared.configurations.update(id, { ...where, config: { ingress: rules.slice(0, 1) } })),
  },
  // The SDK has no method for it: cloudflared alone claims hostnames.
  route: await client.put(`/zones/${given.zone}/tunnels/${id}/routes`, { body: { type: 'dns', user_hostname: 'www' } }),
  deleted: await cloudflared.delete(...here),
  still: await cloudflared.get(...here),
  gone: {
    edit: await failure(cloudflared.edit(id, { ...where, name: 'late' })),
    delete: await failure(cloudflared.delete(...here)),
    token: await failure(cloudflared.token.get(...here)),
    configuration: await failure(cloudflared.configurations.get(...here)),
    connector: await failure(cloudflared.connectors.get(given.nobody, { ...where, tunnel_id: id })),
  },
  unknown: await failure(cloudflared.get(given.nobody, where)),
  foreign: await failure(cloudflared.get(id, { account_id: given.stranger })),
  warp: await failure(warpConnector.create({ ...where, name: 'mesh', ha: false })),
  account: await client.accounts.get(where),
  accounts: (await client.accounts.list()).result,
});

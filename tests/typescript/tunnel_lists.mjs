// Names by each filter that a test gives, and all of them page by page.

import { client, failure, given, tell } from './client.mjs';

const { tunnels } = client.zeroTrust;
const where = { account_id: given.account };

async function names(list) {
  const found = [];
  for await (const tunnel of list) found.push(tunnel.name);
  return found;
}

const found = [];
for (const filter of given.filters) found.push(await names(tunnels.cloudflared.list({ ...where, ...filter })));

const pages = [];
const first = await tunnels.list({ ...where, per_page: 3 });
for await (const page of first.iterPages()) pages.push(page.result.map((each) => each.name));

tell({
  found,
  pages,
  every: await names(tunnels.list({ ...where, per_page: 2, tun_types: ['cfd_tunnel', 'gre'] })),
  others: await names(tunnels.list({ ...where, tun_types: ['gre'] })),
  refused: await failure(tunnels.list({ ...where, status: 'sick', per_page: 0 })),
});

// What is connected to a tunnel, and its clean-up: of one connector, then of all.

import { client, failure, given, tell } from './client.mjs';

const { cloudflared } = client.zeroTrust.tunnels;
const { connections, connectors } = cloudflared;
const { account: account_id, tunnel, connector } = given;
const where = { account_id };

async function connected() {
  const found = [];
  for await (const each of connections.get(tunnel, where)) found.push(each);
  return found;
}

tell({
  tunnel: await cloudflared.get(tunnel, where),
  all: await connected(),
  one: await connectors.get(connector, { account_id, tunnel_id: tunnel }),
  refused: await failure(cloudflared.delete(tunnel, where)),
  cleaned: await connections.delete(tunnel, { account_id, client_id: connector }),
  others: await connected(),
  again: await connections.delete(tunnel, { account_id, client_id: connector }),
  away: await failure(connectors.get(connector, { account_id, tunnel_id: tunnel })),
  rest: await connections.delete(tunnel, where),
  none: await connected(),
  deleted: await cloudflared.delete(tunnel, where),
});

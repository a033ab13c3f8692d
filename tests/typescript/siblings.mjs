// What a user of Radar asks beside the dataset.

import { client, tell } from './client.mjs';

const accounts = [];
for await (const account of client.accounts.list({ per_page: 1 })) accounts.push(account.name);

tell({
  token: await client.user.tokens.verify(),
  accounts,
  annotations: (await client.radar.annotations.list({ dateRange: '7d', limit: 2 })).annotations,
});

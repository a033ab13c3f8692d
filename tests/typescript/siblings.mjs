// What a user of Radar asks beside the dataset.

import { client, tell } from './client.mjs';

const accounts = [];
for await (const account of client.accounts.list({ per_page: 1 })) accounts.push(account.name);

tell({
  token: await client.user.tokens.verify(),
  accounts,
  annotations: (await client.radar.annotations.list({ dateRange: '7d', limit: 2 })).annotations,
  locations: (await client.radar.entities.locations.list({ location: 'DE,PT' })).locations,
  location: (await client.radar.entities.locations.get('DE')).location,
  networks: (await client.radar.entities.asns.list({ orderBy: 'POPULATION', limit: 1 })).asns,
  network: (await client.radar.entities.asns.get(64496)).asn,
  found: (await client.radar.search.global({ query: 'germ', include: ['LOCATIONS'] })).search,
});

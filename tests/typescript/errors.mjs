// The exception of each request that a test names: method, path, query.

import { client, failure, given, tell } from './client.mjs';

const told = [];
for (const [method, path, query] of given) told.push(await failure(client[method](path, { query })));
tell(told);

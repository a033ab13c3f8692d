// Both endpoints with every parameter.

import { ask, client, given, tell } from './client.mjs';

const radar = client.radar.tcpResetsTimeouts;
const every = {
  name: ['main series', '', 'c'],
  dateStart: [given.start],
  dateEnd: [given.end],
  asn: ['-64500, 64496'],
  location: ['', 'mx,-DE'],
  continent: ['EU,NA', '', '-EU'],
  format: 'JSON',
};

tell({
  plain: await ask(radar.summary()),
  summary: await ask(radar.summary(every)),
  plain_series: await ask(radar.timeseriesGroups()),
  series: await ask(radar.timeseriesGroups({ ...every, aggInterval: '1d' })),
  control: await ask(radar.summary({ dateRange: ['7d', '7dcontrol'] })),
  // What the types do not know is sent along.
  more: await ask(radar.summary({ sensor: 'edge', tag: ['-timeout'] })),
  signatures: await ask(client.get('/radar/tcp_resets_timeouts/summary/signature', { query: { limitPerGroup: 3 } })),
});

// CSV comes as text by asResponse(); a parsed call gives nothing.

import { client, given, tell } from './client.mjs';

const radar = client.radar.tcpResetsTimeouts;
const asked = { format: 'CSV', dateStart: [given.start], dateEnd: [given.end] };
const answers = await Promise.all([
  radar.summary(asked).asResponse(),
  radar.timeseriesGroups({ ...asked, aggInterval: '1d', name: ['germany', 'all'], location: ['DE'] }).asResponse(),
]);

tell({
  types: answers.map((each) => each.headers.get('content-type')),
  texts: await Promise.all(answers.map((each) => each.text())),
});

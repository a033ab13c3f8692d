// The official SDK, pointed at the server of a test by its own environment variables: CLOUDFLARE_BASE_URL, CLOUDFLARE_API_TOKEN.

import Cloudflare from 'cloudflare';

let url;

export const client = new Cloudflare({
  maxRetries: 0,
  fetch: (target, init) => {
    url = String(target);
    return fetch(target, init);
  },
});

/** What a test gave to the script. */
export const given = JSON.parse(process.argv[2] ?? 'null');

/** What was answered, and the URL as it went over the wire. */
export async function ask(promise) {
  const answer = await promise;
  return { url, answer };
}

/** The exception of a call: the SDK's class for it, and what it tells. */
export async function failure(promise) {
  try {
    await promise;
  } catch (error) {
    const known = Object.entries(Cloudflare).find(([, value]) => value === error.constructor);
    return { kind: known?.[0], status: error.status, errors: error.errors };
  }
  return null;
}

/** Hand the result to the test. */
export function tell(result) {
  console.log(JSON.stringify(result));
}

"""Two hundred clients at once: nothing lost, nothing doubled, no fault of the server, on both databases."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import uuid4

from halfopen.tunnels.catalogue import Filter
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registrations import Registered, Registration
from tests.databases.database import Database
from tests.tunnels.played import Server

CLIENTS = 200


def test_two_hundred_create_list_and_delete(server: Server) -> None:
    tenant = server.tenant("Cloudflare Tunnel Write")
    with server.database.accounts() as accounts:  # each by a token of its own, as clients have
        tokens = [
            accounts.create_token(["Cloudflare Tunnel Write"], account=tenant.account)[0] for _ in range(20)
        ]

    def client(number: int) -> Counter[int]:
        token = tokens[number % len(tokens)]
        seen: Counter[int] = Counter()
        made = tenant.ask("POST", tenant.tunnels, token, json={"name": f"own-{number}"})
        seen[made.status_code] += 1
        contested = tenant.ask("POST", tenant.tunnels, token, json={"name": f"shared-{number % 10}"})
        seen[contested.status_code] += 1
        seen[tenant.ask("GET", f"{tenant.tunnels}?per_page=5", token).status_code] += 1
        one = f"{tenant.tunnels}/{made.json()['result']['id']}"
        seen[tenant.ask("PATCH", one, token, json={"name": f"mine-{number}"}).status_code] += 1
        if number % 2:
            seen[tenant.ask("DELETE", one, token).status_code] += 1
        return seen

    with ThreadPoolExecutor(CLIENTS) as threads:
        seen = sum(threads.map(client, range(CLIENTS)), Counter())
    assert seen == {200: CLIENTS * 3 + CLIENTS // 2 + 10, 409: CLIENTS - 10}
    names = {each["name"] for each in tenant.ask("GET", tenant.tunnels).json()["result"]}
    assert names == {f"mine-{number}" for number in range(0, CLIENTS, 2)} | {
        f"shared-{number}" for number in range(10)
    }
    gone = {each["name"] for each in tenant.ask("GET", f"{tenant.tunnels}?is_deleted=true").json()["result"]}
    assert gone == {f"mine-{number}" for number in range(1, CLIENTS, 2)}


def test_registrations_heartbeats_and_clean_ups_at_once_do_not_wait_in_a_circle(database: Database) -> None:
    with closing(Installation(database.data, database.url)) as here:
        account = here.accounts.every_account()[0].id
        tunnels = [here.tunnels.create(account, f"t{number}") for number in range(8)]
        sessions = [here.registry.begin(here.edges.enrol(f"edge-{number}", "colo").id) for number in range(4)]

        def connector(number: int) -> None:
            session = sessions[number % 4]
            name = str(uuid4())
            asked = [
                Registration(account, token.tunnel, token.secret, name, index, "1", "x", (), "192.0.2.1")
                for index, (_, token) in enumerate(tunnels[number % 8 :] + tunnels[: number % 8])
            ]
            told = here.registry.register(session, asked)
            ids = [each.connection for each in told if isinstance(each, Registered)]
            assert len(ids) == len(asked)
            here.registry.heartbeat(session, ids)
            here.registry.unregister(session, ids[: number % 3], lost=bool(number % 2))
            here.registry.sweep()
            if number % 10 == 0:
                here.tunnels.clean_up(account, tunnels[number % 8][0].id, name)

        with ThreadPoolExecutor(20) as threads:
            list(threads.map(connector, range(60)))
        found, _ = here.tunnels.find(account, Filter(), 1, 100)
        assert {tunnel.status for tunnel in found} == {"healthy"}
        places = [(tunnel.id, link.connector, link.conn_index) for tunnel in found for link in tunnel.links]
        assert len(set(places)) == len(places)

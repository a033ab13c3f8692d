"""Two hundred clients at once: nothing lost, nothing doubled, no fault of the server, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import uuid4

from halfopen.errors import RequestError, UsageError
from halfopen.tunnels.catalogue import Filter
from halfopen.tunnels.configurations import Configuration
from halfopen.tunnels.hostnames import Claimed, Zone
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


def test_one_hostname_that_many_want_at_once_gets_one_tunnel_and_the_others_words(database: Database) -> None:
    with closing(Installation(database.data, database.url)) as here:
        account = here.accounts.every_account()[0].id
        tunnels = [here.tunnels.create(account, f"t{number}")[0].id for number in range(8)]
        zone = here.hostnames.add_zone(account, "example.com")

        def claim(number: int) -> str:
            seen = [outcome(here.hostnames.claim, zone, tunnels[number], f"h{name}") for name in range(10)]
            return " ".join(seen)

        def configure(number: int) -> str:
            names = [f"c{name}.example.com" for name in range(10)]
            rules = [{"hostname": name, "service": "http://a"} for name in names]
            config = {"ingress": [*(rules if number % 2 else rules[::-1]), {"service": "http_status:404"}]}
            return outcome(here.configurations.put, account, tunnels[number], config)

        def renew_the_zone(number: int) -> str:
            outcome(here.hostnames.remove_zone, "fleeting.example")
            return outcome(here.hostnames.add_zone, account, "fleeting.example")

        def follow_the_zone(number: int) -> str:
            rules = [
                {"hostname": f"{name}{number}.fleeting.example", "service": "http://a"} for name in "abc"
            ]
            config = {"ingress": [*rules, {"service": "http_status:404"}]}
            return outcome(here.configurations.put, account, tunnels[number], config)

        with ThreadPoolExecutor(8) as threads:
            claimed = " ".join(threads.map(claim, range(8))).split()
            assert Counter(claimed) == {"new": 10, "409": 70}
            configured = list(threads.map(configure, range(8)))
            assert Counter(configured) == {"version": 1, "400": 7}
            here.hostnames.add_zone(account, "fleeting.example")
            both = [
                threads.submit(deed, number)
                for number in range(8)
                for deed in (renew_the_zone, follow_the_zone, follow_the_zone)
            ]
            assert {each.result() for each in both} <= {"zone", "usage", "version"}
        routed = {name for name in here.hostnames.routing() if name.endswith(".fleeting.example")}
        assert routed == {f"{name}{number}.fleeting.example" for name in "abc" for number in range(8)}


def outcome(deed: Callable[..., Any], *given: Any) -> str:
    """What became of it in a word: what was made, or the status of what is told."""
    try:
        made = deed(*given)
    except RequestError as error:
        return str(error.status)
    except UsageError:
        return "usage"
    if isinstance(made, Claimed):
        return made.change
    return "zone" if isinstance(made, Zone) else "version" if isinstance(made, Configuration) else "done"

"""What edges report, and what comes of it: registered, replaced, lost, pending, away, dead."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import select, update

from halfopen.tunnels.registrations import DELETED, SECRET, UNKNOWN
from halfopen.tunnels.registry import GRACE, LEASE
from halfopen.tunnels.schema import CONNECTIONS, TUNNELS
from halfopen.tunnels.sessions import SessionError
from tests.databases.database import Database
from tests.tunnels.world import World, asked


def test_a_connector_and_its_four_connections(world: World) -> None:
    session = world.edge("ams-1")
    tunnel, token = world.tunnel()
    assert (world.get(tunnel).status, world.get(tunnel).active) == ("inactive", None)
    assert world.get(tunnel).inactive == tunnel.created
    name = str(uuid4())
    ids = world.connect(session, token, [0], name)
    assert world.get(tunnel).status == "degraded"
    ids += world.connect(session, token, [1, 2, 3], name)
    found = world.get(tunnel)
    assert (found.status, found.inactive) == ("healthy", None)
    assert found.active is not None
    (connector,) = world.here.tunnels.connectors(world.account, tunnel.id)
    assert (connector.id, connector.version, connector.arch) == (name, "2026.8.2", "linux_amd64")
    assert connector.features == ("allow_remote_config", "serialized_headers")
    assert [link.id for link in connector.links] == ids
    assert {(link.colo, link.origin_ip) for link in connector.links} == {("ams01", "198.51.100.7")}
    assert connector.run == connector.links[0].opened


def test_each_refusal_in_the_words_cloudflared_knows(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    other = world.here.accounts.create_account("Other").id
    assert world.refused(session, asked(token, secret=b"x" * 32)) == SECRET
    for account, identifier in ((other, tunnel.id), (world.account, str(uuid4()))):
        claimed = type(token)(account, identifier, token.secret)
        assert world.refused(session, asked(claimed)) == UNKNOWN
    world.here.tunnels.edit(world.account, tunnel.id, secret=b"n" * 32)
    assert world.refused(session, asked(token)) == SECRET
    world.here.tunnels.delete(world.account, tunnel.id)
    assert world.refused(session, asked(token, secret=b"n" * 32)) == DELETED
    assert world.links(tunnel) == {}


def test_old_connections_live_on_after_a_new_secret_until_they_are_cleaned_up(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    ids = world.connect(session, token)
    world.here.tunnels.edit(world.account, tunnel.id, secret=b"n" * 32)
    assert world.here.registry.heartbeat(session, ids) == []
    assert list(world.links(tunnel)) == ids


def test_the_next_in_a_place_replaces_the_one_before(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    name = str(uuid4())
    (first,) = world.connect(session, token, [0], name)
    (second,) = world.connect(session, token, [0], name)
    assert world.links(tunnel) == {second: False}
    assert world.here.registry.heartbeat(session, [first, second]) == [first]
    elsewhere = world.edge("par-1")
    (third,) = world.connect(elsewhere, token, [0], name)
    assert world.links(tunnel) == {third: False}
    # In one commit, too.
    fourth, fifth = world.connect(session, token, [0, 0], name)
    assert world.links(tunnel) == {fifth: False}
    assert set(world.here.registry.heartbeat(session, [second, fourth, fifth])) == {second, fourth}


def test_one_that_leaves_is_away_and_one_that_breaks_off_is_pending_for_the_grace(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    a, b, c = world.connect(session, token, [0, 1, 2])
    world.here.registry.unregister(session, [a])
    world.here.registry.unregister(session, [b], lost=True)
    assert world.links(tunnel) == {b: True, c: False}
    assert world.get(tunnel).status == "degraded"
    world.later(GRACE - 1)
    world.here.registry.heartbeat(session, [c])
    assert world.links(tunnel) == {b: True, c: False}
    world.later(2)
    assert world.links(tunnel) == {c: False}
    world.here.registry.unregister(session, [c])
    assert world.here.tunnels.connectors(world.account, tunnel.id) == []
    found = world.get(tunnel)
    assert (found.status, found.active, found.inactive is not None) == ("down", None, True)


def test_an_edge_that_dies_takes_its_connections_to_pending_and_then_away(world: World) -> None:
    dying, living = world.edge("ams-1"), world.edge("par-1")
    tunnel, token = world.tunnel()
    held = world.connect(dying, token)
    kept = world.connect(living, token)
    for _ in range(3):
        world.later(LEASE - 1)
        world.here.registry.heartbeat(living, kept)
    assert world.links(tunnel) == {**dict.fromkeys(held, True), **dict.fromkeys(kept, False)}
    for _ in range(GRACE // (LEASE - 1)):
        world.later(LEASE - 1)
        world.here.registry.heartbeat(living, kept)
    assert list(world.links(tunnel)) == kept
    assert (
        world.here.registry.heartbeat(dying, held) == held
    )  # it only slept: they are away, it has to close them


def test_an_edge_that_only_slept_gets_its_connections_back(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    ids = world.connect(session, token)
    world.later(LEASE + 1)
    assert world.get(tunnel).status == "down"
    inactive = world.get(tunnel).inactive
    assert inactive is not None
    assert inactive < world.time - 900_000  # since its lease was over, not since somebody looked
    assert world.here.registry.heartbeat(session, ids) == []
    assert world.get(tunnel).status == "healthy"
    assert not any(world.links(tunnel).values())


def test_what_registers_with_an_edge_whose_lease_is_over_is_pending_until_its_next_heartbeat(
    world: World,
) -> None:
    sleeping, living = world.edge("ams-1"), world.edge("par-1")
    tunnel, token = world.tunnel()
    name = str(uuid4())
    world.connect(living, token, [0], name)
    world.later(LEASE + 1)
    world.here.registry.heartbeat(living, world.links(tunnel))
    (moved,) = world.connect(sleeping, token, [0], name)
    assert world.links(tunnel) == {moved: True}
    assert (world.get(tunnel).status, world.get(tunnel).active) == ("down", None)
    assert world.here.registry.heartbeat(sleeping, [moved]) == []
    assert world.links(tunnel) == {moved: False}
    world.later(LEASE + 1)
    (lost,) = world.connect(sleeping, token, [1], name)  # it is never heard of again
    world.later(GRACE + 1)
    assert world.links(tunnel) == {}
    assert world.here.registry.heartbeat(sleeping, [lost]) == [lost]


def test_a_new_process_of_an_edge_ends_the_session_of_the_old(world: World) -> None:
    old = world.edge()
    tunnel, token = world.tunnel()
    ids = world.connect(old, token)
    world.edge()
    assert world.links(tunnel) == dict.fromkeys(ids, True)
    for speak in (
        lambda: world.here.registry.heartbeat(old, ids),
        lambda: world.here.registry.unregister(old, ids),
        lambda: world.here.registry.register(old, [asked(token)]),
        lambda: world.here.registry.news(old, 0, 0),
        lambda: world.here.registry.report(old, ids[0], 3),
    ):
        with pytest.raises(SessionError):
            speak()
    assert world.links(tunnel) == dict.fromkeys(ids, True)


def test_a_revoked_edge_speaks_no_more(world: World) -> None:
    session = world.edge("ams-1")
    tunnel, token = world.tunnel()
    ids = world.connect(session, token)
    world.here.edges.revoke("ams-1")
    assert world.links(tunnel) == dict.fromkeys(ids, True)
    with pytest.raises(SessionError):
        world.here.registry.heartbeat(session, ids)
    assert world.here.edges.named("ams-1") is None


def test_what_an_edge_does_not_hold_any_more_is_lost_but_not_what_registers_just_now(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    old = world.connect(session, token, [0, 1])
    world.later(20)
    world.here.registry.heartbeat(session, old)
    world.later(20)
    new = world.connect(session, token, [0])
    assert world.here.registry.heartbeat(session, [old[0]]) == []  # the answer to `new` is on its way
    assert world.links(tunnel) == {old[0]: False, old[1]: True, new[0]: False}


def test_a_clean_up_waits_for_the_edge_and_takes_them_out_of_every_list_at_once(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    one, other = world.connect(session, token), world.connect(session, token)
    (first, second) = world.here.tunnels.connectors(world.account, tunnel.id)
    cleaning = threading.Thread(target=world.here.tunnels.clean_up, args=(world.account, tunnel.id, first.id))
    cleaning.start()
    news = world.here.registry.news(
        session, world.here.registry.news(session, -1, 0).routing, time.monotonic() + 20
    )
    assert set(news.close) == {link.id for link in first.links}
    assert set(world.links(tunnel)) == {link.id for link in second.links}
    assert cleaning.is_alive()
    world.here.registry.unregister(session, news.close)
    cleaning.join(20)
    assert not cleaning.is_alive()
    assert set(one + other) == {link.id for each in (first, second) for link in each.links}
    assert world.here.registry.heartbeat(session, [*news.close]) == list(news.close)  # a dead id stays dead


def test_a_lost_notification_costs_one_heartbeat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halfopen.tunnels.catalogue.CLOSED_WITHIN", 0.1)
    session = world.edge()
    tunnel, token = world.tunnel()
    ids = world.connect(session, token)
    started = time.monotonic()
    world.here.tunnels.clean_up(world.account, tunnel.id)
    assert time.monotonic() - started < 5
    assert world.links(tunnel) == {}
    assert sorted(world.here.registry.heartbeat(session, ids)) == sorted(ids)
    world.later(60)
    world.here.registry.heartbeat(session, [])
    assert world.here.registry.news(session, -1, 0).close == ()  # closed is closed


def test_an_edge_killed_during_a_clean_up_brings_nothing_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfopen.tunnels.catalogue.CLOSED_WITHIN", 0.1)
    session = world.edge()
    tunnel, token = world.tunnel()
    ids = world.connect(session, token)
    world.here.tunnels.clean_up(world.account, tunnel.id)
    again = world.edge()  # its new process
    assert world.links(tunnel) == {}
    assert world.here.registry.heartbeat(again, ids) == ids
    assert world.links(tunnel) == {}


def test_pending_connections_are_cleaned_up_without_waiting(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    ids = world.connect(session, token)
    world.here.registry.unregister(session, ids, lost=True)
    started = time.monotonic()
    world.here.tunnels.clean_up(world.account, tunnel.id)
    assert time.monotonic() - started < 4
    assert world.links(tunnel) == {}


@pytest.mark.parametrize("speaks", ["unregister", "heartbeat"])
def test_what_is_cleaned_up_while_its_edge_says_it_broke_off_is_closed(
    world: World, database: Database, speaks: str
) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    (link,) = world.connect(session, token, [0])
    world.later(LEASE - 1)
    world.here.registry.heartbeat(session, [link])
    world.later(LEASE - 1)  # whoever holds it knows it by now, and its lease runs
    with ThreadPoolExecutor() as aside:
        with database.connection() as cleaning:
            cleaning.execute(select(TUNNELS).where(TUNNELS.c.id == tunnel.id).with_for_update())
            cleaning.execute(update(CONNECTIONS).values(dead=world.time))
            if speaks == "heartbeat":
                said = aside.submit(lambda: world.here.registry.heartbeat(session, []) and None)
            else:
                said = aside.submit(world.here.registry.unregister, session, [link], True)
            time.sleep(0.3)  # it has looked, and waits for the clean-up
        said.result(20)
    with database.connection() as connection:
        assert connection.execute(select(CONNECTIONS)).all() == []


@pytest.mark.parametrize("revoked", [True, False])
def test_what_an_edge_held_is_lost_since_its_lease_ended_whenever_that_is_noticed(
    world: World, revoked: bool
) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    (link,) = world.connect(session, token, [0])
    ends = world.time + LEASE * 1_000_000
    world.later(LEASE + 100)
    if revoked:
        world.here.edges.revoke("edge-1")
    else:
        world.edge()
    found = world.get(tunnel)
    assert [(each.id, each.lost) for each in found.links] == [(link, found.inactive)]
    assert found.inactive is not None
    assert found.inactive <= ends


def test_the_version_a_connector_uses_is_shown(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    first, *_ = world.connect(session, token)
    assert world.here.registry.report(session, first, 3) == tunnel.id
    (connector,) = world.here.tunnels.connectors(world.account, tunnel.id)
    assert connector.config_version == 3
    assert world.here.registry.report(session, str(uuid4()), 4) is None

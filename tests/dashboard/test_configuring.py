"""The editor of a tunnel's configuration: nothing that is typed gets lost, and only what cloudflared takes is sent."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfopen.dashboard.drafts import Table, faults, is_table, parsed
from tests.dashboard.accounts import see, send, words
from tests.dashboard.site import Visitor
from tests.dashboard.test_tunnels import LAST, configured, latest, made, page_of
from tests.tunnels.played import Server


def fields_of(html: str) -> dict[str, str]:
    """Inputs of the editor, by name."""
    form = html.partition('<form method="post">')[2]
    return {
        name: value.replace("&#34;", '"').replace("&amp;", "&")
        for name, value in re.findall(r'<input[^>]*?name="([^"]+)"[^>]*?value="([^"]*)"', form)
    }


def test_a_first_configuration_is_written_as_a_table_and_sent(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    page = f"{page_of(owner, tunnel)}/configuration"
    fields = fields_of(reader.get(page).text)
    assert (fields["service-2"], fields["version"]) == ("http_status:404", "0")
    filled = fields | {"hostname-1": "a.example", "service-1": "http://localhost:8080"}
    answer = reader.client.post(page, data=filled | {"act": "check"})
    assert "cloudflared takes this. Nothing was sent yet." in words(answer.text)
    assert latest(owner, tunnel)["version"] == 0
    answer = reader.client.post(page, data=filled | {"act": "send"})
    assert answer.headers["location"] == f"{page_of(owner, tunnel)}?done=configured"
    kept = latest(owner, tunnel)
    assert kept["config"]["ingress"] == [{"hostname": "a.example", "service": "http://localhost:8080"}, LAST]


def test_rows_are_added_moved_and_removed_and_what_they_say_beside_is_kept(
    owner: Server, reader: Visitor
) -> None:
    tunnel = made(owner)
    rule = {"hostname": "a.example", "service": "https://b", "originRequest": {"noTLSVerify": True}}
    configured(owner, tunnel, rule)
    page = f"{page_of(owner, tunnel)}/configuration"
    fields = fields_of(reader.get(page).text)
    fields = fields_of(reader.client.post(page, data=fields | {"act": "add"}).text)
    fields |= {"hostname-2": "c.example", "path-2": "^/d", "service-2": "http://e"}
    fields = fields_of(reader.client.post(page, data=fields | {"act": "up-2"}).text)
    assert (fields["hostname-1"], fields["hostname-2"]) == ("c.example", "a.example")
    assert reader.client.post(page, data=fields | {"act": "send"}).status_code == 303
    second = {"hostname": "c.example", "path": "^/d", "service": "http://e"}
    assert latest(owner, tunnel)["config"]["ingress"] == [second, rule, LAST]
    fields = fields_of(reader.get(page).text)
    fields = fields_of(reader.client.post(page, data=fields | {"act": "remove-1"}).text)
    assert reader.client.post(page, data=fields | {"act": "send"}).status_code == 303
    assert latest(owner, tunnel)["config"]["ingress"] == [rule, LAST]


def test_every_fault_is_told_beside_what_was_typed_and_nothing_is_sent(
    owner: Server, reader: Visitor
) -> None:
    tunnel = made(owner)
    page = f"{page_of(owner, tunnel)}/configuration"
    fields = fields_of(reader.get(page).text)
    bad = fields | {"hostname-1": "a.*.example", "path-1": "(", "service-1": "localhost", "service-2": ""}
    answer = reader.client.post(page, data=bad | {"act": "send"})
    assert answer.status_code == 400
    told = words(answer.text)
    assert "Rule 1: localhost is an invalid address, please make sure it has a scheme and a hostname" in told
    assert "Rule 1: Hostname patterns can have at most one wildcard" in told
    assert "Rule 1: has an invalid regex: missing ): (" in told
    assert fields_of(answer.text)["hostname-1"] == "a.*.example"
    assert latest(owner, tunnel)["version"] == 0


def test_faults_name_rules_as_the_table_numbers_them(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    page = f"{page_of(owner, tunnel)}/configuration"
    fields = fields_of(reader.get(page).text)
    good = fields | {"hostname-1": "a.example", "service-1": "http://localhost"}
    answer = reader.client.post(page, data=good | {"service-2": "", "act": "check"})
    told = words(answer.text)
    assert answer.status_code == 400
    assert "Rule 2:" in told
    assert "Rule 1:" not in told
    moved = {f"{name[:-1]}2": text for name, text in good.items() if name.endswith("-1")}
    blank = {f"{name}-1": "" for name in ("hostname", "path", "service")}
    last = {f"{name}-3": good[f"{name}-2"] for name in ("hostname", "path", "service")}
    typed = {**good, **moved, **blank, **last, "service-2": "localhost"}
    answer = reader.client.post(page, data=typed | {"act": "check"})
    assert "Rule 1: localhost is an invalid address" in words(answer.text)
    assert fields_of(answer.text)["service-1"] == "localhost"


def test_json_is_written_and_its_faults_have_line_and_column(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    page = f"{page_of(owner, tunnel)}/configuration"
    assert "http_status:404" in see(reader, f"{page}?as=json")
    typed = '{\n  "ingress": [\n    {"service": </textarea>"x"}\n  ]\n}'
    answer = send(reader, page, text=typed, version="0", act="send")
    assert answer.status_code == 400
    assert "Line 3, column 17: Expecting value." in words(answer.text)
    assert "&lt;/textarea&gt;&#34;x&#34;" in answer.text
    whole = json.dumps({"ingress": [{"hostname": "a.example", "service": "http://b"}, LAST]})
    assert (
        'name="hostname-1" value="a.example"' in send(reader, page, text=whole, version="0", act="table").text
    )
    assert send(reader, page, text=whole, version="0", act="send").status_code == 303
    assert latest(owner, tunnel)["version"] == 1


def test_what_came_meanwhile_is_not_put_away_unseen(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    page = f"{page_of(owner, tunnel)}/configuration"
    fields = fields_of(reader.get(page).text) | {"service-1": "http://x", "hostname-1": "x.example"}
    configured(owner, tunnel, {"hostname": "other.example", "service": "http://y"})
    answer = reader.client.post(page, data=fields | {"act": "send"})
    assert answer.status_code == 409
    assert "Version 1 came meanwhile; this was begun with version 0." in words(answer.text)
    assert reader.client.post(page, data=fields_of(answer.text) | {"act": "send"}).status_code == 303
    assert latest(owner, tunnel)["config"]["ingress"][0]["hostname"] == "x.example"


def test_what_only_the_server_knows_is_told_beside_what_was_typed(owner: Server, reader: Visitor) -> None:
    owner.zone("taken.example")
    configured(owner, made(owner, "first"), {"hostname": "www.taken.example", "service": "http://a"})
    tunnel = made(owner, "second")
    page = f"{page_of(owner, tunnel)}/configuration"
    fields = fields_of(reader.get(page).text)
    fields |= {"hostname-1": "www.taken.example", "service-1": "http://b"}
    answer = reader.client.post(page, data=fields | {"act": "send"})
    assert answer.status_code == 400
    assert "www.taken.example leads to the tunnel first already" in words(answer.text)
    assert fields_of(answer.text)["service-1"] == "http://b"


@pytest.mark.parametrize(
    "told",
    [{"ingress": [{"hostname": "a.example", "service": "http://b"}, LAST]}, {"ingress": [5]}, {"x": []}],
)
def test_what_a_connector_tells_of_its_own_file_is_shown_as_it_is(
    owner: Server, reader: Visitor, told: dict[str, Any]
) -> None:
    tunnel = made(owner, config_src="local")
    edge = owner.edge()
    (held, *_) = edge.register(tunnel["token"])
    edge.post(edge.here("reports"), {"connection": held["connection"], "configuration": told})
    assert "Version 1, as the connector has it in its own file" in see(reader, page_of(owner, tunnel))
    assert json.dumps(told, indent=2) in unescape(reader.get(f"{page_of(owner, tunnel)}/configuration").text)
    assert reader.get(f"{page_of(owner, tunnel)}/configuration?take=over").status_code == 200


def test_a_configuration_beside_cloudflared_is_read_only_until_it_is_taken_over(
    owner: Server, reader: Visitor
) -> None:
    tunnel = made(owner, config_src="local")
    page = f"{page_of(owner, tunnel)}/configuration"
    assert "from a file beside cloudflared" in see(reader, page)
    assert "<textarea" not in reader.get(f"{page}?as=json").text
    fields = fields_of(reader.get(f"{page}?take=over").text)
    filled = fields | {"hostname-1": "a.example", "service-1": "http://b", "act": "send"}
    assert reader.client.post(page, data=filled).status_code == 303
    assert latest(owner, tunnel)["source"] == "cloudflare"


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8).map(str.strip)
RULES = st.builds(
    lambda hostname, path, service, more: {
        **{name: text for name, text in (("hostname", hostname), ("path", path)) if text},
        "service": service or "x",
        **({"originRequest": more} if more else {}),
    },
    TEXTS, TEXTS, TEXTS, st.dictionaries(TEXTS, st.integers() | st.lists(TEXTS, max_size=2), max_size=2),
)  # fmt: skip
CONFIGS = st.builds(
    lambda rules, more: {**({"originRequest": more} if more else {}), "ingress": rules},
    st.lists(RULES, min_size=1, max_size=6), st.dictionaries(TEXTS, st.booleans(), max_size=2),
)  # fmt: skip


@given(CONFIGS)
def test_a_table_loses_nothing(config: dict[str, Any]) -> None:
    assert is_table(config)
    table = Table.of(config)
    assert table.config() == config
    fields = {"more": table.more}
    for number, row in enumerate(table.rows, 1):
        fields |= {f"hostname-{number}": row.hostname, f"path-{number}": row.path}
        fields |= {f"service-{number}": row.service, f"more-{number}": row.more}
    assert Table.typed(fields).config() == config


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8
)  # fmt: skip


@settings(max_examples=100)
@given(VALUES)
def test_any_json_is_judged(value: Any) -> None:
    assert parsed(json.dumps(value)) == (value, [])
    assert faults(value)
    assert faults({"ingress": value}) or is_table({"ingress": value})


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[" * 100_000, '{"a": 1e', "1" * 10_000, "1e999", r'{"a": "\ud800"}']
)
def test_what_is_no_json_is_told(text: str) -> None:
    value, told = parsed(text)
    assert (value, len(told)) == (None, 1)

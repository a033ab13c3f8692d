"""What one takes away from pages without charts: their rows as CSV, and the same as an API call."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html import unescape

from tests.dashboard.accounts import administrator
from tests.dashboard.site import NAME, PATIENCE, Site, Visitor


def test_the_connections_of_the_list_are_taken_away_as_csv(site: Site, visitor: Visitor) -> None:
    api = administrator(site)
    now = datetime.now(UTC)
    window = "&".join(
        f"{name}={when:%Y-%m-%dT%H:%M:00Z}"
        for name, when in (("dateStart", now - timedelta(days=1)), ("dateEnd", now))
    )
    asked = f"/radar/tcp_resets_timeouts/connections?{window}&per_page=1000&serverPort="
    for port in ("8444", "443"):
        link = re.search(
            r'href="([^"]+)" download', visitor.get(f"/connections?{window}&serverPort={port}").text
        )
        assert link is not None
        answer = visitor.get(unescape(link[1]))
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.headers["content-disposition"] == 'attachment; filename="halfopen-connections.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        told = api.ask("GET", asked + port).json()["result"]
        assert told
        assert [(row["start"], row["client"], row["stage"]) for row in rows] == [
            (each["start"], each["client"], each["stage"]) for each in told
        ]
        assert [row["tags"].split() for row in rows] == [each["tags"] for each in told]
        for name in ("kind", "name"):
            assert [row[f"trigger_{name}"] for row in rows] == [
                (each["trigger"] or {}).get(name) or "" for each in told
            ]
        assert (NAME in [row["trigger_name"] for row in rows]) == (port == "8444")
    empty = visitor.get("/connections.csv?serverPort=1").text
    assert empty.startswith("file,client,client_port,server,")
    assert len(empty.splitlines()) == 1
    assert visitor.get("/connections.csv?dateRange=never").status_code == 400


def test_pages_show_the_same_as_an_api_call(site: Site, visitor: Visitor) -> None:
    api = administrator(site)
    made = api.ask("POST", api.tunnels, json={"name": "taken away"}).json()["result"]["id"]
    asked = {
        "/connections?serverPort=8444": [r"/connections\?dateStart=.*&serverPort=8444&page=1&per_page=50"],
        f"/tunnels?account={api.account}": [r"/cfd_tunnel\?per_page=100&page=1"],
        f"/tunnels/{api.account}/{made}": [made, "connections", "configurations", "traffic"],
        "/health": ["/sensors", "/store", "/edges"],
    }
    for path, ends in asked.items():
        curl, program = (
            unescape(each)
            for each in re.findall(r"<code>((?:curl|import os)[^<]*)</code>", visitor.get(path).text)
        )
        lines = curl.splitlines()
        assert len(lines) == len(ends)
        for line, end in zip(lines, ends, strict=True):
            assert re.search(f"{end}'?$", line), line
            told = subprocess.run(
                ["sh", "-c", f"{line} -s"],
                env={**os.environ, "HALFOPEN_TOKEN": api.token},
                capture_output=True, text=True, timeout=PATIENCE, check=True,
            )  # fmt: skip
            assert '"success":true' in told.stdout
        told = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "HALFOPEN_TOKEN": api.token},
            capture_output=True, text=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        assert len(re.findall("(?m)^{'", told.stdout)) == len(ends), told.stdout

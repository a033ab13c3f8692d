"""A whole sensor on a server whose connections a middlebox cuts: what the API answers is what was true.

Everything is real: two kernels talk TCP, `halfopen sense` watches the server's interface, `halfopen serve` answers.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from halfopen.model import STAGES
from halfopen.testing.middlebox import FATES, address_of
from halfopen.testing.mix import Mix, mix
from halfopen.testing.testbed import TestBed
from halfopen.testing.watched import NAME, URL, Watched
from tests.beds import bed_of
from tests.conftest import Require

IDLE = 5
"""Seconds of silence that make a timeout here: more than a busy machine makes a client pause."""

QUICK = ("--idle-timeout", str(IDLE))


@pytest.fixture(scope="module")
def bed(require: Require) -> Iterator[TestBed]:
    with bed_of(require) as made:
        yield made


@pytest.fixture
def traffic(bed: TestBed) -> Iterator[Mix]:
    with mix(bed) as made:
        yield made


@pytest.fixture
def watched(bed: TestBed, tmp_path: Path) -> Iterator[Watched]:
    with Watched(bed, tmp_path / "data") as made:
        made.serve()
        yield made


def test_every_connection_is_told_as_it_was(watched: Watched, traffic: Mix) -> None:
    """All of them, at 1/1: stages, signatures, and the evidence of injected resets."""
    watched.sense(*QUICK)
    traffic.play(400)
    time.sleep(IDLE + 1)
    watched.stop_sensing()
    assert watched.counts() == traffic.stages
    told = watched.ask("summary/signature", normalization="RAW_VALUES", limitPerGroup="30")["summary_0"]
    truth = {fate.signature for fate in traffic.truth} - {0}
    assert len(told) == len(truth) + 1  # none
    rows = [row for row in watched.ask("connections", per_page="500") if row["stage"] == "post_psh"]
    injected = [row for row in rows if row["evidence"]["resets"] or row["evidence"]["reset_acks"]]
    assert injected
    for row in injected:
        assert row["evidence"]["ttl_delta"] == 47 - 64
        assert row["sensor"] == NAME
        assert row["trigger"] == {"kind": "sni", "name": "cut.example", "port": 443}


def test_a_sample_tells_all_of_it(watched: Watched, traffic: Mix) -> None:
    """Sums of weights within 3.3 standard deviations: one run in a thousand is outside, of five stages one in 200."""
    many = 16
    watched.sense(*QUICK, "--sample", str(many))
    traffic.play(1200)
    time.sleep(IDLE + 1)
    watched.stop_sensing()
    counts = watched.counts()
    for stage, truth in traffic.stages.items():
        assert counts[stage] % many == 0
        assert abs(counts[stage] - truth) <= 3.3 * (truth * (many - 1)) ** 0.5, stage


def test_a_connection_is_listed_within_seconds_of_its_end(watched: Watched, traffic: Mix) -> None:
    """While its quarter of an hour still runs, and the sensor goes on."""
    watched.sense(*QUICK)
    traffic.play(20, [fate for fate in FATES if fate.signature == 11])
    ended = time.monotonic()
    while len(rows := watched.ask("connections")) < 20:
        assert time.monotonic() < ended + 30
        time.sleep(0.2)
    assert {row["stage"] for row in rows} == {"post_psh"}


def test_into_the_dataset_on_the_machine(watched: Watched, traffic: Mix) -> None:
    watched.sense(*QUICK, remote=False)
    traffic.play(100)
    time.sleep(IDLE + 1)
    watched.stop_sensing()
    assert watched.counts() == traffic.stages


def test_a_sensor_that_is_killed_and_a_server_that_is_away_lose_nothing_that_was_kept(
    watched: Watched, traffic: Mix
) -> None:
    """What was in the spool is delivered once, whoever dies; what was in memory is told as a gap."""
    resets = [fate for fate in FATES if fate.resets]
    watched.sense(*QUICK)
    traffic.play(60, resets)
    time.sleep(IDLE + 4)
    watched.kill_server()
    traffic.play(60, resets)
    time.sleep(IDLE + 4)
    watched.kill_sensor()
    watched.sense(*QUICK)
    traffic.play(60, resets)
    watched.serve()
    time.sleep(IDLE + 4)
    watched.stop_sensing()
    assert watched.counts() == traffic.stages
    notes = watched.ask("summary")["meta"]["confidenceInfo"]["annotations"]
    assert any("watch" in note["description"] or "missing" in note["description"] for note in notes)


def test_by_the_firewalls_log(watched: Watched, traffic: Mix, bed: TestBed) -> None:
    """Rules as they are printed, loaded, and a sensor that reads what they log."""
    rules = watched.output("sense", "--print-nft", "--nflog", "7", "--server-port", "443")
    bed.server.feed_nft(rules)
    try:
        watched.sense(*QUICK, source=("--nflog", "7"))
        traffic.play(150)
        time.sleep(IDLE + 1)
        watched.stop_sensing()
    finally:
        bed.server.run("nft delete table inet halfopen_sense")
    assert watched.counts() == traffic.stages


def test_once_shows_a_table_and_writes_lines(watched: Watched, traffic: Mix, tmp_path: Path) -> None:
    lines = tmp_path / "lines.ndjson"
    process = watched.begin(
        "once.log", "sense", "-i", "any", *QUICK, "--server-port", "443",
        "--once", "10s", "-o", str(lines),
    )  # fmt: skip
    time.sleep(4)
    traffic.play(100)
    assert process.wait(60) == 0
    shown = watched.log("once.log")
    assert "Latest" in shown
    for stage, count in traffic.stages.items():
        assert f"{stage:14}" in shown
        assert f" {count}  " in shown
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {stage.name: sum(row["stage"] == stage.name for row in rows) for stage in STAGES} == traffic.stages


def test_it_says_what_it_counted(watched: Watched, traffic: Mix) -> None:
    watched.sense(*QUICK, "--metrics", "127.0.0.1:9101")
    traffic.play(30)
    time.sleep(IDLE + 3)
    assert watched.sensor is not None
    watched.sensor.send_signal(signal.SIGUSR1)
    time.sleep(1)
    said = watched.log("sensor.log")
    metrics = watched.page("http://127.0.0.1:9101/metrics")
    assert "connections 30" in said
    assert 'halfopen_sensor_counted_total{what="connections"} 30.0' in metrics
    assert "halfopen_sensor_dropped_total 0.0" in metrics
    watched.stop_sensing()
    assert "halfopen_sensor_delivered_connections_total" in watched.page(f"{URL}/metrics")


def test_real_clients_with_tls(
    watched: Watched, traffic: Mix, bed: TestBed, tmp_path: Path, require: Require
) -> None:
    """curl over TLS, to a server whose connections are cut after the ClientHello and to one that answers."""
    require(bool(shutil.which("curl")), "curl")
    well = "203.0.113.131"
    cut = address_of(next(fate for fate in FATES if fate.signature == 11))
    watched.sense(*QUICK, "--server-port", "8443")
    with tls(bed, tmp_path):
        said = [curl(bed, server) for server in (well, cut, well)]
    time.sleep(IDLE + 1)
    watched.stop_sensing()
    assert said == ["hello", "", "hello"]
    rows = watched.ask("connections")
    assert sorted((row["server"], row["stage"], row["trigger"]["name"]) for row in rows) == sorted(
        [
            (well, "no_match", "www.example"),
            (cut, "post_psh", "www.example"),
            (well, "no_match", "www.example"),
        ]
    )


def curl(bed: TestBed, server: str) -> str:
    """What curl gets of a server by its name."""
    with bed.client.entered():
        done = subprocess.run(
            ["curl", "--silent", "--insecure", "--interface", "192.0.2.77", "--max-time", "5", "--resolve",
             f"www.example:8443:{server}", "https://www.example:8443/"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    return done.stdout


@contextmanager
def tls(bed: TestBed, folder: Path) -> Iterator[None]:
    """A server of TLS at every address of the bed's server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate(folder))
    with bed.server.entered():
        listener = socket.create_server(("0.0.0.0", 8443))

    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def get_request(self) -> Any:
            taken, address = super().get_request()
            return context.wrap_socket(taken, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, *_: object) -> None:
            pass  # cut

    server = Server(("127.0.0.1", 0), Hello)
    server.socket.close()
    server.socket = listener
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def certificate(folder: Path) -> Path:
    """A certificate of www.example with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "www.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "tls.pem"
    path.write_bytes(
        made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path

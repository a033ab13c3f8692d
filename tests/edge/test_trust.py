"""What connectors trust an edge by: made once, renewed in time, good for the names of tunnels and no others."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from halfopen.edge.trust import NAMES, Trust
from halfopen.errors import UsageError

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def shaken(server: ssl.SSLContext, authority: str, name: str) -> str | None:
    """The TLS version that a client who trusts the authority alone agrees on with the server, asked for by name."""
    client = ssl.create_default_context(cadata=authority)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        thread = threading.Thread(target=_served, args=(server, theirs))
        thread.start()
        try:
            with client.wrap_socket(ours, server_hostname=name) as link:
                return link.version()
        finally:
            ours.close()
            thread.join()


def _served(server: ssl.SSLContext, link: socket.socket) -> None:
    try:
        server.wrap_socket(link, server_side=True).close()
    except (ssl.SSLError, OSError):
        return


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_authority_trusts_the_edge(tmp_path: Path, name: str) -> None:
    trust = Trust(tmp_path / "edge")
    assert shaken(trust.context(), trust.authority(), name) == "TLSv1.3"


def test_another_name_and_another_authority_are_not_trusted(tmp_path: Path) -> None:
    trust, other = Trust(tmp_path / "edge"), Trust(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(trust.context(), trust.authority(), "example.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(trust.context(), other.authority(), NAMES[0])


def test_the_authority_may_speak_for_the_names_of_tunnels_alone(tmp_path: Path) -> None:
    authority = x509.load_pem_x509_certificate(Trust(tmp_path / "edge").authority().encode())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [x509.DNSName("cftunnel.com")]
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.value.ca, basic.value.path_length) == (True, 0)


def test_the_certificate_is_renewed_a_month_before_its_end_and_the_authority_stays(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "edge")
    assert trust.renew(NOW)
    authority = trust.authority()
    assert not trust.renew(NOW + 59 * DAY)
    assert trust.renew(NOW + 61 * DAY)
    assert not trust.renew(NOW + 61 * DAY)
    assert trust.authority() == authority


def test_who_starts_at_once_makes_one_authority(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "edge")
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: trust.authority(), range(8)))
    assert len(made) == 1


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "edge")
    trust.renew(NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in trust.folder.iterdir()}
    assert modes == {"ca.pem": 0o600, "ca.key": 0o600, "edge.pem": 0o600}
    assert stat.S_IMODE(trust.folder.stat().st_mode) == 0o700


def test_a_damaged_certificate_of_the_edge_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trust, other = Trust(tmp_path / "edge"), Trust(tmp_path / "other")
    for each in (trust, other):
        each.renew(NOW)
    path = trust.folder / "edge.pem"
    whole, others = path.read_text(), (other.folder / "edge.pem").read_text()
    mark = "-----BEGIN PRIVATE KEY-----"
    assert not caplog.records
    for damaged in (
        "", "nothing of the kind", whole.partition(mark)[0], whole[:-100], whole.partition(mark)[0] + mark + others.partition(mark)[2],
    ):  # fmt: skip
        path.write_text(damaged)
        caplog.clear()
        assert shaken(trust.context(), trust.authority(), NAMES[0]) == "TLSv1.3"
        assert "edge.pem is damaged" in caplog.text


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "edge")
    trust.renew(NOW)
    (trust.folder / "ca.key").chmod(0o640)
    with pytest.raises(UsageError, match=r"mode 0640; chmod 600"):
        trust.authority()


@pytest.mark.parametrize(("name", "words"), [("ca.pem", "a certificate"), ("ca.key", "the key of ca.pem")])
def test_what_is_no_certificate_or_key_is_named(tmp_path: Path, name: str, words: str) -> None:
    trust = Trust(tmp_path / "edge")
    trust.renew(NOW)
    (trust.folder / name).write_text("nothing of the kind")
    with pytest.raises(UsageError, match=words):
        trust.renew(NOW)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="a folder for certificates"):
        Trust(tmp_path / "file" / "edge").authority()

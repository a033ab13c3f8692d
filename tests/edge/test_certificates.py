"""Visitors over TLS: who is shown which certificate, and certificates that change while they are used."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from halfopen.edge.visitors.certificates import Certificates
from halfopen.errors import UsageError
from tests.edge.pairs import pair, write
from tests.edge.playing import HOST, NAME, Client, Client2, Connector, edge, run, until


def visitor(*protocols: str) -> ssl.SSLContext:
    """One who looks at the certificate by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


Opening = Callable[..., Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
Scene = Callable[[Connector, Opening], Awaitable[None]]


def play_tls(folder: Path, scene: Scene) -> None:
    """A scene with visitors over TLS, who are opened by the name they ask for, and what they may speak."""

    async def whole() -> None:
        async with edge(certificates=Certificates(folder)) as (connector, _, address):
            writers: list[asyncio.StreamWriter] = []

            async def opened(name: str, *protocols: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                reader, writer = await asyncio.open_connection(
                    *address, ssl=visitor(*protocols), server_hostname=name
                )
                writers.append(writer)
                return reader, writer

            try:
                await scene(connector, opened)
            finally:
                for writer in writers:
                    writer.transport.abort()

    run(whole())


def names(writer: asyncio.StreamWriter) -> list[str]:
    shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True))
    return shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )


def test_a_certificate_is_chosen_by_the_name_that_is_asked_for(tmp_path: Path) -> None:
    pair(tmp_path, "one", NAME)
    pair(tmp_path, "all", "*.example.com", "example.com")
    write(
        tmp_path / "other.example" / "fullchain.pem",
        tmp_path / "other.example" / "privkey.pem",
        "other.example",
    )
    (tmp_path / "README").write_text("of certbot")

    async def scene(__: Connector, opened: Opening) -> None:
        for asked, shown in (
            (NAME, [NAME]), (NAME.upper(), [NAME]), ("www.example.com", ["*.example.com", "example.com"]),
            ("example.com", ["*.example.com", "example.com"]), ("other.example", ["other.example"]),
        ):  # fmt: skip
            _, writer = await opened(asked)
            assert names(writer) == shown
        for unknown in ("a.b.example.com", "unknown.example", "127.0.0.1"):
            with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
                await opened(unknown)

    play_tls(tmp_path, scene)


@pytest.mark.parametrize(("spoken", "agreed"), [
    (("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), (("http/1.1", "h2"), "h2"), ((), None),
])  # fmt: skip
def test_what_is_spoken_is_agreed_on(tmp_path: Path, spoken: tuple[str, ...], agreed: str | None) -> None:
    pair(tmp_path, "one", NAME)

    async def scene(connector: Connector, opened: Opening) -> None:
        reader, writer = await opened(NAME, *spoken)
        told = writer.get_extra_info("ssl_object")
        assert told.selected_alpn_protocol() == agreed
        if agreed == "h2":
            client = Client2(reader, writer)
            number = client.ask()
        else:
            Client(reader, writer).send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        asked = await connector.next()
        assert (asked.request.scheme, asked.headers[b"x-forwarded-proto"]) == (b"https", b"https")
        asked.answer(200, [(b"Content-Length", b"2")], b"ok")
        if agreed == "h2":
            assert (await client.answer(number))[1] == b"ok"
        else:
            assert b"200 OK" in await Client(reader, writer).head()

    play_tls(tmp_path, scene)


def test_old_versions_of_tls_are_none(tmp_path: Path) -> None:
    pair(tmp_path, "one", NAME)

    async def scene() -> None:
        async with edge(certificates=Certificates(tmp_path)) as (_, __, address):
            context = visitor()
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(*address, ssl=context, server_hostname=NAME)
            context = visitor()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            _, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=NAME)
            assert "GCM" in writer.get_extra_info("cipher")[0]
            writer.transport.abort()

    with pytest.warns(DeprecationWarning, match="TLS"):
        run(scene())


def test_a_host_that_the_certificate_does_not_speak_for_is_misdirected(tmp_path: Path) -> None:
    pair(tmp_path, "wild", "*.example.com")
    pair(tmp_path, "other", "other.example")

    async def scene(connector: Connector, opened: Opening) -> None:
        client = Client(*await opened("other.example"))
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b" 421 " in await client.head()
        second = Client2(*await opened("www.example.com", "h2"))
        headers, _ = await second.answer(second.say([
            (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"other.example"), (b":path", b"/"),
        ]))  # fmt: skip
        assert headers[b":status"] == b"421"
        assert not connector.asked
        second.ask()  # for another name of the same certificate
        await connector.next()

    play_tls(tmp_path, scene)


def test_new_and_changed_certificates_are_used_at_once(tmp_path: Path) -> None:
    made = Certificates(tmp_path)

    async def scene() -> None:
        async with edge(certificates=made) as (_, __, address):

            async def shown(name: str) -> list[str]:
                _, writer = await asyncio.open_connection(*address, ssl=visitor(), server_hostname=name)
                writer.transport.abort()
                return names(writer)

            with pytest.raises(ssl.SSLError):
                await shown(NAME)
            pair(tmp_path, "one", NAME)
            made.look()
            assert await shown(NAME) == [NAME]
            pair(tmp_path, "one", NAME, "more.example")
            made.look()
            assert await shown("more.example") == [NAME, "more.example"]
            (tmp_path / "one.key").unlink()
            made.look()
            with pytest.raises(ssl.SSLError):
                await shown(NAME)

    run(scene())


def test_the_one_that_is_good_for_longer_is_shown(tmp_path: Path) -> None:
    pair(tmp_path, "b", NAME, "b.example", days=20)
    pair(tmp_path, "a", NAME, "a.example", days=30)
    pair(tmp_path, "c", NAME, "c.example", days=10)

    async def scene(_: Connector, opened: Opening) -> None:
        assert names((await opened(NAME))[1]) == [NAME, "a.example"]

    play_tls(tmp_path, scene)


def test_a_pair_that_is_broken_is_told_once_and_the_former_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair(tmp_path, "one", NAME)
    made = Certificates(tmp_path)
    stranger = ec.generate_private_key(ec.SECP256R1())
    breaks: list[Callable[[], object]] = [
        lambda: (tmp_path / "one.pem").write_text("half"),
        lambda: write(tmp_path / "one.pem", tmp_path / "one.key", NAME, private=stranger),
        lambda: write(
            tmp_path / "one.pem", tmp_path / "one.key", NAME, encryption=BestAvailableEncryption(b"secret")
        ),
        lambda: write(tmp_path / "one.pem", tmp_path / "one.key"),
    ]

    async def scene() -> None:
        async with edge(certificates=made) as (_, __, address):
            for each in breaks:
                each()
                caplog.clear()
                made.look()
                made.look()
                (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
                assert "one.pem cannot be used" in record.message
                assert "the former one stays" in record.message
                _, writer = await asyncio.open_connection(*address, ssl=visitor(), server_hostname=NAME)
                assert names(writer) == [NAME]
                writer.transport.abort()

    run(scene())


def test_what_is_in_use_is_told_at_the_start_and_at_each_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    pair(tmp_path, "one", NAME)
    pair(tmp_path, "two", "b.example", "*.example.com")
    (tmp_path / "lone.pem").write_text("a certificate")

    def told() -> list[str]:
        made.look()
        lines = [record.message.replace(f"{tmp_path}/", "") for record in caplog.records]
        caplog.clear()
        return lines

    made = Certificates(tmp_path)
    assert told() == [
        "the certificate lone.pem cannot be used: there is no lone.key beside it",
        "2 certificates are in use, for *.example.com, app.example.com, b.example",
    ]
    assert told() == []
    (tmp_path / "two.pem").unlink()
    assert told() == [
        "the certificate two.pem, or its key, is gone",
        "1 certificate is in use, for app.example.com",
    ]
    (tmp_path / "one.key").unlink()
    gone, lone, none = told()
    assert gone == "the certificate one.pem, or its key, is gone"
    assert lone == "the certificate one.pem cannot be used: there is no one.key beside it"
    assert none.startswith("no certificates in ")
    pair(tmp_path, "many", *(f"a{n:02}.example" for n in range(25)))
    assert told()[0].endswith("a19.example and 5 more")


def test_a_folder_that_is_none_is_refused_and_one_that_is_gone_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UsageError, match="--certificates"):
        Certificates(tmp_path / "none")
    folder = tmp_path / "folder"
    folder.mkdir()
    Certificates(folder)
    assert "no certificates" in caplog.text
    pair(folder, "one", NAME)
    made = Certificates(folder)
    folder.rename(tmp_path / "away")
    caplog.clear()
    made.look()
    made.look()
    assert len(caplog.records) == 1
    assert made._for(NAME) is not None
    (tmp_path / "away").rename(folder)
    made.look()
    assert len(caplog.records) == 1


def test_changes_are_seen_without_being_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halfopen.edge.visitors.certificates.CHANGES", 0.05)
    made = Certificates(tmp_path)

    async def scene() -> None:
        watching = asyncio.create_task(made.watch())
        pair(tmp_path, "one", NAME)
        async with asyncio.timeout(20):
            await until(lambda: made._for(NAME))
        watching.cancel()

    run(scene())


def test_at_a_signal_changes_are_seen_at_once(tmp_path: Path) -> None:
    made = Certificates(tmp_path)

    async def scene() -> None:
        watching = asyncio.create_task(made.watch())
        await asyncio.sleep(0)
        pair(tmp_path, "one", NAME)
        os.kill(os.getpid(), 1)
        async with asyncio.timeout(4):
            await until(lambda: made._for(NAME))
        watching.cancel()

    run(scene())

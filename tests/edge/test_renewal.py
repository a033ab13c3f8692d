"""The certificate of an edge that runs is renewed, for both transports, and one failure does not end that."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import cast

import pytest

from halfopen.edge.connectors import listening
from halfopen.edge.connectors.listening import Connectors
from halfopen.edge.holdings import Holdings
from halfopen.edge.trust import NAMES, Trust
from halfopen.errors import UsageError


def test_a_running_edge_goes_on_with_a_new_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "RENEWAL", 0.05)
    trust = Trust(tmp_path / "edge")
    reloaded = Trust.reload
    failures = [UsageError("edge", "edge.pem", "something else")]

    def reload(self: Trust, context: ssl.SSLContext) -> None:
        if failures:
            raise failures.pop()
        reloaded(self, context)

    async def shown(host: str, port: int) -> bytes:
        context = ssl.create_default_context(cadata=trust.authority())
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=NAMES[0])
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return certificate

    async def scene() -> None:
        connectors = Connectors(cast(Holdings, None), trust, 100)
        address = await connectors.bind("127.0.0.1", 0)
        connectors.open()
        before, over_quic = await shown(*address), connectors._configuration.certificate
        monkeypatch.setattr(Trust, "reload", reload)
        (tmp_path / "edge" / "edge.pem").unlink()  # as if it were too old
        async with asyncio.timeout(20):
            while await shown(*address) == before:
                await asyncio.sleep(0.05)
            while connectors._configuration.certificate is over_quic:
                await asyncio.sleep(0.05)
        connectors.close()

    asyncio.run(scene())
    assert "is not renewed" in caplog.text

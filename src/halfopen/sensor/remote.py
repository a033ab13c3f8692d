"""A server elsewhere takes batches, as docs/sensors.md says."""

from __future__ import annotations

import logging
import ssl
import stat
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from halfopen.errors import UsageError
from halfopen.sensor.receiver import EXPECTED, Fate, Outcome
from halfopen.sensor.spool import Spooled

API: Final = "/client/v4"

PATIENCE: Final = 90.0
"""Seconds for which an answer is waited for."""

_CONNECT: Final = 10.0  # s for a connection
_LONGEST_WAIT: Final = 3600.0
_LONGEST_TOKEN: Final = 1 << 12

_log: Final = logging.getLogger("halfopen.sensor")


class Remote:
    """A server, by its address and the token of the sensor."""

    def __init__(self, url: str, token_file: Path, sensor: str, patience: float = PATIENCE) -> None:
        """UsageError where the address is none, or the token cannot be read."""
        self.name = _api(url)
        self._token_file = token_file
        self._token = _read_token(token_file)
        self._batches = f"{self.name}/sensors/{sensor}/batches"
        # The authorities that the operating system trusts.
        try:
            self._client = httpx.Client(
                verify=ssl.create_default_context(), timeout=httpx.Timeout(patience, connect=_CONNECT)
            )
        except (
            ValueError,
            ImportError,
            httpx.InvalidURL,
        ) as error:  # what only the environment can bring about
            name = "HTTPS_PROXY or another variable for a proxy"
            raise UsageError(name, error, "a proxy such as http://proxy.example:3128") from None
        host = urlsplit(self.name)
        if host.scheme == "http" and not _is_loopback(host.hostname or ""):
            _log.warning("%s is not encrypted: whoever is between sees connections and token", self.name)
        mode = stat.S_IMODE(token_file.stat().st_mode)
        if mode & 0o077:
            _log.warning("the token in %s can be read by others (mode %03o): chmod 600", token_file, mode)

    def deliver(self, batch: Spooled) -> Outcome:
        """As `Receiver.deliver`; a token that is refused is read anew."""
        found = self._send(batch)
        if found.fate is Fate.REFUSED:
            before = self._token
            with suppress(UsageError):
                self._token = _read_token(self._token_file)
            if self._token != before:
                return self._send(batch)
        return found

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _send(self, batch: Spooled) -> Outcome:
        asked: dict[str, str | int | float] = {
            "incarnation": batch.incarnation,
            "sequence": batch.sequence,
            "watermark": batch.watermark,
            "rate": batch.rate,
            "drops": batch.drops,
        }
        if batch.since is not None:
            asked["since"] = batch.since
        if batch.until is not None:
            asked["until"] = batch.until
        if batch.counters:
            asked["counters"] = ",".join(f"{name}:{count}" for name, count in batch.counters.items())
        headers = {
            "authorization": f"Bearer {self._token}",
            "content-type": "application/vnd.apache.arrow.stream",
        }
        try:
            answer = self._client.post(self._batches, params=asked, content=batch.stream, headers=headers)
        except (httpx.HTTPError, OSError) as error:
            why = str(error) or type(error).__name__
            return Outcome(Fate.AWAY, f"nobody answers at {self.name}: {why}")
        return self._outcome(answer)

    def _outcome(self, answer: httpx.Response) -> Outcome:
        status, said = answer.status_code, f"{self.name} says no: {_words(answer)}"
        if status == 200:
            with suppress(ValueError, KeyError, TypeError):
                result = answer.json()["result"]
                if result["held"] is True:
                    return Outcome(Fate.HELD, expected=int(result["expected"]))
            said = f"{self.name} answers, but it is no server of Halfopen"
        if status == 409:
            with suppress(KeyError, ValueError):
                return Outcome(Fate.EXPECTED, _words(answer), int(answer.headers[EXPECTED]))
        if status == 413:
            return Outcome(Fate.LARGE, said, status=status)
        if status in (408, 429) or status >= 500:
            said = f"{self.name} is not ready: {_words(answer)}"
            return Outcome(Fate.AWAY, said, after=_retry_after(answer), status=status)
        return Outcome(Fate.REFUSED, said, status=status)


def _api(url: str) -> str:
    """The root of a server's API, of the address of either."""
    try:
        found = urlsplit(url)
        host = httpx.URL(url).host if found.scheme in ("http", "https") and " " not in url else ""
        usable = bool(host and host.encode("idna")) and (found.port is None or found.port > 0)
    except (ValueError, httpx.InvalidURL):  # the former, too, where no name of a host can be so
        usable = False
    if not usable or "?" in url or "#" in url or found.username is not None:
        accepted = f"a server's address such as https://radar.example, with or without {API}"
        raise UsageError("--to", url, accepted)
    root = url.rstrip("/")
    return root if root.endswith(API) else root + API


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(_LONGEST_TOKEN).decode("ascii").strip()
    except OSError as error:
        raise UsageError("--token-file", path, f"a file that can be read ({error.strerror})") from None
    except UnicodeDecodeError:
        token = ""
    if not token.isprintable() or len(token.split()) != 1:
        made = "halfopen token create --permission sensor:write --sensor NAME"
        raise UsageError("--token-file", path, f"a file that holds a token and nothing else ({made})")
    return token


def _words(answer: httpx.Response) -> str:
    """Status and faults of an answer."""
    with suppress(ValueError, KeyError, TypeError):
        faults: list[Any] = answer.json()["errors"]
        said = "; ".join(str(fault["message"]) for fault in faults)[:300]
        return f"{answer.status_code} {said}"
    location = answer.headers.get("location", "")
    return f"{answer.status_code} {answer.reason_phrase}{f' to {location[:100]}' if location else ''}"


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdigit() else None

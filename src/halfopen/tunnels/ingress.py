"""Configurations of tunnels: what cloudflared would say of one is said here, before it is stored and sent.

The rules and the words are cloudflared's own (``ingress/ingress.go``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import re2

from halfopen.errors import RefusedError
from halfopen.tunnels import names
from halfopen.tunnels.origin_requests import OPTIONS, WARP_ROUTING, kind

MOST_RULES: Final = 1000

_CODE: Final = 1056
_NO_RULES: Final = "The config file doesn't contain any ingress rules\n"
_NOT_ALL: Final = (
    "The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)"
)
_WILDCARD: Final = (
    'Hostname patterns can have at most one wildcard character ("*") and it can only be used for subdomains, '
    'e.g. "*.example.com"'
)
_PORT: Final = "Hostname cannot contain a port"
_NAMED: Final = frozenset({"hello_world", "hello-world", "bastion", "socks-proxy"})
"""Services of cloudflared itself."""

_REGEX: Final = re2.Options()
"""Paths are told by Go's regular expressions, which are RE2's."""
_REGEX.log_errors = False


def checked(config: Any) -> dict[str, Any]:
    """A configuration as it is kept and answered. RefusedError (1056) where cloudflared would not take it."""
    if not isinstance(config, Mapping):
        raise bad(f"Validation failed: config is {kind(config)}, not an object")
    rules = config.get("ingress")
    if not rules:
        raise bad(_NO_RULES, whole=True)
    if not isinstance(rules, list) or len(rules) > MOST_RULES:
        raise bad(f"Validation failed: ingress is not a list of at most {MOST_RULES:,} rules")
    for name, fault in (("originRequest", OPTIONS), ("warp-routing", WARP_ROUTING)):
        if wrong := fault(name, config.get(name)):
            raise bad(f"Validation failed: {wrong}")
    for number, rule in enumerate(rules, 1):
        _check_rule(rule, number, len(rules))
    return {**config, "warp-routing": config.get("warp-routing") or {"enabled": False}}


def hostnames(config: Mapping[str, Any]) -> list[str]:
    """The names of a configuration that can route, each once, in their one form; not every text cloudflared takes can."""
    named = [names.hostname(rule["hostname"]) for rule in config["ingress"] if rule.get("hostname")]
    return list(dict.fromkeys(each for each in named if each is not None and each != "*"))


def bad(words: str, whole: bool = False) -> RefusedError:
    """What is said of a configuration that cannot be used."""
    return RefusedError(_CODE, f"Bad Configuration: {words}{'' if whole else chr(10)}")


def _check_rule(rule: Any, number: int, count: int) -> None:
    if not isinstance(rule, Mapping):
        raise bad(f"Validation failed: Rule #{number} is {kind(rule)}, not an object")
    texts = {name: rule.get(name) or "" for name in ("hostname", "path", "service")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise bad(f"Validation failed: Rule #{number}: {name} is {kind(text)}, not a string")
    if wrong := OPTIONS("originRequest", rule.get("originRequest")):
        raise bad(f"Validation failed: Rule #{number}: {wrong}")
    _check_service(texts["service"], number)
    hostname, path = texts["hostname"], texts["path"]
    if re.fullmatch(r"(\[.*\]|[^:]*):[^:]*", hostname):
        raise bad(f"Validation failed: {_PORT}")
    if hostname.rfind("*") > 0:
        raise bad(f"Validation failed: {_WILDCARD}")
    catches_all = hostname in ("", "*") and not path
    if number == count and not catches_all:
        raise bad(f"Validation failed: {_NOT_ALL}")
    if number < count and catches_all:
        raise bad(
            f"Validation failed: Rule #{number} is matching the hostname '{hostname}', but this will match every hostname, "
            "meaning the rules which follow it will never be triggered."
        )
    try:
        re2.compile(path, _REGEX)
    except re2.error as error:
        words = error.args[0].decode(errors="replace")
        raise bad(f"Validation failed: Rule #{number} has an invalid regex: {words}") from None


def _check_service(service: str, number: int) -> None:
    if service in _NAMED or service.startswith(("unix:", "unix+tls:")):
        return
    if service.startswith("http_status:"):
        status = service.removeprefix("http_status:")
        if not (status.isascii() and status.isdigit() and 100 <= int(status[:4]) <= 999):
            raise bad(f"Validation failed: invalid HTTP status code: {status[:20]}")
        return
    shown = service[:200]
    try:
        url = urlsplit(service)
        host = url.hostname
    except ValueError as error:
        raise bad(f"Validation failed: Rule #{number}: {shown}: {error}") from None
    if not url.scheme or not host:
        raise bad(
            f"Validation failed: {shown} is an invalid address, please make sure it has a scheme and a hostname"
        )
    if url.path:
        raise bad(
            f"Validation failed: {shown} is an invalid address, ingress rules don't support proxying to a different path on "
            "the origin service. The path will be the same as the eyeball request's path"
        )

"""Configurations of tunnels: what cloudflared would say of one is said here, before it is stored and sent.

The rules and the words are cloudflared's own (``ingress/ingress.go``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import re2

from halfopen.errors import RefusedError
from halfopen.tunnels import names
from halfopen.tunnels.origin_requests import OPTIONS, WARP_ROUTING, kind

MOST_RULES: Final = 1000

_CODE: Final = 1056
_NO_RULES: Final = "The config file doesn't contain any ingress rules"
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
    for _, words in faults(config):
        raise bad(words if words == _NO_RULES else f"Validation failed: {words}")
    return {**config, "warp-routing": config.get("warp-routing") or {"enabled": False}}


def faults(config: Any) -> Iterator[tuple[int | None, str]]:
    """Everything for which cloudflared would not take a configuration, what it would say first: the number of the rule, from 1,
    None where it is about the whole, and its words."""
    if not isinstance(config, Mapping):
        yield None, f"config is {kind(config)}, not an object"
        return
    rules = config.get("ingress") or []
    usable = isinstance(rules, list) and len(rules) <= MOST_RULES
    if not rules:
        yield None, _NO_RULES
    elif not usable:
        yield None, f"ingress is not a list of at most {MOST_RULES:,} rules"
    for name, fault in (("originRequest", OPTIONS), ("warp-routing", WARP_ROUTING)):
        if wrong := fault(name, config.get(name)):
            yield None, wrong
    for number, rule in enumerate(rules if usable else (), 1):
        for words in _of_rule(rule, number, len(rules)):
            yield number, words


def hostnames(config: Mapping[str, Any]) -> list[str]:
    """The names of a configuration that can route, each once, in their one form; not every text cloudflared takes can."""
    named = [names.hostname(rule["hostname"]) for rule in config["ingress"] if rule.get("hostname")]
    return list(dict.fromkeys(each for each in named if each is not None and each != "*"))


def bad(words: str) -> RefusedError:
    """What is said of a configuration that cannot be used."""
    return RefusedError(_CODE, f"Bad Configuration: {words}\n")


def _of_rule(rule: Any, number: int, count: int) -> Iterator[str]:
    if not isinstance(rule, Mapping):
        yield f"Rule #{number} is {kind(rule)}, not an object"
        return
    texts = {name: rule.get(name) or "" for name in ("hostname", "path", "service")}
    odd = [name for name, text in texts.items() if not isinstance(text, str)]
    for name in odd:
        yield f"Rule #{number}: {name} is {kind(texts[name])}, not a string"
    if wrong := OPTIONS("originRequest", rule.get("originRequest")):
        yield f"Rule #{number}: {wrong}"
    if odd:
        return
    if wrong := _of_service(texts["service"], number):
        yield wrong
    hostname, path = texts["hostname"], texts["path"]
    if re.fullmatch(r"(\[.*\]|[^:]*):[^:]*", hostname):
        yield _PORT
    if hostname.rfind("*") > 0:
        yield _WILDCARD
    catches_all = hostname in ("", "*") and not path
    if number == count and not catches_all:
        yield _NOT_ALL
    if number < count and catches_all:
        yield (
            f"Rule #{number} is matching the hostname '{hostname}', but this will match every hostname, "
            "meaning the rules which follow it will never be triggered."
        )
    try:
        re2.compile(path, _REGEX)
    except re2.error as error:
        yield f"Rule #{number} has an invalid regex: {error.args[0].decode(errors='replace')}"


def _of_service(service: str, number: int) -> str | None:
    if service in _NAMED or service.startswith(("unix:", "unix+tls:")):
        return None
    if service.startswith("http_status:"):
        status = service.removeprefix("http_status:")
        if status.isascii() and status.isdigit() and 100 <= int(status[:4]) <= 999:
            return None
        return f"invalid HTTP status code: {status[:20]}"
    shown = service[:200]
    try:
        url = urlsplit(service)
        host = url.hostname
    except ValueError as error:
        return f"Rule #{number}: {shown}: {error}"
    if not url.scheme or not host:
        return f"{shown} is an invalid address, please make sure it has a scheme and a hostname"
    if url.path:
        return (
            f"{shown} is an invalid address, ingress rules don't support proxying to a different path on "
            "the origin service. The path will be the same as the eyeball request's path"
        )
    return None

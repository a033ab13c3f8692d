"""The ports that somebody listens on, as the kernel tells them."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from halfopen.capture.live.listening import Listeners
from tests.capture.live.wires import Require, namespace


def test_ports_of_either_version(require: Require) -> None:
    with namespace(require, "ip addr add 192.0.2.1/24 dev lo") as space, ExitStack() as opened:
        with space.entered():
            listeners = Listeners()
            opened.callback(listeners.close)
            assert listeners.ports(loopback=True) == frozenset()

            def listen(address: str, port: int) -> socket.socket:
                six = ":" in address
                family = socket.AF_INET6 if six else socket.AF_INET
                return opened.enter_context(
                    socket.create_server((address, port), family=family, dualstack_ipv6=six)
                )

            listen("0.0.0.0", 80)
            listen("::", 443)
            listen("192.0.2.1", 81)
            for port, address in enumerate(("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"), 5000):
                listen(address, port)
            listen("127.0.0.1", 82)
            both = listen("192.0.2.1", 82)
            client = opened.enter_context(socket.create_connection(("192.0.2.1", 80)))
            assert client.getsockname()[1] not in listeners.ports(loopback=True)
        assert listeners.ports() == {80, 443, 81, 82}
        assert listeners.ports(loopback=True) == {80, 443, 81, 82, 5000, 5001, 5002, 5003}
        both.close()
        assert listeners.ports() == {80, 443, 81}


def test_more_listeners_than_one_answer_holds(require: Require) -> None:
    with namespace(require) as space, ExitStack() as opened:
        with space.entered():
            listeners = Listeners()
            opened.callback(listeners.close)
            for port in range(2000, 2600):
                opened.enter_context(socket.create_server(("0.0.0.0", port)))
        assert listeners.ports() == frozenset(range(2000, 2600))

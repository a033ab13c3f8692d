"""Interfaces that come, go and change, and which of them show others' packets again."""

from __future__ import annotations

import select
from dataclasses import replace

from halfopen.capture.live.devices import Device, Devices, doubles
from halfopen.capture.live.packet_socket import PacketSocket
from halfopen.capture.live.ring import Ring
from tests.capture.layers import ethernet, ipv4, tcp
from tests.capture.live.wires import Require, namespace, ring, send, settle, take, until, wire

PLAIN = Device(1, "eth0", "", up=True, loopback=False, lower=0, master=0)


def segment(source: int) -> bytes:
    return ethernet(ipv4(tcp(source=source)))


def test_an_interface_goes_and_comes_back(require: Require) -> None:
    pair = "ip link add near0 type veth peer name far0"
    up = ("ip link set near0 up", "ip link set far0 up")
    with namespace(require) as space, ring(space) as source:
        assert source.waiting == "there is no interface far0"
        space.run(pair)
        source.look()
        assert source.waiting == "the interface far0 is down"
        space.run(*up)
        source.look()
        assert source.waiting == ""
        settle(space, "near0", "far0")
        send(space, segment(1))
        assert take(source, 1).ports() == [1]

        space.run("ip link del far0")
        source.look()
        assert source.waiting == "there is no interface far0"
        assert list(source.batches()) == []
        space.run("ip link add other0 type veth peer name other1", pair, *up)  # with other indices
        source.look()
        assert source.waiting == ""
        settle(space, "near0", "far0")
        send(space, segment(2))
        assert take(source, 1).ports() == [2]


def test_an_interface_goes_down_and_up(require: Require) -> None:
    with wire(require) as space, ring(space) as source:
        space.run("ip link set far0 down")
        source.look()
        assert source.waiting == "the interface far0 is down"
        assert list(source.batches()) == []
        assert select.select([source], [], [], 0)[0] == []  # the error does not wake the reader for ever
        space.run("ip link set far0 up")
        source.look()
        assert source.waiting == ""
        settle(space, "near0", "far0")
        send(space, segment(1))
        assert take(source, 1).ports() == [1]


class Late(Devices):
    """Lists an interface that has gone meanwhile."""

    def all(self) -> list[Device]:
        return [*super().all(), replace(PLAIN, index=9999, name="far0")]


def test_an_interface_that_goes_while_it_is_looked_for(require: Require) -> None:
    with namespace(require) as space:
        with space.entered():
            source = Ring(PacketSocket(1), Late(), "far0")
        assert source.waiting == "there is no interface far0"
        source.close()


def test_changes_are_told_once(require: Require) -> None:
    with wire(require) as space:
        with space.entered():
            devices = Devices()
        assert not devices.changed()
        before = {each.name for each in devices.all()}
        space.run("ip link add br0 type bridge", "ip link set far0 master br0")
        until(devices.changed)
        after = devices.all()
        assert {each.name for each in after} - before == {"br0"}
        assert {each.name for each in after if each.index in doubles(after)} == {"br0"}
        assert not devices.changed()
        devices.close()


def test_which_show_others_packets_again() -> None:
    def names(*devices: Device) -> set[str]:
        found = doubles(devices)
        return {each.name for each in devices if each.index in found}

    def above(index: int, kind: str, lower: int = 0) -> Device:
        return Device(index, kind, kind, up=True, loopback=False, lower=lower, master=0)

    for kind in ("vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"):
        assert names(PLAIN, above(2, kind, 1)) == {kind}
        assert names(above(2, kind)) == set()  # what it is above is in another namespace
    for kind in ("bridge", "bond", "team", "vrf"):
        assert names(replace(PLAIN, master=2), above(2, kind)) == {kind}
        assert names(PLAIN, above(2, kind)) == set()
    for kind in ("vxlan", "macsec", "wireguard", "tun", "gre", "veth"):
        assert names(PLAIN, above(2, kind, 1)) == set()
    assert names(replace(PLAIN, master=2), above(2, "hsr")) == set()
    assert names(replace(PLAIN, master=2), above(2, "bridge"), above(3, "vlan", 2)) == {"bridge", "vlan"}

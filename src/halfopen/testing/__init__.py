"""Captures for tests and for users: built packet by packet, or made by real kernels in a test bed.

- `packets`: TCP, ICMP and tunnels over IPv4 and IPv6, every field settable.
- `links`: the link layers those packets travel in.
- `pcap`, `pcapng`: the files.
- `payloads`: a TLS ClientHello, an HTTP request.
- `conversation`: a connection written as a script, both sides' numbers kept.
- `testbed`: client, middlebox and server in network namespaces; `play`: one scenario in it, as a script.
"""

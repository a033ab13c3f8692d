"""Calls between connector and edge: the machine of Cap'n Proto's RPC, and the methods that both call."""

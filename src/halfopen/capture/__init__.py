"""Capture files in, columns of packets out."""

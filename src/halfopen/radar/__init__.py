"""Answers in the shape of Cloudflare Radar, from the dataset."""

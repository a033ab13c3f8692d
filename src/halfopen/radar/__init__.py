"""Answers in the shape of Cloudflare Radar, from the dataset.

``answers.answer`` is the way in: `parameters` reads the query, `counting` asks the dataset, `numbers`,
`confidence`, `annotations` and `table` make the answer. Nothing here knows HTTP, files or the clock.
"""

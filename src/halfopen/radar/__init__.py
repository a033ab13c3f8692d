"""Answers in the shape of Cloudflare Radar, from the dataset.

``answers.answer`` is the way in: `parameters` reads the query, `counting` asks the dataset, `numbers`,
`confidence`, `annotations` and `table` make the answer. Nothing of that knows HTTP, files or
the clock: HTTP is known to the routes (`routes`, `annotation_list`, `connections`, `networks`, `locations`, `search`),
one file to `notes`, and places files to the `atlas`.
"""

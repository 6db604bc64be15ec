"""How fast, how exact and how large scoring is, beside the ways others do it.

`python -m benchmarks.scoring` runs everything in one interleaved session and
writes JSON and a table in Markdown.
"""

"""Speed, exactness and memory of scoring, compared with other tools.

`python -m benchmarks.scoring` runs everything in one interleaved session and
writes JSON and a table in Markdown.
"""

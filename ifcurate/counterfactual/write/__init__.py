"""The output: rows, suite, rejected rows, the review sheet."""

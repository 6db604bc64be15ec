"""What is written: rows, suite, rejections, the review sheet."""

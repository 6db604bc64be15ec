"""Pages about runs: one self-contained HTML file each, that works offline."""

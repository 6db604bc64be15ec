"""Pages about runs. Each is one HTML file that works offline."""

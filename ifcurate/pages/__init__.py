"""Pages of HTML that work offline, and the figures on them."""

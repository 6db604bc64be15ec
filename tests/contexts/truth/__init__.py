"""The truth of templates that no rule was written on, and how a finder is measured on it."""

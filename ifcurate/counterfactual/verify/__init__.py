"""The checks that an edited example passes, or is not written."""

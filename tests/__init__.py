"""Tests; `from tests.models import make_model` and the like work from here."""

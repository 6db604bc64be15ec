"""Recipes: all steps from one YAML file, planned, run, and skipped where they are done."""

"""Recipes: YAML files that `ifcurate run` takes by name."""

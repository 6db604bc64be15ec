"""Recipes: plan and run all steps from one YAML file, and skip finished steps."""

"""Tests of counterfactual augmentation."""

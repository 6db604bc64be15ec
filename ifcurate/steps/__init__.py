"""The steps on a run folder: split, filter, rescore, and recipes of all steps."""

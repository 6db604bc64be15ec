"""A mixture in the formats of trainers, with the configuration that trains on it."""

"""Finetune on a mixture through TRL and PEFT, in full, by adapters, or queries and keys alone."""

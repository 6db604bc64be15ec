"""Fit the weights of the model that finds contexts (`ifcurate/contexts/weights.npz`)."""

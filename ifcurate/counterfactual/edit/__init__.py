"""Candidates, substitutes, and the edits that replace one by the other."""

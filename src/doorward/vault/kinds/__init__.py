"""Kinds of entries that hold no session."""

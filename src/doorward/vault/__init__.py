"""Secrets at rest: files that are ours alone, locks, entries. Nothing here asks the network for anything."""

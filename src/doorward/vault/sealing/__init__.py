"""A vault's entries encrypted at rest, and the keys for it. A plain vault meets only ``gate``."""

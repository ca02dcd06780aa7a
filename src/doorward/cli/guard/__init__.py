"""Commands for whoever runs a guarded service: ``keys``, ``audit``, ``explain``."""

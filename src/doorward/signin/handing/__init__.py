"""Hands a profile's token to another program: to whom it may go, and the token itself. No program's protocol."""

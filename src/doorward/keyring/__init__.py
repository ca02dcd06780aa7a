"""The operating system's keyring, within five seconds and without a window. It knows no vault and no client."""

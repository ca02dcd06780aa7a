"""What is set about sign-ins outside of a program: profiles of ``doorward.toml``, a client's secret in the keyring."""

"""The one way out to the network. Nothing else opens a connection; nothing here knows what is sent."""

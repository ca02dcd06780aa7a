"""What the near door did, for whoever has to show it later: off until a setting names a file (decision 20).

``noting`` notes what takes a while, before it is done and after; ``note_use`` that a token is handed out. No secret is
in it.
"""

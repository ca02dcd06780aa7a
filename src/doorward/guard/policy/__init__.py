"""From verified claims to a ``Principal``, and who may do what: e-mail, groups, scopes, administrators, grants.

Nothing here verifies a token, and nothing here waits.
"""

"""What the issuer answers, one module a subject: requests in, replies out, no socket."""

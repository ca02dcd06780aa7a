"""Cookies as browsers keep and send them (RFC 6265): ``jar.CookieJar``. No I/O, no clock."""

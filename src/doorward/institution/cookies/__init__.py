"""Cookies as browsers keep and send them (RFC 6265): ``jar.CookieJar``. No I/O, no clock."""

from doorward.late import late_names

__getattr__, __dir__, __all__ = late_names(__name__)

from doorward.institution.cookies.jar import Cookie as Cookie
from doorward.institution.cookies.jar import CookieJar as CookieJar

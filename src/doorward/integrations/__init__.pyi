from doorward.integrations import aiohttp as aiohttp
from doorward.integrations import asgi as asgi
from doorward.integrations import fastapi as fastapi
from doorward.integrations import flask as flask
from doorward.integrations import httpx as httpx
from doorward.integrations import requests as requests
from doorward.integrations import sending as sending
from doorward.integrations import wsgi as wsgi

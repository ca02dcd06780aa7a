from doorward.guard.api_keys.api_key import ApiKey as ApiKey
from doorward.guard.api_keys.api_key import KeyStore as KeyStore
from doorward.guard.api_keys.api_keys import ApiKeys as ApiKeys

from doorward.guard.policy.admins import API_KEY_ISSUER as API_KEY_ISSUER
from doorward.guard.policy.admins import Admin as Admin
from doorward.guard.policy.grants import Grants as Grants
from doorward.guard.policy.policy import Policy as Policy

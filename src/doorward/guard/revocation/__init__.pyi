from doorward.guard.revocation.revocations import Revocations as Revocations

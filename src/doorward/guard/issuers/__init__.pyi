from doorward.guard.issuers.issuer import Issuer as Issuer

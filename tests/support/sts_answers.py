"""What AWS STS answers to AssumeRoleWithWebIdentity, as its documentation shows it."""

from __future__ import annotations

__all__ = ["CREDENTIALS"]

CREDENTIALS = """
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>alice</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/notes/doorward</Arn></AssumedRoleUser>
    <Credentials>
      <SessionToken>planted-session-token+/=</SessionToken>
      <SecretAccessKey>planted-secret-access-key</SecretAccessKey>
      <Expiration>2099-01-01T00:00:00Z</Expiration>
      <AccessKeyId>ASIAEXAMPLE</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>
"""

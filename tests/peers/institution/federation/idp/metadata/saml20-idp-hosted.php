<?php
// PHP reads this at each request: the switch counts at once.
$consent = ['class' => 'consent:Consent', 'identifyingAttribute' => 'urn:oid:1.3.6.1.4.1.5923.1.1.1.6'];
$metadata['https://@IDP_HOST@/idp'] = [
    'host' => '__DEFAULT__',
    'OrganizationName' => 'Example University',
    'privatekey' => 'saml.key',
    'certificate' => 'saml.crt',
    'auth' => 'passwords',
    'scope' => ['university.example'],
    'assertion.encryption' => true,
    'saml20.sign.assertion' => true,
    'saml20.sign.response' => true,
    'signature.algorithm' => 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:uri',
    'authproc' => file_exists('@FOLDER@/switches/consent') ? [90 => $consent] : [],
];

<?php
$metadata['https://@SP_HOST@/shibboleth'] = [
    'name' => 'Example Publisher',
    'certData' => '@SP_CERTIFICATE@',
    'AssertionConsumerService' => 'https://@SP_HOST@:@PORT@/Shibboleth.sso/SAML2/POST',
    'SingleLogoutService' => 'https://@SP_HOST@:@PORT@/Shibboleth.sso/SLO/Redirect',
];

<?php
// Attributes by the names they have in SAML: eduPersonPrincipalName.
$person = fn($name) => ['urn:oid:1.3.6.1.4.1.5923.1.1.1.6' => ["$name@university.example"]];
$config = [
    'passwords' => ['exampleauth:UserPass', 'alice:alice-pw' => $person('alice'), 'bob:bob-pw' => $person('bob')],
];

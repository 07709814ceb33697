<?php
// What the identity provider is.

$settings = json_decode(file_get_contents(getenv('IDENTITY_PROVIDER_SETTINGS')), true);
$algorithm = $settings['signs_with_sha1']
    ? 'http://www.w3.org/2000/09/xmldsig#rsa-sha1'
    : 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256';

$metadata[$settings['origin'] . '/saml2/idp/metadata.php'] = [
    'host' => '__DEFAULT__',
    'privatekey' => basename($settings['key_file']),
    'certificate' => basename($settings['certificate_file']),
    'auth' => 'people',
    'signature.algorithm' => $algorithm,
    'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
    'attributes.NameFormat' => 'urn:oasis:names:tc:SAML:2.0:attrname-format:basic',
    'authproc' => [
        10 => [
            'class' => 'saml:AttributeNameID',
            'identifyingAttribute' => 'subject',
            'attribute' => 'subject',
            'Format' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
        ],
    ],
];

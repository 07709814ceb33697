<?php
// What the identity provider knows about the service provider.

$settings = json_decode(file_get_contents(getenv('IDENTITY_PROVIDER_SETTINGS')), true);
$provider = $settings['service_provider'];
$redirect = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect';

$metadata[$provider['entity_id']] = [
    'AssertionConsumerService' => $provider['acs_url'],
    'SingleLogoutService' => [['Binding' => $redirect, 'Location' => $provider['slo_url']]],
    'certData' => preg_replace('/-----[^-]+-----|\s/', '', $provider['certificate']),
    'NameIDFormat' => 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
    'audience' => $settings['more_audiences'],
    'saml20.sign.assertion' => $settings['signs_assertion'],
    'saml20.sign.response' => $settings['signs_response'],
    'assertion.encryption' => $settings['encryption'] !== '',
    'validate.authnrequest' => $settings['validates_requests'],
    'validate.logout' => $settings['validates_requests'],
    'sign.logout' => true,
    'redirect.sign' => true,
];

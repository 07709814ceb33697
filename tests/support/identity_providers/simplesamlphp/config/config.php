<?php
// SimpleSAMLphp as an identity provider of the tests; what varies comes from the starter.

$settings = json_decode(file_get_contents(getenv('IDENTITY_PROVIDER_SETTINGS')), true);
$directory = $settings['directory'];

foreach (['data', 'tmp', 'sessions'] as $folder) {
    @mkdir("$directory/$folder");
}

$config = [
    'baseurlpath' => $settings['origin'] . '/',
    'certdir' => "$directory/",
    'datadir' => "$directory/data/",
    'tempdir' => "$directory/tmp",
    'metadatadir' => dirname(__DIR__) . '/metadata/',
    'metadata.sources' => [['type' => 'flatfile']],
    'secretsalt' => 'the-same-in-every-test-because-nothing-depends-on-it',
    'auth.adminpassword' => 'nobody administers this',
    'technicalcontact_email' => 'nobody@example.com',
    'timezone' => 'UTC',
    'language.default' => 'en',
    'enable.saml20-idp' => true,
    'module.enable' => ['core' => true, 'exampleauth' => true, 'saml' => true],
    'store.type' => 'phpsession',
    'session.phpsession.savepath' => "$directory/sessions",
    'session.phpsession.cookiename' => 'SimpleSAMLphpOfTheTests',
    'session.cookie.secure' => false,
    'session.cookie.samesite' => null,
    'trusted.url.domains' => [$settings['address'] . ':' . $settings['port']],
    'logging.handler' => 'file',
    'logging.level' => SimpleSAML\Logger::INFO,
    'loggingdir' => "$directory/",
    'logging.logfile' => 'simplesamlphp.log',
    'showerrors' => true,
    'debug' => ['backtraces' => true],
];

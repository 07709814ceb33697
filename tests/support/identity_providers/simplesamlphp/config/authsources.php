<?php
// The people, with their passwords in the clear.

$settings = json_decode(file_get_contents(getenv('IDENTITY_PROVIDER_SETTINGS')), true);

$people = ['exampleauth:UserPass'];
foreach ($settings['people'] as $username => $person) {
    $people["$username:" . $person['password']] =
        $person['attributes'] + ['subject' => [$person['subject']]];
}
$config = ['people' => $people];

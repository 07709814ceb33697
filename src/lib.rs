//! Rolegate: a self-hosted identity broker and single-sign-on proxy for the AWS console.
//!
//! People sign in with their directory account or at their SAML or OpenID Connect provider, see the
//! IAM roles that their groups give them, and open one in the AWS console or take its short-lived
//! credentials; what they can open in the console they can take to a shell, to AWS's own tools and to
//! programs. Where Rolegate itself is the identity provider that IAM trusts, the server needs no
//! AWS credentials for that. The helpdesk keeps the table that says which group gives which role. This page is the map for somebody
//! who reads the source for the first time; its links are checked by `cargo doc`, so it cannot name
//! what is no longer there.
//!
//! # The modules
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`access`] | people, groups, accounts, roles, mappings, and the decision; pure |
//! | [`access::explain`] | why a role is held or not, as a tree |
//! | [`identity`] | who is this? Connectors: [`identity::ldap`], [`identity::saml`], [`identity::oidc`]; issuers that applications bring tokens of: [`identity::trusted`] |
//! | [`aws`] | STS, the console's federation endpoint, partitions, pasted addresses |
//! | [`aws::issuer`] | Rolegate as an identity provider that IAM trusts: keys, assertions, tokens |
//! | [`aws::iam`] | reading roles, and writing what ends sessions |
//! | [`aws::trust`] | the statements that let Rolegate open a role, and what a trust policy says of it |
//! | [`aws::setup`] | what has to be made at AWS, as CloudFormation and Terraform |
//! | [`store`] | what is kept, as traits; [`store::sql`] keeps it in SQLite |
//! | [`audit`] | the form of an event, the [hash chain](audit::chain) behind it, and its [witnesses](audit::cloudtrail) |
//! | [`broker`] | the use-cases: they order the steps of the modules above, and audit them |
//! | [`web`] | HTTP: routes, middleware, cookies, pages; the JSON API (`web/api`); what AWS's own tools speak (`web/aws_sso`) |
//! | [`config`] | the TOML file and environment as one typed [`Config`](config::Config) |
//! | [`app`] | the composition root: the only place that names concrete adapters |
//! | [`cli`] | the command line, a file for each command |
//! | [`client`] | what the commands on a person's own machine share; knows nothing of the server |
//! | [`clock`] | the only reader of wall time |
//! | [`telemetry`] | log lines and metrics |
//! | `demo` | feature `demo`: a sample directory and a stand-in for AWS, at wire level |
//!
//! # The arrows
//!
//! ```text
//! web → broker → { identity, aws, store → audit } → access
//! config → access
//! app, cli → everything
//! ```
//!
//! An arrow is what may be named; what stands further right may be named too, but [`web`] passes
//! through [`broker`]. All but [`access`], [`config`] and [`telemetry`] may name [`clock`].
//! [`access`] knows nobody: no I/O, no async, no clock, no HTTP, no SDK. The test
//! `tests/integration/architecture.rs` reads every `use crate::…` and fails, with file and line,
//! where an arrow points the wrong way.
//!
//! # Signing in
//!
//! 1. `POST /login/{connector}` comes through the layers of [`web::router`]: request id, client
//!    address, security headers, same-site check, sizes and deadlines. The form's CSRF token is
//!    checked before the handler, in `web/pages/login.rs`, sees a field.
//! 2. [`Broker::sign_in`](broker::Broker::sign_in) orders the rest. The throttle takes a token for
//!    the address.
//! 3. [`PasswordConnector::locate`](identity::PasswordConnector::locate) finds the entry that the
//!    typed name means. From here on the person is the entry's stable id, never what was typed; the
//!    throttle takes a token for that person at that place.
//! 4. [`PasswordConnector::verify`](identity::PasswordConnector::verify) binds with the password,
//!    for people who do not exist too, and reads the groups. A list that is not known to be whole
//!    is a refusal. [`LdapConnector`](identity::ldap::LdapConnector) is what speaks here.
//! 5. The sign-in is written by [`AuditLog::append`](store::AuditLog::append). When it cannot be
//!    written, nobody is signed in.
//! 6. The handler saves a [`SignInSession`](store::SignInSession) under a new id, of which the
//!    store knows the hash alone, and answers 303.
//!
//! # Signing in through a SAML provider
//!
//! 1. `POST /login/{connector}` of a [`RedirectConnector`](identity::RedirectConnector) becomes
//!    [`Broker::begin_redirect`](broker::Broker::begin_redirect): a request id, a RelayState and a
//!    secret for this browser's cookie, kept as a [`PendingSignIn`](store::PendingSignIn). The
//!    browser carries the AuthnRequest away.
//! 2. `POST /saml/{connector}/acs`, in `web/pages/saml.rs`, comes from another site, so there is no
//!    CSRF token; the cookie of the attempt ties it to this browser.
//!    [`Broker::finish_redirect`](broker::Broker::finish_redirect) takes the pending sign-in, once.
//! 3. [`RedirectConnector::finish`](identity::RedirectConnector::finish) verifies; for
//!    [`SamlConnector`](identity::saml::SamlConnector) that is
//!    [`verify`](identity::saml::verify::verify): the [`gate`](identity::saml::gate) looks at the
//!    structure of the raw bytes; [`signature`](identity::saml::signature) verifies with the keys of
//!    the provider's [metadata](identity::saml::provider_metadata) and returns what was signed; an
//!    encrypted assertion is opened and takes the same steps; `rules` judge what was returned. A
//!    [`Refused`](identity::saml::refusal::Refused) names the rule that was broken.
//! 4. [`Conversations::use_answer`](store::Conversations::use_answer) takes the assertion's id, once.
//!    Groups that the provider left out are a refusal, or are read from the directory of
//!    `groups_from`.
//! 5. Audit row and session are written as for a password. What AWS takes too is sealed by
//!    [`Broker::hold_proof`](broker::Broker::hold_proof) under a key made of the session's id.
//!
//! # Signing in through an OpenID Connect provider
//!
//! The same walk, with these differences:
//!
//! 1. The id of the conversation is the `state`. The PKCE verifier and the nonce are derived from
//!    the [`AttemptSecret`](identity::AttemptSecret) in the browser's cookie, of which the store has
//!    the hash alone.
//! 2. The answer is `GET /oidc/{connector}/callback`, in `web/pages/oidc.rs`.
//!    [`OidcConnector`](identity::oidc::OidcConnector) exchanges the code for an ID token, whose
//!    signature is verified with the provider's published [`keys`](identity::oidc::keys), and what it
//!    says is judged in [`token`](identity::oidc::token).
//! 3. The ID token never leaves the server. Where `pass_through` asks for it, it is held for AWS as an
//!    assertion is.
//! 4. `POST /oidc/{connector}/backchannel-logout` comes from the provider itself and ends sessions.
//!
//! # Opening a role
//!
//! 1. `POST /console`, in `web/pages/console.rs`, turns the form into an
//!    [`OpenOrder`](broker::OpenOrder). Nothing in it is trusted.
//! 2. [`Broker::open_console`](broker::Broker::open_console) reads the groups again where they are
//!    older than `groups_refresh_after`
//!    ([`PasswordConnector::refresh`](identity::PasswordConnector::refresh)). Somebody who is gone
//!    is signed out everywhere.
//! 3. [`Broker::policy`](broker::Broker::policy) compares the snapshot's version with the store's
//!    and reads the tables again where they were edited.
//! 4. [`Policy::authorize`](access::Policy::authorize) judges each mapping alone and returns a
//!    [`Grant`](access::Grant), or a [`NotEntitled`](access::NotEntitled) that says how near it was.
//! 5. The destination is read against the role's partition
//!    ([`Destination::parse`](aws::destination::Destination::parse)).
//! 6. [`AuditLog::announce`](store::AuditLog::announce) writes the intent, in a transaction that
//!    fails when the tables are no longer those that were decided on.
//! 7. [`Sts::issue`](aws::Sts::issue) takes the grant and nothing else;
//!    [`SdkSts`](aws::sts::SdkSts) asks AWS.
//! 8. [`SignIn::sign_in_url`](aws::SignIn::sign_in_url) consumes the credentials and returns a
//!    [`SignInUrl`](aws::SignInUrl); [`FederationSignIn`](aws::sign_in::FederationSignIn) asks AWS.
//! 9. [`AuditLog::conclude`](store::AuditLog::conclude) writes the outcome and the role session.
//!    When it cannot be written, the URL is dropped.
//! 10. The handler answers 303 to the URL, with `no-store` and `no-referrer`.
//!
//! # AssumeRoleWithSAML
//!
//! The same walk, with three differences:
//!
//! 1. [`Policy::authorize`](access::Policy::authorize) also wants the person's assertion to name the
//!    role, and finds the [`SamlProviderArn`](access::SamlProviderArn) to name to AWS.
//! 2. Before the intent is written, the held response is opened with the session's id and becomes a
//!    [`Proof`](aws::Proof). Where it is missing or older than AWS takes,
//!    [`OpenRefused::FreshAssertion`](broker::OpenRefused::FreshAssertion) sends the browser to the
//!    provider, from which the same person has to come back, to the same role.
//! 3. [`Sts::issue`](aws::Sts::issue) sends the response as it was posted, unsigned by us.
//!
//! A role with [`ConsoleWay::IdpInitiated`](access::ConsoleWay) ends with a redirect to the provider's
//! own AWS application instead; intent and outcome are written all the same.
//!
//! # A broker without AWS keys
//!
//! The same walk again, where the role is [vouched for](access::Voucher) by the
//! [`Issuer`](aws::Issuer):
//!
//! 1. [`Policy::authorize`](access::Policy::authorize) refuses the role where there is no key for it
//!    ([`Abilities`](access::Abilities)), and what its method cannot carry.
//! 2. The intent is written first; only then is anything minted, by
//!    [`Issuer::assertion`](aws::Issuer::assertion) or [`Issuer::token`](aws::Issuer::token), which
//!    take the grant and nothing else. What is minted is for the one person, the one role, and five
//!    minutes at most. A [`Signer`](aws::issuer::signer::Signer) signs; nobody else sees the key.
//! 3. Where [`Grant::is_posted`](access::Grant::is_posted), the handler answers with a page whose form
//!    the browser posts to AWS's SAML sign-in address, with the destination as RelayState. The server
//!    speaks to nobody. What has to be narrowed is never posted.
//! 4. Else the assertion or token is the [`Proof`](aws::Proof) of [`Sts::issue`](aws::Sts::issue),
//!    which calls AssumeRoleWithSAML or AssumeRoleWithWebIdentity, not signed.
//! 5. The outcome row has the id of what was minted; CloudTrail shows that of an assertion too.
//!
//! `web/pages/issuer.rs` publishes the metadata, the discovery document and the public keys.
//!
//! # Probing
//!
//! 1. The [`app`] starts a round now and then; `rolegate check --live` and the helpdesk's button start
//!    one by hand. [`Broker::claim_probing`](broker::Broker::claim_probing) lets one replica do it.
//! 2. [`Broker::probe_round`](broker::Broker::probe_round) writes its intent, and goes through the roles
//!    within its [`ProbeBudget`](broker::ProbeBudget), those checked longest ago first.
//! 3. [`Policy::probe`](access::Policy::probe) makes a [`ServiceGrant`](access::ServiceGrant): 900
//!    seconds under a session policy that denies everything. What only a person can open is not
//!    probed.
//! 4. AWS's answer becomes a [`ProbeState`](store::ProbeState). Throttling is inconclusive. With a read
//!    role, [`Iam`](aws::iam::Iam) brings the trust policy, which
//!    [`TrustDocument`](aws::trust::TrustDocument) judges.
//! 5. A broken role is shown with the [`TrustStatement`](aws::trust::TrustStatement) that would mend
//!    it. [`Broker::account_setup`](broker::Broker::account_setup) writes all of an account's at once.
//!
//! # Ending sessions
//!
//! 1. [`Broker::plan_revocation`](broker::Broker::plan_revocation) finds the roles that
//!    [`Whom`](broker::Whom) has sessions of, and what can be done at each.
//! 2. [`Broker::revoke`](broker::Broker::revoke) ends the sign-in sessions, then writes the
//!    [`Revocation`](store::Revocation) down.
//! 3. [`access::revocation`] composes one policy for each role out of everything that is in force
//!    there: a deny by the time of issue and the session's name, within IAM's size.
//! 4. [`Policy::errand`](access::Policy::errand) opens the account's revoker role, and
//!    [`Iam`](aws::iam::Iam) writes the policy. Where there is no such role it is handed out to paste.
//! 5. [`Broker::settle_revocations`](broker::Broker::settle_revocations) tries again what AWS did not
//!    take, and removes a policy when the last session it denies has ended.
//!
//! # Editing the table
//!
//! 1. `POST /helpdesk/preview`, in `web/pages/helpdesk/preview.rs`, turns the form into an
//!    [`EditDraft`](broker::EditDraft): the changes, and the revision of each row as the form showed
//!    it. Imports, bulk edits and undo ([`Broker::undo`](broker::Broker::undo)) become drafts as well.
//! 2. [`Broker::preview_edit`](broker::Broker::preview_edit) reads the author's groups anew, asks
//!    their [`Authority`](access::Authority) about every row before and after, and compares the rows
//!    with those that the form showed; another revision is a [`Conflict`](broker::Conflict).
//! 3. [`Broker::crowd`](broker::Broker::crowd) brings who is known here, and the members of the
//!    touched groups as their directories have them now.
//!    [`Preview::between`](access::Preview::between) compares the two tables over these people.
//! 4. The page shows it. A digest stands for all of it, and for why it has to wait.
//! 5. `POST /helpdesk/save` becomes [`Broker::save_edit`](broker::Broker::save_edit), which takes every
//!    step again. Another digest than the one shown is
//!    [`EditRefused::PreviewChanged`](broker::EditRefused::PreviewChanged), with the new preview.
//! 6. [`PolicyStore::apply`](store::PolicyStore::apply) writes the rows and an audit row for each in one
//!    transaction, which fails when the tables are no longer at
//!    [`at_version`](store::EditContext::at_version).
//! 7. An edit that gives its author something or touches what is protected is put into
//!    [`PendingEdits`](store::PendingEdits) instead.
//!    [`Broker::approve_edit`](broker::Broker::approve_edit) looks anew, for author and second person
//!    both, and carries it out as in step 6; the pending edit is settled in that transaction.
//!
//! The mapping file is loaded by [`Broker::replace_file_tables`](broker::Broker::replace_file_tables):
//! all of it, or the last good one stays.
//!
//! # Why?
//!
//! 1. `GET /helpdesk/people/…?role=`, or `rolegate explain`, finds the person
//!    ([`Broker::person`](broker::Broker::person)): the directory's groups of now, else those last seen.
//! 2. [`Broker::explain`](broker::Broker::explain) gathers what the table alone cannot know as
//!    [`Surroundings`](access::explain::Surroundings): the groups that give the role as their directory
//!    has them, the same person elsewhere, edits that wait, mappings that were ended, what AWS said
//!    last. [`Broker::explain_at`](broker::Broker::explain_at) winds the tables back instead.
//! 3. [`Policy::explain`](access::Policy::explain) judges as a grant would be judged, and returns an
//!    [`Explanation`](access::explain::Explanation): findings, each a
//!    [`Situation`](access::explain::Situation) with its proof and a
//!    [`Remedy`](access::explain::Remedy).
//! 4. The question is an audit row before the answer is shown. People who ask about themselves, on the
//!    picker and the page of a refusal, get
//!    [`Explanation::for_its_person`](access::explain::Explanation::for_its_person).
//!
//! # A terminal that acts for a person
//!
//! The same for our own client ([`client`]) and for AWS's tools, which speak with us as they do with
//! IAM Identity Center:
//!
//! 1. `POST /aws/client/register`, in `web/aws_sso`, makes a client's id out of what the client says
//!    about itself ([`Broker::register_client`](broker::Broker::register_client)); nothing is kept, and
//!    nothing trusts a client by its id.
//! 2. `GET /authorize` asks the person who is signed in in the browser, by a page;
//!    [`Broker::approve_code`](broker::Broker::approve_code) sends the browser back to a loopback address
//!    with a code, bound to a PKCE challenge. Without a browser on that machine, the terminal shows a code
//!    that the person types at `/device`, and
//!    [`Broker::decide_device`](broker::Broker::decide_device) notes what they decide.
//! 3. `POST /aws/token` becomes [`Broker::create_token`](broker::Broker::create_token): the code, once,
//!    becomes a [`Device`](store::Device) with a [`SignInSession`](store::SignInSession) of its own, an
//!    access token and a refresh token, of which the store has the hashes. A second use of a code or a
//!    refresh token ends the device.
//! 4. Every request brings the access token; [`Broker::caller`](broker::Broker::caller) finds out whose it
//!    is and what it may be used for ([`TokenScopes`](access::TokenScopes)). From there on the caller is a
//!    session like a browser's: the same policy, the same re-reading of groups, the same audit rows.
//! 5. `GET /api/v1/container/{role}` hands out what was issued a while ago
//!    ([`Broker::kept_credentials`](broker::Broker::kept_credentials)), after the same decision, since
//!    SDKs wait for a second at most.
//!
//! # An application that brings its own token
//!
//! 1. `POST /api/v1/credentials`, in `web/api`, with a token of an issuer in `[[trusted_issuer]]`.
//! 2. [`Broker::caller`](broker::Broker::caller) asks the [`TrustedIssuer`](identity::TrustedIssuer) whose it
//!    is: [`identity::trusted`] verifies a JWT with the issuer's keys, or asks the issuer about an opaque
//!    token, and its claims become an [`Identity`](access::Identity) with groups that mappings name.
//! 3. [`Broker::issue_credentials`](broker::Broker::issue_credentials) is the same as for people. What the
//!    role's session policy says of the `{subject}` limits the credentials to what is that one's own.
//!
//! # Otherwise
//!
//! [`Broker::issue_credentials`](broker::Broker::issue_credentials) is the same without steps 5
//! and 8. What went wrong becomes a status and words for the person in `web/error.rs` and, for what
//! AWS refused, in [`StsError::for_person`](aws::StsError::for_person); nowhere else.
//!
//! # What is not here
//!
//! - There is no way to STS without a [`Grant`](access::Grant), and no way to a grant but
//!   [`Policy::authorize`](access::Policy::authorize): its fields are private to [`access`].
//! - There is no call to STS for a person without an intent row on disk, and no credentials that
//!   leave without an outcome row. After any crash the role sessions issued are at most the intents.
//! - There is nothing minted but for a grant whose intent is on disk, or for a probe, and nothing that is
//!   for more than one person, one role and five minutes.
//! - There is no assertion posted where something has to be narrowed: whoever carries it could redeem
//!   it without.
//! - There is no session of an errand (probing, reading, revoking) that leaves: it is used where it was
//!   asked for, and dropped.
//! - There is no ID token in a browser, and no code of an MFA device that is kept.
//! - There is no row changed without its audit row, in the same transaction.
//! - There is no edit by a page but one whose preview was shown: what is saved has the digest of what
//!   was seen, at the version that was looked at.
//! - There is no edit by a page that gives its author a role, or touches what is protected, without
//!   a second person who gains nothing by it. The host's command line and the mapping file are
//!   outside, and audited as what they are.
//! - There is no answer to a person about roles of others: what exists and is not near their own
//!   groups reads like what does not exist.
//! - There is no secret in a `Debug`, a log line, an error or an audit row. Passwords are
//!   `SecretString`; [`SessionCredentials`](aws::SessionCredentials) cannot be cloned or serialised
//!   and shows its access key id alone; a [`SignInUrl`](aws::SignInUrl) cannot be displayed.
//! - There is no group that comes from a form, a header or a cookie.
//! - There is nothing that a SAML message says and that is believed, but what was read from the bytes
//!   that a configured key signed. What is not signed can refuse and never vouch.
//! - There is no assertion at rest that the store alone could open: a held one is sealed, and the
//!   key is in the browser.
//! - There is no LDAP filter or DN with a typed name in it that was not escaped, and no SQL with a
//!   value formatted into it.
//! - There is no address that a person chose and a browser follows, but to Rolegate itself, to the
//!   console of the role's partition, or, with a code that a person agreed to, to this machine's loopback.
//! - There is no broker token and no code in the store but as its hash, and nothing that is issued
//!   twice for one of them.
//! - There is no consent without a click, on a page that says who asks; no typed code that is prefilled.
//! - There are no credentials that are kept but in memory, and none handed out from there without the
//!   decision that issuing them would need.
//! - There is no decision on a wall time that was not read from [`clock`].
//! - There is no `unsafe` in this package but in [`identity::saml::signature`], where xmlsec and
//!   libxml2 lose their means to fetch and to write.
//!
//! # Where does a line go?
//!
//! 1. It does no I/O and speaks of people, groups, roles: [`access`].
//! 2. It speaks LDAP, SAML or OpenID Connect: [`identity`].
//! 3. It speaks AWS: [`aws`].
//! 4. It orders steps, or audits them: [`broker`].
//! 5. HTTP, cookies, HTML: [`web`].
//! 6. It reads a key: [`config`].
//! 7. It keeps something: [`store`].
//! 8. It chooses an implementation: [`app`].
//! 9. It runs on a person's own machine: [`client`].
//! 10. It is a command: [`cli`].
//! 11. It pretends: `demo`, or `tests`.
//!
//! Where two fit, the lower number.

#[cfg(not(any(feature = "server", feature = "client")))]
compile_error!("choose what to build: `--features server`, `--features client`, or the default");

#[cfg(feature = "server")]
pub mod access;
#[cfg(feature = "server")]
pub mod app;
#[cfg(feature = "server")]
pub mod audit;
#[cfg(feature = "server")]
pub mod aws;
#[cfg(feature = "server")]
pub mod broker;
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "server")]
pub mod identity;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod telemetry;
#[cfg(feature = "server")]
pub mod web;

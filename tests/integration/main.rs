//! Everything Rolegate promises, tried from outside against real servers; a module for each
//! capability.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on panics; clippy's own exception covers test functions alone"
)]

#[path = "../support/mod.rs"]
mod support;

mod api;
mod api_schema;
mod app_flow;
mod architecture;
mod audit_document;
mod audit_pages;
mod audit_stream;
mod audit_verify;
mod authorize;
mod aws;
mod aws_setup;
mod aws_sso;
mod aws_sso_browser;
mod aws_tool;
mod browser;
mod browser_ways;
mod client;
mod client_use;
mod cloudtrail;
mod command_line;
mod configuration;
mod container;
mod demo_directory;
mod device;
mod edit_storm;
mod edits;
mod explain;
mod faults;
mod four_eyes;
mod four_eyes_pages;
mod helpdesk;
mod helpdesk_hostile;
mod helpdesk_journeys;
mod helpdesk_links;
mod helpdesk_lookups;
mod iam;
mod identity_providers;
mod issuer;
mod issuer_keys;
mod ldap;
mod ldap_active_directory;
mod ldap_lookups;
mod ldap_odd_servers;
mod listener;
mod mapping_commands;
mod mapping_file;
mod mapping_file_reload;
mod matrix;
mod oidc_attacks;
mod oidc_logout;
mod oidc_sign_in;
mod opening;
mod paste;
mod people;
mod preview;
mod probe;
mod probe_commands;
mod probe_methods;
mod process;
mod refusals;
mod revoke;
mod revoke_at_aws;
mod saml_acs;
mod saml_cases;
mod saml_fuzz;
mod saml_opening;
mod saml_provider;
mod saml_rollover;
mod saml_sign_in;
mod stand_in;
mod stand_in_policies;
mod starters;
mod stock_tools;
mod store;
mod sts_methods;
mod token_pages;
mod tokens;
mod trusted_issuer;

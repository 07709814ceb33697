//! Rolegate: a self-hosted identity broker and single-sign-on proxy for the AWS console.

pub mod access;
pub mod app;
pub mod audit;
pub mod aws;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod identity;
pub mod store;
pub mod telemetry;
pub mod web;

//! What runs on people's own machines: signing in at a Rolegate server from a terminal, and bringing
//! its roles to shells, SDKs and configuration files.
//!
//! Everything here is synchronous: a warm answer starts no runtime, opens no socket and sets up no
//! TLS. Never here: anything of the server but [`clock`](crate::clock); standard output; arguments.
//! Entry points: [`StateFolder::open`], [`Session::open`], [`sign_in`], [`Session::credentials`],
//! [`shell::write`], [`aws_config::Plan`].

pub mod aws_config;
mod credentials;
mod error;
pub mod helper;
mod http;
mod loopback;
mod oauth;
mod role;
mod secret;
mod session;
pub mod shell;
pub mod sign_in;
mod state;

pub use credentials::{CredentialOrder, Credentials};
pub use error::{ClientError, Refusal};
pub use http::{Http, ServerUrl};
pub use loopback::Loopback;
pub use role::{Account, Match, NotFound, OfferedRole, find};
pub use secret::Secret;
pub use session::{ConsoleAddress, ConsoleOrder, Me, Session};
pub use state::StateFolder;

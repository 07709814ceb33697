//! Everything Rolegate promises, tried from outside; a module for each capability.

mod configuration;
mod demo_directory;
mod stand_in;

//! The secrets themselves: how they are made, told apart and hashed.

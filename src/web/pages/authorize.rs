//! `/authorize`: a client on the same machine asks to act for the person.

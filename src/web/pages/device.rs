//! `/device`: a client on another machine asks to act for the person, who types its code.

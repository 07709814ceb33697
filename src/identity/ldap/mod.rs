//! LDAP and Active Directory.

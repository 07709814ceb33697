//! What the presets of an LDAP connector fill in; keys that are written win.
//!
//! Facts about directories only. Entry point: [`Preset::of`].

use super::ldap::{DirectoryKind, GroupStrategy};

/// The defaults that depend on the directory.
pub(super) struct Preset {
    pub(super) kind: DirectoryKind,
    pub(super) user_filter: &'static str,
    /// Subject, username, display name, email.
    pub(super) user_attributes: [&'static str; 4],
    pub(super) group_strategy: GroupStrategy,
    pub(super) nested_groups: bool,
    group_class: &'static str,
}

impl Preset {
    /// The preset, or what RFC 2798 and RFC 4530 let expect of any directory.
    pub(super) fn of(kind: Option<DirectoryKind>) -> Self {
        match kind.unwrap_or(DirectoryKind::Other) {
            DirectoryKind::ActiveDirectory => Self {
                kind: DirectoryKind::ActiveDirectory,
                // Bit 2 of userAccountControl is ACCOUNTDISABLE ([MS-ADTS] 2.2.16).
                user_filter: "(&(objectCategory=person)(objectClass=user)\
                              (|(sAMAccountName={username})(userPrincipalName={username}))\
                              (!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
                user_attributes: ["objectGUID", "sAMAccountName", "displayName", "mail"],
                group_strategy: GroupStrategy::InChain,
                nested_groups: true,
                group_class: "group",
            },
            DirectoryKind::FreeIpa => Self {
                kind: DirectoryKind::FreeIpa,
                user_filter: "(&(objectClass=posixAccount)(uid={username})(!(nsAccountLock=TRUE)))",
                user_attributes: ["ipaUniqueID", "uid", "cn", "mail"],
                group_strategy: GroupStrategy::MemberOf,
                // Its memberOf already names them.
                nested_groups: false,
                group_class: "groupOfNames",
            },
            kind @ (DirectoryKind::OpenLdap | DirectoryKind::Other) => Self {
                kind,
                user_filter: "(&(objectClass=inetOrgPerson)(uid={username}))",
                user_attributes: ["entryUUID", "uid", "cn", "mail"],
                group_strategy: GroupStrategy::Search,
                nested_groups: true,
                group_class: "groupOfNames",
            },
        }
    }

    /// The filter that finds a member's groups.
    pub(super) fn group_filter(&self, strategy: GroupStrategy) -> String {
        let class = self.group_class;
        match strategy {
            GroupStrategy::Search | GroupStrategy::MemberOf => {
                format!("(&(objectClass={class})(member={{dn}}))")
            }
            GroupStrategy::Posix => "(&(objectClass=posixGroup)(memberUid={username}))".to_owned(),
            // LDAP_MATCHING_RULE_IN_CHAIN ([MS-ADTS] 3.1.1.3.4.4.3).
            GroupStrategy::InChain => {
                format!("(&(objectClass={class})(member:1.2.840.113556.1.4.1941:={{dn}}))")
            }
        }
    }
}

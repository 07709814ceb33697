//! What a role says and the way it is opened cannot carry.
//!
//! A setting that silently does not hold is worse than none, so such a role gives nothing until its
//! row is mended. What a role merely inherits and cannot use is ignored instead, see
//! [`EffectiveRole`]; of inherited settings none narrows a session. Entry points:
//! [`Role::contradiction`] with all that is known, [`Role::contradicts_itself`] for a row alone.

use super::{
    ConsoleWay, EffectiveRole, GrantMethod, Role, RoleDefaults, SESSION_TAGS, SamlProviderArn,
    TargetKind, Voucher,
    role::sends_tags,
    template::{check_for_many_connectors, check_session_policy, check_session_tag},
};

/// A setting of a role that the way it is opened cannot carry, so that it would silently not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The setting's key in configuration and tables.
    pub key: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every check answers with it, or with nothing"
)]
fn contradiction(key: &'static str, message: impl Into<String>) -> Option<Contradiction> {
    Some(Contradiction {
        key,
        message: message.into(),
    })
}

impl Role {
    /// What the role says itself and `settings` cannot carry; nothing is granted until it is mended.
    pub fn contradiction(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        self.misplaced(settings)
            .or_else(|| self.handed_over(settings))
            .or_else(|| self.unsendable(settings))
            .or_else(|| self.out_of_method(settings))
            .or_else(|| self.unopened_console(settings))
            .or_else(|| self.unusable_policy(settings))
            .or_else(|| self.unusable_tags(settings))
            .or_else(|| self.misplaced_provider())
    }

    /// What no account's and no general defaults could make right: a contradiction whatever the
    /// grant method and the voucher are where the role says none.
    pub fn contradicts_itself(&self) -> Option<Contradiction> {
        let mut nearest = None;
        for settings in self.completions() {
            let found = self.contradiction(&settings)?;
            nearest.get_or_insert(found);
        }
        nearest
    }

    /// What of its session policy two people of different connectors could share.
    pub(super) fn shared_by_connectors(&self) -> Option<Contradiction> {
        let policy = self.session_policy.as_deref()?;
        let message = check_for_many_connectors(policy).err()?;
        contradiction("session_policy", message)
    }

    /// The settings that it may have, the likeliest first.
    fn completions(&self) -> Vec<EffectiveRole> {
        let kind = self.arn.kind();
        let mut methods = match self.own.grant_method {
            Some(method) => vec![method],
            None => GrantMethod::ALL.to_vec(),
        };
        methods.sort_by_key(|method| method.target_kind() != kind);
        let vouchers = match self.own.vouched_by {
            Some(voucher) => vec![voucher],
            None => Voucher::ALL.to_vec(),
        };
        let mut found = Vec::new();
        for method in methods {
            for voucher in &vouchers {
                let settings = RoleDefaults {
                    grant_method: Some(method),
                    vouched_by: Some(*voucher),
                    ..self.own.clone()
                };
                found.push(EffectiveRole::from(settings));
            }
        }
        found
    }

    /// An ARN of something that the method does not open.
    fn misplaced(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        let (kind, method) = (self.arn.kind(), settings.grant_method);
        if kind == method.target_kind() {
            return None;
        }
        let key = match self.own.grant_method {
            Some(_) => "grant_method",
            None => "arn",
        };
        let fitting = match kind {
            TargetKind::Role => "assume-role",
            TargetKind::FederatedUser => "federation-token",
            TargetKind::User => "session-token",
        };
        let message = format!(
            "{method} opens {}, and this is the ARN of {}: write such an ARN, or grant_method = \
             \"{fitting}\"",
            shape(method.target_kind()),
            called(kind)
        );
        contradiction(key, message)
    }

    /// What cannot hold where the identity provider opens the role itself.
    fn handed_over(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        if settings.console != ConsoleWay::IdpInitiated {
            return None;
        }
        if self.arn.kind() != TargetKind::Role {
            let message = "console = \"idp-initiated\" opens roles alone: remove it";
            return contradiction("console", message);
        }
        let said = [
            ("session_policy", self.session_policy.is_some()),
            ("policy_arns", !self.policy_arns.is_empty()),
            ("max_duration", self.own.max_duration.is_some()),
            ("mfa_serial", self.own.mfa_serial.is_some()),
        ];
        let key = first(&said).or_else(|| first(&self.said_to_aws()))?;
        let message = format!(
            "console = \"idp-initiated\" leaves everything to the identity provider, so {key} \
             cannot hold: remove it, or let the console open by federation"
        );
        contradiction(key, message)
    }

    /// What the role says that goes to AWS with the call.
    fn said_to_aws(&self) -> [(&'static str, bool); 4] {
        [
            ("external_id", self.own.external_id.is_some()),
            ("source_identity", self.own.source_identity.is_some()),
            ("session_tags", !self.session_tags.is_empty()),
            ("audit_tag", self.own.audit_tag == Some(true)),
        ]
    }

    /// What goes with the call of some methods and not of this one.
    fn unsendable(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        let EffectiveRole {
            grant_method: method,
            voucher,
            ..
        } = *settings;
        let sends = |key: &str| match key {
            "external_id" => method == GrantMethod::AssumeRole,
            "source_identity" => {
                method != GrantMethod::FederationToken && sends_tags(method, voucher)
            }
            _ => sends_tags(method, voucher),
        };
        let said = self
            .said_to_aws()
            .map(|(key, is_said)| (key, is_said && !sends(key)));
        let key = first(&said)?;
        let (why, instead) = match (method, voucher) {
            (_, Some(Voucher::Provider)) if key != "external_id" => (
                "AWS goes by what the person's provider says alone",
                "let Rolegate vouch (vouched_by = \"issuer\")",
            ),
            (_, Some(_)) => (
                "AWS goes by an identity provider's word and asks for no id beside it",
                "use assume-role",
            ),
            (GrantMethod::FederationToken, _) => {
                ("GetFederationToken takes none", "use assume-role")
            }
            _ => ("GetSessionToken takes none", "use assume-role"),
        };
        let message = format!("{method} cannot send {key}, for {why}: remove it, or {instead}");
        contradiction(key, message)
    }

    /// What has a meaning by other methods alone.
    fn out_of_method(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        let method = settings.grant_method;
        if self.own.vouched_by.is_some() && !method.is_federated() {
            let message = format!(
                "{method} goes by Rolegate's own credentials, so that nobody vouches: remove \
                 vouched_by, or use assume-role-with-saml or assume-role-with-web-identity"
            );
            return contradiction("vouched_by", message);
        }
        if self.own.mfa_serial.is_some() && !method.takes_code() {
            let message = format!(
                "{method} takes no code of an MFA device: remove mfa_serial, or use assume-role or \
                 session-token"
            );
            return contradiction("mfa_serial", message);
        }
        let longest = method.longest();
        if self.own.max_duration.is_some_and(|said| said > longest) {
            let message = format!(
                "{method} gives sessions of {longest} at most; longer ones, up to 36 h, come by \
                 federation-token and session-token alone"
            );
            return contradiction("max_duration", message);
        }
        None
    }

    /// A way to the console that the method does not have, or that lets what narrows be left out.
    fn unopened_console(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        let way = self.own.console?;
        let method = settings.grant_method;
        if method == GrantMethod::SessionToken {
            let message = "session-token gives credentials and opens no console: remove console, \
                           or use federation-token";
            return contradiction("console", message);
        }
        if way != ConsoleWay::SamlPost {
            return None;
        }
        let is_ours = settings.voucher == Some(Voucher::Issuer);
        if method != GrantMethod::AssumeRoleWithSaml || !is_ours {
            let message = "console = \"saml-post\" posts an assertion of Rolegate's own: it needs \
                           grant_method = \"assume-role-with-saml\" and vouched_by = \"issuer\"";
            return contradiction("console", message);
        }
        let narrowed = first(&self.narrowing())?;
        let message = format!(
            "console = \"saml-post\" cannot carry {narrowed}, for the browser that posts the \
             assertion could get credentials without it: remove it, or let the console open by \
             federation"
        );
        contradiction(narrowed, message)
    }

    fn narrowing(&self) -> [(&'static str, bool); 2] {
        [
            ("session_policy", self.session_policy.is_some()),
            ("policy_arns", !self.policy_arns.is_empty()),
        ]
    }

    /// Policies that cannot be there, have to be there, or cannot be filled in.
    fn unusable_policy(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        let method = settings.grant_method;
        let said = first(&self.narrowing());
        match said {
            Some(key) if !method.can_be_narrowed() => {
                let message = format!(
                    "{method} cannot carry {key}, for its sessions may do all that the IAM user \
                     may: remove it, or use federation-token"
                );
                return contradiction(key, message);
            }
            None if method == GrantMethod::FederationToken => {
                let message = "federation-token needs a session_policy or policy_arns: without \
                               one the session may do nothing";
                return contradiction("session_policy", message);
            }
            _ => {}
        }
        let message = check_session_policy(self.session_policy.as_deref()?).err()?;
        contradiction("session_policy", message)
    }

    /// Tags that AWS does not take.
    fn unusable_tags(&self, settings: &EffectiveRole) -> Option<Contradiction> {
        let key = "session_tags";
        if settings.audit_tag && self.session_tags.len() >= SESSION_TAGS {
            let message = format!(
                "AWS takes {SESSION_TAGS} session tags, and audit_tag is one more: remove a tag, \
                 or set audit_tag = false"
            );
            return contradiction(key, message);
        }
        if self.session_tags.len() > SESSION_TAGS {
            let count = self.session_tags.len();
            return contradiction(
                key,
                format!("{count} tags; AWS takes at most {SESSION_TAGS}"),
            );
        }
        let mut tags = self.session_tags.iter();
        let message = tags.find_map(|(key, value)| check_session_tag(key, value).err())?;
        contradiction(key, message)
    }

    /// A provider of its own that cannot vouch for it.
    fn misplaced_provider(&self) -> Option<Contradiction> {
        let template = self.own.saml_provider_arn.as_deref()?;
        let message = match SamlProviderArn::from_template(template, self.arn.account_digits()) {
            Ok(provider) if provider.is_beside(&self.arn) => return None,
            Ok(provider) => format!("{provider} is not in the role's account, where IAM wants it"),
            Err(error) => error.to_string(),
        };
        contradiction("saml_provider_arn", message)
    }
}

fn first(said: &[(&'static str, bool)]) -> Option<&'static str> {
    let found = said.iter().find(|(_, is_said)| *is_said);
    found.map(|(key, _)| *key)
}

/// What the ARN of such a target looks like.
fn shape(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Role => "arn:aws:iam::111122223333:role/Name",
        TargetKind::FederatedUser => "arn:aws:sts::111122223333:federated-user/Name",
        TargetKind::User => "arn:aws:iam::111122223333:user/Name",
    }
}

fn called(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Role => "a role",
        TargetKind::FederatedUser => "a federated user",
        TargetKind::User => "an IAM user",
    }
}

#[cfg(test)]
mod tests;

//! How a role is opened for one person, apart from the rows that give it: by which provider, or
//! not at all. And the roles that the person's identity provider names itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{Giver, NotEntitled, PlacedRole, Policy, decision::Narrowed};
use crate::access::{
    AuthenticationMethod, ConsoleWay, Delivery, GrantMethod, Identity, Request, Role, RoleDefaults,
    SamlProviderArn, TargetArn, TargetKind, Voucher,
};

/// What our issuer's IAM SAML provider is called where nothing says.
const OWN_PROVIDER: &str = "rolegate";

/// A person with what their assertion says, indexed.
pub(in crate::access) struct Person<'i> {
    pub(super) identity: &'i Identity,
    /// Empty for people who signed in without an assertion, whatever their identity holds.
    asserted: HashMap<&'i TargetArn, Vec<&'i SamlProviderArn>>,
}

impl<'i> Person<'i> {
    pub(in crate::access) fn of(identity: &'i Identity) -> Self {
        let mut asserted: HashMap<_, Vec<_>> = HashMap::new();
        if identity.method == AuthenticationMethod::Saml {
            for pair in &identity.asserted_roles {
                // AWS refuses a pair of two accounts; it vouches for nothing.
                if pair.role.kind() == TargetKind::Role && pair.provider.is_beside(&pair.role) {
                    asserted.entry(&pair.role).or_default().push(&pair.provider);
                }
            }
        }
        Self { identity, asserted }
    }

    /// The roles that the assertion names, usably.
    pub(in crate::access) fn asserted(&self) -> impl Iterator<Item = &'i TargetArn> {
        self.asserted.keys().copied()
    }

    /// The provider to name to AWS: one that the assertion names for this very role, the
    /// configured one where that is among several.
    fn provider(&self, placed: &PlacedRole) -> Result<SamlProviderArn, NotEntitled> {
        if self.identity.method != AuthenticationMethod::Saml {
            let connector = self.identity.connector.clone();
            return Err(NotEntitled::SamlSignInRequired(connector));
        }
        let arn = &placed.role.arn;
        let named = self.asserted.get(arn).map_or(&[][..], Vec::as_slice);
        let configured = (placed.effective.saml_provider_arn.as_deref())
            .and_then(|text| SamlProviderArn::from_template(text, arn.account_digits()).ok());
        let provider = named
            .iter()
            .find(|provider| configured.as_ref() == Some(**provider))
            .or(named.first());
        provider
            .map(|provider| (*provider).clone())
            .ok_or(NotEntitled::NotAsserted)
    }
}

/// The IAM SAML provider that stands for our issuer in the role's account.
pub(super) fn own_provider(placed: &PlacedRole) -> Result<SamlProviderArn, NotEntitled> {
    let arn = &placed.role.arn;
    let template = match placed.effective.saml_provider_arn.as_deref() {
        Some(template) => template.to_owned(),
        None => format!(
            "arn:{}:iam::{{account}}:saml-provider/{OWN_PROVIDER}",
            arn.partition()
        ),
    };
    SamlProviderArn::from_template(&template, arn.account_digits()).map_err(|_| {
        NotEntitled::Contradiction {
            key: "saml_provider_arn",
        }
    })
}

impl Policy {
    /// The provider that vouches where one has to; or why no row opens the role for this person
    /// like this.
    pub(super) fn reach(
        &self,
        person: &Person<'_>,
        placed: &PlacedRole,
        request: &Request,
    ) -> Result<Option<SamlProviderArn>, NotEntitled> {
        let effective = &placed.effective;
        if let Some(contradiction) = &placed.contradiction {
            let key = contradiction.key;
            return Err(NotEntitled::Contradiction { key });
        }
        if effective.console == ConsoleWay::IdpInitiated {
            return self.hand_over(person.identity, request).map(|()| None);
        }
        let method = effective.grant_method;
        if method == GrantMethod::SessionToken && request.delivery == Delivery::Console {
            return Err(NotEntitled::CredentialsOnly);
        }
        let provider = self.voucher(person, placed)?;
        // What the role needs of the person is there, or nothing opens it.
        Narrowed::of(person.identity, &placed.role, request.read_only)?;
        Ok(provider)
    }

    /// The provider that vouches for the person where one has to.
    fn voucher(
        &self,
        person: &Person<'_>,
        placed: &PlacedRole,
    ) -> Result<Option<SamlProviderArn>, NotEntitled> {
        let effective = &placed.effective;
        let method = effective.grant_method;
        match (method, effective.voucher) {
            (GrantMethod::AssumeRoleWithSaml, Some(Voucher::Provider)) => {
                person.provider(placed).map(Some)
            }
            (GrantMethod::AssumeRoleWithWebIdentity, Some(Voucher::Provider)) => {
                let connector = &person.identity.connector;
                let is_taken = self.settings.web_identity_connectors.contains(connector)
                    && person.identity.method == AuthenticationMethod::Oidc;
                if is_taken {
                    Ok(None)
                } else {
                    Err(NotEntitled::OidcSignInRequired(connector.clone()))
                }
            }
            (_, Some(Voucher::Issuer)) if !self.settings.issuer.has(method) => {
                Err(NotEntitled::NoIssuer(method))
            }
            (GrantMethod::AssumeRoleWithSaml, Some(Voucher::Issuer)) => {
                own_provider(placed).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Nothing of ours is between the provider and AWS, so what is asked for has to be nothing.
    fn hand_over(&self, identity: &Identity, request: &Request) -> Result<(), NotEntitled> {
        let connector = &identity.connector;
        if request.delivery != Delivery::Console {
            return Err(NotEntitled::ConsoleOnly);
        }
        let has_application = self.settings.hand_over_connectors.contains(connector);
        if !has_application || identity.method != AuthenticationMethod::Saml {
            return Err(NotEntitled::NoHandOver(connector.clone()));
        }
        if request.read_only {
            return Err(NotEntitled::HandOverAsIs { key: "read_only" });
        }
        if request.duration.is_some() {
            return Err(NotEntitled::HandOverAsIs { key: "duration" });
        }
        Ok(())
    }

    /// The roles that the person's assertion gives by naming them, under no condition.
    pub(super) fn asserted<'i>(&self, person: &Person<'i>) -> HashSet<&'i TargetArn> {
        let giving = &self.settings.giving_connectors;
        if !giving.contains(&person.identity.connector) {
            return HashSet::new();
        }
        let arns = person.asserted.keys().copied();
        arns.filter(|arn| self.may_be_asserted(arn)).collect()
    }

    /// Whether the person's assertion gives a role by naming it.
    pub(super) fn is_asserted(&self, person: &Person<'_>, role: &TargetArn) -> bool {
        self.settings
            .giving_connectors
            .contains(&person.identity.connector)
            && person.asserted.contains_key(role)
            && self.may_be_asserted(role)
    }

    /// Whether the table leaves this role to the identity provider's word alone.
    pub(super) fn may_be_asserted(&self, arn: &TargetArn) -> bool {
        let account = self.accounts.get(arn.account_digits());
        let is_account_protected = account.is_some_and(|account| account.protected);
        // IAM has a name once in an account, whatever its case and path: another spelling must not
        // be a way around what the table says of the role.
        let key = (arn.account(), arn.name().to_lowercase());
        let is_another_spelling = !self.roles.contains_key(arn) && self.by_name.contains_key(&key);
        let is_open = self.roles.get(arn).is_none_or(|placed| {
            // Another method would open it with our own credentials, where AWS does not look at
            // the assertion.
            !placed.role.protected
                && !placed.role.disabled
                && placed.effective.grant_method == GrantMethod::AssumeRoleWithSaml
                && placed.effective.voucher == Some(Voucher::Provider)
        });
        is_open && !is_another_spelling && !is_account_protected
    }

    /// What gives a role that the assertion names.
    pub(super) fn asserted_giver(&self) -> Giver<'_> {
        Giver {
            mapping: &self.asserted.id,
            group: None,
            conditions: &self.asserted.conditions,
            is_rule: false,
        }
    }

    /// The row of a role that an assertion names and the table has not.
    pub(super) fn implied(&self, arn: &TargetArn) -> PlacedRole {
        let own = RoleDefaults {
            grant_method: Some(GrantMethod::AssumeRoleWithSaml),
            vouched_by: Some(Voucher::Provider),
            ..RoleDefaults::default()
        };
        let effective = self.with_defaults(&own, arn.account_digits());
        let role = Role {
            owner: None,
            arn: arn.clone(),
            description: None,
            own,
            session_policy: None,
            policy_arns: Vec::new(),
            session_tags: BTreeMap::new(),
            protected: false,
            disabled: false,
        };
        PlacedRole {
            role: Arc::new(role),
            effective: Arc::new(effective),
            contradiction: None,
            place: 0,
        }
    }
}

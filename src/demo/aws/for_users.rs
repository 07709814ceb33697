//! `GetFederationToken` and `GetSessionToken`: what an IAM user's own keys get without any role.

use super::assume_role::AssumeRole;
use super::catalogue::account_of;
use super::permissions::Verdict;
use super::policy::Context;
use super::session::{Caller, issue, result_xml};
use super::sts::{StsAction, StsError, check_region};
use super::{Shared, mfa};

/// A session of a federated user: what its policies allow of what the user may.
pub(super) fn federation_token(
    shared: &Shared,
    caller: Caller,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    const ACTION: StsAction = StsAction::GetFederationToken;
    let wanted = AssumeRole::parse_for_federation(parameters)?;
    check_account(shared, &caller)?;
    let user = &caller.principal;
    wanted.check_policy_arns(&user.arn)?;
    let issued_arn = || {
        let partition = user.arn.split(':').nth(1).unwrap_or_default();
        let (account, name) = (account_of(&user.arn), &wanted.session_name);
        format!("arn:{partition}:sts::{account}:federated-user/{name}")
    };
    let authority = shared.authority(user, shared.now());
    let allowed = authority.verdict("sts:GetFederationToken", &issued_arn(), &Context::default());
    if !user.may_federate && allowed != Verdict::Allowed {
        return Err(StsError::denied(user, ACTION.name(), &issued_arn()));
    }
    let issued = issue(ACTION, caller, wanted, shared.now(), request_id);
    let result = result_xml(&issued);
    shared.keep(issued);
    Ok(result)
}

/// Temporary keys of the user's own, with MFA where a code came along.
pub(super) fn session_token(
    shared: &Shared,
    mut caller: Caller,
    parameters: &[(String, String)],
    request_id: &str,
) -> Result<String, StsError> {
    let now = shared.now();
    let wanted = AssumeRole::parse_for_session(parameters)?;
    check_account(shared, &caller)?;
    let proven = mfa::prove(
        &wanted.mfa,
        &caller.principal,
        &mut shared.ledger().used_codes,
        now,
    )?;
    caller.principal.has_mfa = proven.is_some();
    let issued = issue(StsAction::GetSessionToken, caller, wanted, now, request_id);
    let result = result_xml(&issued);
    shared.keep(issued);
    Ok(result)
}

fn check_account(shared: &Shared, caller: &Caller) -> Result<(), StsError> {
    let catalogue = shared.catalogue();
    match catalogue.account(account_of(&caller.principal.arn)) {
        Some(account) => check_region(account, &caller.region),
        None => Ok(()),
    }
}

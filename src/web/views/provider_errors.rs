//! Pages for a sign-in at an identity provider that led nowhere.
//!
//! Never here: why a message was refused. One wording covers every reason.

use super::{
    Layout,
    error::{AskedRole, ErrorView, Offer},
    words,
};

const QUOTE: &str = "If it happens again, tell your helpdesk and quote the request id.";

impl ErrorView {
    fn start_again(self) -> Self {
        self.offer(Offer::Link {
            href: "/login".to_owned(),
            text: "Start again".to_owned(),
        })
    }

    /// 403: the provider's message was not accepted, for whatever reason; never more than this.
    pub(crate) fn answer_refused(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "You are not signed in",
            "What your identity provider sent could not be accepted, so nothing was done.",
        )
        .step("Start again: a page that was open for too long is the usual cause.")
        .step(QUOTE)
        .start_again()
    }

    /// 403: the provider says that it did not sign the person in.
    pub(crate) fn provider_declined(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "Your identity provider did not sign you in",
            "It sent you back without a sign-in: you may have cancelled there, or it may not let \
             you use Rolegate.",
        )
        .step("Start again, and finish the provider's own pages.")
        .step(QUOTE)
        .start_again()
    }

    /// 403: nobody here asked the provider, and that is not allowed.
    pub(crate) fn start_here(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "Please start here",
            "Your identity provider sent you here without being asked, and Rolegate only takes \
             sign-ins that begin on its own page.",
        )
        .step("Start here; your provider will most likely not ask for your password again.")
        .offer(Offer::Link {
            href: "/login".to_owned(),
            text: "Sign in".to_owned(),
        })
    }

    /// 403: the sign-in was begun in another browser, or this one keeps no cookies.
    pub(crate) fn other_browser(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "This sign-in was begun elsewhere",
            "It belongs to another browser or another window, so it cannot end in this one.",
        )
        .step("Start again, and stay in this window until you are signed in.")
        .step("If it keeps happening, allow cookies for this site.")
        .start_again()
    }

    /// 403: the provider left the groups out because they are too many.
    pub(crate) fn groups_overage(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "Your groups did not come along",
            "Your identity provider could not tell us your groups because you are in too many for \
             it to list them, so Rolegate cannot know what you may open.",
        )
        .step(
            "Tell your helpdesk and quote the request id: Rolegate can be set to read your groups \
             elsewhere.",
        )
        .start_again()
    }

    /// 403: nothing, or nobody any more, is behind the account that the provider vouched for.
    pub(crate) fn unknown_person(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "Your account was not found",
            "Your identity provider knows you, but the directory that holds your groups has no \
             account for you, or has disabled it.",
        )
        .step("If that is a mistake, tell your helpdesk and quote the request id.")
        .start_again()
    }

    /// 503: the directory that knows the groups did not answer.
    pub(crate) fn groups_unread(layout: Layout) -> Self {
        Self::new(
            layout,
            503,
            "The directory does not answer",
            "Your identity provider knows you, but your groups could not be read, so you were not \
             signed in.",
        )
        .step("Try again in a minute.")
        .step("If it lasts, tell your helpdesk and quote the request id.")
        .start_again()
    }

    /// 403: a message about signing out was not accepted, for whatever reason.
    pub(crate) fn logout_refused(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "You may still be signed in",
            "What your identity provider sent about signing out could not be accepted.",
        )
        .step("To be sure, open your roles and sign out there.")
        .back_to_roles()
    }

    /// 429: too many sign-ins were begun.
    pub(crate) fn too_many_sign_ins(layout: Layout, retry_after_seconds: u64) -> Self {
        Self::new(
            layout,
            429,
            "There were too many attempts",
            "More sign-ins were begun from your address than Rolegate takes at a time.",
        )
        .step(&format!(
            "Try again in {}.",
            words::wait(retry_after_seconds)
        ))
        .start_again()
    }

    /// 503: nothing can be sent to the provider or verified.
    pub(crate) fn provider_unavailable(layout: Layout) -> Self {
        Self::new(
            layout,
            503,
            "Your identity provider cannot be used right now",
            "Rolegate does not have what it needs to check what the provider sends.",
        )
        .step("Try again in a minute.")
        .step("If it lasts, tell your helpdesk and quote the request id.")
        .start_again()
    }

    /// 403: AWS wants the provider's word for this role, and the one that is held is too old.
    pub(crate) fn assertion_too_old(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "Please sign in again",
            &format!(
                "You asked for {}. AWS wants a sign-in of the last few minutes for it.",
                asked.words()
            ),
        )
        .step("Sign out, sign in again, and open the role at once.")
        .back_to_roles()
    }

    /// 403: AWS wants the provider's word for this role, and the sign-in brought none.
    pub(crate) fn no_assertion(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "Your sign-in does not open this role",
            &format!(
                "You asked for {}. AWS wants your identity provider's own word for it, and your \
                 sign-in brought none.",
                asked.words()
            ),
        )
        .step("If you can sign in another way, sign out and try that one.")
        .step("If not, tell your helpdesk and quote the request id.")
        .back_to_roles()
    }

    /// 403: the role opens at an identity provider, and not at the person's, or not like this.
    pub(crate) fn opens_at_provider_alone(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "This role opens elsewhere",
            &format!(
                "You asked for {}. It opens at an identity provider, in the console alone.",
                asked.words()
            ),
        )
        .step("If you signed in otherwise, sign out, sign in with your provider and open it.")
        .step("If you did, tell your helpdesk and quote the request id.")
        .back_to_roles()
    }
}

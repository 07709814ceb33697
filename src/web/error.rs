//! The only table from what went wrong to a status and words for the person.
//!
//! What the operator needs goes to the log under the same request id, once, where it happened.

use askama::Template as _;
use axum::{
    extract::Request,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};

use super::{
    turned_away::TurnedAway,
    views::{
        Layout,
        error::{AskedRole, ErrorView, Offer},
        helpdesk::explanation::OwnMiss,
        query_string,
    },
};
use crate::{
    access::NotEntitled,
    broker::{
        DestinationError, GroupsRefused, OpenOrder, OpenRefused, RedirectSignInRefused, StoreError,
    },
};

/// The frame of a page before it is known what stands in it; every request carries one.
#[derive(Clone)]
pub(super) struct Frame(pub(super) Layout);

/// A request to repeat where one field more or less makes it possible.
#[derive(Clone, Copy)]
pub(super) struct Repeat<'a> {
    /// Where the form posts.
    pub(super) action: &'a str,
    /// What was asked for.
    pub(super) order: &'a OpenOrder,
}

/// An error as a page.
pub(super) struct ErrorPage {
    view: Box<ErrorView>,
    retry_after_seconds: Option<u64>,
    turned_away: Option<TurnedAway>,
}

impl ErrorPage {
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.view.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl ErrorPage {
    /// What the page says, for whoever reads no pages.
    pub(super) fn words(&self) -> String {
        self.view.words()
    }

    /// After how long to try again.
    pub(super) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after_seconds
    }

    /// The same page, with why, as far as the person may know it.
    pub(super) fn explained(mut self, miss: Option<OwnMiss>) -> Self {
        if let Some(miss) = miss {
            self.view = Box::new(self.view.explained(miss));
        }
        self
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = match self.view.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => (status, "the page could not be rendered\n").into_response(),
        };
        if let Some(turned_away) = self.turned_away {
            response.extensions_mut().insert(turned_away);
        }
        if let Some(seconds) = self.retry_after_seconds {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ErrorView> for ErrorPage {
    fn from(view: ErrorView) -> Self {
        // 503 is about something that heals: clients are told when to look again.
        let retry_after_seconds = (view.status() == 503).then_some(5);
        Self {
            view: Box::new(view),
            retry_after_seconds,
            turned_away: None,
        }
    }
}

impl<S: Sync> axum::extract::FromRequestParts<S> for Frame {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of_parts(parts))
    }
}

impl Frame {
    pub(super) fn of(request: &Request) -> Self {
        Self::of_extensions(request.extensions())
    }

    pub(super) fn of_parts(parts: &Parts) -> Self {
        Self::of_extensions(&parts.extensions)
    }

    fn of_extensions(extensions: &axum::http::Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(|| {
            // Only a request that never passed `note_origin` has none.
            Self(Layout {
                organisation: String::new(),
                person: None,
                rights: super::views::Rights::default(),
                csrf_token: String::new(),
                theme: None,
                help_url: None,
                request_id: String::new(),
                environments: std::sync::Arc::default(),
            })
        })
    }

    /// The page for a bare status.
    pub(super) fn status(self, status: StatusCode) -> ErrorPage {
        let Self(layout) = self;
        match status.as_u16() {
            404 => ErrorView::not_found(layout),
            405 => ErrorView::method_not_allowed(layout),
            413 => ErrorView::too_large(layout),
            500 => ErrorView::internal(layout),
            400..=499 => ErrorView::new(
                layout,
                status.as_u16(),
                "That cannot be used",
                "The request was not in a form that this page takes, so nothing was done.",
            ),
            _ => ErrorView::new(
                layout,
                503,
                "This took too long",
                "Something that Rolegate asked did not answer in time, so nothing was done.",
            )
            .step("Try again in a minute."),
        }
        .into()
    }

    /// No group is named in `[access]`.
    pub(super) fn nobody_has_access(self) -> ErrorPage {
        ErrorView::new(
            self.0,
            403,
            "Nobody may see these pages yet",
            "The configuration does not say who is helpdesk, auditor or admin.",
        )
        .step("Name their groups under [access], such as helpdesk = [\"corp:cn=helpdesk,…\"], and start Rolegate again.")
        .into()
    }

    /// The person is in none of the groups that `[access]` names.
    pub(super) fn not_staff(self) -> ErrorPage {
        ErrorView::new(
            self.0,
            403,
            "These pages are for the helpdesk",
            "None of your groups makes you helpdesk, auditor or admin here.",
        )
        .step("If you should see them, ask whoever keeps [access] in the configuration.")
        .into()
    }

    /// Auditors, and a helpdesk whose scope does not hold the role, only read what was found.
    pub(super) fn not_prober(self, role_page: String) -> ErrorPage {
        ErrorView::new(
            self.0,
            403,
            "This role is not yours to check",
            "None of your groups lets you edit this role or who may open it.",
        )
        .step("Ask an admin, or a helpdesk that looks after it, to check it now.")
        .offer(Offer::Link {
            href: role_page,
            text: "Show the last check".to_owned(),
        })
        .into()
    }

    /// Accounts and roles are edited by admins alone.
    pub(super) fn not_admin(self) -> ErrorPage {
        ErrorView::new(
            self.0,
            403,
            "Admins edit accounts and roles",
            "None of your groups makes you admin here.",
        )
        .step("Ask an admin to make the change.")
        .offer(Offer::Link {
            href: "/helpdesk/roles".to_owned(),
            text: "Show accounts and roles".to_owned(),
        })
        .into()
    }

    /// The person may see the helpdesk's pages at most, and not the audit log.
    pub(super) fn not_auditor(self) -> ErrorPage {
        ErrorView::new(
            self.0,
            403,
            "The audit log is for auditors",
            "None of your groups makes you auditor or admin here.",
        )
        .step("If you need to know something from it, ask an auditor.")
        .step("If you should see it, ask whoever keeps [access] in the configuration.")
        .back_to_roles()
        .into()
    }

    pub(super) fn expired_form(self) -> ErrorPage {
        ErrorPage {
            turned_away: Some(TurnedAway("form_expired")),
            ..ErrorView::form_expired(self.0).into()
        }
    }

    pub(super) fn bad_input(self, message: &str) -> ErrorPage {
        ErrorView::bad_input(self.0, message).into()
    }

    pub(super) fn store_unavailable(self, error: &StoreError) -> ErrorPage {
        tracing::error!(
            request.id = self.0.request_id,
            error = error as &dyn std::error::Error,
            "the store is unavailable"
        );
        metrics::counter!("rolegate_store_failures_total").increment(1);
        ErrorView::store_unavailable(self.0).into()
    }

    pub(super) fn groups_not_read(self) -> ErrorPage {
        ErrorView::groups_not_read(self.0).into()
    }

    /// Groups that cannot be relied on, outside of opening a role.
    pub(super) fn groups_refused(self, refused: &GroupsRefused) -> ErrorPage {
        match refused {
            GroupsRefused::AccountGone => ErrorView::new(
                Layout {
                    person: None,
                    ..self.0
                },
                403,
                "You were signed out",
                "The directory says that your account is disabled or no longer there.",
            )
            .step("If that is a mistake, tell your helpdesk and quote the request id.")
            .into(),
            GroupsRefused::SignInAgain => ErrorView::new(
                self.0,
                403,
                "Please sign in again",
                "Your groups were read too long ago to go by.",
            )
            .step("Sign out, sign in again, and repeat what you did.")
            .into(),
            GroupsRefused::DirectoryUnavailable(_) => {
                ErrorView::directory_unavailable(self.0).into()
            }
            GroupsRefused::StoreUnavailable(error) => self.store_unavailable(error),
        }
    }

    /// A sign-in at a provider that led nowhere. The broker has logged and recorded why.
    pub(super) fn redirect_refused(self, refused: &RedirectSignInRefused) -> ErrorPage {
        let Self(layout) = self;
        match refused {
            RedirectSignInRefused::Message(_) => ErrorView::answer_refused(layout),
            RedirectSignInRefused::Declined(_) => ErrorView::provider_declined(layout),
            RedirectSignInRefused::GroupsOverage => ErrorView::groups_overage(layout),
            RedirectSignInRefused::GroupsUnknown => ErrorView::unknown_person(layout),
            RedirectSignInRefused::GroupsUnavailable(_) => ErrorView::groups_unread(layout),
            RedirectSignInRefused::StartHere => ErrorView::start_here(layout),
            RedirectSignInRefused::OtherBrowser => ErrorView::other_browser(layout),
            RedirectSignInRefused::ProviderUnavailable(_)
            | RedirectSignInRefused::Misconfigured(_) => ErrorView::provider_unavailable(layout),
            RedirectSignInRefused::UnknownConnector => ErrorView::not_found(layout),
            RedirectSignInRefused::Throttled { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                return ErrorPage {
                    view: Box::new(ErrorView::too_many_sign_ins(layout, seconds)),
                    retry_after_seconds: Some(seconds),
                    turned_away: None,
                };
            }
            RedirectSignInRefused::StoreUnavailable(error) => {
                return Self(layout).store_unavailable(error);
            }
        }
        .into()
    }

    /// A message about signing out that led nowhere.
    pub(super) fn logout_refused(self, refused: &RedirectSignInRefused) -> ErrorPage {
        match refused {
            RedirectSignInRefused::Message(_)
            | RedirectSignInRefused::Declined(_)
            | RedirectSignInRefused::StartHere
            | RedirectSignInRefused::OtherBrowser => ErrorView::logout_refused(self.0).into(),
            _ => self.redirect_refused(refused),
        }
    }

    /// What a provider publishes, or we publish for it, is not there.
    pub(super) fn provider_unavailable(self) -> ErrorPage {
        ErrorView::provider_unavailable(self.0).into()
    }

    /// A role that was not opened; `asked` is what the person knows it by.
    pub(super) fn open_refused(
        self,
        refused: &OpenRefused,
        asked: &AskedRole,
        Repeat { action, order }: Repeat<'_>,
        now: time::OffsetDateTime,
    ) -> ErrorPage {
        let layout = self.0.clone();
        match refused {
            OpenRefused::NotEntitled { reason, groups, .. } => match reason {
                NotEntitled::UnknownRole
                | NotEntitled::NoMapping
                | NotEntitled::GroupRecreated(_) => ErrorView::not_entitled(layout, asked, *groups),
                NotEntitled::Expired { at, .. } => {
                    ErrorView::access_expired(layout, asked, *at, now)
                }
                NotEntitled::EndsTooSoon { at, .. } => {
                    ErrorView::access_ends_too_soon(layout, asked, *at, now)
                }
                NotEntitled::Unenforceable { condition, .. } => {
                    ErrorView::condition_unenforceable(layout, asked, condition.key())
                }
                NotEntitled::NoIssuer(_) => ErrorView::no_issuer(layout, asked),
                NotEntitled::CredentialsOnly => {
                    let href = query_string("/role", &[("arn", &order.role)]);
                    ErrorView::credentials_only(layout, asked, href)
                }
                NotEntitled::ReasonRequired(_) => {
                    ErrorView::reason_required(layout, asked, action, fields(order, None))
                }
                NotEntitled::TooLong(longest) => {
                    let seconds = longest.longest.seconds().to_string();
                    let fields = fields(order, Some(seconds));
                    ErrorView::too_long(layout, asked, *longest, action, fields)
                }
                NotEntitled::ReadOnlyUnavailable => ErrorView::read_only_unavailable(layout, asked),
                NotEntitled::Contradiction { key } | NotEntitled::HandOverUnlimited { key, .. } => {
                    ErrorView::setting_cannot_hold(layout, asked, key)
                }
                NotEntitled::Template { placeholder, .. } => {
                    ErrorView::template_unfilled(layout, asked, placeholder)
                }
                NotEntitled::SamlSignInRequired(_) => ErrorView::saml_needed(layout, asked),
                NotEntitled::OidcSignInRequired(_) => ErrorView::oidc_needed(layout, asked),
                NotEntitled::NotAsserted => ErrorView::not_asserted(layout, asked),
                NotEntitled::ConsoleOnly => ErrorView::console_only(layout, asked),
                NotEntitled::NoHandOver(_) => ErrorView::no_hand_over(layout, asked),
                NotEntitled::HandOverAsIs { key } => {
                    ErrorView::hand_over_as_is(layout, asked, *key == "duration")
                }
            }
            .into(),
            OpenRefused::Destination(DestinationError::Host { host, right, .. }) => self.bad_input(
                &format!("{host} is no AWS console for this role: that is at {right}."),
            ),
            OpenRefused::Destination(error) => self.bad_input(&capitalised(&error.to_string())),
            OpenRefused::ReasonTooLong => self.bad_input(&capitalised(&refused.to_string())),
            // The handlers send people to their provider for it; this is for one that cannot.
            OpenRefused::FreshAssertion => ErrorView::assertion_too_old(layout, asked).into(),
            OpenRefused::NoAssertion => ErrorView::no_assertion(layout, asked).into(),
            OpenRefused::CodeNeeded { serial, trouble } => {
                let fields = fields(order, None);
                ErrorView::code_needed(layout, asked, (serial, *trouble), action, fields).into()
            }
            OpenRefused::Throttled { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                ErrorPage {
                    view: Box::new(ErrorView::too_many_orders(layout, seconds)),
                    retry_after_seconds: Some(seconds),
                    turned_away: None,
                }
            }
            OpenRefused::OutsideToken => ErrorView::not_entitled(layout, asked, 0).into(),
            OpenRefused::ConsoleOnly | OpenRefused::NoAwsApplication => {
                ErrorView::opens_at_provider_alone(layout, asked).into()
            }
            OpenRefused::Duration(error) => self.bad_input(&capitalised(&error.to_string())),
            OpenRefused::Groups(refused) => self.groups_refused(refused),
            _ if refused.is_aws_outage() => ErrorView::aws_unavailable(layout).into(),
            OpenRefused::Sts(error) => {
                ErrorView::role_refused(layout, asked, &error.for_person()).into()
            }
            OpenRefused::SignIn(_) => ErrorView::sign_in_endpoint_failed(layout, asked).into(),
            OpenRefused::StoreUnavailable(error) => self.store_unavailable(error),
        }
    }
}

/// The order as hidden form fields, with another duration where one is given; a code never.
fn fields(order: &OpenOrder, duration: Option<String>) -> Vec<(String, String)> {
    let flag = |is_set: bool| is_set.then(|| "true".to_owned());
    [
        ("role", Some(order.role.clone())),
        ("destination", order.destination.clone()),
        ("region", order.region.clone()),
        ("duration", duration.or_else(|| order.duration.clone())),
        ("reason", order.reason.clone()),
        ("read_only", flag(order.read_only)),
        ("sign_out_first", flag(order.sign_out_first)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// An error's text as a sentence for people, who are not shown backticks.
fn capitalised(sentence: &str) -> String {
    let sentence = sentence.replace('`', "");
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| {
        first
            .to_uppercase()
            .chain(characters)
            .chain(['.'])
            .collect()
    })
}

//! Pages that say what happened, what can be done, and the request id to quote.
//!
//! Never here: what only the operator may know. That stays in the log under the same id.

use askama::Template;
use time::OffsetDateTime;

use super::{Layout, Moment, helpdesk::explanation::OwnMiss, words};
use crate::{access::Clipped, broker::CodeTrouble};

/// Something to do about it with one click.
pub(crate) enum Offer {
    /// A form that is posted.
    Form {
        /// Where to.
        action: String,
        /// Hidden fields beside `csrf_token`.
        fields: Vec<(String, String)>,
        /// What must be entered first.
        asks: Asks,
        /// The button's words.
        button: String,
    },
    /// A link.
    Link {
        /// Where to.
        href: String,
        /// Its words.
        text: String,
    },
}

/// What a form asks for.
pub(crate) enum Asks {
    /// Nothing: its button is all.
    Nothing,
    /// Why.
    Reason,
    /// A code of an MFA device.
    Code {
        /// The device, as AWS names it.
        serial: String,
    },
}

/// A role that was asked for, as the person knows it.
#[derive(Debug, Clone)]
pub(crate) struct AskedRole {
    /// The account's name or id.
    pub(crate) account: String,
    /// The role's name.
    pub(crate) role: String,
}

impl AskedRole {
    pub(super) fn words(&self) -> String {
        format!("{} in {}", self.role, self.account)
    }
}

/// Any answer that is not what was asked for.
#[derive(Template)]
#[template(path = "error.html", whitespace = "minimize")]
pub(crate) struct ErrorView {
    layout: Layout,
    status: u16,
    title: String,
    happened: String,
    moment: Option<(String, Moment)>,
    steps: Vec<String>,
    offer: Option<Offer>,
    miss: Option<OwnMiss>,
    help: Option<String>,
}

impl ErrorView {
    /// A page of one's own words; the variants below cover the usual ones.
    pub(crate) fn new(layout: Layout, status: u16, title: &str, happened: &str) -> Self {
        let help = layout.help(&format!("{title}. {happened}"));
        Self {
            layout,
            status,
            title: title.to_owned(),
            happened: happened.to_owned(),
            moment: None,
            steps: Vec::new(),
            offer: None,
            miss: None,
            help,
        }
    }

    /// The status that the answer carries.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// What happened, in one line.
    pub(crate) fn words(&self) -> String {
        format!("{}. {}", self.title, self.happened)
    }

    /// Adds something that the person can do.
    #[must_use]
    pub(crate) fn step(mut self, step: &str) -> Self {
        self.steps.push(step.to_owned());
        self
    }

    /// Says why, as far as the person may know it, and takes it into the question to the helpdesk.
    #[must_use]
    pub(crate) fn explained(mut self, miss: OwnMiss) -> Self {
        let question = format!(
            "{}. {} {} I need access to: {}",
            self.title,
            self.happened,
            miss.words,
            miss.asked()
        );
        self.help = self.layout.help(&question);
        self.miss = Some(miss);
        self
    }

    /// Adds something that the person can do with one click.
    #[must_use]
    pub(crate) fn offer(mut self, offer: Offer) -> Self {
        self.offer = Some(offer);
        self
    }

    /// Leads back to the picker.
    pub(crate) fn back_to_roles(self) -> Self {
        self.offer(Offer::Link {
            href: "/".to_owned(),
            text: "Show my roles".to_owned(),
        })
    }

    /// 400: something in the request cannot be used; `happened` names the value and what is right.
    pub(crate) fn bad_input(layout: Layout, happened: &str) -> Self {
        Self::new(layout, 400, "That cannot be used", happened)
            .step("Go back, change it and try again.")
            .back_to_roles()
    }

    /// 429: one person asked for roles, or tried codes, too often.
    pub(crate) fn too_many_orders(layout: Layout, retry_after_seconds: u64) -> Self {
        Self::new(
            layout,
            429,
            "There were too many attempts",
            "You asked for more roles, or tried more codes, than Rolegate takes at a time.",
        )
        .step(&format!(
            "Try again in {}.",
            words::wait(retry_after_seconds)
        ))
        .back_to_roles()
    }

    /// 403: the form's token is missing or old.
    pub(crate) fn form_expired(layout: Layout) -> Self {
        Self::new(
            layout,
            403,
            "This page was too old",
            "The form came from a page that is no longer valid, so nothing was done.",
        )
        .step("Open the page again and repeat what you did.")
        .back_to_roles()
    }

    /// 403: none of the person's groups gives the role, or there is no such role.
    pub(crate) fn not_entitled(layout: Layout, asked: &AskedRole, groups_seen: usize) -> Self {
        let groups = match groups_seen {
            0 => "You are in no group that Rolegate can see.".to_owned(),
            1 => "Your one group does not give it.".to_owned(),
            count => format!("None of your {} groups gives it.", words::grouped(count)),
        };
        Self::new(
            layout,
            403,
            "You cannot open this role",
            &format!("You asked for {}. {groups}", asked.words()),
        )
        .step("If you were added to a group just now, refresh your roles and try again.")
        .step("If you need the role, ask your helpdesk for it and quote the request id.")
        .back_to_roles()
    }

    /// 403: access ended at `at`.
    pub(crate) fn access_expired(
        layout: Layout,
        asked: &AskedRole,
        at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Self {
        let mut view = Self::new(
            layout,
            403,
            "Your access to this role has ended",
            &format!("You asked for {}.", asked.words()),
        )
        .step("If you still need it, ask your helpdesk to extend it and quote the request id.")
        .back_to_roles();
        view.moment = Some(("It ended ".to_owned(), Moment::relative(at, now)));
        view
    }

    /// 403: access ends at `at`, in less than the 15 minutes that AWS needs.
    pub(crate) fn access_ends_too_soon(
        layout: Layout,
        asked: &AskedRole,
        at: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Self {
        let mut view = Self::new(
            layout,
            403,
            "Your access to this role is about to end",
            &format!(
                "You asked for {}. AWS opens a role for 15 minutes at least, and less is left.",
                asked.words()
            ),
        )
        .step("If you still need it, ask your helpdesk to extend it and quote the request id.")
        .back_to_roles();
        view.moment = Some(("It ends ".to_owned(), Moment::relative(at, now)));
        view
    }

    /// 403: the mapping asks for something that this version cannot check.
    pub(crate) fn condition_unenforceable(layout: Layout, asked: &AskedRole, key: &str) -> Self {
        Self::new(
            layout,
            403,
            "This role cannot be opened yet",
            &format!(
                "{} asks for a check ({key}) that Rolegate cannot make here, so it stays shut.",
                asked.words()
            ),
        )
        .step("Tell your helpdesk, and quote the request id.")
        .back_to_roles()
    }

    /// 403: the table asks of the role what the way it is opened cannot carry.
    pub(crate) fn setting_cannot_hold(layout: Layout, asked: &AskedRole, key: &str) -> Self {
        Self::new(
            layout,
            403,
            "This role cannot be opened as it is set up",
            &format!(
                "{} has a setting ({key}) that would not hold for the way it is opened, so Rolegate \
                 keeps it shut.",
                asked.words()
            ),
        )
        .step("Tell your helpdesk, and quote the request id.")
        .back_to_roles()
    }

    /// 403: the role opens with an assertion, and the person has none.
    pub(crate) fn saml_needed(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "This role needs another way to sign in",
            &format!(
                "{} opens only for people who signed in through a SAML identity provider, and you \
                 signed in otherwise.",
                asked.words()
            ),
        )
        .step("Sign out, sign in through your identity provider, and open the role again.")
        .step("If you see no such way on the sign-in page, tell your helpdesk.")
        .back_to_roles()
    }

    /// 403: the person's assertion does not name the role.
    pub(crate) fn not_asserted(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "Your identity provider did not name this role",
            &format!(
                "You asked for {}. AWS opens it only where your identity provider says that it is \
                 yours, and at your last sign-in it did not.",
                asked.words()
            ),
        )
        .step("If you were given the role since, sign out and sign in again.")
        .step("Otherwise ask your helpdesk for it and quote the request id.")
        .back_to_roles()
    }

    /// 400: credentials of a role that opens in the console alone.
    pub(crate) fn console_only(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            400,
            "This role opens in the console only",
            &format!(
                "Your identity provider opens {} itself, so Rolegate has no credentials for it.",
                asked.words()
            ),
        )
        .step("Open it in the console instead.")
        .back_to_roles()
    }

    /// 403: the role is opened by an identity provider that the person did not come through.
    pub(crate) fn no_hand_over(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "This role needs another way to sign in",
            &format!(
                "{} is opened by an identity provider itself, and you did not sign in through it.",
                asked.words()
            ),
        )
        .step("Sign out, sign in through your identity provider, and open the role again.")
        .step("If you did that already, tell your helpdesk and quote the request id.")
        .back_to_roles()
    }

    /// 400: a length or read-only was asked for, and the identity provider opens the role.
    pub(crate) fn hand_over_as_is(layout: Layout, asked: &AskedRole, is_duration: bool) -> Self {
        let (title, what) = if is_duration {
            ("The length of this session cannot be chosen", "a length")
        } else {
            ("This role cannot be narrowed to reading", "read-only")
        };
        let fact = format!(
            "Your identity provider opens {} itself, and Rolegate cannot pass on {what}.",
            asked.words()
        );
        Self::new(layout, 400, title, &fact)
            .step(&format!("Open it without {what}."))
            .back_to_roles()
    }

    /// 400: a reason is missing. `fields` repeat the request.
    pub(crate) fn reason_required(
        layout: Layout,
        asked: &AskedRole,
        action: &str,
        fields: Vec<(String, String)>,
    ) -> Self {
        Self::new(
            layout,
            400,
            "Please say why",
            &format!("{} opens once you give a reason.", asked.words()),
        )
        .offer(Offer::Form {
            action: action.to_owned(),
            fields,
            asks: Asks::Reason,
            button: "Open".to_owned(),
        })
    }

    /// 400: a code of an MFA device is missing, or AWS does not take the one that came. `fields`
    /// repeat the request.
    pub(crate) fn code_needed(
        layout: Layout,
        asked: &AskedRole,
        (serial, trouble): (&str, Option<CodeTrouble>),
        action: &str,
        fields: Vec<(String, String)>,
    ) -> Self {
        let asked = asked.words();
        let (title, happened) = match trouble {
            None => (
                "Please enter a code",
                format!("{asked} opens with a code of an MFA device."),
            ),
            Some(CodeTrouble::NotSixDigits) => (
                "A code has six digits",
                format!("What you entered for {asked} has not, so nothing was opened."),
            ),
            Some(CodeTrouble::Refused) => (
                "AWS did not take that code",
                format!(
                    "{asked} was not opened. A code lasts half a minute: wait for the next one, and \
                     look whether it comes from the right device."
                ),
            ),
            Some(CodeTrouble::Used) => (
                "That code was used already",
                format!(
                    "{asked} was not opened. AWS takes a code once: wait for the next one on the \
                     device."
                ),
            ),
        };
        let button = if action == "/credentials" {
            "Show credentials"
        } else {
            "Open the console"
        };
        Self::new(layout, 400, title, &happened).offer(Offer::Form {
            action: action.to_owned(),
            fields,
            asks: Asks::Code {
                serial: serial.to_owned(),
            },
            button: button.to_owned(),
        })
    }

    /// 400: the console of a role that gives credentials alone. `href` leads to its options.
    pub(crate) fn credentials_only(layout: Layout, asked: &AskedRole, href: String) -> Self {
        Self::new(
            layout,
            400,
            "This role opens no console",
            &format!(
                "{} gives credentials for the command line, and AWS opens no console with them.",
                asked.words()
            ),
        )
        .step("Take its credentials instead.")
        .offer(Offer::Link {
            href,
            text: "Show its options".to_owned(),
        })
    }

    /// 403: Rolegate itself is to vouch for the person, and cannot.
    pub(crate) fn no_issuer(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "This role cannot be opened yet",
            &format!(
                "Rolegate itself has to vouch for you to open {}, and is not set up for that.",
                asked.words()
            ),
        )
        .step("Tell your helpdesk, and quote the request id.")
        .back_to_roles()
    }

    /// 403: the role opens with a token of the person's provider, and theirs gives none that AWS
    /// takes.
    pub(crate) fn oidc_needed(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            403,
            "This role needs another way to sign in",
            &format!(
                "{} opens only for people who signed in through an identity provider whose tokens \
                 AWS takes, and you signed in otherwise.",
                asked.words()
            ),
        )
        .step("Sign out, sign in through that identity provider, and open the role again.")
        .step("If you see no such way on the sign-in page, tell your helpdesk.")
        .back_to_roles()
    }

    /// 403: something of the person that the role is opened with is missing or does not fit.
    /// `placeholder` is its name in templates.
    pub(crate) fn template_unfilled(layout: Layout, asked: &AskedRole, placeholder: &str) -> Self {
        let what = match placeholder {
            "username" => "user name",
            "email" => "e-mail address",
            "connector" => "way to sign in",
            other => other,
        };
        Self::new(
            layout,
            403,
            "Something about you does not fit this role",
            &format!(
                "{} is opened with your {what}, and AWS cannot be told what Rolegate knows of it.",
                asked.words()
            ),
        )
        .step("Ask your helpdesk to look at it in the directory, and quote the request id.")
        .step("Once it is mended, sign out and sign in again.")
        .back_to_roles()
    }

    /// 400: longer than allowed. `fields` repeat the request with the longest duration allowed.
    pub(crate) fn too_long(
        layout: Layout,
        asked: &AskedRole,
        longest: Clipped,
        action: &str,
        fields: Vec<(String, String)>,
    ) -> Self {
        Self::new(
            layout,
            400,
            "That is longer than allowed",
            &format!("You asked for {}. {}", asked.words(), words::limit(longest)),
        )
        .offer(Offer::Form {
            action: action.to_owned(),
            fields,
            asks: Asks::Nothing,
            button: format!("Open for {} instead", words::minutes(longest.longest)),
        })
    }

    /// 400: read-only was asked for and cannot be had.
    pub(crate) fn read_only_unavailable(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            400,
            "This role cannot be narrowed to reading",
            &format!(
                "{} already has limits of its own, and AWS would add the two up instead of \
                 narrowing them.",
                asked.words()
            ),
        )
        .step("Open it without read-only, or choose a role that only reads.")
        .back_to_roles()
    }

    /// 404.
    pub(crate) fn not_found(layout: Layout) -> Self {
        Self::new(
            layout,
            404,
            "There is no such page",
            "The address leads nowhere.",
        )
        .step("Check it for a typing mistake, or start from your roles.")
        .back_to_roles()
    }

    /// 405.
    pub(crate) fn method_not_allowed(layout: Layout) -> Self {
        Self::new(
            layout,
            405,
            "This address is not a page",
            "It only takes what a form on another page sends.",
        )
        .step("Start from your roles.")
        .back_to_roles()
    }

    /// 413: the request is larger than any of our forms.
    pub(crate) fn too_large(layout: Layout) -> Self {
        Self::new(
            layout,
            413,
            "That was too much",
            "What was sent is larger than this page takes, so nothing was done.",
        )
        .step("Shorten it and try again.")
        .back_to_roles()
    }

    /// 502: AWS refused or garbled what it answers with a sign-in page.
    pub(crate) fn sign_in_endpoint_failed(layout: Layout, asked: &AskedRole) -> Self {
        Self::new(
            layout,
            502,
            "AWS did not open the console",
            &format!(
                "AWS gave credentials for {}, and its sign-in service would not take them.",
                asked.words()
            ),
        )
        .step("Try again; this usually passes.")
        .step("If another AWS console is open in this browser, sign out there first.")
        .back_to_roles()
    }

    /// 502: AWS refused the role; `sentence` says why and what to do, for people.
    pub(crate) fn role_refused(layout: Layout, asked: &AskedRole, sentence: &str) -> Self {
        Self::new(
            layout,
            502,
            "AWS refused this role",
            &format!("You asked for {}. {sentence}", asked.words()),
        )
        .back_to_roles()
    }

    /// 503: AWS does not answer.
    pub(crate) fn aws_unavailable(layout: Layout) -> Self {
        Self::new(
            layout,
            503,
            "AWS does not answer",
            "Rolegate asked AWS for your role and got no answer in time.",
        )
        .step("Try again in a minute.")
        .step("If it lasts, look at the AWS status page or tell your helpdesk.")
        .back_to_roles()
    }

    /// 503: the groups could not be read again and the old ones are too old.
    pub(crate) fn directory_unavailable(layout: Layout) -> Self {
        Self::new(
            layout,
            503,
            "The directory does not answer",
            "Your groups could not be checked, and what is known of them is too old to go by.",
        )
        .step("Try again in a minute.")
        .step("If it lasts, tell your helpdesk and quote the request id.")
        .back_to_roles()
    }

    /// 503: the groups were to be read again and could not; the old ones still serve.
    pub(crate) fn groups_not_read(layout: Layout) -> Self {
        Self::new(
            layout,
            503,
            "The directory does not answer",
            "Your groups could not be read again. Those from before still hold for now.",
        )
        .step("Try again in a minute.")
        .back_to_roles()
    }

    /// 503: the store cannot be read or written, so nothing is opened.
    pub(crate) fn store_unavailable(layout: Layout) -> Self {
        Self::new(
            layout,
            503,
            "Rolegate cannot keep its records",
            "Nothing is opened without being recorded first, so nothing was opened.",
        )
        .step("Try again in a minute.")
        .step("If it lasts, tell your helpdesk and quote the request id.")
    }

    /// 500: a mistake of ours.
    pub(crate) fn internal(layout: Layout) -> Self {
        Self::new(
            layout,
            500,
            "Something went wrong here",
            "Rolegate made a mistake, and what you asked for was not done.",
        )
        .step("Try again.")
        .step("If it happens again, tell your helpdesk and quote the request id.")
        .back_to_roles()
    }
}

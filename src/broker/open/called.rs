//! Opening a role for a caller without a browser, who may be limited to one role.
//!
//! Entry points: [`Broker::caller_credentials`], [`Broker::caller_console`].

use url::Url;

use super::{Asked, IssuedCredentials, OpenOrder, OpenRefused, Opened};
use crate::{
    access::{ConsoleWay, Delivery},
    aws::SignInUrl,
    broker::{Broker, Caller, Client},
};

/// A console for a caller without a browser.
#[derive(Debug)]
pub enum CallerOpened {
    /// It opens with this address. A bearer secret.
    Console(SignInUrl),
    /// Only a browser with a sign-in here can open it, at this address of ours; nothing was opened.
    Here(Url),
}

impl Broker {
    /// Issues credentials for a caller.
    pub async fn caller_credentials(
        &self,
        caller: &mut Caller,
        order: &OpenOrder,
        client: &Client,
    ) -> Result<IssuedCredentials, OpenRefused> {
        let Caller { session, role, .. } = caller;
        let asked = Asked {
            order,
            delivery: Delivery::Credentials,
            secret: None,
            limit: role.as_ref(),
        };
        self.issued_for(session, &asked, client).await
    }

    /// Opens a role in the console for a caller, or says where a browser can.
    pub async fn caller_console(
        &self,
        caller: &mut Caller,
        order: &OpenOrder,
        client: &Client,
    ) -> Result<CallerOpened, OpenRefused> {
        let Caller { session, role, .. } = caller;
        let asked = Asked {
            order,
            delivery: Delivery::Console,
            secret: None,
            limit: role.as_ref(),
        };
        let policy = self.policy().await?;
        // A refusal is found and recorded below.
        if let Ok(decided) = self.decide(&policy, &session.identity, &asked) {
            let grant = &decided.grant;
            if grant.is_posted() || grant.console() == ConsoleWay::IdpInitiated {
                let here = self.deep_link(grant.target(), decided.destination.as_ref());
                return Ok(CallerOpened::Here(here));
            }
        }
        match self.opened_for(session, &asked, client).await? {
            Opened::Console(url) => Ok(CallerOpened::Console(url)),
            // The table was edited in between; what was made is dropped.
            Opened::Post(_) | Opened::HandOver(_) => Err(OpenRefused::ConsoleOnly),
        }
    }
}

//! One client connection: its bind state, and an answer to every request that expects one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{SinkExt, StreamExt};
use ldap3_proto::LdapCodec;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapBindResponse, LdapExtendedRequest, LdapExtendedResponse,
    LdapMsg, LdapOp, LdapResult, LdapResultCode, LdapSearchScope, OID_WHOAMI,
};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::codec::Framed;

use super::{Fault, Shared};
use crate::demo::locked;

/// Larger than any batched group filter of a nested search.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// Serves until the client leaves, sends something that is not LDAP, or the fault closes it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut faults = shared.fault.subscribe();
    let codec = LdapCodec::new(Some(MAX_REQUEST_BYTES), None);
    let mut framed = Framed::new(stream, codec);
    let mut session = Session {
        shared,
        bound: None,
    };
    loop {
        let received = tokio::select! {
            () = until(&mut faults, |fault| fault == Some(Fault::CloseConnections)) => return,
            received = framed.next() => received,
        };
        let Some(Ok(message)) = received else { return };
        if matches!(message.op, LdapOp::UnbindRequest) {
            return;
        }
        let mut faults = session.shared.fault.subscribe();
        until(&mut faults, |fault| fault != Some(Fault::Hang)).await;
        for response in session.answer(message) {
            if framed.feed(response).await.is_err() {
                return;
            }
        }
        if framed.flush().await.is_err() {
            return;
        }
    }
}

async fn until(
    faults: &mut watch::Receiver<Option<Fault>>,
    condition: impl Fn(Option<Fault>) -> bool,
) {
    // The sender outlives every connection; were it gone, closing is the right answer too.
    let _ = faults.wait_for(|fault| condition(*fault)).await;
}

struct Session {
    shared: Arc<Shared>,
    bound: Option<String>,
}

impl Session {
    fn answer(&mut self, message: LdapMsg) -> Vec<LdapMsg> {
        let id = message.msgid;
        let one = |op| vec![LdapMsg::new(id, op)];
        let fault = *self.shared.fault.borrow();
        if let Some(refusal) = refusal_of(&message.op, fault, &message.ctrl) {
            return one(refusal);
        }
        match message.op {
            LdapOp::BindRequest(request) => one(self.bind(&request)),
            LdapOp::SearchRequest(request) => {
                self.shared.searches.fetch_add(1, Ordering::SeqCst);
                let is_root =
                    request.base.trim().is_empty() && request.scope == LdapSearchScope::Base;
                if self.bound.is_none() && !is_root {
                    let text = "authentication required";
                    let code = LdapResultCode::StrongerAuthRequired;
                    return one(LdapOp::SearchResultDone(result(code, text)));
                }
                let entries = locked(&self.shared.entries);
                super::search::answer(&entries, id, &request, &message.ctrl, fault)
            }
            LdapOp::ExtendedRequest(request) => one(self.extended(&request)),
            op => respond(
                &op,
                LdapResultCode::UnwillingToPerform,
                "this directory is read-only",
            )
            .map(one)
            .unwrap_or_default(),
        }
    }

    /// RFC 4511 section 4.2: whatever the outcome, the earlier identity is gone.
    fn bind(&mut self, request: &LdapBindRequest) -> LdapOp {
        self.bound = None;
        self.shared.binds.fetch_add(1, Ordering::SeqCst);
        let LdapBindCred::Simple(password) = &request.cred else {
            return bind_response(LdapResultCode::AuthMethodNotSupported, "simple bind only");
        };
        if request.version != 3 {
            return bind_response(LdapResultCode::ProtocolError, "only version 3 is spoken");
        }
        if request.dn.is_empty() && password.is_empty() {
            return bind_response(LdapResultCode::Success, "");
        }
        if password.is_empty() {
            // RFC 4513 section 5.1.2: an unauthenticated bind must not pass for a sign-in.
            let text = "unauthenticated bind (DN with no password) disallowed";
            return bind_response(LdapResultCode::UnwillingToPerform, text);
        }
        match locked(&self.shared.entries).authenticate(&request.dn, password) {
            Some(dn) => {
                self.bound = Some(dn);
                bind_response(LdapResultCode::Success, "")
            }
            None => bind_response(LdapResultCode::InvalidCredentials, ""),
        }
    }

    fn extended(&self, request: &LdapExtendedRequest) -> LdapOp {
        if request.name != OID_WHOAMI {
            let text = "unsupported extended operation";
            return extended_response(result(LdapResultCode::ProtocolError, text), None);
        }
        let authorization_id = self
            .bound
            .as_ref()
            .map(|dn| format!("dn:{dn}"))
            .unwrap_or_default();
        let value = Some(authorization_id.into_bytes());
        extended_response(result(LdapResultCode::Success, ""), value)
    }
}

/// The refusals that do not depend on the request's content.
fn refusal_of(op: &LdapOp, fault: Option<Fault>, controls: &[LdapControl]) -> Option<LdapOp> {
    if fault == Some(Fault::Busy) {
        return respond(op, LdapResultCode::Busy, "busy");
    }
    controls
        .iter()
        .any(|control| {
            matches!(
                control,
                LdapControl::Unknown {
                    criticality: true,
                    ..
                }
            )
        })
        .then(|| {
            let text = "critical control is not supported";
            respond(op, LdapResultCode::UnavailableCriticalExtension, text)
        })?
}

pub(super) fn result(code: LdapResultCode, message: &str) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: message.to_owned(),
        referral: Vec::new(),
    }
}

fn bind_response(code: LdapResultCode, message: &str) -> LdapOp {
    LdapOp::BindResponse(LdapBindResponse {
        res: result(code, message),
        saslcreds: None,
    })
}

fn extended_response(res: LdapResult, value: Option<Vec<u8>>) -> LdapOp {
    LdapOp::ExtendedResponse(LdapExtendedResponse {
        res,
        name: None,
        value,
    })
}

/// The response that belongs to a request; `None` for those that have none (unbind, abandon).
fn respond(op: &LdapOp, code: LdapResultCode, message: &str) -> Option<LdapOp> {
    let result = result(code, message);
    Some(match op {
        LdapOp::BindRequest(_) => LdapOp::BindResponse(LdapBindResponse {
            res: result,
            saslcreds: None,
        }),
        LdapOp::SearchRequest(_) => LdapOp::SearchResultDone(result),
        LdapOp::ModifyRequest(_) => LdapOp::ModifyResponse(result),
        LdapOp::AddRequest(_) => LdapOp::AddResponse(result),
        LdapOp::DelRequest(_) => LdapOp::DelResponse(result),
        LdapOp::ModifyDNRequest(_) => LdapOp::ModifyDNResponse(result),
        LdapOp::CompareRequest(_) => LdapOp::CompareResult(result),
        LdapOp::ExtendedRequest(_) => extended_response(result, None),
        _ => return None,
    })
}

//! How the stand-in misbehaves when it is told to.

/// A misbehaviour to set with [`StandIn::set_fault`](super::StandIn::set_fault).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Of `POST /`.
    Sts(StsFault),
    /// Of `Action=getSigninToken`; sign-in and console pages go on working.
    Federation(FederationFault),
}

/// How STS misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StsFault {
    /// The connection closes without an answer.
    Down,
    /// So many calls are answered `Throttling`, then all is well.
    Throttle(u32),
    /// Every call is refused but `GetCallerIdentity`, which cannot be.
    AccessDenied,
    /// So many calls are answered with a 500, then all is well.
    InternalError(u32),
    /// No answer while the fault is set; then the connection closes.
    Hang,
    /// A 200 with something that is not XML.
    Garbage,
    /// Every so many-th call is answered `Throttling`, counted from when the fault was set; the
    /// others are well. 0 throttles none.
    ThrottleEvery(u32),
}

/// How the sign-in endpoint misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FederationFault {
    /// The connection closes without an answer.
    Down,
    /// Every request is refused with a 400 page.
    BadRequest,
    /// Requests with a `SessionDuration` are refused with a 400 page, others are not.
    BadRequestWithSessionDuration,
    /// Every request is answered with a 500.
    InternalError,
    /// A 200 with something that is not JSON.
    Garbage,
    /// No answer while the fault is set; then the connection closes.
    Hang,
}

/// What is set at the moment.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) sts: Option<StsFault>,
    pub(super) federation: Option<FederationFault>,
    pub(super) is_stopped: bool,
    /// STS calls since the fault of STS was set.
    pub(super) sts_calls: u32,
}

impl Faults {
    pub(super) fn set(&mut self, fault: Fault) {
        match fault {
            Fault::Sts(fault) => {
                self.sts = Some(fault);
                self.sts_calls = 0;
            }
            Fault::Federation(fault) => self.federation = Some(fault),
        }
    }

    /// The fault for one more call of STS, counted down, and whether anything changed that those
    /// who wait for a fault to go would want to know.
    pub(super) fn next_of_sts(&mut self) -> (Option<StsFault>, bool) {
        let before = self.sts;
        self.sts_calls = self.sts_calls.wrapping_add(1);
        let is_due = |every: u32| every > 0 && self.sts_calls.is_multiple_of(every);
        let fault = before.filter(|fault| match fault {
            StsFault::Throttle(0) | StsFault::InternalError(0) => false,
            StsFault::ThrottleEvery(every) => is_due(*every),
            _ => true,
        });
        self.sts = match before {
            Some(StsFault::Throttle(0 | 1) | StsFault::InternalError(0 | 1)) => None,
            Some(StsFault::Throttle(count)) => Some(StsFault::Throttle(count - 1)),
            Some(StsFault::InternalError(count)) => Some(StsFault::InternalError(count - 1)),
            other => other,
        };
        (fault, self.sts != before)
    }
}

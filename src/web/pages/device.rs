//! `/device`: a client on another machine asks to act for the person, who types its code (RFC 8628).
//!
//! The code is never taken from the address: whoever types it has seen the terminal that shows it.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    super::{
        App,
        csrf::CheckedForm,
        error::Frame,
        headers::keep_secret,
        session::SignedIn,
        views::{
            Layout,
            consent::{DeviceAskedInput, DeviceAskedView, DeviceDoneView, DeviceView, NoDevice},
        },
    },
    Arrival,
    authorize::Decision,
    connector_label, layout, login, render,
};
use crate::broker::DeviceRefused;

/// What a person types, and which button they pressed.
#[derive(Deserialize)]
pub(in crate::web) struct DeviceForm {
    #[serde(default)]
    user_code: String,
    /// None on the page where the code is typed.
    decision: Option<Decision>,
}

/// `GET /device`: an empty field, whatever the address says.
pub(in crate::web) async fn show(
    State(app): State<App>,
    signed_in: Result<SignedIn, Response>,
    frame: Frame,
) -> Response {
    if !app.broker.settings().tokens.device_flow {
        return frame.status(StatusCode::NOT_FOUND).into_response();
    }
    match signed_in {
        Ok(signed_in) => {
            let layout = layout(&frame, &signed_in);
            render(&DeviceView::new(layout, String::new(), None), &frame)
        }
        Err(response) if response.status().is_redirection() => login::to_sign_in("/device", false),
        Err(response) => response,
    }
}

/// `POST /device`: shows what waits with the code, or decides it.
pub(in crate::web) async fn post(
    State(app): State<App>,
    signed_in: Result<SignedIn, Response>,
    arrival: Arrival,
    CheckedForm(form): CheckedForm<DeviceForm>,
) -> Response {
    if !app.broker.settings().tokens.device_flow {
        return arrival.frame.status(StatusCode::NOT_FOUND).into_response();
    }
    let signed_in = match signed_in {
        Ok(signed_in) => signed_in,
        Err(response) if response.status().is_redirection() => {
            return login::to_sign_in("/device", true);
        }
        Err(response) => return response,
    };
    let client = arrival.client(&app);
    let (session, code) = (&signed_in.session, form.user_code.trim());
    let frame = Frame(layout(&arrival.frame, &signed_in));
    let asked = match form.decision {
        None => app.broker.device_asked(session, code, &client).await,
        Some(decision) => {
            let agrees = decision == Decision::Allow;
            app.broker
                .decide_device(session, code, agrees, &client)
                .await
        }
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(refused) => return refuse(frame, code, refused),
    };
    let mut response = match form.decision {
        None => {
            let view = DeviceAskedView::new(DeviceAskedInput {
                layout: frame.0.clone(),
                asked: &asked,
                user_code: code,
                username: &signed_in.identity().username,
                signed_in_at: connector_label(&app, &signed_in.identity().connector),
                own_address: client.address.to_string(),
                lasts: app.broker.settings().tokens.refresh,
                now: app.broker.now(),
            });
            render(&view, &frame)
        }
        Some(decision) => {
            let is_allowed = decision == Decision::Allow;
            let view = DeviceDoneView::new(frame.0.clone(), &asked.client_name, is_allowed);
            render(&view, &frame)
        }
    };
    keep_secret(&mut response);
    response
}

/// The same page, with the field as it was.
fn refuse(frame: Frame, code: &str, refused: DeviceRefused) -> Response {
    let page = |why: NoDevice, status: StatusCode| {
        // What is typed is shown again, and no longer than a code with blanks can be.
        let typed = code.chars().take(40).collect();
        let layout: Layout = frame.0.clone();
        let mut response = render(&DeviceView::new(layout, typed, Some(why)), &frame);
        *response.status_mut() = status;
        response
    };
    match refused {
        DeviceRefused::Unknown => page(NoDevice::Unknown, StatusCode::BAD_REQUEST),
        DeviceRefused::Throttled { retry_after } => {
            let seconds = retry_after.as_secs().max(1);
            let mut response = page(
                NoDevice::Throttled { seconds },
                StatusCode::TOO_MANY_REQUESTS,
            );
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
            response
        }
        DeviceRefused::StoreUnavailable(error) => frame.store_unavailable(&error).into_response(),
    }
}

//! `rolegate login`. Entry point: [`run`].

use super::{
    Failure, browser,
    output::{counted, printable},
    signed_in::{self, print, tell},
};
use crate::client::{
    Me, Session,
    sign_in::{self, NoBrowser, SignedIn, TypedCode},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Your browser opens, and you agree there. Without one, as over SSH, you are shown a code that you type \
into a browser of any machine. The address is remembered for the other commands.")]
pub(super) struct Arguments {
    /// The address of your Rolegate, such as aws.example.com [default: where you signed in last]
    #[arg(value_name = "URL", env = "ROLEGATE_URL", hide_env_values = true)]
    url: Option<String>,
    /// Show a code to type into a browser of any machine
    #[arg(long)]
    device: bool,
    /// Show the address instead of opening a browser; it has to be opened on this machine
    #[arg(long, conflicts_with = "device")]
    no_browser: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let session = signed_in::open(arguments.url.as_deref())?;
    let signed_in = sign_in(&session, arguments)?;
    let me = session.begin(signed_in)?;
    signed_in::state()?.remember_server(session.server())?;
    // The list is for the next command; that one asks itself where this did not come to anything.
    let roles = session.roles(None).ok();
    let roles = roles.map_or_else(String::new, |roles| {
        format!(", with {}", counted(roles.len(), "role"))
    });
    let server = session.server();
    print(&format!(
        "Signed in at {server} as {}{roles}.\n",
        named(&me)
    ))
}

/// `Ada Lovelace (ada)`.
pub(super) fn named(me: &Me) -> String {
    let username = me.username.as_deref().unwrap_or(&me.subject);
    printable(&match me.display_name.as_deref() {
        Some(name) if name != username => format!("{name} ({username})"),
        _ => username.to_owned(),
    })
}

fn sign_in(session: &Session, arguments: &Arguments) -> Result<SignedIn, Failure> {
    let http = session.http()?;
    let name = format!("Rolegate on {}", machine());
    let shows = arguments.no_browser;
    if !arguments.device && (shows || browser::is_here()) {
        let open = |address: &str| {
            if shows {
                tell("Open this address in a browser of this machine:");
                tell(&format!("\n  {address}\n"));
                return true;
            }
            let is_open = browser::open(address);
            if is_open {
                tell("Your browser opens. If it does not, open this address in it:");
                tell(&format!("\n  {address}\n"));
            }
            is_open
        };
        match sign_in::by_browser(http, &name, open) {
            Ok(signed_in) => return Ok(signed_in),
            Err(NoBrowser::Failed(error)) => return Err(error.into()),
            Err(NoBrowser::NotOpened) => tell("No browser can be opened here."),
        }
    }
    Ok(sign_in::by_code(http, &name, show)?)
}

fn show(typed: &TypedCode) {
    let minutes = typed.expires_in.as_secs() / 60;
    tell(&format!(
        "Open this address in a browser, on any machine:\n\n  {}\n\nand type this code within \
         {minutes} minutes:\n\n  {}\n\nType it only where you opened the address yourself.",
        printable(&typed.address),
        printable(&typed.code),
    ));
}

/// What this machine is called, for the page of sessions.
fn machine() -> String {
    let told = ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .or_else(|| {
            let names = ["COMPUTERNAME", "HOSTNAME", "HOST"];
            let value = names.iter().find_map(std::env::var_os)?;
            Some(value.to_string_lossy().into_owned())
        })
        .unwrap_or_default();
    let is_plain = |character: &char| character.is_alphanumeric() || "._-".contains(*character);
    let name: String = told.trim().chars().filter(is_plain).take(60).collect();
    if name.is_empty() {
        std::env::consts::OS.to_owned()
    } else {
        name
    }
}

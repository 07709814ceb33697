//! English sentences that are chosen in Rust; the ones that never vary stand in the templates.
//!
//! Plain words, second person, no blame: the fact, then the next step.

use crate::{
    access::{Clipped, Limit, SessionDuration},
    broker::Actor,
};

/// One wording for an unknown user, a wrong password and a locked account.
pub(crate) const REFUSED: &str =
    "That user name and password did not work, or the account may be locked.";

/// Who did something: a person by user name and where they sign in, or what did it.
pub(crate) fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Person {
            connector,
            subject,
            username,
        } => match (username, subject) {
            (Some(username), _) => format!("{username} ({connector})"),
            (None, Some(subject)) => format!("{subject} ({connector})"),
            (None, None) => format!("somebody at {connector}"),
        },
        Actor::Host { uid } => format!("the command line of the host, user id {uid}"),
        Actor::File { hash } => {
            let short: String = hash.chars().take(12).collect();
            format!("the mapping file {short}")
        }
        Actor::System => "Rolegate itself".to_owned(),
    }
}

/// `1 role`, `2 roles`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    let digits = grouped(count);
    format!("{digits} {}", if count == 1 { one } else { many })
}

/// `10,000`
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A length in whole minutes, rounded down: what is left of an access is rarely a round number.
pub(crate) fn minutes(duration: SessionDuration) -> SessionDuration {
    let seconds = u64::from(duration.seconds());
    SessionDuration::from_seconds(seconds - seconds % 60).unwrap_or(duration)
}

/// How long to wait before another try counts.
pub(crate) fn wait(seconds: u64) -> String {
    match seconds {
        0..=60 => "a minute".to_owned(),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// What keeps a role session from being longer, as a whole sentence.
pub(crate) fn limit(clipped: Clipped) -> String {
    let longest = minutes(clipped.longest);
    match clipped.limit {
        Limit::Role => format!("This role allows {longest} at most."),
        Limit::Mapping => format!("Your access to this role allows {longest} at most."),
        Limit::MappingExpiry => {
            format!("Your access to this role ends in {longest}, and no session outlives it.")
        }
        Limit::RoleChaining => format!(
            "AWS allows {longest} at most here, because Rolegate's own AWS credentials are temporary."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_told_in_whole_minutes() {
        let words = |seconds| minutes(SessionDuration::from_seconds(seconds).unwrap()).to_string();
        assert_eq!(words(7_199), "1 h 59 min");
        assert_eq!(words(900), "15 min");
    }

    #[test]
    fn counts_agree_with_their_nouns() {
        assert_eq!(counted(1, "role", "roles"), "1 role");
        assert_eq!(counted(0, "role", "roles"), "0 roles");
        assert_eq!(counted(1_234_567, "role", "roles"), "1,234,567 roles");
    }
}

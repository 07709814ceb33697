//! What each shell makes of what is written: bash and dash themselves; fish, PowerShell and the
//! command prompt by the rules of their own documents, for they are not in every Debian.

use std::process::Command;

use proptest::prelude::*;

use super::*;

const ALL: [Shell; 4] = [Shell::Posix, Shell::Fish, Shell::PowerShell, Shell::Cmd];

/// What a person would not want to run, in front of what no shell may change.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "'",
        "''",
        "\"",
        "\\",
        "\\\\",
        "\\'",
        "$(exit 3)",
        "`exit 3`",
        "$HOME",
        "${HOME}",
        "$Env:x",
        "%PATH%",
        "%",
        "!",
        "!!",
        "^",
        "&",
        "&&",
        "|",
        ">",
        "<",
        ";",
        "#",
        "(",
        ")",
        "{",
        "}",
        "[",
        "*",
        "?",
        "~",
        "=",
        "+",
        "/",
        " ",
        "-",
        "--",
        "a",
        "Z",
        "0",
        "é",
        "€",
        "\u{2018}",
        "\u{2019}",
        "\u{201a}",
        "\u{201b}",
        "\u{201c}",
        "𝕏",
        "'; exit 3 #",
        "\"; exit 3",
        "$((1/0))",
    ];
    let known = proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned);
    let any = "[^\\pC]{0,3}";
    proptest::collection::vec(prop_oneof![4 => known, 1 => any], 0..12)
        .prop_map(|pieces| pieces.concat())
}

/// The values that a shell of ours has after the commands were run.
fn run(shell: &str, values: &[String]) -> Vec<String> {
    let mut script = String::new();
    for value in values {
        script.push_str(&Shell::Posix.variable("VALUE", value).unwrap());
        // Through a child's environment, as a tool would see it.
        script.push_str("\nenv printenv VALUE && printf '\\036'\n");
    }
    let output = Command::new(shell)
        .args(["-c", &script])
        .output()
        .unwrap_or_else(|error| panic!("{shell} does not start: {error}"));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{shell}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut read: Vec<String> = (said.split("\n\u{1e}")).map(str::to_owned).collect();
    assert_eq!(read.pop().as_deref(), Some(""));
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn bash_and_dash_read_what_was_meant(values in proptest::collection::vec(hostile(), 40)) {
        for shell in ["bash", "dash"] {
            prop_assert_eq!(&run(shell, &values), &values, "{}", shell);
        }
    }
}

proptest! {
    #[test]
    fn fish_reads_what_was_meant(value in hostile()) {
        let line = Shell::Fish.variable("VALUE", &value).unwrap();
        let word = line.strip_prefix("set -gx VALUE ").unwrap();
        prop_assert_eq!(fish(word), Some(value));
    }

    #[test]
    fn powershell_reads_what_was_meant(value in hostile()) {
        let line = Shell::PowerShell.variable("VALUE", &value).unwrap();
        let word = line.strip_prefix("$Env:VALUE = ").unwrap();
        prop_assert_eq!(powershell_word(word), Some(value));
    }

    #[test]
    fn the_command_prompt_reads_what_was_meant_or_is_told_nothing(value in hostile()) {
        match Shell::Cmd.variable("VALUE", &value) {
            Some(line) => prop_assert_eq!(cmd(&line), Some(("VALUE".to_owned(), value))),
            None => prop_assert!(value.contains(['"', '%', '!'])),
        }
    }

    #[test]
    fn what_a_terminal_takes_for_keys_is_never_written(
        before in hostile(), key in "\\p{Cc}", after in hostile(),
    ) {
        for shell in ALL {
            prop_assert_eq!(shell.quoted(&format!("{before}{key}{after}")), None);
        }
    }

    #[test]
    fn every_shell_is_told_what_aws_sends(value in "[A-Za-z0-9+/=_.:-]{1,900}") {
        for shell in ALL {
            let line = shell.variable("AWS_SESSION_TOKEN", &value).unwrap();
            prop_assert!(line.contains(&value));
        }
    }
}

/// One word in single quotes: within, `\\` and `\'` are the only escapes (fish, "Quotes").
fn fish(word: &str) -> Option<String> {
    let mut characters = word.strip_prefix('\'')?.chars();
    let mut read = String::new();
    loop {
        match characters.next()? {
            '\'' => break,
            '\\' => match characters.next()? {
                escaped @ ('\\' | '\'') => read.push(escaped),
                other => read.extend(['\\', other]),
            },
            other => read.push(other),
        }
    }
    characters.as_str().is_empty().then_some(read)
}

/// A verbatim-string-literal (PowerShell language specification 2.3.5.2.1): any two of the five
/// quote characters are the first of them, and any one ends it.
fn powershell_word(word: &str) -> Option<String> {
    let is_quote = |character: char| {
        ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'].contains(&character)
    };
    let mut characters = word.chars().peekable();
    is_quote(characters.next()?).then_some(())?;
    let mut read = String::new();
    loop {
        match characters.next()? {
            quote if is_quote(quote) => match characters.next_if(|next| is_quote(*next)) {
                Some(_) => read.push(quote),
                None => break,
            },
            other => read.push(other),
        }
    }
    characters.next().is_none().then_some(read)
}

/// `set "NAME=VALUE"` at the prompt: `%` begins an expansion wherever it stands; a quote ends what
/// keeps `& | < > ^ ( )` from having a meaning; the value goes to the last quote.
fn cmd(line: &str) -> Option<(String, String)> {
    let inside = line.strip_prefix("set \"")?.strip_suffix('"')?;
    if inside.contains(['%', '"', '!', '\r', '\n']) {
        return None;
    }
    let (name, value) = inside.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}

#[test]
fn each_shell_quotes_in_its_own_way() {
    let awkward = r"a'b\c";
    let written = ALL.map(|shell| shell.variable("K", awkward).unwrap());
    assert_eq!(
        written,
        [
            r"export K='a'\''b\c'",
            r"set -gx K 'a\'b\\c'",
            r"$Env:K = 'a''b\c'",
            "set \"K=a'b\\c\"",
        ]
    );
}

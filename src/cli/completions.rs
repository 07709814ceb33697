//! `rolegate completions`. Entry point: [`run`].

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Failure, signed_in::print};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
bash:        rolegate completions bash > ~/.local/share/bash-completion/completions/rolegate
zsh:         rolegate completions zsh > \"${fpath[1]}/_rolegate\"
fish:        rolegate completions fish > ~/.config/fish/completions/rolegate.fish
PowerShell:  rolegate completions powershell >> $PROFILE")]
pub(super) struct Arguments {
    /// Your shell
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "rolegate", &mut script);
    print(&String::from_utf8_lossy(&script))
}

//! `ovn-agent completions SHELL`: scripts that complete commands and options, made from the same tables as `--help`.

use clap::{CommandFactory as _, ValueEnum};
use std::fmt::Write as _;

use super::options::{OPTIONS, Takes};

/// A shell.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash(1).
    Bash,
    /// zsh(1).
    Zsh,
    /// fish(1).
    Fish,
}

/// A command with its options, each with whether an argument is a must, and what it does.
type Commands = Vec<(String, Vec<(String, bool, String)>)>;

fn commands() -> Commands {
    let options = OPTIONS.iter().map(|option| {
        let first = option.help.lines().next().unwrap_or_default();
        (option.long.to_owned(), matches!(option.takes, Takes::One(_)), first.to_owned())
    });
    let mut all = vec![("run".to_owned(), options.collect::<Vec<_>>())];
    let mut tool = super::Arguments::command();
    tool.build();
    for command in tool.get_subcommands().filter(|command| !["run", "help"].contains(&command.get_name())) {
        let options = command.get_arguments().filter_map(|argument| {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            Some((argument.get_long()?.to_owned(), argument.get_action().takes_values(), help))
        });
        all.push((command.get_name().to_owned(), options.collect()));
    }
    all
}

/// The script.
pub fn script(shell: Shell) -> String {
    let all = commands();
    match shell {
        Shell::Bash => bash(&all),
        Shell::Zsh => zsh(&all),
        Shell::Fish => fish(&all),
    }
}

fn bash(all: &Commands) -> String {
    let words = |options: &[(String, bool, String)]| -> String {
        let all: Vec<String> = options
            .iter()
            .map(|(name, must, _)| if *must { format!("--{name}=") } else { format!("--{name}") })
            .collect();
        all.join(" ")
    };
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!(
        "# bash completion for ovn-agent\n_ovn_agent() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} words\n    \
         if [ \"$COMP_CWORD\" = 1 ]; then\n        words=\"{}\"\n    else\n        case ${{COMP_WORDS[1]}} in\n",
        names.join(" ")
    );
    for (name, options) in all {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "            {name}) words=\"{}\" ;;", words(options));
    }
    text.push_str(
        "        esac\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n    \
         if [ ${#COMPREPLY[@]} = 0 ]; then COMPREPLY=($(compgen -f -- \"$word\")); fi\n    \
         [[ ${COMPREPLY[0]:-} == *= ]] && compopt -o nospace\n}\ncomplete -F _ovn_agent ovn-agent\n",
    );
    text
}

/// A text in single quotes of a shell, without what has a meaning in completions.
fn quoted(text: &str) -> String {
    text.replace(['\'', '[', ']', ':'], " ")
}

fn zsh(all: &Commands) -> String {
    let mut text = String::from("#compdef ovn-agent\nif (( CURRENT == 2 )); then\n    compadd");
    all.iter().for_each(|(name, _)| text.push_str(&format!(" {name}")));
    text.push_str("\nelse\n    case $words[2] in\n");
    for (name, options) in all {
        let _ = write!(text, "        {name}) _arguments '*:file:_files'");
        for (option, must, help) in options {
            let (value, argument) = if *must { ("=", ":value:_files") } else { ("", "") };
            let _ = write!(text, " \\\n            '--{option}{value}[{}]{argument}'", quoted(help));
        }
        text.push_str(" ;;\n");
    }
    text.push_str("    esac\nfi\n");
    text
}

fn fish(all: &Commands) -> String {
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let mut text = format!("complete -c ovn-agent -n __fish_use_subcommand -f -a '{}'\n", names.join(" "));
    for (name, options) in all {
        for (option, must, help) in options {
            let must = if *must { " -r" } else { "" };
            let _ = writeln!(
                text,
                "complete -c ovn-agent -n '__fish_seen_subcommand_from {name}' -l {option}{must} -d '{}'",
                quoted(help)
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn every_option_is_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for option in OPTIONS {
                assert!(script.contains(option.long), "{shell:?}: {}", option.long);
            }
            assert!(script.contains("translate") && script.contains("output-dir"), "{shell:?}");
        }
    }

    /// The one shell that is everywhere understands it.
    #[test]
    fn bash_completes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script");
        std::fs::write(&file, script(Shell::Bash)).unwrap();
        let complete = |words: &str, at: usize| {
            let steps = format!(
                ". {}; COMP_WORDS=({words}); COMP_CWORD={at}; compopt() {{ :; }}; _ovn_agent; echo ${{COMPREPLY[@]}}",
                file.display()
            );
            let output = Command::new("bash").args(["-c", &steps]).output().unwrap();
            assert!(output.stderr.is_empty(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(complete("ovn-agent tr", 1), "translate\n");
        assert_eq!(complete("ovn-agent run --pid", 2), "--pidfile\n");
        assert_eq!(complete("ovn-agent run --cha", 2), "--chassis=\n");
    }
}

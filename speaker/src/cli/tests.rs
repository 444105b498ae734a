use clap::Command;

use super::*;

/// Every command, by its path, without those that clap adds.
fn commands() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    let mut root = command_line();
    root.build();
    collect(&root, "herald", &mut found);
    found
}

fn collect(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    found.push((path.to_owned(), command.clone()));
    for below in command.get_subcommands() {
        if below.get_name() != "help" {
            collect(below, &format!("{path} {}", below.get_name()), found);
        }
    }
}

fn help(command: &Command) -> String {
    command.clone().render_long_help().to_string()
}

#[test]
fn the_command_line_is_consistent() {
    command_line().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_has_an_example() {
    for (path, command) in commands() {
        assert!(command.get_about().is_some(), "{path}: no about");
        let after = command.get_after_help().map(ToString::to_string);
        let after = after.unwrap_or_default();
        assert!(after.contains("Example"), "{path}: no example:\n{after}");
        let example = format!("  {path}");
        let inline = format!("Example: {path}");
        assert!(
            after.contains(&example) || after.contains(&inline),
            "{path}: its examples are of other commands:\n{after}"
        );
    }
}

#[test]
fn every_argument_says_what_it_is() {
    for (path, command) in commands() {
        for argument in command.get_arguments().filter(|it| !it.is_hide_set()) {
            let id = argument.get_id();
            assert!(argument.get_help().is_some(), "{path}: {id} has no help");
        }
    }
}

#[test]
fn help_fits_the_page() {
    for (path, command) in commands() {
        for line in help(&command).lines() {
            assert!(line.chars().count() <= 100, "{path}: {line}");
        }
    }
}

/// `docs/commands.md` names each command at the start of a row, and each of its long options in it.
#[test]
fn the_page_lists_exactly_what_there_is() {
    let page = include_str!("../../../docs/commands.md");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `herald"))
        .collect();
    let of = |path: &str| -> Vec<&&str> {
        let is_of = |row: &&&str| {
            let rest = row
                .strip_prefix("| `")
                .and_then(|row| row.strip_prefix(path));
            rest.is_some_and(|rest| rest.starts_with('`') || rest.starts_with(' '))
        };
        rows.iter().filter(is_of).collect()
    };
    let mut known = Vec::new();
    for (path, command) in commands() {
        let leaf = command
            .get_subcommands()
            .all(|below| below.get_name() == "help");
        if !leaf && path != "herald show" {
            continue;
        }
        let described = of(&path);
        assert!(
            !described.is_empty(),
            "docs/commands.md does not list {path}"
        );
        let global = ["socket", "help", "version", "output", "watch"];
        for option in command.get_arguments().filter_map(Arg::get_long) {
            let text = format!("--{option}");
            let has_it = described.iter().any(|row| row.contains(&text));
            let is_global = global.contains(&option) || (option == "config");
            assert!(has_it || is_global, "docs/commands.md: {path} lacks {text}");
        }
        known.push((path, command));
    }
    for row in &rows {
        let command = row
            .trim_start_matches("| `")
            .split('`')
            .next()
            .unwrap_or_default();
        let longest = known
            .iter()
            .filter(|(path, _)| command == path || command.starts_with(&format!("{path} ")))
            .max_by_key(|(path, _)| path.len());
        let Some((path, known)) = longest else {
            panic!("docs/commands.md lists {command}, which there is not");
        };
        for option in options(row) {
            let is_known = known
                .get_arguments()
                .filter_map(Arg::get_long)
                .any(|long| long == option);
            assert!(is_known, "docs/commands.md: {path} has no --{option}");
        }
    }
}

/// What a shell is told to propose behind these words.
fn proposed(words: &[&str]) -> Vec<String> {
    let mut root = completion::with_silent_aliases(command_line());
    let words = words.iter().copied().chain([""]).map(Into::into);
    let words: Vec<std::ffi::OsString> = words.collect();
    let last = words.len() - 1;
    let candidates = clap_complete::engine::complete(&mut root, words, last, None).unwrap();
    let values = candidates.iter().map(|candidate| candidate.get_value());
    values
        .map(|value| value.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_command_is_completed_by_its_own_name() {
    for (path, command) in commands() {
        let words: Vec<&str> = path.split(' ').collect();
        if let Some((name, before)) = words.split_last().filter(|(_, before)| !before.is_empty()) {
            let proposed = proposed(before);
            assert!(proposed.iter().any(|it| it == name), "{path}: {proposed:?}");
            for alias in command.get_visible_aliases() {
                assert!(!proposed.iter().any(|it| it == alias), "{path}: {alias}");
            }
        }
    }
    // What others call it leads on, though.
    assert!(proposed(&["herald", "neighbor"]).contains(&"shutdown".to_owned()));
}

#[test]
fn every_command_has_a_page_of_the_manual() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(completion::manual(directory.path()), SUCCESS);
    for (path, command) in commands() {
        let page = directory
            .path()
            .join(format!("{}.1", path.replace(' ', "-")));
        let text = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(text.contains(".SH SYNOPSIS"), "{path}: {}", page.display());
        let shown = command.get_arguments().filter(|it| !it.is_hide_set());
        for option in shown.filter_map(Arg::get_long) {
            let option = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(text.contains(&option), "{path}: {option}:\n{text}");
        }
    }
}

/// In the book and beside it: what can be typed is a command, with options that it has.
#[test]
fn what_the_book_says_to_type_can_be_typed() {
    use clap::error::ErrorKind;

    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    for folder in ["docs", "docs/howto", "examples", "packaging/debian"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    let mut count = 0;
    for page in pages {
        let is_text = |end: &str| page.extension().is_some_and(|extension| extension == end);
        if !is_text("md") && !is_text("toml") {
            continue;
        }
        let text = std::fs::read_to_string(&page).unwrap();
        for command in typed(&text) {
            count += 1;
            // A quoted text is one word.
            let parts = command.split('"').enumerate();
            let words = parts.flat_map(|(index, part)| match index % 2 {
                0 => part.split_whitespace().collect(),
                _ => vec![part],
            });
            let Err(error) = Arguments::try_parse_from(words) else {
                continue;
            };
            let is_unknown = matches!(
                error.kind(),
                ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
            );
            assert!(!is_unknown, "{}: {command}: {error}", page.display());
        }
    }
    assert!(count > 50, "{count}");
}

/// Commands in code, as far as they are typed: without what a pipe or a comment adds.
fn typed(text: &str) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2);
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("$ "));
    let starts = spans
        .chain(lines)
        .map(|code| code.strip_prefix("sudo ").unwrap_or(code));
    let commands = starts.filter(|code| {
        code.starts_with("herald ") && !code.contains('\n') && !code.contains("COMMAND")
    });
    commands
        .map(|code| {
            let end = [" |", " \\|", " >", " &&", "  ", " #", " ["];
            let end = end.iter().filter_map(|stop| code.find(stop)).min();
            code.get(..end.unwrap_or(code.len()))
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

fn options(row: &str) -> Vec<String> {
    let long = row.split("--").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
        rest.get(..end.unwrap_or(rest.len()))
            .unwrap_or_default()
            .to_owned()
    });
    long.filter(|option| !option.is_empty()).collect()
}

#[test]
fn words_of_other_speakers_are_understood() {
    for words in [
        "show neighbors",
        "show protocols",
        "show neighbor tor-a",
        "show running-config",
        "show log",
        "peer clear tor-a",
        "peer disable tor-a",
        "configure",
        "advertise 198.51.100.0/24",
        "service delete web",
        "status",
    ] {
        let words = ["herald"].into_iter().chain(words.split(' '));
        Arguments::try_parse_from(words).unwrap();
    }
}

#[test]
fn watch_takes_an_interval_or_none() {
    let watch = |words: &str| match Arguments::try_parse_from(words.split(' ')).unwrap().command {
        super::Command::Show(show) => show.watch,
        other => panic!("{other:?}"),
    };
    assert_eq!(watch("herald show peers"), None);
    assert_eq!(
        watch("herald show peers --watch"),
        Some(Duration::from_secs(2))
    );
    assert_eq!(
        watch("herald show peers -w 500ms"),
        Some(Duration::from_millis(500))
    );
    assert_eq!(
        watch("herald show --watch=1 peers"),
        Some(Duration::from_secs(1))
    );
}

#[test]
fn a_socket_is_offered_where_one_is_asked() {
    for (path, command) in commands() {
        let words = path.split(' ').nth(1).unwrap_or_default();
        let asks = !WITHOUT_DAEMON.contains(&words);
        assert_eq!(help(&command).contains("--socket"), asks, "{path}");
    }
}

/// Whoever has a narrow terminal has its lines broken there, and nowhere else.
#[test]
fn help_is_broken_by_the_terminal_alone() {
    for (path, command) in commands() {
        let after = command.get_after_help().map(ToString::to_string);
        let after = after.unwrap_or_default();
        let is_text = |line: &str| !line.is_empty() && !line.starts_with("  ");
        for (line, next) in after.lines().zip(after.lines().skip(1)) {
            let ends = line.ends_with(['.', ':']) || line.starts_with("Example");
            assert!(ends || !is_text(line) || !is_text(next), "{path}: {line}");
        }
        // What can be copied stands on one line.
        for line in after.lines().filter(|line| !is_text(line)) {
            assert!(line.chars().count() <= 80, "{path}: {line}");
        }
    }
}

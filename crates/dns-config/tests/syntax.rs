//! Words, braces, snippets, imports, environment variables, keys.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};

use common::{config, config_in, names};
use towpath_dns_config::{Corefile, Directive, FixedEnv, SystemEnv, parse};

fn parsed(text: &str) -> Corefile {
    parse(text, "Corefile", &FixedEnv::default()).unwrap()
}

fn wrong(text: &str) -> String {
    parse(text, "Corefile", &FixedEnv::default()).unwrap_err().to_string()
}

/// `name arg arg{name}` of directives.
fn shape(directives: &[Directive]) -> String {
    let one = |directive: &Directive| {
        let args: String = directive.args.iter().map(|arg| format!(" [{}]", arg.text)).collect();
        let body =
            if directive.body.is_empty() { String::new() } else { format!("{{{}}}", shape(&directive.body)) };
        format!("{}{args}{body}", directive.name.text)
    };
    directives.iter().map(one).collect::<Vec<_>>().join(";")
}

#[test]
fn words_and_braces() {
    let cases = [
        (". {\n a b c\n}", "a [b] [c]"),
        (". {\n a\n b\n}", "a;b"),
        (". { a }", "a"),
        (".\na b\nc", "a [b];c"),
        (". {\n a # b c\n}", "a"),
        (". {\n a b#c\n}", "a [b]"),
        ("# x\n\n. {\r\n a\tb\r\n}\r\n", "a [b]"),
        (". {\n a \"b c\" d\n}", "a [b c] [d]"),
        (". {\n a \"b \\\" \\n c\"\n}", "a [b \" \\n c]"),
        (". {\n a \"\"\n}", "a []"),
        (". {\n a \"b\nc\" d\n e\n}", "a [b\nc] [d];e"),
        (". {\n a \"{\" \"}\"\n}", "a [{] [}]"),
        (". {\n a {combined} {\n b\n }\n}", "a [{combined}]{b}"),
        (". {\n a {\n b c {\n d\n }\n }\n e\n}", "a{b [c]{d}};e"),
        (". {\n a {}\n b { c 1 }\n}", "a;b{c [1]}"),
        (". {\n a {\n }\n}", "a"),
        ("\u{feff}. {\n a\n}", "a"),
        (". {\n}", ""),
    ];
    for (text, want) in cases {
        assert_eq!(shape(&parsed(text).blocks[0].directives), want, "{text}");
    }
    assert!(parsed("").blocks.is_empty());
    assert!(parsed("# only a comment").blocks.is_empty());
}

#[test]
fn lines_are_counted() {
    let corefile = parsed("# 1\na b {\n  c \"d\n e\"\n  f {\n g\n }\n}\n");
    let block = &corefile.blocks[0];
    let lines: Vec<u32> = block.directives.iter().map(|directive| directive.name.at.line).collect();
    assert_eq!((block.keys[0].at.line, lines), (2, vec![3, 5]));
    assert_eq!(block.directives[1].body[0].name.at.line, 6);
}

#[test]
fn wrong_syntax_names_its_line() {
    let cases = [
        (". {\n a", "Corefile:1: the brace that is opened here is never closed"),
        (". {\n a {\n b\n}", "Corefile:1: the brace that is opened here is never closed"),
        (". {\n a\n}\n}", "Corefile:4: unexpected }: a server block begins with a zone"),
        ("{\n a\n}", "Corefile:1: unexpected {: a server block begins with a zone"),
        (".\na\n}", "Corefile:3: unexpected }: no brace is open"),
        (".:53{\n a\n}", "Corefile:1: write a space before the brace of .:53{"),
        (". {\n a\n {\n b\n }\n}", "Corefile:3: write { at the end of the line of its directive"),
        (". {\n a {\n b\n } c\n}", "Corefile:4: write c on a line of its own: it follows a }"),
        (". {\n a \"b\n}", "Corefile:2: the quote that begins here is never closed"),
        ("(s) {\n a", "Corefile:1: the brace of (s) is never closed"),
        ("(s) {\n a\n}\n(s) {\n b\n}", "Corefile:4: the snippet (s) is defined twice"),
        (". {\n import\n}", "Corefile:2: import needs a file, a pattern or a snippet"),
        (". {\n import a b\n}", "Corefile:2: import takes one argument: write one import for each file"),
        (". {\n import nothing\n}", "Corefile:2: import nothing: entity not found"),
        (
            "(s) {\n import s\n}\n. {\n import s\n}",
            "Corefile:2: more than 1000 imports: probably one imports itself",
        ),
    ];
    for (text, want) in cases {
        assert_eq!(wrong(text), want, "{text}");
    }
    let deep = format!(". {}{}", "{\n a ".repeat(17), "}\n".repeat(17));
    assert_eq!(wrong(&deep), "Corefile:17: more than 16 braces within each other");
}

#[test]
fn snippets_that_double_end_at_a_bound() {
    let mut text = String::from("(s0) {\n a b c d e f g h\n}\n");
    for level in 1..40 {
        text += &format!("(s{level}) {{\n import s{}\n import s{}\n}}\n", level - 1, level - 1);
    }
    assert!(wrong(&(text + ". {\n import s39\n}")).contains("more than 1000 imports"));
}

#[test]
fn keys_may_go_on_after_a_comma() {
    let keys =
        |text: &str| parsed(text).blocks[0].keys.iter().map(|key| key.text.clone()).collect::<Vec<_>>();
    for text in ["a b {\n}", "a, b {\n}", "a,\nb {\n}", "a, b, {\n}", "a,\nb\nx"] {
        assert_eq!(keys(text), ["a", "b"], "{text}");
    }
}

#[test]
fn environment_variables_are_filled_in() {
    let env = FixedEnv::default()
        .with_var("ZONE", "cluster.local")
        .with_var("PORT", "53")
        .with_var("SELF", "{$SELF}");
    let cases = [
        ("{$ZONE}:{$PORT} {\n}", "cluster.local:53"),
        ("{%ZONE%}.:{$PORT} {\n}", "cluster.local.:53"),
        ("a{$MISSING}b {\n}", "ab"),
        ("{$SELF} {\n}", "{$SELF}"),
        ("{$} {\n}", "{$}"),
        ("{$ZONE {\n}", "{$ZONE"),
    ];
    for (text, want) in cases {
        assert_eq!(parse(text, "Corefile", &env).unwrap().blocks[0].keys[0].text, want, "{text}");
    }
    let corefile = parse(". {\n p{$PORT} \"{$ZONE} x\" {$PORT}\n}", "Corefile", &env).unwrap();
    assert_eq!(shape(&corefile.blocks[0].directives), "p53 [cluster.local x] [53]");
}

#[test]
fn imports_take_files_patterns_and_snippets() {
    let env = FixedEnv::default()
        .with_file("/etc/coredns/custom/b.override", "log\n")
        .with_file("/etc/coredns/custom/a.override", "errors # no line break at the end")
        .with_file("/etc/coredns/custom/x.server", "corp.example:53 {\n  import inner\n}")
        .with_file("/etc/coredns/custom/inner", "forward . 10.0.0.1")
        .with_file("/etc/coredns/custom/..data/deep", "nothing");
    let text = "(common) {\n  cache 30\n  loop\n}\n. {\n  import custom/*.override\n  import common\n  ready\n}\nimport custom/*.server\nimport none/*\n";
    let corefile = parse(text, "/etc/coredns/Corefile", &env).unwrap();
    let shapes: Vec<_> = corefile.blocks.iter().map(|block| shape(&block.directives)).collect();
    assert_eq!(shapes, ["errors;log;cache [30];loop;ready", "forward [.] [10.0.0.1]"]);
    let files: Vec<_> = corefile.files().iter().map(|path| path.display().to_string()).collect();
    let custom = "/etc/coredns/custom";
    assert_eq!(
        files,
        [
            "/etc/coredns/Corefile".to_owned(),
            format!("{custom}/a.override"),
            format!("{custom}/b.override"),
            format!("{custom}/x.server"),
            format!("{custom}/inner"),
        ]
    );
    assert_eq!(corefile.directories(), [PathBuf::from(custom), PathBuf::from("/etc/coredns/none")]);
    let at = &corefile.blocks[1].directives[0].name.at;
    assert_eq!(at.to_string(), "/etc/coredns/custom/inner:1");
}

#[test]
fn an_import_stands_within_a_plugin_too() {
    let env = FixedEnv::default().with_file("/x/names", "10.0.0.1 a.example\n10.0.0.2 b.example\n");
    let config = config_in(". {\n hosts {\n import /x/names\n fallthrough\n }\n}", &env).unwrap();
    let hosts = config.blocks[0].hosts.clone().unwrap();
    assert_eq!((hosts.inline.len(), hosts.fallthrough), (2, names(&["."])));
}

#[test]
fn real_files_are_read_and_directories_skipped() {
    let dir = std::env::temp_dir().join(format!("towpath-dns-config-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("custom/..data")).unwrap();
    std::fs::write(dir.join("custom/a"), "errors").unwrap();
    let text = ". {\n import custom/*\n}";
    let corefile = parse(text, &dir.join("Corefile").to_string_lossy(), &SystemEnv).unwrap();
    let missing = parse(". {\n import nothing\n}", &dir.join("Corefile").to_string_lossy(), &SystemEnv);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(shape(&corefile.blocks[0].directives), "errors");
    assert!(missing.unwrap_err().message.contains("No such file"));
}

#[test]
fn keys_become_blocks() {
    let of = |text: &str| {
        let config = config(text).unwrap();
        let one = |block: &towpath_dns_config::Block| {
            let zones: Vec<_> = block.zones.iter().map(ToString::to_string).collect();
            format!("{}:{}", zones.join(","), block.port)
        };
        config.blocks.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    let cases = [
        (". {\n}", ".:53"),
        (".:1053 {\n}", ".:1053"),
        ("dns://A.example B.example:53 {\n}", "a.example.,b.example.:53"),
        ("a.example b.example:54 {\n}", "a.example.:53 b.example.:54"),
        ("10.0.0.0/8 {\n}", "10.in-addr.arpa.:53"),
        ("10.96.0.0/15:53 {\n}", "96.10.in-addr.arpa.,97.10.in-addr.arpa.:53"),
        ("fd00::/8 {\n}", "d.f.ip6.arpa.:53"),
        ("a {\n}\na:54 {\n}", "a.:53 a.:54"),
        ("a {\n bind 10.0.0.1\n}\na {\n bind 10.0.0.2\n}", "a.:53 a.:53"),
        ("tls://a b {\n}", "b.:53"),
        ("a {\n view x {\n expr true\n }\n}\nb {\n}", "b.:53"),
    ];
    for (text, want) in cases {
        assert_eq!(of(text), want, "{text}");
    }
    let told = config("tls://a b:53 b:54 {\n template\n}").unwrap();
    let told: Vec<_> = told.unsupported.iter().map(|remark| remark.directive.as_str()).collect();
    assert_eq!(told, ["tls://", "template"], "each thing is said once");
}

#[test]
fn blocks_that_coredns_refuses_are_problems() {
    let cases = [
        (
            "a {\n}\na {\n}",
            "/etc/coredns/Corefile:3: the zone a. on port 53 is already served by the block of /etc/coredns/Corefile:1",
        ),
        (
            "a A {\n}",
            "/etc/coredns/Corefile:1: the zone a. on port 53 is already served by the block of /etc/coredns/Corefile:1",
        ),
        ("a..b {\n}", "/etc/coredns/Corefile:1: a..b is not a zone with an optional port"),
        ("a:99999 {\n}", "/etc/coredns/Corefile:1: a:99999 is not a zone with an optional port"),
    ];
    for (text, want) in cases {
        assert_eq!(config(text).unwrap_err().to_string(), want, "{text}");
    }
    let two = config(". {\n bufsize 1\n loop x\n}").unwrap_err();
    assert_eq!(
        two.0.iter().map(|problem| problem.at.line).collect::<Vec<_>>(),
        [2, 3],
        "all problems are told"
    );
}

#[test]
fn a_file_without_a_server_block_is_a_mistake() {
    let want =
        "/etc/coredns/Corefile: no server block: write one, for example .:53 { forward . /etc/resolv.conf }";
    for text in ["", " \n\n", "# nothing yet\n", "(snippet) {\n log\n}\n"] {
        assert_eq!(config(text).unwrap_err().to_string(), want, "{text:?}");
    }
}

#[test]
fn files_of_the_blocks_are_told() {
    let text = ". {\n hosts /etc/coredns/NodeHosts\n forward . /etc/resolv.conf {\n tls /ca\n }\n autopath /etc/search\n}";
    let config = config(text).unwrap();
    let want = ["/etc/coredns/Corefile", "/etc/coredns/NodeHosts", "/etc/resolv.conf", "/ca", "/etc/search"];
    assert_eq!(config.files, want.map(|path| Path::new(path).to_owned()));
}
